//! What is saved between processes, and policies as JSON.

use super::*;

#[test]
fn three_failures_in_a_row_are_three_across_three_processes() {
    let policy = Policy::cron();
    let mut machine = machine(policy);
    for run in 0..2 {
        assert_eq!(one(&mut machine, FAILURE, at(run * 900)).as_str(), "none");
        let json = serde_json::to_string(&machine.snapshot("youtube", at(run * 900))).unwrap();
        let snapshot: Snapshot = serde_json::from_str(&json).unwrap();
        // The next process has its own monotonic clock.
        let now = Now { moment: Moment::from_nanos(5), wall: at((run + 1) * 900).wall };
        let (restored, notes) = Machine::restore(policy, &snapshot, run, now).unwrap();
        assert_eq!(notes, Restored::default());
        machine = restored;
    }
    let now = Now { moment: Moment::from_nanos(6), wall: at(1800).wall };
    assert_eq!(one(&mut machine, FAILURE, now).as_str(), "trip");
}

#[test]
fn an_open_interval_is_clamped_when_the_clock_went_back() {
    let snapshot = tripped(plain()).snapshot("x", at(10));
    let (mut machine, notes) = Machine::restore(plain(), &snapshot, 1, at(40)).unwrap();
    assert_eq!((refused(machine.admit(at(40))).1, notes.reasons.len()), (at(100).wall, 0));
    // An hour back: it is as if it had just been opened.
    let back = Now { moment: at(5).moment, wall: at(0).wall - chrono::TimeDelta::hours(1) };
    let (mut machine, notes) = Machine::restore(plain(), &snapshot, 1, back).unwrap();
    assert!(notes.reasons.contains(&Restoring::ClockSteppedBack { by: secs(3600) }));
    assert!(
        matches!(refused(machine.admit(back)).0, Refusing::Open { remaining, .. } if remaining == secs(100))
    );
    // A year on: it is over.
    let (mut machine, _) = Machine::restore(plain(), &snapshot, 1, at(31_536_000)).unwrap();
    let _probe = permit(machine.admit(at(31_536_000)));
}

#[test]
fn a_block_survives_and_is_clamped_too() {
    let mut saved = machine(plain());
    saved.block(secs(60), at(0));
    let snapshot = saved.snapshot("x", at(0));
    let (mut restored, _) = Machine::restore(plain(), &snapshot, 1, at(30)).unwrap();
    assert_eq!(refused(restored.admit(at(30))).1, at(60).wall);
    let back = Now { moment: at(0).moment, wall: at(0).wall - chrono::TimeDelta::hours(1) };
    let (mut restored, notes) = Machine::restore(plain(), &snapshot, 1, back).unwrap();
    assert_eq!(refused(restored.admit(back)).0, Refusing::Blocked { remaining: secs(60) });
    assert_eq!(notes.reasons, [Restoring::ClockSteppedBack { by: secs(3600) }]);
}

#[test]
fn a_changed_policy_keeps_the_state_and_drops_the_counts() {
    let mut old = machine(plain());
    assert_eq!(story(&mut old, "xx", at(0)), "none");
    let (mut new, notes) = Machine::restore(plain().probes(2), &old.snapshot("x", at(0)), 1, at(1)).unwrap();
    assert_eq!(notes.reasons, [Restoring::ConfigurationChanged]);
    assert_eq!(story(&mut new, "xx", at(1)), "none");
    let snapshot = tripped(plain()).snapshot("x", at(0));
    let (new, _) = Machine::restore(plain().probes(2), &snapshot, 1, at(1)).unwrap();
    assert_eq!((new.standing(), new.generation()), (Standing::Open, 1));
}

#[test]
fn a_lease_that_ended_while_the_process_was_gone_has_failed() {
    let mut dying = tripped(plain());
    let _probe = permit(dying.admit(at(100)));
    let snapshot = dying.snapshot("x", at(101));
    let (mut next, _) = Machine::restore(plain(), &snapshot, 1, at(200)).unwrap();
    let (why, retry_at) = refused(next.admit(at(200)));
    assert!(matches!(why, Refusing::Open { cause: Cause::LeaseExpired { .. }, .. }));
    assert_eq!(retry_at, at(350).wall);
}

#[test]
fn the_first_format_of_a_snapshot_still_opens() {
    let golden = include_str!("../../../../tests/golden/breaker_v1.json");
    let snapshot: Snapshot = serde_json::from_str(golden).unwrap();
    let (breaker, notes) = Breaker::restore(Policy::cron(), &snapshot, 1, at(10)).unwrap();
    assert_eq!((breaker.name(), breaker.standing(), breaker.generation()), ("youtube", Standing::Open, 7));
    assert_eq!(notes, Restored::default(), "the hash of the cron policy is what it was");
    assert_eq!(serde_json::to_string(&breaker.snapshot(at(10))).unwrap(), golden.trim());
}

#[test]
fn a_snapshot_of_a_newer_program_or_one_that_is_torn_is_an_error() {
    let snapshot = tripped(plain()).snapshot("x", at(0));
    let json = serde_json::to_string(&snapshot).unwrap();
    let newer: Snapshot = serde_json::from_str(&json.replace("\"v\":1", "\"v\":9")).unwrap();
    let error = Machine::restore(plain(), &newer, 1, at(0)).unwrap_err();
    assert_eq!(error, Error::Version { found: 9, known: 1 });
    let torn: Snapshot =
        serde_json::from_str(&json.replace("\"state\":\"open\"", "\"state\":\"half_open\"")).unwrap();
    assert!(matches!(Machine::restore(plain(), &torn, 1, at(0)), Err(Error::Torn { .. })));
}

#[test]
fn a_policy_reads_as_json_and_a_wrong_one_names_the_field() {
    let json = r#"{"consecutive":3,"rate":{"percent":50,"calls":10,"min":5},"time_rate":{"percent":50,"window_ms":60000,"min":10},
        "open_ms":300000,"open_factor":2,"open_max_ms":600000,"open_jitter":0,"probes":1,"successes":1,"lease_ms":1000}"#;
    let policy: Policy = serde_json::from_str(json).unwrap();
    let expected = Policy::never()
        .consecutive(3)
        .rate(Rate { percent: 50, calls: 10, min: 5, within: None })
        .time_rate(TimeRate { percent: 50, window: secs(60), min: 10 })
        .open(secs(300))
        .open_max(secs(600))
        .healthy(secs(600))
        .lease(secs(1));
    assert_eq!(policy, expected);
    for policy in [Policy::cron(), Policy::service(), expected] {
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy, "{json}");
    }
    assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::never());
    for (json, field) in [
        (r#"{"consecutive":0}"#, "consecutive is 0, allowed is 1 to"),
        (r#"{"rate":{"percent":101,"calls":10}}"#, "rate.percent is 101, allowed is 1 to 100"),
        (r#"{"rate":{"percent":50,"calls":10,"min":11}}"#, "rate.min is 11, allowed is 1 to 10"),
        (r#"{"open_ms":10,"open_max_ms":9}"#, "open_max is 9ms, allowed is at least 10ms"),
        (r#"{"probes":65}"#, "probes is 65"),
        (r#"{"lease_ms":0}"#, "lease is 0ns"),
        (r#"{"trip":3}"#, "unknown field `trip`"),
    ] {
        let error = serde_json::from_str::<Policy>(json).unwrap_err().to_string();
        assert!(error.contains(field), "{error} does not say {field}");
    }
}
