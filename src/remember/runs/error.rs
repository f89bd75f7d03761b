//! How work on runs can fail.

use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::decide::run::Illegal;
use crate::remember::store::{self, Record};

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

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Store(error) => error.fault(),
            Self::Illegal(_) => permanent("run.illegal"),
            Self::NoSuchRun { .. } => permanent("run.no_such_run"),
            Self::Ambiguous { .. } => permanent("run.ambiguous"),
            Self::Lost { .. } => permanent("run.lost"),
            Self::Contended { .. } => Fault::transient("run.contended").reached(Reached::No),
            Self::Unreadable { .. } => permanent("run.unreadable"),
            Self::Invalid { .. } => permanent("run.invalid"),
        }
    }
}
