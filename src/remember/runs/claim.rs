//! Who works on a run: claimed when it is due, taken over when its worker is gone, set aside when it kills workers.

use std::time::Duration;

use crate::decide::run::{self, State};
use crate::remember::runs::{Error, Move, Question, Reason, Run, Runs};
use crate::remember::store::{ClaimDue, Expect, Ns, Order, PAGE_MAX, Query};

/// A run whose process died this often, without getting any further in between, is not started again by itself: it may
/// be what kills the process. Unless [`Runs::crashes_max`] says otherwise.
pub const CRASHES_MAX: u32 = 3;

/// A run that the caller holds by lease.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The run, with its new fence.
    pub run: Run,
    /// The state that it had before.
    pub from: State,
    /// Whether it was taken over from a worker that is gone.
    pub orphan: bool,
}

impl Runs {
    /// Claims up to `limit` runs of `job`: first those whose worker is gone, then those that are due, oldest first.
    ///
    /// A run whose worker died [`CRASHES_MAX`] times in a row goes to review instead, and counts against nobody else.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was claimed before the error stays leased until its lease ends.
    pub async fn claim_due(
        &self,
        job: &str,
        limit: u32,
        lease: Duration,
        actor: &str,
    ) -> Result<Vec<Taken>, Error> {
        let mut taken = Vec::new();
        let orphans = Query {
            states: vec![State::Processing.as_str().to_owned()],
            kinds: vec![job.to_owned()],
            attention: true,
            order: Order::Oldest,
            limit: limit.clamp(1, PAGE_MAX),
            ..Query::all(Ns::RUN)
        };
        for record in self.store().scan(orphans).await?.records {
            if record.lease.is_some() {
                taken.extend(self.claim(&Run::from_record(record)?, lease, actor).await?);
            }
        }
        let left = limit.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
        if left == 0 {
            return Ok(taken);
        }
        let words = |code: &str, why: &str| (code.to_owned(), why.to_owned());
        let claim = ClaimDue {
            ns: Ns::RUN,
            kinds: vec![job.to_owned()],
            states: [State::Queued, State::FailedTransient].map(|state| state.as_str().to_owned()).to_vec(),
            limit: left,
            owner: None,
            lease,
            state: State::Processing.as_str().to_owned(),
            actor: actor.to_owned(),
            due: words("run.claimed", "it was due"),
            orphan: words("run.taken_over", "the worker before it is gone"),
        };
        for claimed in self.store().claim_due(claim).await? {
            let from = claimed.from.parse().unwrap_or(State::Queued);
            taken.push(Taken { run: Run::from_record(claimed.record)?, from, orphan: claimed.orphan });
        }
        Ok(taken)
    }

    /// Claims one run, whether it is due or not; `None` if somebody holds it, it is paused, it is in a state that no
    /// worker takes, somebody else was faster, or it has just been set aside because it kills its workers.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn claim(&self, run: &Run, lease: Duration, actor: &str) -> Result<Option<Taken>, Error> {
        let record = &run.record;
        if record.leased() || record.paused {
            return Ok(None);
        }
        let orphan = run.state().is_held();
        let event = if orphan { run::Event::TakeOver } else { run::Event::Claim };
        if run::transition(run.state(), event).is_err() {
            return Ok(None);
        }
        if orphan {
            return self.take_over(run, lease, actor).await;
        }
        let expect = Expect::LeaseOver { version: record.version };
        let reason = Reason::new("run.claimed", "it was asked for");
        let step =
            Move { lease: Some(lease), actor, ..Move::new(run.id(), run.state(), event, expect, reason) };
        self.taken(run, step, false).await
    }

    async fn take_over(&self, run: &Run, lease: Duration, actor: &str) -> Result<Option<Taken>, Error> {
        let mut body = run.body.clone();
        body.crash_count = body.crash_count.saturating_add(1);
        let owner = run.record.owner.as_deref().unwrap_or("nobody");
        let expect = Expect::LeaseOver { version: run.record.version };
        if body.crash_count < self.crashes_max {
            let why = format!("{owner}, who worked on it, is gone (death {} of this run)", body.crash_count);
            let reason = Reason::new("run.taken_over", why);
            let step = Move {
                body: Some(&body),
                lease: Some(lease),
                actor,
                ..Move::new(run.id(), run.state(), run::Event::TakeOver, expect, reason)
            };
            return self.taken(run, step, true).await;
        }
        let why = format!("{} processes in a row died while they worked on it", body.crash_count);
        let reason = Reason::new("run.poison", why.as_str());
        body.code = reason.code.clone().into_owned();
        body.why.clone_from(&why);
        body.question = Some(Question {
            code: body.code.clone(),
            text: format!("{why}: is the run itself what kills them?"),
            step: body.next_step().map(|step| step.name.clone()),
            options: vec![String::from("requeue"), String::from("dismiss")],
        });
        // Sent round again by a person, it starts with a clean count.
        body.crash_count = 0;
        let step = Move {
            body: Some(&body),
            actor,
            ..Move::new(run.id(), run.state(), run::Event::AskReview, expect, reason)
        };
        match self.apply(step).await {
            Ok(_) | Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn taken(&self, run: &Run, step: Move<'_>, orphan: bool) -> Result<Option<Taken>, Error> {
        match self.apply(step).await {
            Ok(_) => {
                let from = run.state();
                Ok(Some(Taken { run: self.must_get(run.id()).await?, from, orphan }))
            }
            Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
