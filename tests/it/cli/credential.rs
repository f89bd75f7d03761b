//! `credential ok`: a person's word, for people and for programs.

use std::path::PathBuf;
use std::sync::Arc;

use unattended::blocking::block_on;
use unattended::credential::{self, Credential, Token};
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::job::Job;
use unattended::operator::Operator;
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::runs::Filter;
use unattended::sqlite::Sqlite;
use unattended::store::Store;

use super::{Given, command, given};

/// A store in which three runs wait for a credential that was revoked.
struct Parked {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Parked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
        let credential = Credential::named("youtube")
            .refresh_blocking(|_: Option<Token<String>>| Err(Fault::permanent("oauth.invalid_grant")))
            .store(&store)
            .build()
            .unwrap();
        let upload = Step::blocking("upload", Effect::Unsafe, move |_| {
            Ok(credential.get_blocking()?.expose().clone())
        });
        let job = Job::new("upload").step(upload).build().unwrap();
        for input in ["a", "b", "c"] {
            let report = job.run_once_blocking(&store, input).unwrap();
            assert_eq!(report.run.unwrap().state(), State::WaitingExternal);
        }
        Self { _folder: folder, path }
    }

    fn run(&self, args: &[&str]) -> Given {
        given(command().args(args).arg("--store").arg(&self.path), "")
    }
}

#[test]
fn a_list_shows_what_a_run_waits_for_and_what_to_type() {
    let parked = Parked::new();
    let list = parked.run(&["runs", "--state", "waiting_external"]);
    assert_eq!(list.out.matches("waits for credential youtube: ").count(), 3, "{}", list.out);
    let lines = parked.run(&["runs", "--state", "waiting_external", "--json"]).lines();
    assert!(lines.iter().all(|line| line["waits_for"] == "credential:youtube"), "{lines:?}");
    let shown = parked.run(&["show", "upload"]);
    assert!(shown.out.contains("credential ok youtube"), "{}", shown.out);
    let told = parked.run(&["explain", "upload"]);
    assert!(told.out.contains("waits for credential youtube: "), "{}", told.out);
}

#[test]
fn credential_ok_releases_the_runs_at_a_rate() {
    let parked = Parked::new();
    let done = parked.run(&["credential", "ok", "youtube", "--rate", "1/h", "--json"]);
    assert_eq!(done.exit, 0, "{done:?}");
    let lines = done.lines();
    let due =
        |at: usize| chrono::DateTime::parse_from_rfc3339(lines[at]["due_at"].as_str().unwrap()).unwrap();
    assert_eq!(((due(1) - due(0)).num_seconds(), (due(2) - due(1)).num_seconds()), (3600, 3600));
    assert!(lines[..3].iter().all(|line| line["state"] == "queued"));
    let last = &lines[3];
    assert_eq!((&last["credential"], &last["was"]), (&"youtube".into(), &"needs_human".into()));
    assert_eq!((&last["released"], &last["left"]), (&3.into(), &0.into()));
    let told = parked.run(&["explain", "upload"]);
    assert!(told.out.contains("operator:ada has seen to credential youtube"), "{}", told.out);

    let again = parked.run(&["credential", "ok", "youtube"]);
    let expected = "credential youtube did not need a person; 0 runs that waited for it released\n";
    assert_eq!((again.exit, again.out.as_str()), (0, expected));
}

#[test]
fn ten_a_minute_is_what_people_get_without_a_rate() {
    let parked = Parked::new();
    let done = parked.run(&["credential", "ok", "youtube"]);
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(
        done.out.ends_with("credential youtube may be refreshed again; 3 runs that waited for it released\n")
    );
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&parked.path).unwrap());
    let runs =
        block_on(Operator::new(Arc::clone(&store), "ada").unwrap().list(&Filter::default(), 10)).unwrap();
    let due: Vec<_> = runs.iter().map(|run| run.record.due_at.unwrap()).collect();
    assert_eq!((due[0] - due[1]).num_seconds(), 6);
    let cleared = block_on(credential::ok(&store, "youtube", "operator:ada")).unwrap();
    assert_eq!(cleared, credential::Cleared::NotNeeded);
}

#[test]
fn a_credential_that_nobody_knows_is_said_to_be_none() {
    let parked = Parked::new();
    let unknown = parked.run(&["credential", "ok", "vimeo", "--json"]);
    assert_eq!(unknown.failure(), (1, String::from("credential.unknown")));
    let wrong = parked.run(&["credential", "ok", "youtube", "--rate", "often", "--json"]);
    assert_eq!(wrong.failure().0, 2);
    assert_eq!(parked.run(&["runs", "--state", "waiting_external", "--json"]).lines().len(), 3);
}
