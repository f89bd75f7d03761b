//! What a person sets on a run beside its state: paused, resumed, asked to stop. And what all their words have in common.

use std::time::Duration;

use crate::base::subject::Subject;
use crate::base::time::Timestamp;
use crate::decide::run::{self, State};
use crate::remember::runs::{ATTEMPTS_MAX, Body, Error, Move, Reason, Run, Runs, Verb, kinds_of};
use crate::remember::store::{
    self, ApplyError, Batch, Event, Expect, Ns, PAGE_MAX, Pages, Put, Query, Write, apply_settled,
};

/// How many pages of runs are looked through for those that a switch had put down.
const LET_GO_PAGES_MAX: u32 = 100;

/// What an operator says: who, why, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// Who, as events name them: `operator:NAME`.
    pub by: &'a str,
    /// Why; may be empty.
    pub why: &'a str,
    /// When, on the wall clock; what becomes due by the word is due then.
    pub at: Timestamp,
}

impl Word<'_> {
    /// `operator:ada put it aside: the disk is full`.
    pub(super) fn said(&self, what: &str) -> String {
        match self.why.trim() {
            "" => format!("{} {what}", self.by),
            why => format!("{} {what}: {why}", self.by),
        }
    }
}

/// The event that keeps a new run's id beside the run that it replays.
pub(super) const REPLAYED: &str = "run.replayed";

impl Runs {
    /// Puts a run aside: nobody claims it, it does not expire and its waits do not run out until it is resumed. One that
    /// is held is not interrupted by this: its driver puts it down between two steps. Saying it twice changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::NotFor`] if it has ended; when the store cannot be written.
    pub async fn pause(&self, id: &str, word: Word<'_>) -> Result<Run, Error> {
        let put = Put { paused: Some(true), ..Put::nothing() };
        let reason = Reason::new("run.paused", word.said("put it aside"));
        self.flag(id, Verb::Pause, word, reason, put, |run| run.record.paused).await
    }

