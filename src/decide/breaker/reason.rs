//! What the breaker decides, and why.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::fault::Class;
use crate::base::time::Timestamp;
use crate::decide::breaker::machine::Permit;

/// The three states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Calls go through.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls go through as probes.
    HalfOpen,
}

impl Standing {
    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Whether a call may be made.
#[must_use = "a permit that is not settled holds its probe until the lease ends"]
#[derive(Debug, PartialEq, Eq)]
pub enum Admit {
    /// It may. Hand the permit back with the outcome.
    Allow {
        /// The permit.
        permit: Permit,
        /// Why.
        why: Allowing,
    },
    /// It may not.
    Refuse {
        /// Why not.
        why: Refusing,
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
}

/// Why a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowing {
    /// All is well.
    Closed,
    /// It is a probe.
    Probe {
        /// Its number within this stage of half-open, from 1.
        number: u32,
        /// How many this stage admits.
        of: u32,
    },
    /// It would have been refused, were the breaker not in shadow mode.
    Shadow {
        /// The refusal that did not happen.
        instead_of: Refusing,
    },
    /// The breaker is disabled.
    Disabled,
}

/// Why a call may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// It is open.
    Open {
        /// Why it opened.
        cause: Cause,
        /// For how long.
        open_for: Duration,
        /// How much of that is left.
        remaining: Duration,
    },
    /// It is half-open and all probes of this stage are out.
    Probing {
        /// Probes that are out.
        in_flight: u32,
        /// Probes that have succeeded.
        passed: u32,
        /// How many must, to close it.
        needed: u32,
    },
    /// The dependency asked to be left alone.
    Blocked {
        /// What is left of that.
        remaining: Duration,
    },
    /// A person has opened it.
    ForcedOpen,
}

/// Why it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Failures in a row.
    Consecutive {
        /// How many.
        failures: u32,
        /// How many trip it.
        limit: u32,
    },
    /// Too many of the last results were failures.
    Rate {
        /// Failures.
        failures: u32,
        /// Results.
        calls: u32,
        /// The share that trips it.
        percent: u32,
    },
    /// Too many results within a time were failures.
    TimeRate {
        /// Failures.
        failures: u32,
        /// Results.
        calls: u32,
        /// The share that trips it.
        percent: u32,
        /// The time, in milliseconds.
        window_ms: u64,
    },
    /// Too many of the last successes were slow.
    SlowRate {
        /// Slow successes.
        slow: u32,
        /// Successes.
        calls: u32,
        /// The share that trips it.
        percent: u32,
    },
    /// A probe has failed.
    ProbeFailed {
        /// As what.
        class: Class,
    },
    /// A probe has succeeded, but slowly.
    ProbeSlow,
    /// A probe was not settled in time: its process has died, or hangs.
    LeaseExpired {
        /// How long it had, in milliseconds.
        lease_ms: u64,
    },
}

/// What an outcome has moved.
#[must_use = "a transition is what has to be saved and told"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Nothing.
    None {
        /// Why not.
        why: Unmoved,
    },
    /// From Closed to Open.
    Trip {
        /// Which rule.
        why: Cause,
        /// For how long.
        open_for: Duration,
        /// When it may be probed.
        retry_at: Timestamp,
    },
    /// From half-open to Closed.
    Close {
        /// Probes that have succeeded.
        passed: u32,
        /// How many had to.
        needed: u32,
    },
    /// From half-open back to Open.
    Reopen {
        /// Which probe.
        why: Cause,
        /// For how long.
        open_for: Duration,
        /// When it may be probed.
        retry_at: Timestamp,
    },
}

/// Why an outcome has moved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmoved {
    /// It is counted, and no rule trips.
    Counted {
        /// Failures in a row so far.
        consecutive: u32,
    },
    /// It belongs to an older generation.
    Stale {
        /// The generation of the permit.
        permit: u32,
        /// The generation now.
        current: u32,
    },
    /// The call was abandoned: its slot is free again, nothing is scored.
    Abandoned,
    /// A probe is settled, and the verdict is still open.
    Probing {
        /// Probes that have succeeded.
        passed: u32,
        /// How many must, to close it.
        needed: u32,
    },
    /// It was not admitted as a call that counts: shadow mode, or disabled.
    Unscored,
}

/// What was noticed while a snapshot was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restoring {
    /// The policy has changed since: state and generation are kept, the counts are dropped.
    ConfigurationChanged,
    /// The wall clock is before the instant that was saved; the time since is taken as zero.
    ClockSteppedBack {
        /// By how much.
        by: Duration,
    },
}

/// How a guarded call ends when it does not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// It was made, and failed.
    Failed {
        /// The error, as the operation gave it.
        last: E,
    },
    /// It was not made.
    Refused(Refusal),
}

impl<E> Stopped<E> {
    pub(crate) const fn refused(why: Refusing, retry_at: Timestamp) -> Self {
        Self::Refused(Refusal { why, retry_at })
    }
}

/// A call that was not made. It is the source of [`Stopped::Refused`]: one concrete type, so that whoever runs the work
/// finds it in a chain of errors and does not take the refusal for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
#[non_exhaustive]
pub struct Refusal {
    /// Why not.
    pub why: Refusing,
    /// When asking again makes sense.
    pub retry_at: Timestamp,
}

