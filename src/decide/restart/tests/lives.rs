//! Random lives under simulated time: ends of all kinds, restarts of the supervisor, clocks that step.

use std::time::Duration;

use proptest::prelude::*;

use super::{Moment, Now, start};
use crate::base::backoff::Backoff;
use crate::base::time::{Timestamp, nanos};
use crate::decide::restart::{Class, Decision, Exit, Policy, Restart, Start, State};

#[derive(Clone, Debug)]
struct Step {
    up: Duration,
    exit: Exit,
    late: Duration,
    wall: i64,
    saved: bool,
}

fn any_exit() -> impl Strategy<Value = Exit> {
    prop_oneof![
        6 => (1..4_i32).prop_map(Exit::code),
        2 => Just(Exit::signal(9)),
        1 => Just(Exit::code(0)),
        1 => Just(Exit::recycled()),
        1 => Just(Exit::hung(Duration::from_secs(30))),
        1 => (0..3_u8).prop_map(|word| Exit::failed(["disk", "network", "disk 7"][usize::from(word)])),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let up = prop_oneof![0..3_000_u64, 0..200_000_u64].prop_map(Duration::from_millis);
    let late = prop_oneof![Just(0_u64), 0..5_000_u64].prop_map(Duration::from_millis);
    let wall = prop_oneof![4 => Just(0_i64), 1 => -100_000..100_000_i64];
    (up, any_exit(), late, wall, any::<bool>()).prop_map(|(up, exit, late, wall, saved)| Step {
        up,
        exit,
        late,
        wall,
        saved,
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (1..8_u32, 0..4_000_u64, 1..40_u64, prop::option::of(2..5_u32)).prop_map(|(failures, base, cap, same)| {
        let backoff = Backoff::new(Duration::from_millis(base), Duration::from_secs(cap));
        let policy = Policy::new().failures_max(failures, Duration::from_secs(300)).backoff(backoff);
        same.map_or_else(|| policy.same_unlimited(), |same| policy.same_max(same)).restart(Restart::Always)
    })
}

/// A supervisor is killed and another begins, with a monotonic clock of its own.
fn handed_on(state: &State, policy: Policy, now: Now) -> State {
    let text = serde_json::to_string(&state.saved(now)).unwrap();
    State::restored(policy, serde_json::from_str(&text).unwrap(), now).unwrap()
}

fn stepped(wall: Timestamp, by: i64) -> Timestamp {
    wall + chrono::TimeDelta::seconds(by)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_window_has_more_failures_than_the_limit_and_nothing_begins_before_its_time(
        policy in any_policy(), seed in any::<u64>(), steps in prop::collection::vec(any_step(), 1..80),
    ) {
        prop_assume!(policy.check().is_ok());
        let mut state = State::new(policy, seed).unwrap();
        let mut now = start();
        let mut failures: Vec<Moment> = Vec::new();
        for step in steps {
            let begun = match state.begin(now) {
                Start::Now => now.moment,
                other => panic!("{other:?}"),
            };
            state.started(now);
            now = now.after(step.up);
            now.wall = stepped(now.wall, step.wall);
            let class = policy.class_of(step.exit.how());
            let within = |failures: &[Moment]| {
                failures.iter().filter(|at| now.moment.since(**at) <= Duration::from_secs(300)).count()
            };
            if class == Class::Failure {
                failures.push(now.moment);
            }
            let full = class == Class::Failure && within(&failures) >= policy.failures_max as usize;
            prop_assert!(now.moment >= begun);
            match state.on_exit(now, step.exit) {
                Decision::Restart { at, .. } => {
                    prop_assert!(!full, "the window is full and nobody is told");
                    prop_assert!(at >= now.moment);
                    if at > now.moment {
                        let early = Now { moment: Moment::from_nanos(at.as_nanos() - 1), ..now };
                        let held = matches!(state.begin(early), Start::At { at: again, .. } if again == at);
                        prop_assert!(held);
                    }
                    now = now.after(at.since(now.moment)).after(step.late);
                }
                Decision::Escalate { evidence, .. } => {
                    prop_assert!(evidence.exits.len() <= 16);
                    let held = matches!(state.begin(now), Start::Escalated { .. });
                    prop_assert!(held);
                    state.clear();
                    failures.clear();
                }
                Decision::Stop { why } => prop_assert!(false, "{why}"),
            }
            prop_assert_eq!(state.failures(now) as usize, within_now(&failures, now));
        }
    }

    #[test]
    fn a_life_with_interruptions_is_decided_as_one_without(
        policy in any_policy(), seed in any::<u64>(), steps in prop::collection::vec(any_step(), 1..60),
    ) {
        prop_assume!(policy.check().is_ok());
        let mut whole = State::new(policy, seed).unwrap();
        let mut parts = State::new(policy, seed).unwrap();
        let mut now = start();
        for step in steps {
            whole.started(now);
            parts.started(now);
            now = now.after(step.up / 2);
            if step.saved {
                parts = handed_on(&parts, policy, now);
            }
            now = now.after(step.up / 2);
            let decided = whole.on_exit(now, step.exit.clone());
            prop_assert_eq!(&decided, &parts.on_exit(now, step.exit));
            if step.saved {
                parts = handed_on(&parts, policy, now);
            }
            if let Decision::Restart { at, .. } = decided {
                now = now.after(at.since(now.moment)).after(step.late);
            }
            prop_assert_eq!(whole.failures(now), parts.failures(now));
            prop_assert_eq!(whole.begin(now), parts.begin(now));
            prop_assert_eq!(whole.evidence(), parts.evidence());
        }
    }

    #[test]
    fn no_input_is_too_odd(
        ends in prop::collection::vec((any::<u64>(), any::<i32>(), ".{0,40}", any::<u64>()), 1..30), seed in any::<u64>(),
    ) {
        let mut state = State::new(Policy::new(), seed).unwrap();
        for (moment, code, tail, up) in ends {
            let now = Now { moment: Moment::from_nanos(moment), ..start() };
            drop(state.begin(now));
            state.started(now);
            let exit = Exit::code(code).stderr_tail(tail).uptime(Duration::from_nanos(up));
            let said = state.on_exit(now, exit).to_string();
            prop_assert!(!said.is_empty());
            prop_assert!(state.due_for_recycling(now, Some(up)).is_none());
            prop_assert!(nanos(state.saved(now).saved_at().signed_duration_since(start().wall).to_std().unwrap()) == 0);
        }
    }
}

fn within_now(failures: &[Moment], now: Now) -> usize {
    failures.iter().filter(|at| now.moment.since(**at) <= Duration::from_secs(300)).count()
}
