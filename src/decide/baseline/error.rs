//! What is broken about a policy, an interval or a saved baseline.

use std::fmt::Display;
use std::time::Duration;

/// What was given cannot be used, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob, or a field of what was saved, out of its range.
    #[error("baseline: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A saved baseline in a format that this version does not know.
    #[error("saved baseline has version {found}, this program knows {known}")]
    Version {
        /// The version in what was saved.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// A saved baseline whose packed part cannot be read: it was cut or changed.
    #[error("saved baseline: {field} is damaged: {what}")]
    Damaged {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Error {
    pub(super) fn field(field: &'static str, given: impl Display, allowed: impl Into<String>) -> Self {
        Self::Field { field, given: given.to_string(), allowed: allowed.into() }
    }

    pub(super) fn time(field: &'static str, given: Duration, allowed: impl Into<String>) -> Self {
        Self::field(field, format_args!("{given:?}"), allowed)
    }
}
