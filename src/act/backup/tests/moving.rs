//! Files that change between being looked at and being read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::time::{Moment, Now};

struct World {
    _folder: tempfile::TempDir,
    tree: PathBuf,
    store: Store,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let store = Store::create(folder.path().join("store")).unwrap();
        fs::write(tree.join("a"), "the content of a\n").unwrap();
        // Long ago, so that a write within the same tick of the clock shows.
        let file = fs::File::options().write(true).open(tree.join("a")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        Self { _folder: folder, tree, store }
    }

    /// A run in which `change` happens to the file each time that it was looked at, so often.
    fn run(&self, policy: &Policy, times: u32, change: impl Fn(&Path) + Sync) -> (Report, u32) {
        let (tree, looked) = (self.tree.join("a"), AtomicU32::new(0));
        let between = |_: &[u8]| {
            if looked.fetch_add(1, Ordering::SeqCst) < times {
                change(&tree);
            }
        };
        let now = Now { moment: Moment::ZERO, wall: day(0) };
        let report = self.store.backup_between(&self.tree, policy, now, |_| {}, &between).unwrap();
        (report, looked.into_inner())
    }

    fn stored(&self) -> Vec<Version> {
        self.store.list().unwrap()
    }

    fn content(&self, version: &Version) -> Vec<u8> {
        let mut content = Vec::new();
        self.store.objects.whole(version, &mut content).unwrap();
        content
    }
}

/// Read whole, and in pieces.
fn both(test: impl Fn(&Policy)) {
    test(&Policy::default());
    test(&Policy::builder().whole_max(1).build().unwrap());
}

#[test]
fn a_file_that_grows_once_while_it_is_read_is_read_again() {
    both(|policy| {
        let world = World::new();
        let (report, looked) = world.run(policy, 1, append);
        assert_eq!((report.created().count(), looked), (1, 2));
        let version = world.stored().remove(0);
        assert!(!version.unstable);
        assert_eq!(world.content(&version), b"the content of a\nmore\n");
    });
}

#[test]
fn a_file_that_never_stands_still_is_stored_and_marked() {
    both(|policy| {
        let world = World::new();
        let (report, looked) = world.run(policy, u32::MAX, append);
        assert_eq!(looked, 3);
        assert!(report.entries[0].unstable);
        let version = world.stored().remove(0);
        assert!(version.unstable);
        // What was there when it was looked at for the third time; it only grew.
        assert_eq!(world.content(&version), b"the content of a\nmore\nmore\n");
        assert!(world.store.verify(Now { moment: Moment::ZERO, wall: day(0) }).unwrap().is_sound());
    });
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_read_again() {
    both(|policy| {
        let world = World::new();
        let (_, looked) = world.run(policy, 1, |path| {
            fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3).unwrap();
        });
        assert_eq!((looked, world.content(&world.stored()[0])), (2, b"the".to_vec()));
    });
}

#[test]
fn a_file_of_the_same_size_and_another_content_is_noticed() {
    both(|policy| {
        let world = World::new();
        let (_, looked) = world.run(policy, 1, |path| fs::write(path, "THE CONTENT OF A\n").unwrap());
        assert_eq!((looked, world.content(&world.stored()[0])), (2, b"THE CONTENT OF A\n".to_vec()));
    });
}

#[test]
fn a_file_that_vanishes_while_it_is_read_is_an_outcome() {
    both(|policy| {
        let world = World::new();
        let (report, _) = world.run(policy, 1, |path| fs::remove_file(path).unwrap());
        assert_eq!(report.failed().next().unwrap().decision.code(), "backup.vanished");
        assert!(world.stored().is_empty());
        fs::write(world.tree.join("a"), "again").unwrap();
        let (report, _) = world.run(policy, 0, |_| {});
        assert_eq!(report.created().count(), 1);
        let (report, _) = world.run(policy, 1, |path| {
            fs::write(path, "changed altogether").unwrap();
            fs::remove_file(path).unwrap();
        });
        assert_eq!(report.gone().next().unwrap().decision.code(), "backup.gone");
        assert_eq!(world.stored().len(), 1, "its versions are kept");
    });
}

#[test]
fn a_file_that_becomes_something_else_while_it_is_read_is_an_outcome() {
    type Change = fn(&Path);
    let changes: [(Change, Kind); 3] = [
        (|path| fs::create_dir(path).unwrap(), Kind::Folder),
        (|path| std::os::unix::fs::symlink("/etc/hostname", path).unwrap(), Kind::Link),
        (
            |path| {
                assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
            },
            Kind::Fifo,
        ),
    ];
    both(|policy| {
        for (change, kind) in changes {
            for stored in [false, true] {
                let world = World::new();
                if stored {
                    drop(world.run(policy, 0, |_| {}));
                }
                let (report, _) = world.run(policy, 1, |path| {
                    fs::remove_file(path).unwrap();
                    change(path);
                });
                let decision = &report.entries[0].decision;
                if stored {
                    assert_eq!(*decision, Decision::Gone(Going::Became(kind)), "{decision}");
                } else {
                    assert_eq!(*decision, Decision::Passed(Passing::NotAFile(kind)), "{decision}");
                }
                assert_eq!(world.stored().len(), usize::from(stored));
            }
        }
    });
}

fn append(path: &Path) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more\n").unwrap();
}