impl<E> fmt::Display for Stopped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { .. } => f.write_str("the call has failed"),
            Self::Refused(Refusal { why, retry_at }) => write!(f, "refused until {retry_at}: {why}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Stopped<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed { last } => Some(last),
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

impl Explain for Allowing {
    fn code(&self) -> &'static str {
        match self {
            Self::Closed => "breaker.closed",
            Self::Probe { .. } => "breaker.probe",
            Self::Shadow { .. } => "breaker.shadow",
            Self::Disabled => "breaker.disabled",
        }
    }
}

impl fmt::Display for Allowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the breaker is closed"),
            Self::Probe { number, of } => {
                write!(f, "the breaker is half-open and this is probe {number} of {of}")
            }
            Self::Shadow { instead_of } => write!(f, "only in shadow mode: {instead_of}"),
            Self::Disabled => f.write_str("the breaker is disabled"),
        }
    }
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "breaker.open",
            Self::Probing { .. } => "breaker.probing",
            Self::Blocked { .. } => "breaker.blocked",
            Self::ForcedOpen => "breaker.forced_open",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { cause, open_for, remaining } => {
                write!(f, "the breaker is open for {open_for:?}, {remaining:?} are left, because {cause}")
            }
            Self::Probing { in_flight, passed, needed } => write!(
                f,
                "the breaker is half-open, {in_flight} probes are out, {passed} of {needed} have succeeded"
            ),
            Self::Blocked { remaining } => {
                write!(f, "the dependency asked to be left alone, {remaining:?} are left")
            }
            Self::ForcedOpen => f.write_str("a person has opened the breaker"),
        }
    }
}

impl Explain for Cause {
    fn code(&self) -> &'static str {
        match self {
            Self::Consecutive { .. } => "breaker.consecutive",
            Self::Rate { .. } => "breaker.rate",
            Self::TimeRate { .. } => "breaker.time_rate",
            Self::SlowRate { .. } => "breaker.slow_rate",
            Self::ProbeFailed { .. } => "breaker.probe_failed",
            Self::ProbeSlow => "breaker.probe_slow",
            Self::LeaseExpired { .. } => "breaker.lease_expired",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consecutive { failures, limit } => {
                write!(f, "{failures} calls in a row have failed, {limit} trip it")
            }
            Self::Rate { failures, calls, percent } => {
                write!(f, "{failures} of the last {calls} calls have failed, {percent} % trip it")
            }
            Self::TimeRate { failures, calls, percent, window_ms } => write!(
                f,
                "{failures} of {calls} calls within {:?} have failed, {percent} % trip it",
                Duration::from_millis(*window_ms)
            ),
            Self::SlowRate { slow, calls, percent } => {
                write!(f, "{slow} of the last {calls} successes were slow, {percent} % trip it")
            }
            Self::ProbeFailed { class } => write!(f, "a probe has failed ({class})"),
            Self::ProbeSlow => f.write_str("a probe was slow"),
            Self::LeaseExpired { lease_ms } => {
                write!(
                    f,
                    "a probe was not settled within its lease of {:?}",
                    Duration::from_millis(*lease_ms)
                )
            }
        }
    }
}

impl Moved {
    /// The stable word of the decision: `none`, `trip`, `close`, `reopen`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None { .. } => "none",
            Self::Trip { .. } => "trip",
            Self::Close { .. } => "close",
            Self::Reopen { .. } => "reopen",
        }
    }

    /// Whether the state has changed, which is what has to be saved.
    #[must_use]
    pub const fn is_transition(&self) -> bool {
        !matches!(self, Self::None { .. })
    }
}

impl Explain for Moved {
    fn code(&self) -> &'static str {
        match self {
            Self::None { why } => why.code(),
            Self::Trip { why, .. } | Self::Reopen { why, .. } => why.code(),
            Self::Close { .. } => "breaker.recovered",
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { why } => why.fmt(f),
            Self::Trip { why, open_for, .. } | Self::Reopen { why, open_for, .. } => {
                write!(f, "open for {open_for:?}, because {why}")
            }
            Self::Close { passed, needed } => write!(f, "{passed} of {needed} probes have succeeded"),
        }
    }
}

impl Explain for Unmoved {
    fn code(&self) -> &'static str {
        match self {
            Self::Counted { .. } => "breaker.counted",
            Self::Stale { .. } => "breaker.stale",
            Self::Abandoned => "breaker.abandoned",
            Self::Probing { .. } => "breaker.still_probing",
            Self::Unscored => "breaker.unscored",
        }
    }
}

impl fmt::Display for Unmoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { consecutive } => write!(f, "it is counted; {consecutive} failures in a row"),
            Self::Stale { permit, current } => {
                write!(f, "the permit is of generation {permit}, now it is {current}")
            }
            Self::Abandoned => f.write_str("the call was abandoned, so nothing is scored"),
            Self::Probing { passed, needed } => write!(f, "{passed} of {needed} probes have succeeded"),
            Self::Unscored => f.write_str("the call does not count"),
        }
    }
}

impl Explain for Restoring {
    fn code(&self) -> &'static str {
        match self {
            Self::ConfigurationChanged => "breaker.configuration_changed",
            Self::ClockSteppedBack { .. } => "breaker.clock_stepped_back",
        }
    }
}

impl fmt::Display for Restoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigurationChanged => {
                f.write_str("the policy has changed, so the state is kept and the counts are dropped")
            }
            Self::ClockSteppedBack { by } => {
                write!(f, "the wall clock is {by:?} before what was saved, so no time has passed")
            }
        }
    }
}
