//! How a verb can fail.

use crate::act::notify;
use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::decide::run::State;
use crate::remember::runs::{self, Verb, one_of};

/// A verb could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A run could not be read or moved, or what was said of it is not possible for another reason than its state.
    #[error(transparent)]
    Runs(runs::Error),
    /// The verb is not for a run in this state.
    #[error("run {id} is {state}; {verb} takes a run that is {}", one_of(.allowed))]
    NotPossible {
        /// The run.
        id: String,
        /// Its state.
        state: State,
        /// What was said of it.
        verb: Verb,
        /// The states in which that can be said.
        allowed: Vec<State>,
    },
    /// The work was done before, so it was not done again.
    #[error("the work of run {id} was done before under {key}{}; nothing was done", .by.as_ref().map(|run| format!(", by run {run}")).unwrap_or_default())]
    DoneBefore {
        /// The run that was to be replayed.
        id: String,
        /// The key.
        key: String,
        /// The run that did it, if one did.
        by: Option<String>,
    },
    /// An alert could not be read or written.
    #[error(transparent)]
    Alerts(notify::Error),
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
    pub(super) fn not_possible(id: &str, state: State, verb: Verb) -> Self {
        Self::NotPossible { id: id.to_owned(), state, verb, allowed: verb.states() }
    }

    pub(super) fn invalid(field: &'static str, given: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::Invalid { field, given: given.into(), allowed: allowed.into() }
    }
}

impl From<runs::Error> for Error {
    fn from(error: runs::Error) -> Self {
        match error {
            runs::Error::NotFor { id, state, verb, allowed } => {
                Self::NotPossible { id, state, verb, allowed }
            }
            error => Self::Runs(error),
        }
    }
}

impl From<notify::Error> for Error {
    fn from(error: notify::Error) -> Self {
        match error {
            notify::Error::Store(error) => Self::Runs(error.into()),
            notify::Error::Run(error) => error.into(),
            error => Self::Alerts(error),
        }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Runs(error) => error.fault(),
            Self::Alerts(error) => permanent(match error {
                notify::Error::NoSuchAlert { .. } => "alert.missing",
                notify::Error::Ambiguous { .. } => "alert.ambiguous",
                notify::Error::Over { .. } => "alert.over",
                _ => "alert.failed",
            }),
            Self::NotPossible { .. } => permanent("run.illegal"),
            Self::DoneBefore { .. } => permanent("replay.done_before"),
            Self::Invalid { .. } => permanent("operator.invalid"),
        }
    }
}
