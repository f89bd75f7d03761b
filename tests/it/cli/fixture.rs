//! A store that looks as if an application had worked on it, filled through the library under a clock of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::fault::{Class, Severity};
use unattended::run::Event as Happens;
use unattended::runs::{
    Body, FaultRecord, Json, Move, NewRun, Question, Reason, Run, Runs, StepRecord, StepState, Submitted,
};
use unattended::sqlite::Sqlite;
use unattended::store::{Expect, Ns, Put, Store, Write};
use unattended::time::{Clock, Moment, Now, Timestamp, later};

/// What the store holds.
pub(crate) struct Fixture {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
    /// Failed for now, then for good.
    pub(crate) failed: String,
    pub(crate) succeeded: String,
    /// Waits for an answer.
    pub(crate) review: String,
    pub(crate) queued: String,
}

/// A clock that stands until it is moved.
pub(crate) struct Hand(AtomicU64);

pub(crate) fn beginning() -> Timestamp {
    chrono::DateTime::parse_from_rfc3339("2026-03-01T08:00:00Z").unwrap().to_utc()
}

impl Clock for Hand {
    fn now(&self) -> Now {
        let millis = self.0.load(Ordering::Relaxed);
        let wall = later(beginning(), Duration::from_millis(millis));
        Now { moment: Moment::from_nanos(millis * 1_000_000), wall }
    }
}

pub(crate) fn json(text: &str) -> Json {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

/// A writer of histories.
struct Author {
    runs: Runs,
    hand: Arc<Hand>,
}

impl Author {
    fn wait(&self, millis: u64) {
        self.hand.0.fetch_add(millis, Ordering::Relaxed);
    }

    fn now(&self) -> Timestamp {
        self.hand.now().wall
    }

    fn submit(&self, new: NewRun) -> Run {
        match block_on(self.runs.submit(new, self.now())).unwrap() {
            Submitted::Created(run) => *run,
            other => panic!("not new: {other:?}"),
        }
    }

    /// Moves `run`, changing its body first.
    fn step(&self, run: &mut Run, event: Happens, reason: Reason, more: Step<'_>) {
        let mut body = run.body.clone();
        (more.body)(&mut body);
        body.code = reason.code.clone().into_owned();
        body.why = reason.why.clone();
        let due_at = more.due.map(|due| later(self.now(), Duration::from_millis(due)));
        let step = Move {
            body: Some(&body),
            due_at,
            lease: (event == Happens::Claim).then_some(Duration::from_secs(30)),
            actor: more.actor,
            step: more.step,
            data: more.data.map(str::to_owned),
            ..Move::new(run.id(), run.state(), event, Expect::Version(run.record.version), reason)
        };
        block_on(self.runs.apply(step)).unwrap();
        *run = block_on(self.runs.must_get(run.id())).unwrap();
    }
}

struct Step<'a> {
    actor: &'a str,
    step: Option<&'a str>,
    data: Option<&'a str>,
    due: Option<u64>,
    body: &'a dyn Fn(&mut Body),
}

const WORKER: &str = "worker:host-a/17";

fn by_worker() -> Step<'static> {
    Step { actor: WORKER, step: None, data: None, due: None, body: &|_| {} }
}

/// The first try of the step in an attempt of the run.
fn fault(attempt: u32, at: Timestamp) -> FaultRecord {
    FaultRecord {
        attempt,
        step_attempt: 1,
        step: String::from("load"),
        class: Class::Transient,
        severity: Severity::Recoverable,
        code: String::from("io.timed_out"),
        chain: String::from("loading the page: connection timed out"),
        at,
    }
}

/// Fills a new store.
pub(crate) fn filled() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let hand = Arc::new(Hand(AtomicU64::new(0)));
    let store = Sqlite::options().clock(Arc::clone(&hand) as Arc<dyn Clock>).open(&path).unwrap();
    let author = Author { runs: Runs::new(Arc::new(store)), hand };
    let failed = failing(&author);
    author.wait(60_000);
    let succeeded = succeeding(&author);
    author.wait(60_000);
    let review = asking(&author);
    author.wait(60_000);
    let queued = author.submit(NewRun::new("ingest", json("{\"page\":3}"), Vec::new())).id().to_owned();
    Fixture { _folder: folder, path, failed, succeeded, review, queued }
}

