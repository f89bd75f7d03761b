//! One open alert for a kind, told ever more seldom, closed when it is over, and a limit on all together.

use super::*;
use crate::base::explain::Explain;
use crate::decide::baseline::{Again, Closed};

fn at_once() -> Policy {
    small().hold(Duration::ZERO)
}

#[test]
fn an_open_alert_counts_and_is_told_ever_more_seldom() {
    let mut world = World::active(at_once().realert(HOUR, 4 * HOUR).healthy(1, 24 * HOUR));
    let mut told = Vec::new();
    for minute in 0..60 * 24_u64 {
        if world.see("leak") == Outcome::Tell {
            told.extend(world.told().into_iter().map(|finding| (minute / 60, finding)));
        }
        world.wait(Duration::from_secs(60));
    }
    let hours: Vec<u64> = told.iter().map(|(hour, _)| *hour).collect();
    assert_eq!(hours, [0, 1, 3, 7, 11, 15, 19, 23]);
    let Finding::Again(Again { times, told: number, next_after, .. }) = &told[2].1 else {
        panic!("{told:?}")
    };
    assert_eq!((*times, *number, *next_after), (120, 3, 4 * HOUR));
    assert_eq!(told[2].1.code(), "baseline.again");
    assert!(told[2].1.to_string().starts_with("`leak`: seen 120 times since it was told, open since 2026-"));
}

#[test]
fn an_alert_is_closed_when_its_kind_is_not_seen_for_long_enough() {
    let mut world = World::active(at_once());
    assert_eq!(world.see("blip"), Outcome::Tell);
    assert_eq!(world.told().len(), 1);
    world.wait(HOUR / 2);
    assert!(matches!(world.see("blip"), Outcome::Quiet(Quiet::Counted { times: 1 })));
    world.wait(HOUR - Duration::from_nanos(1));
    assert!(world.told().is_empty());
    world.wait(Duration::from_nanos(1));
    let told = world.told();
    let [Finding::Closed(Closed { times: 1, healthy, .. })] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*healthy, HOUR);
    assert!(!told[0].is_alert());
    // Seen twice: it is rare still, and a new alert.
    assert_eq!(world.see("blip"), Outcome::Tell);
    assert_eq!(world.told()[0].code(), "baseline.rare");
}

#[test]
fn the_threshold_to_close_is_lower_than_that_to_open() {
    // Fewer than 3 an hour are healthy.
    let mut world = World::active(at_once().healthy(3, HOUR).realert(24 * HOUR, 24 * HOUR));
    assert_eq!(world.see("flap"), Outcome::Tell);
    let opened = world.told();
    assert_eq!(opened.len(), 1);
    for _ in 0..20 {
        world.wait(HOUR / 4);
        let _counted = world.see("flap");
        assert!(world.told().is_empty(), "four an hour are too many");
    }
    for _ in 0..10 {
        world.wait(HOUR * 2 / 3);
        let _any = world.see("flap");
    }
    let told = world.told();
    assert!(matches!(&told[..], [Finding::Closed(_)]), "{told:?}");
}

#[test]
fn what_is_over_the_limit_of_all_alerts_is_in_the_digest() {
    // Not so many within a window that it would be a storm.
    let mut world = World::active(at_once().alerts_max(3, HOUR).healthy(1, 24 * HOUR));
    let mut told = 0;
    for n in 0..10 {
        let _any = world.see(&format!("bad {n}"));
        told += world.told().len();
        for n in 0..100 {
            world.known(n);
        }
    }
    assert_eq!(told, 3);
    let digest = world.baseline.take_digest();
    assert_eq!((digest.overflow, digest.minor, digest.examples.len()), (7, 0, 7));
    world.wait(2 * HOUR);
    for n in 0..10 {
        let _any = world.see(&format!("worse {n}"));
        told += world.told().len();
        for n in 0..100 {
            world.known(n);
        }
    }
    assert_eq!(told, 5, "one more each hour");
}

#[test]
fn more_alerts_than_may_be_open_are_in_the_digest() {
    let mut world = World::active(at_once().open_max(2));
    let mut told = 0;
    for n in 0..5 {
        let _any = world.see(&format!("bad {n}"));
        told += world.told().len();
        for n in 0..100 {
            world.known(n);
        }
    }
    assert_eq!((told, world.baseline.take_digest().overflow), (2, 3));
}

#[test]
fn what_nobody_takes_is_bounded() {
    let policy = at_once().alerts_max(1000, Duration::from_millis(1)).open_max(65_536);
    let mut world = World::active(policy);
    for n in 0..600_u64 {
        assert_eq!(world.see(&format!("bad {n}")), Outcome::Tell);
        for n in 0..100 {
            let _any = world.see(&format!("step {}", n % 10));
        }
    }
    assert_eq!(world.told().len(), 256);
    assert_eq!(world.baseline.take_digest().overflow, 600 - 256);
}

#[test]
fn what_stands_for_many_is_told_though_nobody_takes() {
    let policy = at_once().alerts_max(1000, Duration::from_millis(1)).open_max(65_536);
    let mut world = World::active(policy);
    for n in 0..300_u64 {
        let _any = world.see(&format!("bad {n}"));
        for n in 0..100 {
            let _any = world.see(&format!("step {}", n % 10));
        }
    }
    for n in 0..60 {
        let _storm = world.see(&format!("other {n}"));
    }
    let told = world.told();
    let storms = told.iter().filter(|finding| matches!(finding, Finding::RegimeChange(_))).count();
    assert_eq!((told.len(), storms), (256, 1));
}

#[test]
fn nothing_has_to_happen_for_an_end_or_a_silence_to_be_told() {
    let mut world = World::active(at_once());
    assert_eq!(world.see("bad"), Outcome::Tell);
    assert_eq!(world.told().len(), 1);
    for code in ["baseline.closed", "baseline.stale"] {
        let wake = world.baseline.next_wake().expect("there is more to come");
        assert!(wake > world.now.moment, "{code}");
        world.wait(wake.since(world.now.moment));
        let told = world.told();
        assert_eq!(told.iter().map(Explain::code).collect::<Vec<_>>(), [code]);
    }
    assert_eq!(world.baseline.next_wake(), None);
}

#[test]
fn what_was_not_taken_before_a_restart_is_asked_for_at_once() {
    let mut world = World::active(at_once());
    assert_eq!(world.see("bad"), Outcome::Tell);
    let saved = world.baseline.save(world.now);
    let (mut baseline, _) = Baseline::restore(at_once(), saved, world.now).unwrap();
    assert!(baseline.next_wake().is_some_and(|wake| wake <= world.now.moment));
    assert!(matches!(baseline.take(world.now), Some(Finding::Rare(_))));
}

#[test]
fn an_interval_that_is_left_out_keeps_nothing_from_being_told_and_ends() {
    let mut world = World::active(at_once());
    assert_eq!(world.see("bad"), Outcome::Tell);
    assert_eq!(world.told().len(), 1);
    let (from, to) = (world.now.wall, world.now.after(2 * HOUR).wall);
    world.baseline.exclude(from, to, world.now).unwrap();
    world.wait(HOUR);
    assert_eq!(world.see("step 1"), Outcome::Tell, "the alert is over");
    assert_eq!(world.told().len(), 1);
    world.wait(HOUR);
    for n in 0..200 {
        world.known(n);
    }
    assert_eq!(world.baseline.excluded, []);
}
