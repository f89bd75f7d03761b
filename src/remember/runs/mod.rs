//! Runs on any store: submitted once, claimed by one, moved only along the table, each move with its reason.

mod body;
mod claim;
mod error;
mod expiry;
mod hide;
mod marks;
mod moves;
mod read;
mod replay;
mod retention;
mod review;
mod submit;
mod verbs;
mod waits;
mod worth;

use std::sync::Arc;

pub(crate) use body::shortened;
pub use body::{
    Body, CHAIN_MAX, FAULTS_MAX, FORMAT, Failure, FaultRecord, Json, Otherwise, ProgressRecord, Question,
    StepRecord, StepState, UndoState, Wait,
};
pub use claim::{CRASHES_MAX, Taken};
pub(crate) use claim::{Wanted, due};
pub use error::Error;
pub(crate) use error::one_of;
pub use marks::Word;
pub use moves::{Move, Reason};
pub use read::{Filter, Run, Selector};
pub use replay::Replayed;
pub use retention::{Pruned, Retention};
pub use review::{Answer, answers};
pub use submit::{NewRun, Submitted};
pub use verbs::{Verb, table};
pub use waits::{Resolved, TOKEN_MAX};
pub(crate) use waits::{Taken as TokenTaken, asking, check_token, taken as token_taken};
pub use worth::{ESTIMATE_MAX, Worth};

use crate::base::subject::Subject;
use crate::base::time::{Now, Timestamp};
use crate::decide::run;
use crate::remember::holds::{Holds, Standing, Watched};
use crate::remember::store::{
    self, Applied, ApplyError, Batch, Change, Event, Expect, Ns, Put, Store, StoredEvent, Write,
    apply_settled,
};

/// The event that has in its data what a program wrote.
pub(crate) const OUTPUT: &str = "run.output";

/// The runs in a store.
///
/// Cheap to clone: it holds the store by reference count.
#[derive(Clone)]
pub struct Runs {
    store: Arc<dyn Store>,
    crashes_max: u32,
    /// What is held, known to all clones.
    switches: Watched,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").field("store", &self.store.caps().name).finish()
    }
}

