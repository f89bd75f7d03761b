//! How work on runs can fail.

use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::base::time::Timestamp;
use crate::decide::run::{Illegal, State};
use crate::remember::runs::{Run, Verb};
use crate::remember::store::{self, Record, StoredEvent};

/// A run could not be read or moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The table has no such move.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// No run has this id.
    #[error("there is no run {given}")]
    NoSuchRun {
        /// What was given.
        given: String,
    },
    /// More than one run matches.
    #[error("{given} could be any of {}: give more of the id", .matches.join(", "))]
    Ambiguous {
        /// What was given.
        given: String,
        /// Some of the runs that match.
        matches: Vec<String>,
    },
    /// Somebody else moved the run: its fence or version is no longer the expected one.
    #[error("the run was moved by somebody else{}", .winner.as_ref().map(|r| format!(": it is {} at version {}", r.state, r.version)).unwrap_or_default())]
    Lost {
        /// The record that stands now.
        winner: Option<Box<Record>>,
    },
    /// Others were faster each time.
    #[error("run {id} was changed by others {attempts} times in a row")]
    Contended {
        /// The run.
        id: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The record is not one that this release understands.
    #[error("run {id} cannot be read: {detail}")]
    Unreadable {
        /// The run.
        id: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The verb is not for a run in this state.
    #[error("run {id} is {state}; {verb} takes a run that is {}", one_of(.allowed))]
    NotFor {
        /// The run.
        id: String,
        /// Its state.
        state: State,
        /// The verb.
        verb: Verb,
        /// The states in which it can be said.
        allowed: Vec<State>,
    },
    /// The run does not take this answer.
    #[error("run {id} does not take the answer {given}{}; it takes {}", .asked.as_ref().map(|code| format!(" to {code}")).unwrap_or_default(), words(.offered))]
    NotOffered {
        /// The run.
        id: String,
        /// What it asks, as the reason's stable word.
        asked: Option<String>,
        /// The answer that was given.
        given: &'static str,
        /// What is taken: answers, and verbs such as `requeue` and `dismiss`.
        offered: Vec<String>,
    },
    /// Somebody has moved the run since it was looked at.
    #[error("{by} was first: {what} ({code}, at {at}); run {id} is {state}")]
    Forestalled {
        /// The run.
        id: String,
        /// Who.
        by: String,
        /// The stable word of what was done.
        code: String,
        /// What was done, as the history tells it.
        what: String,
        /// When.
        at: Timestamp,
        /// Where the run stands now.
        state: State,
    },
    /// The run has not ended, so it is not done again.
    #[error("run {id} is {state}{}; a replay takes a run that has ended", .held_by.as_ref().map(|owner| format!(", held by {owner}")).unwrap_or_default())]
    Live {
        /// The run.
        id: String,
        /// Its state.
        state: State,
        /// Who holds it, if somebody does.
        held_by: Option<String>,
    },
    /// The key of the run is other work's by now.
    #[error("the key {key} of run {id} is {} by now", .run.as_ref().map_or_else(|| String::from("an application's own"), |run| format!("that of run {run}")))]
    KeyTaken {
        /// The run.
        id: String,
        /// The key.
        key: String,
        /// The run that has it.
        run: Option<String>,
    },
    /// The key of the run has been used with another payload since.
    #[error("the key {key} of run {id} was used with another payload since: {stored}, the run's is {given}")]
    OtherPayload {
        /// The run.
        id: String,
        /// The key.
        key: String,
        /// The fingerprint that the ledger has.
        stored: String,
        /// The fingerprint that the run has.
        given: String,
    },
    /// Nobody knows whether the work under the key was done.
    #[error("nobody knows whether the work under {key} was done ({why}): answer run {id}, or force it")]
    InDoubt {
        /// The run.
        id: String,
        /// The key.
        key: String,
        /// Why nobody knows.
        why: String,
    },
    /// It would do an unsafe step a second time.
    #[error("step {step} of run {id} was begun and is unsafe to repeat: go on with that run, or force it")]
    UnsafeAgain {
        /// The run.
        id: String,
        /// The step.
        step: String,
    },
    /// A field is outside its bounds.
    #[error("{field} is {given}; allowed is {allowed}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Error {
    pub(super) fn not_for(run: &Run, verb: Verb) -> Self {
        Self::NotFor { id: run.id().to_owned(), state: run.state(), verb, allowed: verb.states() }
    }

    pub(super) fn not_offered(run: &Run, given: &'static str, answers: &[&str]) -> Self {
        let question = run.body.question.as_ref();
        let verbs = question.into_iter().flat_map(|question| &question.options);
        let verbs = verbs.filter(|word| matches!(word.as_str(), "requeue" | "dismiss"));
        let offered = answers.iter().map(|word| (*word).to_owned()).chain(verbs.cloned()).collect();
        let asked = question.map(|question| question.code.clone());
        Self::NotOffered { id: run.id().to_owned(), asked, given, offered }
    }

    pub(super) fn forestalled(run: &Run, first: StoredEvent) -> Self {
        Self::Forestalled {
            id: run.id().to_owned(),
            by: first.event.actor,
            code: first.event.code.into_owned(),
            what: first.event.why,
            at: first.at,
            state: run.state(),
        }
    }
}

/// The states as a sentence names them.
pub(crate) fn one_of(states: &[State]) -> String {
    words(&states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
}

fn words<T: AsRef<str>>(words: &[T]) -> String {
    match words {
        [] => String::from("none"),
        [one] => one.as_ref().to_owned(),
        [head @ .., last] => {
            let head: Vec<_> = head.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", head.join(", "), last.as_ref())
        }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Store(error) => error.fault(),
            Self::Illegal(_) => permanent("run.illegal"),
            Self::NotFor { .. } => permanent("run.illegal"),
            Self::NotOffered { .. } => permanent("review.not_offered"),
            Self::Forestalled { .. } => permanent("run.forestalled"),
            Self::Live { .. } => permanent("replay.live"),
            Self::KeyTaken { .. } => permanent("run.key_taken"),
            Self::OtherPayload { .. } => permanent("replay.other_payload"),
            Self::InDoubt { .. } => permanent("replay.in_doubt"),
            Self::UnsafeAgain { .. } => permanent("replay.unsafe_again"),
            Self::NoSuchRun { .. } => permanent("run.no_such_run"),
            Self::Ambiguous { .. } => permanent("run.ambiguous"),
            Self::Lost { .. } => permanent("run.lost"),
            Self::Contended { .. } => Fault::transient("run.contended").reached(Reached::No),
            Self::Unreadable { .. } => permanent("run.unreadable"),
            Self::Invalid { .. } => permanent("run.invalid"),
        }
    }
}
