//! Why a state file is no good, and how work on it can fail.

use std::fmt;
use std::path::PathBuf;

use crate::base::explain::Explain;
use crate::base::fault::{Class, Classify, Fault, Reached, Severity};
use crate::remember::file;

/// The file itself was no good; what was given is the generation before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// What is wrong with the file.
    pub damage: Damage,
}

/// What is wrong with a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// There is none.
    Gone,
    /// It does not begin as a state file does.
    Foreign,
    /// Its first line is cut or changed.
    Header,
    /// It has fewer bytes after its first line than were written.
    Cut {
        /// How many it has.
        given: u64,
        /// How many were written.
        expected: u64,
    },
    /// It has more bytes after its first line than were written.
    Longer {
        /// How many were written.
        expected: u64,
    },
    /// Its bytes are not those that were written.
    Changed,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the file is gone"),
            Self::Foreign => f.write_str("the file does not begin as a state file does"),
            Self::Header => f.write_str("the file's first line is cut or changed"),
            Self::Cut { given, expected } => write!(f, "the file has {given} of its {expected} bytes"),
            Self::Longer { expected } => write!(f, "the file has more than its {expected} bytes"),
            Self::Changed => f.write_str("the file's bytes are not those that were written"),
        }
    }
}

impl Explain for Damage {
    fn code(&self) -> &'static str {
        match self {
            Self::Gone => "state_file.gone",
            Self::Foreign => "state_file.foreign",
            Self::Header => "state_file.header",
            Self::Cut { .. } => "state_file.cut",
            Self::Longer { .. } => "state_file.longer",
            Self::Changed => "state_file.changed",
        }
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the one before it is used", self.damage)
    }
}

impl Explain for Recovered {
    fn code(&self) -> &'static str {
        self.damage.code()
    }
}

/// A state file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Neither the file nor the generation before it is sound. A person has to bring one back, or to remove both.
    #[error("{} is damaged: {current}; of the one before it, {previous}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        current: Damage,
        /// What is wrong with the one before it, `NAME.prev`.
        previous: Damage,
    },
    /// There is a file, and it was not written by this crate. It is not overwritten.
    #[error("{} is not a state file of unattended", .path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer release in a format that this one cannot read.
    #[error("{} has format {found}, this release reads up to {supported}; use the newer release", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The newest format that this release reads.
        supported: u32,
    },
    /// The JSON is larger than it may be.
    #[error("the state of {} has {given} bytes, at most {allowed} are allowed", .path.display())]
    TooBig {
        /// The file.
        path: PathBuf,
        /// How many bytes it has.
        given: u64,
        /// How many it may have.
        allowed: u64,
    },
    /// The value is no JSON that can be read back, or what is stored is whole and is no such value.
    #[error("the state of {} cannot be {action} as the type that it is to have", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// `read` or `saved`.
        action: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The file system failed, or the lock was busy.
    #[error(transparent)]
    File(#[from] file::Error),
}

impl Classify for FileError {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Damaged { .. } => permanent("state_file.damaged").severity(Severity::Fatal),
            Self::NotOurs { .. } => permanent("state_file.not_ours"),
            Self::TooNew { .. } => permanent("state_file.too_new"),
            Self::TooBig { .. } => permanent("state_file.too_big"),
            Self::Value { .. } => permanent("state_file.value"),
            Self::File(error) => error.fault(),
        }
    }
}
