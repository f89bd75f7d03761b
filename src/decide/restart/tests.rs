//! The rules, one by one, and random lives.

mod lives;
mod saved;

use std::time::Duration;

use crate::base::backoff::{Backoff, Jitter};
use crate::base::explain::Explain;
use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::restart::{
    Class, Decision, Error, Escalating, Exit, How, Pattern, Policy, Recycling, Restart, Restarting, Start,
    State, Stopping, TAIL_MAX,
};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn start() -> Now {
    Now { moment: Moment::from_nanos(7), wall: Timestamp::UNIX_EPOCH + chrono::TimeDelta::days(20_000) }
}

fn state(policy: Policy) -> State {
    State::new(policy, 7).unwrap()
}

/// No delays and no early alarm: the window alone.
fn window(failures: u32, within: Duration) -> Policy {
    Policy::new().failures_max(failures, within).backoff(Backoff::zero()).same_unlimited()
}

fn no_jitter() -> Policy {
    Policy::new().backoff(Backoff::new(SECOND, seconds(60)).jitter(Jitter::None)).same_unlimited()
}

/// Starts it at `now` and ends it after `up`.
fn run(state: &mut State, now: Now, up: Duration, exit: Exit) -> Decision {
    state.started(now);
    state.on_exit(now.after(up), exit)
}

fn delay(decision: &Decision) -> Duration {
    match decision {
        Decision::Restart { why, .. } => why.delay(),
        other => panic!("{other:?}"),
    }
}

fn is_escalation(decision: &Decision) -> bool {
    matches!(decision, Decision::Escalate { .. })
}

#[test]
fn three_failures_in_300_s_escalate_exactly_then() {
    let mut state = state(window(3, seconds(300)));
    let now = start();
    assert!(!is_escalation(&state.on_exit(now, Exit::code(1))));
    assert!(!is_escalation(&state.on_exit(now.after(seconds(150)), Exit::code(1))));
    let third = state.on_exit(now.after(seconds(300)), Exit::code(1));
    let Decision::Escalate { evidence, why } = third else { panic!("{third:?}") };
    assert_eq!(why, Escalating::WindowFull { failures: 3, limit: 3, window_ms: 300_000 });
    assert_eq!(
        (why.code(), &*why.to_string()),
        ("restart.window_full", "3 failures within 5m, 3 are too many")
    );
    assert_eq!((evidence.exits.len(), evidence.failures_total), (3, 3));
    assert_eq!(evidence.last().unwrap() - evidence.first().unwrap(), chrono::TimeDelta::seconds(300));
}

#[test]
fn a_failure_older_than_the_window_does_not_count() {
    let mut state = state(window(3, seconds(300)));
    let now = start();
    drop(state.on_exit(now, Exit::code(1)));
    drop(state.on_exit(now.after(seconds(150)), Exit::code(1)));
    let late = now.after(seconds(300) + NANO);
    let third = state.on_exit(late, Exit::code(1));
    assert!(matches!(third, Decision::Restart { why: Restarting::Failed { failures: 2, limit: 3, .. }, .. }));
    assert_eq!(state.failures(late), 2);
    assert!(is_escalation(&state.on_exit(late.after(SECOND), Exit::code(1))), "the window slides");
}

#[test]
fn what_is_no_failure_is_not_counted() {
    let mut state = state(window(2, seconds(600)).restart(Restart::Always));
    let now = start();
    drop(state.on_exit(now, Exit::code(1)));
    for _ in 0..20 {
        let clean = state.on_exit(now, Exit::code(0));
        assert!(matches!(clean, Decision::Restart { why: Restarting::Clean { .. }, .. }), "{clean:?}");
        let recycled = state.on_exit(now, Exit::recycled());
        assert!(
            matches!(recycled, Decision::Restart { why: Restarting::Recycled { .. }, .. }),
            "{recycled:?}"
        );
    }
    assert_eq!(state.failures(now), 1);
    assert!(is_escalation(&state.on_exit(now, Exit::signal(11))));
}

#[test]
fn a_permanent_exit_is_not_restarted() {
    for code in [64, 65, 77, 78] {
        let stopped = state(Policy::new().restart(Restart::Always)).on_exit(start(), Exit::code(code));
        let why = Stopping::Permanent { how: How::Code(code) };
        assert_eq!((&stopped, stopped.code()), (&Decision::Stop { why }, "restart.permanent"));
    }
    for code in [1, 2, 66, 69, 70, 75, 126, 127, 255, -1, 334, i32::MIN] {
        let restarted = state(Policy::new()).on_exit(start(), Exit::code(code));
        assert!(matches!(restarted, Decision::Restart { .. }), "{code}: {restarted:?}");
    }
    let mut own = state(Policy::new().permanent(&[2]));
    assert!(matches!(own.on_exit(start(), Exit::code(78)), Decision::Restart { .. }));
    assert!(matches!(own.on_exit(start(), Exit::code(2)), Decision::Stop { .. }));
    assert_eq!(own.evidence().exits.last().unwrap().class, Class::Permanent);
}

