//! Why a supervisor cannot be made.

use std::io;
use std::time::Duration;

use crate::base::text;
use crate::decide::restart;

/// Why a supervisor cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy, or what was persisted, makes no sense.
    #[error("the restarts of {name} cannot be decided")]
    Restart {
        /// The supervisor.
        name: String,
        /// What is wrong.
        #[source]
        source: restart::Error,
    },
    /// A knob out of its range, or missing.
    #[error("supervisor: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// What an earlier supervisor has persisted cannot be read. It is not begun anew: the window would be lost.
    #[cfg(feature = "store")]
    #[error("the persisted state of {name} cannot be read")]
    Kept {
        /// The supervisor.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system has not given what is needed to wait.
    #[error("cannot set up the supervision of {name}")]
    System {
        /// The supervisor.
        name: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

pub(super) fn span(field: &'static str, given: Duration, min: Duration, max: Duration) -> Result<(), Error> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    let allowed = format!("{} to {}", text::exact(min), text::exact(max));
    Err(Error::Field { field, given: text::exact(given), allowed })
}
