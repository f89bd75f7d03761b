//! What comes back, and over what it is not written.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use unattended::backup::{Error, Over, Refusing, Restored, Which};
use unattended::explain::Explain;

use super::{HOUR, World, name_of, text};

#[test]
fn a_tree_comes_back_byte_for_byte_with_its_modes_and_times() {
    let world = World::new();
    for (name, bytes, mode) in [("a", 0, 0o644), ("b/c", 1, 0o600), ("b/d/e", 300_000, 0o755)] {
        world.write(name, text(bytes as u64, bytes));
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    world.run();
    let to = world.folder.path().join("out");
    let restored = world.store().restore_tree(Which::Latest, &to, Over::Older).unwrap();
    assert!(restored.iter().all(|file| matches!(file, Restored::Written(_))), "{restored:?}");
    for name in ["a", "b/c", "b/d/e"] {
        let (was, is) = (world.path(name), to.join(name));
        assert!(fs::read(&was).unwrap() == fs::read(&is).unwrap(), "{name}");
        let (was, is) = (fs::metadata(was).unwrap(), fs::metadata(is).unwrap());
        assert_eq!((was.mode(), was.mtime(), was.mtime_nsec()), (is.mode(), is.mtime(), is.mtime_nsec()));
    }
    let again = world.store().restore_tree(Which::Latest, &to, Over::Older).unwrap();
    assert!(again.iter().all(|file| matches!(file, Restored::Same(_))), "{again:?}");
}

#[test]
fn a_change_of_the_mode_is_stored_and_comes_back() {
    let world = World::new();
    world.write("script", "#!/bin/sh\n");
    fs::set_permissions(world.path("script"), fs::Permissions::from_mode(0o644)).unwrap();
    world.run();
    fs::set_permissions(world.path("script"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(world.codes(), [("script".to_owned(), "backup.mode")]);
    for (sequence, mode) in [(1, 0o644), (2, 0o755)] {
        let to = world.folder.path().join(format!("out{sequence}"));
        let which = Which::At(sequence);
        drop(world.store().restore(&name_of("script"), which, &to, Over::Older).unwrap());
        assert_eq!(fs::metadata(to).unwrap().mode() & 0o7777, mode);
    }
}

#[test]
fn each_version_can_be_had_and_the_tree_as_it_was() {
    let mut world = World::new();
    for run in 1..=3_u64 {
        world.write("page", text(run, 2000));
        world.write(&format!("only{run}"), format!("{run}"));
        if run > 1 {
            fs::remove_file(world.path(&format!("only{}", run - 1))).unwrap();
        }
        assert_eq!(world.run().sequence, Some(run));
        world.later(HOUR);
    }
    for run in 1..=3_u64 {
        let to = world.folder.path().join(format!("out{run}"));
        drop(world.store().restore_tree(Which::At(run), &to, Over::Older).unwrap());
        let mut names: Vec<_> = fs::read_dir(&to)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [format!("only{run}"), "page".to_owned()]);
        assert!(fs::read(to.join("page")).unwrap() == text(run, 2000));
    }
    let to = world.folder.path().join("single");
    drop(world.store().restore(&name_of("only1"), Which::Latest, &to, Over::Older).unwrap());
    assert_eq!(fs::read_to_string(to).unwrap(), "1", "a file that is gone has its versions");
}

#[test]
fn a_newer_file_is_not_written_over_without_force() {
    let world = World::new();
    world.write("page", "the stored one");
    world.run();
    let to = world.folder.path().join("page");
    fs::write(&to, "newer work").unwrap();
    let page = name_of("page");
    let restored = world.store().restore(&page, Which::Latest, &to, Over::Older).unwrap();
    let Restored::Refused { why, .. } = restored else { panic!("{restored:?}") };
    assert_eq!(why.code(), "backup.newer_there");
    assert_eq!(fs::read_to_string(&to).unwrap(), "newer work");
    drop(world.store().restore(&page, Which::Latest, &to, Over::Everything).unwrap());
    assert_eq!(fs::read_to_string(&to).unwrap(), "the stored one");
    // One that is older is.
    fs::write(&to, "older").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&to).unwrap().set_modified(long_ago).unwrap();
    let restored = world.store().restore(&page, Which::Latest, &to, Over::Older).unwrap();
    assert!(matches!(restored, Restored::Written(_)));
}

#[test]
fn links_folders_and_fifos_are_in_the_way_even_of_force() {
    let world = World::new();
    world.write("a/page", "the stored one");
    world.run();
    let outside = world.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("page"), "theirs").unwrap();
    let to = world.folder.path().join("out");
    fs::create_dir(&to).unwrap();
    symlink(&outside, to.join("a")).unwrap();
    let restore = || world.store().restore_tree(Which::Latest, &to, Over::Everything).unwrap().remove(0);
    assert!(matches!(restore(), Restored::Refused { why: Refusing::InTheWay(_), .. }));
    fs::remove_file(to.join("a")).unwrap();
    fs::create_dir(to.join("a")).unwrap();
    symlink(outside.join("page"), to.join("a/page")).unwrap();
    assert!(matches!(restore(), Restored::Refused { why: Refusing::InTheWay(_), .. }));
    assert_eq!(fs::read_to_string(outside.join("page")).unwrap(), "theirs");
    fs::remove_file(to.join("a/page")).unwrap();
    fs::create_dir(to.join("a/page")).unwrap();
    let Restored::Refused { why, .. } = restore() else { panic!("a folder") };
    assert_eq!(why.to_string(), "a folder is in the way");
    fs::remove_dir(to.join("a/page")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(to.join("a/page")).status().unwrap().success());
    let Restored::Refused { why, .. } = restore() else { panic!("a FIFO") };
    assert_eq!(why.to_string(), "a FIFO is in the way");
    fs::remove_file(to.join("a/page")).unwrap();
    assert!(matches!(restore(), Restored::Written(_)));
    assert_eq!(fs::read_dir(to.join("a")).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_there_is_no_version_of_is_an_error_that_names_it() {
    let world = World::new();
    world.write("page", "x");
    world.run();
    let to = world.folder.path().join("out");
    for (name, which) in [("other", Which::Latest), ("page", Which::At(0))] {
        let error = world.store().restore(&name_of(name), which, &to, Over::Older).unwrap_err();
        assert!(matches!(error, Error::NoSuchVersion { .. }), "{error}");
        assert!(error.to_string().ends_with(name), "{error}");
    }
    for which in [Which::At(2), Which::At(u64::MAX)] {
        let never = |error: Error| matches!(error, Error::NoSuchRun { newest: 1, .. });
        let store = world.store();
        assert!(never(store.restore(&name_of("page"), which, &to, Over::Older).unwrap_err()));
        assert!(never(store.restore_tree(which, &to, Over::Older).unwrap_err()));
        assert!(never(store.tree(which).unwrap_err()));
    }
    assert!(!to.exists());
}
