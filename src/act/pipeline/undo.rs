//! Undoes what a run that failed for good has done: its finished steps in reverse order, each at most once.

use std::sync::Arc;

use crate::act::pipeline::attempt::{held, wait};
use crate::act::pipeline::drive::{end, end_with, put_down, save, save_by};
use crate::act::pipeline::step::Undo;
use crate::act::pipeline::{Course, Cx, Hold, Holding, Step, failing, handing};
use crate::base::effect::Effect;
use crate::base::fault::Reached;
use crate::base::rng;
use crate::base::time::later;
use crate::decide::claim::{self, AfterTakeover, LastKnown};
use crate::decide::run::State;
use crate::decide::{retry, run};
use crate::remember::ledger::Outcome;
use crate::remember::runs::{Error, Failure, Question, Reason, StepRecord, StepState, UndoState};

/// Ends the run as failed for good, or, where a finished step can be undone, begins with that: then it says `true`, and
/// [`undo_all`] goes on.
pub(super) async fn fail_for_good(
    course: &Course<'_>,
    holding: &Holding,
    step: &str,
    reason: Reason,
    failure: Failure,
    data: Option<String>,
) -> Result<bool, Error> {
    if holding.state() != State::Processing || next(course, holding).is_none() {
        let Failure { class, code, why, .. } = failure;
        let outcome = Some(Outcome::Failed { class, code, why });
        end_with(holding, run::Event::FailForGood, reason, Some(step), outcome, data).await?;
        return Ok(false);
    }
    {
        let mut body = holding.body();
        body.failure = Some(Failure { attempt: body.attempt, ..failure });
    }
    holding.edge("compensate:before");
    save_by(run::Event::Compensate, "compensating", holding, step, reason, data).await?;
    holding.compensating();
    holding.edge("compensate:after");
    Ok(true)
}

/// Undoes what is left to undo, and ends the run.
pub(super) async fn undo_all(course: &Course<'_>, holding: &Arc<Holding>) -> Result<(), Error> {
    // What an earlier holder began and did not end.
    let mut inherited = next(course, holding).filter(|record| record.undo == UndoState::Started);
    while let Some(record) = next(course, holding) {
        if holding.hold() == Hold::Lost {
            return Err(Error::Lost { winner: None });
        }
        let found = inherited.take().is_some_and(|begun| begun.name == record.name);
        let step = course.steps.iter().find(|step| step.name == record.name);
        let Some((step, undo)) = step.and_then(|step| Some((step, step.undo.as_ref()?))) else {
            let why = format!("step {} was being undone, and its job no longer says how", record.name);
            return ask(holding, &record.name, "pipeline.changed", why).await;
        };
        if found {
            let after = claim::after_takeover(undo.effect, LastKnown::Started);
            if after == AfterTakeover::Review {
                return failing::ask(holding, &record.name, Reason::of(&after)).await;
            }
        }
        if handing::asked_to_stop(holding).await? {
            return Ok(());
        }
        if !undo_step(course, holding, step, undo, found).await? {
            return Ok(());
        }
    }
    let failure = holding.body().failure.clone();
    let outcome = failure.map(|Failure { class, code, why, .. }| Outcome::Failed { class, code, why });
    let reason = Reason::new("run.compensated", "what it had done is undone");
    end(holding, run::Event::Undone, reason, None, outcome).await
}

/// The finished step that is to be undone next: the last of them that says how, or whose undoing has begun.
fn next(course: &Course<'_>, holding: &Holding) -> Option<StepRecord> {
    let body = holding.body();
    let can =
        |record: &StepRecord| course.steps.iter().any(|step| step.name == record.name && step.undo.is_some());
    let mut left = body.steps.iter().rev().filter(|record| record.state == StepState::Done);
    left.find(|record| record.undo == UndoState::Started || (record.undo == UndoState::None && can(record)))
        .cloned()
}

