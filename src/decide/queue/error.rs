//! What is broken about a task, a value, a queue or a saved queue.

use std::fmt::Display;
use std::time::Duration;

/// What was given cannot be queued, or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("queue: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A saved queue in a format that this version does not know.
    #[error("saved queue has version {found}, this program knows {known}")]
    Version {
        /// The version in what was saved.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
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
