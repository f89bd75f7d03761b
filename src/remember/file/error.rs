//! How work on a file can fail.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::fault::{Class, Classify, Fault, Reached, Severity};

/// A file could not be read, replaced or locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What stands there is no file.
    #[error("{} is {found}, not a file", .path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// There is no room. The old content stands.
    #[error("{}: {action}, for the disk is full", .path.display())]
    Full {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// This process may not write there. The old content stands.
    #[error("{}: {action}, for it may not be written", .path.display())]
    ReadOnly {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else held the lock for longer than was to be waited.
    #[error("{} is locked{}, and was for {waited_ms} ms; the bound is {allowed_ms} ms", .path.display(), by(*.holder))]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
        /// The bound, in milliseconds.
        allowed_ms: u64,
        /// The process that holds it, where it has said so.
        holder: Option<u32>,
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
}

fn by(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

impl Error {
    /// The error of something that writes.
    pub(crate) fn writing(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { action, path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { action, path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether there is nothing at the path.
    pub(in crate::remember) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::NotAFile { .. } => permanent("file.not_a_file"),
            Self::Full { .. } => permanent("file.full").severity(Severity::Fatal),
            Self::ReadOnly { .. } => permanent("file.read_only").severity(Severity::Fatal),
            Self::Busy { .. } => Fault::transient("file.busy").reached(Reached::No),
            Self::Io { source, .. } => source.fault(),
        }
    }
}
