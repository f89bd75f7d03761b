//! What the process tests do not reach: bad places, names, what is left alone.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::base::time::{Clock, System, Timestamp, later};

fn now() -> Timestamp {
    System.now().wall
}

fn made() -> (tempfile::TempDir, Layout) {
    let root = tempfile::tempdir().unwrap();
    let layout = Layout::under(root.path(), "ingest").unwrap();
    layout.create().unwrap();
    (root, layout)
}

#[test]
fn the_folders_are_those_of_the_hierarchy_standard() {
    let layout = Layout::system("ingest").unwrap();
    assert_eq!(layout.working(), Path::new("/var/lib/ingest/working"));
    assert_eq!(layout.logs(), Path::new("/var/log/ingest"));
    assert_eq!((layout.config(), layout.runtime()), (Path::new("/etc/ingest"), Path::new("/run/ingest")));
    for name in ["", ".", "-x", "a/b", "a b", "é", &"x".repeat(101)] {
        let error = Layout::system(name).unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "name", .. }), "{name:?}: {error}");
    }
}

#[test]
fn they_are_made_so_that_nobody_else_may_write() {
    let (_root, layout) = made();
    let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o7777;
    assert_eq!([layout.state(), layout.logs(), layout.runtime()].map(mode), [0o750; 3]);
    assert_eq!((mode(layout.incoming()), mode(&layout.archive())), (0o770, 0o750));
    layout.create().unwrap();

    fs::set_permissions(layout.archive(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = layout.create().unwrap_err();
    assert!(matches!(error, Error::Unsafe { mode: 0o777, .. }), "{error}");
    fs::set_permissions(layout.archive(), fs::Permissions::from_mode(0o1777)).unwrap();
    layout.create().unwrap();
    fs::remove_dir(layout.failed()).unwrap();
    fs::write(layout.failed(), "").unwrap();
    assert!(matches!(layout.create().unwrap_err(), Error::NotAFolder { .. }));
}

#[test]
fn the_folders_of_systemd_are_taken_where_it_gives_some() {
    let given = HashMap::from([("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("LOGS_DIRECTORY", "")]);
    let layout = Layout::by("ingest", |name| given.get(name).map(OsString::from)).unwrap();
    assert_eq!(layout.archive(), Path::new("/var/lib/a/archive"));
    assert_eq!(layout.incoming(), Path::new("/var/lib/a/incoming"));
    assert_eq!(layout.logs(), Path::new("/var/log/ingest"));
    let error = Layout::by("ingest", |_| Some(OsString::from("relative"))).unwrap_err();
    assert_eq!(error.to_string(), "STATE_DIRECTORY is \"relative\"; allowed is an absolute path");
}

#[test]
fn a_second_instance_is_told_who_holds_the_lock() {
    let (_root, layout) = made();
    let held = layout.lock(Duration::ZERO).unwrap();
    let error = layout.lock(Duration::from_millis(2)).unwrap_err();
    assert!(error.to_string().contains(&format!("by process {}", std::process::id())), "{error}");
    drop(held);
    drop(layout.lock(Duration::ZERO).unwrap());
}

#[test]
fn what_is_unfinished_or_no_file_is_left_alone() {
    let (_root, layout) = made();
    let incoming = layout.incoming();
    for name in [".hidden", "a.tmp", "b.part", "c~", "young.csv", "old.csv"] {
        fs::write(incoming.join(name), name).unwrap();
    }
    fs::create_dir(incoming.join("folder")).unwrap();
    symlink("/etc/hostname", incoming.join("link")).unwrap();
    let written = |name: &str, at: Timestamp| {
        let file = fs::File::options().append(true).open(incoming.join(name)).unwrap();
        file.set_modified(at.into()).unwrap();
    };
    let now = now();
    written("old.csv", now - chrono::TimeDelta::seconds(3));
    written("young.csv", now - chrono::TimeDelta::seconds(1));
    let drops = layout.drops();
    let found = drops.look(now).unwrap();
    assert_eq!(found.ready, ["old.csv"]);
    assert_eq!((found.unfinished.len(), found.others.len(), found.more), (5, 2, false));
    // The clock of a file server: a little ahead is now, far ahead is nothing that one can wait for.
    written("young.csv", now + chrono::TimeDelta::seconds(5));
    assert_eq!(drops.look(now).unwrap().ready, ["old.csv"]);
    written("young.csv", now + chrono::TimeDelta::days(9));
    assert_eq!(drops.look(now).unwrap().ready, ["old.csv", "young.csv"]);

    let taken = drops.take(now).unwrap().unwrap();
    assert_eq!((taken.name(), taken.turn()), (std::ffi::OsStr::new("old.csv"), 1));
    assert!(drops.take_named(std::ffi::OsStr::new("link")).unwrap().is_none());
    assert!(drops.take_named(std::ffi::OsStr::new("folder")).unwrap().is_none());
    drop(taken.archive().unwrap());
}

#[test]
fn what_was_put_down_is_handed_out_to_the_next_and_its_turns_are_counted() {
    let (_root, layout) = made();
    fs::write(layout.incoming().join("a.csv"), "1").unwrap();
    let at = later(now(), Duration::from_secs(3));
    for turn in 1..4 {
        let drops = layout.drops();
        let taken = drops.take(at).unwrap().unwrap();
        assert_eq!(taken.turn(), turn);
        assert!(layout.drops().take(at).unwrap().is_none(), "it is held");
        drop(taken);
        assert!(drops.take(at).unwrap().is_none(), "it is left to the next");
    }
}

#[test]
fn a_namesake_is_never_replaced_and_a_reason_stands_beside_its_own_file() {
    let (_root, layout) = made();
    let drops = layout.drops().settle(Duration::ZERO);
    let mut stands = Vec::new();
    for n in 0..3 {
        fs::write(layout.incoming().join("a.csv"), n.to_string()).unwrap();
        stands.push(drops.take(now()).unwrap().unwrap().fail("test", "it is bad", now()).unwrap());
    }
    // Somebody has cleared the file away and left its reason: that is not written over.
    fs::remove_file(&stands[0]).unwrap();
    fs::write(layout.incoming().join("a.csv"), "3").unwrap();
    stands.push(drops.take(now()).unwrap().unwrap().fail("test", "it is bad", now()).unwrap());
    for (n, path) in stands.iter().enumerate().skip(1) {
        assert_eq!(fs::read_to_string(path).unwrap(), n.to_string());
        let reason = path.with_file_name(format!("{}{REASON}", path.file_name().unwrap().to_str().unwrap()));
        assert!(fs::read_to_string(reason).unwrap().contains("\"code\": \"test\""));
    }
    assert_eq!(stands[0].file_name().unwrap(), "a.csv");
    assert_eq!(
        fs::read_dir(layout.failed()).unwrap().count(),
        4 + 3 + 1,
        "files, reasons, the staging folder"
    );
}

#[test]
fn a_missing_folder_is_an_error_that_names_it() {
    let (_root, layout) = made();
    fs::write(layout.incoming().join("a.csv"), "1").unwrap();
    fs::remove_dir(layout.archive()).unwrap();
    let drops = layout.drops().settle(Duration::ZERO);
    let taken = drops.take(now()).unwrap().unwrap();
    let working = taken.path().to_owned();
    assert!(taken.archive().is_err());
    assert!(working.exists(), "nothing is lost");
    fs::remove_dir(layout.incoming()).unwrap();
    let error = drops.take(now()).unwrap_err();
    assert!(crate::base::fault::chain(&error).contains("incoming"), "{error}");
}

fn quick(layout: &Layout) -> Drops {
    layout.drops().settle(Duration::ZERO)
}

#[test]
fn what_is_put_in_the_place_of_a_file_that_is_being_taken_is_had_by_one() {
    let (_root, layout) = made();
    let (dropped, newer) = (layout.incoming().join("a.csv"), layout.state().join("newer"));
    fs::write(&dropped, "old").unwrap();
    fs::write(&newer, "new").unwrap();
    let drops = quick(&layout).edges(move |point| {
        if point == "take:before" {
            fs::rename(&newer, &dropped).unwrap();
        }
    });
    let taken = drops.take(now()).unwrap().unwrap();
    assert_eq!(fs::read_to_string(taken.path()).unwrap(), "new");
    assert!(quick(&layout).take(now()).unwrap().is_none(), "it was handed out twice");
}

#[test]
fn what_is_put_in_the_place_of_a_file_that_is_being_copied_is_not_lost() {
    let Ok(there) = tempfile::tempdir_in("/dev/shm") else { return };
    let (_root, layout) = made();
    let layout = layout.incoming_at(there.path());
    let (dropped, newer) = (there.path().join("a.csv"), there.path().join("newer.tmp"));
    fs::write(&dropped, "old").unwrap();
    fs::write(&newer, "new").unwrap();
    let drops = quick(&layout).edges(move |point| {
        if point == "take:copy:whole" && newer.exists() {
            fs::rename(&newer, &dropped).unwrap();
        }
    });
    let mut seen = Vec::new();
    while let Some(taken) = drops.take(now()).unwrap() {
        seen.push(fs::read_to_string(taken.path()).unwrap());
        let _at = taken.archive().unwrap();
    }
    assert_eq!(seen, ["old", "new"]);
}

#[test]
fn a_move_of_two_names_that_was_cut_between_them_is_one_file() {
    let (_root, layout) = made();
    let dropped = layout.incoming().join("a.csv");
    fs::write(&dropped, "once").unwrap();
    fs::hard_link(&dropped, layout.working().join("00ab000000000001-1~a.csv")).unwrap();
    let drops = quick(&layout);
    let taken = drops.take(now()).unwrap().unwrap();
    assert_eq!(taken.turn(), 2);
    let _at = taken.archive().unwrap();
    assert!(drops.take(now()).unwrap().is_none(), "it was handed out twice");
}
