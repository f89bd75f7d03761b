//! What a person says about a run that cannot go on by itself: the answer to its question, that it stays as it is, or that
//! what it did is to be undone.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::base::canonical::Fingerprint;
use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::fault::Class;
use crate::decide::claim::Status;
use crate::decide::run::{self, State};
use crate::remember::ledger::{Outcome, entry};
use crate::remember::runs::{
    ATTEMPTS_MAX, Body, Error, Failure, Json, Move, Reason, Run, Runs, StepState, UndoState, Verb, Word,
    submit,
};
use crate::remember::store::{Batch, Change, Event, Expect, PAGE_MAX, StoredEvent, Write};

/// What is kept free in a run's record beside what an operator gives.
const ANSWER_ROOM: usize = 4096;
/// The most bytes of the input before that the event of a fixed input keeps.
const BEFORE_MAX: usize = 48 * 1024;

/// A person's answer to what a run asks. It is about the step that the question names, else about the first that is not
/// settled.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It was done, and this is what it gave: the run goes on behind the step.
    Applied(Option<Json>),
    /// It was not done: the step runs again.
    NotApplied,
    /// The run goes on without the step.
    Skip,
    /// The run goes on with this input, in the form of the schema that the run has. It is other work under the same key:
    /// the fingerprint of the run and of its ledger entry become the input's, and the generation is counted up. A second
    /// delivery of the earlier input is a conflict from then on. Steps that are done stay done.
    FixedInput(Json),
}

impl Answer {
    /// The word by which a question offers it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::NotApplied => "not_applied",
            Self::Skip => "skip",
            Self::FixedInput(_) => "fixed_input",
        }
    }
}

impl Explain for Answer {
    fn code(&self) -> &'static str {
        match self {
            Self::Applied(_) => "review.applied",
            Self::NotApplied => "review.not_applied",
            Self::Skip => "review.skipped",
            Self::FixedInput(_) => "review.fixed_input",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied(_) => "it was done",
            Self::NotApplied => "it was not done",
            Self::Skip => "it is left out",
            Self::FixedInput(_) => "the input is replaced",
        })
    }
}

/// The answers that the run takes now: those that its question offers; of one that failed and asks nothing all, but for
/// leaving out an unsafe step that may have been done. Empty if it takes none.
#[must_use]
pub fn answers(run: &Run) -> Vec<&'static str> {
    const ALL: [&str; 4] = ["applied", "not_applied", "skip", "fixed_input"];
    if !Verb::Review.takes(run.state()) {
        return Vec::new();
    }
    let question = run.body.question.as_ref();
    let undo = question.is_some_and(|question| question.undo);
    let step = about(&run.body).and_then(|name| run.body.steps.iter().find(|step| step.name == name));
    let in_doubt = step.is_some_and(|step| step.effect == Effect::Unsafe && step.state == StepState::Started);
    let possible = |word: &&str| match (*word, question) {
        ("fixed_input", _) if undo => false,
        ("applied" | "not_applied" | "skip", _) if step.is_none() => false,
        (word, Some(question)) => question.options.iter().any(|option| option == word),
        ("skip" | "fixed_input", None) => !in_doubt,
        (_, None) => true,
    };
    ALL.into_iter().filter(possible).collect()
}

/// The step that an answer is about.
fn about(body: &Body) -> Option<String> {
    let asked = body.question.as_ref().and_then(|question| question.step.clone());
    asked.or_else(|| body.next_step().map(|step| step.name.clone()))
}

/// What the event of an answer says beyond its reason.
#[derive(Serialize)]
struct Data<'a> {
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    undo: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_before: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint_before: Option<&'a str>,
}

