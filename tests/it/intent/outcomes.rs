//! What a tree can hold, and what can become of it.

use std::fs;
use std::path::{Path, PathBuf};

use unattended::explain::Explain;
use unattended::files::{Error, Polling, Scan};
use unattended::intent::{Calm, Intent, Kind, Lost, Policy, State, What};

use crate::intent::{millis, single, start, write};

fn paths(state: &State) -> Vec<(String, Kind)> {
    state.iter().map(|(path, stamp)| (path.to_string_lossy().into_owned(), stamp.kind)).collect()
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_pipes_are_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "a/file", "x");
    std::os::unix::fs::symlink("..", root.join("a/up")).unwrap();
    std::os::unix::fs::symlink("b", root.join("b")).unwrap();
    std::os::unix::fs::symlink("/nowhere", root.join("c")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(root.join("d")).status().unwrap();
    assert!(pipe.success());
    let socket = std::os::unix::net::UnixListener::bind(root.join("e")).unwrap();
    let state = Scan::new(root).snapshot();
    let expected = [
        ("a", Kind::Folder),
        ("a/file", Kind::File),
        ("a/up", Kind::Link),
        ("b", Kind::Link),
        ("c", Kind::Link),
        ("d", Kind::Other),
        ("e", Kind::Other),
    ];
    assert_eq!(paths(&state), expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert!(state.unreadable().is_empty());
    drop(socket);
    // The root may be a link.
    let link = folder.path().join("f");
    std::os::unix::fs::symlink("a", &link).unwrap();
    assert_eq!(Scan::new(link).snapshot().len(), 2);
}

/// Only on Linux may a name be any bytes.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_told_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = PathBuf::from(std::ffi::OsStr::from_bytes(b"caf\xe9.md"));
    let mut now = start();
    let mut tree =
        Polling::start(Scan::workspace(folder.path()), Policy::default(), millis(500), now).unwrap();
    fs::write(folder.path().join(&name), "x").unwrap();
    let said = (0..9).find_map(|_| {
        now = now.after(millis(500));
        tree.poll(now)
    });
    let Some(Intent::Single(change)) = said else { panic!("{said:?}") };
    assert_eq!((&change.path, &change.what), (&name, &What::Created));
}

#[test]
fn a_state_is_in_the_order_of_its_paths() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["a/x", "a.b", "a b", "a/y/z", "ab", "a-/k"] {
        write(folder.path(), path, "x");
    }
    let state = Scan::new(folder.path()).snapshot();
    let found: Vec<&Path> = state.iter().map(|(path, _)| path).collect();
    assert!(found.is_sorted(), "{found:?}");
    assert_eq!(found.len(), 9);
    assert!(found.iter().all(|path| state.get(path).is_some()));
}

#[test]
fn a_tree_of_more_entries_than_are_allowed_is_told_and_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..20 {
        write(folder.path(), &format!("{}/{n}", n % 4), "x");
    }
    let scan = Scan::new(folder.path()).entries_max(24);
    assert_eq!(scan.snapshot().cut_at(), None);
    let mut tree = Polling::start(scan.clone(), Policy::default(), millis(500), start()).unwrap();
    write(folder.path(), "0/more", "x");
    let state = scan.snapshot();
    assert_eq!(state.cut_at(), Some(24));
    assert!(state.len() <= 24);
    let says = |tree: &mut Polling, from: u64| {
        (from..from + 9).find_map(|n| tree.poll(start().after(millis(n * 1000)))).unwrap()
    };
    let said = says(&mut tree, 1);
    assert!(matches!(&said, Intent::Resync { why: Lost::TooMany { entries_max: 24 }, .. }), "{said}");
    let again = Polling::start(scan, Policy::default(), millis(500), start()).unwrap_err();
    assert!(matches!(again, Error::TooMany { allowed: 24, .. }), "{again}");
    fs::remove_file(folder.path().join("0/more")).unwrap();
    assert_eq!(says(&mut tree, 100).code(), "intent.too_many", "what was cut before is not known");
    write(folder.path(), "0/0", "longer");
    assert_eq!(says(&mut tree, 200), single("0/0", What::Modified));
}

#[test]
fn a_root_that_vanishes_is_told_once_and_what_has_changed_is_found_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (root, away) = (folder.path().join("tree"), folder.path().join("away"));
    write(&root, "a", "x");
    write(&root, "b/c", "x");
    let mut now = start();
    let mut tree = Polling::start(Scan::new(&root), Policy::default(), millis(500), now).unwrap();
    let mut says = || {
        (0..9).find_map(|_| {
            now = now.after(millis(500));
            tree.poll(now)
        })
    };
    fs::rename(&root, &away).unwrap();
    let said = says().unwrap();
    assert!(
        matches!(&said, Intent::Resync { why: Lost::RootGone, found } if **found == Intent::Nothing(Calm::Unseen))
    );
    assert_eq!(says(), None, "once");
    fs::write(&root, "no folder").unwrap();
    assert_eq!(says().map(|said| said.code()), Some("intent.still_gone"));
    fs::remove_file(&root).unwrap();
    assert_eq!(says().map(|said| said.code()), Some("intent.still_gone"));
    write(&away, "b/c", "longer");
    fs::rename(&away, &root).unwrap();
    let Some(Intent::Resync { why: Lost::RootBack, found }) = says() else { panic!() };
    assert_eq!(*found, single("b/c", What::Modified));
    assert_eq!(says(), None);
}

