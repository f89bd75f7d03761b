//! Takes a held run through its steps: the one driver, for threads and for futures.

use std::sync::Arc;

use crate::act::pipeline::attempt::{Attempted, attempt_step};
use crate::act::pipeline::{
    Hold, Holding, Step, StepError, during, failing, handing, intake, ready, undo, waiting,
};
use crate::act::pipeline::{NotNow, Only};
use crate::act::runlog;
use crate::base::canonical::Key;
use crate::base::effect::Effect;
use crate::decide::claim::{self, AfterTakeover, LastKnown};
use crate::decide::contract::Intake;
use crate::decide::retry;
use crate::decide::run::{self, State};
use crate::decide::window::Window;
use crate::remember::ledger::Outcome;
use crate::remember::runs::{
    Body, Error, Failure, Json, Move, Question, Reason, StepRecord, StepState, Wait,
};
use crate::remember::store::{
    ApplyError, BODY_MAX, Batch, Expect, Ns, Record, Write, Written, apply_settled,
};

/// What a job says about how its runs are driven.
pub(in crate::act) struct Course<'a> {
    pub(in crate::act) steps: &'a [Step],
    pub(in crate::act) retry: &'a retry::Policy,
    /// How often a run may be tried before a failure for now becomes one for good.
    pub(in crate::act) attempts_max: u32,
    pub(in crate::act) host: &'a str,
    pub(in crate::act) code_version: Option<&'a str>,
    /// What must be done before its runs begin.
    pub(in crate::act) after: &'a [After],
    /// What its input must be.
    pub(in crate::act) intake: Option<&'a Intake>,
    /// While what alone its steps begin.
    pub(in crate::act) during: Option<&'a Window>,
    /// What has to be so before each of its steps begins.
    pub(in crate::act) ready: &'a [NotNow],
    /// The lock that is held while it is worked on.
    pub(in crate::act) only: Option<&'a Only>,
    /// The first step is marked as begun by this very driver, in the commit that made the run.
    pub(in crate::act) begun: bool,
}

/// Another job's work that a job's runs wait for.
#[derive(Clone)]
pub(in crate::act) struct After {
    pub(in crate::act) job: String,
    /// The key of that work, made from this job's input.
    pub(in crate::act) key: Arc<KeyOf>,
}

/// Makes a key from an input.
type KeyOf = dyn Fn(&Json) -> Result<Key, StepError> + Send + Sync;

/// What is kept free in a run's record for the reasons of its last moves.
pub(super) const REASON_ROOM: usize = 4096;

/// Drives the run until it ends, is put down, or is lost.
///
/// # Errors
/// [`Error::Lost`] when somebody else has the run; what the store said when it could not be written. The run stays as it
/// was last committed then, and is taken over when its lease is over.
pub(in crate::act) async fn drive(course: &Course<'_>, holding: &Arc<Holding>) -> Result<(), Error> {
    {
        let mut body = holding.body();
        body.attempt = body.attempt.saturating_add(1);
        course.host.clone_into(&mut body.host);
        body.code_version = course.code_version.map(str::to_owned);
        let now = holding.env.now().wall;
        body.started_at.get_or_insert(now);
        // A deadline that has passed is the step's failure, which is still to come.
        body.wait.take_if(|wait| !wait.over);
    }
    if ready::held_by_a_person(course, holding).await? {
        return Ok(());
    }
    let Some(_only) = ready::alone(course, holding).await? else { return Ok(()) };
    if holding.state() == State::Compensating {
        return undo::undo_all(course, holding).await;
    }
    if intake::moved(course, holding).await? || waiting::on_others(course, holding).await? {
        return Ok(());
    }
    // What an earlier holder began and did not end. A step that this driver marks as begun ahead of time is none of it.
    let mut inherited = holding.body().next_step().filter(|step| step.state == StepState::Started).cloned();
    inherited.take_if(|_| course.begun);
    loop {
        if holding.hold() == Hold::Lost {
            return Err(Error::Lost { winner: None });
        }
        let next = holding.body().next_step().cloned();
        let Some(record) = next else {
            let reason = Reason::new("run.succeeded", "every step is done");
            return succeed(holding, reason, None, None).await;
        };
        let Some(step) = course.steps.iter().find(|step| step.name == record.name) else {
            return changed(holding, &record).await;
        };
        let found = match inherited.take() {
            Some(begun) if begun.name == record.name => StepState::Started,
            _ => StepState::Pending,
        };
        if found == StepState::Started {
            let after = claim::after_takeover(step.effect, LastKnown::Started);
            // Also where an operator asked to stop it: the question would be lost with the run.
            if after == AfterTakeover::Review {
                return failing::ask(holding, &record.name, Reason::of(&after)).await;
            }
        }
        if handing::asked_to_stop(holding).await? {
            return Ok(());
        }
        // What was in the middle goes on: whether it began in its window is not asked a second time.
        if found != StepState::Started && during::shut_out(course, holding, step).await? {
            return Ok(());
        }
        match attempt_step(course, holding, step, found).await? {
            Attempted::Done { output, reason } => {
                let told = (reason, None);
                if settle_step(course, holding, step, StepState::Done, Some(output), told).await? {
                    return Ok(());
                }
            }
            Attempted::Skipped { reason, data } => {
                let told = (reason, data);
                if settle_step(course, holding, step, StepState::Skipped, None, told).await? {
                    return Ok(());
                }
            }
            Attempted::Undo => return undo::undo_all(course, holding).await,
            Attempted::Ended => return Ok(()),
        }
    }
}

