//! Runs that are not worth beginning any more: their time has passed, or what is left of it is too short.

use crate::base::effect::Effect;
use crate::base::time::Timestamp;
use crate::decide::run::{self, State};
use crate::remember::runs::{Body, Error, Move, Reason, Run, Runs, StepState};
use crate::remember::store::{Batch, Expect};

impl Run {
    /// Why the run is not worth beginning at `now`, if it is not. That too little time is left is known only of one that
    /// nobody has begun.
    pub(crate) fn not_worth_it(&self, now: Timestamp) -> Option<Reason> {
        let until = self.record.expires_at?;
        if until <= now {
            return Some(expired(until));
        }
        let worth = self.body.worth.as_ref().filter(|_| self.body.started_at.is_none())?;
        worth.too_long(now, until)
    }

    /// Why the run, which is held, is put down for good instead of being worked on. Where nobody knows whether an unsafe step
    /// was done a person is asked, and not less so because time is over.
    pub(crate) fn expiring(&self, now: Timestamp) -> Option<Reason> {
        self.not_worth_it(now).filter(|_| self.state() == State::Processing && !in_doubt(&self.body))
    }
}

impl Runs {
    /// Ends a run that is held and is not worth beginning. Only a run that nobody holds expires: it is handed back first.
    pub(crate) async fn expire_held(
        &self,
        mut run: Run,
        reason: Reason,
        now: Timestamp,
        actor: &str,
    ) -> Result<(), Error> {
        let id = run.id().to_owned();
        let expect = Expect::Fence(run.record.fence);
        let back = Move::new(&id, State::Processing, run::Event::HandBack, expect, reason.clone());
        let applied = self.apply(Move { due_at: Some(now), actor, ..back }).await?;
        run.record.version = applied.first().map_or(0, |written| written.version);
        self.expire_from(State::Queued, run, reason, now, actor).await
    }

    /// Ends a run that nobody holds.
    pub(crate) async fn expire_idle(
        &self,
        run: Run,
        reason: Reason,
        at: Timestamp,
        actor: &str,
    ) -> Result<(), Error> {
        self.expire_from(run.state(), run, reason, at, actor).await
    }

    async fn expire_from(
        &self,
        state: State,
        mut run: Run,
        reason: Reason,
        at: Timestamp,
        actor: &str,
    ) -> Result<(), Error> {
        run.body.finished_at = Some(at);
        run.body.wait = None;
        run.body.tell(&reason);
        let settling = self.settle_entry(&run.body, run.id(), actor, None).await?;
        let expect = Expect::Version(run.record.version);
        let step = Move::new(run.id(), state, run::Event::Expire, expect, reason);
        let batch = Batch::of(Move { body: Some(&run.body), actor, ..step }.write()?).and(settling);
        self.apply_batch(batch).await.map(drop)
    }
}

pub(super) fn expired(until: Timestamp) -> Reason {
    Reason::new("run.expired", format!("it was worth running until {until}"))
}

/// Whether an unsafe step was begun and its end is not recorded.
fn in_doubt(body: &Body) -> bool {
    body.steps.iter().any(|step| step.effect == Effect::Unsafe && step.state == StepState::Started)
}
