//! What a job is made of, for whoever looks at it without running it.

use std::time::Duration;

use crate::act::job::Job;
use crate::base::effect::Effect;
use crate::decide::retry;

/// What a job is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outline {
    /// Its name.
    pub name: String,
    /// Its steps, in order.
    pub steps: Vec<StepOutline>,
    /// Whether an idempotency key is made from its input.
    pub keyed: bool,
    /// Its contract, with the version, such as `order/2`.
    pub contract: Option<String>,
    /// Where in its input stands what must not be shown.
    pub sensitive: Vec<String>,
    /// How its steps are retried, unless they say otherwise.
    pub retry: retry::Policy,
    /// How often a run is tried as a whole.
    pub attempts_max: u32,
    /// How long a run's lease is.
    pub lease: Duration,
    /// The version of the code.
    pub version: Option<String>,
    /// Whether its configuration is kept with each run.
    pub config: bool,
    /// Whether it notes how its runs end.
    pub statistics: bool,
    /// Whether a monitor misses it.
    pub heartbeat: bool,
}

/// What a step is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StepOutline {
    /// Its name.
    pub name: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Whether it is asked first whether it is done already.
    pub guarded: bool,
    /// Whether it can be undone.
    pub undo: bool,
    /// How it is retried, if it says so itself.
    pub retry: Option<retry::Policy>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
}

impl Job {
    /// What it is made of.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let steps = self.steps.iter().map(|step| StepOutline {
            name: step.name.clone(),
            effect: step.effect,
            guarded: step.guard.is_some(),
            undo: step.undo.is_some(),
            retry: step.retry,
            timeout: step.timeout,
        });
        let intake = self.intake.as_ref();
        Outline {
            name: self.name.clone(),
            steps: steps.collect(),
            keyed: self.key.is_some(),
            contract: intake.map(|intake| format!("{}/{}", intake.name(), intake.version())),
            sensitive: intake.map_or_else(Vec::new, |intake| intake.sensitive().to_vec()),
            retry: self.retry,
            attempts_max: self.attempts_max,
            lease: self.lease,
            version: self.version.clone(),
            config: self.config.is_some(),
            statistics: self.statistics.is_some(),
            heartbeat: self.pulse.is_some(),
        }
    }
}