#[test]
fn a_clean_exit_ends_it_well_unless_it_is_to_run_always() {
    let well = Decision::Stop { why: Stopping::Well { how: How::Code(0) } };
    assert_eq!(state(Policy::new()).on_exit(start(), Exit::code(0)), well);
    assert_eq!(state(Policy::new().restart(Restart::Never)).on_exit(start(), Exit::code(0)), well);
    let again = state(Policy::new().restart(Restart::Always)).on_exit(start(), Exit::code(0));
    assert_eq!(delay(&again), SECOND, "what ends at once does not spin");
    let never = state(Policy::new().restart(Restart::Never)).on_exit(start(), Exit::signal(9));
    assert_eq!(never, Decision::Stop { why: Stopping::Never { how: How::Signal(9) } });
    let other = state(Policy::new().success(&[0, 143])).on_exit(start(), Exit::code(143));
    assert_eq!(other, Decision::Stop { why: Stopping::Well { how: How::Code(143) } });
}

#[test]
fn the_delays_grow_and_begin_anew_only_after_a_stable_uptime() {
    let mut state = state(no_jitter().failures_max(1000, seconds(86_400)));
    let mut now = start();
    let mut fail = |up: Duration| {
        now = now.after(seconds(100));
        let decision = run(&mut state, now, up, Exit::code(1));
        now = now.after(up);
        delay(&decision).as_secs()
    };
    let grown: Vec<u64> = (0..8).map(|_| fail(SECOND)).collect();
    assert_eq!(grown, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(fail(seconds(120) - NANO), 60, "twice the last delay is more than 60 s");
    assert_eq!(fail(seconds(120)), 1);
    assert_eq!(fail(seconds(60) - NANO), 2);
    assert_eq!(fail(seconds(60)), 1);
}

#[test]
fn the_same_error_right_after_each_start_is_told_early() {
    let mut state = state(Policy::new());
    let now = start();
    for number in 0..2 {
        let exit = Exit::code(1).stderr_tail(format!("at 10:3{number}: no route to 10.0.0.{number}\n"));
        assert!(!is_escalation(&run(&mut state, now, seconds(2), exit)), "{number}");
    }
    let exit = Exit::code(1).stderr_tail("at 10:39: no route to 10.0.0.77");
    let third = run(&mut state, now, seconds(1), exit);
    let Decision::Escalate { evidence, why } = third else { panic!("{third:?}") };
    assert_eq!(why, Escalating::SameError { times: 3, limit: 3, quick_ms: 2000 });
    assert_eq!(
        evidence.to_string(),
        "the same error 3 times in a row (exit code 1: at # no route to #), each within 2s after its start"
    );
    assert_eq!(evidence.errors.len(), 1);
    assert_eq!(evidence.errors[0].count, 3);
}

#[test]
fn another_error_or_a_longer_uptime_begins_the_row_anew() {
    for other in [
        (SECOND, Exit::code(2)),
        (SECOND, Exit::code(1).stderr_tail("other")),
        (SECOND, Exit::recycled()),
        (seconds(2) + NANO, Exit::code(1)),
    ] {
        let mut state = state(Policy::new().failures_max(100, seconds(86_400)));
        drop(run(&mut state, start(), SECOND, Exit::code(1)));
        drop(run(&mut state, start(), SECOND, Exit::code(1)));
        let (up, exit) = other;
        assert!(!is_escalation(&run(&mut state, start(), up, exit)));
        assert!(!is_escalation(&run(&mut state, start(), SECOND, Exit::code(1))));
        assert!(!is_escalation(&run(&mut state, start(), SECOND, Exit::code(1))) || up > seconds(2));
    }
}

#[test]
fn a_limit_that_the_delays_make_unreachable_is_refused() {
    // Five starts in ten seconds, as systemd has it, beside a pause of 2.5 s: the fifth failure comes when the first is gone.
    let fixed = |pause: Duration| Backoff::new(pause, pause).factor(1).jitter(Jitter::None);
    let systemd = Policy::new().failures_max(5, seconds(10));
    let refused = systemd.backoff(fixed(Duration::from_millis(2500))).build().unwrap_err();
    assert_eq!(refused, Error::Unreachable { failures_max: 5, window: seconds(10), delays: seconds(10) });
    assert_eq!(
        refused.to_string(),
        "restart policy: failures_max is 5 within 10s, which is never reached: the delays alone can take 10s; \
         allowed is a window above that"
    );
    assert!(systemd.backoff(fixed(seconds(2))).check().is_ok());
    assert!(systemd.check().is_err(), "1 + 2 + 4 + 8 s");
    // Full jitter may be short; a limit that holds only by luck is none.
    assert!(Policy::new().failures_max(3, seconds(3)).check().is_err());
    assert!(Policy::new().failures_max(3, seconds(4)).check().is_ok());
    assert!(Policy::new().failures_max(1, SECOND).check().is_ok());
    let decorrelated = |cap| Backoff::new(SECOND, seconds(cap)).jitter(Jitter::Decorrelated);
    assert!(Policy::new().failures_max(4, seconds(13)).backoff(decorrelated(100)).check().is_err());
    assert!(Policy::new().failures_max(4, seconds(14)).backoff(decorrelated(100)).check().is_ok());
    let floor = Backoff::new(SECOND, seconds(60)).delay_min(seconds(5));
    assert!(Policy::new().failures_max(3, seconds(10)).backoff(floor).check().is_err());
}

#[test]
fn knobs_out_of_range_are_named() {
    let ok = Policy::new();
    for (policy, name) in [
        (ok.failures_max(0, SECOND), "failures_max"),
        (ok.failures_max(1001, SECOND), "failures_max"),
        (ok.failures_max(2, Duration::ZERO), "window"),
        (ok.failures_max(2, Duration::MAX), "window"),
        (ok.stable_after(Duration::MAX), "stable_after"),
        (ok.quick(Duration::MAX), "quick"),
        (ok.same_max(1), "same_max"),
        (ok.recycle_after(Duration::ZERO), "recycle_after"),
        (ok.recycle_after_runs(0), "recycle_after_runs"),
        (ok.recycle_above(0), "recycle_above"),
        (ok.permanent(&[0]), "permanent"),
        (ok.success(&[0, 78]), "permanent"),
    ] {
        let Err(Error::Field { field, .. }) = policy.check() else { panic!("{name}: {:?}", policy.check()) };
        assert_eq!(field, name);
        assert!(State::new(policy, 1).is_err());
    }
    assert!(ok.check().is_ok());
}

#[test]
fn it_is_begun_afresh_before_trouble() {
    let policy = Policy::new().recycle_after(seconds(3600)).recycle_after_runs(100).recycle_above(1 << 30);
    let mut state = state(policy);
    let now = start();
    assert_eq!(state.due_for_recycling(now, Some(u64::MAX)), None, "it is not running");
    state.started(now);
    let due = |state: &State, now: Now, resident| state.due_for_recycling(now, resident);
    assert_eq!(due(&state, now.after(seconds(3600) - NANO), Some(1 << 30)), None);
    assert_eq!(state.recycle_at(), Some(now.moment.after(seconds(3600))));
    let (age, limit) = (seconds(3600), seconds(3600));
    assert_eq!(due(&state, now.after(age), None), Some(Recycling::Age { age, limit }));
    let of_size = Recycling::Resident { bytes: (1 << 30) + 1, limit: 1 << 30 };
    assert_eq!(due(&state, now, Some((1 << 30) + 1)), Some(of_size));
    state.ran(99);
    assert_eq!(due(&state, now, None), None);
    state.ran(1);
    assert_eq!(due(&state, now, None), Some(Recycling::Runs { runs: 100, limit: 100 }));
    assert_eq!(delay(&state.on_exit(now.after(age), Exit::recycled())), Duration::ZERO);
    assert_eq!(state.failures(now.after(age)), 0, "a recycle is no failure");
    state.started(now.after(age));
    assert_eq!(due(&state, now.after(age), None), None, "the runs are counted from the start");
}

#[test]
fn what_is_too_large_as_soon_as_it_is_up_is_not_begun_afresh_without_rest() {
    let mut state = state(no_jitter());
    let delays: Vec<u64> =
        (0..4).map(|_| delay(&run(&mut state, start(), SECOND, Exit::recycled())).as_secs()).collect();
    assert_eq!(delays, [1, 2, 4, 8]);
}

#[test]
fn an_escalation_stands_for_as_long_as_the_window_or_until_it_is_cleared() {
    let mut state = state(window(1, seconds(300)));
    let now = start();
    assert_eq!(state.begin(now), Start::Now);
    assert!(is_escalation(&state.on_exit(now, Exit::code(1))));
    let Start::Escalated { until, why, .. } = state.begin(now.after(seconds(100))) else { panic!() };
    assert_eq!(until, now.after(seconds(300)).wall);
    assert_eq!(why, Escalating::WindowFull { failures: 1, limit: 1, window_ms: 300_000 });
    assert!(matches!(state.begin(now.after(seconds(300))), Start::Escalated { .. }));
    assert_eq!(state.begin(now.after(seconds(300) + NANO)), Start::Now);
    assert!(is_escalation(&state.on_exit(now.after(seconds(400)), Exit::code(1))));
    state.clear();
    assert_eq!(state.begin(now.after(seconds(400))), Start::Now);
    assert_eq!(state.evidence().exits.len(), 2, "the evidence is kept");
    let stuck = state.unstoppable(now, seconds(10));
    assert_eq!(stuck.to_string(), "it hangs and did not end within 10s, so it is not begun beside itself");
}

#[test]
fn a_delay_is_waited_for_to_its_end() {
    let mut state = state(no_jitter());
    let now = start();
    let decision = state.on_exit(now, Exit::code(1));
    let Decision::Restart { at, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(at, now.moment.after(SECOND));
    let Start::At { at: again, why } = state.begin(now.after(Duration::from_millis(300))) else { panic!() };
    assert_eq!((again, why.left, why.code()), (at, Duration::from_millis(700), "restart.waiting"));
    assert_eq!(state.begin(now.after(SECOND)), Start::Now);
}

#[test]
fn the_evidence_says_what_the_failures_have_in_common() {
    let policy = window(6, seconds(600)).same_unlimited();
    let mut state = state(policy);
    let said = |state: &State| state.evidence().to_string();
    assert_eq!(said(&state), "no failures");
    drop(run(&mut state, start(), seconds(9), Exit::code(3).stderr_tail("lost")));
    assert_eq!(said(&state), "one failure (exit code 3: lost)");
    drop(run(&mut state, start(), SECOND, Exit::signal(11)));
    assert_eq!(said(&state), "2 failures in a row of 2 kinds");
    drop(run(&mut state, start(), SECOND, Exit::recycled()));
    for up in [3600, 3500, 3700] {
        drop(run(&mut state, start(), seconds(up), Exit::signal(9)));
    }
    assert_eq!(
        said(&state),
        "the same error 3 times in a row (SIGKILL), each after about 1 h, each killed, perhaps for lack of memory"
    );
    let evidence = state.evidence();
    assert!(evidence.patterns().contains(&Pattern::Killed));
    assert_eq!((evidence.errors[0].count, &*evidence.errors[0].fingerprint), (3, "SIGKILL"));
}

#[test]
fn the_evidence_is_bounded_whatever_is_written() {
    let mut state = state(window(1000, seconds(600)));
    for number in 0..100 {
        let tail = format!("{}\u{1b}[2J\0é{number}", "é".repeat(4000));
        let exit = Exit::code(1).stderr_tail(tail).fingerprinted("x".repeat(number * 50));
        drop(state.on_exit(start(), exit));
    }
    let evidence = state.evidence();
    assert_eq!(evidence.exits.len(), 16);
    for past in &evidence.exits {
        assert!(past.tail.len() <= TAIL_MAX && past.tail.len() > TAIL_MAX - 8, "{}", past.tail.len());
        assert!(!past.tail.contains(['\u{1b}', '\0']), "{:?}", past.tail);
        assert!(past.fingerprint.len() <= 200);
    }
    assert_eq!(evidence.exits[15].tail.chars().last(), Some('9'));
    assert_eq!(evidence.failures_total, 100);
}

#[test]
fn numbers_and_addresses_do_not_make_another_error() {
    let of = |tail: &str| Exit::code(1).stderr_tail(tail).fingerprint();
    assert_eq!(
        of("2026-11-22T01:02:03Z lost 0x7f00 of 31\n\n"),
        of("2025-01-01T00:00:00Z  lost 0x1f00 of 7")
    );
    assert_ne!(of("lost the disk"), of("lost the network"));
    let panic = "thread 'main' panicked at src/main.rs:3:5:\nno table\nnote: run with `RUST_BACKTRACE=1` environment \
                 variable to display a backtrace\n";
    assert_eq!(of(panic), "exit code 1: no table");
    assert_eq!(of(" \n\t\n"), "exit code 1");
    assert_eq!(Exit::code(i32::MIN).fingerprint(), "exit code -2147483648");
    assert_eq!(Exit::code(100).fingerprint(), "exit code 100");
    assert_eq!(Exit::hung(SECOND).fingerprint(), Exit::hung(seconds(9)).fingerprint());
    assert_eq!(Exit::panicked("no table 3").fingerprint(), "panic: no table #");
}
