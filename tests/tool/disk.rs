//! A disk that is full or read-only, after the last process of the store has gone: it can be looked at, and held.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{Batch, Expect, Ns, Put, Write as Change};

use crate::kit::{Given, Shop, given};

const RESERVE: u64 = 4 * 1024 * 1024;

/// A small file system of its own, unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn of(shop: &Shop) -> Option<Self> {
        Self::mount(shop.folder(), &["-t", "tmpfs", "-o", "size=12m", "unattended-test"])
    }

    fn mount(at: &Path, how: &[&str]) -> Option<Self> {
        if Command::new("mount").args(how).arg(at).output().is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("skipped: a small file system cannot be mounted here");
        None
    }

    fn remount(&self, options: &str) {
        let done =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(done.success(), "remount,{options}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// A shop on such a disk, with a run in its store, which nobody has open.
fn shop() -> Option<(Shop, Small)> {
    let shop = Shop::sqlite();
    let small = Small::of(&shop)?;
    shop.run(&["exec", "--name", "job", "--store-down", "refuse", "--", "true"]).ended(0);
    assert_eq!(reserve(&shop), RESERVE);
    without_the_engines_files(&shop);
    Some((shop, small))
}

fn without_the_engines_files(shop: &Shop) {
    for name in ["store.db-wal", "store.db-shm"] {
        drop(fs::remove_file(shop.path(name)));
    }
}

fn reserve(shop: &Shop) -> u64 {
    fs::metadata(shop.path("store.db-reserve")).unwrap().len()
}

/// Writes until not a byte more fits.
fn fill(shop: &Shop, name: &str) {
    let mut file = fs::File::create(shop.path(name)).unwrap();
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0_u8; size];
        while file.write_all(&chunk).is_ok() {}
    }
}

