//! What holds for any signals at any times.

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{at, memory};
use crate::base::time::{Now, between, later};
use crate::decide::gate::{Decision, Gate, GaveUp, Policy, Reading, Sample, Saved, Signal, Why};

/// Whether a sample closes, lets be or is good, or what else there is.
fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        4 => (0.0..80.0f64).prop_map(memory),
        1 => (80.0..=90.0f64).prop_map(memory),
        1 => (90.0..100.0f64).prop_map(memory),
        1 => Just(memory(f64::NAN)),
        1 => Just(Sample::new().with(Signal::Memory, Reading::Measuring(Duration::from_millis(200)))),
        1 => Just(Sample::new()),
    ]
}

fn story() -> impl Strategy<Value = Vec<(u64, Sample)>> {
    prop::collection::vec((prop_oneof![0..2_000u64, 0..40_000u64], sample()), 1..120)
}

fn is_good(sample: &Sample) -> bool {
    matches!(sample.get(&Signal::Memory), Some(Reading::Number(percent)) if *percent < 80.0)
}

fn is_measuring(sample: &Sample) -> bool {
    matches!(sample.get(&Signal::Memory), Some(Reading::Measuring(_)))
}

fn policy(dwell: u64, give_up: Option<u64>) -> Policy {
    Policy::builder()
        .above(Signal::Memory, 90.0, 80.0)
        .dwell(Duration::from_millis(dwell))
        .give_up_after(give_up.map(Duration::from_millis))
        .build()
        .unwrap()
}

proptest! {
    /// Whatever the signals do, and however the wall clock is set meanwhile.
    #[test]
    fn it_never_opens_within_its_dwell(
        story in story(), dwell in 1..60_000u64, steps in prop::collection::vec(-100_000i64..100_000, 120),
    ) {
        let mut gate = Gate::new(policy(dwell, None));
        let (mut now, dwell) = (at(1_000_000), Duration::from_millis(dwell));
        // Since when it is closed, and since when everything was good.
        let (mut shut, mut good): (Option<Now>, Option<Now>) = (None, None);
        for ((passed, sample), step) in story.iter().zip(steps) {
            now = now.after(Duration::from_millis(*passed));
            now.wall += chrono::TimeDelta::milliseconds(step);
            good = if is_good(sample) || is_measuring(sample) && good.is_some() { good.or(Some(now)) } else { None };
            match gate.evaluate(sample, now) {
                Decision::Open { .. } => {
                    if let Some(shut) = shut.take() {
                        prop_assert!(now.moment.since(shut.moment) >= dwell);
                        let calm = good.map(|good| now.moment.since(good.moment));
                        prop_assert!(calm >= Some(dwell), "{calm:?}");
                    }
                }
                Decision::Closed(closed) => {
                    if closed.why == Why::Beyond || closed.why == Why::Missing {
                        shut.get_or_insert(now);
                    }
                    // And it opens as soon as it may.
                    let calm = good.map(|good| now.moment.since(good.moment));
                    prop_assert!(calm < Some(dwell) || is_measuring(sample), "{calm:?} {closed:?}");
                    prop_assert!(closed.retry_at > now.wall);
                    prop_assert!(closed.retry_at <= later(now.wall, dwell.max(Duration::from_secs(60))));
                }
                Decision::GivenUp(_) => prop_assert!(false, "it never gives up"),
            }
        }
    }

    #[test]
    fn a_restart_changes_nothing(
        story in story(), cuts in prop::collection::vec(any::<bool>(), 120), dwell in 1..60_000u64,
        give_up in prop::option::of(60_001..200_000u64),
    ) {
        let policy = policy(dwell, give_up);
        let (mut one, mut other) = (Gate::new(policy.clone()), Gate::new(policy.clone()));
        let mut now = at(5);
        for ((passed, sample), cut) in story.iter().zip(cuts) {
            now = now.after(Duration::from_millis(*passed));
            if cut {
                let text = serde_json::to_string(&other.saved()).unwrap();
                let saved: Saved = serde_json::from_str(&text).unwrap();
                other = Gate::restored(policy.clone(), &saved).unwrap();
                prop_assert_eq!(other.saved(), saved);
            }
            // A value is told as it was, to the last digit that JSON keeps.
            let (one, other) = (one.evaluate(sample, now), other.evaluate(sample, now));
            prop_assert_eq!(one.to_string(), other.to_string());
            prop_assert_eq!(
                one.closed().map(|c| (c.since, c.retry_at, c.why)),
                other.closed().map(|c| (c.since, c.retry_at, c.why))
            );
        }
    }

    #[test]
    fn it_gives_up_exactly_when_it_has_to(story in story(), dwell in 1..30_000u64, give_up in 30_001..90_000u64) {
        let mut gate = Gate::new(policy(dwell, Some(give_up)));
        let limit = Duration::from_millis(give_up);
        let (mut now, mut shut): (Now, Option<Now>) = (at(0), None);
        for (passed, sample) in &story {
            now = now.after(Duration::from_millis(*passed));
            let decision = gate.evaluate(sample, now);
            if decision.is_open() {
                shut = None;
                continue;
            }
            let waited = now.moment.since(shut.get_or_insert(now).moment);
            match decision {
                Decision::GivenUp(given_up) => {
                    prop_assert!(waited >= limit);
                    prop_assert_eq!((given_up.waited, given_up.by), (waited, GaveUp::After(limit)));
                    prop_assert!(given_up.last.retry_at > now.wall);
                }
                Decision::Closed(closed) => {
                    prop_assert!(waited < limit);
                    // Whoever comes back when it is told to is there when it gives up.
                    prop_assert!(between(now.wall, closed.retry_at) <= limit - waited);
                }
                Decision::Open { .. } => {}
            }
        }
    }

    #[test]
    fn any_clock_is_taken(moments in prop::collection::vec((any::<u64>(), any::<i32>(), sample()), 1..60)) {
        let mut gate = Gate::new(policy(30_000, Some(60_000)));
        for (nanos, seconds, sample) in moments {
            let wall = chrono::DateTime::from_timestamp(i64::from(seconds), 0).unwrap();
            let now = Now { moment: crate::base::time::Moment::from_nanos(nanos), wall };
            let decision = gate.evaluate(&sample, now);
            prop_assert!(!decision.to_string().is_empty());
            if nanos % 4 == 0 {
                gate = Gate::restored(gate.policy().clone(), &gate.saved()).unwrap();
            }
        }
    }
}
