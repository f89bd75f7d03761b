use std::time::Duration;

use super::lock::{lock_file, same_file};
use super::*;
use crate::base::fault::Classify;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    replace(&path, "old").unwrap();
    let mut replacement = Replacement::of(&path).unwrap();
    replacement.write(b"ne").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old", "before it is committed nothing has changed");
    drop(replacement);
    assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["a".to_owned()]));
    let mut replacement = Replacement::of(&path).unwrap();
    replacement.write(b"ne").unwrap();
    replacement.write(b"w").unwrap();
    replacement.commit().unwrap();
    assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"new".to_vec(), vec!["a".to_owned()]));
}

#[test]
fn what_cannot_be_replaced_says_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/such/file");
    let error = replace(&nowhere, "x").unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == folder.path().join("no/such")), "{error:?}");
    assert!(error.is_missing());
    for (path, what) in
        [(folder.path().to_owned(), "a folder"), (folder.path().join("x/.."), "without a file")]
    {
        let error = replace(&path, "x").unwrap_err();
        assert!(matches!(&error, Error::NotAFile { found, .. } if found.contains(what)), "{error:?}");
        assert_eq!(error.fault().code, "file.not_a_file");
    }
    assert!(matches!(replace("", "x").unwrap_err(), Error::Io { .. }));
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_apart() {
    use crate::base::fault::Severity;
    for (kind, code) in [
        (io::ErrorKind::StorageFull, "file.full"),
        (io::ErrorKind::QuotaExceeded, "file.full"),
        (io::ErrorKind::ReadOnlyFilesystem, "file.read_only"),
        (io::ErrorKind::PermissionDenied, "file.read_only"),
    ] {
        let fault = Error::writing("cannot write", Path::new("/x"), kind.into()).fault();
        assert_eq!((&*fault.code, fault.severity), (code, Severity::Fatal));
    }
    assert_eq!(
        Error::writing("cannot write", Path::new("/x"), io::ErrorKind::TimedOut.into()).fault().code,
        "io.timed_out"
    );
}

#[cfg(unix)]
#[test]
fn the_mode_is_kept_and_a_new_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    replace(&path, "1").unwrap();
    assert_eq!(mode(), 0o600);
    for kept in [0o644, 0o440, 0o751] {
        fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
        replace(&path, "2").unwrap();
        assert_eq!(mode(), kept, "{kept:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_and_what_it_leads_to_is_replaced() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("there")).unwrap();
    fs::write(at("there/real"), "old").unwrap();
    symlink("there/real", at("one")).unwrap();
    symlink(at("one"), at("two")).unwrap();
    replace(at("two"), "new").unwrap();
    assert_eq!(fs::read(at("there/real")).unwrap(), b"new");
    assert!(at("one").is_symlink() && at("two").is_symlink());
    assert_eq!(names(&at("there")), ["real"], "it was made in the folder of the real one");

    symlink("there/later", at("dangling")).unwrap();
    replace(at("dangling"), "made").unwrap();
    assert_eq!(fs::read(at("there/later")).unwrap(), b"made");

    symlink("loop", at("loop")).unwrap();
    let error = replace(at("loop"), "x").unwrap_err();
    assert!(matches!(&error, Error::NotAFile { found, .. } if found.contains("too many")), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_fifo_is_neither_replaced_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    for error in [replace(&path, "x").unwrap_err(), open_plain(&path).unwrap_err()] {
        assert!(matches!(&error, Error::NotAFile { found, .. } if found.contains("FIFO")), "{error:?}");
    }
}

#[test]
fn only_old_leftovers_of_ours_that_nobody_holds_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let old = System.now().wall - chrono::TimeDelta::seconds(3601);
    let make = |name: &str, at: Option<crate::base::time::Timestamp>| {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        if let Some(at) = at {
            file.set_modified(SystemTime::from(at)).unwrap();
        }
        file
    };
    let left = ".unattended-0123456789abcdef.tmp";
    make(left, Some(old));
    make(".unattended-1111111111111111.tmp", None);
    let held = make(".unattended-2222222222222222.tmp", Some(old));
    held.lock().unwrap();
    for alien in
        [".unattended-0123456789abcdef", ".unattended-0123.tmp", ".unattended-0123456789abcdeg.tmp", "x.tmp"]
    {
        make(alien, Some(old));
    }
    fs::create_dir(folder.path().join(".unattended-3333333333333333.tmp")).unwrap();
    let before = names(folder.path());
    assert_eq!(clear_leftovers(folder.path()).unwrap(), 1);
    let gone: Vec<_> = before.into_iter().filter(|name| !names(folder.path()).contains(name)).collect();
    assert_eq!(gone, [left]);
    drop(held);
    replace(folder.path().join("a"), "x").unwrap();
    assert!(
        !folder.path().join(".unattended-2222222222222222.tmp").exists(),
        "a replacement clears away too"
    );
    assert!(clear_leftovers(folder.path().join("nowhere")).unwrap_err().is_missing());
}

#[test]
fn a_temporary_file_in_use_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let mut replacement = Replacement::of(folder.path().join("a")).unwrap();
    let old = System.now().wall - chrono::TimeDelta::days(2);
    replacement.file.set_modified(SystemTime::from(old)).unwrap();
    assert_eq!(clear_leftovers(folder.path()).unwrap(), 0);
    replacement.write(b"x").unwrap();
    replacement.commit().unwrap();
}

#[test]
fn a_lock_is_held_by_one_and_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lock");
    let held = Lock::take(&path, Duration::ZERO).unwrap();
    let error = Lock::take(&path, Duration::from_millis(5)).unwrap_err();
    let Error::Busy { waited_ms, allowed_ms, holder, .. } = error else { panic!("{error:?}") };
    assert_eq!((allowed_ms, holder), (5, Some(std::process::id())));
    assert!(waited_ms >= 5);
    drop(held);
    assert_eq!(fs::read(&path).unwrap(), b"", "it stays, and names nobody");
    drop(Lock::take(&path, Duration::ZERO).unwrap());
}

#[test]
fn a_lock_that_comes_free_in_time_is_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lock");
    let sum = std::sync::Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let _held = Lock::take(&path, Duration::from_secs(60)).unwrap();
                    *sum.try_lock().expect("nobody else is here") += 1;
                }
            });
        }
    });
    assert_eq!(sum.into_inner().unwrap(), 200);
}

#[test]
fn a_lock_on_a_removed_file_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lock");
    let file = lock_file(&path).unwrap();
    assert!(same_file(&file, &path));
    fs::remove_file(&path).unwrap();
    assert!(!same_file(&file, &path));
    fs::write(&path, "").unwrap();
    #[cfg(unix)]
    assert!(!same_file(&file, &path));
}
