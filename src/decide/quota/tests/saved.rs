//! What is saved between processes.

use super::*;

#[test]
fn what_is_used_is_used_in_the_next_process_too() {
    let meter = Meter::new(plain(), at(0));
    let _why = allowed(meter.admit_n(3, at(0)));
    let json = serde_json::to_string(&meter.snapshot("youtube", at(0))).unwrap();
    let saved: Snapshot = serde_json::from_str(&json).unwrap();
    assert_eq!((saved.key(), saved.full_at(), saved.used()), ("youtube", Some(at(3).wall), None));
    // The next process has its own monotonic clock.
    let now = Now { moment: Moment::from_nanos(5), wall: at(1).wall };
    let (next, noticed) = Meter::restore(plain(), &saved, now).unwrap();
    assert_eq!(noticed, Restored::default());
    let _why = allowed(next.admit(now));
    assert_eq!(refused(next.admit(now)).1, secs(1));
}

#[test]
fn what_is_owed_is_clamped_when_the_clock_went_back() {
    let meter = Meter::new(plain(), at(0));
    let _why = allowed(meter.admit_n(2, at(0)));
    let (restored, noticed) =
        Meter::restore(plain(), &meter.snapshot("x", at(0)), back(at(0), 3600)).unwrap();
    assert_eq!(noticed.reasons, [Restoring::ClockSteppedBack { by: secs(3600) }]);
    let _why = allowed(restored.admit(at(0)));
    assert_eq!(refused(restored.admit(at(0))).1, secs(1));
}

#[test]
fn a_changed_limit_keeps_what_is_owed_up_to_the_new_burst_and_says_so() {
    let meter = Meter::new(Quota::per_minute(60).unwrap(), at(0));
    let _why = allowed(meter.admit_n(30, at(0)));
    let saved = meter.snapshot("x", at(0));
    // 30 are owed: of 40 at 6 a minute 10 are left, of 10 none.
    for (burst, left) in [(40, 10), (10, 0)] {
        let slower = Quota::per_minute(6).unwrap().burst(burst).unwrap();
        let (restored, noticed) = Meter::restore(slower, &saved, at(0)).unwrap();
        assert_eq!(noticed.reasons, [Restoring::ConfigurationChanged]);
        let admitted = (0..100).take_while(|_| matches!(restored.admit(at(0)), Admit::Allow { .. })).count();
        assert_eq!(admitted, left);
    }
    let (restored, noticed) = Meter::restore(midnight(40), &saved, at(0)).unwrap();
    assert_eq!((noticed.reasons.len(), restored.snapshot("x", at(0)).used()), (1, Some(30)));
}

#[test]
fn a_changed_calendar_keeps_what_is_used_until_its_next_reset() {
    let meter = Meter::new(midnight(10), at(0));
    let _why = allowed(meter.admit_n(8, at(0)));
    let saved = meter.snapshot("x", at(0));
    let later = Calendar::new(5, NaiveTime::from_hms_opt(20, 0, 0).unwrap(), Zone::Utc).unwrap();
    let (restored, noticed) = Meter::restore(later, &saved, at(0)).unwrap();
    assert_eq!(noticed.reasons, [Restoring::ConfigurationChanged]);
    assert_eq!(refused(restored.admit(at(0))).2, later.next_reset(at(0).wall));
    let tomorrow = at(86_400);
    let (restored, _) = Meter::restore(later, &saved, tomorrow).unwrap();
    assert_eq!(restored.snapshot("x", tomorrow).used(), Some(0), "the old reset is past");
    let (rate, _) = Meter::restore(Quota::per_day(10).unwrap(), &saved, at(0)).unwrap();
    let _why = allowed(rate.admit_n(2, at(0)));
    let _why = refused(rate.admit(at(0)));
    // The next day it is over.
    let (restored, _) = Meter::restore(midnight(10), &saved, at(86_400)).unwrap();
    assert_eq!(restored.snapshot("x", at(86_400)).used(), Some(0));
}

#[test]
fn a_snapshot_that_is_adopted_never_forgets_what_is_used_here() {
    let (here, there) = (Meter::new(plain(), at(0)), Meter::new(plain(), at(0)));
    let _why = allowed(here.admit_n(3, at(0)));
    assert_eq!(here.adopt(&there.snapshot("x", at(0)), at(0)).unwrap(), Restored::default());
    let _why = refused(here.admit(at(0)));
    let _restored = there.adopt(&here.snapshot("x", at(0)), at(0)).unwrap();
    let _why = refused(there.admit(at(0)));
    let (here, there) = (Meter::new(midnight(3), at(0)), Meter::new(midnight(3), at(0)));
    let _why = allowed(here.admit_n(2, at(0)));
    let _restored = there.adopt(&here.snapshot("x", at(0)), at(0)).unwrap();
    assert_eq!(there.snapshot("x", at(0)).used(), Some(2));
    let _restored = there.adopt(&Meter::new(midnight(3), at(0)).snapshot("x", at(0)), at(0)).unwrap();
    assert_eq!(there.snapshot("x", at(0)).used(), Some(2));
}

#[test]
fn the_first_format_of_a_snapshot_still_opens() {
    let golden = include_str!("../../../../tests/golden/quota_v1.json");
    let calendar = Calendar::new(100, NaiveTime::MIN, "+02:00".parse().unwrap()).unwrap();
    let limits = [Limit::Rate(plain()), Limit::Calendar(calendar)];
    let saved: Vec<Snapshot> = serde_json::from_str(golden).unwrap();
    let mut again = Vec::new();
    for (limit, saved) in limits.into_iter().zip(saved) {
        let (meter, noticed) = Meter::restore(limit, &saved, at(0)).unwrap();
        assert_eq!(noticed, Restored::default());
        again.push(meter.snapshot(saved.key(), at(0)));
    }
    assert_eq!(serde_json::to_string_pretty(&again).unwrap(), golden.trim());
}

#[test]
fn a_snapshot_of_a_newer_program_or_one_that_says_nothing_is_an_error() {
    let json = serde_json::to_string(&Meter::new(plain(), at(0)).snapshot("x", at(0))).unwrap();
    let newer: Snapshot = serde_json::from_str(&json.replace("\"v\":1", "\"v\":9")).unwrap();
    assert_eq!(Meter::restore(plain(), &newer, at(0)).unwrap_err(), Error::Version { found: 9, known: 1 });
    let torn: Snapshot = serde_json::from_str(r#"{"v":1,"key":"x"}"#).unwrap();
    assert!(matches!(Meter::restore(plain(), &torn, at(0)), Err(Error::Torn { .. })));
    assert!(matches!(torn.take_block(&plain().into(), 1, at(0)), Err(Error::Torn { .. })));
}
