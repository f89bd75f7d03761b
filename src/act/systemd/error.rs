//! What is wrong with a message to systemd, or with a unit.

use std::io;

use crate::base::text;

/// What is wrong with a message to systemd, or with a unit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that cannot be taken.
    #[error("systemd: {field} is {given:?}, allowed is {allowed}")]
    Field {
        /// Which one: a setting of the builder, or an environment variable.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// What systemd has no words for. A unit that almost does it would be worse than none.
    #[error("systemd has no words for {what}: {why}")]
    CannotSay {
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be said.
        why: String,
    },
    /// The receiver does not keep up: its socket is full. The message is lost, and the work goes on.
    #[error("systemd: the socket of the service manager is full")]
    Full,
    /// The message could not be sent.
    #[error("systemd: cannot send to the service manager")]
    Send {
        /// What the system says.
        source: io::Error,
    },
    /// The socket or the ticker's thread could not be made.
    #[error("systemd: cannot make {what}")]
    Make {
        /// Which of them.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A unit could not be written.
    #[cfg(feature = "store")]
    #[error("systemd: cannot write {unit}")]
    Write {
        /// Which unit.
        unit: String,
        /// What the file system says.
        source: crate::remember::file::Error,
    },
}

impl Error {
    /// A value that cannot be taken, shortened where it is long.
    pub(super) fn field(field: &'static str, given: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Field { field, given: text::shortened(&given.to_string(), 120), allowed: allowed.into() }
    }

    pub(super) fn cannot_say(what: &'static str, why: impl Into<String>) -> Self {
        Self::CannotSay { what, why: why.into() }
    }
}
