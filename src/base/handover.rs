//! Work that was not refused by the world but handed over to a later time, or to a person.

use std::error::Error;
use std::fmt;

use crate::base::fault::Reached;
use crate::base::time::Timestamp;

/// Work was put off: it has not failed. It stands in the chain of sources of every refusal and deferral of this crate,
/// as one concrete type, so that whoever runs the work can find it there and put the work down until it is time, instead
/// of taking the refusal for a failure.
///
/// ```
/// use std::error::Error;
/// use std::io;
/// use std::time::Duration;
/// use unattended::{fault::Fault, retry};
///
/// let stopped = retry::Policy::cron()
///     .classify(|_: &io::Error| Fault::rate_limited(Some(Duration::from_secs(3600))))
///     .run_blocking(|_attempt| Err::<(), _>(io::Error::other("quota")))
///     .unwrap_err();
/// let handed = stopped.source().and_then(|source| source.downcast_ref::<retry::HandedOver>()).unwrap();
/// assert_eq!(Some(handed.until), stopped.retry_at());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandedOver {
    /// The stable word of the reason.
    pub code: &'static str,
    /// Its sentence.
    pub why: String,
    /// When to go on.
    pub until: Timestamp,
    /// The credential that a person has to see to first, if that is what it waits for.
    pub credential: Option<String>,
    /// What is known of the attempts before it: [`Reached::Maybe`] if one of them may have had its effect,
    /// [`Reached::No`] if there was none.
    pub reached: Reached,
}

impl HandedOver {
    /// Work that is to go on at `until`, before which nothing was sent.
    #[must_use]
    pub fn new(code: &'static str, why: impl Into<String>, until: Timestamp) -> Self {
        Self { code, why: why.into(), until, credential: None, reached: Reached::No }
    }

    /// The same, waiting for a person to see to the credential `name`.
    #[must_use]
    pub fn credential(mut self, name: impl Into<String>) -> Self {
        self.credential = Some(name.into());
        self
    }

    /// The same after attempts of which this is known.
    #[must_use]
    pub const fn reached(mut self, reached: Reached) -> Self {
        self.reached = reached;
        self
    }
}

impl fmt::Display for HandedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for HandedOver {}