/// Commits a settled step, and with the last one the run's success; says whether the run has ended.
async fn settle_step(
    course: &Course<'_>,
    holding: &Arc<Holding>,
    step: &Step,
    state: StepState,
    output: Option<Json>,
    (reason, data): (Reason, Option<String>),
) -> Result<bool, Error> {
    holding.edge(&format!("{}:worked", step.name));
    let last = {
        let mut body = holding.body();
        let before = body.clone();
        if let Some(record) = body.step_mut(&step.name) {
            record.state = state;
            record.output = output;
            record.cursor = None;
            record.progress = None;
        }
        body.crash_count = 0;
        let last = body.next_step().is_none();
        if last {
            body.output = body.steps.last().and_then(|step| step.output.clone());
        }
        match body.fit(REASON_ROOM) {
            Ok(()) => Ok(last),
            Err(size) => {
                *body = before;
                Err(size)
            }
        }
    };
    let last = match last {
        Ok(last) => last,
        Err(size) => {
            if too_big(course, holding, step, size).await? {
                undo::undo_all(course, holding).await?;
            }
            return Ok(true);
        }
    };
    if last {
        let why = format!("{}; it was the last of {} steps", reason.why, course.steps.len());
        succeed(holding, Reason::new("run.succeeded", why), Some(&step.name), data).await?;
    } else {
        mark_next_started(course, holding);
        save(holding, &step.name, reason, data).await?;
    }
    holding.edge(&format!("{}:saved", step.name));
    Ok(last)
}

/// The step that follows is marked as begun in the same commit, so that its effect is never without a mark and the
/// mark costs no commit of its own. A step with a guard is marked once that was asked, one whose window is closed when it
/// opens.
fn mark_next_started(course: &Course<'_>, holding: &Holding) {
    let mut body = holding.body();
    let Some(record) = body.steps.iter_mut().find(|record| !record.state.is_settled()) else { return };
    let step = course.steps.iter().find(|step| step.name == record.name);
    let begins = |step: &&Step| {
        let asks = step.guard.is_some() || !course.ready.is_empty() || !step.ready.is_empty();
        step.effect != Effect::Pure && !asks && !during::is_shut(course, holding, step)
    };
    if step.filter(begins).is_some() {
        record.state = StepState::Started;
    }
}

/// Commits the body as it stands, with an event that says why.
pub(super) async fn save(
    holding: &Holding,
    step: &str,
    reason: Reason,
    data: Option<String>,
) -> Result<(), Error> {
    save_by(run::Event::Checkpoint, "saved", holding, step, reason, data).await
}

/// The same by another event, that logs call `word`.
pub(super) async fn save_by(
    event: run::Event,
    word: &str,
    holding: &Holding,
    step: &str,
    reason: Reason,
    data: Option<String>,
) -> Result<(), Error> {
    let body = with_reason(holding, &reason);
    runlog::moved(&holding.of(&body, Some(step)), word, &reason.code, &reason.why);
    let asked = holding.env.now().moment;
    let step = Move {
        body: Some(&body),
        actor: &holding.actor,
        step: Some(step),
        lease: Some(holding.lease),
        data,
        ..Move::new(&holding.id, holding.state(), event, holding.expect(), reason)
    };
    let applied = holding.runs.apply(step).await.inspect_err(|error| lost(holding, error))?;
    holding.heard(asked, applied.first());
    Ok(())
}

/// What the step gave has no room in the run's record: the run ends, or it would fail to be saved for ever. The step
/// stays as it was, so that an unsafe one is asked about before it is done again. Says whether there is something to undo.
async fn too_big(course: &Course<'_>, holding: &Holding, step: &Step, size: usize) -> Result<bool, Error> {
    let why = format!(
        "with what step {} gave, the run's record has {size} bytes of at most {BODY_MAX}; store it outside and give where",
        step.name
    );
    let code = "step.output_too_big";
    let failure = Failure::permanent(code, why.as_str());
    undo::fail_for_good(course, holding, &step.name, Reason::new(code, why), failure, None).await
}

