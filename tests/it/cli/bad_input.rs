//! What the binary says when it cannot do what was asked.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use super::fixture::{filled, put};
use super::{command, fed, given, run};

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub").join("none.db");
    let path = path.to_str().unwrap();
    for args in [
        ["runs", "--store", path].as_slice(),
        &["note", "x", "y", "--store", path],
        &["store", "info", "--store", path],
    ] {
        let human = run(args);
        assert_eq!(human.exit, 78, "{human:?}");
        assert!(human.err.contains(&format!("there is no store at {path} (--store)")), "{}", human.err);
        let json = run(&[args, &["--json"]].concat());
        assert_eq!(json.failure(), (78, String::from("store.missing")));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn where_it_looked_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let by = |name: &str| given(command().env(name, &home).arg("runs"), "").err;
    let expected = format!("there is no store at {home}/unattended.db ($STATE_DIRECTORY)");
    assert!(by("STATE_DIRECTORY").contains(&expected), "{}", by("STATE_DIRECTORY"));
    let expected = format!("there is no store at {home}/unattended.db ($UNATTENDED_STORE)");
    assert!(by("UNATTENDED_STORE").contains(&expected), "{}", by("UNATTENDED_STORE"));
}

#[test]
fn the_environment_names_the_store() {
    let fixture = filled();
    let url = format!("sqlite:{}", fixture.path.display());
    let given = given(command().env("UNATTENDED_STORE", &url).args(["show", "report"]), "");
    assert_eq!(given.exit, 0, "{given:?}");
    assert!(
        given.out.contains("\n  unattended note "),
        "the command to type needs no --store: {}",
        given.out
    );
}

#[test]
fn a_file_that_is_no_store_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(
        &path,
        "Dear diary, this is not a database at all, but long enough to look like one.\n".repeat(20),
    )
    .unwrap();
    let before = fs::read(&path).unwrap();
    for verb in [["runs"].as_slice(), &["note", "x", "y"], &["store", "check"]] {
        let args = [verb, &["--json", "--store", path.to_str().unwrap()]].concat();
        assert_eq!(run(&args).failure(), (78, String::from("store.not_a_store")));
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count(),
        1
    );
}

#[test]
fn a_password_in_a_url_is_not_repeated() {
    let given = run(&["runs", "--store", "mysql://ada:hunter2@db/x"]);
    assert_eq!(given.exit, 78);
    assert!(!given.err.contains("hunter2"), "{}", given.err);
}

#[test]
fn runs_that_are_not_there_or_not_clear() {
    let fixture = filled();
    let none = fixture.run(&["show", "nothing-like-it"]);
    assert_eq!(none.exit, 1);
    assert!(none.err.starts_with("unattended: there is no run nothing-like-it\n"), "{}", none.err);
    assert!(none.err.contains("@failed"), "the hint says what a RUN is: {}", none.err);
    assert_eq!(fixture.json(&["explain", "zz"]).failure(), (1, String::from("run.no_such_run")));
    assert_eq!(fixture.json(&["show", "ingest~7"]).failure().0, 1);
    assert_eq!(fixture.json(&["show", ""]).failure(), (2, String::from("run.invalid")));
    put(&fixture, "one-same", "twin", "queued");
    put(&fixture, "two-same", "twin", "queued");
    let twins = fixture.run(&["show", "same"]);
    assert_eq!(twins.exit, 1);
    assert!(twins.err.contains("one-same") && twins.err.contains("two-same"), "{}", twins.err);
    assert_eq!(fixture.json(&["show", "same"]).failure(), (1, String::from("run.ambiguous")));
}

#[test]
fn a_run_in_the_wrong_state_says_what_is_possible() {
    let fixture = filled();
    let given = fixture.run(&["requeue", "report"]);
    assert_eq!(given.exit, 1);
    assert!(
        given.err.contains("is succeeded; requeue takes a run that is failed_transient"),
        "{}",
        given.err
    );
    assert!(given.err.contains("--mode rerun`"), "{}", given.err);
    assert_eq!(fixture.run(&["requeue", "--all", "--state", "succeeded", "--yes"]).exit, 1);
}

#[test]
fn broken_json_has_a_place() {
    let broken = fed(&["canonical"], "{\n  \"a\": 1,\n  \"b\" 2\n}");
    assert_eq!((broken.exit, broken.out.as_str()), (1, ""));
    assert!(broken.err.contains("line 3 column 7"), "{}", broken.err);
    let args = ["key", "--scope", "s", "--kind", "k", "--id", "1", "--json"];
    assert_eq!(fed(&args, "[1,").failure(), (1, String::from("canonical.invalid")));
    assert_eq!(fed(&args, "  ").failure(), (1, String::from("canonical.invalid")));
    let twice = fed(&["canonical"], r#"{"a":1,"a":2}"#);
    assert!(twice.err.contains("duplicate key \"a\""), "{}", twice.err);
    let empty = fed(&["key", "--scope", "", "--kind", "k", "--id", "1", "--json"], "{}");
    assert_eq!(empty.failure(), (2, String::from("usage")));
}

#[test]
fn usage_errors_are_two() {
    let fixture = filled();
    assert_eq!(run(&["runs", "--colour"]).exit, 2);
    assert_eq!(run(&["dance", "--json"]).failure(), (2, String::from("usage")));
    assert_eq!(run(&["requeue", "--json"]).failure(), (2, String::from("usage")));
    assert_eq!(run(&[]).exit, 2);
    for wrong in [
        ["runs", "--state", "failed"].as_slice(),
        &["runs", "--since", "yesterday"],
        &["runs", "--limit", "0"],
        &["requeue", "x", "--all"],
        &["requeue", "x", "--job", "ingest"],
        &["requeue", "--all", "--rate", "fast"],
        &["note", "report", " "],
        &["note", "report", "x", "--by", " "],
    ] {
        assert_eq!(fixture.json(wrong).failure(), (2, String::from("usage")), "{wrong:?}");
    }
    let state = fixture.run(&["runs", "--state", "failed"]);
    assert!(state.err.contains("failed_permanent"), "it says which there are: {}", state.err);
}

#[test]
fn what_a_message_carries_does_not_reach_the_terminal() {
    let fixture = filled();
    let explained = fixture.run(&["explain", "ingest~1"]);
    assert!(explained.out.contains(r"connection \u{1b}[31mtimed out\nagain"), "{}", explained.out);
    assert!(!explained.out.contains('\x1b'));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = command()
        .arg("canonical")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("\"{}\"", "x".repeat(4 << 20));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 10]).unwrap();
    drop(out);
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child =
        command().arg("canonical").stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{}").unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stderr).unwrap().contains("the output cannot be written"));
}
