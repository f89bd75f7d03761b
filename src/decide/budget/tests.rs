//! One test for each rule, named after it; beside it what is saved, and random stories.

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::base::explain::Explain;
use crate::base::fault::{Class, Fault};
use crate::base::time::{Moment, Now, Timestamp};

const DOWN: Fault = Fault::transient("http.503");
const SLOW: Fault = Fault::transient("http.504");

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    let start = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: start }.after(secs(seconds))
}

fn budget(policy: Policy) -> Budget {
    Budget::new(policy).unwrap()
}

fn pays(budget: &Budget, fault: &Fault, now: Now) -> bool {
    matches!(budget.admit(fault, now), Admit::Allow { .. })
}

fn retries(budget: &Budget, fault: &Fault, now: Now) -> usize {
    (0..1000).take_while(|_| pays(budget, fault, now)).count()
}

#[test]
fn cron_has_twenty_retries_an_hour_and_service_a_floor_of_three_a_second() {
    let cron = budget(Policy::cron());
    assert_eq!(retries(&cron, &DOWN, at(0)), 20);
    assert_eq!((retries(&cron, &DOWN, at(179)), retries(&cron, &DOWN, at(180))), (0, 1));
    assert_eq!(retries(&cron, &DOWN, at(180 + 3600)), 20);
    let service = budget(Policy::service());
    assert_eq!(retries(&service, &DOWN, at(0)), 50);
    assert_eq!(retries(&service, &DOWN, at(10)), 29, "a token's time is rounded up to a microsecond");
    assert_eq!(retries(&service, &DOWN, at(11)), 3);
}

#[test]
fn time_outs_cost_more_and_being_rate_limited_less() {
    for policy in [Policy::cron(), Policy::service()] {
        let max = usize::try_from(policy.tokens_max).unwrap();
        assert_eq!(retries(&budget(policy), &SLOW, at(0)), max / 2);
        assert_eq!(retries(&budget(policy), &Fault::rate_limited(None), at(0)), max * 2);
        assert_eq!(retries(&budget(policy), &Fault::unknown(), at(0)), max);
    }
    let free = budget(Policy::cron().cost_of(Class::Unknown, 0));
    assert_eq!(retries(&free, &DOWN, at(0)), 20);
    assert_eq!(free.admit(&Fault::unknown(), at(0)), Admit::Allow { why: Allowing::Free });
}

#[test]
fn a_refusal_says_what_it_would_cost_what_is_left_and_when_it_suffices() {
    let budget = budget(Policy::cron().tokens_max(2));
    let Admit::Allow { why } = budget.admit(&Fault::rate_limited(None), at(0)) else { panic!("refused") };
    assert_eq!(why, Allowing::Within { cost: 500, left: 1500, tokens_max: 2 });
    assert_eq!(
        (why.code(), why.to_string().as_str()),
        ("budget.within", "the retry costs 0.5, 1.5 of 2 are left")
    );
    let Admit::Refuse { why, wait, retry_at } = budget.admit(&SLOW, at(0)) else { panic!("allowed") };
    let period = secs(3600);
    assert_eq!(why, Refusing::Spent { cost: 2000, left: 1500, tokens_max: 2, refill: 20, period });
    assert_eq!((wait, retry_at), (secs(90), at(90).wall));
    assert_eq!(why.to_string(), "the retry would cost 2, 1.5 of 2 are left, 20 come back in 3600s");
    // A refusal costs nothing.
    assert!(pays(&budget, &DOWN, at(0)) && pays(&budget, &SLOW, at(270)));
}

#[test]
fn a_success_brings_its_share_back_and_never_more_than_there_is() {
    let service = budget(Policy::service());
    assert_eq!(retries(&service, &DOWN, at(0)), 50);
    (0..4).for_each(|_| service.succeeded(at(0).moment));
    assert!(!pays(&service, &DOWN, at(0)));
    service.succeeded(at(0).moment);
    assert_eq!(retries(&service, &DOWN, at(0)), 1);
    (0..10_000).for_each(|_| service.succeeded(at(0).moment));
    assert_eq!(retries(&service, &DOWN, at(0)), 50);
    let cron = budget(Policy::cron());
    assert!(service.wants_successes() && !cron.wants_successes());
    assert_eq!(retries(&cron, &DOWN, at(0)), 20);
    (0..10_000).for_each(|_| cron.succeeded(at(0).moment));
    assert!(!pays(&cron, &DOWN, at(0)));
}

