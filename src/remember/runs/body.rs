//! What a run's record says beyond its columns.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::base::effect::Effect;
use crate::base::fault::{Class, Severity};
use crate::base::time::Timestamp;
use crate::remember::runs::{Reason, Worth};
use crate::remember::store::BODY_MAX;

/// The format that this release writes.
pub const FORMAT: u32 = 1;
/// The most faults that a run keeps in its body; older ones are in its events.
pub const FAULTS_MAX: usize = 20;
/// The most bytes of a fault's chain that a run keeps.
pub const CHAIN_MAX: usize = 2000;

/// JSON text, kept digit by digit.
pub type Json = Box<RawValue>;

/// The body of a run's record: what a worker needs to go on from the record alone, and what a person asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Body {
    /// The format of this value.
    pub v: u32,
    /// The idempotency key, if the run has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The fence of the ledger entry while that is still open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_fence: Option<u64>,
    /// The normalised input.
    pub input: Json,
    /// The version of the input's schema.
    pub schema: u32,
    /// The version of the code that the run was submitted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_version: Option<String>,
    /// The configuration as it was, without its secrets; where it is a large one `{"fingerprint": …}`, and itself once in
    /// the snapshot of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Json>,
    /// Where in the input stands what must not be shown, as JSON pointers in which `*` is every member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitive: Vec<String>,
    /// The host that worked on it last.
    #[serde(default)]
    pub host: String,
    /// How often it was tried: the attempt that is under way or was last.
    pub attempt: u32,
    /// How often a process died while it worked on it.
    pub crash_count: u32,
    /// Which generation of its key it is; more than 1 after a forced replay.
    pub generation: u32,
    /// The run that it replays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<StepRecord>,
    /// What it is worth over time, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worth: Option<Worth>,
    /// The last reason's stable word.
    #[serde(default)]
    pub code: String,
    /// The last reason's sentence.
    #[serde(default)]
    pub why: String,
    /// What a person is asked, in `needs_review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// What it waits for, in `waiting_external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// The last faults, oldest first, at most [`FAULTS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultRecord>,
    /// The event in which stands what its program wrote in its last attempt, if that is kept beside the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_at: Option<u64>,
    /// What it gave, once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Why its finished steps are undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When work on it first began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Of which of its ends a person was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

impl Body {
    /// Keeps the reason of the run's last move.
    pub(crate) fn tell(&mut self, reason: &Reason) {
        self.code = reason.code.clone().into_owned();
        self.why.clone_from(&reason.why);
    }

    /// The attempt does not count: what ended it was no failure.
    pub(crate) const fn give_attempt_back(&mut self) {
        self.attempt = self.attempt.saturating_sub(1);
    }

    /// A run of `input` that has not begun.
    #[must_use]
    pub const fn new(input: Json, steps: Vec<StepRecord>) -> Self {
        Self {
            v: FORMAT,
            key: None,
            ledger_fence: None,
            input,
            schema: 1,
            code_version: None,
            config: None,
            sensitive: Vec::new(),
            host: String::new(),
            attempt: 0,
            crash_count: 0,
            generation: 1,
            replay_of: None,
            steps,
            worth: None,
            code: String::new(),
            why: String::new(),
            question: None,
            wait: None,
            faults: Vec::new(),
            output_at: None,
            output: None,
            failure: None,
            started_at: None,
            finished_at: None,
            told: None,
        }
    }

    /// The first step that is not settled.
    #[must_use]
    pub fn next_step(&self) -> Option<&StepRecord> {
        self.steps.iter().find(|step| !step.state.is_settled())
    }

    /// The step called `name`.
    pub fn step_mut(&mut self, name: &str) -> Option<&mut StepRecord> {
        self.steps.iter_mut().find(|step| step.name == name)
    }

