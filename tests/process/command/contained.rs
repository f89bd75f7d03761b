//! What leaves the group: reported, or ended where that was asked for.

use std::path::{Path, PathBuf};
use std::time::Instant;

use unattended::command::{Command, Contain, Error};

use super::{SLACK, exists, ms, shell, until, zombies};

const DAEMON: &str = "setsid sh -c 'sleep 600 & sleep 600' >/dev/null 2>&1 & sleep 0.3; echo up";

#[test]
fn who_has_escaped_is_reported_with_their_numbers() {
    let (command, mark) = shell(DAEMON);
    let begun = Instant::now();
    let error = command.drain(ms(200)).run_blocking().unwrap_err();
    assert!(begun.elapsed() < ms(500) + SLACK);
    let Error::Escaped { mut pids, outcome } = error else { panic!("{error:?}") };
    let mut there = mark.pids();
    pids.sort_unstable();
    there.sort_unstable();
    assert_eq!((pids.len(), &pids), (3, &there), "the shell and what it started");
    assert_eq!(outcome.stdout.text(), "up\n");
    mark.sweep();
    mark.none_left();
}

#[test]
fn a_program_that_may_leave_a_daemon_is_no_failure() {
    let (command, mark) = shell("setsid sleep 600 & sleep 0.3; echo up");
    let outcome = command.drain(ms(100)).escape_allowed().run_blocking().unwrap();
    assert!(outcome.pipe_held_open && outcome.escaped.len() == 1 && outcome.stdout.text() == "up\n");
    mark.sweep();
    mark.none_left();
}

#[test]
fn a_subreaper_ends_and_reaps_what_has_left_the_group_and_no_other_child() {
    let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    for script in [DAEMON, "setsid sleep 600 & sleep 0.3; echo up"] {
        let (command, mark) = shell(script);
        let command = command.contain(Contain::Subreaper).grace(ms(500)).drain(ms(200));
        let outcome = command.run_blocking().unwrap();
        assert_eq!(outcome.stdout.text(), "up\n");
        assert!(
            !outcome.left.is_empty() && outcome.escaped.is_empty() && !outcome.pipe_held_open,
            "{outcome:?}"
        );
        mark.none_left();
        assert!(outcome.left.iter().all(|pid| until(|| !exists(*pid))), "they are reaped");
    }
    assert!(exists(other.id()) && other.try_wait().unwrap().is_none(), "it is none of the command's");
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(until(|| zombies().is_empty()), "{:?}", zombies());
}

#[test]
fn a_control_group_ends_what_no_signal_to_a_group_reaches() {
    let Some(parent) = delegated() else {
        eprintln!("no control group of version 2 that this process may make groups in: not tried");
        return;
    };
    let (command, mark) = shell(
        "setsid env -i sh -c 'trap \"\" TERM; sleep 600 & sleep 600' & sleep 0.3; cat /proc/self/cgroup; cat",
    );
    let command = command.contain(Contain::Cgroup(parent.0.clone())).grace(ms(200)).drain(ms(500));
    let input = unattended::command::Stdin::Bytes(b"what it reads\n".to_vec());
    let outcome = command.clone().stdin(input).run_blocking().unwrap();
    assert!(outcome.stdout.text().contains("/unattended-"), "{outcome:?}");
    assert!(outcome.stdout.text().ends_with("what it reads\n"), "{outcome:?}");
    assert!(
        !outcome.left.is_empty() && outcome.left.iter().all(|pid| until(|| !exists(*pid))),
        "{outcome:?}"
    );
    mark.none_left();
    // A child that hangs, and a drop.
    let (hang, mark) = shell("setsid sleep 600 & exec sleep 600");
    let hang = hang.contain(Contain::Cgroup(parent.0.clone())).timeout(ms(300)).grace(ms(200));
    assert!(matches!(hang.run_blocking(), Err(Error::Timeout { outcome, .. }) if outcome.escaped.is_empty()));
    mark.none_left();
    let child = hang.start().unwrap();
    assert!(until(|| mark.pids().len() >= 2));
    drop(child);
    mark.none_left();
    let left: Vec<_> = std::fs::read_dir(&parent.0).unwrap().flatten().collect();
    let groups = left.iter().filter(|entry| entry.file_type().unwrap().is_dir());
    assert_eq!(groups.count(), 0, "the groups are removed");
    // What cannot be run is as typed as without it.
    let contained = |program: &str| Command::new(program).contain(Contain::Cgroup(parent.0.clone()));
    assert!(matches!(contained("no-such-program").run_blocking(), Err(Error::NotFound { .. })));
    assert!(matches!(contained("/etc").run_blocking(), Err(Error::NotAFile { .. })));
}

#[test]
fn a_folder_that_is_no_control_group_is_an_error_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let error = Command::new("true").contain(Contain::Cgroup(folder.path().into())).run_blocking();
    assert!(matches!(error, Err(Error::Cgroup { .. })), "{error:?}");
}

/// A group of this test's own, removed at the end.
struct Parent(PathBuf);

impl Drop for Parent {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir(&self.0);
    }
}

fn delegated() -> Option<Parent> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().find_map(|mount| {
        let parent = Path::new(mount).join(&own).join(format!("test-{}", std::process::id()));
        std::fs::create_dir(&parent).ok()?;
        let parent = Parent(parent);
        // A folder of version 1, or of no control groups at all, has none.
        parent.0.join("cgroup.kill").exists().then_some(parent)
    })
}
