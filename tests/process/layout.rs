//! Files that are dropped, on one file system and across two, with a process that is killed at each point of their way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use unattended::file;
use unattended::layout::{Drops, Error, Layout, REASON, Taken};
use unattended::time::{Clock, System, Timestamp, later};

use crate::disk::Small;
use crate::kit::{Player, alone, say, var};

const SIGKILL: &str = "the child was killed";

/// Which of the folders lie on the other file system.
const ACROSS: [[bool; 4]; 5] = [
    [false, false, false, false],
    [true, false, false, false],
    [false, true, false, false],
    [false, false, true, true],
    [true, false, true, true],
];

/// Four folders, some of them on another file system.
struct World {
    _here: tempfile::TempDir,
    _there: Option<tempfile::TempDir>,
    folders: [PathBuf; 4],
}

impl World {
    fn new(across: [bool; 4]) -> Self {
        let here = tempfile::tempdir().unwrap();
        let there = across.contains(&true).then(|| tempfile::tempdir_in(other_file_system()).unwrap());
        let place = |at: usize| {
            let root = there.as_ref().filter(|_| across[at]).unwrap_or(&here);
            let folder = root.path().join(["incoming", "working", "archive", "failed"][at]);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let folders = [place(0), place(1), place(2), place(3)];
        if let Some(there) = &there {
            let dev = |path: &Path| fs::metadata(path).unwrap().dev();
            assert_ne!(dev(there.path()), dev(here.path()), "the test needs two file systems");
        }
        let world = Self { _here: here, _there: there, folders };
        world.write(0, "good.csv", "good");
        world.write(0, "bad.csv", "bad");
        world.write(0, "again.csv", "again");
        // Namesakes that have come before.
        world.write(2, "good.csv", "an older good");
        world.write(3, "bad.csv", "an older bad");
        world.write(3, "bad.csv.reason.json", "{}");
        world
    }

    fn write(&self, folder: usize, name: &str, text: &str) {
        fs::write(self.folders[folder].join(name), text).unwrap();
    }

    fn child(&self, crash_at: &str) -> Player {
        let folders = self.folders.each_ref().map(|folder| folder.display().to_string()).join(":");
        let args = [("UNATTENDED_FOLDERS", folders), ("UNATTENDED_CRASH_AT", crash_at.to_owned())];
        Player::start("life of files", &self.folders[0], &args)
    }

    /// What another process does afterwards, and then how it must stand.
    fn settle_and_check(&self, context: &str) {
        // What was begun and is made anew by nobody is cleared away when it is old.
        pass(&drops(&self.folders), later(now(), Duration::from_secs(2 * 3600)));
        let stands = |folder: usize| texts(&self.folders[folder]);
        let none = BTreeMap::new();
        assert_eq!((stands(0), stands(1)), (none.clone(), none), "{context}");
        let archive = stands(2);
        assert_eq!(archive.get("good.csv").map(String::as_str), Some("an older good"), "{context}");
        let mut contents: Vec<_> = archive.values().map(String::as_str).collect();
        contents.sort_unstable();
        assert_eq!(contents, ["again", "an older good", "good"], "{context}: {archive:?}");
        let mut failed = stands(3);
        assert_eq!(failed.remove("bad.csv.reason.json").as_deref(), Some("{}"), "{context}");
        assert_eq!(failed.remove("bad.csv").as_deref(), Some("an older bad"), "{context}");
        let [(name, text), (reason_name, reason)]: [_; 2] =
            Vec::from_iter(failed).try_into().unwrap_or_else(|left| panic!("{context}: {left:?}"));
        assert_eq!(text, "bad", "{context}");
        assert_eq!(reason_name, format!("{name}{REASON}"), "{context}");
        let reason: serde_json::Value = serde_json::from_str(&reason).unwrap();
        assert_eq!((&reason["code"], &reason["why"]), (&"test.bad".into(), &"it is bad".into()), "{context}");
    }
}

#[test]
fn killed_at_each_point_of_its_way_no_file_is_lost_and_none_replaced() {
    for across in ACROSS {
        let points = points(across);
        assert!(points.len() >= 9, "{points:?}");
        for point in &points {
            let world = World::new(across);
            let (said, killed) = world.child(point).end();
            assert!(killed && said.iter().any(|line| line == SIGKILL), "{point} was never reached: {said:?}");
            world.settle_and_check(&format!("{across:?} killed at {point}"));
        }
    }
}

#[test]
fn several_processes_share_the_files_and_each_is_had_by_one() {
    for across in [ACROSS[0], ACROSS[4]] {
        let world = World::new(across);
        for n in 0..200 {
            world.write(0, &format!("{n}.csv"), &n.to_string());
        }
        let players = [0; 3].map(|_| world.child(""));
        let taken: usize = players
            .into_iter()
            .map(|player| player.finish().iter().filter(|line| line.starts_with("ended ")).count())
            .sum();
        // One that is put back is taken again, once by each process at most.
        assert!((203..=206).contains(&taken), "{taken}");
        let archive = texts(&world.folders[2]);
        assert_eq!(
            (0..200).filter(|n| archive.get(&format!("{n}.csv")) == Some(&n.to_string())).count(),
            200
        );
        for n in 0..200 {
            fs::remove_file(world.folders[2].join(format!("{n}.csv"))).unwrap();
        }
        world.settle_and_check("several");
    }
}

#[test]
fn a_full_disk_leaves_the_file_where_it_was_and_room_lets_it_go_on() {
    let _alone = alone();
    let mut world = World::new(ACROSS[0]);
    let small = tempfile::tempdir().unwrap();
    let Some(_mounted) = Small::mount(small.path(), "256k") else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    world.folders[2] = small.path().to_owned();
    world.write(2, "good.csv", "an older good");
    let filler = small.path().join("filler");
    let full = std::iter::repeat_n(b'x', 1 << 20).collect::<Vec<_>>();
    assert!(fs::write(&filler, full).is_err());
    let drops = drops(&world.folders);
    let taken = drops.take_named("good.csv".as_ref()).unwrap().unwrap();
    let working = taken.path().to_owned();
    let error = taken.archive().unwrap_err();
    assert!(matches!(error, Error::File(file::Error::Full { .. })), "{error:?}");
    assert_eq!(fs::read_to_string(working).unwrap(), "good");
    fs::remove_file(filler).unwrap();
    world.settle_and_check("a disk that was full");
}

#[test]
fn a_lock_on_a_file_system_that_is_read_only_says_so() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(root.path(), "1m") else {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    };
    let layout = Layout::under(root.path(), "ingest").unwrap();
    layout.create().unwrap();
    small.read_only();
    let error = layout.lock(Duration::ZERO).unwrap_err();
    assert!(matches!(error, file::Error::ReadOnly { .. }), "{error:?}");
    layout.create().unwrap();
    fs::read_dir(layout.incoming()).unwrap();
}

