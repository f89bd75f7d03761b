//! The invariants, for 20 seeds, and that they can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use unattended::retry::Tried;
use unattended::time::{Timestamp, later};

use crate::naive::Naive;
use crate::ours::{self, Ours};
use crate::report::Week;
use crate::week::live;
use crate::world::{Trouble, World};
use crate::{now, tasks::Dependency};

const SEEDS: u64 = 20;

fn naive_week(seed: u64) -> Week {
    let world = World::new(seed, ours::breaker()).unwrap();
    let seen = live(&world, &mut Naive::default());
    Week::of(&world, seen, &BTreeSet::new())
}

fn our_week(seed: u64) -> Week {
    let world = World::new(seed, ours::breaker()).unwrap();
    let mut job = Ours::new(&world);
    let seen = live(&world, &mut job);
    Week::of(&world, seen, &job.found_dead().unwrap())
}

/// Some weeks, on all processors.
fn weeks(of: fn(u64) -> Week) -> Vec<(u64, Week)> {
    let (next, weeks) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let week = of(seed);
                    weeks.lock().unwrap_or_else(PoisonError::into_inner).push((seed, week));
                }
            });
        }
    });
    weeks.into_inner().unwrap()
}

/// Calls that were made before the instant that the dependency had named with a 429: counted from the log alone.
fn against_a_hint(week: &Week) -> usize {
    let mut hints: BTreeMap<Dependency, Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    for entry in &week.log {
        if let (Some(Trouble::TooMany { retry_after: Some(wait) }), Some(ended)) =
            (&entry.trouble, entry.ended)
        {
            hints.entry(entry.op.on).or_default().push((ended, later(ended, *wait)));
        }
    }
    let forbids = |on, at| {
        hints.get(&on).is_some_and(|hints| hints.iter().any(|(said, until)| *said < at && at < *until))
    };
    week.log.iter().filter(|entry| forbids(entry.op.on, entry.at)).count()
}

#[test]
fn with_our_policies_nothing_is_lost_doubled_or_asked_of_what_forbids_it() {
    let weeks = weeks(our_week);
    assert_eq!(weeks.len() as u64, SEEDS);
    for (seed, week) in &weeks {
        assert_eq!(week.lost, 0, "seed {seed}: a task is neither done nor in the dead letters");
        assert_eq!(week.duplicates, 0, "seed {seed}: an effect is duplicated");
        assert_eq!(week.forbidden, 0, "seed {seed}: a call was made against a hint or a breaker");
        assert_eq!(against_a_hint(week), 0, "seed {seed}: a call was made against a hint");
        assert_eq!(
            (week.seen.normal, week.seen.by_hand),
            (week.seen.runs, 0),
            "seed {seed}: {:?}",
            week.seen
        );
        assert_eq!(week.done + week.dead, week.tasks, "seed {seed}");
        assert!(week.dead * 20 < week.tasks, "seed {seed}: {} of {} given up", week.dead, week.tasks);
        assert!(week.longest <= ours::ATTEMPT, "seed {seed}: a call of {:?} was not cut", week.longest);
    }
    let given_up = |week: &Week| week.log.iter().any(|entry| entry.given_up);
    assert!(weeks.iter().any(|(_, week)| given_up(week)), "no call met silence");
    assert!(weeks.iter().any(|(_, week)| week.dead > 0), "no task had to be given up");
}

#[test]
fn the_naive_job_breaks_each_of_the_three() {
    let weeks = weeks(naive_week);
    let some = |broken: fn(&Week) -> bool| weeks.iter().any(|(_, week)| broken(week));
    assert!(some(|week| week.lost > 0), "none lost a task");
    assert!(some(|week| week.duplicates > 0), "none doubled an effect");
    assert!(some(|week| week.wasted > 0 && week.forbidden >= week.wasted), "none called what was dead");
    assert!(some(|week| against_a_hint(week) > 0), "none called against a hint");
    assert!(some(|week| week.seen.crashed > 0) && some(|week| week.seen.killed > 0));
}

#[test]
fn a_future_that_meets_silence_is_cut_and_the_others_are_not_delayed() {
    let met = now::futures().unwrap();
    now::not_delayed(&met).unwrap();
    assert_eq!(codes(&met), ["call.timed_out", "call.timed_out"]);
    assert!(tried(&met).all(|tried| tried.overrun.is_none()));
}

#[test]
fn a_thread_that_meets_silence_is_left_behind_and_the_others_are_not_delayed() {
    let met = now::threads().unwrap();
    now::not_delayed(&met).unwrap();
    assert_eq!(codes(&met), ["call.timed_out", "call.timed_out"]);
    assert!(tried(&met).all(|tried| tried.overrun.is_none()));
}

#[test]
fn a_call_that_cannot_be_cut_is_told_its_time_and_its_overrun_is_reported() {
    let met = now::blocking().unwrap();
    now::not_delayed(&met).unwrap();
    assert_eq!(codes(&met), ["reqwest.timed_out", "reqwest.timed_out"]);
    for tried in tried(&met) {
        assert!(tried.overrun.is_some_and(|over| over >= now::OWN - now::ATTEMPT), "{tried:?}");
    }
}

/// The attempts of the one engine that was stopped.
fn tried(met: &[now::Met]) -> impl Iterator<Item = &Tried> {
    met.iter().filter_map(|met| met.stopped.as_ref()).flat_map(|stopped| stopped.attempts().iter())
}

fn codes(met: &[now::Met]) -> Vec<&str> {
    tried(met).map(|tried| &*tried.code).collect()
}
