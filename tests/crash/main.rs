//! Kills the real `ingest` process with SIGKILL, at every named point and at random times, with two copies running, and
//! starts it again: nothing is lost, and nothing happens twice.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test of processes: it fails by panicking, and it waits for what processes do in real time"
)]

mod backup;
mod bad_input;
mod bad_place;
mod copies;
mod operators;
mod world;

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use unattended::rng::{Rng, entropy};

use crate::world::{World, points};

const SIGKILL: i32 = 9;

#[test]
fn killed_at_every_point_alone_and_beside_another_copy() {
    let points = points();
    assert!(points.len() > 30, "{points:?}");
    for point in &points {
        let world = World::new();
        world.drop_everything();
        let status = world.ingest(&["--crash-at", point]).wait().unwrap();
        assert_eq!(status.signal(), Some(SIGKILL), "{point} was never reached: {status}");
        world.settle();
        world.verify(point);
    }
    for point in &points {
        let world = World::new();
        world.drop_everything();
        let mut killed = world.ingest(&["--crash-at", point]);
        let mut other = world.ingest(&[]);
        let status = killed.wait().unwrap();
        // The other copy may have done all the work that leads past this point.
        assert!(status.signal() == Some(SIGKILL) || status.code().is_some(), "{point}: {status}");
        other.wait().unwrap();
        world.settle();
        world.verify(point);
    }
}

#[test]
fn killed_at_fifty_random_times_with_two_copies_running() {
    let seed = std::env::var("UNATTENDED_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(entropy);
    let mut rng = Rng::seeded(seed);
    let world = World::new();
    let (mut kills, mut round) = (0, 0);
    while kills < 50 {
        assert!(round < 150, "only {kills} kills met a living process: make the work longer (seed {seed})");
        world.drop_round(round);
        round += 1;
        let mut copies = [world.ingest(&[]), world.ingest(&[])];
        for copy in &mut copies {
            thread::sleep(Duration::from_millis(rng.up_to(120)));
            copy.kill().unwrap();
            kills += u32::from(copy.wait().unwrap().signal() == Some(SIGKILL));
        }
    }
    world.settle();
    world.verify(&format!("seed {seed}"));
}