async fn succeed(
    holding: &Holding,
    reason: Reason,
    step: Option<&str>,
    data: Option<String>,
) -> Result<(), Error> {
    let output = {
        let mut body = holding.body();
        body.output = body.steps.last().and_then(|step| step.output.clone());
        body.output.clone()
    };
    let result = output.unwrap_or_else(|| serde_json::value::RawValue::NULL.to_owned());
    end_with(holding, run::Event::Succeed, reason, step, Some(Outcome::Succeeded { result }), data).await
}

/// Ends the run's life in this process: the transition, and with it the ledger entry, where it has one that is open.
pub(super) async fn end(
    holding: &Holding,
    event: run::Event,
    reason: Reason,
    step: Option<&str>,
    outcome: Option<Outcome>,
) -> Result<(), Error> {
    end_with(holding, event, reason, step, outcome, None).await
}

/// The same, with what the event is to say beyond the reason.
pub(super) async fn end_with(
    holding: &Holding,
    event: run::Event,
    reason: Reason,
    step: Option<&str>,
    outcome: Option<Outcome>,
    data: Option<String>,
) -> Result<(), Error> {
    let from = holding.state();
    let to = run::transition(from, event)?;
    let now = holding.env.now().wall;
    if to.is_terminal() {
        holding.body().finished_at = Some(now);
    }
    let body = with_reason(holding, &reason);
    holding.edge(&format!("{}:before", event));
    runlog::moved(&holding.of(&body, step), to.as_str(), &reason.code, &reason.why);
    let settling = if to.is_terminal() {
        holding.runs.settle_entry(&body, &holding.id, &holding.actor, outcome).await?
    } else {
        None
    };
    let step = Move {
        body: Some(&body),
        actor: &holding.actor,
        step,
        data,
        ..Move::new(&holding.id, holding.state(), event, holding.expect(), reason)
    };
    let batch = Batch::of(step.write()?).and(settling);
    end_in_one(holding, batch, to, &body).await.inspect_err(|error| lost(holding, error))?;
    // Work of this holder that is still about, on a thread that cannot be cut, is told to stop.
    holding.ended(to);
    holding.edge(&format!("{}:after", event));
    Ok(())
}

/// Commits the end, with what is to stand beside it where that can be; that never stands in the way of the end.
async fn end_in_one(holding: &Holding, batch: Batch, to: State, body: &Body) -> Result<(), Error> {
    let Some(at_end) = holding.at_end() else { return holding.runs.apply_batch(batch).await.map(drop) };
    let Some(beside) = at_end.beside(to, body, holding.env.now()).await else {
        return holding.runs.apply_batch(batch).await.map(drop);
    };
    let alone = Batch::new(batch.writes().to_vec());
    match holding.runs.apply_batch(batch.and(Some(beside))).await {
        Err(Error::Lost { winner }) if winner.as_ref().is_none_or(|other| other.ns == Ns::SNAPSHOT) => {
            at_end.settled(false);
            holding.runs.apply_batch(alone).await.map(drop)
        }
        done => {
            at_end.settled(done.is_ok());
            done.map(drop)
        }
    }
}

/// Puts the run down until `due_at`: it failed for now, or what is left of its undoing waits.
pub(super) async fn put_down(
    holding: &Holding,
    step: &str,
    reason: Reason,
    due_at: crate::base::time::Timestamp,
    data: Option<String>,
) -> Result<(), Error> {
    let event = match holding.state() {
        State::Compensating => run::Event::HandBack,
        _ => run::Event::FailForNow,
    };
    down(holding, event, Some(step), reason, due_at, data).await
}

/// Gives the run back before a step, due at `due_at`: it has not failed.
pub(super) async fn put_off(
    holding: &Holding,
    step: &str,
    reason: Reason,
    due_at: crate::base::time::Timestamp,
) -> Result<(), Error> {
    down(holding, run::Event::HandBack, Some(step), reason, due_at, None).await
}

/// Gives the run back, due at `due_at`: it has not failed.
pub(super) async fn hand_back(
    holding: &Holding,
    reason: Reason,
    due_at: crate::base::time::Timestamp,
) -> Result<(), Error> {
    down(holding, run::Event::HandBack, None, reason, due_at, None).await
}

