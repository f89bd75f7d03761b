//! One test for each rule, named after it; beside it what is saved, and random stories.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::base::explain::Explain;
use crate::base::fault::Class;
use crate::base::time::{Moment, Now, Timestamp};

mod packed;
mod random;
mod saved;

const FAILURE: Outcome = Outcome::Failure(Class::Transient);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    let start = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: start }.after(secs(seconds))
}

/// Trips at 3 in a row, opens for 100 s x2 up to 800 s, one probe with a lease of 50 s.
fn plain() -> Policy {
    Policy::never().consecutive(3).open(secs(100)).lease(secs(50))
}

fn machine(policy: Policy) -> Machine {
    Machine::new(policy, 1, at(0)).unwrap()
}

fn permit(admit: Admit) -> Permit {
    match admit {
        Admit::Allow { permit, .. } => permit,
        Admit::Refuse { why, .. } => panic!("refused: {why}"),
    }
}

fn refused(admit: Admit) -> (Refusing, Timestamp) {
    match admit {
        Admit::Refuse { why, retry_at } => (why, retry_at),
        Admit::Allow { why, .. } => panic!("allowed: {why}"),
    }
}

fn one(machine: &mut Machine, outcome: Outcome, now: Now) -> Moved {
    let permit = permit(machine.admit(now));
    machine.settle(permit, outcome, now)
}

fn story(machine: &mut Machine, outcomes: &str, now: Now) -> &'static str {
    let mut last = "none";
    for outcome in outcomes.chars() {
        let outcome = match outcome {
            '.' => Outcome::Success,
            's' => Outcome::Slow,
            _ => FAILURE,
        };
        last = one(machine, outcome, now).as_str();
    }
    last
}

fn tripped(policy: Policy) -> Machine {
    let mut machine = machine(policy);
    assert_eq!(story(&mut machine, "xxx", at(0)), "trip");
    machine
}

#[test]
fn failures_in_a_row_trip_it_and_a_success_between_does_not() {
    let mut machine = machine(plain());
    assert_eq!(story(&mut machine, "xx.xx.xx", at(0)), "none");
    let moved = one(&mut machine, FAILURE, at(0));
    let why = Cause::Consecutive { failures: 3, limit: 3 };
    assert_eq!(moved, Moved::Trip { why, open_for: secs(100), retry_at: at(100).wall });
    let (why, retry_at) = refused(machine.admit(at(40)));
    assert_eq!(retry_at, at(100).wall);
    assert!(matches!(why, Refusing::Open { remaining, .. } if remaining == secs(60)), "{why}");
}

#[test]
fn the_count_window_really_slides() {
    let policy = Policy::never().rate(Rate { percent: 50, calls: 10, min: 10, within: None });
    let mut machine = machine(policy);
    // After a thousand successes it takes five failures, not a thousand.
    assert_eq!(story(&mut machine, &".".repeat(1000), at(0)), "none");
    assert_eq!(story(&mut machine, "xxxx", at(0)), "none");
    assert_eq!(story(&mut machine, "x", at(0)), "trip");
}

#[test]
fn no_rate_is_judged_below_the_minimum() {
    let policy = Policy::never().rate(Rate { percent: 50, calls: 10, min: 4, within: None });
    let mut machine = machine(policy);
    assert_eq!(story(&mut machine, "xxx", at(0)), "none");
    assert_eq!(story(&mut machine, "x", at(0)), "trip");
}

#[test]
fn the_rules_are_looked_at_on_failures_only() {
    let policy = Policy::never().rate(Rate { percent: 50, calls: 10, min: 4, within: None });
    let mut machine = machine(policy);
    // 3 of 4 have failed, but the fourth is a success.
    assert_eq!(story(&mut machine, "xxx.", at(0)), "none");
}

#[test]
fn old_results_leave_a_count_window_that_has_an_age() {
    let policy = Policy::never().rate(Rate { percent: 50, calls: 20, min: 3, within: Some(secs(60)) });
    let mut machine = machine(policy);
    assert_eq!(story(&mut machine, "xx", at(0)), "none");
    assert_eq!(story(&mut machine, "x", at(60)), "none");
    assert_eq!(story(&mut machine, "xx", at(61)), "trip");
}

#[test]
fn the_time_window_forgets_what_is_older() {
    let policy = Policy::never().time_rate(TimeRate { percent: 50, window: secs(60), min: 4 });
    let mut machine = machine(policy);
    assert_eq!(story(&mut machine, "xxx", at(0)), "none");
    assert_eq!(story(&mut machine, "xxx", at(61)), "none");
    assert_eq!(story(&mut machine, "x", at(119)), "trip");
}

