//! What comes next, and why: numbers in the type, a sentence and a stable word for each.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::fault::{Class, Reached};
use crate::base::time::Timestamp;
use crate::decide::retry::policy::Deadline;

/// What to do after a failure.
#[must_use = "a decision that is not acted on decides nothing"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait, then make the attempt of that number.
    Wait {
        /// How long.
        delay: Duration,
        /// The number of the attempt that follows; the first try was 1.
        attempt: u32,
        /// Why that long.
        why: Waiting,
    },
    /// Do not hold a process for it: hand it to the scheduler or the store.
    Defer {
        /// When to go on.
        until: Timestamp,
        /// Why not here.
        why: Deferring,
    },
    /// No further attempt.
    Stop {
        /// Why.
        why: Stopping,
        /// What becomes of the work.
        disposition: Disposition,
    },
}

/// What becomes of work that is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Keep it with its context for a person: trying again as it is cannot help.
    DeadLetter,
    /// Leave it: a later run may succeed, or the step may be skipped.
    GiveUp,
    /// Stop everything and tell a person now.
    Alert,
}

impl Disposition {
    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead_letter",
            Self::GiveUp => "give_up",
            Self::Alert => "alert",
        }
    }
}

/// Why a wait is as long as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Our own backoff.
    Backoff {
        /// The class whose strategy applies.
        class: Class,
        /// Failures of that class so far.
        failures: u32,
        /// How many it may have.
        limit: u32,
        /// The longest it could have been before jitter.
        ceiling: Duration,
    },
    /// The server asked for more than our own backoff.
    Server {
        /// What it asked for.
        asked: Duration,
        /// What our own backoff was.
        own: Duration,
    },
    /// The credential is refreshed, then one attempt is made at once.
    Refresh,
}

/// Why a wait is not spent inside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deferring {
    /// The wait is longer than `inline_wait_max`.
    TooLongToHold {
        /// The wait.
        delay: Duration,
        /// The longest that is held for.
        limit: Duration,
    },
    /// The server asked for more than `retry_after_max`.
    ServerTooLong {
        /// What it asked for.
        asked: Duration,
        /// The longest that is taken.
        limit: Duration,
    },
    /// The server asked for more than what is left until the next scheduled run.
    ServerPastNextRun {
        /// What it asked for.
        asked: Duration,
        /// When the next run starts.
        next_run: Timestamp,
    },
    /// The server asked for more than what is left of `elapsed_max`.
    ServerOutOfTime {
        /// What it asked for.
        asked: Duration,
        /// The time spent so far.
        elapsed: Duration,
        /// The time there was.
        limit: Duration,
    },
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopping {
    /// The fault is fatal: disk full, out of memory.
    Fatal {
        /// The class that it would have had.
        class: Class,
    },
    /// Trying again cannot help.
    Permanent,
    /// The credential was refused again after it had been refreshed.
    UnauthorizedAgain,
    /// The effect is unsafe and the request may have arrived.
    MayHaveArrived {
        /// What is known of it.
        reached: Reached,
    },
    /// The class has had its attempts.
    AttemptsSpent {
        /// The class.
        class: Class,
        /// Failures of that class.
        failures: u32,
        /// How many it may have.
        limit: u32,
    },
    /// All classes together have had the largest number of attempts that any of them may have.
    AttemptsSpentInAll {
        /// Attempts made.
        attempts: u32,
        /// How many there may be.
        limit: u32,
    },
    /// The delays come from elsewhere, and there is no further one.
    DelaysEnded {
        /// Attempts made.
        attempts: u32,
    },
    /// Waiting and then trying would pass `elapsed_max`.
    OutOfTime {
        /// The time spent so far.
        elapsed: Duration,
        /// The wait that would follow.
        delay: Duration,
        /// What the attempt after it needs at least.
        attempt_min: Duration,
        /// The time there was.
        limit: Duration,
    },
    /// Waiting and then trying would pass the deadline.
    PastDeadline {
        /// The deadline.
        deadline: Deadline,
        /// The earliest instant at which the attempt could start and still have what it needs.
        would_be: Timestamp,
    },
}