    /// Lets go of the oldest faults until the body, and `spare` bytes more, have room in a record.
    ///
    /// # Errors
    /// The body's size, when it is too big without any fault.
    pub(crate) fn fit(&mut self, spare: usize) -> Result<(), usize> {
        // Nearly every body is far from the limit, and need not be written to know that.
        if self.size_at_most().is_some_and(|size| size.saturating_add(spare) <= BODY_MAX) {
            return Ok(());
        }
        loop {
            let size = serde_json::to_string(self).map_or(0, |text| text.len());
            if size.saturating_add(spare) <= BODY_MAX {
                return Ok(());
            }
            if self.faults.is_empty() {
                return Err(size);
            }
            self.faults.remove(0);
        }
    }

    /// More than its text can have, where that is easily said: it holds no fault, question, wait or failure.
    fn size_at_most(&self) -> Option<usize> {
        /// What names, numbers and instants have, of a body and of a step.
        const REST: usize = 1024;
        /// A character that is written as an escape has six times its bytes at most.
        const ESCAPED: usize = 6;
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.get().len());
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let Self { question: None, wait: None, failure: None, faults, .. } = self else { return None };
        if !faults.is_empty() {
            return None;
        }
        let texts = [&self.key, &self.code_version, &self.replay_of].map(text).iter().sum::<usize>();
        let texts = texts + self.host.len() + self.code.len() + self.why.len();
        let texts = texts + self.sensitive.iter().map(|path| path.len() + 3).sum::<usize>();
        let step = |step: &StepRecord| {
            REST + json(&step.output) + json(&step.cursor) + step.name.len().saturating_mul(ESCAPED)
        };
        let jsons = self.input.get().len() + json(&self.config) + json(&self.output);
        Some(REST + texts.saturating_mul(ESCAPED) + jsons + self.steps.iter().map(step).sum::<usize>())
    }

    /// The same for a body that is written whether it fits or not: what still does not is refused by the store, which
    /// says so.
    pub(crate) fn fit_or_keep(&mut self) {
        let _fits = self.fit(0);
    }

    /// Keeps `fault`, letting go of the oldest beyond [`FAULTS_MAX`].
    pub fn keep_fault(&mut self, mut fault: FaultRecord) {
        fault.chain = shortened(fault.chain, CHAIN_MAX);
        if self.faults.len() >= FAULTS_MAX {
            self.faults.remove(0);
        }
        self.faults.push(fault);
    }
}

/// `text`, cut to at most `bytes` bytes and an ellipsis.
pub(crate) fn shortened(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Its effect may have begun.
    Started,
    /// Done; its output is stored.
    Done,
    /// Left out.
    Skipped,
}

impl StepState {
    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// A step, as its run keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub name: String,
    /// Its effect class when the run was submitted.
    pub effect: Effect,
    /// How far it is.
    pub state: StepState,
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// How far it is inside, where it saves that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Json>,
    /// How much of it is done, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressRecord>,
    /// How far its undoing is.
    #[serde(default, skip_serializing_if = "UndoState::is_none")]
    pub undo: UndoState,
}

/// How far the undoing of a finished step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoState {
    /// Not begun, or nothing to undo.
    #[default]
    None,
    /// Its effect may have begun.
    Started,
    /// Undone.
    Done,
    /// A person said to leave it as it is.
    Skipped,
}

impl UndoState {
    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }

    const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// How much of a step is done, in units of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRecord {
    /// So many are done.
    pub done: u64,
    /// Of so many, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// When it was said.
    pub at: Timestamp,
}

impl StepRecord {
    /// A step that has not begun.
    #[must_use]
    pub fn pending(name: impl Into<String>, effect: Effect) -> Self {
        Self {
            name: name.into(),
            effect,
            state: StepState::Pending,
            output: None,
            cursor: None,
            progress: None,
            undo: UndoState::None,
        }
    }
}

