//! What a retention keeps, and when it does nothing.

use std::fs;
use std::time::Duration;

use unattended::backup::{InvalidRetention, Keep, Pruned, Retention};
use unattended::explain::Explain;
use unattended::zone::Zone;

use super::{HOUR, World, name_of, text};

/// So many versions, one in each span.
fn world(versions: u64, every: Duration) -> World {
    let mut world = World::new();
    for version in 0..versions {
        world.write("page", text(version, 400));
        world.later(every);
        world.run();
    }
    world
}

fn removed(pruned: Pruned) -> Vec<u64> {
    match pruned {
        Pruned::Done { removed, .. } => removed.into_iter().map(|(_, sequence)| sequence).collect(),
        Pruned::Refused(why) => panic!("{why}"),
    }
}

fn left(world: &World) -> Vec<u64> {
    world.versions("page").iter().map(|version| version.sequence).collect()
}

#[test]
fn the_newest_are_kept_and_the_contents_of_the_others_go() {
    let world = world(10, HOUR);
    let pruned = world.store().prune(&Retention::last(3), world.now).unwrap();
    let Pruned::Done { kept, contents, .. } = &pruned else { panic!("{pruned:?}") };
    assert_eq!((*kept, *contents), (3, 7));
    assert_eq!((removed(pruned), left(&world)), ((1..=7).collect(), vec![8, 9, 10]));
    assert!(world.is_sound());
    assert_eq!(world.codes(), [], "the reference is the one that it was");
    world.write("page", text(99, 400));
    assert_eq!(world.run().sequence, Some(11), "numbers go on");
}

#[test]
fn days_weeks_and_months_keep_the_newest_of_each() {
    // 60 days from 1 March on, four versions a day: at 06:00, 12:00, 18:00 and 00:00 of the next.
    let world = world(240, 6 * HOUR);
    let versions = world.versions("page");
    let retention = Retention { daily: 3, weekly: 2, monthly: 4, ..Retention::last(2) };
    let plan = retention.plan(&versions, None, world.now.wall);
    let kept: Vec<_> = versions
        .iter()
        .zip(&plan)
        .filter_map(|(version, keep)| {
            keep.map(|keep| (version.stored_at.format("%m-%d %H").to_string(), keep))
        })
        .collect();
    let told = [
        ("03-31 18", Keep::Monthly),
        ("04-26 18", Keep::Weekly),
        ("04-28 18", Keep::Daily),
        ("04-29 18", Keep::Last),
        ("04-30 00", Keep::Reference),
    ];
    assert_eq!(kept, told.map(|(at, keep)| (at.to_owned(), keep)));

    // Two hours to the east the last of a day is another one.
    let east = Retention { zone: "+06:00".parse::<Zone>().unwrap(), ..retention };
    let plan = east.plan(&versions, None, world.now.wall);
    let months: Vec<_> = versions.iter().zip(plan).filter(|(_, keep)| *keep == Some(Keep::Monthly)).collect();
    assert_eq!(months[0].0.stored_at.format("%m-%d %H").to_string(), "03-31 12");
}

#[test]
fn the_reference_the_pinned_and_the_last_verified_one_are_never_removed() {
    let mut world = world(5, HOUR);
    assert!(world.is_sound());
    for version in 5..10 {
        world.write("page", text(version, 400));
        world.later(HOUR);
        world.run();
    }
    world.store().pin(&name_of("page"), 2, true).unwrap();
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
    assert_eq!(left(&world), [2, 5, 10], "pinned, verified, reference");
    world.store().pin(&name_of("page"), 2, false).unwrap();
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
    assert_eq!(left(&world), [5, 10]);
    assert!(world.is_sound());
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
    assert_eq!(left(&world), [10], "now a newer one is verified");
}

#[test]
fn the_version_before_a_file_shrank_outlives_every_retention() {
    let mut world = world(3, HOUR);
    world.write("page", "");
    world.run();
    for version in 10..15 {
        world.write("page", text(version, 400));
        world.later(HOUR);
        world.run();
    }
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
    assert_eq!(left(&world), [3, 9]);
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
    assert_eq!(left(&world), [3, 9], "also after the index was put together");
}

#[test]
fn versions_from_the_future_are_kept_and_take_nobodys_place() {
    let mut world = world(3, HOUR);
    let sound = world.now;
    world.now.wall += chrono::TimeDelta::days(365 * 16);
    world.write("page", text(50, 400));
    world.run();
    world.now = sound.after(HOUR);
    // While the newest version is from the future nothing is removed at all.
    let refused = world.store().prune(&Retention::last(1), world.now).unwrap();
    let Pruned::Refused(why) = refused else { panic!("{refused:?}") };
    assert_eq!(why.code(), "backup.clock_went_back");
    world.write("page", text(51, 400));
    world.run();
    // The clock has jumped ahead in between, and a person says that it is right now.
    let retention = Retention { trust_clock: true, ..Retention::last(2) };
    assert_eq!(removed(world.store().prune(&retention, world.now).unwrap()), [1, 2]);
    assert_eq!(left(&world), [3, 4, 5], "two that count, and the one from the future");
}

#[test]
fn a_clock_that_jumped_ahead_removes_nothing() {
    let mut world = world(5, HOUR);
    world.now.wall += chrono::TimeDelta::days(365 * 16);
    // Also not when a run was first to meet the new time.
    for run in [false, true] {
        if run {
            world.run();
        }
        let refused = world.store().prune(&Retention::last(1), world.now).unwrap();
        let Pruned::Refused(why) = refused else { panic!("{refused:?}") };
        assert_eq!(why.code(), "backup.clock_jumped");
        assert_eq!(left(&world).len(), 5);
    }
    let retention = Retention { trust_clock: true, ..Retention::last(1) };
    assert_eq!(removed(world.store().prune(&retention, world.now).unwrap()).len(), 4);
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
}

#[test]
fn a_retention_that_keeps_nothing_is_refused() {
    assert_eq!(Retention::last(0).check(), Err(InvalidRetention::Nothing));
    let long = Retention { jump_max: Duration::MAX, ..Retention::last(1) };
    assert!(matches!(long.check(), Err(InvalidRetention::JumpMax { .. })));
    let world = world(2, HOUR);
    assert!(world.store().prune(&Retention::last(0), world.now).is_err());
    assert_eq!(left(&world).len(), 2);
}

#[test]
fn a_prune_that_was_killed_is_finished_by_the_next_one() {
    let world = world(4, HOUR);
    let index = world.folder.path().join("store/index");
    let before: Vec<_> = fs::read_dir(&index)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    drop(removed(world.store().prune(&Retention::last(1), world.now).unwrap()));
    // The new file is there and the old ones are too.
    before.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
    assert_eq!(left(&world), [4]);
    assert!(world.is_sound());
}
