//! What cannot be started is a typed error, and so is each way to fail.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use unattended::command::{Codes, Command, Error};
use unattended::fault::{Class, Classify, Reached};

use super::{ms, shell};

fn refused(command: &Command) -> Error {
    let error = command.run_blocking().unwrap_err();
    assert!(error.outcome().is_none());
    assert_eq!(error.fault().reached, Reached::No, "{error}");
    error
}

#[test]
fn a_program_that_does_not_exist_is_not_found() {
    for program in ["/no/such/program", "no-such-program-anywhere", "./nor-here"] {
        let error = refused(&Command::new(program));
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        assert_eq!(
            (error.to_string(), error.fault().class),
            (format!("no program {program}"), Class::Permanent)
        );
    }
}

#[test]
fn a_program_that_is_a_folder_or_may_not_be_executed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&Command::new(folder.path()));
    assert!(matches!(error, Error::NotAFile { found: "a folder", .. }), "{error:?}");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let error = refused(&Command::new(&plain));
    assert!(matches!(error, Error::Permission { .. }), "{error:?}");
    assert_eq!(error.fault().code, "command.permission");
    let odd = folder.path().join("odd");
    std::fs::write(&odd, "neither a script nor a program").unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(refused(&Command::new(&odd)).fault().code, "command.not_executable");
    // By its name along PATH as well.
    let error = refused(&Command::new("plain").env("PATH", folder.path()));
    assert!(matches!(error, Error::Permission { .. }), "{error:?}");
}

#[test]
fn a_program_that_is_being_written_is_transient() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program");
    std::fs::copy("/bin/true", &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let open = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let error = refused(&Command::new(&path));
    assert!(matches!(error, Error::BeingWritten { .. }), "{error:?}");
    assert_eq!(error.fault().class, Class::Transient);
    drop(open);
}

#[test]
fn a_folder_to_run_in_that_does_not_exist_is_named() {
    let error = refused(&Command::new("true").dir("/no/such/folder"));
    assert!(matches!(error, Error::Invalid { field: "dir", .. }), "{error:?}");
}

#[test]
fn nul_bytes_and_a_time_out_of_zero_are_refused_before_anything_is_started() {
    assert!(matches!(refused(&Command::new("echo").arg("a\0b")), Error::Invalid { field: "arg", .. }));
    assert!(matches!(refused(&Command::new("echo").env("A", "b\0c")), Error::Invalid { field: "env", .. }));
    let error = refused(&Command::new("echo").timeout(Duration::ZERO));
    assert_eq!(error.to_string(), "timeout is 0ns, allowed is more than zero, or unbounded()");
}

#[test]
fn a_deadline_that_has_passed_starts_nothing_and_one_that_has_not_is_the_childs_limit() {
    let error = refused(&Command::new("true").deadline(chrono::DateTime::UNIX_EPOCH));
    assert!(matches!(error, Error::DeadlinePassed { .. }), "{error:?}");
    let now = chrono::Utc::now();
    let (command, mark) = shell("echo $UNATTENDED_DEADLINE; exec sleep 600");
    let deadline = now + ms(400);
    let error = command.deadline(deadline).grace(ms(100)).run_blocking().unwrap_err();
    let Error::Timeout { limit_ms, outcome } = error else { panic!("{error:?}") };
    assert!(limit_ms <= 400, "{limit_ms}");
    let told: chrono::DateTime<chrono::Utc> = outcome.stdout.text().trim().parse().unwrap();
    assert!((told - deadline).abs() < chrono::TimeDelta::milliseconds(2), "{told} {deadline}");
    mark.none_left();
}

#[test]
fn an_exit_code_means_what_the_table_says_and_stderr_says_why() {
    let (command, _mark) = shell("echo first >&2; echo 'disk is full' >&2; exit 75");
    let error = command.run_blocking().unwrap_err();
    assert_eq!(error.to_string(), "/bin/sh exited with code 75: disk is full");
    assert_eq!((error.fault().class, error.fault().code.as_ref()), (Class::Transient, "exit.75"));
    let (command, _mark) = shell("exit 75");
    let codes = Codes::sysexits().permanent(75);
    assert_eq!(command.clone().codes(codes).run_blocking().unwrap_err().fault().class, Class::Permanent);
    command.codes(Codes::sysexits().success(75)).run_blocking().unwrap();
}

#[test]
fn the_environment_is_what_it_was_said_to_be() {
    let (command, _mark) = shell("env | sort");
    let command = command.env("KEPT", "1").env("GONE", "2").env_remove("GONE").unbounded();
    let said = command.run_blocking().unwrap().stdout.text();
    assert!(said.contains("KEPT=1\n") && !said.contains("GONE") && said.contains("HOME="), "{said}");
    assert!(!said.contains("UNATTENDED_DEADLINE"), "it has none");
    let bare = Command::new("/usr/bin/env").env("BEFORE", "1").env_clear().env("ONLY", "this").run_blocking();
    let said = bare.unwrap().stdout.text();
    let mut names: Vec<_> = said.lines().filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ONLY", "UNATTENDED_COMMAND", "UNATTENDED_DEADLINE"]);
}

#[test]
fn nothing_is_read_unless_it_is_given_and_nothing_goes_through_a_shell() {
    assert_eq!(Command::new("cat").run_blocking().unwrap().stdout.bytes, 0);
    let said = Command::new("echo").args(["$HOME", "a;b", "*"]).run_blocking().unwrap();
    assert_eq!(said.stdout.text(), "$HOME a;b *\n");
}
