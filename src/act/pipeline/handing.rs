//! Handing a run back because the process that works on it ends, or somebody put it aside: it has not failed, and no
//! attempt is used up.

use std::time::Duration;

use crate::act::pipeline::drive::hand_back;
use crate::act::pipeline::{Hold, Holding, Step, failing};
use crate::base::effect::Effect;
use crate::base::time::later;
use crate::decide::run::State;
use crate::remember::runs::{Error, Reason, StepState};

/// Between two steps: where somebody asked that the run be not gone on with, moves it accordingly and says so.
pub(super) async fn asked_to_stop(holding: &Holding) -> Result<bool, Error> {
    match holding.hold() {
        Hold::Cancelling => failing::cancel(holding).await?,
        Hold::Stopping => back_between(holding, None).await?,
        Hold::Ours | Hold::Lost if holding.paused() => {
            unmark_next(holding);
            back(holding, Reason::new("run.paused", "an operator put it aside for now"), Duration::ZERO)
                .await?;
        }
        Hold::Ours | Hold::Lost => return Ok(false),
    }
    Ok(true)
}

/// The next step of a run that is put down between two attempts is marked as begun at most, and is not.
pub(super) fn unmark_next(holding: &Holding) {
    if holding.state() != State::Processing {
        return;
    }
    let mut body = holding.body();
    let next = body.next_step().map(|step| step.name.clone());
    if let Some(record) = next.and_then(|name| body.step_mut(&name)) {
        record.state = StepState::Pending;
    }
}

/// Hands the run back between two steps, or between two attempts of one: it goes on after `wait`, or at once.
pub(super) async fn back_between(holding: &Holding, wait: Option<Duration>) -> Result<(), Error> {
    unmark_next(holding);
    let why = "the worker that had it ends; nothing was in the middle";
    back(holding, Reason::new("worker.stopping", why), wait.unwrap_or_default()).await
}

/// Hands the run back while `step` was in the middle: what it was at may begin again.
pub(super) async fn back_in_the_middle(holding: &Holding, step: &Step) -> Result<(), Error> {
    // An unsafe step is cut only where it asks its guard: what it did before was seen to fail.
    if step.effect == Effect::Unsafe
        && holding.state() == State::Processing
        && let Some(record) = holding.body().step_mut(&step.name)
    {
        record.state = StepState::Pending;
    }
    let why =
        format!("the worker that had it ends; step {} was in the middle, and may begin again", step.name);
    back(holding, Reason::new("worker.stopping", why), Duration::ZERO).await
}

async fn back(holding: &Holding, reason: Reason, wait: Duration) -> Result<(), Error> {
    holding.body().give_attempt_back();
    hand_back(holding, reason, later(holding.env.now().wall, wait)).await
}