pub fn child(role: &str) -> bool {
    if role != "life of files" {
        return false;
    }
    let folders: String = var("UNATTENDED_FOLDERS");
    let folders: Vec<PathBuf> = folders.split(':').map(PathBuf::from).collect();
    let crash_at: String = var("UNATTENDED_CRASH_AT");
    let drops = drops(&folders.try_into().unwrap()).edges(move |point| {
        say(format_args!("at {point}"));
        if point == crash_at {
            say(SIGKILL);
            let own = std::process::id().to_string();
            std::process::Command::new("kill").args(["-KILL", &own]).status().unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    pass(&drops, now());
    true
}

/// Each file meets its end; one is put back once.
fn pass(drops: &Drops, now: Timestamp) {
    let mut put_back = false;
    while let Some(taken) = drops.take(now).unwrap() {
        let text = fs::read_to_string(taken.path()).unwrap();
        let ended = match text.as_str() {
            "bad" => taken.fail("test.bad", "it is bad", now).unwrap(),
            "again" if !std::mem::replace(&mut put_back, true) => Taken::put_back(taken).unwrap(),
            _ => taken.archive().unwrap(),
        };
        say(format_args!("ended {}", ended.display()));
    }
}

/// The points that a process comes by, each once.
fn points(across: [bool; 4]) -> Vec<String> {
    let said = World::new(across).child("").finish();
    let mut points: Vec<String> = Vec::new();
    for point in said.iter().filter_map(|line| line.strip_prefix("at ")) {
        if !points.iter().any(|known| known == point) {
            points.push(point.to_owned());
        }
    }
    points
}

fn drops([incoming, working, archive, failed]: &[PathBuf; 4]) -> Drops {
    Drops::between(incoming, working, archive, failed).settle(Duration::ZERO)
}

fn now() -> Timestamp {
    System.now().wall
}

/// The files in a folder and what is in them; what is left of ways between file systems too.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(texts(&path).into_iter().map(|(left, text)| (format!("{name}/{left}"), text)));
        } else {
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
    found
}

/// A tmpfs: every Linux has one there.
fn other_file_system() -> PathBuf {
    std::env::var_os("UNATTENDED_TMPFS").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from)
}
