//! Trees and stores in odd places: links, FIFOs, names, full disks, and two at once.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use unattended::backup::{Error, Over, Policy, Store, Which};
use unattended::explain::Explain;
use unattended::fault::Classify;
use unattended::file;

use super::{World, text};

#[test]
fn what_is_no_file_is_an_outcome_and_links_are_not_followed() {
    let world = World::new();
    world.write("a/file", "a file");
    symlink("..", world.path("a/up")).unwrap();
    symlink("/etc", world.path("etc")).unwrap();
    symlink("itself", world.path("itself")).unwrap();
    symlink("a/file", world.path("alias")).unwrap();
    let made = |name| Command::new("mkfifo").arg(world.path(name)).status().unwrap().success();
    assert!(made("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap();
    let report = world.run();
    let passed: Vec<_> = report.passed().map(|entry| format!("{}: {}", entry.path, entry.decision)).collect();
    let told = [
        "a/up: it is a symbolic link, not a file",
        "alias: it is a symbolic link, not a file",
        "etc: it is a symbolic link, not a file",
        "itself: it is a symbolic link, not a file",
        "pipe: it is a FIFO, not a file",
        "socket: it is a socket, not a file",
    ];
    assert_eq!(passed, told);
    assert_eq!((report.created().count(), report.is_complete()), (1, true));
}

#[test]
fn names_that_are_not_utf_8_come_back_byte_for_byte() {
    let world = World::new();
    let names: [&[u8]; 5] = [b"\xff\xfe", b"new\nline", b"100%", b"\x1b[2J", "ü/\u{301}".as_bytes()];
    for name in names {
        let path = world.tree().join(OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    let report = world.run();
    assert!(report.entries.iter().all(|entry| !entry.path.chars().any(char::is_control)));
    assert!(report.entries.iter().any(|entry| entry.path == "%FF%FE"));
    let to = world.folder.path().join("out");
    assert_eq!(world.store().restore_tree(Which::Latest, &to, Over::Older).unwrap().len(), 5);
    for name in names {
        assert_eq!(fs::read(to.join(OsStr::from_bytes(name))).unwrap(), name);
    }
    assert_eq!(world.codes(), []);
}

#[test]
fn a_file_that_turns_into_a_folder_and_back_keeps_its_versions() {
    let world = World::new();
    world.write("thing", "a file");
    world.write("folder/file", "in a folder");
    world.run();
    fs::remove_file(world.path("thing")).unwrap();
    world.write("thing/file", "in what was a file");
    fs::remove_dir_all(world.path("folder")).unwrap();
    world.write("folder", "a file that was a folder");
    let told = [
        ("folder", "backup.first"),
        ("folder/file", "backup.gone"),
        ("thing", "backup.became"),
        ("thing/file", "backup.first"),
    ];
    assert_eq!(world.codes(), told.map(|(path, code)| (path.to_owned(), code)));
    assert_eq!(world.codes(), [], "once");
    fs::remove_dir_all(world.path("thing")).unwrap();
    world.write("thing", "a file");
    let told = [("thing", "backup.returned"), ("thing/file", "backup.gone")];
    assert_eq!(world.codes(), told.map(|(path, code)| (path.to_owned(), code)));
    assert!(world.is_sound());
    let at_two: Vec<_> = world.store().tree(Which::At(2)).unwrap();
    let at_two: Vec<_> = at_two.iter().map(|version| version.name.to_string()).collect();
    assert_eq!(at_two, ["folder", "thing/file"], "as it was after the second run");
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable to root; what is left is a folder that is too deep.
        let world = World::new();
        world.write("file", "a file");
        let mut deep = String::new();
        (0..140).for_each(|_| deep.push_str("d/"));
        world.write(&format!("{deep}file"), "too deep");
        let report = world.run();
        let failed: Vec<_> = report.failed().map(|entry| entry.decision.code()).collect();
        assert_eq!(failed, ["backup.too_deep"]);
        assert!(!report.is_complete());
        return;
    }
    let world = World::new();
    world.write("closed/file", "a file");
    world.write("file", "a file");
    world.run();
    let mode = |name, mode| fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    mode("closed", 0o000);
    mode("file", 0o000);
    let report = world.run();
    mode("closed", 0o700);
    assert_eq!((report.failed().count(), report.gone().count()), (2, 0));
}

#[test]
fn a_tree_that_is_not_there_is_an_error_and_nothing_is_gone() {
    let world = World::new();
    world.write("file", "a file");
    world.run();
    fs::rename(world.tree(), world.folder.path().join("elsewhere")).unwrap();
    assert!(matches!(world.try_run(), Err(Error::Source { .. })));
    fs::create_dir(world.folder.path().join("wrong")).unwrap();
    let wrong = world.store().backup(world.folder.path().join("wrong"), &world.policy, world.now);
    assert!(matches!(wrong, Err(Error::OtherSource { .. })), "{wrong:?}");
    let moved = Policy::builder().source_moved(true).build().unwrap();
    let report = world.store().backup(world.folder.path().join("elsewhere"), &moved, world.now).unwrap();
    assert_eq!((report.unchanged, report.gone().count()), (1, 0));
}

#[test]
fn a_store_never_holds_itself() {
    let world = World::new();
    world.write("file", "a file");
    let store = Store::create(world.path("backups/store")).unwrap();
    for _ in 0..2 {
        let report = store.backup(world.tree(), &world.policy, world.now).unwrap();
        let passed: Vec<_> = report.passed().map(|entry| (&*entry.path, entry.decision.code())).collect();
        assert_eq!(passed, [("backups/store", "backup.the_store")]);
        assert_eq!(store.list().unwrap().len(), 1);
    }
    let inside = store.backup(store.folder().join("objects"), &world.policy, world.now);
    assert!(matches!(inside, Err(Error::InTheStore { .. })), "{inside:?}");
}

#[test]
fn a_folder_that_is_no_store_is_refused_by_name() {
    let world = World::new();
    world.write("file", "a file");
    assert!(matches!(Store::open(world.tree()), Err(Error::NotAStore { .. })));
    assert!(matches!(Store::create(world.tree()), Err(Error::NotEmpty { .. })));
    let store = world.store();
    fs::write(store.folder().join("FORMAT"), "unattended backup 9\n").unwrap();
    let error = Store::open(store.folder()).unwrap_err();
    assert!(error.to_string().contains("\"unattended backup 9\"; understood is"), "{error}");
}

#[test]
fn two_at_once_are_one_after_the_other_or_refused() {
    let world = World::new();
    (0..50).for_each(|file| world.write(&format!("{file}"), text(file, 500)));
    let store = world.store();
    let mut refused = None;
    store
        .backup_with(world.tree(), &world.policy, world.now, |_| {
            let result = refused.get_or_insert_with(|| world.try_run());
            assert!(matches!(result, Err(Error::Busy { .. })));
            // Who reads needs no lock.
            assert!(store.list().unwrap().is_empty() || store.list().unwrap().len() == 50);
        })
        .unwrap();
    let Some(Err(error)) = refused else { panic!("{refused:?}") };
    assert!(matches!(error, Error::Busy { holder: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert_eq!(error.fault().code, "backup.busy");

    let patient = store.clone().lock_wait(std::time::Duration::from_secs(60));
    world.write("0", text(99, 500));
    let sequences: Vec<_> = std::thread::scope(|scope| {
        let run = || patient.backup(world.tree(), &world.policy, world.now).unwrap().sequence;
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(sequences.iter().flatten().collect::<Vec<_>>(), [&2], "one of them stored it");
    assert!(world.is_sound());
}

#[test]
fn a_tree_with_too_many_files_is_an_error_and_not_half_a_backup() {
    let world = World::with(Policy::builder().files_max(20).build().unwrap());
    (0..21).for_each(|file| world.write(&format!("{file}"), text(file, 500)));
    assert!(matches!(world.try_run(), Err(Error::TooManyFiles { allowed: 20 })));
    assert_eq!(world.store().list().unwrap(), []);
    assert_eq!(world.store().verify(world.now).unwrap().unreferenced, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_in_the_middle_of_a_version_leaves_the_old_ones() {
    let mut world = World::new();
    let small = world.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let Some(_mounted) = Small::mount(&small, "2m") else { return };
    let store = Store::create(small.join("store")).unwrap();
    world.write("page", text(1, 100_000));
    drop(store.backup(world.tree(), &world.policy, world.now).unwrap());

    for whole_max in [64 << 20, 1000] {
        world.write("big", text(2, 4 << 20));
        (0..20).for_each(|file| world.write(&format!("more/{file}"), text(100 + file, 100_000)));
        let policy = Policy::builder().whole_max(whole_max).build().unwrap();
        let error = store.backup(world.tree(), &policy, world.now).unwrap_err();
        assert!(matches!(error, Error::File(file::Error::Full { .. })), "{error:?}");
        assert_eq!(error.fault().code, "file.full");
        let found = store.verify(world.now).unwrap();
        assert!(found.is_sound() && found.versions == 1 && found.unreferenced == 0, "{found:?}");
        assert_eq!(fs::read_dir(small.join("store/tmp")).unwrap().count(), 0);
    }
    // No room at all, not even for what waits.
    let mut filler = fs::File::create(small.join("filler")).unwrap();
    for size in [1 << 16, 4096, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
    fs::remove_file(world.path("big")).unwrap();
    fs::remove_dir_all(world.path("more")).unwrap();
    let mut page = text(1, 100_000);
    page[0] = b'#';
    world.write("page", page);
    let error = store.backup(world.tree(), &world.policy, world.now).unwrap_err();
    assert!(matches!(error, Error::File(file::Error::Full { .. })), "{error:?}");
    drop(filler);
    fs::remove_file(small.join("filler")).unwrap();
    world.later(super::HOUR);
    let report = store.backup(world.tree(), &world.policy, world.now).unwrap();
    assert_eq!(report.skipped().count(), 1);
    assert!(store.verify(world.now).unwrap().is_sound());
}

/// A small file system of its own, unmounted at the end.
#[cfg(target_os = "linux")]
struct Small<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl<'a> Small<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "unattended-test"]).arg(at);
        if mount.output().is_ok_and(|done| done.status.success()) {
            return Some(Self(at));
        }
        eprintln!("skipped: a small file system cannot be mounted here");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for Small<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}