#[test]
fn while_nothing_is_spent_a_success_needs_no_time() {
    let service = budget(Policy::service());
    assert!(!service.wants_successes());
    assert!(pays(&service, &DOWN, at(0)) && service.wants_successes());
    service.succeeded(at(0).moment);
    assert!(service.wants_successes());
    // Full again by time, which the next success notices.
    service.succeeded(at(1).moment);
    assert!(!service.wants_successes());
    assert_eq!(retries(&service, &DOWN, at(1)), 50);
}

#[test]
fn what_is_spent_is_spent_in_the_next_process_too() {
    let first = budget(Policy::cron());
    assert_eq!(retries(&first, &DOWN, at(0)), 20);
    let json = serde_json::to_string(&first.snapshot("youtube", at(0))).unwrap();
    let saved: Snapshot = serde_json::from_str(&json).unwrap();
    assert_eq!((saved.key(), saved.full_at()), ("youtube", at(3600).wall));
    let now = Now { moment: Moment::from_nanos(5), wall: at(900).wall };
    let (next, noticed) = Budget::restore(Policy::cron(), &saved, now).unwrap();
    assert_eq!((noticed, retries(&next, &DOWN, now)), (Restored::default(), 5));
}

#[test]
fn a_clock_that_went_back_has_brought_nothing_back_and_a_changed_policy_keeps_what_is_spent() {
    let first = budget(Policy::cron());
    assert!((0..15).all(|_| pays(&first, &DOWN, at(0))));
    let saved = first.snapshot("x", at(0));
    let back = Now { wall: at(0).wall - TimeDelta::hours(5), ..at(0) };
    let (next, noticed) = Budget::restore(Policy::cron(), &saved, back).unwrap();
    assert_eq!(noticed.reasons, [Restoring::ClockSteppedBack { by: secs(5 * 3600) }]);
    assert_eq!(retries(&next, &DOWN, back), 5);
    for (tokens_max, left) in [(40, 25), (10, 0)] {
        let policy = Policy::cron().tokens_max(tokens_max);
        let (next, noticed) = Budget::restore(policy, &saved, at(0)).unwrap();
        assert_eq!(noticed.reasons, [Restoring::ConfigurationChanged]);
        assert_eq!(retries(&next, &DOWN, at(0)), left);
    }
}

#[test]
fn a_snapshot_that_is_adopted_never_forgets_what_is_spent_here() {
    let (here, there) = (budget(Policy::cron()), budget(Policy::cron()));
    assert_eq!(retries(&here, &DOWN, at(0)), 20);
    assert_eq!(here.adopt(&there.snapshot("x", at(0)), at(0)).unwrap(), Restored::default());
    assert_eq!(there.adopt(&here.snapshot("x", at(0)), at(0)).unwrap(), Restored::default());
    assert!(!pays(&here, &DOWN, at(0)) && !pays(&there, &DOWN, at(0)));
}

#[test]
fn the_first_format_of_a_snapshot_still_opens() {
    let golden = include_str!("../../../tests/golden/budget_v1.json");
    let saved: Snapshot = serde_json::from_str(golden).unwrap();
    let (next, noticed) = Budget::restore(Policy::cron(), &saved, at(0)).unwrap();
    assert_eq!((noticed, next.left(at(0).moment)), (Restored::default(), 4500));
    assert_eq!(serde_json::to_string(&next.snapshot("youtube", at(0))).unwrap(), golden.trim());
    let newer = golden.replace("\"v\":1", "\"v\":9");
    let newer: Snapshot = serde_json::from_str(&newer).unwrap();
    let error = Budget::restore(Policy::cron(), &newer, at(0)).unwrap_err();
    assert_eq!(error, Error::Version { found: 9, known: 1 });
}

