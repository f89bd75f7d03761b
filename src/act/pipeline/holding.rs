//! A run that this process holds: its body, its fence, and whether it still holds it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::act::env::Env;
use crate::act::keeper::{self, Kept, Renewal, usable};
use crate::act::pipeline::Interrupt;
use crate::act::runlog;
use crate::act::shutdown::{Phase, Shutdown};
use crate::base::time::{BoxFuture, Moment, Now, Timestamp, between};
use crate::decide::run::State;
use crate::remember::runs::{Body, Error, Runs, Taken};
use crate::remember::store::{ApplyError, Batch, Expect, Ns, Put, Write, Written};

/// Is told the name of each point between two writes.
pub(in crate::act) type Edges = Arc<dyn Fn(&str) + Send + Sync>;

/// What the driver, the steps and the renewal share about one held run.
pub(in crate::act) struct Holding {
    pub(in crate::act) runs: Runs,
    pub(in crate::act) env: Arc<dyn Env>,
    pub(in crate::act) id: String,
    pub(in crate::act) job: String,
    pub(in crate::act) actor: String,
    pub(in crate::act) fence: u64,
    pub(in crate::act) lease: Duration,
    expires_at: Option<Timestamp>,
    body: Mutex<Body>,
    standing: Mutex<Standing>,
    note: Mutex<Option<String>>,
    edges: Option<Edges>,
    /// When a step's progress was last written by itself.
    reported: Mutex<Option<Moment>>,
    /// How many saves of the step's own are on their way.
    saving: AtomicUsize,
    /// Triggered when the process stops what it works on.
    brake: Option<Shutdown>,
    /// Whether work was cut because of that.
    cut: AtomicBool,
    /// What the process was asked by a signal, where it works on this one run alone.
    interrupt: Option<Interrupt>,
    at_end: Option<Arc<dyn AtEnd>>,
}

/// What the last word from the store was.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// What the record's version was when this holder last heard of it.
    version: u64,
    until: Moment,
    state: State,
    cancelling: bool,
    paused: bool,
    lost: bool,
    /// The state in which this holder has left the run.
    ended: Option<State>,
}

/// A save that is on its way.
pub(in crate::act) struct Saving(Arc<Holding>);

impl Drop for Saving {
    fn drop(&mut self) {
        self.0.saving.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether work may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Hold {
    /// The run is ours.
    Ours,
    /// It is ours, and an operator asked to stop it.
    Cancelling,
    /// It is ours, and this process is about to end.
    Stopping,
    /// Somebody took it over, or its lease is about to end and could not be renewed.
    Lost,
}

/// What hears of a run's way, and what ends it.
pub(in crate::act) struct Hooks {
    pub(in crate::act) edges: Option<Edges>,
    pub(in crate::act) brake: Option<Shutdown>,
    pub(in crate::act) interrupt: Option<Interrupt>,
    pub(in crate::act) at_end: Option<Arc<dyn AtEnd>>,
}

/// What is written in the commit that ends a run.
pub(in crate::act) trait AtEnd: Send + Sync {
    /// The write beside that of a run that is left in `state`; none if there is nothing to be written, or not in one commit.
    fn beside<'a>(&'a self, state: State, body: &'a Body, now: Now) -> BoxFuture<'a, Option<Write>>;

    /// Whether it stands now.
    fn settled(&self, stands: bool);
}

impl Holding {
    /// `asked` is from before the request that gave the lease.
    pub(in crate::act) fn new(
        runs: Runs,
        env: Arc<dyn Env>,
        taken: &Taken,
        asked: Moment,
        lease: Duration,
        actor: &str,
        Hooks { edges, brake, interrupt, at_end }: Hooks,
    ) -> Arc<Self> {
        let until = usable(asked, lease);
        Arc::new(Self {
            runs,
            env,
            id: taken.run.id().to_owned(),
            job: taken.run.job().to_owned(),
            actor: actor.to_owned(),
            fence: taken.run.record.fence,
            lease,
            expires_at: taken.run.record.expires_at,
            body: Mutex::new(taken.run.body.clone()),
            standing: Mutex::new(Standing {
                version: taken.run.record.version,
                until,
                state: taken.run.state(),
                cancelling: taken.run.record.cancelling,
                paused: taken.run.record.paused,
                lost: false,
                ended: None,
            }),
            note: Mutex::new(None),
            edges,
            reported: Mutex::new(None),
            saving: AtomicUsize::new(0),
            brake,
            cut: AtomicBool::new(false),
            interrupt,
            at_end,
        })
    }

    /// The body as it was last committed, or as the driver is about to commit it.
    pub(in crate::act) fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the holder's writes expect.
    pub(in crate::act) const fn expect(&self) -> Expect {
        Expect::Fence(self.fence)
    }

    /// The state in which the next write of this holder finds the run: it is worked on, or its steps are undone.
    pub(in crate::act) fn state(&self) -> State {
        self.standing().state
    }

    /// What logs say of the run, as `body` has it.
    pub(super) fn of<'a>(&'a self, body: &'a Body, step: Option<&'a str>) -> runlog::Of<'a> {
        let took = body.finished_at.zip(body.started_at);
        let took = took.map(|(end, start)| end.signed_duration_since(start).num_milliseconds().max(0));
        runlog::Of {
            run_id: &self.id,
            idempotency_key: body.key.as_deref(),
            job: &self.job,
            step,
            attempt: body.attempt,
            duration_ms: took,
        }
    }

    /// The run's steps are undone from now on.
    pub(in crate::act) fn compensating(&self) {
        self.standing().state = State::Compensating;
    }

