//! What the text says, read back by a reader of the format.

use std::sync::Arc;
use std::time::Duration;

use crate::act::monitor::Monitor;
use crate::act::statistics::{Ended, Statistics, Subject};
use crate::base::park::block_on;
use crate::base::time::{Clock, Now, System};
use crate::decide::heartbeat::{Beat, Policy};
use crate::operate::metrics::{Report, collect};
use crate::remember::memory::Memory;
use crate::remember::store::Store;

/// A line of the text: name, labels, value.
type Line = (String, Vec<(String, String)>, f64);

/// Reads the text format, and fails on whatever is not in it.
fn read(text: &str) -> Vec<Line> {
    let (mut lines, mut family, mut seen) = (Vec::new(), None::<(String, String)>, Vec::new());
    let mut help = None;
    for line in text.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest.split_once(' ').expect("a help has a text").0.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type is a name and a word");
            assert_eq!(help.as_deref(), Some(name), "the help comes first");
            assert!(!seen.contains(&name.to_owned()), "{name} comes twice");
            seen.push(name.to_owned());
            assert!(["counter", "gauge", "summary"].contains(&kind), "{kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, labels, value) = sample(line);
            let (of, kind) = family.as_ref().expect("a sample has a family");
            let end = name.strip_prefix(of.as_str()).expect("a sample is of the family before it");
            assert!(end.is_empty() || (kind == "summary" && ["_sum", "_count"].contains(&end)), "{line}");
            lines.push((name, labels, value));
        }
    }
    lines
}

fn sample(line: &str) -> Line {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = line.find(|c: char| !plain(c)).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(name.starts_with("unattended_"), "{line}");
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label has a value");
            assert!(!label.is_empty() && label.chars().all(plain), "{label}");
            let (mut value, mut chars, mut end) = (String::new(), after.char_indices(), None);
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = Some(at);
                        break;
                    }
                    '\\' => match chars.next().expect("an escape").1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("\\{c} is no escape"),
                    },
                    c => value.push(c),
                }
            }
            labels.push((label.to_owned(), value));
            rest = &after[end.expect("the end of a value") + 1..];
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(',').expect("another label");
        }
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

fn made(store: &Arc<dyn Store>, now: Now) -> Report {
    block_on(collect(store, now)).unwrap()
}

#[test]
fn the_numbers_of_jobs_and_dependencies_are_written_as_prometheus_reads_them() {
    let (store, now): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), System.now());
    let odd = "a\\b \"c\"\nd";
    let (job, dependency) = (Subject::job(odd), Subject::dependency("s3"));
    let statistics = Statistics::new(Arc::clone(&store)).build();
    for seconds in 1..=100 {
        statistics.note(&job, Ended::ok(Duration::from_secs(seconds)).retried(seconds > 90), now);
    }
    statistics.note(&job, Ended::failed().dead_lettered(true), now);
    statistics.duplicate(&job, now);
    statistics.lease_lost(&job, now);
    statistics.step(&job, "fetch", Duration::from_secs(4), now);
    for code in ["breaker.open", "breaker.open", "quota.used_up"] {
        statistics.refused(&dependency, code, now);
    }
    statistics.flush_blocking().unwrap();
    let monitor = Monitor::new(Arc::clone(&store), "unattended")
        .expect("backup", Policy::every(Duration::from_secs(3600)))
        .build()
        .unwrap();
    monitor.beat_blocking("backup", now, Beat::succeeded()).unwrap();
    let lines = read(&made(&store, now.after(Duration::from_secs(3 * 3600))).prometheus());
    let value = |name: &str, wanted: &[(&str, &str)]| {
        let is = |labels: &[(String, String)]| {
            let mut labels = labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
            labels.len() == wanted.len() && labels.all(|label| wanted.contains(&label))
        };
        let mut found = lines.iter().filter(|(of, labels, _)| of == name && is(labels));
        let value = found.next().unwrap_or_else(|| panic!("{name} {wanted:?}: {lines:?}")).2;
        assert!(found.next().is_none(), "{name} {wanted:?} comes twice");
        value
    };
    let of_job = ("job", odd);
    assert_eq!(value("unattended_ended_total", &[of_job]), 101.0);
    assert_eq!(value("unattended_failed_total", &[of_job]), 1.0);
    assert_eq!(value("unattended_retried_total", &[of_job]), 10.0);
    assert_eq!(value("unattended_dead_lettered_total", &[of_job]), 1.0);
    assert_eq!(value("unattended_duplicates_total", &[of_job]), 1.0);
    assert_eq!(value("unattended_leases_lost_total", &[of_job]), 1.0);
    assert_eq!(value("unattended_refused_total", &[("dependency", "s3"), ("code", "breaker.open")]), 2.0);
    assert_eq!(value("unattended_ratio", &[of_job, ("of", "success")]), 100.0 / 101.0);
    for (q, seconds) in [("0.5", 50.0), ("0.95", 95.0), ("0.99", 99.0)] {
        let found = value("unattended_duration_seconds", &[of_job, ("quantile", q)]);
        assert!((found / seconds - 1.0).abs() < 0.02, "{q}: {found}");
    }
    assert_eq!(value("unattended_duration_seconds_sum", &[of_job]), 5050.0);
    assert_eq!(value("unattended_step_duration_seconds_count", &[of_job, ("step", "fetch")]), 1.0);
    let beats = [("monitor", "unattended"), ("job", "backup"), ("state", "overdue")];
    assert_eq!(value("unattended_heartbeat", &beats), 1.0);
    assert_eq!(value("unattended_queue", &[("state", "queued")]), 0.0);
    assert_eq!(value("unattended_dead_letters", &[]), 0.0);
}

#[test]
fn a_store_with_nothing_in_it_has_numbers_too() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let report = made(&store, System.now());
    assert!(report.get("unattended_collected_seconds").is_some());
    assert!(read(&report.prometheus()).len() >= 8);
}

#[cfg(feature = "metrics")]
mod facade {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use ::metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
    };

    use super::*;
    use crate::operate::metrics::publish;

    /// What was handed over, by name and labels.
    #[derive(Default)]
    struct Kept(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl Kept {
        fn cell(&self, key: &Key) -> Arc<AtomicU64> {
            let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
            let name = format!("{} {}", key.name(), labels.collect::<Vec<_>>().join(" "));
            Arc::clone(self.0.lock().unwrap().entry(name.trim_end().to_owned()).or_default())
        }

        fn get(&self, name: &str) -> Option<u64> {
            self.0.lock().unwrap().get(name).map(|cell| cell.load(Ordering::Relaxed))
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.cell(key))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.cell(key))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn the_numbers_reach_the_recorder_of_the_program_and_counters_are_not_counted_twice() {
        let (store, now): (Arc<dyn Store>, _) = (Arc::new(Memory::new()), System.now());
        let statistics = Statistics::new(Arc::clone(&store)).build();
        for _ in 0..3 {
            statistics.note(&Subject::job("a"), Ended::ok(Duration::from_secs(2)), now);
        }
        statistics.flush_blocking().unwrap();
        let (report, kept) = (made(&store, now), Kept::default());
        with_local_recorder(&kept, || {
            publish(&report);
            publish(&report);
        });
        assert_eq!(kept.get("unattended_ended_total job=a"), Some(3));
        assert_eq!(kept.get("unattended_ratio job=a of=success"), Some(1.0f64.to_bits()));
        assert_eq!(kept.get("unattended_duration_seconds_count job=a"), Some(3));
        assert_eq!(kept.get("unattended_duration_seconds_sum job=a"), Some(6.0f64.to_bits()));
    }
}
