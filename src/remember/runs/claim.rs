//! Who works on a run: claimed when it is due, taken over when its worker is gone, set aside when it kills workers.

use std::time::Duration;

use crate::base::time::{Timestamp, later};
use crate::decide::run::{self, State};
use crate::remember::runs::{Error, FORMAT, Move, Question, Reason, Run, Runs};
use crate::remember::store::{Batch, ClaimDue, Claimed, Expect, Ns, Order, PAGE_MAX, Query, Record};

/// A run whose process died this often, without getting any further in between, is not started again by itself: it may
/// be what kills the process. Unless [`Runs::crashes_max`] says otherwise.
pub const CRASHES_MAX: u32 = 3;

/// The fewest orphans that are looked at in one page.
const ORPHANS_PAGE: u32 = 16;
/// How many pages of orphans, and rounds of due runs, one claim looks through.
const PAGES_MAX: u32 = 64;
/// When a run that a newer release wrote is looked at again.
const UNREADABLE_AGAIN_IN: Duration = Duration::from_secs(60);

/// As much of a body as every release can read.
#[derive(serde::Deserialize)]
struct Format {
    v: u32,
}

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
    /// A run whose worker died [`CRASHES_MAX`] times in a row goes to review instead, and counts against nobody else. One that
    /// is no longer worth running expires; one that a newer release wrote is left to that; one that nobody can read
    /// goes to review.
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
        let mut taken = self.orphans(job, limit, lease, actor).await?;
        for _ in 0..PAGES_MAX {
            let left = limit.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            let claimed = self.due(job, left, lease, actor).await?;
            if claimed.is_empty() {
                break;
            }
            for claimed in claimed {
                let from = claimed.from.parse().unwrap_or(State::Queued);
                if let Some(run) = self.fit_for_work(claimed.record, actor).await? {
                    taken.push(Taken { run, from, orphan: claimed.orphan });
                }
            }
        }
        Ok(taken)
    }

    /// The orphans of `job`, looked through page by page: one that is set aside, or that this release cannot read, does
    /// not hide those behind it.
    async fn orphans(
        &self,
        job: &str,
        limit: u32,
        lease: Duration,
        actor: &str,
    ) -> Result<Vec<Taken>, Error> {
        let mut taken = Vec::new();
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut query = Query {
            states: vec![State::Processing.as_str().to_owned()],
            kinds: vec![job.to_owned()],
            attention: true,
            order: Order::Oldest,
            limit: limit.clamp(ORPHANS_PAGE, PAGE_MAX),
            ..Query::all(Ns::RUN)
        };
        for _ in 0..PAGES_MAX {
            if taken.len() >= wanted {
                break;
            }
            let page = self.store().scan(query.clone()).await?;
            for record in page.records.into_iter().filter(|record| record.lease.is_some()) {
                if taken.len() >= wanted {
                    break;
                }
                // What cannot be read here may be a newer release's: it is left to a worker that can.
                if let Ok(run) = Run::from_record(record) {
                    taken.extend(self.claim(&run, lease, actor).await?);
                }
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok(taken)
    }

    async fn due(&self, job: &str, limit: u32, lease: Duration, actor: &str) -> Result<Vec<Claimed>, Error> {
        let words = |code: &str, why: &str| (code.to_owned(), why.to_owned());
        let claim = ClaimDue {
            ns: Ns::RUN,
            kinds: vec![job.to_owned()],
            states: [State::Queued, State::FailedTransient].map(|state| state.as_str().to_owned()).to_vec(),
            limit,
            owner: None,
            lease,
            state: State::Processing.as_str().to_owned(),
            actor: actor.to_owned(),
            due: words("run.claimed", "it was due"),
            orphan: words("run.taken_over", "the worker before it is gone"),
        };
        Ok(self.store().claim_due(claim).await?)
    }

    /// A run that was just claimed, unless it cannot be read or its time has passed: then it is put down again.
    async fn fit_for_work(&self, record: Record, actor: &str) -> Result<Option<Run>, Error> {
        let (id, fence, now) = (record.key.clone(), record.fence, record.updated_at);
        let newer = serde_json::from_str::<Format>(&record.body).is_ok_and(|body| body.v > FORMAT);
        let moved = match Run::from_record(record) {
            Ok(run) if run.record.expires_at.is_some_and(|at| at <= now) => {
                self.expire(run, now, actor).await
            }
            Ok(run) => return Ok(Some(run)),
            Err(Error::Unreadable { detail, .. }) => {
                let (event, due_at) = if newer {
                    (run::Event::HandBack, Some(later(now, UNREADABLE_AGAIN_IN)))
                } else {
                    (run::Event::AskReview, None)
                };
                let reason = Reason::new("run.unreadable", detail);
                let step = Move::new(&id, State::Processing, event, Expect::Fence(fence), reason);
                self.apply(Move { due_at, actor, ..step }).await.map(drop)
            }
            Err(error) => Err(error),
        };
        match moved {
            Ok(()) | Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends a run that is held and whose time has passed. Only a run that nobody holds expires: it is handed back first.
    async fn expire(&self, mut run: Run, now: Timestamp, actor: &str) -> Result<(), Error> {
        let id = run.id().to_owned();
        let at = run.record.expires_at.map_or_else(String::new, |at| at.to_string());
        let reason = Reason::new("run.expired", format!("it was worth running until {at}"));
        let back = Move::new(
            &id,
            State::Processing,
            run::Event::HandBack,
            Expect::Fence(run.record.fence),
            reason.clone(),
        );
        let applied = self.apply(Move { due_at: Some(now), actor, ..back }).await?;
        let expect = Expect::Version(applied.first().map_or(0, |written| written.version));
        run.body.finished_at = Some(now);
        run.body.code = reason.code.clone().into_owned();
        run.body.why.clone_from(&reason.why);
        let settling = self.settle_entry(&run.body, &id, actor, None).await?;
        let expired = Move::new(&id, State::Queued, run::Event::Expire, expect, reason);
        let mut batch = Batch::of(Move { body: Some(&run.body), actor, ..expired }.write()?);
        if let Some(settling) = settling {
            batch.push(settling);
        }
        self.apply_batch(batch).await.map(drop)
    }

    /// Claims one run, whether it is due or not; `None` if somebody holds it, it is paused, it is in a state that no
    /// worker takes, somebody else was faster, or it has just been put down because it kills its workers, cannot be read, or is no
    /// longer worth running.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn claim(&self, run: &Run, lease: Duration, actor: &str) -> Result<Option<Taken>, Error> {
        let record = &run.record;
        if record.leased() || record.paused {
            return Ok(None);
        }
        let orphan = run.state() == State::Processing;
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
        let actor = step.actor;
        match self.apply(step).await {
            Ok(applied) => {
                let from = run.state();
                let taken = self.must_get(run.id()).await?;
                // Taken over again before it was read: the fence that stands is somebody else's.
                if applied.first().is_none_or(|written| written.fence != taken.record.fence) {
                    return Ok(None);
                }
                let taken = self.fit_for_work(taken.record, actor).await?;
                Ok(taken.map(|run| Taken { run, from, orphan }))
            }
            Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
