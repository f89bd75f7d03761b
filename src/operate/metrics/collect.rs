//! The numbers are read together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::act::monitor::{self, Finding, Monitor};
use crate::act::notify::{self, Alerts};
use crate::act::statistics::{self, Durations, Statistics, Subject};
use crate::base::time::{Now, Timestamp, between};
use crate::decide::run::State;
use crate::decide::{alert, breaker};
use crate::operate::metrics::{Family, Kind, Queue, Report, Sample, queue};
use crate::remember::runs::Run;
use crate::remember::store::{self, Ns, Order, PAGE_MAX, Pages, Query, Store};

const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")];
const DURATION: Named = ("unattended_duration_seconds", "How long those took that succeeded");
/// So many pages of runs are looked at.
const RUN_PAGES_MAX: u32 = 10;
/// So many alerts are counted.
const ALERTS_MAX: u32 = 10_000;
/// So many breakers are read.
const BREAKERS_MAX: usize = 10_000;

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The statistics cannot be read.
    #[error("the statistics cannot be read")]
    Statistics(#[from] statistics::Error),
    /// The heartbeats cannot be read.
    #[error("the heartbeats cannot be read")]
    Monitor(#[from] monitor::Error),
    /// The alerts cannot be read.
    #[error("the alerts cannot be read")]
    Alerts(#[from] notify::Error),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] store::Error),
}

/// Reads all numbers of a store as they are at `now`. Nothing is written.
///
/// # Errors
/// When the store cannot be read. What is damaged in it is left out.
pub async fn collect(store: &Arc<dyn Store>, now: Now) -> Result<Report, Error> {
    let mut families = Families::default();
    let (reports, _) = Statistics::new(Arc::clone(store)).build().read_all().await?;
    for report in &reports {
        families.subject(report);
    }
    let measured: BTreeSet<Subject> = reports.into_iter().map(|report| report.subject).collect();
    for (job, seen) in of_runs(&**store).await? {
        families.runs(&job, &seen, measured.contains(&Subject::job(&job)));
    }
    families.queue(&queue(&**store, now.wall).await?, now.wall);
    for (_, snapshot) in breakers(&**store).await? {
        let labels =
            vec![("dependency", snapshot.key().to_owned()), ("state", snapshot.state().as_str().to_owned())];
        families.gauge(("unattended_breaker", "1 for the state that the breaker is in"), labels, 1.0);
    }
    for report in heartbeats(store, now, None).await? {
        families.heartbeats(&report);
    }
    let open = Alerts::new(Arc::clone(store)).build()?.list(&notify::Filter::open(), ALERTS_MAX).await?;
    for state in [alert::State::Open, alert::State::Acknowledged] {
        let count = open.iter().filter(|entry| entry.state == state).count();
        let named = ("unattended_alerts", "Alerts that are open, and those that are acknowledged");
        families.gauge(named, vec![("state", String::from(state.as_str()))], float(count as u64));
    }
    let help = "When all this was computed, in seconds since 1970";
    families.gauge(("unattended_collected_seconds", help), Vec::new(), seconds(now.wall));
    Ok(Report { at: now.wall, families: families.in_order() })
}

/// What the newest runs of a job say.
#[derive(Default)]
struct Seen {
    states: BTreeMap<&'static str, u64>,
    took: Durations,
}

/// The newest runs, by their jobs.
async fn of_runs(store: &dyn Store) -> Result<BTreeMap<String, Seen>, store::Error> {
    let query = Query { limit: PAGE_MAX, ..Query::all(Ns::RUN) };
    let mut jobs: BTreeMap<String, Seen> = BTreeMap::new();
    let mut pages = Pages::of(store, query).most(RUN_PAGES_MAX);
    while let Some(records) = pages.next().await? {
        for record in records {
            let Ok(run) = Run::from_record(record) else { continue };
            let seen = jobs.entry(run.job().to_owned()).or_default();
            *seen.states.entry(run.state().as_str()).or_insert(0) += 1;
            let took = run.duration_ms().filter(|_| run.state() == State::Succeeded);
            if let Some(took) = took.and_then(|millis| u64::try_from(millis).ok()) {
                seen.took.add(Duration::from_millis(took), run.record.updated_at);
            }
        }
    }
    Ok(jobs)
}

/// The breakers that are saved, by their dependencies' names. What cannot be read is left out.
pub(in crate::operate) async fn breakers(
    store: &dyn Store,
) -> Result<Vec<(String, breaker::Snapshot)>, store::Error> {
    let query = Query {
        kinds: vec![String::from("breaker")],
        order: Order::Oldest,
        limit: PAGE_MAX,
        ..Query::all(Ns::SNAPSHOT)
    };
    let mut found = Vec::new();
    let mut pages = Pages::of(store, query);
    while let Some(records) = pages.next().await? {
        for record in records {
            let Some(name) = record.key.strip_prefix("breaker/") else { continue };
            if let Ok(snapshot) = serde_json::from_str::<breaker::Snapshot>(&record.body) {
                found.push((name.to_owned(), snapshot));
            }
        }
        if found.len() >= BREAKERS_MAX {
            break;
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

/// How the jobs of all monitors stand; `mine` is one that declares some itself.
pub(in crate::operate) async fn heartbeats(
    store: &Arc<dyn Store>,
    now: Now,
    mine: Option<&Monitor>,
) -> Result<Vec<monitor::Report>, monitor::Error> {
    let mut reports = Vec::new();
    if let Some(mine) = mine {
        reports.push(mine.peek(now).await?);
    }
    for name in Monitor::names(store).await? {
        if mine.is_none_or(|mine| mine.name() != name) {
            reports.push(Monitor::new(Arc::clone(store), name).adopt().build()?.peek(now).await?);
        }
    }
    Ok(reports)
}

/// Families by their names, in the order in which they came up.
#[derive(Default)]
struct Families {
    all: BTreeMap<&'static str, Family>,
    order: Vec<&'static str>,
}

type Named = (&'static str, &'static str);
type Labels = Vec<(&'static str, String)>;

impl Families {
    fn add(&mut self, kind: Kind, (name, help): Named, suffix: &'static str, labels: Labels, value: f64) {
        let family = self.all.entry(name).or_insert_with(|| {
            self.order.push(name);
            Family { name, help, kind, samples: Vec::new() }
        });
        family.samples.push(Sample { suffix, labels, value });
    }

    fn gauge(&mut self, named: Named, labels: Labels, value: f64) {
        self.add(Kind::Gauge, named, "", labels, value);
    }

    fn in_order(mut self) -> Vec<Family> {
        self.order.iter().filter_map(|name| self.all.remove(name)).collect()
    }

    fn subject(&mut self, report: &statistics::Report) {
        let label = match &report.subject {
            Subject::Job(name) => ("job", name.clone()),
            Subject::Dependency(name) => ("dependency", name.clone()),
        };
        let counts = report.counts;
        for (named, value) in [
            (
                ("unattended_ended_total", "Runs of the job, or calls to the dependency, that have ended"),
                counts.ended,
            ),
            (("unattended_failed_total", "Those that did not succeed"), counts.failed),
            (("unattended_retried_total", "Those that took more than one attempt"), counts.retried),
            (("unattended_dead_lettered_total", "Those that ended with a person"), counts.dead_lettered),
            (("unattended_duplicates_total", "Asked for once more, and done already"), counts.duplicates),
            (
                ("unattended_leases_lost_total", "Taken over by somebody else in the middle"),
                counts.leases_lost,
            ),
        ] {
            self.add(Kind::Counter, named, "", vec![label.clone()], float(value));
        }
        for (code, count) in &report.refusals {
            let named =
                ("unattended_refused_total", "Not done now, and nothing tried, by the code of the reason");
            self.add(Kind::Counter, named, "", vec![label.clone(), ("code", code.clone())], float(*count));
        }
        let asked = counts.ended.saturating_add(counts.duplicates);
        for (of, part, all) in [
            ("success", counts.ended.saturating_sub(counts.failed), counts.ended),
            ("retried", counts.retried, counts.ended),
            ("dead_lettered", counts.dead_lettered, counts.ended),
            ("duplicate", counts.duplicates, asked),
        ] {
            if all > 0 {
                let labels = vec![label.clone(), ("of", String::from(of))];
                let named = ("unattended_ratio", "A part of all since the first");
                self.gauge(named, labels, float(part) / float(all));
            }
        }
        self.durations(DURATION, std::slice::from_ref(&label), &report.took);
        for (step, durations) in &report.steps {
            let named = ("unattended_step_duration_seconds", "How long a step took");
            self.durations(named, &[label.clone(), ("step", step.clone())], durations);
        }
    }

    /// What is in the store of a job; how long it took only where nobody has measured it.
    fn runs(&mut self, job: &str, seen: &Seen, measured: bool) {
        let label = ("job", job.to_owned());
        for (state, count) in &seen.states {
            let labels = vec![label.clone(), ("state", String::from(*state))];
            let help = "How many of the newest 10,000 runs are of the job, and in this state";
            self.gauge(("unattended_runs", help), labels, float(*count));
        }
        if !measured {
            self.durations(DURATION, &[label], &seen.took);
        }
    }

    fn durations(&mut self, named: Named, labels: &[(&'static str, String)], durations: &Durations) {
        if durations.count() == 0 {
            return;
        }
        for (q, word) in QUANTILES {
            let of_late = durations.quantile(q).map_or(f64::NAN, |took| took.as_secs_f64());
            let labels = labels.iter().cloned().chain([("quantile", String::from(word))]).collect();
            self.add(Kind::Summary, named, "", labels, of_late);
        }
        self.add(Kind::Summary, named, "_sum", labels.to_vec(), durations.sum_seconds());
        self.add(Kind::Summary, named, "_count", labels.to_vec(), float(durations.count()));
    }

    fn queue(&mut self, queue: &Queue, now: Timestamp) {
        for (state, count) in &queue.states {
            let named = ("unattended_queue", "Runs that have not ended, and those in review");
            self.gauge(named, vec![("state", String::from(*state))], float(*count));
        }
        for (state, oldest) in &queue.oldest {
            let named = ("unattended_queue_oldest_seconds", "The age of the oldest run in a state");
            self.gauge(named, vec![("state", String::from(*state))], between(*oldest, now).as_secs_f64());
        }
        let named = ("unattended_queue_due", "Runs that could be worked on now");
        self.gauge(named, Vec::new(), float(queue.due));
        let help = "Runs that failed for good or are in review, and that nobody has looked at";
        self.gauge(("unattended_dead_letters", help), Vec::new(), float(queue.dead_letters));
    }

    fn heartbeats(&mut self, report: &monitor::Report) {
        for entry in &report.entries {
            if !matches!(entry.finding, Finding::Job(_) | Finding::Undeclared(_) | Finding::Unreadable(_)) {
                continue;
            }
            let labels = vec![("monitor", report.monitor.clone()), ("job", entry.name.clone())];
            let named = ("unattended_heartbeat", "1 for the state that the job is in");
            let of_state = labels.iter().cloned().chain([("state", entry.state().to_owned())]).collect();
            self.gauge(named, of_state, 1.0);
            if let Some(last) = entry.last_success() {
                let help = "When it last succeeded, in seconds since 1970";
                self.gauge(("unattended_heartbeat_last_success_seconds", help), labels, seconds(last));
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a count; beyond 2^53 the last digits do not matter")]
const fn float(count: u64) -> f64 {
    count as f64
}

fn seconds(at: Timestamp) -> f64 {
    let since: Duration = between(Timestamp::UNIX_EPOCH, at);
    since.as_secs_f64()
}
