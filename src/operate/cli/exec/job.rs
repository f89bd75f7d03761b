//! The job that a command is: one step, and the policies that were asked for.

use std::sync::Arc;
use std::time::Duration;

use crate::act::job::Job;
use crate::act::monitor::Pulse;
use crate::act::pipeline::Step;
use crate::act::readiness::Gate;
use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::handover::HandedOver;
use crate::base::time::Timestamp;
use crate::decide::gate;
use crate::decide::retry;
use crate::decide::window::Window;
use crate::operate::cli::exec::form::{Class, Form, Stored};
use crate::operate::cli::exec::plan::key_of;
use crate::operate::cli::exec::stage::Stage;

/// The name of the one step.
const STEP: &str = "run";
/// How long a gate is given for its first look: how busy the processors are takes two.
const GATE_WAIT: Duration = Duration::from_secs(1);

/// The job called `name` of a form; `deadline` is when a run that is there already expires.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn of(
    name: &str,
    form: &Form,
    stage: &Arc<Stage>,
    pulse: Option<Pulse>,
    deadline: Option<Timestamp>,
) -> Result<Job, String> {
    let effect = match form.effect {
        Class::Unsafe => Effect::Unsafe,
        Class::Pure => Effect::Pure,
        Class::Idempotent => Effect::Idempotent,
        Class::Verify => Effect::Verifiable,
    };
    let around: Arc<Stage> = Arc::clone(stage);
    let mut step = Step::command_around(STEP, effect, around);
    if form.verify.is_some() {
        let asks = Arc::clone(stage);
        step = step.guard_blocking(move |cx| asks.verified(cx));
    }
    let mut job = Job::new(name)
        .step(step)
        .retry(policy(form.attempts, deadline))
        .payload(|stored: &Stored| stored.exec.digest.to_string())
        .attempts_max(1)
        .backlog_max(0);
    if form.key.is_some() {
        let of = name.to_owned();
        job = job.key(move |stored: &Stored| key_of(&of, stored.exec.key.as_deref().unwrap_or_default()));
    }
    if let Some(limit) = form.deadline_ms {
        job = job.within(Duration::from_millis(limit));
    }
    if let Some(window) = &form.during {
        let window: Window = window.parse().map_err(|error| format!("--during: {error}"))?;
        job = job.during(window);
    }
    if let Some(policy) = &form.gate {
        let policy: gate::Policy = policy.parse().map_err(|error| format!("--gate: {error}"))?;
        let gate = Gate::new(policy);
        job = job.ready_when(move |_| {
            let decision = gate.wait_blocking(GATE_WAIT);
            match decision.closed() {
                None => Ok(()),
                Some(closed) => Err(HandedOver::new(decision.code(), decision.to_string(), closed.retry_at)),
            }
        });
    }
    if let Some(pulse) = pulse {
        job = job.pulse(pulse);
    }
    job.build().map_err(|error| crate::base::fault::chain(&error))
}

/// So many attempts whatever the failure is, as long as it may pass.
fn policy(attempts: u32, deadline: Option<Timestamp>) -> retry::Policy {
    let policy = if attempts <= 1 {
        retry::Policy::once()
    } else {
        retry::Policy::cron()
            .transient(|strategy| strategy.attempts_max(attempts))
            .rate_limited(|strategy| strategy.attempts_max(attempts))
            .unknown(|strategy| strategy.attempts_max(attempts))
            .elapsed_max(None)
    };
    match deadline {
        Some(at) => policy.deadline(at),
        None => policy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_attempts_is_a_policy() {
        for attempts in [1, 2, 5, 1000] {
            policy(attempts, None).check().unwrap();
        }
    }
}
