//! Each rule by its name.

use std::time::Duration;

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use crate::base::explain::Explain;
use crate::base::time::{Moment, Now};
use crate::decide::trend::{Cause, Error, Measure, Measured, Observed, Policy, Saved, SavedMeasure, Trend};

fn at(n: u64) -> Now {
    Now { moment: Moment::from_nanos(1), wall: chrono::DateTime::UNIX_EPOCH }.after(Duration::from_secs(n))
}

/// One that has learned from `of` runs, of which each `nth` was bad, from the first one on.
fn learned(of: u64, nth: u64) -> Trend {
    let mut trend = Trend::new(Policy::default());
    for n in 0..of {
        assert!(!matches!(trend.observe(n % nth == 0, at(n)), Observed::Alert(_)), "{n}");
    }
    trend
}

fn until_alert(trend: &mut Trend, mut bad: impl FnMut(u64) -> bool) -> u64 {
    (1..10_000).find(|n| matches!(trend.observe(bad(*n), at(10_000 + n)), Observed::Alert(_))).unwrap()
}

#[test]
fn nothing_is_judged_before_enough_was_learned() {
    let mut trend = Trend::new(Policy::default());
    for n in 1..=50 {
        // Two of five fail: bad, and less than half.
        let observed = trend.observe(n % 5 < 2, at(n));
        assert_eq!(observed, Observed::Learning { seen: n, needed: 50 });
    }
    assert!(matches!(trend.observe(false, at(51)), Observed::Steady { .. }));
}

#[test]
fn what_fails_from_its_first_run_on_is_told_and_not_learned() {
    let mut trend = Trend::new(Policy::default());
    let alert = (1..=3).find_map(|n| match trend.observe(true, at(n)) {
        Observed::Alert(alert) => Some((n, alert)),
        _ => None,
    });
    let (n, alert) = alert.unwrap();
    assert_eq!((n, alert.cause, alert.of, alert.bad), (3, Cause::BadFromTheStart, 3, 3));
    assert_eq!(alert.code(), "trend.bad_from_the_start");
    assert_eq!(trend.learned(), (0, 0));
    assert!(matches!(trend.observe(true, at(4)), Observed::Open { of: 1, bad: 1, .. }));
    // It is mended: then what is usual is learned.
    let recovered = (5..40).find(|n| matches!(trend.observe(false, at(*n)), Observed::Recovered(_)));
    assert!(recovered < Some(15), "{recovered:?}");
    assert!(matches!(trend.observe(false, at(50)), Observed::Learning { seen: 1, .. }));
    let anything = Policy::builder().bad_max(None).build().unwrap();
    let mut trend = Trend::new(anything);
    assert!((1..50).all(|n| matches!(trend.observe(true, at(n)), Observed::Learning { .. })));
}

#[test]
fn a_rise_is_told_once_until_it_is_over() {
    let mut trend = learned(1000, 50);
    let found = until_alert(&mut trend, |n| n % 3 == 0);
    assert!(found <= 30, "{found}");
    for n in 1..100 {
        assert!(matches!(trend.observe(n % 3 == 0, at(20_000 + n)), Observed::Open { .. }));
    }
    assert_eq!(trend.open_since(), Some(at(10_000 + found).wall));
    let over = (1..200).find_map(|n| match trend.observe(false, at(30_000 + n)) {
        Observed::Recovered(recovered) => Some((n, recovered)),
        _ => None,
    });
    let (n, recovered) = over.unwrap();
    assert!(n < 60 && recovered.of == 99 + n && recovered.bad == 33, "{n} {recovered:?}");
    assert_eq!((trend.open_since(), trend.learned().0), (None, 1000));
    // And found again.
    assert!(until_alert(&mut trend, |n| n % 3 == 0) <= 30);
}

#[test]
fn an_alert_says_what_was_compared_and_what_it_can_find() {
    let mut trend = learned(1000, 50);
    let mut alert = None;
    for n in 1..100 {
        if let Observed::Alert(found) = trend.observe(n % 2 == 0, at(20_000 + n)) {
            alert = Some(found);
            break;
        }
    }
    let alert = alert.unwrap();
    assert_eq!((alert.usual_of, alert.usual_bad), (1000, 20));
    assert!(alert.usual > 0.02 && alert.usual < 0.03 && alert.worse > 0.1 && alert.score >= alert.threshold);
    assert!(alert.bad >= 5 && alert.of < 15 && alert.since >= at(20_001).wall);
    let power = alert.power;
    assert!(power.all < power.thirty_percent && power.thirty_percent < power.ten_percent);
    assert!(power.thirty_percent < Some(25) && power.ten_percent < Some(180) && power.false_one_in == 1096);
    let text = alert.to_string();
    assert!(text.contains("usual is 20 of 1000 (at most 2.9 %)"), "{text}");
    assert!(text.contains("it finds 10 % after about "), "{text}");
}

