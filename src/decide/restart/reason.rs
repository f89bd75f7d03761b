//! What is decided, and why.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::text::{about, about_size, exact};
use crate::base::time::{Moment, Timestamp};
use crate::decide::restart::evidence::Evidence;
use crate::decide::restart::exit::How;

/// What becomes of something that has ended.
#[must_use = "what has ended stays down until this is done"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is begun again.
    Restart {
        /// Not before this.
        at: Moment,
        /// Why, and what the delay is.
        why: Restarting,
    },
    /// It stays down and a person is told.
    Escalate {
        /// What was seen.
        evidence: Box<Evidence>,
        /// Why.
        why: Escalating,
    },
    /// It stays down.
    Stop {
        /// Why.
        why: Stopping,
    },
}

/// Whether something that is not running may be begun.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Now,
    /// Later: it has failed, and its delay is not over.
    At {
        /// Not before this.
        at: Moment,
        /// How long that is.
        why: Waiting,
    },
    /// A person was told, and that still stands.
    Escalated {
        /// What was seen.
        evidence: Box<Evidence>,
        /// Why that was.
        why: Escalating,
        /// When it may be begun all the same, if nobody clears it before.
        until: Timestamp,
    },
}

/// What is left of a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// So much.
    pub left: Duration,
}

/// Why something is begun again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restarting {
    /// It has failed, and the limit is not reached.
    Failed {
        /// How it ended.
        how: How,
        /// Failures in the window, this one included.
        failures: u32,
        /// At so many a person is told.
        limit: u32,
        /// How long the window is.
        window: Duration,
        /// The delay.
        delay: Duration,
    },
    /// It has ended well, and is to run always.
    Clean {
        /// The delay.
        delay: Duration,
    },
    /// It was stopped to be begun afresh.
    Recycled {
        /// The delay: none, unless it was up for a short time only.
        delay: Duration,
    },
}

impl Restarting {
    /// The delay.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        match self {
            Self::Failed { delay, .. } | Self::Clean { delay } | Self::Recycled { delay } => *delay,
        }
    }
}

/// Why a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Escalating {
    /// Too many failures in the window.
    WindowFull {
        /// Failures in the window.
        failures: u32,
        /// How many are too many.
        limit: u32,
        /// How long the window is, in milliseconds.
        window_ms: u64,
    },
    /// The same error again and again, each time right after the start.
    SameError {
        /// How often in a row.
        times: u32,
        /// How often is too often.
        limit: u32,
        /// How soon after the start counts, in milliseconds.
        quick_ms: u64,
    },
    /// It hangs and cannot be stopped, so it may not be begun beside itself.
    Unstoppable {
        /// How long it had to end, in milliseconds.
        grace_ms: u64,
    },
}

/// Why it stays down without anything being wrong with the supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopping {
    /// It has ended well.
    Well {
        /// How it ended.
        how: How,
    },
    /// Trying again cannot help.
    Permanent {
        /// How it ended.
        how: How,
    },
    /// It has failed, and nothing is begun again.
    Never {
        /// How it ended.
        how: How,
    },
}

/// Why it is time to begin afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recycling {
    /// It has been up for long.
    Age {
        /// How long.
        age: Duration,
        /// The limit.
        limit: Duration,
    },
    /// It has done much.
    Runs {
        /// How much.
        runs: u64,
        /// The limit.
        limit: u64,
    },
    /// It has become large.
    Resident {
        /// Bytes in memory.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl Explain for Decision {
    fn code(&self) -> &'static str {
        match self {
            Self::Restart { why, .. } => why.code(),
            Self::Escalate { why, .. } => why.code(),
            Self::Stop { why } => why.code(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restart { why, .. } => why.fmt(f),
            Self::Escalate { why, .. } => why.fmt(f),
            Self::Stop { why } => why.fmt(f),
        }
    }
}

impl Explain for Waiting {
    fn code(&self) -> &'static str {
        "restart.waiting"
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has failed, and {} of its delay are left", about(self.left))
    }
}

impl Explain for Restarting {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "restart.failed",
            Self::Clean { .. } => "restart.clean",
            Self::Recycled { .. } => "restart.recycled",
        }
    }
}

impl fmt::Display for Restarting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { how, failures, limit, window, delay } => write!(
                f,
                "{how}: failure {failures} within {}, of which {limit} are too many; again in {}",
                exact(*window),
                about(*delay)
            ),
            Self::Clean { delay } => {
                write!(f, "it has ended well and is to run always; again in {}", about(*delay))
            }
            Self::Recycled { delay } if delay.is_zero() => f.write_str("it is begun afresh"),
            Self::Recycled { delay } => {
                write!(f, "it is begun afresh, in {} since it was up for a short time only", about(*delay))
            }
        }
    }
}

impl Explain for Escalating {
    fn code(&self) -> &'static str {
        match self {
            Self::WindowFull { .. } => "restart.window_full",
            Self::SameError { .. } => "restart.same_error",
            Self::Unstoppable { .. } => "restart.unstoppable",
        }
    }
}

impl fmt::Display for Escalating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowFull { failures, limit, window_ms } => write!(
                f,
                "{failures} failures within {}, {limit} are too many",
                exact(Duration::from_millis(*window_ms))
            ),
            Self::SameError { times, limit, quick_ms } => write!(
                f,
                "the same error {times} times in a row, each within {} after its start, {limit} are too many",
                exact(Duration::from_millis(*quick_ms))
            ),
            Self::Unstoppable { grace_ms } => write!(
                f,
                "it hangs and did not end within {}, so it is not begun beside itself",
                exact(Duration::from_millis(*grace_ms))
            ),
        }
    }
}

impl Explain for Stopping {
    fn code(&self) -> &'static str {
        match self {
            Self::Well { .. } => "restart.well",
            Self::Permanent { .. } => "restart.permanent",
            Self::Never { .. } => "restart.never",
        }
    }
}

impl fmt::Display for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well { how } => write!(f, "it has ended well ({how})"),
            Self::Permanent { how } => write!(f, "{how} means that trying again cannot help"),
            Self::Never { how } => write!(f, "it has failed ({how}), and nothing is begun again"),
        }
    }
}

impl Explain for Recycling {
    fn code(&self) -> &'static str {
        match self {
            Self::Age { .. } => "restart.recycle_age",
            Self::Runs { .. } => "restart.recycle_runs",
            Self::Resident { .. } => "restart.recycle_resident",
        }
    }
}

impl fmt::Display for Recycling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { age, limit } => {
                write!(f, "it has been up for {}, {} is its age", about(*age), exact(*limit))
            }
            Self::Runs { runs, limit } => write!(f, "it has done {runs} runs, {limit} are enough"),
            Self::Resident { bytes, limit } => {
                let (bytes, limit) = (about_size(*bytes), about_size(*limit));
                write!(f, "{bytes} of it are in memory, {limit} are allowed")
            }
        }
    }
}
