//! Units of work.

use super::*;
use crate::base::explain::Explain;
use crate::decide::baseline::{KINDS_MAX, Odd, SavedUnits, Units};

fn unit(units: &mut Units, steps: &[&str]) -> Vec<(String, Odd)> {
    let mut unit = units.begin();
    steps.iter().for_each(|step| unit.observe(step));
    units.end(&unit).odd.into_iter().map(|odd| (odd.kind.name, odd.what)).collect()
}

fn learned() -> Units {
    let mut units = Units::new(Policy::new().rare_rate(0.05), 7).unwrap();
    for n in 0..130 {
        let steps: &[&str] =
            if n % 4 == 0 { &["read", "send", "send", "retry"] } else { &["read", "send", "send"] };
        assert!(unit(&mut units, steps).is_empty(), "{n}");
    }
    units
}

#[test]
fn a_missing_and_a_repeated_step_are_found() {
    let mut units = learned();
    let odd = |found: &[(&str, Odd)]| {
        found.iter().map(|(name, what)| ((*name).to_owned(), *what)).collect::<Vec<_>>()
    };
    assert_eq!(unit(&mut units, &["read", "send", "send"]), []);
    assert_eq!(unit(&mut units, &["read", "send", "send", "retry"]), []);
    assert_eq!(unit(&mut units, &["send", "send"]), odd(&[("read", Odd::Missing)]));
    assert_eq!(unit(&mut units, &["read", "send", "send", "send"]), odd(&[("send", Odd::Repeated)]));
    assert_eq!(unit(&mut units, &["read", "send"]), odd(&[("send", Odd::Fewer)]));
    assert_eq!(unit(&mut units, &["read", "send", "send", "panic"]), odd(&[("panic", Odd::Unusual)]));
    assert_eq!(unit(&mut units, &[]), odd(&[("read", Odd::Missing), ("send", Odd::Missing)]));
}

#[test]
fn nothing_is_odd_before_there_is_evidence() {
    let mut units = Units::new(Policy::new().rare_rate(0.05), 7).unwrap();
    for n in 0..125 {
        assert!(
            unit(&mut units, &["read"]).is_empty() && unit(&mut units, &[&format!("other {n}")]).is_empty()
        );
        if units.units() >= 124 {
            break;
        }
    }
    let mut odd = units.begin();
    (0..300).for_each(|_| odd.observe("read"));
    let judged = units.end(&odd);
    assert_eq!((judged.units, judged.needed, judged.odd.len()), (125, 126, 0));
}

#[test]
fn many_times_are_as_many_as_eight() {
    let mut units = Units::new(Policy::new().rare_rate(0.05), 7).unwrap();
    for n in 0..200 {
        let mut unit = units.begin();
        (0..8 + n * 13 % 90).for_each(|_| unit.observe("row"));
        assert!(units.end(&unit).odd.is_empty());
    }
    let mut few = units.begin();
    (0..5).for_each(|_| few.observe("row"));
    let judged = units.end(&few);
    assert_eq!(judged.odd[0].code(), "baseline.step_fewer");
    assert_eq!(
        judged.odd[0].to_string(),
        "`row` occurred 5 times, and it usually occurs 8 times: that was never seen in 200 units, so at most 1.5 % of \
         them are so"
    );
}

#[test]
fn units_are_bounded_saved_and_restored() {
    let mut units = learned();
    let mut wide = units.begin();
    (0..KINDS_MAX + 500).for_each(|n| wide.observe(format!("kind {n}")));
    let judged = units.end(&wide);
    assert!(judged.left_out >= 500, "{}", judged.left_out);
    let saved = units.save();
    let text = serde_json::to_string(&saved).unwrap();
    let read: SavedUnits = serde_json::from_str(&text).unwrap();
    let mut other = Units::restore(Policy::new().rare_rate(0.05), read).unwrap();
    assert_eq!(other.save(), saved);
    assert_eq!(unit(&mut units, &["send"]), unit(&mut other, &["send"]));
    let broken = text.replacen("\"v\":1", "\"v\":9", 1);
    assert!(Units::restore(Policy::new(), serde_json::from_str(&broken).unwrap()).is_err());
}

#[test]
fn units_decay() {
    let mut units = Units::new(Policy::new().rare_rate(0.05).epoch_events(Some(200)), 7).unwrap();
    for _ in 0..200 {
        unit(&mut units, &["old way"]);
    }
    assert_eq!(units.units(), 100);
    for _ in 0..2000 {
        unit(&mut units, &["new way"]);
    }
    let found = unit(&mut units, &["old way"]);
    assert!(found.contains(&("old way".to_owned(), Odd::Unusual)), "{found:?}");
}
