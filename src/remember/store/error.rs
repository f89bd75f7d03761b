//! How a backend can fail.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use crate::base::fault::{Class, Classify, Fault, Reached, Severity};
use crate::remember::store::Record;

/// A backend could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is outside its bounds.
    #[error("{field} is {given}; allowed is {allowed}")]
    Invalid {
        /// The field.
        field: String,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// There is no store at this place.
    #[error("no store at {}", .path.display())]
    Missing {
        /// The place.
        path: PathBuf,
    },
    /// There is something at this place, and it is not a store of ours.
    #[error("{} is not an unattended store: {found}", .path.display())]
    NotAStore {
        /// The place.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The store was written by a newer release in a format that this one cannot read.
    #[error("{} has format {found}, this release reads up to {supported}; use the newer release", .path.display())]
    TooNew {
        /// The place.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The newest format that this release reads.
        supported: u32,
    },
    /// The engine refused a setting that durability or concurrency hangs on.
    #[error("setting {name} is {found}, needed is {needed}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What the engine answered.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// The stored data is damaged.
    #[error("the store is damaged: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// The disk is full. Writes that free nothing fail until there is room.
    #[error("the disk is full: {detail}")]
    Full {
        /// What the engine said.
        detail: String,
    },
    /// The store cannot be written.
    #[error("the store is read-only: {detail}")]
    ReadOnly {
        /// What the engine said.
        detail: String,
    },
    /// Other processes kept the store busy for longer than the bound.
    #[error("the store was busy for {waited_ms} ms, the bound is {allowed_ms} ms")]
    Busy {
        /// How long was waited, in milliseconds.
        waited_ms: u64,
        /// The bound, in milliseconds.
        allowed_ms: u64,
    },
    /// The server could not be reached, or did not answer in time. It is worth another try later.
    #[error("the store is out of reach: {detail}")]
    Unreachable {
        /// What was seen of it.
        detail: String,
    },
    /// An earlier I/O error made this handle untrustworthy; open the store again.
    #[error("the store handle was closed by an earlier error: {detail}")]
    Latched {
        /// The earlier error.
        detail: String,
    },
    /// The handle was closed.
    #[error("the store handle is closed")]
    Closed,
    /// Waiting here would wait for oneself.
    #[error("{what} would wait for this very thread; {instead}")]
    WouldDeadlock {
        /// What was called.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The file system failed.
    #[error("{}: {action}", .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The engine failed in a way of its own.
    #[error("{action}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// An [`Error::Invalid`].
    #[must_use]
    pub fn invalid(field: impl Display, given: impl Display, allowed: impl Display) -> Self {
        Self::Invalid { field: field.to_string(), given: given.to_string(), allowed: allowed.to_string() }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let code = |class, code| Fault::new(class, code).reached(Reached::No);
        match self {
            Self::Busy { .. } => code(Class::Transient, "store.busy"),
            // Whether it arrived is not known here.
            Self::Unreachable { .. } => Fault::new(Class::Transient, "store.unreachable"),
            Self::Full { .. } => code(Class::Permanent, "store.full").severity(Severity::Fatal),
            Self::ReadOnly { .. } => code(Class::Permanent, "store.read_only").severity(Severity::Fatal),
            Self::Corrupt { .. } => code(Class::Permanent, "store.corrupt").severity(Severity::Fatal),
            Self::Latched { .. } => code(Class::Permanent, "store.latched").severity(Severity::Fatal),
            Self::Io { source, .. } => source.fault(),
            Self::Invalid { .. } => code(Class::Permanent, "store.invalid"),
            Self::Missing { .. } => code(Class::Permanent, "store.missing"),
            Self::NotAStore { .. } => code(Class::Permanent, "store.not_a_store"),
            Self::TooNew { .. } => code(Class::Permanent, "store.too_new"),
            Self::Setting { .. } => code(Class::Permanent, "store.setting"),
            Self::Closed => code(Class::Permanent, "store.closed"),
            Self::WouldDeadlock { .. } => code(Class::Permanent, "store.would_deadlock"),
            Self::Backend { .. } => Fault::new(Class::Unknown, "store.backend"),
        }
    }
}

/// A batch was not applied, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A precondition did not hold. Nothing was written.
    #[error("{}", conflict_text(.0))]
    Conflict(Vec<Conflict>),
    /// Nothing was written.
    #[error("nothing was written")]
    NotApplied(#[source] Error),
    /// The outcome is not known; sending [`Batch::again`](super::Batch::again) settles it.
    #[error("the outcome of the write is not known")]
    Unknown(#[source] Error),
}

impl From<Error> for ApplyError {
    fn from(error: Error) -> Self {
        Self::NotApplied(error)
    }
}

/// One precondition that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Which write of the batch.
    pub index: usize,
    /// The record that stands under its key now; `None` if there is none.
    pub winner: Option<Record>,
}

fn conflict_text(conflicts: &[Conflict]) -> String {
    match conflicts {
        [Conflict { winner: Some(record), .. }, ..] => {
            format!("{} {} is at version {} in state {}", record.ns, record.key, record.version, record.state)
        }
        [Conflict { index, winner: None }, ..] => format!("the record of write {index} does not exist"),
        [] => String::from("a precondition did not hold"),
    }
}
