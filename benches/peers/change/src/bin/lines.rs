//! What an event costs a baseline and a byte costs the mask, beside a plain map, and the memory for a million kinds.
//!
//! `cargo run --release --bin lines` (about a minute); `--bin lines -- kinds` only takes in a million kinds and prints the peak of its
//! memory. The contenders take turns; the figure is the best of the rounds. It fails if a bound is missed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

#[path = "../../../durable/src/report.rs"]
#[allow(dead_code, reason = "the other packages use the rest of it")]
mod report;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use report::Report;
use unattended::baseline::{Baseline, Outcome, Policy, Severity};
use unattended::lines::{Masker, each};
use unattended::rng::Rng;
use unattended::time::{Clock, Moment, Now, System};

const KINDS: u64 = 10_000;
const EVENTS: usize = 4_000_000;
const ROUNDS: usize = 7;

fn main() {
    if std::env::args().any(|arg| arg == "kinds") {
        return million();
    }
    let mut report = Report::new();
    events(&mut report);
    masks(&mut report);
    let child = std::process::Command::new(std::env::current_exe().expect("this program")).arg("kinds").output();
    let output = String::from_utf8(child.expect("runs").stdout).expect("text");
    let mut figures = output.split_whitespace().map(|figure| figure.parse::<f64>().expect("a number"));
    let (peak, wrong) = (figures.next().unwrap_or(f64::MAX), figures.next().unwrap_or(f64::MAX));
    report.at_most("1,000,000 kinds: peak of the whole process (VmHWM)", peak, 32.0, "MB");
    report.at_most("1,000,000 kinds: never seen and taken for seen", wrong, 1.0, "%");
    println!("## Log lines and baselines\n\n`cargo run --release --bin lines` in `benches/peers/change`.\n");
    println!("Load of the machine (2 processors) after: {}.\n", load());
    if !report.end() {
        std::process::exit(1);
    }
}

/// Short keys, cut before, by Zipf's law over ten thousand kinds.
fn keys() -> Vec<String> {
    let mut rng = Rng::seeded(1);
    let names: Vec<String> = (0..KINDS).map(|kind| format!("part{}|{kind:05}", kind % 13)).collect();
    (0..EVENTS)
        .map(|_| {
            let share = (rng.up_to(1 << 32) as f64 + 1.0) / (1_u64 << 32) as f64;
            let kind = ((KINDS as f64).powf(share) - 1.0) as u64;
            names[kind.min(KINDS - 1) as usize].clone()
        })
        .collect()
}

fn events(report: &mut Report) {
    let keys = keys();
    // One after the other in memory, as the keys of a log are.
    let (text, ends) = keys.iter().fold((String::new(), Vec::new()), |(mut text, mut ends), key| {
        text.push_str(key);
        ends.push(text.len());
        (text, ends)
    });
    let each_key = |take: &mut dyn FnMut(&[&[u8]])| {
        let mut begin = 0;
        let slices: Vec<&[u8]> = ends
            .iter()
            .map(|end| {
                let key = &text.as_bytes()[begin..*end];
                begin = *end;
                key
            })
            .collect();
        take(&slices);
    };
    let mut best = [f64::MAX; 4];
    each_key(&mut |keys| {
        for _ in 0..ROUNDS {
            for (best, contender) in best.iter_mut().zip([ours, ours_hashed, std_map, std_owned]) {
                let took = contender(keys);
                *best = best.min(took);
            }
        }
    });
    let rate = |seconds: f64| EVENTS as f64 / seconds / 1e6;
    report.at_least("events a second, 10,000 kinds, short keys: here", rate(best[0]), 40.0, "million");
    report.row("the same, by a hash that was made before", &format!("{:.1} million", rate(best[1])));
    report.row("the same: std `HashMap<&[u8], u64>`, counts only", &format!("{:.1} million", rate(best[2])));
    report.row("the same: std `HashMap<Vec<u8>, u64>`, counts only", &format!("{:.1} million", rate(best[3])));
    report.at_least("times as fast as the map with keys of its own", best[3] / best[0], 1.0, "times");
}

fn taught(keys: &[&[u8]], now: Now) -> Baseline {
    let mut baseline = Baseline::new(Policy::new(), 7, now).expect("the defaults");
    for key in keys.iter().take(EVENTS / 4) {
        black_box(baseline.observe(key, Severity::Info, now) == Outcome::Tell);
    }
    baseline
}

fn ours(keys: &[&[u8]]) -> f64 {
    let now = System.now();
    let mut baseline = taught(keys, now);
    let begin = Instant::now();
    for (at, key) in keys.iter().enumerate() {
        // A clock that moves on with each event.
        let now = Now { moment: Moment::from_nanos(now.moment.as_nanos() + at as u64), wall: now.wall };
        black_box(baseline.observe(key, Severity::Info, now) == Outcome::Tell);
    }
    begin.elapsed().as_secs_f64()
}

