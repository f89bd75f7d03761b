//! What the tests of durable work share: a simulated world, a store that fails on demand, and the checks that hold for
//! every run and every ledger entry, whatever happened to them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::memory::Memory;
use unattended::run::{self, State};
use unattended::runs::{Filter, Run, Runs, StepState};
use unattended::store::{
    Applied, ApplyError, Batch, Error, Expect, LeaseChange, Ns, Page, Put, Query, Record, Store, Write,
};
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Clock, Moment, Sleep, Timestamp};

use crate::forward::forward;

/// The lease of every job and claim in these tests, unless a test says otherwise.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// A simulated clock and a store on it. The handle lives as long as the world, so that leases end by time alone.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) memory: Arc<Memory>,
    pub(crate) store: Arc<dyn Store>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::seeded(7)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        let sim = Sim::new(Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000), seed);
        let memory = Arc::new(Memory::on(Arc::new(sim.clone())));
        let store: Arc<dyn Store> = Arc::clone(&memory) as Arc<dyn Store>;
        Self { sim, memory, store }
    }

    /// A handle of another process on the same records.
    pub(crate) fn other(&self) -> Arc<dyn Store> {
        Arc::new(self.memory.second())
    }

    pub(crate) fn runs(&self) -> Runs {
        Runs::new(Arc::clone(&self.store))
    }

    pub(crate) fn wall(&self) -> Timestamp {
        self.sim.now().wall
    }

    pub(crate) fn secs(&self, secs: u64) {
        self.sim.advance(Duration::from_secs(secs));
    }

    /// Lets every lease end that nobody renews.
    pub(crate) fn pass_a_lease(&self) {
        self.sim.advance(LEASE + Duration::from_secs(1));
    }

    /// What an operator's tool does to a record: one write by version, with its event.
    pub(crate) fn put(&self, ns: Ns, key: &str, put: Put) {
        let record = block_on(self.store.get(ns, key)).unwrap().unwrap();
        let write = Write::new(ns, key, Expect::Version(record.version), put);
        block_on(self.store.apply(Batch::of(write))).unwrap();
    }

    pub(crate) fn run(&self, id: &str) -> Run {
        block_on(self.runs().must_get(id)).unwrap()
    }

    /// Every run, read page by page.
    pub(crate) fn all(&self) -> Vec<Run> {
        all(&self.runs())
    }

    pub(crate) fn entry(&self, key: &str) -> Option<Record> {
        block_on(self.store.get(Ns::LEDGER, key)).unwrap()
    }

    /// Holds every run and every entry to what is always true.
    pub(crate) fn check(&self) {
        check_all(&self.store);
    }
}

fn all(runs: &Runs) -> Vec<Run> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = block_on(runs.list(&Filter::default(), 7, cursor)).unwrap();
        all.extend(page);
        match next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

/// Holds every run and every entry in a store to what is always true.
pub(crate) fn check_all(store: &Arc<dyn Store>) {
    let runs = Runs::new(Arc::clone(store));
    for run in all(&runs) {
        check_history(&runs, &run);
        check_record(&run);
        check_entry(store, &run);
    }
}

/// The run and the ledger entry of its key say the same.
fn check_entry(store: &Arc<dyn Store>, run: &Run) {
    let Some(key) = run.body.key.as_deref() else { return };
    let Some(entry) = block_on(store.get(Ns::LEDGER, key)).unwrap() else { return };
    let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap();
    if body["run"] != run.id() {
        return;
    }
    assert_eq!(body["generation"], run.body.generation, "run {}: {body}", run.id());
    assert_eq!(entry.fingerprint, run.record.fingerprint, "run {}", run.id());
    let (state, entry) = (run.state(), entry.state.as_str());
    let agree = match state {
        State::Succeeded => entry == "succeeded",
        // The work may count as done before its last step is.
        State::FailedPermanent => matches!(entry, "failed" | "succeeded" | "needs_review"),
        State::Cancelled | State::Expired | State::Skipped | State::Compensated => entry != "claimed",
        _ => matches!(entry, "claimed" | "succeeded"),
    };
    assert!(agree, "run {} is {state}, its entry is {entry}", run.id());
    if entry == "succeeded" && !state.is_terminal() {
        assert!(!run.body.steps.iter().all(|step| step.state == StepState::Pending), "nothing was done");
    }
}

/// What the columns and the body of a run promise in each state.
fn check_record(run: &Run) {
    let (state, record) = (run.state(), &run.record);
    let what = format!("run {} is {state}: {record:?}", run.id());
    if state == State::Compensating && record.lease.is_none() {
        assert!(record.due_at.is_some(), "nobody will ever go on with its undoing: {what}");
    } else if state.is_held() {
        assert!(record.lease.is_some(), "held without a lease: {what}");
        assert!(record.due_at.is_none(), "held and due: {what}");
    } else {
        assert!(record.lease.is_none(), "a lease that nobody holds: {what}");
    }
    if matches!(state, State::Queued | State::FailedTransient) {
        assert!(record.due_at.is_some(), "nobody will ever come for it: {what}");
    }
    if state.is_terminal() {
        assert!(record.due_at.is_none(), "it has ended and is due: {what}");
        assert!(run.body.finished_at.is_some(), "{what}");
    }
    if state == State::NeedsReview {
        assert!(run.body.question.is_some(), "a person is asked nothing: {what}");
    }
    if state == State::Succeeded {
        assert!(run.body.steps.iter().all(|step| step.state.is_settled()), "{what}");
    }
}

