//! A baseline that is kept between the processes of a cron job, and what it does over a simulated year.

use std::time::Duration;

use unattended::baseline::{Baseline, Outcome, Policy, Severity, State};
use unattended::rng::Rng;
use unattended::time::{Moment, Now};

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> Now {
    Now { moment: Moment::ZERO, wall: "2026-01-01T00:00:00Z".parse().unwrap() }
}

/// A quiet year of a program with a hundred kinds of lines, and now and then a fault that is new.
#[test]
fn a_year_has_an_alert_for_each_fault_and_none_beside() {
    let (mut rng, mut now) = (Rng::seeded(4), start());
    let mut baseline = Baseline::new(Policy::new(), 7, now).unwrap();
    let usual: Vec<String> = (0..100).map(|n| format!("usual {n}")).collect();
    let (mut alerts, mut faults) = (Vec::new(), 0);
    for hour in 0..365 * 24_u64 {
        for _ in 0..40 {
            let _any = baseline.observe(&usual[usize::try_from(rng.up_to(99)).unwrap()], Severity::Info, now);
        }
        if hour > 1000 && hour % 500 == 0 {
            faults += 1;
            // It repeats itself, as faults do.
            for _ in 0..20 {
                let _any = baseline.observe(format!("fault {hour}"), Severity::Error, now);
            }
        }
        now = now.after(HOUR);
        while let Some(finding) = baseline.take(now) {
            if finding.is_alert() {
                alerts.push(finding.to_string());
            }
        }
    }
    assert_eq!(alerts.len(), faults, "{alerts:#?}");
    assert!(alerts.iter().all(|alert| alert.starts_with("`fault ")), "{alerts:#?}");
}

/// Three processes over one file; the second is killed after it has saved and before it has sent.
#[cfg(feature = "store")]
#[test]
fn a_baseline_in_a_file_outlives_its_processes_and_a_crash_does_not_flood() {
    use unattended::baseline::Saved;
    use unattended::snapshots::File;

    let folder = tempfile::tempdir().unwrap();
    let file = File::<Saved>::open(folder.path().join("baseline.state")).unwrap();
    let policy = Policy::new().rare_rate(0.01).hold(Duration::ZERO);
    let mut now = start();
    let mut told = Vec::new();
    for process in 0..4 {
        let mut baseline = match file.load().unwrap() {
            Some(loaded) => Baseline::restore(policy, loaded.value, now).unwrap().0,
            None => Baseline::new(policy, 99, now).unwrap(),
        };
        for n in 0..400 {
            let _any = baseline.observe(format!("usual {}", n % 20), Severity::Info, now);
            if process >= 2 && n % 100 == 50 {
                let _any = baseline.observe(format!("bad {}", n / 200), Severity::Error, now);
            }
        }
        let findings: Vec<unattended::baseline::Finding> =
            std::iter::from_fn(|| baseline.take(now)).collect();
        file.save(&baseline.save(now)).unwrap();
        // The third is killed here, before it sends what it has taken.
        told.push(findings.len());
        now = Now { moment: Moment::ZERO, wall: now.wall + Duration::from_secs(900) };
    }
    assert_eq!(told, [0, 0, 2, 0], "the fourth does not tell again what the third had taken");
}

#[test]
fn the_state_of_a_baseline_says_what_it_is_good_for() {
    let mut now = start();
    let mut baseline = Baseline::new(Policy::new().rare_rate(0.01), 7, now).unwrap();
    let mut states = vec![baseline.state()];
    for n in 0..4000_u64 {
        let key = if (2000..2100).contains(&n) { format!("upgrade {n}") } else { format!("usual {}", n % 9) };
        if n == 3500 {
            now = now.after(Duration::from_secs(30 * 86_400));
        }
        if baseline.observe(key, Severity::Error, now) == Outcome::Tell {
            while baseline.take(now).is_some() {}
        }
        if states.last() != Some(&baseline.state()) {
            states.push(baseline.state());
        }
    }
    use State::{Active, Learning, Stale, Storm};
    assert_eq!(states[..5], [Learning, Active, Storm, Active, Stale]);
}