    /// Until when the run is worth doing.
    pub(in crate::act) const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// How long a run is put down until `due_at` by this process's clock: by the store's it may be another instant. No longer
    /// than its work is worth doing.
    pub(in crate::act) fn due_in(&self, due_at: Timestamp) -> Duration {
        let due_at = self.expires_at.map_or(due_at, |at| due_at.min(at));
        between(self.env.now().wall, due_at)
    }

    /// Whether an operator has put the run aside for now.
    pub(in crate::act) fn paused(&self) -> bool {
        self.standing().paused
    }

    /// Whether work may go on.
    pub(in crate::act) fn hold(&self) -> Hold {
        let standing = *self.standing();
        if standing.lost || self.env.now().moment >= standing.until {
            return Hold::Lost;
        }
        if standing.cancelling || self.interrupt.as_ref().is_some_and(|sent| sent.signal().is_some()) {
            return Hold::Cancelling;
        }
        if self.brake.as_ref().is_some_and(Shutdown::is_triggered) { Hold::Stopping } else { Hold::Ours }
    }

    /// Takes in what the store said about a write of ours that began at `asked`: the lease counts from before the
    /// request, so that it never ends earlier at the store than here.
    pub(in crate::act) fn heard(&self, asked: Moment, written: Option<&Written>) {
        let Some(written) = written else { return };
        let mut standing = self.standing();
        if written.lease.is_some() {
            standing.until = usable(asked, self.lease);
        }
        standing.version = standing.version.max(written.version);
        standing.cancelling = written.cancelling;
        standing.paused = written.paused;
    }

    /// The version that a write of what [`body`](Self::body) gives after this may expect: any other write since is then
    /// seen, and not undone.
    pub(in crate::act) fn version(&self) -> u64 {
        self.standing().version
    }

    /// A step's progress is on its way to the store until the answer is dropped.
    pub(in crate::act) fn saving(self: &Arc<Self>) -> Saving {
        self.saving.fetch_add(1, Ordering::SeqCst);
        Saving(Arc::clone(self))
    }

    /// Whether some is.
    pub(in crate::act) fn is_saving(&self) -> bool {
        self.saving.load(Ordering::SeqCst) > 0
    }

    /// The run is somebody else's.
    pub(in crate::act) fn lost(&self) {
        self.standing().lost = true;
    }

    /// This holder has left the run in `state`: what is left of its work is told to stop.
    pub(in crate::act) fn ended(&self, state: State) {
        let mut standing = self.standing();
        standing.lost = true;
        standing.ended = Some(state);
    }

    /// The state in which this holder has left the run, if it has.
    pub(in crate::act) fn left_in(&self) -> Option<State> {
        self.standing().ended
    }

    /// What `work` gives; `None` if the process stops first, and then `work` is dropped.
    pub(in crate::act) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Some(brake) = &self.brake else { return Some(work.await) };
        let (mut work, mut stop) = (pin!(work), pin!(brake.reached(Phase::Draining)));
        let done = poll_fn(move |context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            stop.as_mut().poll(context).map(|()| None)
        })
        .await;
        if done.is_none() {
            self.cut.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Work was cut because the process stops.
    #[cfg(all(feature = "process", unix))]
    pub(in crate::act) fn cut_short(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// What is written in the commit that ends the run.
    pub(in crate::act) const fn at_end(&self) -> Option<&Arc<dyn AtEnd>> {
        self.at_end.as_ref()
    }

    /// What the process was asked by a signal, where it works on this one run alone.
    pub(in crate::act) const fn interrupt(&self) -> Option<&Interrupt> {
        self.interrupt.as_ref()
    }

    /// Whether work was cut because the process stops.
    pub(in crate::act) fn was_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// Makes the lease longer. An error that is not a loss is not one: work goes on until the lease's end.
    async fn renew_now(&self) -> Result<(), Error> {
        let asked = self.env.now().moment;
        let write = Write::new(Ns::RUN, self.id.as_str(), self.expect(), Put::renew(self.lease));
        match self.runs.store().apply(Batch::of(write)).await {
            Ok(applied) => {
                self.heard(asked, applied.first());
                Ok(())
            }
            Err(ApplyError::Conflict(_)) => {
                self.lost();
                Err(Error::Lost { winner: None })
            }
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error.into()),
        }
    }

    /// Keeps what a step says of itself until its checkpoint is written.
    pub(in crate::act) fn set_note(&self, note: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.note.lock().unwrap_or_else(PoisonError::into_inner), note)
    }

    /// Whether progress is to be written now, if it is at most `every` so long; says so once.
    pub(in crate::act) fn report_due(&self, now: Moment, every: Duration) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reported.is_none_or(|last| now.since(last) >= every);
        if due {
            *reported = Some(now);
        }
        due
    }

    /// Tells whoever wants to know that a point between two writes was reached.
    pub(in crate::act) fn edge(&self, name: &str) {
        if let Some(edges) = &self.edges {
            edges(name);
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for Holding {
    fn renew(&self) -> BoxFuture<'_, Renewal> {
        Box::pin(async move {
            match self.renew_now().await {
                Ok(()) => Renewal::Done,
                Err(Error::Lost { .. }) => {
                    runlog::lease(&self.id, "lost", "somebody took the run over");
                    Renewal::Lost
                }
                Err(error) => {
                    runlog::lease(&self.id, "renewal_failed", &error.to_string());
                    if self.hold() != Hold::Lost {
                        return Renewal::Failed;
                    }
                    self.lost();
                    Renewal::Lost
                }
            }
        })
    }

    fn renew_in(&self, failed: bool) -> Duration {
        keeper::renew_in(self.lease, failed)
    }

    fn left(&self) -> Duration {
        self.standing().until.since(self.env.now().moment)
    }

    fn lose(&self) {
        runlog::lease(&self.id, "lost", "the store does not answer, and the lease is about to end");
        self.lost();
    }
}