impl Runs {
    /// Answers what the run asks, as it was when `seen` was read: it is queued and goes on, or its undoing does where
    /// the question was about that.
    ///
    /// # Errors
    /// [`Error::Forestalled`] if somebody has moved it since, saying who; [`Error::NotFor`] if it needs no answer;
    /// [`Error::NotOffered`] for an answer that its question does not take, saying which it takes; [`Error::KeyTaken`] if
    /// its key is other work's by now; [`Error::Invalid`] for an output or input that has no room in the record, and for
    /// a fixed input that is the same; when the store cannot be read or written.
    pub async fn review(&self, seen: &Run, answer: &Answer, word: Word<'_>) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let run = self.unmoved(seen).await?;
            if !Verb::Review.takes(run.state()) {
                return Err(self.answered_before(&run).await?);
            }
            let batch = self.answering(run, answer, word).await?;
            if let Some(run) = self.moved(seen.id(), batch).await? {
                return Ok(run);
            }
        }
        Err(Error::Contended { id: seen.id().to_owned(), attempts: ATTEMPTS_MAX })
    }

    /// Says that a run in review stays as it is: it has failed for good, and its key is settled as failed, or as in
    /// doubt where an unsafe step was begun. It keeps its question, so that it can still be answered.
    ///
    /// # Errors
    /// [`Error::Forestalled`] if somebody has moved it since `seen` was read; [`Error::NotFor`] if it is not in review;
    /// when the store cannot be read or written.
    pub async fn dismiss(&self, seen: &Run, word: Word<'_>) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut run = self.unmoved(seen).await?;
            if !Verb::Dismiss.takes(run.state()) {
                return Err(Error::not_for(&run, Verb::Dismiss));
            }
            let reason = Reason::new("review.dismissed", word.said("left it as it is"));
            run.body.finished_at = Some(word.at);
            run.body.ledger_fence = None;
            run.body.tell(&reason);
            run.body.fit_or_keep();
            let why = reason.why.clone();
            let failed = || Outcome::Failed { class: Class::Permanent, code: reason.code.to_string(), why };
            let outcome = submit::not_to_be_repeated(&run.body).unwrap_or_else(failed);
            let settling = self.settle_entry(&run.body, run.id(), word.by, Some(outcome)).await?;
            let batch = Batch::of(moving(&run, run::Event::Dismiss, reason, word)?).and(settling);
            if let Some(run) = self.moved(seen.id(), batch).await? {
                return Ok(run);
            }
        }
        Err(Error::Contended { id: seen.id().to_owned(), attempts: ATTEMPTS_MAX })
    }

    /// Has the finished steps of a failed run, or of one in review, undone in reverse, from now on.
    ///
    /// # Errors
    /// As [`dismiss`](Self::dismiss), and [`Error::KeyTaken`] if its key is other work's by now.
    pub async fn compensate(&self, seen: &Run, word: Word<'_>) -> Result<Run, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut run = self.unmoved(seen).await?;
            if !Verb::Compensate.takes(run.state()) {
                return Err(Error::not_for(&run, Verb::Compensate));
            }
            let reason = Reason::new("run.compensating", word.said("has what it did undone"));
            if run.body.failure.is_none() {
                // What the key will tell a second delivery once it is undone.
                let failed = run.state() == State::FailedPermanent;
                let (code, why) = if failed {
                    (run.body.code.as_str(), &run.body.why)
                } else {
                    (&*reason.code, &reason.why)
                };
                run.body.failure =
                    Some(Failure { attempt: run.body.attempt, ..Failure::permanent(code, why.as_str()) });
            }
            revive(&mut run.body, &reason);
            run.body.fit_or_keep();
            let reopening = self.reopen_entry(&run, word.by).await?;
            let batch = Batch::of(moving(&run, run::Event::Compensate, reason, word)?).and(reopening);
            if let Some(run) = self.moved(seen.id(), batch).await? {
                return Ok(run);
            }
        }
        Err(Error::Contended { id: seen.id().to_owned(), attempts: ATTEMPTS_MAX })
    }

    async fn answering(&self, mut run: Run, answer: &Answer, word: Word<'_>) -> Result<Batch, Error> {
        let offered = answers(&run);
        if !offered.contains(&answer.as_str()) {
            return Err(Error::not_offered(&run, answer.as_str(), &offered));
        }
        let asked = run.body.question.take();
        let undo = asked.as_ref().is_some_and(|question| question.undo);
        let step = match answer {
            Answer::FixedInput(_) => None,
            _ => asked.as_ref().and_then(|question| question.step.clone()).or_else(|| about(&run.body)),
        };
        let (input, fingerprint) = (run.body.input.clone(), run.record.fingerprint.clone());
        let mut data = Data {
            answer: answer.as_str(),
            question: asked.as_ref().map(|question| question.code.as_str()),
            undo,
            input_before: None,
            fingerprint_before: None,
        };
        let mut fixed = Change::Keep;
        let ledger = match answer {
            Answer::FixedInput(given) => {
                data.input_before = Some(&*input).filter(|input| input.get().len() <= BEFORE_MAX);
                data.fingerprint_before = fingerprint.as_deref();
                let print = fingerprint_of(given, &run)?;
                fixed = Change::to(print.to_string());
                let write = self.refingerprint(&mut run, &print, word.by).await?;
                run.body.input.clone_from(given);
                write
            }
            _ => self.reopen_entry(&run, word.by).await?,
        };
        settle(&mut run.body, step.as_deref(), undo, answer);
        if !undo {
            run.body.failure = None;
        }
        let of_what = match (&step, undo) {
            (None, _) => String::new(),
            (Some(step), false) => format!(" of step {step}"),
            (Some(step), true) => format!(" of the undoing of step {step}"),
        };
        let reason = Reason::new(answer.code(), word.said(&format!("says{of_what} that {answer}")));
        revive(&mut run.body, &reason);
        room(&mut run.body, answer)?;
        let event = if undo { run::Event::Compensate } else { run::Event::Answer };
        let mut write = moving(&run, event, reason, word)?;
        write.put.fingerprint = fixed;
        if let Some(event) = &mut write.event {
            event.step = step;
            event.data = serde_json::to_string(&data).ok();
        }
        Ok(Batch::of(write).and(ledger))
    }

    /// The write that gives the run's ledger entry the fingerprint of another input, in the next generation.
    async fn refingerprint(
        &self,
        run: &mut Run,
        print: &Fingerprint,
        by: &str,
    ) -> Result<Option<Write>, Error> {
        let entry = self.own_entry(run).await?;
        let before = entry.as_ref().map_or(run.body.generation, |entry| entry.body.generation);
        run.body.generation = before.max(run.body.generation).saturating_add(1);
        let (Some(key), id) = (&run.body.key, run.id()) else { return Ok(None) };
        let Some(entry) = entry else { return submit::opening_again(run, print, by).map(Some) };
        if entry.status == Status::Succeeded {
            return Err(Error::Invalid {
                field: "input",
                given: format!("another one for run {id}, whose work counts as done"),
                allowed: String::from(
                    "only other answers: the ledger keeps what was done with the input before",
                ),
            });
        }
        let body = entry::Body::open(Some(id.to_owned()), run.body.generation);
        let why = format!("run {id} goes on with another input, as generation {}", run.body.generation);
        let to = Status::Claimed;
        let event = Event::new(Some(entry.status.as_str()), to.as_str(), by, "claim.fixed_input", why);
        let expect = Expect::Version(entry.record.version);
        let mut write = entry::settling(key, expect, &body, to, None, event);
        write.put.fingerprint = Change::to(print.to_string());
        Ok(Some(write))
    }

    /// Writes the batch; `None` if somebody was faster.
    async fn moved(&self, id: &str, batch: Batch) -> Result<Option<Run>, Error> {
        match self.apply_batch(batch).await {
            Ok(_) => self.must_get(id).await.map(Some),
            Err(Error::Lost { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who has answered what the run asked, if somebody has.
    async fn answered_before(&self, run: &Run) -> Result<Error, Error> {
        let (mut after, mut answered): (u64, Option<StoredEvent>) = (0, None);
        loop {
            let events = self.history(run.id(), after, PAGE_MAX).await?;
            let Some(last) = events.last().map(|event| event.seq) else { break };
            after = last;
            let found = events.into_iter().rev().find(|stored| stored.event.code.starts_with("review."));
            answered = found.or(answered);
        }
        Ok(match answered {
            Some(answer) => Error::forestalled(run, answer),
            None => Error::not_for(run, Verb::Review),
        })
    }
}

/// What the answer makes of the step.
fn settle(body: &mut Body, step: Option<&str>, undo: bool, answer: &Answer) {
    let Some(record) = step.and_then(|step| body.step_mut(step)) else { return };
    if undo {
        record.undo = match answer {
            Answer::Applied(_) => UndoState::Done,
            Answer::Skip => UndoState::Skipped,
            Answer::NotApplied | Answer::FixedInput(_) => UndoState::None,
        };
        return;
    }
    match answer {
        Answer::Applied(output) => {
            record.state = StepState::Done;
            record.output.clone_from(output);
            record.cursor = None;
        }
        Answer::Skip => {
            record.state = StepState::Skipped;
            record.output = None;
            record.cursor = None;
        }
        Answer::NotApplied => record.state = StepState::Pending,
        Answer::FixedInput(_) => {}
    }
}

/// The body of a run that a person sends on.
pub(super) fn revive(body: &mut Body, reason: &Reason) {
    body.question = None;
    body.wait = None;
    body.finished_at = None;
    body.crash_count = 0;
    // The entry may be another by now; whoever settles it looks.
    body.ledger_fence = None;
    body.tell(reason);
}

fn fingerprint_of(given: &Json, run: &Run) -> Result<Fingerprint, Error> {
    let invalid =
        |given: String, allowed: &str| Error::Invalid { field: "input", given, allowed: allowed.to_owned() };
    let print = Fingerprint::of_text(given.get())
        .map_err(|error| invalid(error.to_string(), "JSON that has a canonical form"))?;
    if Fingerprint::of_text(run.body.input.get()).is_ok_and(|before| before == print) {
        return Err(invalid(
            format!("the one that run {} has already", run.id()),
            "another one; requeue runs it again with the same",
        ));
    }
    Ok(print)
}

fn room(body: &mut Body, answer: &Answer) -> Result<(), Error> {
    let (field, given) = match answer {
        Answer::Applied(Some(_)) => ("output", "one"),
        Answer::FixedInput(_) => ("input", "one"),
        Answer::Applied(None) | Answer::NotApplied | Answer::Skip => {
            body.fit_or_keep();
            return Ok(());
        }
    };
    body.fit(ANSWER_ROOM).map_err(|size| Error::Invalid {
        field,
        given: format!("{given} with which the run's record has {size} bytes"),
        allowed: String::from("one that leaves it below 60 KiB; store it outside and give where"),
    })
}

/// A move by version, due at the word's time where somebody is to take it up.
pub(super) fn moving(run: &Run, event: run::Event, reason: Reason, word: Word<'_>) -> Result<Write, Error> {
    let to = run::transition(run.state(), event)?;
    let step = Move {
        body: Some(&run.body),
        due_at: (!to.is_terminal()).then_some(word.at),
        actor: word.by,
        ..Move::new(run.id(), run.state(), event, Expect::Version(run.record.version), reason)
    };
    Ok(step.write()?)
}
