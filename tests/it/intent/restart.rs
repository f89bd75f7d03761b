//! A process that looks, saves what it saw, and dies.

#[cfg(feature = "store")]
use std::{fs, path::Path};

use unattended::files::{Polling, Scan};
use unattended::intent::{Policy, State, What};

use crate::intent::{millis, single, start, write};

/// A cron process: it has no time to watch, so it compares.
#[cfg(feature = "store")]
#[test]
fn a_cron_process_tells_what_has_changed_since_the_one_before() {
    use unattended::intent::Intent;
    use unattended::snapshots::File;
    let (tree, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pass = || -> Option<Intent> {
        let file = File::<State>::open(kept.path().join("tree.state")).unwrap().bytes_max(64 << 20);
        let now = Scan::workspace(tree.path()).snapshot();
        let last = file.load().unwrap().map(|loaded| loaded.value);
        let said = last.as_ref().map(|last| Policy::default().judge(last, &now));
        file.save(&last.unwrap_or_default().followed_by(now)).unwrap();
        said
    };
    write(tree.path(), "notes.md", "x");
    assert_eq!(pass(), None, "the first one has nothing to compare with");
    assert_eq!(pass().unwrap().to_string(), "nothing is other than it was");
    write(tree.path(), "notes.md", "longer");
    odd_name(tree.path());
    let said = pass().unwrap();
    assert!(matches!(&said, Intent::Few(changes) if changes.len() == 2), "{said}");
    assert_eq!(pass().unwrap().to_string(), "nothing is other than it was");
}

#[cfg(all(feature = "store", target_os = "linux"))]
fn odd_name(root: &Path) {
    use std::os::unix::ffi::OsStrExt;
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
}

#[cfg(all(feature = "store", not(target_os = "linux")))]
fn odd_name(root: &Path) {
    fs::write(root.join("odd"), "x").unwrap();
}

#[test]
fn polling_goes_on_from_where_another_process_was() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", "x");
    let scan = || Scan::workspace(folder.path());
    let first = Polling::start(scan(), Policy::default(), millis(1000), start()).unwrap();
    let saved = serde_json::to_string(first.state()).unwrap();
    drop(first);
    write(folder.path(), "b", "x");
    let last: State = serde_json::from_str(&saved).unwrap();
    let now = start();
    let mut next = Polling::resume(scan(), Policy::default(), millis(1000), last, now).unwrap();
    assert_eq!(next.next_wake(), now.moment, "it looks at once");
    let said = (0..9).find_map(|n| next.poll(now.after(millis(n * 500)))).unwrap();
    assert_eq!(said, single("b", What::Created));
}

/// Nothing is asked of the disk before it is time to.
#[test]
fn polling_looks_when_it_is_time_to_and_tells_within_the_longest_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut now = start();
    let mut tree = Polling::start(Scan::new(folder.path()), Policy::default(), millis(1000), now).unwrap();
    let began = now;
    for n in 0..100 {
        // It never rests.
        write(folder.path(), "log", &"x".repeat(n + 1));
        now = now.after(millis(200));
        if let Some(said) = tree.poll(now) {
            assert_eq!(said, single("log", What::Created));
            let waited = now.moment.since(began.moment);
            assert!(waited <= millis(6000) && waited >= millis(5000), "{waited:?}: a second, and five");
            return;
        }
        assert!(tree.next_wake() > now.moment);
    }
    panic!("it waits for ever");
}
