//! Logs of real programs, and logs of the same shape that are made here.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use unattended::baseline::{Baseline, Finding, Outcome, Policy, State};
use unattended::lines::{Key, Keyed, each};
use unattended::rng::Rng;
use unattended::time::{Moment, Now};

/// What is told of one log after another has been learned.
struct Change {
    learned: State,
    /// With the number of the line of the second log at which it was told.
    findings: Vec<(usize, Finding)>,
}

impl Change {
    /// Alerts while what is usual now has not been learned yet: what the change itself causes.
    fn alerts(&self) -> usize {
        let evidence = usize::try_from(policy().evidence()).unwrap();
        self.findings.iter().filter(|(line, finding)| *line < evidence && finding.is_alert()).count()
    }

    fn all_alerts(&self) -> usize {
        self.findings.iter().filter(|(_, finding)| finding.is_alert()).count()
    }

    fn regime_changes(&self) -> usize {
        self.findings.iter().filter(|(_, finding)| matches!(finding, Finding::RegimeChange(_))).count()
    }
}

fn change(policy: Policy, before: &[u8], after: &[u8]) -> Change {
    let mut now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    let (key, mut text) = (Key::default(), Vec::new());
    let mut baseline = Baseline::new(policy, 7, now).unwrap();
    let mut findings = Vec::new();
    let mut learned = baseline.state();
    let mut line_number = 0;
    for (at, log) in [before, after].into_iter().enumerate() {
        if at == 1 {
            line_number = 0;
        }
        each(log, |line| {
            line_number += 1;
            let Keyed::Key { severity, .. } = key.of(line, &mut text) else { return };
            let outcome = baseline.observe(&text, severity, now);
            if outcome == Outcome::Tell {
                let told = std::iter::from_fn(|| baseline.take(now));
                findings.extend(told.filter(|_| at == 1).map(|finding| (line_number, finding)));
            }
            now = now.after(Duration::from_millis(50));
        });
        if at == 0 {
            learned = baseline.state();
            // What the first log itself has to tell is not of interest here.
            baseline.flush(now);
            while baseline.take(now).is_some() {}
        }
    }
    baseline.flush(now);
    findings.extend(std::iter::from_fn(|| baseline.take(now)).map(|finding| (line_number, finding)));
    Change { learned, findings }
}

/// Evidence of 315 lines, for logs of 2,000; every level is an alert; much of what real logs say is new.
fn policy() -> Policy {
    use unattended::baseline::Severity;
    Policy::new()
        .rare_rate(0.02)
        .missing_mass_max(0.2)
        .alert_from(Severity::Debug)
        .alerts_max(1000, Duration::from_millis(1))
}

#[test]
fn a_change_of_regime_in_real_logs_is_one_alert() {
    let Some(folder) = std::env::var_os("UNATTENDED_LOGS").map(PathBuf::from) else {
        println!("skipped: UNATTENDED_LOGS is not set");
        return;
    };
    let names = ["Apache", "Hadoop", "Linux", "OpenSSH", "Zookeeper"];
    let logs = names.map(|name| fs::read(folder.join(format!("{name}_2k.log"))).unwrap());
    let mut floods = Vec::new();
    for (from, before) in logs.iter().enumerate() {
        for (to, after) in logs.iter().enumerate().filter(|(to, _)| *to != from) {
            let change = change(policy(), before, after);
            let (alerts, regimes) = (change.alerts(), change.regime_changes());
            println!(
                "{} to {}: {:?}, {alerts} alerts, {regimes} changes of regime",
                names[from], names[to], change.learned
            );
            let alone = self::change(policy(), b"", after).all_alerts();
            println!("    {} in all, {alone} by itself", change.all_alerts());
            if change.learned == State::Active
                && (alerts != 1 || regimes == 0 || change.all_alerts() > 2 + alone)
            {
                floods.push(format!("{} to {}: {alerts} alerts, {regimes} changes", names[from], names[to]));
                change.findings.iter().take(12).for_each(|(line, finding)| println!("    {line}: {finding}"));
            }
        }
    }
    assert!(floods.is_empty(), "{floods:#?}");
}

/// The shape of the real ones: few kinds that are frequent, many that are seldom, each with its numbers.
fn generated(seed: u64, program: &str, kinds: u64, lines: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "block", "session", "opened", "closed", "for", "user", "request", "failed", "received", "worker",
        "queue", "timed", "out", "retry", "server", "done",
    ];
    let mut rng = Rng::seeded(seed);
    let mut words = |n: u64| {
        let mut rng = Rng::seeded(seed ^ n.wrapping_mul(0x9e37_79b9));
        (0..3 + rng.up_to(5))
            .map(|_| WORDS[usize::try_from(rng.up_to(15)).unwrap()])
            .collect::<Vec<_>>()
            .join(" ")
    };
    let messages: Vec<String> = (0..kinds).map(&mut words).collect();
    let mut log = String::new();
    for n in 0..lines {
        // Zipf: the smaller of two, of which one is small.
        let share = (rng.up_to(1 << 32) as f64 + 1.0) / (1_u64 << 32) as f64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `kinds`")]
        let kind = ((kinds as f64).powf(share) - 1.0) as usize;
        let level = ["INFO", "INFO", "WARN", "ERROR"][kind % 4];
        let (a, b) = (rng.up_to(99_999), rng.up_to(255));
        log += &format!(
            "2026-05-{:02} {:02}:{:02}:{:02},{:03} {level} [{program}-{b}] {program}.Part{}: {} {a} from 10.1.{b}.{}\n",
            1 + n / 90_000,
            n / 3600 % 24,
            n / 60 % 60,
            n % 60,
            a % 1000,
            kind % 3,
            messages[kind],
            b / 2
        );
    }
    log.into_bytes()
}

#[test]
fn a_change_of_regime_in_generated_logs_is_one_alert() {
    for seed in 0..8 {
        let before = generated(seed, "shop", 40 + seed * 10, 2500);
        let after = generated(seed + 100, "store", 30 + seed * 12, 2500);
        let change = change(policy(), &before, &after);
        assert_eq!(change.learned, State::Active);
        // Later the log itself may have something to tell, as it has when it is learned alone.
        assert_eq!(change.alerts(), 1, "{seed}: {:#?}", change.findings);
        assert!(
            matches!(change.findings[0].1, Finding::RegimeChange(_)),
            "{seed}: {:#?}",
            change.findings[0]
        );
    }
}

#[test]
fn more_of_the_same_log_is_no_alert() {
    for seed in 0..5 {
        let log = generated(seed, "shop", 30, 6000);
        let (before, after) = log.split_at(log.len() * 2 / 3);
        let change = change(policy(), before, after);
        assert_eq!(change.learned, State::Active);
        assert!(change.regime_changes() == 0 && change.alerts() <= 2, "{seed}: {:#?}", change.findings);
    }
}