async fn down(
    holding: &Holding,
    event: run::Event,
    step: Option<&str>,
    reason: Reason,
    due_at: crate::base::time::Timestamp,
    data: Option<String>,
) -> Result<(), Error> {
    let from = holding.state();
    let to = run::transition(from, event)?;
    let body = with_reason(holding, &reason);
    runlog::moved(&holding.of(&body, step), to.as_str(), &reason.code, &reason.why);
    let step = Move {
        body: Some(&body),
        actor: &holding.actor,
        step,
        due_in: Some(holding.due_in(due_at)),
        data,
        ..Move::new(&holding.id, from, event, holding.expect(), reason)
    };
    let applied = holding.runs.apply(step).await.inspect_err(|error| lost(holding, error))?;
    holding.ended(to);
    cancel_now(holding, &body, to, applied.first()).await
}

/// Ends a run that was just put down, where an operator had asked meanwhile to stop it: nobody looks at it until it is
/// due.
async fn cancel_now(
    holding: &Holding,
    body: &Body,
    state: State,
    written: Option<&Written>,
) -> Result<(), Error> {
    let Some(written) = written.filter(|written| written.cancelling) else { return Ok(()) };
    let mut body = body.clone();
    body.finished_at = Some(holding.env.now().wall);
    body.wait = None;
    let reason = failing::cancelled();
    body.tell(&reason);
    let settling = holding.runs.settle_entry(&body, &holding.id, &holding.actor, None).await?;
    let expect = Expect::Version(written.version);
    let step = Move::new(&holding.id, state, run::Event::Cancel, expect, reason);
    let step = Move { body: Some(&body), actor: &holding.actor, ..step };
    let batch = Batch::of(step.write()?).and(settling);
    match holding.runs.apply_batch(batch).await {
        // Somebody has moved it since: whoever that was knows of the wish.
        Ok(_) => {
            holding.ended(State::Cancelled);
            Ok(())
        }
        Err(Error::Lost { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What became of a run that was to be parked.
pub(super) enum Parked {
    /// It waits.
    Yes,
    /// What was to hold beside it does not: this record stands there, or none.
    No(Option<Box<Record>>),
}

/// Parks the run until the token is resolved, if `guard` still holds.
pub(super) async fn park(
    holding: &Holding,
    step: &str,
    reason: Reason,
    wait: Wait,
    guard: Option<Write>,
) -> Result<Parked, Error> {
    let due_in = wait.deadline.map(|deadline| holding.due_in(deadline));
    holding.body().wait = Some(wait);
    let body = with_reason(holding, &reason);
    let (code, why) = (reason.code.clone(), reason.why.clone());
    let parked = Move {
        body: Some(&body),
        actor: &holding.actor,
        step: Some(step),
        due_in,
        ..Move::new(&holding.id, holding.state(), run::Event::Await, holding.expect(), reason)
    };
    let batch = Batch::of(parked.write()?).and(guard);
    match apply_settled(&**holding.runs.store(), batch).await {
        Ok(applied) => {
            runlog::moved(&holding.of(&body, Some(step)), "waiting_external", &code, &why);
            holding.ended(State::WaitingExternal);
            cancel_now(holding, &body, State::WaitingExternal, applied.first()).await?;
            Ok(Parked::Yes)
        }
        Err(ApplyError::Conflict(mut conflicts)) => {
            match conflicts.iter().position(|conflict| conflict.index == 0) {
                Some(at) => {
                    holding.lost();
                    Err(Error::Lost { winner: conflicts.swap_remove(at).winner.map(Box::new) })
                }
                None => {
                    holding.body().wait = None;
                    Ok(Parked::No(conflicts.pop().and_then(|conflict| conflict.winner).map(Box::new)))
                }
            }
        }
        Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(Error::Store(error)),
    }
}

/// The run has a step that the job no longer has: only a person knows what it meant.
async fn changed(holding: &Holding, record: &StepRecord) -> Result<(), Error> {
    let why = format!("the run has a step {} that its job no longer has", record.name);
    holding.body().question = Some(Question {
        code: String::from("pipeline.changed"),
        text: format!("{why}: what becomes of it?"),
        step: Some(record.name.clone()),
        undo: false,
        options: vec![String::from("requeue"), String::from("dismiss")],
    });
    end(holding, run::Event::AskReview, Reason::new("pipeline.changed", why), Some(&record.name), None).await
}

fn with_reason(holding: &Holding, reason: &Reason) -> Body {
    let mut body = holding.body();
    body.tell(reason);
    // What still does not fit is refused by the store, which says so.
    let _fits = body.fit(0);
    body.clone()
}

fn lost(holding: &Holding, error: &Error) {
    if matches!(error, Error::Lost { .. }) {
        holding.lost();
    }
}
