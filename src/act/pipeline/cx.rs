//! What a step is given: its input, what came before it, and the means to commit its progress.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::act::exchange;
use crate::act::pipeline::drive::REASON_ROOM;
use crate::act::pipeline::holding::Saving;
use crate::act::pipeline::step::to_json;
use crate::act::pipeline::{Hold, Holding, Step, StepError};
use crate::base::time::{Moment, Now};
use crate::decide::run::{self, State};
use crate::remember::blocking::block_on;
use crate::remember::ledger::Outcome;
use crate::remember::runs::{Body, Error, Json, Move, ProgressRecord, Reason};
use crate::remember::store::{Applied, BODY_MAX, Batch, Expect, Record, Write};

/// How often a step's progress is written by itself.
pub const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How often a cursor is written again when something else was written meanwhile.
const SAVES_MAX: u32 = 8;

/// The step's view of its run. Cheap to clone.
#[derive(Clone)]
pub struct Cx {
    holding: Arc<Holding>,
    step: Arc<str>,
    attempt: u32,
    deadline: Option<Moment>,
    exchanges: exchange::Log,
}

impl Cx {
    pub(in crate::act) const fn new(
        holding: Arc<Holding>,
        step: Arc<str>,
        attempt: u32,
        deadline: Option<Moment>,
        exchanges: exchange::Log,
    ) -> Self {
        Self { holding, step, attempt, deadline, exchanges }
    }

    /// Of an attempt at `step`, or at undoing it, that begins now.
    pub(super) fn of(holding: &Arc<Holding>, step: &Step, attempt: u32) -> Self {
        let deadline = step.timeout.map(|limit| holding.env.now().moment.after(limit));
        let exchanges = exchange::Log::with(step.redact.clone(), exchange::KEPT);
        Self::new(Arc::clone(holding), Arc::from(step.name.as_str()), attempt, deadline, exchanges)
    }

    pub(super) fn holding(&self) -> &Holding {
        &self.holding
    }

