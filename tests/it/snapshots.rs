//! Saved states that are larger than a record: whole, or an error.

use unattended::baseline::{self, Baseline, Severity};
use unattended::blocking::block_on;
use unattended::snapshots::{LARGE_MAX, Saved, Snapshots};
use unattended::store::{Batch, Error, Expect, Ns, Put, Write};
use unattended::time::Clock;

use crate::world::World;

fn saved(saved: Result<Saved, Error>) -> u64 {
    match saved.unwrap() {
        Saved::Done(version) => version,
        Saved::Raced => panic!("raced"),
    }
}

/// Text that is quoted to twice its length, and characters of several bytes at every boundary.
fn value(n: usize, seed: usize) -> Vec<String> {
    (0..n).map(|i| format!("{}\"\\\u{1}ä€{}", "x".repeat((i * seed) % 7), i * seed)).collect()
}

#[test]
fn a_large_state_comes_back_as_it_was_saved() {
    let world = World::new();
    let states = Snapshots::new(world.store.clone());
    assert!(block_on(states.load_large::<Vec<String>>("baseline/a")).unwrap().is_none());
    let mut version = None;
    for (n, seed) in [(0, 1), (4000, 3), (12_000, 5), (10, 7), (6000, 11)] {
        let value = value(n, seed);
        version = Some(saved(block_on(states.save_large("baseline/a", "baseline", &value, version))));
        let loaded = block_on(states.load_large::<Vec<String>>("baseline/a")).unwrap().unwrap();
        assert!(loaded.value == value && Some(loaded.version) == version);
    }
}

#[test]
fn whoever_saves_on_an_older_version_is_told() {
    let world = World::new();
    let (one, other) = (Snapshots::new(world.store.clone()), Snapshots::new(world.other()));
    let first = saved(block_on(one.save_large("a", "k", &value(4000, 1), None)));
    assert!(matches!(block_on(other.save_large("a", "k", &value(4000, 2), None)), Ok(Saved::Raced)));
    saved(block_on(other.save_large("a", "k", &value(4000, 3), Some(first))));
    assert!(matches!(block_on(one.save_large("a", "k", &value(4000, 4), Some(first))), Ok(Saved::Raced)));
    let loaded = block_on(one.load_large::<Vec<String>>("a")).unwrap().unwrap();
    assert!(loaded.value == value(4000, 3));
}

#[test]
fn a_part_that_is_not_the_one_that_was_saved_is_damage() {
    for damage in ["\"other\"", "no text"] {
        let world = World::new();
        let states = Snapshots::new(world.store.clone());
        saved(block_on(states.save_large("a", "k", &value(9000, 1), None)));
        let part = block_on(world.store.get(Ns::SNAPSHOT, "a#0.3")).unwrap().unwrap();
        let put = Put { body: Some(damage.into()), ..Put::default() };
        let write = Write::new(Ns::SNAPSHOT, "a#0.3", Expect::Version(part.version), put);
        block_on(world.store.apply(Batch::of(write))).unwrap();
        let loaded = block_on(states.load_large::<Vec<String>>("a"));
        assert!(matches!(loaded, Err(Error::Corrupt { .. })), "{loaded:?}");
    }
}

#[test]
fn what_is_too_large_is_refused_and_what_stands_stays() {
    let world = World::new();
    let states = Snapshots::new(world.store.clone());
    let first = saved(block_on(states.save_large("a", "k", &"small", None)));
    let large = "x".repeat(LARGE_MAX);
    let refused = block_on(states.save_large("a", "k", &large, Some(first))).unwrap_err();
    assert!(refused.to_string().starts_with("snapshot is 7340034; allowed is at most 7340032"), "{refused}");
    let most = "\"".repeat(LARGE_MAX / 2 - 1);
    let version = saved(block_on(states.save_large("a", "k", &most, Some(first))));
    let loaded = block_on(states.load_large::<String>("a")).unwrap().unwrap();
    assert!(loaded.value == most && loaded.version == version);
}

#[test]
fn a_reader_beside_a_writer_sees_one_state_or_another() {
    let world = World::new();
    let states = Snapshots::new(world.store.clone());
    let mut version = saved(block_on(states.save_large("a", "k", &value(3000, 1), None)));
    std::thread::scope(|scope| {
        let reader = Snapshots::new(world.other());
        let written: Vec<_> = (1..20).map(|seed| value(3000, seed)).collect();
        let reading = scope.spawn(move || {
            (0..20).all(|_| match block_on(reader.load_large::<Vec<String>>("a")) {
                Ok(Some(loaded)) => written.contains(&loaded.value),
                // Replaced while it was read, again and again: said, not guessed.
                Err(Error::Corrupt { detail }) => detail.contains("replaced each time"),
                other => panic!("{other:?}"),
            })
        });
        for seed in 2..20 {
            version = saved(block_on(states.save_large("a", "k", &value(3000, seed), Some(version))));
        }
        assert!(reading.join().unwrap());
    });
}

#[test]
fn a_baseline_in_the_store_goes_on_in_the_next_process() {
    let world = World::new();
    let policy = baseline::Policy::new();
    let mut first = Baseline::new(policy, 7, world.sim.now()).unwrap();
    for n in 0..60_000u32 {
        let _outcome = first.observe(format!("kind {}", n % 12_000), Severity::Info, world.sim.now());
    }
    let states = Snapshots::new(world.store.clone());
    saved(block_on(states.save_large("baseline/log", "baseline", &first.save(world.sim.now()), None)));
    world.secs(60);
    let next = Snapshots::new(world.other());
    let found = block_on(next.load_large::<baseline::Saved>("baseline/log")).unwrap().unwrap();
    let (mut second, noticed) = Baseline::restore(policy, found.value, world.sim.now()).unwrap();
    assert_eq!((noticed.len(), second.evidence()), (0, first.evidence()));
    for kind in ["kind 5", "kind 11999", "never seen"] {
        let outcome = second.observe(kind, Severity::Error, world.sim.now());
        assert_eq!(outcome, first.observe(kind, Severity::Error, world.sim.now()), "{kind}");
    }
}