/// Undoes one step; says whether to go on. Otherwise the run has been moved.
async fn undo_step(
    course: &Course<'_>,
    holding: &Arc<Holding>,
    step: &Step,
    undo: &Undo,
    found: bool,
) -> Result<bool, Error> {
    if undo.effect != Effect::Pure && !found {
        mark(holding, step, UndoState::Started);
        let why = format!("its undoing begins; its effect is {}", undo.effect);
        save(holding, &step.name, Reason::new("undo.started", why), None).await?;
    }
    let policy = step.retry.unwrap_or(*course.retry).effect(undo.effect);
    let mut tries = policy.start(holding.env.now(), retry::seed(rng::entropy(), &holding.id));
    loop {
        let attempt = tries.attempts().saturating_add(1);
        let cx = Cx::of(holding, step, attempt);
        holding.edge(&format!("{}:undo", step.name));
        let error = match held(holding, step, &cx, &undo.work, undo.effect != Effect::Unsafe).await? {
            Ok(()) => {
                mark(holding, step, UndoState::Done);
                holding.edge(&format!("{}:undone", step.name));
                save(holding, &step.name, Reason::new("undo.done", "undone"), None).await?;
                return Ok(true);
            }
            Err(error) => error,
        };
        if error.is_lost() || holding.hold() == Hold::Lost {
            holding.lost();
            return Err(Error::Lost { winner: None });
        }
        if holding.was_cut() {
            handing::back_in_the_middle(holding, step).await?;
            return Ok(false);
        }
        let now = holding.env.now();
        let error = failing::without_secrets(holding, error);
        failing::keep_fault(holding, &step.name, attempt, &error, now);
        let data = failing::fault_data(&error, &cx, None);
        let reached = error.handed.as_ref().map_or(error.fault.reached, |handed| handed.reached);
        let seen_to_fail = || {
            if undo.effect == Effect::Unsafe && reached != Reached::Maybe {
                // The outcome is known: when it goes on it begins anew, and nobody need be asked.
                mark(holding, step, UndoState::None);
            }
        };
        if let Some(handed) = &error.handed {
            let reason = Reason::new(handed.code, error.to_string());
            holding.body().give_attempt_back();
            seen_to_fail();
            put_down(
                holding,
                &step.name,
                reason,
                handed.until.max(later(now.wall, failing::PUT_OFF_MIN)),
                data,
            )
            .await?;
            return Ok(false);
        }
        match tries.failed(now, &error.fault) {
            retry::Next::Wait { delay, why, .. } => {
                let data = failing::fault_data(&error, &cx, Some(delay));
                save(holding, &step.name, Reason::of(&why), data).await?;
                if wait(holding, delay).await?.is_some() {
                    return Ok(false);
                }
            }
            retry::Next::Defer { until, why } => {
                seen_to_fail();
                put_down(holding, &step.name, failing::told(&why, &error), until, data).await?;
                return Ok(false);
            }
            retry::Next::Stop { why, disposition } => {
                let tried = {
                    let body = holding.body();
                    let before = body.failure.as_ref().map_or(0, |failure| failure.attempt);
                    body.attempt.saturating_sub(before).saturating_add(1)
                };
                if disposition == retry::Disposition::GiveUp && tried < course.attempts_max {
                    seen_to_fail();
                    let due = later(now.wall, failing::again_in(tried));
                    put_down(holding, &step.name, failing::told(&why, &error), due, data).await?;
                } else {
                    let why = format!("step {} could not be undone: {error}", step.name);
                    ask(holding, &step.name, "undo.failed", why).await?;
                }
                return Ok(false);
            }
        }
    }
}

fn mark(holding: &Holding, step: &Step, undo: UndoState) {
    if let Some(record) = holding.body().step_mut(&step.name) {
        record.undo = undo;
    }
}

/// Asks a person what becomes of an undoing that failed for good.
async fn ask(holding: &Holding, step: &str, code: &'static str, why: String) -> Result<(), Error> {
    holding.body().question = Some(Question {
        code: code.to_owned(),
        text: format!("{why}: what becomes of it?"),
        step: Some(step.to_owned()),
        undo: true,
        options: failing::options(State::Compensating),
    });
    end(holding, run::Event::AskReview, Reason::new(code, why), Some(step), None).await
}