    /// The run's id.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.holding.id
    }

    /// The job's name.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.holding.job
    }

    /// The step's name.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The run's idempotency key, if it has one: hand it to the other side of an
    /// [`Idempotent`](crate::base::effect::Effect::Idempotent) step. After a forced replay it ends with the generation,
    /// `KEY#2`, so that the other side acts once more.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let body = self.holding.body();
        let key = body.key.as_ref()?;
        Some(if body.generation > 1 { format!("{key}#{}", body.generation) } else { key.clone() })
    }

    /// The key of one part of this step's work, such as an item of a list: [`key`](Self::key), the step and the part.
    #[must_use]
    pub fn key_of(&self, part: impl fmt::Display) -> Option<String> {
        Some(format!("{}/{}/{part}", self.key()?, self.step))
    }

    /// The fencing token: hand it to systems that can refuse an older one.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.holding.fence
    }

    /// Which attempt of the step this is within the present run attempt, from 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How often the run was tried as a whole, this time included.
    #[allow(dead_code, reason = "asked for by the tool")]
    pub(crate) fn run_attempt(&self) -> u32 {
        self.holding.body().attempt
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        self.holding.env.now()
    }

    /// What is left of the attempt's time; `None` if it has no limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.deadline?.since(self.holding.env.now().moment))
    }

    /// Whether the work should end here: the run was lost to somebody else, or an operator asked to cancel it. Work
    /// that blocks for long looks now and then; a future is dropped when the run is lost.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.holding.hold() != Hold::Ours
    }

    /// The last exchanges of this attempt: [`push`](exchange::Log::push) what was asked and answered. When the attempt
    /// fails they become part of its event, without their secrets; when it succeeds they are forgotten.
    #[must_use]
    pub const fn exchanges(&self) -> &exchange::Log {
        &self.exchanges
    }

    /// The run's input.
    ///
    /// # Errors
    /// A permanent `step.input` if it is not a `T`.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        let body = self.holding.body();
        from_json(&body.input, "step.input", || String::from("the run's input"))
    }

    /// What the step `name` gave.
    ///
    /// # Errors
    /// A permanent `step.no_output` if there is no such step or it is not done; `step.input` if it gave no `T`.
    pub fn output<T: DeserializeOwned>(&self, name: &str) -> Result<T, StepError> {
        let body = self.holding.body();
        let output = body.steps.iter().find(|step| step.name == name).and_then(|step| step.output.as_ref());
        let output = output
            .ok_or_else(|| StepError::permanent("step.no_output", format!("step {name} has no output")))?;
        from_json(output, "step.input", || format!("the output of step {name}"))
    }

    /// How far this step had come when it last saved that, in this life or an earlier one.
    ///
    /// # Errors
    /// A permanent `step.cursor` if what it saved is not a `T`.
    pub fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, StepError> {
        let body = self.holding.body();
        let cursor = body.steps.iter().find(|step| *step.name == *self.step);
        let cursor = cursor.and_then(|step| step.cursor.as_ref());
        cursor.map(|json| from_json(json, "step.cursor", || String::from("the saved cursor"))).transpose()
    }

    /// Saves how far the step is: a run that resumes goes on from there. Also renews the lease.
    ///
    /// # Errors
    /// When the run was lost, or the store cannot be written.
    pub async fn save_cursor<T: Serialize + ?Sized>(&self, cursor: &T) -> Result<(), StepError> {
        let kept = Kept { cursor: Some(to_json(cursor)?), settles: false };
        let _saving = self.holding.saving();
        let mut version = self.holding.version();
        for _ in 0..SAVES_MAX {
            let asked = self.now().moment;
            let body = self.with(&kept)?;
            match self.write(&body, version).await {
                Ok(applied) => {
                    self.adopt(asked, &kept, &applied);
                    return Ok(());
                }
                // Something else was written since, such as a renewal: what stands here by now has it in it.
                Err(Error::Lost { winner: Some(winner) }) if self.is_ours(&winner) => {
                    version = winner.version
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended { id: self.holding.id.clone(), attempts: SAVES_MAX }.into())
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As [`save_cursor`](Self::save_cursor).
    pub fn save_cursor_blocking<T: Serialize + ?Sized>(&self, cursor: &T) -> Result<(), StepError> {
        block_on(self.save_cursor(cursor))
    }

    /// Says how much of the step is done, in units of its own. It is kept with the next checkpoint or cursor, and written by
    /// itself at most once in [`REPORT_EVERY`], so that it may be said as often as one likes; `explain` and lists of runs
    /// show it.
    ///
    /// # Errors
    /// When the run was lost, or the store cannot be written.
    pub async fn report(&self, done: u64, total: Option<u64>) -> Result<(), StepError> {
        self.set_progress(done, total);
        if !self.holding.report_due(self.now().moment, REPORT_EVERY) {
            return Ok(());
        }
        // Read before the body is: a write that comes in between is then seen, and not undone by this one.
        let version = self.holding.version();
        if self.holding.is_saving() {
            return Ok(());
        }
        let (asked, kept) = (self.now().moment, Kept::default());
        let Ok(body) = self.with(&kept) else { return Ok(()) };
        match self.write(&body, version).await {
            Ok(applied) => self.adopt(asked, &kept, &applied),
            // What was written since was more than a report; the next write has it in it.
            Err(Error::Lost { winner: Some(winner) }) if self.is_ours(&winner) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    pub fn report_blocking(&self, done: u64, total: Option<u64>) -> Result<(), StepError> {
        block_on(self.report(done, total))
    }

    pub(super) fn set_progress(&self, done: u64, total: Option<u64>) {
        let at = self.now().wall;
        if let Some(step) = self.holding.body().step_mut(&self.step) {
            step.progress = Some(ProgressRecord { done, total, at });
        }
    }

    /// The step's progress as a batch, to be committed in the caller's own transaction beside its rows
    /// (`sqlite::apply_in`): either both stand or neither. Tell [`committed`](Self::committed) once it is.
    ///
    /// The batch checks the fence: where the run was lost, `apply_in` fails and the caller rolls back.
    ///
    /// # Errors
    /// A permanent `step.output` if the cursor is no JSON.
    pub fn progress<C: Serialize + ?Sized>(&self, cursor: &C) -> Result<Progress, StepError> {
        self.saving(cursor, None)
    }

    /// The same, and the work under the run's key counts as done with `result` once it is committed: a second delivery
    /// is told so, whatever happens to the steps that follow.
    ///
    /// # Errors
    /// As [`progress`](Self::progress), and when the ledger's entry cannot be read.
    pub fn completion<C, R>(&self, cursor: &C, result: &R) -> Result<Progress, StepError>
    where
        C: Serialize + ?Sized,
        R: Serialize + ?Sized,
    {
        self.saving(cursor, Some(to_json(result)?))
    }

    /// The caller's transaction with `progress` in it was committed.
    pub fn committed(&self, progress: Progress, applied: &Applied) {
        self.adopt(progress.asked, &progress.kept, applied);
    }

    /// Says in a sentence what the step did. It is stored with the step's checkpoint, where `explain` shows it, and
    /// costs no write of its own; the last one said counts.
    pub fn note(&self, text: impl Into<String>) {
        self.holding.set_note(Some(text.into()));
    }

    /// Tells the job's edge hook that a point of the step's own was reached; for tests that kill the process there.
    pub fn edge(&self, name: &str) {
        self.holding.edge(name);
    }

    pub(super) fn checkpoint(&self, reason: Reason) -> Move<'_> {
        Move::new(
            &self.holding.id,
            self.holding.state(),
            run::Event::Checkpoint,
            self.holding.expect(),
            reason,
        )
    }

    /// The batch that saves `cursor`.
    fn saving<C: Serialize + ?Sized>(&self, cursor: &C, result: Option<Json>) -> Result<Progress, StepError> {
        let kept = Kept { cursor: Some(to_json(cursor)?), settles: result.is_some() };
        let saving = self.holding.saving();
        let asked = self.now().moment;
        let body = self.with(&kept)?;
        let settling = match result {
            Some(result) => {
                let outcome = Some(Outcome::Succeeded { result });
                let before = self.holding.body().clone();
                block_on(self.holding.runs.settle_entry(
                    &before,
                    self.run_id(),
                    &self.holding.actor,
                    outcome,
                ))?
            }
            None => None,
        };
        let mut step = self.progressed(&body, self.holding.expect());
        if kept.settles {
            step.reason = Reason::new("step.progress", "the work is done, and its progress is saved with it");
        }
        let write = if kept.settles { step.write().map_err(Error::from) } else { untold(step) }?;
        let batch = Batch::of(write).and(settling);
        Ok(Progress { batch, kept, asked, _saving: saving })
    }

    /// The run's body with what is to be kept in it.
    fn with(&self, kept: &Kept) -> Result<Body, StepError> {
        let mut body = self.holding.body().clone();
        self.keep(&mut body, kept)?;
        body.fit(REASON_ROOM).map_err(|size| {
            let why = format!(
                "with how far step {} is, the run's record has {size} bytes of at most {BODY_MAX}; store it outside and save where",
                self.step
            );
            StepError::permanent("step.cursor_too_big", why)
        })?;
        Ok(body)
    }

    fn keep(&self, body: &mut Body, kept: &Kept) -> Result<(), StepError> {
        let undone = self.holding.state() == State::Compensating;
        let step = body.step_mut(&self.step).ok_or_else(|| {
            StepError::permanent("step.cursor", format!("no step {} in the run", self.step))
        })?;
        // What an attempt says that was given up on is too late once its step is settled.
        if kept.cursor.is_some() && (undone || !step.state.is_settled()) {
            step.cursor.clone_from(&kept.cursor);
        }
        // It gets somewhere: whatever killed the processes before was not this work.
        body.crash_count = 0;
        if kept.settles {
            // In what is committed too: whoever goes on with the run must not settle the entry once more.
            body.ledger_fence = None;
        }
        Ok(())
    }

    fn progressed<'a>(&'a self, body: &'a Body, expect: Expect) -> Move<'a> {
        Move {
            body: Some(body),
            actor: &self.holding.actor,
            step: Some(&self.step),
            lease: Some(self.holding.lease),
            expect,
            ..self.checkpoint(Reason::new("step.progress", "progress is saved"))
        }
    }

    async fn write(&self, body: &Body, version: u64) -> Result<Applied, Error> {
        let write = untold(self.progressed(body, Expect::Version(version)))?;
        self.holding.runs.apply_batch(Batch::of(write)).await
    }

    fn is_ours(&self, winner: &Record) -> bool {
        winner.fence == self.holding.fence && winner.state == self.holding.state().as_str()
    }

    fn adopt(&self, asked: Moment, kept: &Kept, applied: &Applied) {
        // Into what stands here by now: others may have written beside it.
        let _known = self.keep(&mut self.holding.body(), kept);
        self.holding.heard(asked, applied.first());
    }
}

/// The write without its event: a cursor is no news for a reader of the history; what it means stands in the step's
/// output.
fn untold(step: Move<'_>) -> Result<Write, Error> {
    let mut write = step.write()?;
    write.event = None;
    Ok(write)
}

/// What a save keeps in the run's body.
#[derive(Default)]
struct Kept {
    cursor: Option<Json>,
    /// The work counts as done under its key.
    settles: bool,
}

/// A step's progress, on its way into the caller's own transaction.
#[must_use = "a progress that is not committed is no progress"]
pub struct Progress {
    batch: Batch,
    kept: Kept,
    asked: Moment,
    _saving: Saving,
}

impl Progress {
    /// What is to be applied in the transaction.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx")
            .field("run_id", &self.holding.id)
            .field("step", &self.step)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

fn from_json<T: DeserializeOwned>(
    json: &Json,
    code: &'static str,
    what: impl FnOnce() -> String,
) -> Result<T, StepError> {
    serde_json::from_str(json.get()).map_err(|error| {
        StepError::permanent(code, format!("{} is not what the step takes: {error}", what()))
    })
}