/// What is told of a run without a move.
const MARKS: [&str; 7] = [
    "run.note",
    "run.reviewed",
    "run.paused",
    "run.resumed",
    "run.cancel_asked",
    "run.replayed",
    "run.late_answer",
];

/// Walks a run's history: it begins at the beginning, no link is missing, every move is in the table, and it ends where
/// the run is.
pub(crate) fn check_history(runs: &Runs, run: &Run) {
    let events = block_on(runs.history(run.id(), 0, 1000)).unwrap();
    assert!(!events.is_empty(), "run {} has no history", run.id());
    let (mut at, mut seq): (Option<State>, u64) = (None, 0);
    for stored in &events {
        let event = &stored.event;
        let what = format!("{} of run {}: {events:#?}", event.code, run.id());
        assert!(stored.seq > seq, "events are out of order at {what}");
        seq = stored.seq;
        let to: State = event.to.parse().unwrap();
        let from: Option<State> = event.from.as_deref().map(|from| from.parse().unwrap());
        assert_eq!(from, at, "a move is missing before {what}");
        assert!(!event.actor.is_empty() && !event.code.is_empty(), "{what}");
        match from {
            None => assert!(matches!(to, State::Queued | State::Processing), "{what}"),
            Some(from) => {
                let mark = from == to && MARKS.contains(&&*event.code);
                let legal = run::Event::ALL.iter().any(|&event| run::transition(from, event) == Ok(to));
                assert!(mark || legal, "{from} -> {to} is not in the table, at {what}");
            }
        }
        at = Some(to);
    }
    assert_eq!(at, Some(run.state()), "the history of run {} ends elsewhere: {events:#?}", run.id());
}

/// Runs `future` for so long at most, then drops it where it is: a process that dies in the middle.
pub(crate) fn cut<T>(sim: &Sim, after: Duration, future: impl Future<Output = T>) -> Option<T> {
    sim.block_on(async {
        let (mut future, mut timer) = (pin!(future), sim.sleep(after));
        poll_fn(move |context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            timer.as_mut().poll(context).map(|()| None)
        })
        .await
    })
    .unwrap()
}

/// Says when it was dropped.
pub(crate) struct Dropped {
    pub(crate) sim: Sim,
    pub(crate) at: Arc<Mutex<Option<Moment>>>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        *self.at.lock().unwrap() = Some(self.sim.moment());
    }
}

/// What happens to one call of `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inject {
    /// Nothing.
    Pass,
    /// It is refused, and nothing is written.
    NotApplied,
    /// It is cut before it was written, and nobody knows.
    CutBefore,
    /// It is written, then cut, and nobody knows.
    CutAfter,
    /// It never answers, and nothing is written.
    Hang,
}

type Plan = Box<dyn Fn(u64, &Batch) -> Inject + Send + Sync>;
type Meanwhile = Box<dyn Fn(u64) + Send + Sync>;

/// A store that fails on demand.
pub(crate) struct Faulty {
    inner: Arc<dyn Store>,
    plan: Plan,
    /// Is called after the n-th write was applied, and before its caller hears of it.
    meanwhile: Option<Meanwhile>,
    scanned: Option<Meanwhile>,
    applies: AtomicU64,
    scans: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(
        inner: &Arc<dyn Store>,
        plan: impl Fn(u64, &Batch) -> Inject + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::clone(inner),
            plan: Box::new(plan),
            meanwhile: None,
            scanned: None,
            applies: AtomicU64::new(0),
            scans: AtomicU64::new(0),
        }
    }

    pub(crate) fn meanwhile(mut self, hook: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.meanwhile = Some(Box::new(hook));
        self
    }

    pub(crate) fn after_scan(mut self, hook: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.scanned = Some(Box::new(hook));
        self
    }
}

/// Whether a batch only makes a lease longer.
pub(crate) fn is_renewal(batch: &Batch) -> bool {
    batch.writes().iter().all(|write| {
        matches!(write.put.lease, LeaseChange::For(_))
            && write.put.state.is_none()
            && write.put.body.is_none()
    })
}

fn broken() -> Error {
    Error::Backend { action: "injected", source: "the connection is gone".into() }
}

impl Store for Faulty {
    forward!(caps owner get events prune => (inner));

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(async move {
            let n = self.applies.fetch_add(1, Ordering::SeqCst);
            match (self.plan)(n, &batch) {
                Inject::Pass => {
                    let applied = self.inner.apply(batch).await;
                    if let Some(hook) = &self.meanwhile {
                        hook(n);
                    }
                    applied
                }
                Inject::NotApplied => Err(ApplyError::NotApplied(broken())),
                Inject::CutBefore => Err(ApplyError::Unknown(broken())),
                Inject::CutAfter => match self.inner.apply(batch).await {
                    Ok(_) => Err(ApplyError::Unknown(broken())),
                    Err(error) => Err(error),
                },
                Inject::Hang => std::future::pending().await,
            }
        })
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        Box::pin(async move {
            let page = self.inner.scan(query).await;
            if let Some(hook) = &self.scanned {
                hook(self.scans.fetch_add(1, Ordering::SeqCst));
            }
            page
        })
    }
}
