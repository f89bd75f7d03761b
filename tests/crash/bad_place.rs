//! An inbox, a root, a disk or a store that cannot be used: a clear error, an exit code that says so, and the input stays
//! as it was until somebody has mended it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::world::{Ended, World, names, syslog};

#[test]
fn an_inbox_that_cannot_be_read_is_named_and_nothing_is_made() {
    let world = World::new();
    let inbox = world.inbox();
    fs::remove_dir(&inbox).unwrap();
    let error = world.pass().error();
    assert!(error.contains(inbox.to_str().unwrap()) && error.contains("No such file"), "{error}");
    fs::write(&inbox, "not a folder").unwrap();
    let error = world.pass().error();
    assert!(error.contains(inbox.to_str().unwrap()) && error.contains("Not a directory"), "{error}");
    assert!(!world.root().exists(), "a root was made for nothing");
    fs::remove_file(&inbox).unwrap();
    fs::create_dir(&inbox).unwrap();
    if world.unprivileged() {
        fs::set_permissions(&inbox, fs::Permissions::from_mode(0o0)).unwrap();
        let error = Ended::of(&mut world.as_nobody()).error();
        assert!(error.contains(inbox.to_str().unwrap()) && error.contains("Permission denied"), "{error}");
        assert!(!world.root().exists(), "a root was made for nothing");
        fs::set_permissions(&inbox, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Nothing can be moved out of such an inbox. That is not the fault of the files: none of them may fail for it.
#[test]
fn an_inbox_that_cannot_be_written_holds_its_files_until_it_can() {
    let world = World::new();
    if !world.unprivileged() {
        return;
    }
    world.drop_everything();
    let before = names(&world.inbox());
    fs::set_permissions(world.inbox(), fs::Permissions::from_mode(0o555)).unwrap();
    for _ in 0..2 {
        let pass = Ended::of(&mut world.as_nobody());
        assert!(matches!(pass.code, Some(1 | 75)), "{pass:?}");
        assert!(pass.out.contains("Permission denied"), "{pass:?}");
        assert_eq!(names(&world.inbox()), before);
    }
    fs::set_permissions(world.inbox(), fs::Permissions::from_mode(0o755)).unwrap();
    world.settle_with(World::as_nobody);
    world.verify("an inbox that was read-only");
}

#[test]
fn a_root_that_cannot_be_written_is_named_and_the_input_stays() {
    let world = World::new();
    if !world.unprivileged() {
        return;
    }
    world.drop_everything();
    let before = names(&world.inbox());
    fs::create_dir(world.root()).unwrap();
    let error = Ended::of(&mut world.as_nobody()).error();
    assert!(error.contains(world.root().to_str().unwrap()) && error.contains("Permission denied"), "{error}");
    assert_eq!(names(&world.inbox()), before);
    // The folders are there and may be used, but no store can be made beside them.
    for name in ["working", "archive", "failed"] {
        let folder = world.root().join(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let error = Ended::of(&mut world.as_nobody()).error();
    assert!(error.contains("ingest.db") && error.contains("Permission denied"), "{error}");
    assert_eq!(names(&world.inbox()), before);
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o777)).unwrap();
    world.settle_with(World::as_nobody);
    world.verify("a root that was read-only");
}

#[test]
fn an_inbox_on_another_file_system_is_refused_before_anything_is_touched() {
    let world = World::new();
    fs::create_dir(world.root()).unwrap();
    let Some(_small) = Small::mount(&world.root(), "8m") else { return };
    world.drop_everything();
    let before = names(&world.inbox());
    let error = world.pass().error();
    assert!(error.contains("file system"), "{error}");
    for path in [world.inbox(), world.root()] {
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(names(&world.inbox()), before);
    assert_eq!(names(&world.root()).len(), 0);
}

#[test]
fn a_disk_that_was_full_before_the_first_start() {
    let Some((world, _small)) = on_a_small_disk("24m") else { return };
    world.drop_everything();
    let (before, filler) = (names(&world.inbox()), fill(&world));
    let error = world.pass().error();
    assert!(error.contains("full") || error.contains("No space left"), "{error}");
    assert_eq!(names(&world.inbox()), before);
    fs::remove_file(filler).unwrap();
    world.settle();
    world.verify("a disk that was full at first");
}

#[test]
fn a_disk_that_fills_while_a_file_is_loaded() {
    let Some((world, _small)) = on_a_small_disk("48m") else { return };
    world.drop("first.log", syslog(300, "first"), false);
    world.settle();
    world.drop("second.log", syslog(100_000, "second and longer than what is left"), false);
    world.drop("third.log", b"third\n".to_vec(), false);
    let filler = fill(&world);
    // There is room to begin.
    let room = fs::metadata(&filler).unwrap().len() - (6 << 20);
    File::options().write(true).open(&filler).unwrap().set_len(room).unwrap();
    let pass = world.pass();
    let told = pass.told("second.log");
    assert_eq!(told["state"], "failed_transient", "{pass:?}");
    assert!(pass.out.contains("full"), "{pass:?}");
    drop(fill(&world));
    for _ in 0..2 {
        let pass = world.pass();
        assert!(matches!(pass.code, Some(1 | 75)), "{pass:?}");
        assert!(pass.out.contains("full") || pass.out.contains("No space left"), "{pass:?}");
        assert_eq!(
            names(&world.root().join("failed")).len(),
            0,
            "a full disk is no fault of a file: {pass:?}"
        );
    }
    fs::remove_file(filler).unwrap();
    world.settle();
    world.verify("a disk that was full for a while");
}

#[test]
fn a_store_that_is_not_ours_is_named_and_left_as_it_is() {
    for (what, says) in [
        ("text", "is not an unattended store"),
        ("database", "is not an unattended store"),
        ("newer", "has format 99, this release reads up to"),
        ("folder", "ingest.db"),
    ] {
        let world = World::new();
        world.drop_everything();
        let before = names(&world.inbox());
        let path = world.root().join("ingest.db");
        fs::create_dir(world.root()).unwrap();
        match what {
            "text" => fs::write(&path, "dear diary\n".repeat(1000)).unwrap(),
            "folder" => fs::create_dir(&path).unwrap(),
            "database" => {
                let theirs = Connection::open(&path).unwrap();
                theirs.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").unwrap();
            }
            _ => {
                let other = World::new();
                assert_eq!(other.pass().code, Some(0));
                fs::copy(other.root().join("ingest.db"), &path).unwrap();
                Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
            }
        }
        let content = fs::read(&path).ok();
        let error = world.pass().error();
        assert!(error.contains(says) && error.contains(path.to_str().unwrap()), "{what}: {error}");
        assert_eq!(names(&world.inbox()), before, "{what}");
        assert!(fs::read(&path).ok() == content, "{what} was changed");
        let ops = world.ops(&["runs", "--json"]);
        assert!(!matches!(ops.code, Some(0)), "{what}: {ops:?}");
    }
}

#[test]
fn a_damaged_store_is_named_and_the_input_stays() {
    for what in ["garbled", "truncated", "cut within a page"] {
        let world = World::new();
        world.drop("first.log", syslog(2_000, "first"), false);
        world.settle();
        world.drop("second.log", b"second\n".to_vec(), false);
        let path = world.root().join("ingest.db");
        let mut content = fs::read(&path).unwrap();
        let half = content.len() / 2;
        match what {
            "garbled" => content[4096..].iter_mut().for_each(|byte| *byte ^= 0x5a),
            "truncated" => content.truncate(half - half % 4096),
            _ => content.truncate(half - half % 4096 + 1000),
        }
        fs::write(&path, content).unwrap();
        let error = world.pass().error();
        let says = error.contains("damaged") || error.contains("malformed");
        assert!(says && error.contains(path.to_str().unwrap()), "{what}: {error}");
        assert_eq!(fs::read(world.inbox().join("second.log")).unwrap(), b"second\n", "{what}");
    }
}

/// A small file system of its own, unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "unattended-test"]).arg(at);
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("skipped: a small file system cannot be mounted here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

fn on_a_small_disk(size: &str) -> Option<(World, Small)> {
    let world = World::new();
    let inbox = world.inbox();
    let small = Small::mount(inbox.parent()?, size)?;
    fs::create_dir(inbox).unwrap();
    Some((world, small))
}

/// Writes until not a byte more fits.
fn fill(world: &World) -> PathBuf {
    let path = world.inbox().with_file_name("filler");
    let mut file = File::create(&path).unwrap();
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0_u8; size];
        while file.write_all(&chunk).is_ok() {}
    }
    path
}