fn ours_hashed(keys: &[&[u8]]) -> f64 {
    let now = System.now();
    let mut baseline = taught(keys, now);
    let hashes: Vec<u64> = keys.iter().map(|key| baseline.hash(key)).collect();
    let begin = Instant::now();
    for hash in &hashes {
        black_box(baseline.observe_hash(*hash, Severity::Info, now) == Outcome::Tell);
    }
    begin.elapsed().as_secs_f64()
}

fn std_map(keys: &[&[u8]]) -> f64 {
    let mut map: HashMap<&[u8], u64> = HashMap::new();
    for key in keys.iter().take(EVENTS / 4) {
        *map.entry(key).or_default() += 1;
    }
    let begin = Instant::now();
    for key in keys {
        *map.entry(key).or_default() += 1;
    }
    black_box(map.len());
    begin.elapsed().as_secs_f64()
}

fn std_owned(keys: &[&[u8]]) -> f64 {
    let mut map: HashMap<Vec<u8>, u64> = HashMap::new();
    for key in keys.iter().take(EVENTS / 4) {
        *map.entry(key.to_vec()).or_default() += 1;
    }
    let begin = Instant::now();
    for key in keys {
        match map.get_mut(*key) {
            Some(count) => *count += 1,
            None => {
                map.insert(key.to_vec(), 1);
            }
        }
    }
    black_box(map.len());
    begin.elapsed().as_secs_f64()
}

/// Lines as real programs write them, 4 MiB of them, over and over: short rounds find a moment in which nobody else computes.
fn masks(report: &mut Report) {
    let mut rng = Rng::seeded(3);
    let mut text = Vec::new();
    while text.len() < 4 << 20 {
        let (a, b) = (rng.up_to(9999), rng.up_to(1 << 40));
        let line = match rng.up_to(4) {
            0 => format!("2015-10-18 18:01:{:02},{:03} INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created MRAppMaster for application appattempt_{b}_0020_{a:06}\n", a % 60, a % 1000),
            1 => format!("Dec 10 06:55:{:02} LabSZ sshd[{a}]: Failed password for invalid user webmaster from 173.234.{}.{} port {a} ssh2\n", a % 60, a % 250, b % 250),
            2 => format!("2015-07-29 19:04:{:02},071 - WARN  [SendWorker:{b}:QuorumCnxManager$SendWorker@688] - Send worker leaving thread\n", a % 60),
            3 => format!("[Sun Dec 04 04:47:{:02} 2005] [error] mod_jk child workerEnv in error state {}\n", a % 60, a % 9),
            _ => format!("Jun 14 15:16:{:02} combo ftpd[{a}]: connection from 24.54.{}.{} (24-54-76-216.bflony.adelphia.net) at Fri Jun 17 07:07:00 2005\n", a % 60, a % 250, b % 250),
        };
        text.extend_from_slice(line.as_bytes());
    }
    let (masker, mut key) = (Masker::new(), Vec::new());
    let (mut masked, mut whole) = (f64::MAX, f64::MAX);
    for _ in 0..60 {
        let begin = Instant::now();
        each(&text, |line| {
            black_box(masker.mask(line, &mut key));
        });
        masked = masked.min(begin.elapsed().as_secs_f64());
        let now = System.now();
        let mut baseline = Baseline::new(Policy::new(), 7, now).expect("the defaults");
        let begin = Instant::now();
        each(&text, |line| {
            let severity = masker.mask(line, &mut key).severity;
            black_box(baseline.observe(&key, severity, now) == Outcome::Tell);
        });
        whole = whole.min(begin.elapsed().as_secs_f64());
    }
    let rate = |seconds: f64| text.len() as f64 / seconds / 1e6;
    report.at_least("lines masked, five real formats, one core", rate(masked), 300.0, "MB/s");
    report.row("lines masked and counted by a baseline", &format!("{:.0} MB/s", rate(whole)));
}

fn million() {
    let now = System.now();
    let mut baseline = Baseline::new(Policy::new(), 7, now).expect("the defaults");
    for n in 0..1_000_000_u64 {
        black_box(baseline.observe(n.to_le_bytes(), Severity::Error, now) == Outcome::Tell);
    }
    while baseline.take(now).is_some() {}
    // What was never seen and is not counted as such.
    let before = baseline.evidence().events;
    let mut seen = 0_u64;
    for n in 0..100_000_u64 {
        let outcome = baseline.observe((n | 1 << 60).to_le_bytes(), Severity::Error, now);
        seen += u64::from(!matches!(
            outcome,
            Outcome::Tell | Outcome::Quiet(unattended::baseline::Quiet::Learning { seen: 0, .. })
        ));
    }
    assert_eq!(baseline.evidence().events, before + 100_000);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    println!("{} {}", peak.unwrap_or(f64::MAX) * 1024.0 / 1e6, seen as f64 / 1000.0);
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