#[test]
fn what_turned_out_to_be_chance_is_learned_and_what_was_alerted_is_not() {
    let mut trend = learned(60, 1000);
    assert_eq!(trend.learned(), (60, 1));
    assert!(matches!(trend.observe(true, at(61)), Observed::Steady { score, .. } if score > 0.0));
    assert_eq!(trend.learned(), (60, 1));
    for n in 62..90 {
        assert!(matches!(trend.observe(false, at(n)), Observed::Steady { .. }));
    }
    let (of, bad) = trend.learned();
    assert!(of > 62 && bad == 2, "{of} {bad}");
    until_alert(&mut trend, |_| true);
    assert_eq!(trend.learned(), (of, bad));
    trend.relearn();
    assert!(matches!(trend.observe(true, at(100)), Observed::Learning { seen: 1, .. }));
}

#[test]
fn learning_ends() {
    let trend = learned(5000, 1_000_000);
    assert_eq!(trend.learned(), (1000, 1));
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let mut trend = learned(100, 1000);
    assert!(matches!(trend.observe(true, at(50)), Observed::Steady { .. }));
    let mut alert = None;
    while alert.is_none() {
        if let Observed::Alert(found) = trend.observe(true, at(3)) {
            alert = Some(found);
        }
    }
    let alert = alert.unwrap();
    assert_eq!((alert.since, alert.at), (at(99).wall, at(99).wall));
}

#[test]
fn a_clock_that_was_years_ahead_is_not_believed() {
    let mut trend = learned(100, 1000);
    assert!(matches!(trend.observe(false, at(3_000_000_000)), Observed::Steady { .. }));
    let alert = (0..20).find_map(|n| match trend.observe(true, at(1000 + n)) {
        Observed::Alert(alert) => Some(alert),
        _ => None,
    });
    assert!(alert.unwrap().at < at(2000).wall);
}

#[test]
fn a_counter_at_its_maximum_stays_there() {
    let text = format!("{{\"v\":1,\"usual\":{{\"of\":{0},\"bad\":0}}}}", u64::MAX);
    let saved: Saved = serde_json::from_str(&text).unwrap();
    let mut trend = Trend::restore(Policy::builder().learn_max(1_000_000).build().unwrap(), &saved).unwrap();
    for n in 0..100 {
        assert!(matches!(trend.observe(false, at(n)), Observed::Steady { .. }));
    }
    assert_eq!(trend.learned(), (u64::MAX, 0));
    assert!(until_alert(&mut trend, |_| true) < 10);
}

#[test]
fn a_policy_out_of_its_range_says_which_field() {
    let field = |result: Result<Policy, Error>| match result {
        Err(Error::Field { field, allowed, .. }) => (field, allowed),
        other => panic!("{other:?}"),
    };
    let builder = Policy::builder;
    assert_eq!(field(builder().learn_min(9).build()).0, "learn_min");
    assert_eq!(field(builder().learn_max(20).build()), ("learn_max", "50 to 1000000".into()));
    for bad in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
        assert_eq!(field(builder().threshold(bad).build()).0, "threshold");
        assert_eq!(field(builder().recover(bad).build()).0, "recover");
        assert_eq!(field(builder().factor(bad).build()).0, "factor");
        assert_eq!(field(builder().add(bad).build()).0, "add");
        assert_eq!(field(builder().bad_max(bad).build()).0, "bad_max");
    }
    let read: Policy = serde_json::from_str("{\"threshold\":5}").unwrap();
    assert_eq!(read, builder().threshold(5.0).build().unwrap());
    assert!(serde_json::from_str::<Policy>("{\"treshold\":5}").unwrap_err().to_string().contains("treshold"));
    assert!(serde_json::from_str::<Policy>("{\"add\":5}").unwrap_err().to_string().contains("0.01 to 0.5"));
    let text = serde_json::to_string(&builder().build().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), Policy::default());
}

#[test]
fn a_duration_that_doubles_is_found_by_the_median() {
    let mut measure = Measure::new(Policy::default());
    let value = |n: u64| 1.0 + (n * 37 % 100) as f64 / 100.0;
    for n in 0..500 {
        assert_eq!(measure.observe(value(n), at(n)).alert(), None, "{n}");
    }
    let limits = measure.limits().unwrap();
    assert!(
        (limits.median / 1.65 - 1.0).abs() < 0.05 && (limits.p95 / 2.14 - 1.0).abs() < 0.05,
        "{limits:?}"
    );
    let found = (1..100).find(|n| measure.observe(2.0 * value(*n), at(1000 + n)).alert().is_some());
    assert!(found < Some(20), "{found:?}");
}

