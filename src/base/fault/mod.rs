//! What went wrong, in the terms that a policy needs: its class, how severe it is, whether the request arrived.
//!
//! | what failed | what says what it means |
//! |---|---|
//! | `std::io::Error` | [`Classify`] |
//! | an HTTP answer | `of_http` and `Classify` for `http::StatusCode` (feature `http`) |
//! | `reqwest::Error`, `reqwest::Response` | [`Classify`] and `of_response` (feature `reqwest`) |
//! | `anyhow::Error` | [`Classify`], and `report` for the dead letter (feature `anyhow`) |
//! | a boxed error, or any error with sources | [`of_chain`] |
//! | a caught panic | [`Panicked`] |
//! | anything else | your own [`Classify`], or a closure |
//!
//! Where a dependency means something else by its answers than the rest of the world, [`Overrides`] says so.

mod chain;
mod of_io;
mod overrides;

#[cfg(feature = "anyhow")]
mod of_anyhow;
#[cfg(feature = "http")]
mod of_http;
#[cfg(feature = "reqwest")]
mod of_reqwest;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use chain::{Panicked, chain, of_chain};
#[cfg(feature = "anyhow")]
pub use of_anyhow::report;
#[cfg(feature = "http")]
pub use of_http::of_http;
#[cfg(feature = "reqwest")]
pub use of_reqwest::of_response;
pub use overrides::{Error, Overrides};

/// What kind of failure it is; each class has a strategy of its own in `retry::Policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Time-outs, resets, answers that mean "later".
    Transient,
    /// 429 or a quota answer.
    RateLimited,
    /// The credential is no longer valid.
    Unauthorized,
    /// Trying again cannot help: invalid input, schema mismatch, wrong configuration.
    Permanent,
    /// No category yet.
    Unknown,
}

impl Class {
    /// Every class, in the order of the enum.
    pub const ALL: [Self; 5] =
        [Self::Transient, Self::RateLimited, Self::Unauthorized, Self::Permanent, Self::Unknown];

    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Permanent => "permanent",
            Self::Unknown => "unknown",
        }
    }

    /// The severity that a fault of this class has unless it says otherwise.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Unauthorized => Severity::Critical,
            Self::Transient | Self::RateLimited | Self::Permanent | Self::Unknown => Severity::Recoverable,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad it is. `Fatal` beats the class; `Degraded` changes only what happens once the class's strategy has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Act now (refresh the credential), then retry.
    Critical,
    /// Back off; later.
    Recoverable,
    /// Skip this step, go on with the others.
    Degraded,
    /// Disk full, out of memory: stop, and alert a person.
    Fatal,
}

/// Whether the request reached the other side, that is, whether its effect may have taken place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// It certainly did not: refused connection, name not found.
    No,
    /// Nobody knows: time-out, reset.
    Maybe,
    /// It did: the other side answered.
    Yes,
}

/// A failure in the terms of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which strategy applies.
    pub class: Class,
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for what happened, such as `io.timed_out` or `http.503`.
    pub code: Cow<'static, str>,
    /// What the other side asked us to wait, if it did.
    pub retry_after: Option<Duration>,
    /// Whether the request reached the other side.
    pub reached: Reached,
}

impl Fault {
    /// A fault of `class` with that class's severity, that may have reached the other side.
    #[must_use]
    pub const fn new(class: Class, code: &'static str) -> Self {
        Self {
            class,
            severity: class.severity(),
            code: Cow::Borrowed(code),
            retry_after: None,
            reached: Reached::Maybe,
        }
    }

    /// A transient fault.
    #[must_use]
    pub const fn transient(code: &'static str) -> Self {
        Self::new(Class::Transient, code)
    }

    /// A permanent fault. The other side has judged it, so the request did arrive.
    #[must_use]
    pub const fn permanent(code: &'static str) -> Self {
        Self::new(Class::Permanent, code).reached(Reached::Yes)
    }

    /// A fault without a category.
    #[must_use]
    pub const fn unknown() -> Self {
        Self::new(Class::Unknown, "fault.unknown")
    }

    /// The other side said "not so fast", perhaps with how long to wait. It has not acted on the request.
    #[must_use]
    pub const fn rate_limited(retry_after: Option<Duration>) -> Self {
        let mut fault = Self::new(Class::RateLimited, "fault.rate_limited").reached(Reached::No);
        fault.retry_after = retry_after;
        fault
    }

    /// The same fault with another severity.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same fault, saying whether the request arrived.
    #[must_use]
    pub const fn reached(mut self, reached: Reached) -> Self {
        self.reached = reached;
        self
    }

    /// The same fault with the wait that the other side asked for.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Whether time ran out: the code ends in `.timed_out`, or is `http.408` or `http.504`.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.code.ends_with(".timed_out") || matches!(&*self.code, "http.408" | "http.504")
    }
}

/// A fault can be the source of another error, and is found there by [`of_chain`].
impl std::error::Error for Fault {}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.code, self.class)
    }
}

/// Says what an error means to a policy.
///
/// ```
/// use unattended::fault::{Class, Classify};
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(refused.fault().class, Class::Transient);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it means to a policy",
    note = "implement `unattended::fault::Classify` for it, or pass `.classify(|error: &{Self}| …)`; `fault::of_chain(error)` finds what is known in its sources"
)]
pub trait Classify {
    /// The fault that this is.
    fn fault(&self) -> Fault;
}

impl Classify for Fault {
    fn fault(&self) -> Fault {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_time_out_is_known_by_its_code() {
        assert!(io::Error::from(io::ErrorKind::TimedOut).fault().is_timeout());
        assert!(Fault::transient("http.504").is_timeout() && Fault::transient("call.timed_out").is_timeout());
        assert!(
            !Fault::transient("http.503").is_timeout() && !Fault::transient("timed_out_once").is_timeout()
        );
    }
}
