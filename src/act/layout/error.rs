//! How the life of files can fail.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::fault::{Class, Classify, Fault, Reached, Severity};
use crate::remember::file;

/// A folder is not as it must be, or a file could not be moved. Nothing is lost: the file stands where it stood, or the next
/// [`take`](super::Drops::take) ends what was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was given cannot be used.
    #[error("{field} is {given:?}; allowed is {allowed}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Something else stands where a folder is needed.
    #[error("{} is no folder", .path.display())]
    NotAFolder {
        /// Where.
        path: PathBuf,
    },
    /// Everybody may write into a folder, and so put one file in the place of another.
    #[error("{} has mode {mode:04o}; allowed is one in which not everybody may write", .path.display())]
    Unsafe {
        /// Where.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// The file that was being moved is no longer where it was; somebody else has removed it.
    #[error("{} is gone; somebody else has moved it", .path.display())]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// The file changed while it was copied to another file system. It is left where it was.
    #[error("{} was written to while it was copied: {copied} of {bytes} bytes", .path.display())]
    Changed {
        /// Where it is.
        path: PathBuf,
        /// How many bytes were copied.
        copied: u64,
        /// How many it has now.
        bytes: u64,
    },
    /// There are too many files of that name.
    #[error("{} and {tried} names like it are taken", .path.display())]
    Namesakes {
        /// The first of them.
        path: PathBuf,
        /// How many were tried.
        tried: u32,
    },
    /// The file system failed.
    #[error(transparent)]
    File(#[from] file::Error),
}

impl Error {
    /// The error of reading or looking.
    pub(super) fn reading(action: &'static str, path: &Path, source: io::Error) -> Self {
        file::Error::Io { action, path: path.to_owned(), source }.into()
    }

    /// The error of what writes.
    pub(super) fn writing(action: &'static str, path: &Path, source: io::Error) -> Self {
        file::Error::writing(action, path, source).into()
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Invalid { .. } => permanent("layout.invalid"),
            Self::NotAFolder { .. } => permanent("layout.not_a_folder"),
            Self::Unsafe { .. } => permanent("layout.unsafe").severity(Severity::Fatal),
            Self::Gone { .. } => permanent("layout.gone"),
            Self::Changed { .. } => Fault::transient("layout.changed").reached(Reached::No),
            Self::Namesakes { .. } => permanent("layout.namesakes"),
            Self::File(error) => error.fault(),
        }
    }
}
