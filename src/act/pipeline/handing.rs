//! Handing a run back because the process that works on it ends.

use std::time::Duration;

use crate::act::pipeline::drive::{lost, with_reason};
use crate::act::pipeline::{Holding, Step};
use crate::act::runlog;
use crate::base::effect::Effect;
use crate::base::time::later;
use crate::decide::run;
use crate::remember::runs::{Error, Move, Reason, StepState};

/// Hands the run back between two steps, or between two attempts of one: it goes on after `wait`, or at once.
pub(super) async fn back_between(holding: &Holding, wait: Option<Duration>) -> Result<(), Error> {
    {
        // The next step is marked at most, and not begun.
        let mut body = holding.body();
        let next = body.next_step().map(|step| step.name.clone());
        if let Some(record) = next.and_then(|name| body.step_mut(&name)) {
            record.state = StepState::Pending;
        }
    }
    let why = "the worker that had it ends; nothing was in the middle";
    back(holding, None, Reason::new("worker.stopping", why), wait.unwrap_or_default()).await
}

/// Hands the run back while `step` was in the middle: its effect is one that may be begun again, or was only asked about.
pub(super) async fn back_in_the_middle(holding: &Holding, step: &Step) -> Result<(), Error> {
    if step.effect == Effect::Unsafe
        && let Some(record) = holding.body().step_mut(&step.name)
    {
        record.state = StepState::Pending;
    }
    let why =
        format!("the worker that had it ends; step {} was in the middle, and may begin again", step.name);
    back(holding, Some(&step.name), Reason::new("worker.stopping", why), Duration::ZERO).await
}

async fn back(holding: &Holding, step: Option<&str>, reason: Reason, wait: Duration) -> Result<(), Error> {
    {
        // It has not failed: no attempt is used up.
        let mut body = holding.body();
        body.attempt = body.attempt.saturating_sub(1);
    }
    let body = with_reason(holding, &reason);
    let to = run::transition(Holding::STATE, run::Event::HandBack)?;
    runlog::moved(&holding.id, &holding.job, step, to.as_str(), &reason.code, &reason.why);
    let back = Move {
        body: Some(&body),
        actor: &holding.actor,
        step,
        due_at: Some(later(holding.env.now().wall, wait)),
        ..Move::new(&holding.id, Holding::STATE, run::Event::HandBack, holding.expect(), reason)
    };
    holding.runs.apply(back).await.inspect_err(|error| lost(holding, error))?;
    holding.ended(to);
    Ok(())
}
