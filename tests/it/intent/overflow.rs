//! Events that are lost, and what else a source of events does not give.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use unattended::explain::Explain;
use unattended::files::{Error, Scan, Source, Watch};
use unattended::intent::{Intent, Lost, Policy};

use crate::intent::replay::Heard;
use crate::intent::{millis, start, write};

/// How many events the kernel keeps for who does not read them.
fn queue() -> usize {
    let said = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    said.map_or(16_384, |text| text.trim().parse().unwrap())
}

/// Who reads the events is held up, the kernel's queue fills, and the kernel throws events away.
#[cfg(target_os = "linux")]
#[test]
fn an_overflow_of_the_kernels_queue_is_a_resync_with_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for n in 0..10 {
        write(root, &format!("{n}.log"), "");
    }
    if queue() > 100_000 {
        println!("skipped: the kernel's queue holds {} events", queue());
        return;
    }
    let (stalled, said) = (Arc::new(Mutex::new(())), channel());
    let (held, stall) = (stalled.lock().unwrap(), Arc::clone(&stalled));
    let scan = Scan::workspace(root).leave_out_if(move |path| {
        if path.as_os_str() == "stall" {
            let _heard = said.0.send(());
            drop(stall.lock());
        }
        path.as_os_str() == "stall"
    });
    let mut heard = Heard::of(scan, start());
    write(root, "stall", "");
    said.1.recv_timeout(millis(60_000)).expect("the reader is held up");
    // Two events that are alike and follow each other are one.
    let mut files =
        ["0.log", "1.log"].map(|name| OpenOptions::new().append(true).open(root.join(name)).unwrap());
    for _ in 0..queue() {
        for file in &mut files {
            file.write_all(b"x").unwrap();
        }
    }
    for n in 2..10 {
        write(root, &format!("{n}.log"), "written while nobody was told");
    }
    drop(held);
    heard.all_of(root);
    let intent = heard.says();
    let Intent::Resync { why: Lost::Overflow { .. }, found } = &intent else { panic!("{intent}") };
    assert!(matches!(**found, Intent::Bulk { count: 10, .. }), "{intent}");
    // It goes on as before.
    write(root, "5.log", "one edit");
    heard.all_of(root);
    assert_eq!(heard.says().to_string(), "5.log was modified");
}

/// Whoever may not have as many watches as there are folders is told which limit it is, or polls.
#[cfg(target_os = "linux")]
#[test]
fn a_tree_that_cannot_be_watched_is_polled_if_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let error = Watch::new(Scan::new(&gone)).or_poll(millis(100)).start(start()).unwrap_err();
    assert!(error.to_string().starts_with("there is no folder to look at in "), "{error}");
    let error = Watch::new(Scan::new(folder.path())).or_poll(millis(0)).start(start()).unwrap_err();
    assert_eq!(error.to_string(), "files: or_poll is 0ns, allowed is 1ms to 86400s");
    let policy = Policy::default().bulk_from(0);
    let error = Watch::new(Scan::new(folder.path())).policy(policy).start(start()).unwrap_err();
    assert_eq!(error.to_string(), "intent policy: bulk_from is 0, allowed is 2 to 10000");
}

/// The machine's clock, for once.
#[test]
fn the_next_intent_can_be_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy::default().quiet(millis(50));
    let mut tree = Watch::new(Scan::new(folder.path())).policy(policy).start(start()).unwrap();
    assert_eq!(tree.next(millis(20)), None);
    write(folder.path(), "new.md", "n");
    let mut said = tree.next(millis(60_000)).expect("within a minute");
    // A machine that is busy may have parted the two events by more than the quiet.
    for _ in 0..10 {
        if said.code() == "intent.single" {
            break;
        }
        said = tree.next(millis(60_000)).expect("within a minute");
    }
    assert_eq!(said.to_string(), "new.md was created");
}

/// What nobody tells of is found by looking.
#[test]
fn a_tree_that_is_watched_is_looked_at_every_so_often_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let scan = Scan::new(folder.path());
    let mut now = start();
    let mut tree = Watch::new(scan).look_every(Some(millis(60_000))).start(now).unwrap();
    assert_eq!(tree.next_wake(), Some(now.after(millis(60_000)).moment));
    now = now.after(millis(60_000));
    assert_eq!(tree.turn(now), None, "a look that finds nothing says nothing");
    assert_eq!(tree.next_wake(), Some(now.after(millis(60_000)).moment));
}

/// In a namespace of its own a user may have as few watches as somebody says there.
#[cfg(target_os = "linux")]
#[test]
fn a_watch_limit_is_named_and_polling_takes_over_where_it_is_wanted() {
    const ALONE: &str = "UNATTENDED_THREE_WATCHES";
    if std::env::var_os(ALONE).is_some() {
        return with_three_watches();
    }
    let limit = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let mut alone = Command::new("unshare");
    alone.args(["-Ur", "sh", "-c", limit, "sh"]).arg(std::env::current_exe().unwrap()).env(ALONE, "1");
    let test = "intent::overflow::a_watch_limit_is_named_and_polling_takes_over_where_it_is_wanted";
    match alone.args(["--exact", test, "--nocapture"]).output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running 1 test") => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        _ => println!("skipped: no namespace of its own can be made for a user here"),
    }
}

#[cfg(target_os = "linux")]
fn with_three_watches() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for n in 0..2 {
        write(root, &format!("{n}/a"), "x");
    }
    let mut now = start();
    let mut tree = Watch::new(Scan::new(root)).or_poll(millis(1000)).start(now).unwrap();
    assert_eq!(tree.source(), Source::Events, "three folders, three watches");
    write(root, "2/a", "x");
    assert!(tree.wait(millis(60_000)));
    let mut says = || {
        (0..20).find_map(|_| {
            now = now.after(millis(500));
            tree.turn(now).map(|said| (said, tree.source()))
        })
    };
    let Some((Intent::Resync { why: Lost::WatchLimit, found }, Source::Polling)) = says() else { panic!() };
    assert_eq!(found.to_string(), "2/a was created");
    write(root, "2/a", "longer");
    assert_eq!(says().map(|(said, _)| said.to_string()).as_deref(), Some("2/a was modified"), "by looking");
    drop(tree);
    let error = Watch::new(Scan::new(root)).start(start()).unwrap_err();
    assert!(matches!(error, Error::WatchLimit { .. }), "{error:?}");
    assert!(error.to_string().contains("fs.inotify.max_user_watches"), "{error}");
    let polled = Watch::new(Scan::new(root)).or_poll(millis(1000)).start(start()).unwrap();
    assert_eq!(polled.source(), Source::Polling);
}
