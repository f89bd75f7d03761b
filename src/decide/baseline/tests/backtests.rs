//! What a policy would have told of a labelled log.

use super::*;
use crate::base::rng::Rng;
use crate::decide::baseline::{Backtest, Labelled, backtest};

/// A log of eleven hours: usual kinds by Zipf's law, and now and then a burst that somebody should be told of.
fn log(seed: u64) -> Vec<Labelled<String>> {
    let (mut rng, mut lines, mut now) = (Rng::seeded(seed), Vec::new(), start());
    for n in 0..20_000_u64 {
        now = now.after(Duration::from_secs(2));
        let bad = n > 8000 && n % 1500 == 0;
        if bad {
            for _ in 0..3 {
                let key = format!("failure of part {}", n / 1500);
                lines.push(Labelled { now, key, severity: Severity::Error, label: true });
            }
        } else if n > 8000 && n % 2100 == 0 {
            // Odd and harmless.
            lines.push(Labelled { now, key: format!("oddity {n}"), severity: Severity::Warn, label: false });
        } else {
            let key = format!("usual {}", 30 / (1 + rng.up_to(29)));
            lines.push(Labelled { now, key, severity: Severity::Info, label: false });
        }
    }
    lines
}

#[test]
fn a_backtest_says_how_precise_it_would_have_been_and_what_it_would_have_missed() {
    let result = backtest(Policy::new(), 1, log(5)).unwrap();
    let bad = (8001..20_000).filter(|n| n % 1500 == 0).count() as u64;
    let odd = (8001..20_000).filter(|n| n % 2100 == 0 && n % 1500 != 0).count() as u64;
    assert_eq!((result.lines, result.labelled, result.found), (20_000 + 2 * bad, 3 * bad, 3 * bad));
    assert_eq!((result.alerts, result.right, result.regime_changes), (bad + odd, bad, 0));
    let precision = result.precision().unwrap();
    assert!((precision - bad as f64 / (bad + odd) as f64).abs() < 1e-9, "{precision}");
    assert!((result.recall().unwrap() - 1.0).abs() < 1e-9);
    let days = 40_000.0 / 86_400.0;
    assert!((result.alerts_per_day().unwrap() - (bad + odd) as f64 / days).abs() < 0.1);
    assert_eq!(
        result.to_string(),
        "20016 lines, 24 labelled: precision 0.615, recall 1.000, 13 alerts, 28.081 a day, 0 in the digest"
    );
}

#[test]
fn what_goes_to_the_digest_and_what_comes_too_early_is_not_found() {
    let policy = Policy::new().alert_from(Severity::Fatal);
    let result = backtest(policy, 1, log(5)).unwrap();
    assert_eq!((result.found, result.alerts, result.precision()), (0, 0, None));
    assert!(result.digested > 0);
    let result = backtest(Policy::new().rare_rate(1e-5), 1, log(5)).unwrap();
    assert_eq!((result.recall(), result.labelled_while_learning), (Some(0.0), result.labelled));
    let none = backtest(Policy::new(), 1, Vec::<Labelled<&str>>::new()).unwrap();
    assert_eq!(none, Backtest::default());
    assert!(backtest(Policy::new().rare_below(0), 1, log(5)).is_err());
}

#[test]
fn a_regime_change_counts_as_one_alert_that_finds_what_it_stands_for() {
    let mut lines = log(5);
    let mut now = lines.last().unwrap().now;
    for n in 0..500 {
        now = now.after(Duration::from_millis(100));
        let key = format!("another program {}", n % 60);
        lines.push(Labelled { now, key, severity: Severity::Error, label: n < 5 });
    }
    let (before, after) =
        (backtest(Policy::new(), 1, log(5)).unwrap(), backtest(Policy::new(), 1, lines).unwrap());
    assert_eq!((after.regime_changes, after.alerts - before.alerts, after.right - before.right), (1, 1, 1));
    assert!(after.found - before.found >= 4, "{after}");
}