impl Explain for Waiting {
    fn code(&self) -> &'static str {
        match self {
            Self::Backoff { .. } => "retry.backoff",
            Self::Server { .. } => "retry.server_asked",
            Self::Refresh => "retry.refresh",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backoff { class, failures, limit, ceiling } => {
                write!(
                    f,
                    "failure {failures} of {limit} that is {class}, so back off for at most {ceiling:?}"
                )
            }
            Self::Server { asked, own } => {
                write!(f, "the server asked for {asked:?}, which is more than our own {own:?}")
            }
            Self::Refresh => {
                f.write_str("the credential was refused, so refresh it and try once more at once")
            }
        }
    }
}

impl Explain for Deferring {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLongToHold { .. } => "retry.too_long_to_hold",
            Self::ServerTooLong { .. } => "retry.server_too_long",
            Self::ServerPastNextRun { .. } => "retry.server_past_next_run",
            Self::ServerOutOfTime { .. } => "retry.server_out_of_time",
        }
    }
}

impl fmt::Display for Deferring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLongToHold { delay, limit } => {
                write!(f, "the wait of {delay:?} is longer than the {limit:?} for which a process is held")
            }
            Self::ServerTooLong { asked, limit } => {
                write!(f, "the server asked for {asked:?}, more than the {limit:?} that is taken from it")
            }
            Self::ServerPastNextRun { asked, next_run } => {
                write!(f, "the server asked for {asked:?}, which is past the next scheduled run {next_run}")
            }
            Self::ServerOutOfTime { asked, elapsed, limit } => {
                write!(f, "the server asked for {asked:?}, and {elapsed:?} of {limit:?} are spent")
            }
        }
    }
}

impl Explain for Stopping {
    fn code(&self) -> &'static str {
        match self {
            Self::Fatal { .. } => "retry.fatal",
            Self::Permanent => "retry.permanent",
            Self::UnauthorizedAgain => "retry.unauthorized_again",
            Self::MayHaveArrived { .. } => "retry.may_have_arrived",
            Self::AttemptsSpent { .. } => "retry.attempts_spent",
            Self::AttemptsSpentInAll { .. } => "retry.attempts_spent_in_all",
            Self::DelaysEnded { .. } => "retry.delays_ended",
            Self::OutOfTime { .. } => "retry.out_of_time",
            Self::PastDeadline { .. } => "retry.past_deadline",
        }
    }
}

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal { class } => write!(f, "the fault ({class}) is fatal, so a person is needed"),
            Self::Permanent => f.write_str("the fault is permanent, so trying again cannot help"),
            Self::UnauthorizedAgain => f.write_str("the credential was refused again after it was refreshed"),
            Self::MayHaveArrived { reached } => {
                let known = match reached {
                    Reached::No => "did not arrive",
                    Reached::Maybe => "may have arrived",
                    Reached::Yes => "did arrive",
                };
                write!(f, "the effect is unsafe and the request {known}, so it is not repeated")
            }
            Self::AttemptsSpent { class, failures, limit } => {
                write!(f, "{failures} of {limit} attempts have failed and are {class}")
            }
            Self::AttemptsSpentInAll { attempts, limit } => {
                write!(f, "{attempts} of {limit} attempts in all have failed")
            }
            Self::DelaysEnded { attempts } => {
                write!(f, "{attempts} attempts have failed, and there is no further delay")
            }
            Self::OutOfTime { elapsed, delay, attempt_min, limit } => write!(
                f,
                "{elapsed:?} are spent; a wait of {delay:?} and an attempt of {attempt_min:?} would pass {limit:?}"
            ),
            Self::PastDeadline { deadline: Deadline::At(at), would_be } => {
                write!(f, "the next attempt would be at {would_be}, past the deadline {at}")
            }
            Self::PastDeadline { deadline: Deadline::BeforeNextRun(at), would_be } => {
                write!(f, "the next attempt would be at {would_be}, past the next scheduled run {at}")
            }
        }
    }
}