#[test]
fn a_policy_reads_as_json_and_a_wrong_one_names_the_field() {
    assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::cron());
    let own = Policy::service().cost_of(Class::RateLimited, 250).cost_of_timeout(7000);
    for policy in [Policy::cron(), Policy::service(), own] {
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy, "{json}");
    }
    for (json, says) in [
        (r#"{"tokens_max":0}"#, "budget policy: tokens_max is 0, allowed is 1 to 1000000"),
        (r#"{"refill":0}"#, "refill is 0, allowed is 1 to"),
        (r#"{"refill_period_ms":0}"#, "refill_period is 0ns, allowed is 1ms to"),
        (r#"{"success_ratio":1001}"#, "success_ratio is 1001, allowed is 0 to 1000"),
        (r#"{"cost":{"timed_out":20001}}"#, "cost.timed_out is 20001, allowed is 0 to 20000"),
        (
            r#"{"tokens_max":1000000,"refill":1,"refill_period_ms":86400000}"#,
            "refill_period is 86400s, allowed is what fills the budget within 100 years",
        ),
        (r#"{"floor":3}"#, "unknown field `floor`"),
    ] {
        let error = serde_json::from_str::<Policy>(json).unwrap_err().to_string();
        assert!(error.contains(says), "{error} does not say {says}");
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (1u32..30, 1u32..50, 1u64..4000, 0u32..150, prop::array::uniform6(0u32..=1000)).prop_map(
        |(tokens_max, refill, seconds, ratio, costs)| {
            let policy =
                Policy::cron().tokens_max(tokens_max).refill(refill, secs(seconds)).success_ratio(ratio);
            let policy = policy.cost_of_timeout(costs[5] * tokens_max);
            let each = Class::ALL.into_iter().zip(costs);
            each.fold(policy, |policy, (class, cost)| policy.cost_of(class, cost))
        },
    )
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(DOWN),
        Just(SLOW),
        Just(Fault::rate_limited(None)),
        Just(Fault::unknown()),
        Just(Fault::permanent("http.404")),
        Just(Fault::new(Class::Unauthorized, "http.401")),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Fails(Fault),
    Succeeds,
    /// The next process, whose wall clock is so many seconds off.
    Restarts(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any_fault().prop_map(Step::Fails),
        4 => Just(Step::Succeeds),
        1 => (-5000i64..5000).prop_map(Step::Restarts),
    ]
}

proptest! {
    /// What is paid is never more than what there was at first, what time and successes have brought, and one whole
    /// budget for each step of the wall clock into the future.
    #[test]
    fn the_budget_is_never_exceeded_whatever_the_clock_does(
        policy in any_policy(), shared in any::<bool>(),
        steps in prop::collection::vec((0u64..300, any_step()), 1..200),
    ) {
        let (mut now, mut own) = (at(0), budget(policy));
        let mut saved = Snapshot::fresh("x", &policy, now.wall).unwrap();
        let all = u128::from(policy.tokens_max) * 1000;
        // Thousandths of a token, and the same times the refill period.
        let (mut paid, mut brought) = (0u128, 0u128);
        for (by, step) in steps {
            now = now.after(secs(by));
            match step {
                Step::Succeeds if shared => {
                    saved = saved.succeeded(&policy, 1, now.wall).unwrap().unwrap_or(saved);
                    brought += u128::from(policy.success_ratio) * 10;
                }
                Step::Succeeds => {
                    own.succeeded(now.moment);
                    brought += u128::from(policy.success_ratio) * 10;
                }
                Step::Restarts(off) => {
                    saved = if shared { saved } else { own.snapshot("x", now) };
                    now.wall += TimeDelta::seconds(off);
                    own = Budget::restore(policy, &saved, now).unwrap().0;
                    brought += if off > 0 { all } else { 0 };
                }
                Step::Fails(fault) => {
                    let cost = policy.cost(&fault);
                    let allowed = if shared {
                        match saved.spend(&policy, cost, now.wall).unwrap() {
                            Spend::Allow { snapshot, .. } => { saved = snapshot; true }
                            Spend::Refuse { why: Refusing::Spent { left, .. }, wait, retry_at } => {
                                prop_assert!(left < u64::from(cost) && wait > Duration::ZERO);
                                prop_assert_eq!(retry_at, now.wall + TimeDelta::from_std(wait).unwrap());
                                false
                            }
                        }
                    } else {
                        let left = own.left(now.moment);
                        let allowed = pays(&own, &fault, now);
                        prop_assert!(allowed || left < u64::from(cost));
                        prop_assert!(!allowed || left >= u64::from(cost).saturating_sub(1));
                        allowed
                    };
                    paid += if allowed { u128::from(cost) } else { 0 };
                }
            }
            let seconds = u128::from(now.moment.since(at(0).moment).as_secs());
            let time = seconds * u128::from(policy.refill) * 1000 / u128::from(policy.refill_period.as_secs());
            prop_assert!(paid <= all + brought + time, "{paid} of {all} + {brought} + {time}");
        }
    }
}
