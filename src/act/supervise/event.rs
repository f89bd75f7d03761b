//! What a supervisor tells.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::text::{about, exact, second, shown};
use crate::base::time::Timestamp;
use crate::decide::restart::{Escalating, Evidence, Past, Recycling, Restarting, Stopping, Waiting};

/// Something that a supervisor has seen or decided. `Display` is one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// It was started.
    Started {
        /// Its process id, if it is a process.
        pid: Option<u32>,
        /// The how manieth start it is, those of earlier supervisors included if that is persisted.
        number: u64,
    },
    /// It has said that it is ready.
    Ready {
        /// So long after its start.
        after: Duration,
    },
    /// It gave no sign of life, and is stopped.
    Hung {
        /// Why that is thought.
        why: Hanging,
    },
    /// It is stopped to be begun afresh.
    Recycled {
        /// Why.
        why: Recycling,
    },
    /// It has ended.
    Exited {
        /// How.
        past: Past,
    },
    /// It will be begun again.
    Restarting {
        /// Then.
        at: Timestamp,
        /// Why.
        why: Restarting,
    },
    /// It is not begun yet: the delay that an earlier supervisor began is not over.
    Waiting {
        /// It will be then.
        at: Timestamp,
        /// What is left.
        why: Waiting,
    },
    /// It is not begun: the process that an earlier supervisor started still runs. It will be when that has ended.
    Busy {
        /// The process.
        pid: u32,
        /// When it was started.
        since: Timestamp,
    },
    /// The supervisor gives up, and this is what it has seen: for a person.
    Escalated {
        /// Why.
        why: Escalating,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// It stays down.
    Stopped {
        /// Why.
        why: Stopping,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// It was stopped because a shutdown was asked for.
    ShutDown,
    /// The state could not be persisted. Supervision goes on, but would be forgotten with this process.
    NotKept {
        /// Why not.
        error: String,
    },
}

/// Why it is thought that something hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hanging {
    /// It gave no sign of life.
    Silent {
        /// For so long.
        silent: Duration,
        /// So often one is due.
        within: Duration,
    },
    /// It did not say that it is ready.
    NotReady {
        /// For so long.
        silent: Duration,
        /// So long it has for that.
        within: Duration,
    },
    /// Questions were not answered, or by an error.
    ProbeMissed {
        /// So many in a row.
        misses: u32,
        /// For so long.
        silent: Duration,
    },
    /// It has said so itself.
    Said {
        /// So long after its last sign of life.
        silent: Duration,
    },
}

impl Hanging {
    /// How long there was no sign of life.
    #[must_use]
    pub const fn silent(&self) -> Duration {
        match self {
            Self::Silent { silent, .. }
            | Self::NotReady { silent, .. }
            | Self::ProbeMissed { silent, .. }
            | Self::Said { silent } => *silent,
        }
    }
}

/// How a supervision has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// Well: what was supervised has done what it was for.
    Well {
        /// How.
        why: Stopping,
    },
    /// What was supervised has failed in a way after which it is not tried again.
    Stopped {
        /// Why.
        why: Stopping,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// It has failed too often; a person is needed.
    Escalated {
        /// Why.
        why: Escalating,
        /// What was seen.
        evidence: Box<Evidence>,
    },
    /// A shutdown was asked for, and what was supervised is stopped.
    Shutdown,
}

impl Explain for Event {
    fn code(&self) -> &'static str {
        match self {
            Self::Started { .. } => "supervise.started",
            Self::Ready { .. } => "supervise.ready",
            Self::Exited { .. } => "supervise.exited",
            Self::Busy { .. } => "supervise.busy",
            Self::ShutDown => "supervise.shut_down",
            Self::NotKept { .. } => "supervise.not_kept",
            Self::Hung { why } => why.code(),
            Self::Recycled { why } => why.code(),
            Self::Restarting { why, .. } => why.code(),
            Self::Waiting { why, .. } => why.code(),
            Self::Escalated { why, .. } => why.code(),
            Self::Stopped { why, .. } => why.code(),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid: Some(pid), number } => write!(f, "start {number}, as process {pid}"),
            Self::Started { pid: None, number } => write!(f, "start {number}"),
            Self::Ready { after } => write!(f, "it says that it is ready, {} after its start", about(*after)),
            Self::Hung { why } => write!(f, "it hangs and is stopped: {why}"),
            Self::Recycled { why } => write!(f, "it is stopped to be begun afresh: {why}"),
            Self::Exited { past } => {
                write!(f, "it has ended after {}: {}", about(past.uptime), shown(&past.fingerprint))
            }
            Self::Restarting { why, .. } => why.fmt(f),
            Self::Waiting { why, .. } => why.fmt(f),
            Self::Busy { pid, since } => write!(
                f,
                "process {pid}, started at {} by an earlier supervisor, still runs, and is waited for",
                second(*since)
            ),
            Self::Escalated { why, evidence } => write!(f, "a person is needed: {why}; seen was {evidence}"),
            Self::Stopped { why, .. } => why.fmt(f),
            Self::ShutDown => f.write_str("it is stopped, as a shutdown was asked for"),
            Self::NotKept { error } => write!(f, "the state cannot be persisted: {}", shown(error)),
        }
    }
}

impl Explain for Hanging {
    fn code(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "supervise.silent",
            Self::NotReady { .. } => "supervise.not_ready",
            Self::ProbeMissed { .. } => "supervise.probe_missed",
            Self::Said { .. } => "supervise.said_to_hang",
        }
    }
}

impl fmt::Display for Hanging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { silent, within } => {
                write!(f, "no sign of life for {}, one is due within {}", about(*silent), exact(*within))
            }
            Self::NotReady { silent, within } => {
                write!(f, "it is not ready after {}, it has {} for that", about(*silent), exact(*within))
            }
            Self::ProbeMissed { misses, silent } => {
                write!(
                    f,
                    "{misses} probes in a row had no good answer, the last one was {} ago",
                    about(*silent)
                )
            }
            Self::Said { .. } => f.write_str("it says so itself"),
        }
    }
}
