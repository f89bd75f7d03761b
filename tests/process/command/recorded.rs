//! A command that is recorded is never run twice at once, also when whoever started it was killed.

use std::path::Path;

use unattended::command::{Command, Error, Stdin};

use super::{exists, until};
use crate::kit::{Player, say, var};

/// What a child of the test does: it starts a recorded command, says its number, and waits.
pub fn child(role: &str, path: &Path) -> bool {
    if role != "run recorded" {
        return false;
    }
    let seconds: String = var("UNATTENDED_SECONDS");
    let mut running = Command::new("sleep").arg(seconds).recorded(path).start().unwrap();
    say(running.pid());
    let _outcome = running.wait(None, None);
    true
}

#[test]
fn an_orphan_that_still_runs_is_busy_and_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("running");
    let mut parent = Player::start("run recorded", &path, &[("UNATTENDED_SECONDS", String::from("600"))]);
    let pid: u32 = parent.hear().unwrap().parse().unwrap();
    parent.kill();
    assert!(exists(pid), "it outlives whoever started it");
    let again = Command::new("true").recorded(&path);
    match again.run_blocking() {
        Err(Error::Busy { pid: busy, since, .. }) => {
            assert_eq!(busy, pid);
            assert!((chrono::Utc::now() - since).num_seconds() < 60);
        }
        other => panic!("{other:?}"),
    }
    let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(until(|| again.run_blocking().is_ok()), "once it has ended the next one runs");
    assert!(!path.exists(), "and what has ended is not recorded");
}

#[test]
fn a_recorded_command_is_the_very_process_reads_its_input_and_is_typed_when_it_cannot_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("running");
    let script = "echo $$; cat; cat \"$0\"";
    let command = Command::new("sh").args(["-c", script]).arg(path.as_os_str()).recorded(&path);
    let said = command.stdin(Stdin::Bytes(b"two\nlines\n".to_vec())).run_blocking().unwrap().stdout.text();
    let (pid, rest) = said.split_once('\n').unwrap();
    assert!(rest.starts_with("two\nlines\n") && rest.contains(&format!("\"pid\":{pid},")), "{said}");
    let recorded = |program: &str| Command::new(program).recorded(&path).run_blocking();
    assert!(matches!(recorded("no-such-program"), Err(Error::NotFound { .. })));
    assert!(matches!(recorded("/etc"), Err(Error::NotAFile { .. })));
    assert!(matches!(recorded("/etc/passwd"), Err(Error::Permission { .. })));
    assert!(!path.exists());
    let missing = Command::new("true").recorded("/no/such/folder/record").run_blocking();
    assert!(matches!(missing, Err(Error::Record { .. })), "{missing:?}");
}