/// A fault, as a run keeps it: with the whole chain of what the error said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// The run's attempt in which it happened.
    pub attempt: u32,
    /// The step's own attempt.
    pub step_attempt: u32,
    /// The step.
    pub step: String,
    /// Its class.
    pub class: Class,
    /// Its severity.
    pub severity: Severity,
    /// Its stable word.
    pub code: String,
    /// What the error and its sources said.
    pub chain: String,
    /// When.
    pub at: Timestamp,
}

/// The failure for good whose run is being undone: what its key will tell a second delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its class.
    pub class: Class,
    /// Its stable word.
    pub code: String,
    /// What the error and its sources said.
    pub why: String,
    /// The run's attempt in which it happened.
    pub attempt: u32,
}

impl Failure {
    /// A failure that trying again would not help.
    #[must_use]
    pub fn permanent(code: impl Into<String>, why: impl Into<String>) -> Self {
        Self { class: Class::Permanent, code: code.into(), why: why.into(), attempt: 0 }
    }
}

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The reason's stable word, such as `takeover.outcome_unknown`.
    pub code: String,
    /// The question.
    pub text: String,
    /// The step that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether it is about the step's undoing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
    /// The answers that are taken.
    pub options: Vec<String>,
}

/// What a run waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wait {
    /// The token under which it is resolved.
    pub token: String,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The step whose output the answer is; none where the run itself waits, such as for a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What happens when nothing has come by then.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// Whether the deadline has passed without an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

impl Wait {
    /// Waits for `token`, for as long as it takes.
    #[must_use]
    pub fn on(token: impl Into<String>) -> Self {
        Self { token: token.into(), deadline: None, step: None, otherwise: Otherwise::Fail, over: false }
    }

    /// Waits until `at` at most. What happens then is [`Otherwise::Fail`] unless [`otherwise`](Self::otherwise) says more.
    #[must_use]
    pub const fn until(mut self, at: Timestamp) -> Self {
        self.deadline = Some(at);
        self
    }

    /// What happens when nothing has come until then.
    #[must_use]
    pub fn otherwise(mut self, otherwise: Otherwise) -> Self {
        self.otherwise = otherwise;
        self
    }
}

/// What happens when what a step waits for does not come in time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Otherwise {
    /// The step has failed for good: the run fails, or what it did is undone.
    #[default]
    Fail,
    /// A person is asked.
    Review,
    /// The step runs again, and may ask again.
    Again,
    /// This counts as the answer.
    Take(Json),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_body_has_at_most_is_never_less_than_what_it_has() {
        let json = |text: &str| serde_json::value::to_raw_value(text).unwrap();
        let nasty = "\u{1}\"\\".repeat(400);
        let mut body = Body::new(json(&nasty), Vec::new());
        for number in 0..64 {
            body.steps.push(StepRecord {
                output: Some(json(&nasty)),
                cursor: Some(json("at")),
                progress: Some(ProgressRecord {
                    done: u64::MAX,
                    total: Some(u64::MAX),
                    at: Timestamp::MAX_UTC,
                }),
                undo: UndoState::Skipped,
                ..StepRecord::pending(format!("{number}{}", "\u{7f}\u{1}".repeat(40)), Effect::Verifiable)
            });
            let all = [&mut body.key, &mut body.code_version, &mut body.replay_of];
            all.into_iter().for_each(|text| *text = Some(nasty.clone()));
            (body.host, body.code, body.why) = (nasty.clone(), nasty.clone(), nasty.clone());
            (body.ledger_fence, body.config, body.output) =
                (Some(u64::MAX), Some(json("c")), Some(json("o")));
            (body.started_at, body.finished_at) = (Some(Timestamp::MAX_UTC), Some(Timestamp::MAX_UTC));
            (body.attempt, body.crash_count, body.generation, body.schema) =
                (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
            let written = serde_json::to_string(&body).unwrap().len();
            assert!(body.size_at_most().unwrap() >= written, "{number} steps: {written}");
        }
        body.wait = Some(Wait::on("token"));
        assert_eq!(body.size_at_most(), None, "it has to be written to be known");
    }
}
