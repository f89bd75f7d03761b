//! The last known good: what a step gave in the last run of its job that succeeded.

use serde::de::DeserializeOwned;

use crate::act::pipeline::attempt::Attempted;
use crate::act::pipeline::{Cx, Holding, Step, StepError};
use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::remember::blocking::block_on;
use crate::remember::runs::{Error, Filter, Json, Reason, StepState};

/// What a step gave in the last run that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// What it gave.
    pub value: T,
    /// The run that it gave it in.
    pub run_id: String,
    /// When that run had ended.
    pub at: Timestamp,
}

impl Cx {
    /// What the step `name` gave in the newest run of this job that succeeded and in which it was done; `None` if there is
    /// none that is still kept.
    ///
    /// # Errors
    /// A permanent `step.input` if what it gave is no `T`; when the store cannot be read.
    pub async fn last_known_good<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<Known<T>>, StepError> {
        let Some(known) = of_job(self.holding(), name).await? else { return Ok(None) };
        let value = serde_json::from_str(known.value.get()).map_err(|error| {
            let why = format!("the last known good output of step {name} is not what was expected: {error}");
            StepError::permanent("step.input", why)
        })?;
        Ok(Some(Known { value, run_id: known.run_id, at: known.at }))
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As [`last_known_good`](Self::last_known_good).
    pub fn last_known_good_blocking<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<Known<T>>, StepError> {
        block_on(self.last_known_good(name))
    }
}

/// How many of the job's last successes are looked through for one in which the step was done.
const LOOK_AT: u32 = 10;

async fn of_job(holding: &Holding, name: &str) -> Result<Option<Known<Json>>, Error> {
    let filter =
        Filter { states: vec![State::Succeeded], job: Some(holding.job.clone()), ..Filter::default() };
    let (runs, _) = holding.runs.list(&filter, LOOK_AT, None).await?;
    Ok(runs.into_iter().find_map(|run| {
        let step = run.body.steps.iter().find(|step| step.name == name && step.state == StepState::Done)?;
        let at = run.body.finished_at.unwrap_or(run.record.updated_at);
        Some(Known { value: step.output.clone()?, run_id: run.id().to_owned(), at })
    }))
}

/// What the step is given instead of its failure, where it says that the past will do and there is one.
pub(super) async fn instead(
    holding: &Holding,
    step: &Step,
    error: &StepError,
) -> Result<Option<Attempted>, Error> {
    if !step.known_good {
        return Ok(None);
    }
    Ok(of_job(holding, &step.name).await?.map(|known| {
        let why = format!("{error}; taken from run {}, which ended at {}", known.run_id, known.at);
        Attempted::Done { output: known.value, reason: Reason::new("step.last_known_good", why) }
    }))
}
