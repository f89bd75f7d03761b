//! The shared handle against the pure machine, over random policies and stories.

use proptest::prelude::{Just, Strategy as _, prop, prop_assert_eq, prop_oneof, proptest};

use super::*;

#[test]
fn the_successes_of_many_threads_are_counted_too() {
    // A quarter fails, a half would trip: it does not, however the threads share the counting.
    let policy = Policy::never().rate(Rate { percent: 50, calls: 64, min: 64, within: None });
    let breaker = Breaker::seeded("x", policy, 1, at(0)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let breaker = &breaker;
            scope.spawn(move || {
                for n in 0..20_000 {
                    let permit = permit(admit_either_way(breaker, at(0)));
                    let outcome = if (n + thread) % 4 == 0 { FAILURE } else { Outcome::Success };
                    assert!(!breaker.settle(permit, outcome, at(0)).is_transition());
                }
            });
        }
    });
    let permits: Vec<_> = (0..64).map(|_| breaker.admit_fast().unwrap()).collect();
    let moved = permits.into_iter().map(|permit| breaker.settle(permit, FAILURE, at(0)).as_str());
    assert_eq!(moved.filter(|moved| *moved == "trip").count(), 1);
}

/// What the shared handle and the pure machine are both told.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Call(Outcome),
    Overlap(Outcome, Outcome),
    Later(u64),
    Restart,
}

pub(super) fn any_step() -> impl proptest::strategy::Strategy<Value = Step> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Success),
        3 => Just(FAILURE),
        1 => Just(Outcome::Slow),
        1 => Just(Outcome::Abandoned),
        1 => Just(Outcome::Failure(Class::Permanent)),
        1 => Just(Outcome::Failure(Class::Unknown)),
    ];
    prop_oneof![
        12 => outcome.clone().prop_map(Step::Call),
        2 => (outcome.clone(), outcome).prop_map(|(a, b)| Step::Overlap(a, b)),
        2 => (0u64..400).prop_map(Step::Later),
        1 => Just(Step::Restart),
    ]
}

pub(super) fn any_policy() -> impl proptest::strategy::Strategy<Value = Policy> {
    let rate = prop::option::of((1u32..=100, 1u32..80, 1u32..80, prop::option::of(1u64..500)).prop_map(
        |(percent, calls, min, within)| Rate {
            percent,
            calls,
            min: min.min(calls),
            within: within.map(secs),
        },
    ));
    let slow = prop::option::of((1u32..=100, 1u32..80).prop_map(|(percent, calls)| SlowRate {
        percent,
        calls,
        min: 1,
        over: secs(1),
    }));
    let timed =
        prop::option::of((1u32..=100, 1u64..500, 1u32..10).prop_map(|(percent, window, min)| TimeRate {
            percent,
            window: secs(window),
            min,
        }));
    (prop::option::of(1u32..10), rate, slow, timed, 1u32..4, 1u32..9).prop_map(
        |(consecutive, rate, slow, timed, probes, successes)| {
            plain()
                .consecutive(consecutive)
                .rate(rate)
                .slow_rate(slow)
                .time_rate(timed)
                .probes(probes)
                .successes(successes)
        },
    )
}

proptest! {
    #[test]
    fn the_shared_handle_decides_as_the_pure_machine_does(
        policy in any_policy(), steps in prop::collection::vec(any_step(), 1..300),
    ) {
        let mut pure = Machine::new(policy, 7, at(0)).unwrap();
        let mut shared = Breaker::seeded("x", policy, 7, at(0)).unwrap();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Later(by) => now += by,
                Step::Restart => {
                    let snapshot = pure.snapshot("x", at(now));
                    prop_assert_eq!(&snapshot, &shared.snapshot(at(now)));
                    pure = Machine::restore(policy, &snapshot, 7, at(now)).unwrap().0;
                    shared = Breaker::restore(policy, &snapshot, 7, at(now)).unwrap().0;
                }
                Step::Call(outcome) => {
                    let (a, b) = (pure.admit(at(now)), admit_either_way(&shared, at(now)));
                    prop_assert_eq!(&a, &b);
                    if let (Admit::Allow { permit: a, .. }, Admit::Allow { permit: b, .. }) = (a, b) {
                        same(pure.settle(a, outcome, at(now)), shared.settle(b, outcome, at(now)))?;
                    }
                }
                Step::Overlap(first, second) => {
                    let (a, c) = (pure.admit(at(now)), pure.admit(at(now)));
                    let (b, d) = (admit_either_way(&shared, at(now)), admit_either_way(&shared, at(now)));
                    prop_assert_eq!((&a, &c), (&b, &d));
                    if let (Admit::Allow { permit: c, .. }, Admit::Allow { permit: d, .. }) = (c, d) {
                        same(pure.settle(c, second, at(now)), shared.settle(d, second, at(now)))?;
                    }
                    if let (Admit::Allow { permit: a, .. }, Admit::Allow { permit: b, .. }) = (a, b) {
                        same(pure.settle(a, first, at(now)), shared.settle(b, first, at(now)))?;
                    }
                }
            }
            prop_assert_eq!(pure.standing(), shared.standing());
            prop_assert_eq!(pure.generation(), shared.generation());
        }
    }
}

fn admit_either_way(breaker: &Breaker, now: Now) -> Admit {
    match breaker.admit_fast() {
        Some(permit) => Admit::Allow { permit, why: Allowing::Closed },
        None => breaker.admit(now),
    }
}

fn same(pure: Moved, shared: Moved) -> Result<(), proptest::test_runner::TestCaseError> {
    prop_assert_eq!(pure, shared);
    Ok(())
}
