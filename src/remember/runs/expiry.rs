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
        self.not_worth_it(now).filter(|_| self.state() == State::Processing && !self.in_doubt())
    }

    /// Whether an unsafe step was begun and its end is not recorded.
    pub(super) fn in_doubt(&self) -> bool {
        let mut steps = self.body.steps.iter();
        steps.any(|step| step.effect == Effect::Unsafe && step.state == StepState::Started)
    }
}

impl Runs {
    /// Ends a run that is held by `fence` and is not worth going on with. Only a run that nobody holds expires: it is handed
    /// back first.
    pub(crate) async fn expire_held(
        &self,
        (id, fence): (&str, u64),
        body: Body,
        reason: Reason,
        now: Timestamp,
        actor: &str,
    ) -> Result<(), Error> {
        let expect = Expect::Fence(fence);
        let back = Move::new(id, State::Processing, run::Event::HandBack, expect, reason.clone());
        let applied = self.apply(Move { due_at: Some(now), actor, ..back }).await?;
        let expect = Expect::Version(applied.first().map_or(0, |written| written.version));
        let expired = Move::new(id, State::Queued, run::Event::Expire, expect, reason);
        self.expire(expired, body, now, actor).await
    }

    /// Ends a run that nobody holds.
    pub(crate) async fn expire_idle(
        &self,
        run: Run,
        reason: Reason,
        at: Timestamp,
        actor: &str,
    ) -> Result<(), Error> {
        let expect = Expect::Version(run.record.version);
        let expired = Move::new(run.id(), run.state(), run::Event::Expire, expect, reason);
        self.expire(expired, run.body.clone(), at, actor).await
    }

    async fn expire(
        &self,
        expired: Move<'_>,
        mut body: Body,
        at: Timestamp,
        actor: &str,
    ) -> Result<(), Error> {
        body.finished_at = Some(at);
        body.wait = None;
        body.tell(&expired.reason);
        body.fit_or_keep();
        let settling = self.settle_entry(&body, expired.id, actor, None).await?;
        let batch = Batch::of(Move { body: Some(&body), actor, ..expired }.write()?).and(settling);
        self.apply_batch(batch).await.map(drop)
    }
}

pub(super) fn expired(until: Timestamp) -> Reason {
    Reason::new("run.expired", format!("it was worth running until {until}"))
}