impl Runs {
    /// The runs in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let switches = Watched::new(Holds::new(Arc::clone(&store)));
        Self { store, crashes_max: CRASHES_MAX, switches }
    }

    /// The same runs, where so many deaths in a row make a run poison. Default: [`CRASHES_MAX`]; at least 1.
    #[must_use]
    pub const fn crashes_max(mut self, deaths: u32) -> Self {
        self.crashes_max = deaths;
        self
    }

    /// The store that they are in.
    #[must_use]
    pub const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What forbids that a run of the job is begun, as of about a second ago.
    pub(crate) async fn held(&self, job: &Subject, now: Now) -> Result<Option<Standing>, store::Error> {
        let known = self.switches.in_force(now).await?;
        Ok(known.forbids(job, now.wall).cloned())
    }

    /// The run with this id.
    ///
    /// # Errors
    /// When the store cannot be read, or the record is not one that this release understands.
    pub async fn get(&self, id: &str) -> Result<Option<Run>, Error> {
        let record = self.store.get(Ns::RUN, id).await?;
        record.map(Run::from_record).transpose()
    }

    /// The run with this id, which must be there.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`] if it is not; otherwise as [`get`](Self::get).
    pub async fn must_get(&self, id: &str) -> Result<Run, Error> {
        self.get(id).await?.ok_or_else(|| Error::NoSuchRun { given: id.to_owned() })
    }

    /// Up to `limit` events of a run after sequence number `after`, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn history(&self, id: &str, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        Ok(self.store.events(Ns::RUN, id, after, limit).await?)
    }

    /// Writes a move. An outcome that the store could not tell at once is settled by asking again.
    ///
    /// # Errors
    /// [`Error::Illegal`] if the table has no such move, [`Error::Lost`] if the precondition no longer holds.
    pub async fn apply(&self, step: Move<'_>) -> Result<Applied, Error> {
        let write = step.write()?;
        self.apply_batch(Batch::of(write)).await
    }

    /// Writes a batch that a move is part of.
    ///
    /// # Errors
    /// [`Error::Lost`] with the record that stood in the way if a precondition no longer holds.
    pub async fn apply_batch(&self, batch: Batch) -> Result<Applied, Error> {
        apply_settled(&*self.store, batch).await.map_err(|error| match error {
            ApplyError::Conflict(conflicts) => Error::Lost {
                winner: conflicts.into_iter().next().and_then(|conflict| conflict.winner).map(Box::new),
            },
            ApplyError::NotApplied(error) | ApplyError::Unknown(error) => Error::Store(error),
        })
    }

    /// Writes a note beside a run; its state stays.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or when the store cannot be written.
    pub async fn note(&self, id: &str, by: &str, text: &str) -> Result<Run, Error> {
        self.mark(id, by, Reason::new("run.note", text), Put::nothing()).await
    }

    /// Marks a run as reviewed: it is no longer a dead letter; its state stays.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or when the store cannot be written.
    pub async fn mark_reviewed(&self, id: &str, by: &str, at: Timestamp, why: &str) -> Result<Run, Error> {
        let put = Put { reviewed_at: Change::to(at), ..Put::nothing() };
        self.mark(id, by, Reason::new("run.reviewed", why), put).await
    }

    /// Sends a failed run round again, from its last checkpoint, due at `at`.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::Illegal`] if it is not failed and not in review.
    pub async fn requeue(&self, id: &str, by: &str, at: Timestamp) -> Result<Run, Error> {
        self.requeue_with(id, Word { by, why: "", at }).await
    }

    /// The same by a person, who says why.
    pub(crate) async fn requeue_with(&self, id: &str, word: Word<'_>) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut run = self.must_get(id).await?;
            let reason =
                Reason::new("run.requeued", word.said("sent it round again from its last checkpoint"));
            // What it had undone is not done any more: it goes on with that, not with the work.
            let undo = run.body.question.as_ref().is_some_and(|question| question.undo);
            let event = if undo { run::Event::Compensate } else { run::Event::Requeue };
            run::transition(run.state(), event)?;
            let before = (run.body.wait.clone(), run.body.crash_count);
            review::revive(&mut run.body, &reason);
            if !undo {
                run.body.failure = None;
            }
            if run.state() == run::State::FailedTransient {
                (run.body.wait, run.body.crash_count) = before;
            }
            let reopening = self.reopen_entry(&run, word.by).await?;
            let batch = Batch::of(review::moving(&run, event, reason, word)?).and(reopening);
            match self.apply_batch(batch).await {
                Ok(_) => return self.must_get(id).await,
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { id: id.to_owned(), attempts: ATTEMPTS_MAX })
    }

    /// Releases a run that waits for `token`: it is queued, due at `at`, and goes on from its last checkpoint. `None` if it
    /// does not wait for that (any more).
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], or when the store cannot be read or written.
    pub async fn release(
        &self,
        id: &str,
        token: &str,
        by: &str,
        at: Timestamp,
        reason: &Reason,
    ) -> Result<Option<Run>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut run = self.must_get(id).await?;
            let waits = run.state() == run::State::WaitingExternal
                && run.body.wait.as_ref().is_some_and(|wait| wait.token == token);
            if !waits {
                return Ok(None);
            }
            run.body.wait = None;
            run.body.tell(reason);
            let expect = Expect::Version(run.record.version);
            let step = Move {
                body: Some(&run.body),
                due_at: Some(at),
                actor: by,
                ..Move::new(run.id(), run.state(), run::Event::Resolve, expect, reason.clone())
            };
            match self.apply(step).await {
                Ok(_) => return self.must_get(id).await.map(Some),
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { id: id.to_owned(), attempts: ATTEMPTS_MAX })
    }

    async fn mark(&self, id: &str, by: &str, reason: Reason, put: Put) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let run = self.must_get(id).await?;
            let state = run.state().as_str();
            let event = Event::new(Some(state), state, by, reason.code.clone(), reason.why.clone());
            let expect = Expect::Version(run.record.version);
            let write = Write::new(Ns::RUN, id, expect, put.clone()).event(event);
            match self.apply_batch(Batch::of(write)).await {
                Ok(_) => return self.must_get(id).await,
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { id: id.to_owned(), attempts: ATTEMPTS_MAX })
    }
}

/// The most versions of a payload's schema that a job has had.
pub const SCHEMA_MAX: u32 = 99;

/// The kind of a run of `job` whose input is of version `schema`: `JOB`, or `JOB@3`. A worker claims only kinds that it
/// knows, so a newer payload stays queued for a newer worker.
#[must_use]
pub fn kind_of(job: &str, schema: u32) -> String {
    if schema <= 1 { job.to_owned() } else { format!("{job}@{schema}") }
}

/// Every kind that runs of `job` can have.
pub(crate) fn kinds_of(job: &str) -> Vec<String> {
    (1..=SCHEMA_MAX).map(|schema| kind_of(job, schema)).collect()
}

/// How often a write by version is tried again when somebody else was faster each time.
const ATTEMPTS_MAX: u32 = 8;