#[test]
fn slow_successes_trip_their_own_rule_only() {
    let rule = SlowRate { percent: 50, calls: 4, min: 4, over: secs(1) };
    let mut with = machine(Policy::never().slow_rate(rule));
    assert_eq!(story(&mut with, "..s", at(0)), "none");
    assert_eq!(story(&mut with, "s", at(0)), "trip");
    let mut without = machine(plain());
    assert_eq!(story(&mut without, "ssssss", at(0)), "none");
}

#[test]
fn half_open_admits_exactly_its_probes() {
    let mut machine = tripped(plain().probes(3).successes(3));
    let permits: Vec<_> = (0..3).map(|_| permit(machine.admit(at(100)))).collect();
    let (why, retry_at) = refused(machine.admit(at(100)));
    assert_eq!(why, Refusing::Probing { in_flight: 3, passed: 0, needed: 3 });
    assert_eq!(retry_at, at(150).wall);
    let moved: Vec<_> = permits
        .into_iter()
        .map(|permit| machine.settle(permit, Outcome::Success, at(101)).as_str())
        .collect();
    assert_eq!(moved, ["none", "none", "close"]);
}

#[test]
fn half_open_admits_exactly_its_probes_under_contention() {
    for seed in 0..50 {
        let breaker = Breaker::seeded("x", plain().probes(2).successes(9), seed, at(0)).unwrap();
        for _ in 0..3 {
            let permit = breaker.admit_fast().unwrap();
            let _moved = breaker.settle(permit, FAILURE, at(0));
        }
        assert!(breaker.admit_fast().is_none());
        let (allowed, barrier) = (AtomicU32::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..20 {
                        if let Admit::Allow { .. } = breaker.admit(at(100)) {
                            allowed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 2);
    }
}

#[test]
fn half_open_is_judged_by_count_and_never_by_time() {
    let policy = plain().time_rate(TimeRate { percent: 50, window: secs(1), min: 4 }).successes(3);
    let mut machine = tripped(policy);
    // The probes come an hour apart, far beyond the time window.
    for n in 1..3 {
        assert_eq!(one(&mut machine, Outcome::Success, at(n * 3600)).as_str(), "none");
    }
    assert_eq!(one(&mut machine, Outcome::Success, at(3 * 3600)).as_str(), "close");
}

#[test]
fn a_result_of_an_older_generation_moves_nothing() {
    let mut machine = machine(plain());
    let (late_good, late_bad) = (permit(machine.admit(at(0))), permit(machine.admit(at(0))));
    assert_eq!(story(&mut machine, "xxx", at(0)), "trip");
    let probe = permit(machine.admit(at(100)));
    let before = machine.snapshot("x", at(101));
    let stale = Moved::None { why: Unmoved::Stale { permit: 0, current: 2 } };
    assert_eq!(machine.settle(late_good, Outcome::Success, at(101)), stale);
    assert_eq!(machine.settle(late_bad, FAILURE, at(101)), stale);
    assert_eq!(machine.snapshot("x", at(101)), before, "the real probe is still in flight");
    assert_eq!(machine.settle(probe, Outcome::Success, at(102)).as_str(), "close");
}

#[test]
fn a_stale_success_moves_nothing_in_the_shared_handle_either() {
    let breaker = Breaker::seeded("x", plain(), 1, at(0)).unwrap();
    let late = breaker.admit_fast().unwrap();
    for _ in 0..3 {
        let permit = breaker.admit_fast().unwrap();
        let _moved = breaker.settle(permit, FAILURE, at(0));
    }
    let late = breaker.settle_fast(late).unwrap_err();
    assert_eq!(breaker.settle(late, Outcome::Success, at(1)).code(), "breaker.stale");
    assert_eq!(breaker.standing(), Standing::Open);
}

#[test]
fn a_probe_whose_process_died_has_failed_when_its_lease_ends() {
    let mut machine = tripped(plain());
    let dead = permit(machine.admit(at(100)));
    assert!(matches!(refused(machine.admit(at(149))).0, Refusing::Probing { .. }));
    let (why, retry_at) = refused(machine.admit(at(150)));
    let cause = Cause::LeaseExpired { lease_ms: 50_000 };
    assert_eq!(why, Refusing::Open { cause, open_for: secs(200), remaining: secs(200) });
    assert_eq!(retry_at, at(350).wall);
    assert_eq!(machine.settle(dead, Outcome::Success, at(151)).code(), "breaker.stale");
}

#[test]
fn the_breaker_is_never_wedged_by_a_dead_probe() {
    // Nobody looks for a week: the lease ended long ago and so did the interval after it.
    let mut machine = tripped(plain());
    let _dead = permit(machine.admit(at(100)));
    let probe = permit(machine.admit(at(600_000)));
    assert_eq!(machine.settle(probe, Outcome::Success, at(600_001)).as_str(), "close");
}

#[test]
fn a_probe_that_comes_back_after_its_lease_has_failed_too() {
    let mut machine = tripped(plain());
    let late = permit(machine.admit(at(100)));
    assert_eq!(machine.settle(late, Outcome::Success, at(151)).code(), "breaker.lease_expired");
    assert_eq!(machine.standing(), Standing::Open);
}

#[test]
fn a_permanent_fault_proves_that_the_service_is_alive() {
    let mut machine = tripped(plain());
    assert_eq!(one(&mut machine, Outcome::Failure(Class::Permanent), at(100)).as_str(), "close");
    for class in [Class::Permanent, Class::Unauthorized] {
        assert_eq!(story(&mut machine, "xx", at(101)), "none");
        assert_eq!(one(&mut machine, Outcome::Failure(class), at(101)).code(), "breaker.counted");
    }
}

#[test]
fn an_unknown_fault_leaves_half_open_undecided_once() {
    let mut machine = tripped(plain());
    let unknown = Outcome::Failure(Class::Unknown);
    assert_eq!(one(&mut machine, unknown, at(100)).code(), "breaker.still_probing");
    assert_eq!(one(&mut machine, unknown, at(101)).as_str(), "reopen");
}

#[test]
fn an_abandoned_call_frees_its_slot_and_scores_nothing() {
    let mut machine = machine(plain());
    assert_eq!(story(&mut machine, "xx", at(0)), "none");
    assert_eq!(one(&mut machine, Outcome::Abandoned, at(0)).code(), "breaker.abandoned");
    assert_eq!(story(&mut machine, "x", at(0)), "trip", "it neither reset nor added to the count");
    assert_eq!(one(&mut machine, Outcome::Abandoned, at(100)).code(), "breaker.abandoned");
    assert_eq!(one(&mut machine, Outcome::Success, at(100)).as_str(), "close");
}

#[test]
fn re_entry_ramps_1_2_4() {
    let mut machine = tripped(plain().successes(8));
    for stage in [1, 2, 4] {
        let mut permits = Vec::new();
        while let Admit::Allow { permit, why } = machine.admit(at(100)) {
            permits.push(permit);
            assert_eq!(why, Allowing::Probe { number: u32::try_from(permits.len()).unwrap(), of: stage });
        }
        assert_eq!(permits.len(), usize::try_from(stage).unwrap());
        for permit in permits {
            assert_eq!(machine.settle(permit, Outcome::Success, at(100)).as_str(), "none");
        }
    }
    assert_eq!(one(&mut machine, Outcome::Success, at(100)).as_str(), "close");
}

#[test]
fn reading_the_state_never_changes_it() {
    let mut machine = tripped(plain());
    let before = format!("{machine:?}");
    for seconds in [0, 50, 100, 1_000_000] {
        let _read = (machine.refusal(at(seconds)), machine.standing(), machine.snapshot("x", at(seconds)));
    }
    assert_eq!(format!("{machine:?}"), before);
    assert!(machine.refusal(at(99)).is_some() && machine.refusal(at(100)).is_none());
    let _probe = permit(machine.admit(at(100)));
    let before = format!("{machine:?}");
    // What it says about an ended lease is what the next admission finds.
    assert!(matches!(machine.refusal(at(120)), Some((Refusing::Probing { .. }, _))));
    let said = machine.refusal(at(160));
    assert_eq!(format!("{machine:?}"), before);
    assert_eq!(said, Some(refused(machine.admit(at(160)))));
}

#[test]
fn the_open_interval_grows_to_its_cap_and_shrinks_only_after_a_healthy_period() {
    let mut machine = tripped(plain().healthy(secs(1000)));
    let (mut now, mut intervals) = (0, Vec::new());
    for interval in [100, 200, 400, 800, 800] {
        now += interval;
        match one(&mut machine, FAILURE, at(now)) {
            Moved::Reopen { open_for, .. } => intervals.push(open_for.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(intervals, [200, 400, 800, 800, 800]);
    // One good probe closes it, but the next trip is as long as before.
    now += 800;
    assert_eq!(one(&mut machine, Outcome::Success, at(now)).as_str(), "close");
    let _trip = story(&mut machine, "xxx", at(now + 999));
    assert!(
        matches!(machine.refusal(at(now + 999)), Some((Refusing::Open { open_for, .. }, _)) if open_for == secs(800))
    );
    // Level 7 less four healthy periods is 3: still the cap; less six is 1.
    now += 999 + 800;
    assert_eq!(one(&mut machine, Outcome::Success, at(now)).as_str(), "close");
    let _trip = story(&mut machine, "xxx", at(now + 6500));
    assert!(
        matches!(machine.refusal(at(now + 6500)), Some((Refusing::Open { open_for, .. }, _)) if open_for == secs(200))
    );
}

#[test]
fn the_open_interval_is_jittered_upwards_by_at_most_its_share() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut machine = Machine::new(plain().open_jitter(20), seed, at(0)).unwrap();
        let _none = story(&mut machine, "xx", at(0));
        let Moved::Trip { open_for, .. } = one(&mut machine, FAILURE, at(0)) else { panic!("no trip") };
        assert!(open_for >= secs(100) && open_for <= secs(120), "{open_for:?}");
        seen.insert(open_for);
    }
    assert!(seen.len() > 90);
}

#[test]
fn a_servers_hint_sets_the_open_interval() {
    let mut machine = machine(plain());
    assert_eq!(story(&mut machine, "xx", at(0)), "none");
    let last = permit(machine.admit(at(0)));
    let moved = machine.settle_hinted(last, FAILURE, Some(secs(17)), at(0));
    assert!(matches!(moved, Moved::Trip { open_for, .. } if open_for == secs(17)));
}

#[test]
fn a_block_holds_in_any_state_and_is_never_shortened() {
    let breaker = Breaker::seeded("x", plain(), 1, at(0)).unwrap();
    assert_eq!(breaker.block(secs(60), at(0)), at(60).wall);
    assert_eq!(breaker.block(secs(10), at(1)), at(60).wall);
    assert!(breaker.admit_fast().is_none(), "the fast way knows of it");
    let (why, retry_at) = refused(breaker.admit(at(59)));
    assert_eq!((why, retry_at), (Refusing::Blocked { remaining: secs(1) }, at(60).wall));
    let permit = permit(breaker.admit(at(60)));
    assert_eq!(breaker.settle(permit, Outcome::Success, at(60)).as_str(), "none");
    assert!(breaker.admit_fast().is_some(), "and that it is over");
}

#[test]
fn shadow_mode_refuses_nothing_and_says_what_it_would_have_refused() {
    let mut machine = tripped(plain().mode(Mode::Shadow));
    let Admit::Allow { permit, why } = machine.admit(at(1)) else { panic!("refused") };
    assert!(matches!(why, Allowing::Shadow { instead_of: Refusing::Open { .. } }));
    assert_eq!(machine.settle(permit, FAILURE, at(1)).code(), "breaker.unscored");
    assert_eq!(one(&mut machine, Outcome::Success, at(100)).as_str(), "close");
}

#[test]
fn a_person_can_force_it_open_disable_it_and_close_it() {
    let breaker = Breaker::seeded("x", plain(), 1, at(0)).unwrap();
    breaker.force(Some(Mode::ForcedOpen));
    assert!(breaker.admit_fast().is_none());
    assert_eq!(refused(breaker.admit(at(1_000_000))).0, Refusing::ForcedOpen);
    breaker.force(Some(Mode::Disabled));
    for _ in 0..10 {
        let permit = breaker.admit_fast().unwrap();
        assert_eq!(breaker.settle(permit, FAILURE, at(0)).code(), "breaker.unscored");
    }
    breaker.force(None);
    for _ in 0..3 {
        let permit = breaker.admit_fast().unwrap();
        let _moved = breaker.settle(permit, FAILURE, at(0));
    }
    assert_eq!(breaker.standing(), Standing::Open);
    breaker.close(at(1));
    assert!(breaker.admit_fast().is_some());
}

#[test]
fn memory_is_bounded_whatever_the_traffic() {
    let policy =
        Policy::service().rate(Rate { percent: 100, calls: 1024, min: 1024, within: Some(secs(3600)) });
    let mut machine = machine(policy);
    for n in 0..100_000 {
        let _moved = one(&mut machine, Outcome::Success, at(n));
    }
    let saved = serde_json::to_string(&machine.snapshot("x", at(100_000))).unwrap();
    assert!(saved.len() < 64 * 1024, "{}", saved.len());
    assert!(format!("{machine:?}").len() < 256 * 1024);
}
