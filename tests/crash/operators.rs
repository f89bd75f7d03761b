//! What people and programs read and type: the lines of `--json`, exit codes, a closed pipe, and the operator's verbs.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use crate::world::{Ended, World, names, program};

fn keys(object: &serde_json::Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_lines_have_exactly_their_keys_and_the_summary_is_the_last() {
    let world = World::new();
    world.drop_everything();
    let lines = world.pass().lines();
    let (summary, files) = lines.split_last().unwrap();
    assert_eq!(files.len(), 4);
    for line in files {
        let expected = ["code", "duplicate", "file", "lines", "run_id", "state", "why"];
        assert_eq!(keys(line), BTreeSet::from(expected), "{line}");
        assert!(line["run_id"].is_string() && line["duplicate"].is_boolean(), "{line}");
    }
    assert_eq!(keys(summary), BTreeSet::from(["summary"]));
    let expected = ["duplicates", "duration_ms", "failed", "files", "left", "lines", "succeeded"];
    assert_eq!(keys(&summary["summary"]), BTreeSet::from(expected));
    let count = |name: &str| summary["summary"][name].as_u64().unwrap();
    assert_eq!((count("files"), count("succeeded"), count("failed"), count("duplicates")), (4, 2, 1, 1));
    assert_eq!((count("left"), count("lines")), (0, world.rows()));
}

#[test]
fn an_unknown_crash_point_is_refused_before_anything_is_touched() {
    let world = World::new();
    world.drop_everything();
    let before = names(&world.inbox());
    let ended = Ended::of(world.command().args(["--crash-at", "nonsense"]));
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    let said = format!("{}{}", ended.out, ended.err);
    assert!(said.contains("nonsense") && said.contains("--crash-at list"), "{said}");
    assert_eq!(names(&world.inbox()), before);
    assert!(!world.root().exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let world = World::new();
    for n in 0..30 {
        world.drop(&format!("{n}.log"), format!("{n}\n").into_bytes(), false);
    }
    let (inbox, root) = (world.inbox(), world.root());
    let run = format!("{} --inbox {} --root {}", program().display(), inbox.display(), root.display());
    for command in
        [format!("{run} --json"), run, format!("{} ops --root {} runs", program().display(), root.display())]
    {
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &format!("{command} | head -1 | cut -c-1")]);
        let ended = Ended::of(&mut shell);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{command}: {ended:?}");
    }
    let mut closed = world.command();
    let ended = closed.stdout(Stdio::null()).status().unwrap();
    assert!(ended.success());
    world.verify("head -1");
}

/// Content is the identity: the failed run stays failed, and the mended file is another run.
#[test]
fn a_failed_run_is_explained_and_a_mended_file_is_a_run_of_its_own() {
    let world = World::new();
    world.drop("sound.log", b"sound\n".to_vec(), false);
    world.drop("bad.log", b"fine\nnot \xff\n".to_vec(), true);
    let told = world.pass().told("bad.log");
    let id = told["run_id"].as_str().unwrap().to_owned();

    let explained = world.ops(&["explain", &id]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    for said in ["ingest.not_utf8", "line 2, byte 5: 0xff is not UTF-8 here", "validate"] {
        assert!(explained.out.contains(said), "{said}: {explained:?}");
    }
    let shown = world.ops(&["show", &id, "--json"]).lines().remove(0);
    assert_eq!(
        (&shown["run_id"], &shown["state"]),
        (&id.as_str().into(), &"failed_permanent".into()),
        "{shown}"
    );
    assert_eq!(shown["faults"][0]["code"], "ingest.not_utf8", "{shown}");
    let listed = world.ops(&["runs", "--state", "failed_permanent", "--json"]).lines();
    assert_eq!((listed.len(), &listed[0]["run_id"]), (1, &id.as_str().into()), "{listed:?}");
    let next = world.reason("bad.log")["next"].as_str().unwrap().to_owned();
    assert!(next.contains(&format!("ops explain {id}")) && next.contains("inbox"), "{next}");

    // Nothing is mended: the replay fetches the file back, and it ends where it was, with its reason.
    let replayed = world.ops(&["replay", &id, "--json"]);
    assert_eq!(replayed.code, Some(1), "{replayed:?}");
    let replayed = replayed.lines().remove(0);
    let expected =
        ["attempts", "code", "code_version", "code_version_before", "duration_ms", "run_id", "state", "why"];
    assert_eq!(keys(&replayed), BTreeSet::from(expected), "{replayed}");
    assert_eq!((&replayed["run_id"], &replayed["state"]), (&id.as_str().into(), &"failed_permanent".into()));
    assert_eq!(world.reason("bad.log")["code"], "ingest.not_utf8");
    world.verify("a replay in vain");
    assert_eq!(world.ops(&["replay", &id, "--mode", "force", "--reason", "I want it"]).code, Some(1));

    // Sent round again, it is worked on by the next start, to the same end.
    assert_eq!(world.ops(&["requeue", &id]).code, Some(0));
    assert_eq!(world.pass().told("bad.log")["code"], "ingest.not_utf8");
    world.verify("a requeue in vain");

    world.drop("mended.log", b"fine\nnow fine\n".to_vec(), false);
    let mended = world.pass().told("mended.log");
    assert_eq!((&mended["state"], &mended["duplicate"]), (&"succeeded".into(), &false.into()), "{mended}");
    assert_ne!(mended["run_id"], id.as_str());
    world.verify("a mended file");
}

/// A file that is edited where it lies in `failed/` is not what its run is about: a replay leaves it alone and says so.
#[test]
fn a_file_mended_in_place_is_not_loaded_under_the_old_identity() {
    let world = World::new();
    fs::write(world.inbox().join("bad.log"), b"not \xff\n").unwrap();
    let id = world.pass().told("bad.log")["run_id"].as_str().unwrap().to_owned();
    let file = world.root().join("failed/bad.log");
    fs::write(&file, "now fine\n").unwrap();
    let replayed = world.ops(&["replay", &id, "--json"]);
    assert_eq!(replayed.code, Some(1), "{replayed:?}");
    let why = replayed.lines()[0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("other content") && why.contains("inbox"), "{why}");
    assert_eq!(world.rows(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "now fine\n");
    assert_eq!(world.reason("bad.log")["run_id"], id.as_str());
    // In the inbox it is a run of its own.
    fs::rename(&file, world.inbox().join("bad.log")).unwrap();
    let mended = world.pass();
    assert!(mended.lines().iter().any(|line| line["state"] == "succeeded"), "{mended:?}");
    assert_eq!(world.rows(), 1);
}
