//! How work on a payload can fail.

use std::io;
use std::path::PathBuf;

use crate::base::canonical::{self, Fingerprint, InvalidFingerprint};
use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::remember::file;

/// A reference that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRef {
    /// The path is none that a payload has.
    #[error("payload path {given:?}: {why}")]
    Path {
        /// The path, cut after 100 characters.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The hash cannot be read.
    #[error("payload hash {given:?}")]
    Hash {
        /// What was given, cut after 100 characters.
        given: String,
        /// What is wrong with it.
        #[source]
        source: InvalidFingerprint,
    },
    /// The hash is one of canonical JSON, not one of bytes.
    #[error("payload hash {given} is not one of bytes, which begins with `sha256:`")]
    Form {
        /// What was given.
        given: String,
    },
    /// What is no media type.
    #[error("payload media type {given:?} is not of the form `type/subtype`")]
    MediaType {
        /// What was given, cut after 100 characters.
        given: String,
    },
}

/// A payload could not be put or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such file.
    #[error("payload {} is missing", .path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is not the one that was referred to.
    #[error("payload {} has changed: {bytes_found} bytes{}, expected {bytes_expected} bytes with {expected}", .path.display(), with(.found.as_ref()))]
    Changed {
        /// Where it is.
        path: PathBuf,
        /// The hash that it should have.
        expected: Fingerprint,
        /// The hash that it has; `None` where its size told enough.
        found: Option<Fingerprint>,
        /// How many bytes it should have.
        bytes_expected: u64,
        /// How many bytes it has, as far as it was read.
        bytes_found: u64,
    },
    /// The file grew or shrank while it was read to be referred to.
    #[error("{} grew or shrank while it was read", .path.display())]
    Moving {
        /// Where it is.
        path: PathBuf,
    },
    /// The payload is larger than it may be here.
    #[error("payload of {given} bytes, at most {allowed} are allowed")]
    TooBig {
        /// How many bytes it has; where it is written from a reader, how many had come.
        given: u64,
        /// How many it may have.
        allowed: u64,
    },
    /// What stands there is no file.
    #[error("payload {} is {found}, not a file", .path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file is not in the folder that was named.
    #[error("payload {} is not in {}", .path.display(), .base.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The folder.
        base: PathBuf,
    },
    /// The reference cannot be one.
    #[error(transparent)]
    Invalid(#[from] InvalidRef),
    /// The payload is not JSON of the type that it is to have.
    #[error("payload {} is not the JSON that it is to be", .path.display())]
    Json {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The payload, or the value that is to be one, has no canonical form.
    #[error("the payload has no canonical form")]
    Canonical(#[from] canonical::Error),
    /// What is to be put cannot be read.
    #[error("what is to be put cannot be read")]
    Source(#[source] io::Error),
    /// The file system failed.
    #[error(transparent)]
    Io(file::Error),
}

fn with(found: Option<&Fingerprint>) -> String {
    found.map_or_else(String::new, |found| format!(" with {found}"))
}

impl From<file::Error> for Error {
    fn from(error: file::Error) -> Self {
        match error {
            file::Error::NotAFile { path, found } => Self::NotAFile { path, found },
            file::Error::Io { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::Missing { path }
            }
            other => Self::Io(other),
        }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Missing { .. } => permanent("payload.missing"),
            Self::Changed { .. } => permanent("payload.changed"),
            Self::Moving { .. } => Fault::transient("payload.moving").reached(Reached::No),
            Self::TooBig { .. } => permanent("payload.too_big"),
            Self::NotAFile { .. } => permanent("payload.not_a_file"),
            Self::Outside { .. } => permanent("payload.outside"),
            Self::Invalid(_) => permanent("payload.invalid"),
            Self::Json { .. } => permanent("payload.not_json"),
            Self::Canonical(_) => permanent("payload.not_canonical"),
            Self::Source(source) => source.fault(),
            Self::Io(error) => error.fault(),
        }
    }
}