fn failing(author: &Author) -> String {
    let steps =
        vec![StepRecord::pending("fetch", Effect::Pure), StepRecord::pending("load", Effect::Idempotent)];
    let mut new = NewRun::new("ingest", json("{ \"page\": 1,\n  \"id\": 9007199254740993 }"), steps);
    new.key = Some(Key::new("feed", "page", 1).unwrap());
    let mut run = author.submit(new);
    author.wait(200);
    let start = author.now();
    let begin = |body: &mut Body| {
        body.attempt += 1;
        body.host = String::from("host-a");
        body.started_at = Some(body.started_at.unwrap_or(start));
        body.steps[0].state = StepState::Done;
        body.steps[0].output = Some(json("{\"rows\":120}"));
        body.steps[1].state = StepState::Started;
    };
    author.step(
        &mut run,
        Happens::Claim,
        Reason::new("run.claimed", "it was due"),
        Step { body: &begin, ..by_worker() },
    );
    author.wait(1200);
    author.step(
        &mut run,
        Happens::Checkpoint,
        Reason::new("step.done", "120 rows"),
        Step { step: Some("fetch"), ..by_worker() },
    );
    author.wait(1600);
    let first = fault(1, author.now());
    let why = "try again in 5.0 s, attempt 1 of 2: io.timed_out: loading the page: connection timed out";
    author.step(&mut run, Happens::FailForNow, Reason::new("retry.wait", why), Step {
        step: Some("load"),
        data: Some(
            r#"{"fault":{"class":"transient","code":"io.timed_out","chain":"loading the page: connection timed out"},"step_attempt":1,"delay_ms":5000}"#,
        ),
        due: Some(5000),
        body: &|body| body.keep_fault(first.clone()),
        ..by_worker()
    });
    author.wait(5400);
    author.step(
        &mut run,
        Happens::Claim,
        Reason::new("run.claimed", "it was due"),
        Step { actor: "worker:host-b/9", body: &begin, ..by_worker() },
    );
    // Two hours in which a machine was down: the story gets a new date.
    author.wait(7_200_000);
    let end = author.now();
    let second = fault(2, end);
    author.step(&mut run, Happens::FailForGood, Reason::new("retry.exhausted", "2 of 2 attempts failed"), Step {
        actor: "worker:host-b/9",
        step: Some("load"),
        data: Some(
            r#"{"fault":{"class":"transient","code":"io.timed_out","chain":"connection \u001b[31mtimed out\nagain"},"step_attempt":2}"#,
        ),
        body: &|body| {
            body.keep_fault(second.clone());
            body.finished_at = Some(end);
        },
        ..by_worker()
    });
    run.id().to_owned()
}

fn succeeding(author: &Author) -> String {
    let mut run = author.submit(NewRun::new("report", json("{}"), Vec::new()));
    let start = author.now();
    let begin = |body: &mut Body| {
        body.attempt = 1;
        body.host = String::from("host-a");
        body.started_at = Some(start);
    };
    author.step(
        &mut run,
        Happens::Claim,
        Reason::new("run.claimed", "it was due"),
        Step { body: &begin, ..by_worker() },
    );
    author.wait(1420);
    let end = author.now();
    author.step(
        &mut run,
        Happens::Succeed,
        Reason::new("run.succeeded", "every step is done"),
        Step {
            body: &|body| {
                body.finished_at = Some(end);
                body.output = Some(json("{\"sent\":true}"));
            },
            ..by_worker()
        },
    );
    run.id().to_owned()
}

fn asking(author: &Author) -> String {
    let steps = vec![StepRecord::pending("pay", Effect::Unsafe)];
    let mut run = author.submit(NewRun::new("transfer", json("{\"amount\":12.50}"), steps));
    author.step(&mut run, Happens::Claim, Reason::new("run.claimed", "it was due"), by_worker());
    let why = "the worker before died in the middle of an unsafe effect: was it done?";
    author.step(
        &mut run,
        Happens::AskReview,
        Reason::new("takeover.outcome_unknown", why),
        Step {
            step: Some("pay"),
            body: &|body| {
                body.steps[0].state = StepState::Started;
                body.question = Some(Question {
                    code: String::from("takeover.outcome_unknown"),
                    text: String::from("was the step pay done?"),
                    step: Some(String::from("pay")),
                    undo: false,
                    options: ["applied", "not_applied", "requeue"].map(String::from).to_vec(),
                });
            },
            ..by_worker()
        },
    );
    run.id().to_owned()
}

/// A run under an id of its own, in `state`.
pub(crate) fn put(fixture: &Fixture, id: &str, job: &str, state: &str) {
    let store = Sqlite::options().create(false).open(&fixture.path).unwrap();
    let body = serde_json::to_string(&Body::new(json("{}"), Vec::new())).unwrap();
    put_body(&store, id, job, state, body);
}

pub(crate) fn put_body(store: &Sqlite, id: &str, job: &str, state: &str, body: String) {
    let put =
        Put { state: Some(state.to_owned()), kind: Some(job.to_owned()), body: Some(body), ..Put::default() };
    let batch = unattended::store::Batch::of(Write::new(Ns::RUN, id, Expect::Absent, put));
    block_on(store.apply(batch)).unwrap();
}
