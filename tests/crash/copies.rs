//! Namesakes, twins and several copies of the program: each content is loaded once, under a name of its own.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, names, syslog};

#[test]
fn namesakes_with_other_content_get_a_name_of_their_own() {
    let world = World::new();
    for day in 0..3 {
        fs::write(world.inbox().join("app.log"), format!("day {day}\n")).unwrap();
        let pass = world.pass();
        assert_eq!(pass.code, Some(0), "{pass:?}");
    }
    // The first day's again: it is known, and takes no name away.
    fs::write(world.inbox().join("app.log"), "day 0\n").unwrap();
    let pass = world.pass();
    let again = pass.told(pass.lines()[0]["file"].as_str().unwrap());
    assert_eq!((&again["duplicate"], &again["state"]), (&true.into(), &"succeeded".into()), "{again}");
    let archive = world.root().join("archive");
    let contents: Vec<_> =
        names(&archive).iter().map(|name| fs::read_to_string(archive.join(name)).unwrap()).collect();
    for day in 0..3 {
        let found = contents.iter().filter(|content| **content == format!("day {day}\n")).count();
        assert_eq!(found, if day == 0 { 2 } else { 1 }, "{contents:?}");
    }
    assert_eq!((contents.len(), world.rows()), (4, 3));
}

#[test]
fn the_same_content_while_the_first_is_in_work_is_loaded_once() {
    let world = World::new();
    world.drop("first.log", syslog(8_000, "twin"), false);
    let mut first = world.command().stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while world.inbox().join("first.log").exists() {
        assert!(started.elapsed() < Duration::from_secs(20), "it was never taken");
        thread::sleep(Duration::from_millis(2));
    }
    world.drop("second.log", syslog(8_000, "twin"), false);
    let told = world.pass().told("second.log");
    // Unless the first has ended already, the second waits in the inbox and says for whom.
    assert_eq!(told["duplicate"], true, "{told}");
    assert!(["job.busy", "ingest.duplicate"].contains(&told["code"].as_str().unwrap()), "{told}");
    first.wait().unwrap();
    world.settle();
    world.verify("twins");
}

#[test]
fn two_copies_on_many_files_load_each_once() {
    let world = World::new();
    for n in 0..60 {
        world.drop(&format!("many-{n:02}.log"), syslog(20 + n, &format!("file {n}")), false);
    }
    let mut copies = [world.ingest(&[]), world.ingest(&[])];
    for copy in &mut copies {
        assert!(matches!(copy.wait().unwrap().code(), Some(0 | 75)));
    }
    world.settle();
    world.verify("two copies");
}

/// Who is stopped within a transaction of its own holds the store's lock, and no lease can help the others then.
fn stop_between_writes(world: &World, pid: Pid) {
    loop {
        kill_process(pid, Signal::STOP).unwrap();
        let db = Connection::open(world.root().join("ingest.db")).unwrap();
        db.busy_timeout(Duration::from_millis(20)).unwrap();
        if db.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return;
        }
        kill_process(pid, Signal::CONT).unwrap();
        thread::sleep(Duration::from_millis(3));
    }
}

/// A copy that sleeps past its lease is taken over, and what it does when it wakes changes nothing.
#[test]
fn a_stopped_copy_is_taken_over_and_does_no_harm_when_it_wakes() {
    let mut taken_over = 0;
    for round in 0..4_u64 {
        let world = World::new();
        world.drop("long.log", syslog(20_000, "stopped"), false);
        let mut stopped = Killed(world.ingest(&[]));
        let started = Instant::now();
        while world.rows_so_far().unwrap_or_default() < 200 + 400 * round {
            assert!(started.elapsed() < Duration::from_secs(20), "nothing was loaded");
        }
        let pid = Pid::from_child(&stopped.0);
        stop_between_writes(&world, pid);
        thread::sleep(Duration::from_millis(700));
        let pass = world.pass();
        taken_over += u32::from(pass.lines().iter().any(|line| line["state"] == "succeeded"));
        kill_process(pid, Signal::CONT).unwrap();
        assert!(matches!(stopped.0.wait().unwrap().code(), Some(0 | 75)));
        world.settle();
        world.verify(&format!("stopped in round {round}"));
    }
    assert!(taken_over > 0, "nobody ever took over from a stopped copy");
}

/// A process that does not outlive a test that fails, stopped as it may be.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