#[test]
fn a_few_that_are_much_slower_are_found_by_the_tail() {
    let mut measure = Measure::new(Policy::default());
    let value = |n: u64| 1.0 + (n * 37 % 100) as f64 / 100.0;
    for n in 0..1000 {
        assert_eq!(measure.observe(value(n), at(n)).alert(), None, "{n}");
    }
    let found = (1..400).find(|n| {
        let slow = if n % 3 == 0 { 30.0 } else { 1.0 };
        let measured = measure.observe(slow * value(*n), at(1000 + n));
        matches!(measured, Measured::Judged { tail: Observed::Alert(_), .. })
    });
    assert!(found < Some(60), "{found:?}");
}

#[test]
fn equal_durations_are_not_told_for_a_few_percent() {
    let mut measure = Measure::new(Policy::default());
    for n in 0..2000 {
        let value = if n < 1000 { 1.0 } else { 1.08 };
        assert_eq!(measure.observe(value, at(n)).alert(), None, "{n}");
    }
    assert!((0..20).any(|n| measure.observe(1.3, at(3000 + n)).alert().is_some()));
}

#[test]
fn what_is_no_number_is_answered_and_not_counted() {
    let mut measure = Measure::new(Policy::default());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5] {
        let measured = measure.observe(bad, at(0));
        assert!(matches!(measured, Measured::Ignored { .. }) && measured.code() == "trend.no_number");
    }
    assert_eq!(measure.learned(), 0);
    for n in 0..200 {
        let _measured = measure.observe(if n % 2 == 0 { 0.0 } else { f64::MAX }, at(n));
    }
    assert_eq!(measure.quantile(0.5), Some(0.0));
}

#[test]
fn what_was_saved_and_changed_is_refused_by_its_field() {
    let trend = learned(100, 50);
    let text = serde_json::to_string(&trend.save()).unwrap();
    let field = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        let saved: Saved = serde_json::from_str(&text.replace(from, to)).unwrap();
        Trend::restore(Policy::default(), &saved).unwrap_err().to_string()
    };
    assert!(field("\"bad\":2", "\"bad\":200").starts_with("usual is 200 of "));
    assert!(field("\"v\":1", "\"v\":1,\"score\":-1").starts_with("score is -1"));
    assert_eq!(field("\"v\":1", "\"v\":7"), "it has version 7, known is 1");
    for cut in 0..text.len() {
        assert!(serde_json::from_str::<Saved>(&text[..cut]).is_err());
    }
}

proptest! {
    #[test]
    fn a_restart_changes_nothing(
        bad in prop::collection::vec(prop::bool::weighted(0.2), 1..400), cut in any::<prop::sample::Index>(),
    ) {
        let mut one = Trend::new(Policy::default());
        let mut other = one.clone();
        let cut = cut.index(bad.len());
        for (n, bad) in bad.iter().enumerate() {
            if n == cut {
                let text = serde_json::to_string(&other.save()).unwrap();
                other = Trend::restore(Policy::default(), &serde_json::from_str(&text).unwrap()).unwrap();
            }
            prop_assert_eq!(one.observe(*bad, at(n as u64)), other.observe(*bad, at(n as u64)));
        }
    }

    #[test]
    fn a_restart_changes_no_measure(
        values in prop::collection::vec(0.0f64..10.0, 1..300), cut in any::<prop::sample::Index>(),
    ) {
        let mut one = Measure::new(Policy::default());
        let mut other = one.clone();
        let cut = cut.index(values.len());
        for (n, value) in values.iter().enumerate() {
            if n == cut {
                let text = serde_json::to_string(&other.save()).unwrap();
                let saved: SavedMeasure = serde_json::from_str(&text).unwrap();
                other = Measure::restore(Policy::default(), &saved).unwrap();
            }
            let found = one.observe(*value, at(n as u64));
            prop_assert!(!found.to_string().is_empty() && !found.code().is_empty());
            prop_assert_eq!(found, other.observe(*value, at(n as u64)));
        }
        prop_assert!(serde_json::to_string(&other.save()).unwrap().len() < 16 * 1024);
    }

    #[test]
    fn alerts_and_recoveries_take_turns(bad in prop::collection::vec(any::<bool>(), 1..2000)) {
        let mut trend = learned(200, 100);
        let mut open = false;
        for (n, bad) in bad.into_iter().enumerate() {
            match trend.observe(bad, at(1000 + n as u64)) {
                Observed::Alert(alert) => {
                    prop_assert!(!open && alert.bad <= alert.of && alert.since <= alert.at);
                    open = true;
                }
                Observed::Recovered(_) => {
                    prop_assert!(open);
                    open = false;
                }
                Observed::Open { .. } => prop_assert!(open),
                Observed::Steady { score, threshold } => prop_assert!(!open && score < threshold),
                Observed::Learning { .. } => prop_assert!(false),
            }
        }
    }
}

#[test]
fn a_measure_of_the_greatest_numbers_is_read_again() {
    let mut measure = Measure::new(Policy::default());
    for _ in 0..60 {
        let _taken = measure.observe(f64::MAX, at(0));
    }
    let text = serde_json::to_string(&measure.save()).unwrap();
    let saved = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(Measure::restore(Policy::default(), &saved).is_ok());
}
