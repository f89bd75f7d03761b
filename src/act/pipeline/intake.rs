//! The input of a run that another release may have submitted: brought to the version that this job takes.

use std::sync::Arc;
use std::time::Duration;

use crate::act::pipeline::drive::{end, hand_back};
use crate::act::pipeline::{Course, Holding};
use crate::base::time::later;
use crate::decide::run;
use crate::remember::runs::{CHAIN_MAX, Error, Question, Reason, StepRecord, shortened};

/// When a run whose input is of a newer version is looked at again.
const NEWER_AGAIN_IN: Duration = Duration::from_secs(60);

/// Brings the run's input to the contract's version. Says whether the run has been moved instead: what only a newer
/// release knows is left to that, and what cannot be read is a question for a person.
pub(super) async fn moved(course: &Course<'_>, holding: &Arc<Holding>) -> Result<bool, Error> {
    let outside = from_outside(course, holding);
    let Some(intake) = course.intake else { return Ok(false) };
    let (version, input) = {
        let body = holding.body();
        (body.schema, body.input.clone())
    };
    // What a job has submitted itself was admitted then.
    if version == intake.version() && !outside {
        return Ok(false);
    }
    if version > intake.version() {
        let known = intake.version();
        let why =
            format!("its input has version {version} of {}, this release knows up to {known}", intake.name());
        holding.body().give_attempt_back();
        let due = later(holding.env.now().wall, NEWER_AGAIN_IN);
        hand_back(holding, Reason::new("contract.newer", why), due).await?;
        return Ok(true);
    }
    match intake.admit(Some(version), input.get()) {
        Ok(admitted) => {
            let mut body = holding.body();
            body.input = admitted.input;
            body.schema = intake.version();
            Ok(false)
        }
        Err(refused) => {
            let why = shortened(format!("its input of version {version}: {refused}"), CHAIN_MAX);
            holding.body().question = Some(Question {
                code: String::from("contract.refused"),
                text: format!("{why}: what is the right one?"),
                step: None,
                undo: false,
                options: ["fixed_input", "requeue", "dismiss"].map(str::to_owned).to_vec(),
            });
            end(holding, run::Event::AskReview, Reason::new("contract.refused", why), None, None).await?;
            Ok(true)
        }
    }
}

/// Gives a run its steps that has none: somebody submitted it who does not know the job's code, such as the tool. Says
/// whether that is so.
fn from_outside(course: &Course<'_>, holding: &Holding) -> bool {
    let mut body = holding.body();
    if !body.steps.is_empty() {
        return false;
    }
    body.steps =
        course.steps.iter().map(|step| StepRecord::pending(step.name.as_str(), step.effect)).collect();
    true
}