/// Refused by the store with this code, with something to do.
fn refused(given: Given, code: &str) -> String {
    let error = given.error();
    assert_eq!(error["code"], code, "{given:?}");
    assert!(error["hint"].is_string(), "{given:?}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn on_a_full_disk_whoever_comes_first_gets_the_reserve_and_can_look_and_steer() {
    let first: [&[&str]; 7] = [
        &["status"],
        &["runs"],
        &["explain", "job"],
        &["tick"],
        &["hold", "job:job", "--reason", "full"],
        &["beat", "job"],
        &["store", "info"],
    ];
    for args in first {
        let Some((shop, _small)) = shop() else { return };
        fill(&shop, "filler");
        shop.run(args).ended(0);
        assert_eq!(reserve(&shop), 0, "{args:?}");
        // What a person does next, each by a process of its own.
        for next in first.iter().filter(|next| **next != args) {
            shop.run(next).ended(0);
        }
        assert_eq!(shop.run(&["--json", "runs"]).ended(0).lines()[0]["state"], "succeeded");

        // The room is for what was begun; a process that comes later knows that too.
        let new = ["--json", "exec", "--name", "new", "--store-down", "refuse", "--", "true"];
        refused(shop.run(&new).ended(1), "store.full");
        let unrecorded = shop.run(&["exec", "--name", "new", "--", "echo", "ran"]).ended(0);
        assert_eq!(unrecorded.out, "ran\n", "a full disk does not stop forty jobs");
        assert!(unrecorded.err.contains("without a record"), "{unrecorded:?}");
        let held = shop.run(&["--json", "exec", "--name", "job", "--", "echo", "ran"]).ended(75);
        assert_eq!(held.object()["code"], "hold.job", "who was held is not run unrecorded: {held:?}");
        assert_eq!(shop.run(&["--json", "runs"]).ended(0).lines().len(), 1, "{args:?}");

        fs::remove_file(shop.path("filler")).unwrap();
        shop.run(&new).ended(0);
        assert_eq!(reserve(&shop), RESERVE, "it is made again when there is room");
    }
}

#[test]
fn a_full_disk_with_nothing_left_to_give_back_names_the_store() {
    let Some((shop, _small)) = shop() else { return };
    fill(&shop, "filler");
    fs::remove_file(shop.path("store.db-reserve")).unwrap();
    fill(&shop, "more");
    let said = refused(shop.run(&["--json", "runs"]).ended(1), "store.full");
    assert!(said.contains(shop.path("store.db").to_str().unwrap()), "{said}");
}

#[test]
fn a_store_on_a_read_only_disk_is_read_and_says_why_it_is_not_written() {
    let Some((shop, small)) = shop() else { return };
    let before = shop.run(&["--json", "runs"]).ended(0).lines();
    without_the_engines_files(&shop);
    small.remount("ro");
    assert_eq!(shop.run(&["--json", "runs"]).ended(0).lines(), before);
    for args in [&["status"][..], &["explain", "job"], &["store", "info"], &["store", "check"]] {
        shop.run(args).ended(0);
    }
    let path = shop.path("store.db");
    for args in [
        &["--json", "hold", "job:job", "--reason", "looking"][..],
        &["--json", "tick"],
        &["--json", "exec", "--name", "new", "--store-down", "refuse", "--", "true"],
    ] {
        let said = refused(shop.run(args).ended(1), "store.read_only");
        assert!(said.contains(path.to_str().unwrap()) && said.contains("read-only"), "{said}");
    }
    small.remount("rw");
    shop.run(&["hold", "job:job", "--reason", "looked"]).ended(0);
}

#[test]
fn commits_that_are_in_the_log_alone_are_read_or_missed_aloud() {
    let Some((shop, small)) = shop() else { return };
    // As a machine leaves it whose power fails.
    let files = ["store.db", "store.db-wal", "store.db-shm"];
    let store = Sqlite::open(shop.path("store.db")).unwrap();
    let put = Put { state: Some(String::from("queued")), ..Put::nothing() };
    let ns = Ns::custom(1_000).unwrap();
    Blocking(&store).apply(Batch::of(Change::new(ns, "late", Expect::Absent, put))).unwrap();
    let kept = files.map(|name| fs::read(shop.path(name)).unwrap());
    drop(store);
    for (name, content) in files.iter().zip(&kept) {
        fs::write(shop.path(name), content).unwrap();
    }
    small.remount("ro");
    let late = || {
        let store = Sqlite::options().read_only().open(shop.path("store.db"))?;
        Blocking(&store).get(ns, "late")
    };
    assert!(late().unwrap().is_some(), "with -shm the engine reads the log");

    small.remount("rw");
    fs::remove_file(shop.path("store.db-shm")).unwrap();
    small.remount("ro");
    let said = refused(shop.run(&["--json", "runs"]).ended(1), "store.read_only");
    assert!(
        said.contains(shop.path("store.db-wal").to_str().unwrap()) && said.contains("copy both"),
        "{said}"
    );

    small.remount("rw");
    assert!(late().unwrap().is_some(), "nothing is lost");
}

#[test]
fn a_mount_that_is_read_only_here_alone_is_not_taken_for_one_that_nobody_writes() {
    let Some((shop, _small)) = shop() else { return };
    let seen = tempfile::tempdir().unwrap();
    let how = ["--bind", shop.folder().to_str().unwrap()];
    let Some(view) = Small::mount(seen.path(), &how) else { return };
    view.remount("bind,ro");
    let there = seen.path().join("store.db");
    let at = |args: &[&str]| {
        let mut all = vec!["--json", "--store", there.to_str().unwrap()];
        all.extend(args);
        shop.run(&all)
    };
    let said = refused(at(&["runs"]).ended(1), "store.read_only");
    assert!(said.contains(there.to_str().unwrap()) && said.contains("others may write it"), "{said}");
    // While somebody has it open, the engine can read it, and does so rightly.
    let store = Sqlite::open(shop.path("store.db")).unwrap();
    assert_eq!(at(&["runs"]).ended(0).lines().len(), 1);
    drop(store);
}

#[test]
fn who_may_not_write_beside_a_store_is_told_where_and_as_whom() {
    let (shop, tools) = (Shop::sqlite(), tempfile::tempdir().unwrap());
    shop.run(&["exec", "--name", "job", "--store-down", "refuse", "--", "true"]).ended(0);
    without_the_engines_files(&shop);
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(shop.folder(), 0o755);
    mode(&shop.path("store.db"), 0o644);
    mode(tools.path(), 0o755);
    // The folder of the build may be one that others cannot enter.
    let tool = tools.path().join("unattended");
    fs::hard_link(env!("CARGO_BIN_EXE_unattended"), &tool)
        .or_else(|_| symlink(env!("CARGO_BIN_EXE_unattended"), &tool))
        .unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new(&tool);
        command.env_clear().env("UNATTENDED_STORE", shop.path("store.db")).env("HOME", shop.folder());
        command.args(args).current_dir(shop.folder()).uid(65_534).gid(65_534);
        command
    };
    if !as_nobody(&["--version"]).output().is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: the tool cannot be run as nobody here");
        return;
    }
    let said = given(as_nobody(&["--json", "runs"]), "").ended(78);
    let error = said.error();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(shop.folder().to_str().unwrap()), "{message}");
    assert!(message.contains("Permission denied") && message.contains("-shm"), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("as the user"), "{error}");
    let said = given(as_nobody(&["--json", "hold", "job:job", "--reason", "x"]), "").ended(78);
    assert!(said.error()["message"].as_str().unwrap().contains("store.db"), "{said:?}");
}