    /// Takes up again a run that was put aside. Saying it twice changes nothing.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume(&self, id: &str, word: Word<'_>) -> Result<Run, Error> {
        let put = Put { paused: Some(false), ..Put::nothing() };
        let reason = Reason::new("run.resumed", word.said("took it up again"));
        self.flag(id, Verb::Resume, word, reason, put, |run| !run.record.paused).await
    }

    /// Stops a run. One that nobody holds, or whose holder's lease is over, is cancelled at once, and its key is given
    /// back (or settled as failed or in doubt, where an unsafe step was begun). One that is held is asked to stop:
    /// `cancelling` is set, its holder sees that at its next renewal or checkpoint. Saying it twice changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`]; [`Error::NotFor`] if it has ended otherwise; when the store cannot be read or written.
    pub async fn cancel(&self, id: &str, word: Word<'_>) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let run = self.must_get(id).await?;
            let state = run.state();
            if state == State::Cancelled || (run.record.leased() && run.record.cancelling) {
                return Ok(run);
            }
            run::transition(state, run::Event::Cancel).map_err(|_| Error::not_for(&run, Verb::Cancel))?;
            let done = if run.record.leased() {
                let reason = Reason::new("run.cancel_asked", word.said("asked its holder to stop"));
                let put = Put { cancelling: Some(true), ..Put::nothing() };
                self.apply_batch(Batch::of(beside(&run, word.by, reason, put))).await
            } else {
                self.apply_batch(self.cancelling(run, word).await?).await
            };
            match done {
                Ok(_) => return self.must_get(id).await,
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { id: id.to_owned(), attempts: ATTEMPTS_MAX })
    }

    /// Ends a run that nobody holds.
    async fn cancelling(&self, mut run: Run, word: Word<'_>) -> Result<Batch, Error> {
        let reason = Reason::new("run.cancelled", word.said("cancelled it"));
        run.body.finished_at = Some(word.at);
        run.body.question = None;
        run.body.wait = None;
        run.body.ledger_fence = None;
        run.body.tell(&reason);
        run.body.fit_or_keep();
        // A claim that comes in between wins, and is then asked to stop.
        let expect = Expect::LeaseOver { version: run.record.version };
        let settling = self.settle_entry(&run.body, run.id(), word.by, None).await?;
        let step = Move::new(run.id(), run.state(), run::Event::Cancel, expect, reason);
        Ok(Batch::of(Move { body: Some(&run.body), actor: word.by, ..step }.write()?).and(settling))
    }

    /// Sets a mark on a run that has not ended, unless it is set already.
    async fn flag(
        &self,
        id: &str,
        verb: Verb,
        word: Word<'_>,
        reason: Reason,
        put: Put,
        is_set: impl Fn(&Run) -> bool + Send,
    ) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let run = self.must_get(id).await?;
            if run.state().is_terminal() {
                return Err(Error::not_for(&run, verb));
            }
            if is_set(&run) {
                return Ok(run);
            }
            match self.apply_batch(Batch::of(beside(&run, word.by, reason.clone(), put.clone()))).await {
                Ok(_) => return self.must_get(id).await,
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { id: id.to_owned(), attempts: ATTEMPTS_MAX })
    }

    /// Makes due at once what was put down with the reason `code` because of `subject`.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) async fn let_go(
        &self,
        code: &str,
        subject: &Subject,
        word: Word<'_>,
    ) -> Result<(), store::Error> {
        let job = match subject {
            Subject::Job(name) => kinds_of(name),
            Subject::Dependency(_) => Vec::new(),
        };
        let states = [State::Queued, State::FailedTransient, State::Compensating];
        let query = Query {
            states: states.map(|state| state.as_str().to_owned()).into(),
            kinds: job,
            limit: PAGE_MAX,
            ..Query::all(Ns::RUN)
        };
        let mut pages = Pages::of(&**self.store(), query).most(LET_GO_PAGES_MAX);
        while let Some(records) = pages.next().await? {
            let mut writes = Vec::new();
            for record in records {
                // One that this release cannot read is nobody's here.
                let Ok(run) = Run::from_record(record) else { continue };
                // Of a dependency a run says that it is held, not which: one that waits for another is put down again.
                let about = match subject {
                    Subject::Job(name) => run.job() == name,
                    Subject::Dependency(_) => true,
                };
                if run.body.code == code && about && run.record.lease.is_none() {
                    let reason = Reason::new("run.let_go", word.said("let go what it waited for"));
                    let put = Put { due_in: Some(Duration::ZERO), ..Put::nothing() };
                    writes.push(beside(&run, word.by, reason, put));
                }
            }
            for write in writes {
                // Who has moved it since has seen for himself.
                match apply_settled(&**self.store(), Batch::of(write)).await {
                    Ok(_) | Err(ApplyError::Conflict(_)) => {}
                    Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The run as it is now, unless somebody has moved it since it was looked at: what was decided then was about
    /// something else. Notes and other marks do not count as moves.
    pub(super) async fn unmoved(&self, seen: &Run) -> Result<Run, Error> {
        let run = self.must_get(seen.id()).await?;
        if run.record.version == seen.record.version {
            return Ok(run);
        }
        let mut after = seen.record.version;
        loop {
            let events = self.history(run.id(), after, PAGE_MAX).await?;
            let Some(last) = events.last().map(|event| event.seq) else { return Ok(run) };
            let moved = events.into_iter().find(|stored| {
                stored.event.from.as_deref() != Some(&stored.event.to) || stored.event.code == REPLAYED
            });
            if let Some(moved) = moved {
                return Err(Error::forestalled(&run, moved));
            }
            after = last;
        }
    }
}

impl Run {
    /// Whether a person was told of the end that it has come to: one that is replayed and fails again has come to another.
    #[must_use]
    pub(crate) fn is_told(&self) -> bool {
        self.body.told.as_ref() == Some(&self.end())
    }

    /// The write that marks that a person was told of its end.
    pub(crate) fn told(&self, why: &str) -> Write {
        let mut body = self.body.clone();
        body.told = Some(self.end());
        body.fit_or_keep();
        let put = Put { body: serde_json::to_string(&body).ok(), ..Put::nothing() };
        beside(self, "alerts", Reason::new("run.told", why), put)
    }

    /// What tells its ends apart.
    fn end(&self) -> String {
        let Body { attempt, crash_count, generation, finished_at, .. } = &self.body;
        let at = finished_at.map_or(0, |at| at.timestamp_millis());
        format!("{}:{generation}:{attempt}:{crash_count}:{at}", self.state().as_str())
    }
}

/// A write that leaves the run's state and tells of what it changes.
pub(super) fn beside(run: &Run, by: &str, reason: Reason, put: Put) -> Write {
    let state = run.state().as_str();
    let event = Event::new(Some(state), state, by, reason.code, reason.why);
    Write::new(Ns::RUN, run.id(), Expect::Version(run.record.version), put).event(event)
}
