use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{CommandFactory, Parser};

use super::*;
use crate::base::time::Timestamp;
use crate::decide::run::Event as Happens;
use crate::remember::blocking::block_on;
use crate::remember::memory::Memory;
use crate::remember::runs::{Move, NewRun, Reason, Runs, Submitted};
use crate::remember::store::Expect;

/// An application that mounts the verbs.
#[derive(Debug, Parser)]
#[command(name = "ingest")]
enum App {
    /// Look at runs
    Ops(Command),
}

struct Given {
    exit: Exit,
    out: String,
    err: String,
}

/// Types `args` behind `ingest ops`, with `input` where a person sits if `ask`.
fn typed(host: &Host, args: &[&str], input: &str, ask: bool) -> Given {
    let App::Ops(command) = App::try_parse_from([&["ingest", "ops"], args].concat()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let io = &mut Io {
        input: &mut input.as_bytes(),
        out: &mut out,
        err: &mut err,
        terminal: ask,
        colour: ask,
        ask,
    };
    let exit = command.run_on(host, io);
    Given { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// A run of the job `feed` to which this happened.
fn run(store: &Arc<dyn Store>, events: &[Happens]) -> String {
    let runs = Runs::new(Arc::clone(store));
    let input = serde_json::value::RawValue::from_string(String::from("{}")).unwrap();
    block_on(async {
        let new = NewRun::new("feed", input, Vec::new());
        let Submitted::Created(mut run) = runs.submit(new, Timestamp::UNIX_EPOCH).await.unwrap() else {
            panic!("a run without a key is new")
        };
        run.body.code_version = Some(String::from("1.2.3"));
        for event in events {
            let expect = Expect::Version(run.record.version);
            let reason = Reason::new("test.moved", "a test moved it");
            let lease = Some(std::time::Duration::from_secs(30));
            let body = run.body.clone();
            let step =
                Move { body: Some(&body), lease, ..Move::new(run.id(), run.state(), *event, expect, reason) };
            runs.apply(step).await.unwrap();
            *run = runs.must_get(run.id()).await.unwrap();
        }
        run.id().to_owned()
    })
}

fn store() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

const FAILED: [Happens; 2] = [Happens::Claim, Happens::FailForGood];
const DONE: [Happens; 2] = [Happens::Claim, Happens::Succeed];

#[test]
fn clap_finds_nothing_wrong_with_the_mounted_verbs() {
    App::command().debug_assert();
    let error = App::try_parse_from(["ingest", "ops", "--help"]).unwrap_err();
    let help = error.render().to_string();
    assert!(help.contains("  replay       Run a run again"), "{help}");
    assert!(help.contains("ingest ops [OPTIONS] <COMMAND>"), "{help}");
}

#[test]
fn a_replay_is_the_applications_and_its_end_is_the_exit_code() {
    let store = store();
    let (failed, done, queued) = (run(&store, &FAILED), run(&store, &DONE), run(&store, &[]));
    for (gives, exit) in [(&done, Exit::Done), (&failed, Exit::Failed), (&queued, Exit::NotNow)] {
        let (id, asked) = (gives.clone(), Arc::new(Mutex::new(None)));
        let seen = Arc::clone(&asked);
        let host = Host::new("ingest ops").store_open(Arc::clone(&store)).code_version("2.0.0").replayer(
            move |replay: Replay| {
                *seen.lock().unwrap() = Some((replay.run.id().to_owned(), replay.mode, replay.actor));
                Ok(id.clone())
            },
        );
        let given = typed(&host, &["replay", &failed, "--json", "--by", "ada"], "", false);
        assert_eq!(given.exit, exit, "{}", given.err);
        let answer: serde_json::Value = serde_json::from_str(&given.out).unwrap();
        assert_eq!(answer["run_id"], gives.as_str());
        assert_eq!(answer["code_version_before"], "1.2.3");
        let asked = asked.lock().unwrap().take();
        assert_eq!(asked, Some((failed.clone(), Mode::Resume, String::from("operator:ada"))));
    }
}

#[test]
fn a_forced_replay_needs_a_reason_and_the_same_version_is_checked() {
    let store = store();
    let failed = run(&store, &FAILED);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let host = || Host::new("ingest ops").store_open(Arc::clone(&store));
    let replayer = move |replay: Replay| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert_eq!(replay.mode, Mode::Force { reason: String::from("refund was wrong") });
        Err("no code for this job".into())
    };
    assert!(App::try_parse_from(["ingest", "ops", "replay", "x", "--mode", "force"]).is_err());
    let host_knows = host().code_version("2.0.0").replayer(replayer);
    let force = ["replay", &failed, "--mode", "force", "--reason"];
    let blank = typed(&host_knows, &[&force[..], &[" "]].concat(), "", false);
    assert_eq!(blank.exit, Exit::Usage);
    let broken = typed(&host_knows, &[&force[..], &["refund was wrong"]].concat(), "", false);
    assert_eq!(broken.exit, Exit::Failed);
    assert!(broken.err.contains("no code for this job"), "{}", broken.err);
    let other = typed(&host_knows, &["replay", &failed, "--same-version"], "", false);
    assert_eq!(other.exit, Exit::Failed);
    assert!(other.err.contains("ran under version 1.2.3, and this is 2.0.0"), "{}", other.err);
    let silent = host().replayer(|_: Replay| Ok(String::new()));
    assert_eq!(typed(&silent, &["replay", &failed, "--same-version"], "", false).exit, Exit::Usage);
    assert_eq!(typed(&host(), &["replay", &failed], "", false).exit, Exit::Failed, "nobody can");
    assert_eq!(calls.load(Ordering::Relaxed), 1, "refused before the application was asked");
}

#[test]
fn a_person_is_asked_before_many_are_sent() {
    let store = store();
    run(&store, &FAILED);
    let host = Host::new("ingest ops").store_open(Arc::clone(&store));
    let no = typed(&host, &["requeue", "--all"], "n\n", true);
    assert_eq!(no.exit, Exit::Failed);
    assert!(no.err.starts_with("Send 1 run round again? [y/N] "), "{}", no.err);
    assert_eq!(typed(&host, &["requeue", "--all"], "", true).exit, Exit::Failed, "no answer is no");
    let yes = typed(&host, &["requeue", "--all"], "y\n", true);
    assert_eq!(yes.exit, Exit::Done, "{}", yes.err);
    assert!(yes.out.ends_with("1 run sent round again\n"), "{}", yes.out);
}

#[test]
fn what_to_type_next_is_what_the_application_has() {
    let store = store();
    let failed = run(&store, &FAILED);
    let plain = Host::new("tool").store_open(Arc::clone(&store));
    let knows =
        Host::new("ingest ops").store_open(Arc::clone(&store)).replayer(|_: Replay| Ok(String::new()));
    let shown = |host: &Host| typed(host, &["show", &failed], "", false).out;
    assert!(shown(&plain).contains(&format!("  tool requeue {failed} ")));
    assert!(!shown(&plain).contains("replay "));
    assert!(shown(&knows).contains(&format!("  ingest ops replay {failed} ")));
}

#[test]
fn colours_are_for_terminals() {
    let store = store();
    run(&store, &FAILED);
    let host = Host::new("tool").store_open(store);
    assert!(typed(&host, &["runs"], "", true).out.contains("\x1b[31mfailed_permanent\x1b[0m"));
    assert!(!typed(&host, &["runs"], "", false).out.contains('\x1b'));
}

#[test]
fn a_store_that_is_open_has_no_file_to_check() {
    let host = Host::new("tool").store_open(store());
    let given = typed(&host, &["store", "check", "--json"], "", false);
    assert_eq!(given.exit, Exit::Usage);
    assert!(given.err.contains("name the file with --store"), "{}", given.err);
}
