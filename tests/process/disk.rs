//! A disk that is full: what runs can end, new work is refused by name, and room makes it well.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{ApplyError, Batch, Error, Expect, LeaseChange, Ns, Put, Write};

use crate::kit::{Player, alone, claim};

/// A small file system of its own, unmounted at the end.
pub struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    pub fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "unattended-test"])
            .arg(at)
            .output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Self(at))
    }

    pub fn read_only(&self) {
        let done = Command::new("mount").args(["-o", "remount,ro"]).arg(self.0).status().unwrap();
        assert!(done.success(), "remount");
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

#[test]
fn a_full_disk_refuses_new_work_and_lets_what_runs_end() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(folder.path(), "20m") else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path).unwrap();
    assert!(store.info().unwrap().reserve_stands);
    let held = claim(&store, "runs", Duration::from_secs(60)).unwrap().first().unwrap().fence;

    let filler = folder.path().join("filler");
    fill(&filler);
    let refused = (0..3_000).find_map(|index| {
        let put = Put { body: Some(format!("{:?}", "x".repeat(4_000))), ..Put::nothing() };
        Blocking(&store)
            .apply(Batch::of(Write::new(Ns::RUN, format!("new-{index}"), Expect::Absent, put)))
            .err()
    });
    let refused = refused.expect("3000 records of 4 kB do not fit");
    assert!(matches!(refused, ApplyError::NotApplied(Error::Full { .. })), "{refused:?}");
    let info = store.info().unwrap();
    assert!(info.disk_full && !info.reserve_stands, "{info:?}");

    for _ in 0..50 {
        let renew = Write::new(Ns::RUN, "runs", Expect::Fence(held), Put::renew(Duration::from_secs(60)));
        Blocking(&store).apply(Batch::of(renew)).expect("a lease can be renewed on a full disk");
    }
    let end = Put { lease: LeaseChange::End, state: Some("succeeded".into()), ..Put::nothing() };
    Blocking(&store)
        .apply(Batch::of(Write::new(Ns::RUN, "runs", Expect::Fence(held), end)))
        .expect("a run can end");

    std::fs::remove_file(&filler).unwrap();
    let mut again = claim(&store, "after", Duration::from_secs(60));
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        again = claim(&store, "after", Duration::from_secs(60));
    }
    again.expect("there is room again");
    let info = store.info().unwrap();
    assert!(!info.disk_full && info.reserve_stands, "{info:?}");
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn opening_on_a_full_disk_says_so() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(folder.path(), "1m") else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let filler = folder.path().join("filler");
    fill(&filler);
    let error = Sqlite::open(folder.path().join("store.db")).expect_err("there is no room");
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    std::fs::remove_file(&filler).unwrap();
    let store =
        Sqlite::open(folder.path().join("store.db")).expect("there is room now, though none for a reserve");
    claim(&store, "a", Duration::from_secs(1)).unwrap();
}

#[test]
fn opening_on_a_disk_that_filled_since_gives_the_reserve_back() {
    let _alone = alone();
    for read_only in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let Some(_small) = Small::mount(folder.path(), "20m") else {
            eprintln!("skipped: a small file system cannot be mounted here");
            return;
        };
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path).unwrap();
        claim(&store, "runs", Duration::from_secs(60)).unwrap();
        drop(store);
        let filler = folder.path().join("filler");
        fill(&filler);

        if read_only {
            let store = Sqlite::options().read_only().open(&path).expect("the reserve is for -shm too");
            assert!(Blocking(&store).get(Ns::RUN, "runs").unwrap().is_some());
        }
        // The second handle finds no reserve and some room, and is not deceived by it.
        for _ in 0..2 {
            let store = Sqlite::open(&path).expect("the reserve is for -shm too");
            let info = store.info().unwrap();
            assert!(info.disk_full && !info.reserve_stands, "{info:?}");
            let refused = claim(&store, "new", Duration::from_secs(1)).expect_err("new work waits for room");
            assert!(matches!(refused, ApplyError::NotApplied(Error::Full { .. })), "{refused:?}");
            let saved = Write::new(Ns::SNAPSHOT, "alert/full", Expect::Absent, Put::nothing());
            // The second time it is there already; either way it was not refused for the disk.
            let saved = Blocking(&store).apply(Batch::of(saved));
            assert!(matches!(saved, Ok(_) | Err(ApplyError::Conflict(_))), "{saved:?}");
        }
        std::fs::remove_file(&filler).unwrap();
        let store = Sqlite::open(&path).unwrap();
        let info = store.info().unwrap();
        assert!(!info.disk_full && info.reserve_stands, "{info:?}");
        claim(&store, "new", Duration::from_secs(1)).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn an_io_error_closes_the_handle_and_loses_nothing_that_was_acknowledged() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut said = Player::start_limited("fail", &path, 1024).finish();
    let after = said.split_off(said.len() - 3);
    assert_eq!(after, ["true", "true", "true"], "writes and reads are refused, and info says so");
    let outcome = said.pop().unwrap();
    assert_eq!(outcome, "unknown", "a commit that failed in the file system");
    assert!(said.len() > 10, "only {} writes before the limit", said.len());
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    for number in said {
        assert!(Blocking(&store).get(Ns::RUN, &format!("k{number}")).unwrap().is_some(), "{number} is lost");
    }
}

/// Writes until not a byte more fits.
pub fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0_u8; size];
        while file.write_all(&chunk).is_ok() {}
    }
}
