//! What is saved, and what becomes of it when clocks step or somebody has changed it.

use super::{NANO, SECOND, is_escalation, seconds, start, window};
use crate::base::time::{Moment, Now};
use crate::decide::restart::{Decision, Error, Exit, Policy, Saved, Start, State};

fn again(state: &State, now: Now) -> Saved {
    let text = serde_json::to_string(&state.saved(now)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Another process, whose monotonic clock has just begun.
fn elsewhere(now: Now) -> Now {
    Now { moment: Moment::from_nanos(3), wall: now.wall }
}

#[test]
fn the_window_survives_the_supervisor() {
    let policy = window(3, seconds(300));
    let mut first = State::new(policy, 7).unwrap();
    let now = start();
    drop(first.on_exit(now, Exit::code(1)));
    drop(first.on_exit(now.after(seconds(100)), Exit::code(1)));
    let saved = again(&first, now.after(seconds(100)));
    for (after, escalates) in [(seconds(300), true), (seconds(300) + NANO, false)] {
        let then = elsewhere(now.after(after));
        let mut second = State::restored(policy, saved.clone(), then).unwrap();
        assert_eq!(is_escalation(&second.on_exit(then, Exit::code(1))), escalates, "{after:?}");
    }
}

#[test]
fn an_escalation_and_a_delay_survive_the_supervisor() {
    let policy = Policy::new();
    let mut first = State::new(policy, 7).unwrap();
    let Decision::Restart { at, .. } = first.on_exit(start(), Exit::code(1)) else { panic!() };
    let left = at.since(start().moment);
    let then = elsewhere(start().after(left / 2));
    let mut second = State::restored(policy, again(&first, start()), then).unwrap();
    let Start::At { why, .. } = second.begin(then) else { panic!() };
    assert!(why.left.abs_diff(left / 2) <= NANO, "{:?} of {left:?}", why.left);
    assert_eq!(second.begin(then.after(left)), Start::Now);

    let policy = window(1, seconds(300));
    let mut first = State::new(policy, 7).unwrap();
    assert!(is_escalation(&first.on_exit(start(), Exit::code(1))));
    let then = elsewhere(start().after(seconds(299)));
    let mut second = State::restored(policy, again(&first, start()), then).unwrap();
    assert!(matches!(second.begin(then), Start::Escalated { .. }));
    assert_eq!(second.begin(then.after(seconds(2))), Start::Now);
}

#[test]
fn a_clock_that_stepped_back_lets_no_time_pass() {
    let policy = window(2, seconds(300));
    for back in [1, 3600, 400 * 86_400] {
        let mut first = State::new(policy, 7).unwrap();
        drop(first.on_exit(start(), Exit::code(1)));
        let saved = again(&first, start());
        let then = elsewhere(Now { wall: start().wall - chrono::TimeDelta::seconds(back), ..start() });
        let mut second = State::restored(policy, saved, then).unwrap();
        assert_eq!(second.failures(then), 1, "{back}");
        assert_eq!(second.failures(then.after(seconds(301))), 0, "from then on time goes by this clock");
        assert!(is_escalation(&second.on_exit(then.after(SECOND), Exit::code(1))));
    }
}

#[test]
fn a_state_that_was_changed_is_an_error_and_never_a_default() {
    let policy = window(3, seconds(300));
    let mut state = State::new(policy, 7).unwrap();
    drop(state.on_exit(start(), Exit::code(1).stderr_tail("lost")));
    let value = serde_json::to_value(state.saved(start())).unwrap();
    let restore = |field: &str, to: serde_json::Value| {
        let mut value = value.clone();
        value[field] = to;
        serde_json::from_value(value)
            .map_err(|error| error.to_string())
            .map(|saved| State::restored(policy, saved, start()))
    };
    assert_eq!(restore("v", 2.into()).unwrap().unwrap_err(), Error::Version { found: 2, known: 1 });
    for (field, to) in [
        ("failures_ns", serde_json::json!([1, 2, 3])),
        ("failures_ns", vec![1; 1001].into()),
        ("exits", vec![value["exits"][0].clone(); 17].into()),
    ] {
        let Err(Error::Field { field: named, .. }) = restore(field, to).unwrap() else { panic!("{field}") };
        assert_eq!(named, field);
    }
    let mut long = value["exits"].clone();
    long[0]["tail"] = "x".repeat(1025).into();
    assert!(matches!(restore("exits", long).unwrap(), Err(Error::Field { field: "tail", .. })));
    assert!(restore("failures_ns", serde_json::json!(["x"])).is_err());
    // Times that no clock can have said make no delay longer than the policy has.
    let mut far = restore("pending_ns", u64::MAX.into()).unwrap().unwrap();
    assert!(matches!(far.begin(start()), Start::Now | Start::At { .. }));
    assert_eq!(far.begin(start().after(seconds(61))), Start::Now);
}

#[test]
fn a_lower_limit_goes_on_with_the_newest_failures() {
    let mut state = State::new(window(10, seconds(300)), 7).unwrap();
    for second in 0..8 {
        drop(state.on_exit(start().after(seconds(second)), Exit::code(1)));
    }
    let then = start().after(seconds(8));
    let lower = State::restored(window(3, seconds(300)), again(&state, then), then).unwrap();
    assert_eq!(lower.failures(then), 3);
    assert_eq!(lower.failures(then.after(seconds(298))), 2, "those of the seconds 6 and 7");
}

#[test]
fn the_largest_state_fits_into_a_record() {
    let mut state = State::new(window(1000, seconds(86_400)), u64::MAX).unwrap();
    for second in 0..1000 {
        let exit = Exit::code(i32::MIN).stderr_tail("\"".repeat(5000)).fingerprinted("\\".repeat(500));
        drop(state.on_exit(start().after(seconds(second * 60)), exit));
    }
    let text = serde_json::to_string(&state.saved(start().after(seconds(86_000)))).unwrap();
    assert!(text.len() <= 64 * 1024, "{}", text.len());
}

#[test]
fn the_first_format_is_still_read() {
    let golden = include_str!("../../../../tests/golden/restart_v1.json");
    let saved: Saved = serde_json::from_str(golden).unwrap();
    assert_eq!(serde_json::to_string(&saved).unwrap(), golden.trim());
    let now = Now { moment: Moment::ZERO, wall: saved.saved_at() };
    let mut state = State::restored(Policy::new().failures_max(3, seconds(300)), saved.clone(), now).unwrap();
    assert_eq!(state.saved(now), saved);
    assert_eq!((state.failures(now), state.evidence().exits.len()), (2, 3));
    assert!(matches!(state.begin(now), Start::At { .. }));
    assert!(is_escalation(&state.on_exit(now, Exit::code(1))));
}
