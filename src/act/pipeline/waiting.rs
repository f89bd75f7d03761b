//! What a run waits for: an answer from outside, and another job's work.

use std::sync::Arc;
use std::time::Duration;

use crate::act::pipeline::attempt::Attempted;
use crate::act::pipeline::drive::{Parked, hand_back, park};
use crate::act::pipeline::{Course, Hold, Holding, Step, StepError, failing, undo};
use crate::base::time::later;
use crate::decide::claim::Status;
use crate::remember::runs::{
    Error, Failure, Reason, StepState, TokenTaken, Wait, asking, check_token, token_taken,
};
use crate::remember::store::{Expect, Ns};

/// How often a token is looked at again that changed while the run was being parked.
const ATTEMPTS_MAX: u32 = 8;
/// How long a run is put down that waits for another job's work.
const LOOK_AGAIN_IN: Duration = Duration::from_secs(60);

/// Puts the run down until its step has an answer: parked, or gone on with where the answer is there already. `Err`
/// inside `Ok` is the step's own failure.
pub(super) async fn put_down(
    holding: &Arc<Holding>,
    step: &Step,
    wait: Wait,
) -> Result<Result<Attempted, StepError>, Error> {
    if let Err(error) = check_token(&wait.token) {
        return Ok(Err(StepError::permanent("wait.token", error)));
    }
    if holding.hold() == Hold::Cancelling {
        failing::cancel(holding).await?;
        return Ok(Ok(Attempted::Ended));
    }
    {
        // To wait is not to fail.
        let mut body = holding.body();
        body.give_attempt_back();
        if let Some(record) = body.step_mut(&step.name) {
            record.state = StepState::Pending;
        }
    }
    let wait = Wait { step: Some(step.name.clone()), over: false, ..wait };
    let until = wait.deadline.map_or_else(String::new, |at| format!(", until {at}"));
    let reason = Reason::new("run.waiting", format!("waits for {}{until}", wait.token));
    let mut expect = Expect::Absent;
    for _ in 0..ATTEMPTS_MAX {
        let guard = asking(&wait.token, &holding.id, expect, &holding.actor);
        let record = match park(holding, &step.name, reason.clone(), wait.clone(), Some(guard)).await? {
            Parked::Yes => return Ok(Ok(Attempted::Ended)),
            Parked::No(record) => record,
        };
        expect = match record.map(|record| token_taken(&record, &holding.id)).transpose()? {
            None => Expect::Absent,
            Some(TokenTaken::Own(version)) => Expect::Version(version),
            Some(TokenTaken::Answered(output)) => {
                worked(holding);
                let why = format!("the answer to {} was there already", wait.token);
                return Ok(Ok(Attempted::Done { output, reason: Reason::new("wait.answered", why) }));
            }
            // What is known of the run before is no answer to this one.
            Some(TokenTaken::Others(run, version)) if has_ended(holding, &run).await? => {
                Expect::Version(version)
            }
            Some(TokenTaken::Others(run, _)) => {
                worked(holding);
                let why = format!("run {run} waits for {} already; a token is for one", wait.token);
                return Ok(Err(StepError::permanent("wait.token", why)));
            }
        };
    }
    Err(Error::Contended { id: wait.token, attempts: ATTEMPTS_MAX })
}

/// The run is not put down after all: its attempt goes on.
fn worked(holding: &Holding) {
    let mut body = holding.body();
    body.attempt = body.attempt.saturating_add(1);
}

/// Whether the run that a token belongs to needs it no more. One that cannot be read may.
async fn has_ended(holding: &Holding, run: &str) -> Result<bool, Error> {
    match holding.runs.get(run).await {
        Ok(run) => Ok(run.is_none_or(|run| run.state().is_terminal())),
        Err(Error::Unreadable { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The failure of a step whose answer has not come in time, said once.
pub(super) fn timed_out(holding: &Holding, step: &Step) -> Option<StepError> {
    let mut body = holding.body();
    let over = |wait: &mut Wait| wait.over && wait.step.as_deref() == Some(step.name.as_str());
    let wait = body.wait.take_if(over)?;
    let until = wait.deadline.map_or_else(String::new, |at| format!(" until {at}"));
    Some(StepError::permanent("wait.timed_out", format!("nothing came for {}{until}", wait.token)))
}

/// Looks whether the other jobs' work that this run waits for is done. Says whether the run has been moved instead.
pub(super) async fn on_others(course: &Course<'_>, holding: &Arc<Holding>) -> Result<bool, Error> {
    let begun = holding.body().steps.iter().any(|step| step.state != StepState::Pending);
    if begun || course.after.is_empty() {
        return Ok(false);
    }
    let (input, first) = {
        let body = holding.body();
        (body.input.clone(), body.next_step().map(|step| step.name.clone()).unwrap_or_default())
    };
    for after in course.after {
        let key = match (after.key)(&input) {
            Ok(key) => key,
            Err(error) => {
                let failure = Failure::permanent("job.after", error.to_string());
                let reason = Reason::new("job.after", format!("the key of {}: {error}", after.job));
                undo::fail_for_good(course, holding, &first, reason, failure, None).await?;
                return Ok(true);
            }
        };
        let entry = holding.runs.store().get(Ns::LEDGER, key.as_str()).await?;
        let status = entry.as_ref().and_then(|entry| Status::from_word(&entry.state));
        match status {
            Some(Status::Succeeded) => {}
            Some(Status::Failed) => {
                let why =
                    format!("{} failed for good with {key}, and this run is to come after it", after.job);
                let failure = Failure::permanent("job.after_failed", why.as_str());
                let reason = Reason::new("job.after_failed", why);
                undo::fail_for_good(course, holding, &first, reason, failure, None).await?;
                return Ok(true);
            }
            Some(Status::Claimed | Status::Released | Status::NeedsReview) | None => {
                let stands = status.map_or("not begun", Status::as_str);
                holding.body().give_attempt_back();
                let why = format!("waits for {} with {key}, which is {stands}", after.job);
                let due = later(holding.env.now().wall, LOOK_AGAIN_IN);
                hand_back(holding, Reason::new("job.after", why), due).await?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}
