//! Who works on a run: claimed when it is due, taken over when its worker is gone, set aside when it kills workers.

use std::time::Duration;

use crate::base::time::later;
use crate::decide::run::{self, State};
use crate::remember::runs::{Error, FORMAT, Move, Question, Reason, Run, Runs, UndoState};
use crate::remember::store::{ClaimDue, Claimed, Expect, Ns, Order, PAGE_MAX, Query, Record};

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

/// What a worker wants to claim.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// The kinds that it knows; see [`kind_of`](super::kind_of).
    pub(crate) kinds: Vec<String>,
    /// The most runs.
    pub(crate) limit: u32,
    /// For how long.
    pub(crate) lease: Duration,
    /// Which come first.
    pub(crate) order: Order,
    /// Who.
    pub(crate) actor: &'a str,
}

impl Runs {
    /// Claims up to `limit` runs of `job`: first those whose worker is gone, then those that are due, the highest in rank
    /// first.
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
        let kinds = vec![job.to_owned()];
        self.claim_of(&Wanted { kinds, limit, lease, order: Order::Rank, actor }).await
    }

    /// The same of several kinds.
    pub(crate) async fn claim_of(&self, wanted: &Wanted<'_>) -> Result<Vec<Taken>, Error> {
        let mut taken = self.claim_orphans(wanted).await?;
        let left = wanted.limit.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
        if left > 0 {
            match self.claim_queued(&Wanted { limit: left, ..wanted.clone() }).await {
                Ok(queued) => taken.extend(queued),
                Err(error) => return given(taken, Some(error)),
            }
        }
        Ok(taken)
    }

    /// Claims the runs that are due and that nobody has begun, or that were put down.
    ///
    /// Where one of them meets an error, the others are given all the same: they are leased, and are not to be lost for it.
    pub(crate) async fn claim_queued(&self, wanted: &Wanted<'_>) -> Result<Vec<Taken>, Error> {
        let (mut taken, mut failed): (Vec<Taken>, _) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let left = wanted.limit.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            let due = self.due(&Wanted { limit: left, kinds: wanted.kinds.clone(), ..*wanted }).await;
            let claimed = due.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Vec::new()
            });
            if claimed.is_empty() {
                break;
            }
            let all = claimed.len() == usize::try_from(left).unwrap_or(usize::MAX);
            let before = taken.len();
            for claimed in claimed {
                let from = claimed.from.parse().unwrap_or(State::Queued);
                match self.fit_for_work(claimed.record, wanted.actor).await {
                    Ok(Some(run)) => taken.push(Taken { run, from, orphan: claimed.orphan }),
                    Ok(None) => {}
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
            // Fewer than were asked for: there is no more, unless some were put down again.
            if failed.is_some() || (!all && taken.len() > before) {
                break;
            }
        }
        given(taken, failed)
    }

    /// Takes over the runs whose worker is gone, and those whose undoing waits to be gone on with. Looked through page by
    /// page: one that is set aside, or that this release cannot read, does not hide those behind it.
    pub(crate) async fn claim_orphans(&self, wanted: &Wanted<'_>) -> Result<Vec<Taken>, Error> {
        let (mut taken, mut failed) = (Vec::new(), None);
        let most = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
        let mut query = Query {
            states: [State::Processing, State::Compensating].map(|state| state.as_str().to_owned()).to_vec(),
            kinds: wanted.kinds.clone(),
            attention: true,
            order: Order::Oldest,
            limit: wanted.limit.clamp(ORPHANS_PAGE, PAGE_MAX),
            ..Query::all(Ns::RUN)
        };
        for _ in 0..PAGES_MAX {
            if taken.len() >= most {
                break;
            }
            let page = match self.store().scan(query.clone()).await {
                Ok(page) => page,
                Err(error) => {
                    failed.get_or_insert(Error::Store(error));
                    break;
                }
            };
            for record in page.records {
                if taken.len() >= most {
                    break;
                }
                // What cannot be read here may be a newer release's: it is left to a worker that can.
                let Ok(run) = Run::from_record(record) else { continue };
                match self.claim(&run, wanted.lease, wanted.actor).await {
                    Ok(claimed) => taken.extend(claimed),
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        given(taken, failed)
    }

    async fn due(&self, wanted: &Wanted<'_>) -> Result<Vec<Claimed>, Error> {
        let words = |code: &str, why: &str| (code.to_owned(), why.to_owned());
        let claim = ClaimDue {
            ns: Ns::RUN,
            kinds: wanted.kinds.clone(),
            states: waiting(),
            order: wanted.order,
            limit: wanted.limit,
            owner: None,
            lease: wanted.lease,
            state: State::Processing.as_str().to_owned(),
            actor: wanted.actor.to_owned(),
            due: words("run.claimed", "it was due"),
            orphan: words("run.taken_over", "the worker before it is gone"),
        };
        Ok(self.store().claim_due(claim).await?)
    }

    /// A run that was just claimed, unless it cannot be read, its time has passed, or another with its serial key was
    /// faster: then it is put down again.
    async fn fit_for_work(&self, record: Record, actor: &str) -> Result<Option<Run>, Error> {
        let (id, fence, now) = (record.key.clone(), record.fence, record.updated_at);
        let state = record.state.parse().unwrap_or(State::Processing);
        let back = |code: &'static str, why: String| {
            let reason = Reason::new(code, why);
            Move::new(&id, state, run::Event::HandBack, Expect::Fence(fence), reason)
        };
        let moved = match Run::of(record) {
            Ok(mut run) => match run.expiring(now) {
                Some(reason) => {
                    let (record, body) = (run.record, run.body);
                    self.expire_held((&record.key, record.fence), body, reason, now, actor).await
                }
                None => match self.in_front(&run).await? {
                    None => return Ok(Some(run)),
                    Some(other) => {
                        let why = format!("run {other}, with the same serial key, was taken first");
                        let step = back("run.serial", why);
                        run.body.tell(&step.reason);
                        self.apply(Move { due_at: Some(now), body: Some(&run.body), actor, ..step })
                            .await
                            .map(drop)
                    }
                },
            },
            Err((record, Error::Unreadable { detail, .. })) => {
                let newer = serde_json::from_str::<Format>(&record.body).is_ok_and(|body| body.v > FORMAT);
                let step = back("run.unreadable", detail);
                let (event, due_at) = if newer {
                    (run::Event::HandBack, Some(later(now, UNREADABLE_AGAIN_IN)))
                } else {
                    (run::Event::AskReview, None)
                };
                self.apply(Move { event, due_at, actor, ..step }).await.map(drop)
            }
            Err((_, error)) => Err(error),
        };
        match moved {
            Ok(()) | Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The run, which was just taken, unless another with its serial key was faster: then it is put down again.
    pub(crate) async fn in_its_turn(&self, run: Run, actor: &str) -> Result<Option<Run>, Error> {
        if run.record.serial_key.is_none() {
            return Ok(Some(run));
        }
        self.fit_for_work(run.record, actor).await
    }

    /// The run that has the serial key of `run`, which is held, by an earlier claim. Two that were claimed at the same time
    /// both look after they were written, so the later one sees the earlier.
    async fn in_front(&self, run: &Run) -> Result<Option<String>, Error> {
        let Some(serial_key) = run.record.serial_key.clone() else { return Ok(None) };
        let query = Query {
            states: [State::Processing, State::Compensating].map(|state| state.as_str().to_owned()).to_vec(),
            serial_key: Some(serial_key),
            limit: PAGE_MAX,
            ..Query::all(Ns::RUN)
        };
        let held = self.store().scan(query).await?.records.into_iter();
        let mut earlier = held
            .filter(|other| other.leased() && other.key != run.record.key && other.fence < run.record.fence);
        Ok(earlier.next().map(|other| other.key))
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
        let died = run.record.lease.is_some();
        body.crash_count = body.crash_count.saturating_add(died.into());
        let owner = run.record.owner.as_deref().unwrap_or("nobody");
        let expect = Expect::LeaseOver { version: run.record.version };
        if body.crash_count < self.crashes_max {
            let why = if died {
                format!("{owner}, who worked on it, is gone (death {} of this run)", body.crash_count)
            } else {
                String::from("its undoing is gone on with")
            };
            let reason = Reason::new("run.taken_over", why);
            let step = Move {
                body: Some(&body),
                lease: Some(lease),
                actor,
                ..Move::new(run.id(), run.state(), run::Event::TakeOver, expect, reason)
            };
            return self.taken(run, step, died).await;
        }
        let why = format!("{} processes in a row died while they worked on it", body.crash_count);
        let reason = Reason::new("run.poison", why.as_str());
        body.tell(&reason);
        // What is undone by half is not gone on with as work.
        let undo = run.state() == State::Compensating;
        let undoing = || body.steps.iter().rev().find(|step| step.undo == UndoState::Started);
        let step = if undo { undoing() } else { body.next_step() }.map(|step| step.name.clone());
        let options: &[&str] = match (undo, &step) {
            (true, Some(_)) => &["requeue", "applied", "not_applied", "skip", "dismiss"],
            (true, None) => &["requeue", "dismiss"],
            (false, _) => &["requeue", "fixed_input", "dismiss"],
        };
        body.question = Some(Question {
            code: body.code.clone(),
            text: format!("{why}: is the run itself what kills them?"),
            step,
            undo,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
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

/// The runs of these kinds that are due and that nobody works on: those that [`Runs::claim_queued`] takes.
pub(crate) fn due(kinds: Vec<String>, order: Order, limit: u32) -> Query {
    Query {
        states: waiting(),
        kinds,
        attention: true,
        order,
        limit: limit.clamp(1, PAGE_MAX),
        ..Query::all(Ns::RUN)
    }
}

/// The states of runs that nobody has begun, or that were put down.
fn waiting() -> Vec<String> {
    [State::Queued, State::FailedTransient].map(|state| state.as_str().to_owned()).to_vec()
}

/// What was taken; the error only where nothing was.
fn given(taken: Vec<Taken>, failed: Option<Error>) -> Result<Vec<Taken>, Error> {
    match failed {
        Some(error) if taken.is_empty() => Err(error),
        _ => Ok(taken),
    }
}