/// The same by events, which are those of the folder that was there first.
#[cfg(feature = "watch")]
#[test]
fn a_root_that_is_back_is_watched_again() {
    use crate::intent::replay::Heard;
    let folder = tempfile::tempdir().unwrap();
    let (root, away) = (folder.path().join("tree"), folder.path().join("away"));
    write(&root, "a/b", "x");
    let mut heard = Heard::of(Scan::new(&root), start());
    fs::rename(&root, &away).unwrap();
    assert!(heard.watching.wait(millis(60_000)), "the kernel tells of it");
    assert_eq!(heard.says().code(), "intent.root_gone");
    // Nothing tells that it is back: it is looked for every second.
    fs::create_dir(&root).unwrap();
    write(&root, "a/b", "longer");
    let said = heard.says();
    let Intent::Resync { why: Lost::RootBack, found } = &said else { panic!("{said}") };
    assert_eq!(**found, single("a/b", What::Modified));
    write(&root, "a/b", "longer still");
    heard.all_of(&root);
    assert_eq!(heard.says(), single("a/b", What::Modified));
    assert!(matches!(heard.watching.state().root(), unattended::intent::Root::Folder(_)));
}

/// Where permissions count: not for the superuser.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_is_told_and_its_files_are_not_taken_for_removed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let shut = folder.path().join("shut");
    write(&shut, "a", "x");
    let mode = |mode| fs::set_permissions(&shut, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    if fs::read_dir(&shut).is_ok() {
        println!("skipped: who runs this may read everything");
        return mode(0o755);
    }
    mode(0o755);
    let mut now = start();
    let mut tree = Polling::start(Scan::new(folder.path()), Policy::default(), millis(500), now).unwrap();
    let mut says = || {
        (0..9).find_map(|_| {
            now = now.after(millis(500));
            tree.poll(now)
        })
    };
    mode(0o000);
    let (said, again) = (says(), says());
    #[cfg(feature = "watch")]
    let source =
        unattended::files::Watch::new(Scan::new(folder.path())).start(start()).map(|tree| tree.source());
    mode(0o755);
    assert_eq!(again, None, "once");
    #[cfg(feature = "watch")]
    assert_eq!(source.unwrap(), unattended::files::Source::Events, "the rest is watched all the same");
    let Some(Intent::Resync { why: Lost::Unreadable { path, count: 1 }, found }) = said else {
        panic!("{said:?}")
    };
    assert_eq!((path, *found), (PathBuf::from("shut"), Intent::Nothing(Calm::Same)));
    let Some(Intent::Resync { why: Lost::ReadableAgain { .. }, found }) = says() else { panic!() };
    assert_eq!(*found, Intent::Nothing(Calm::Same));
}

#[test]
fn what_is_left_out_is_said_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in [".git/config", "a/.git", "a/.notes.md.swp", "notes.md~", "a/notes.md", "target/x"] {
        write(root, path, "x");
    }
    assert_eq!(Scan::new(root).snapshot().len(), 9, "nothing is left out unless it is said");
    let state = Scan::workspace(root).snapshot();
    assert_eq!((state.len(), state.left_out()), (4, 4));
    let own = Scan::workspace(root).leave_out_if(|path| path.starts_with("target")).snapshot();
    assert_eq!((own.len(), own.left_out()), (2, 5));
}

#[cfg(feature = "globs")]
#[test]
fn patterns_say_what_is_taken_in_and_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in ["a.md", "a.txt", "b/c.md", "b/d/e.md", "b/d/e.txt", "target/f.md"] {
        write(root, path, "x");
    }
    let found =
        |scan: Scan| -> Vec<String> { paths(&scan.snapshot()).into_iter().map(|(path, _)| path).collect() };
    let scan = || Scan::new(root);
    assert_eq!(found(scan().include("*.md").unwrap()), ["a.md"]);
    assert_eq!(
        found(scan().include("**/*.md").unwrap().exclude("target").unwrap()),
        ["a.md", "b/c.md", "b/d/e.md"]
    );
    assert_eq!(found(scan().include("b/*").unwrap()), ["b/c.md", "b/d"]);
    assert_eq!(found(scan().exclude("**/*.md").unwrap().exclude("b/d").unwrap()), ["a.txt", "b", "target"]);
    let error = scan().include("a{b").unwrap_err();
    assert!(matches!(&error, Error::Pattern { given, .. } if given == "a{b"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(scan().exclude(&"x".repeat(5000)).is_err());
}
