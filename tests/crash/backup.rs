//! Kills real processes in the middle of a backup: after each step and at random times. Every older version stays.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use unattended::backup::{Over, Policy, Store, Which};
use unattended::rng::Rng;
use unattended::time::{Clock, System};

const FOLDER: &str = "UNATTENDED_CRASH_BACKUP";
const AT: &str = "UNATTENDED_CRASH_BACKUP_AT";

/// Not a test: what a child does, which dies at the step of that number.
#[test]
fn backup_child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let at: u32 = env::var(AT).unwrap().parse().unwrap();
    let folder = PathBuf::from(folder);
    let store = Store::create(folder.join("store")).unwrap();
    let mut steps = 0;
    let policy = Policy::builder().threads(1).skips_max(0).build().unwrap();
    store
        .backup_with(folder.join("tree"), &policy, System.now(), |_| {
            steps += 1;
            if steps == at {
                kill_process(getpid(), Signal::KILL).unwrap();
                thread::sleep(Duration::from_secs(60));
            }
        })
        .unwrap();
}

fn child(folder: &Path, at: u32) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "backup::backup_child"])
        .env(FOLDER, folder)
        .env(AT, at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A tree whose files are others in each round.
fn write(folder: &Path, round: u64, files: u64) {
    let tree = folder.join("tree");
    for file in 0..files {
        let path = tree.join(format!("{}/{file}", file % 3));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut rng = Rng::seeded(round * 1000 + file);
        let content: String = (0..200).map(|_| format!("{} ", rng.up_to(1 << 30))).collect();
        fs::write(path, content).unwrap();
    }
}

/// Every version that there was is there and sound, and the next run ends well.
fn check(folder: &Path, before: u64, what: &str) {
    let store = Store::open(folder.join("store")).unwrap();
    let found = store.verify(System.now()).unwrap();
    assert!(found.is_sound(), "{what}: {found:?}");
    let versions = store.list().unwrap();
    for run in 1..=before {
        assert!(versions.iter().any(|version| version.sequence == run), "{what}: run {run} is lost");
    }
    let report = store.backup(folder.join("tree"), &Policy::default(), System.now()).unwrap();
    assert!(report.is_complete(), "{what}: {report:?}");
    let to = folder.join("out");
    drop(store.restore_tree(Which::Latest, &to, Over::Everything).unwrap());
    for version in store.tree(Which::Latest).unwrap() {
        let (is, was) = (to.join(version.name.as_path()), folder.join("tree").join(version.name.as_path()));
        assert!(fs::read(is).unwrap() == fs::read(was).unwrap(), "{what}: {}", version.name);
    }
    let found = store.verify(System.now()).unwrap();
    assert!(found.is_sound() && found.unreferenced == 0, "{what}: {found:?}");
    assert_eq!(fs::read_dir(folder.join("store/tmp")).unwrap().count(), 0, "{what}");
}

#[test]
fn a_backup_killed_after_each_step_leaves_every_older_version() {
    for at in 1.. {
        assert!(at < 200, "it has no end");
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("store")).unwrap();
        for round in 0..2 {
            write(folder.path(), round, 4);
            drop(store.backup(folder.path().join("tree"), &Policy::default(), System.now()).unwrap());
        }
        write(folder.path(), 2, 6);
        let status = child(folder.path(), at).wait().unwrap();
        check(folder.path(), 2, &format!("step {at}"));
        if status.success() {
            assert!(at > 20, "only {at} steps");
            return;
        }
        assert_eq!(status.signal(), Some(9), "step {at}: {status}");
    }
}

#[test]
fn a_backup_killed_at_random_times_leaves_every_older_version() {
    let mut rng = Rng::seeded(7);
    let folder = tempfile::tempdir().unwrap();
    Store::create(folder.path().join("store")).unwrap();
    let (mut kills, mut before) = (0, 0);
    for round in 0..12 {
        write(folder.path(), round, 40);
        let mut child = child(folder.path(), u32::MAX);
        thread::sleep(Duration::from_millis(rng.up_to(60)));
        child.kill().unwrap();
        kills += u32::from(child.wait().unwrap().signal() == Some(9));
        check(folder.path(), before, &format!("round {round}"));
        let versions = Store::open(folder.path().join("store")).unwrap().list().unwrap();
        before = versions.iter().map(|version| version.sequence).max().unwrap();
    }
    assert!(kills > 1, "only {kills} met a living process");
}
