//! What became of a command.

use std::fmt;
use std::time::Duration;

use crate::act::command::{Captured, Codes, Error, Signal};
use crate::base::time::millis;

/// What became of a command, however it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The program, as it was named.
    pub program: String,
    /// How the process ended.
    pub status: Status,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
    /// From its start until its end was complete.
    pub duration: Duration,
    /// Whether something that was written is not in the output: more than is kept, or a pipe that was still held open.
    pub truncated: bool,
    /// Why it was ended; `None` where it ended by itself.
    pub killed_by: Option<KilledBy>,
    /// Processes that it left running in its group, which were ended (Linux).
    pub left: Vec<u32>,
    /// Processes that left its group, still ran at its end and were not ended (Linux).
    pub escaped: Vec<u32>,
    /// Somebody held one of its pipes open when the drain was over: what they write is not in the output.
    pub pipe_held_open: bool,
    /// The kernel ended a process in the command's control group for want of memory while the command ran. Without a control
    /// group of its own that is the group of this whole program, so it may have been another process of it.
    pub out_of_memory: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// A signal ended it.
    Signalled {
        /// Which one.
        signal: Signal,
        /// Whether there is a core of it.
        core: bool,
    },
    /// Nobody knows: somebody else has reaped it, or it could not be killed in time, being uninterruptible in the kernel; it is then
    /// reaped when it ends.
    Unknown,
}

impl Status {
    /// Whether it exited with 0.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// Its exit code, if it exited.
    #[must_use]
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Signalled { .. } | Self::Unknown => None,
        }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub const fn signal(self) -> Option<Signal> {
        match self {
            Self::Signalled { signal, .. } => Some(signal),
            Self::Exited(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled { signal, core: true } => write!(f, "was ended by {signal} with a core"),
            Self::Signalled { signal, core: false } => write!(f, "was ended by {signal}"),
            Self::Unknown => f.write_str("ended in a way that nobody knows"),
        }
    }
}

/// Why a command was ended before it ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KilledBy {
    /// Its time was up.
    TimedOut {
        /// The time that it had.
        limit: Duration,
    },
    /// It wrote more than it may; it may have ended by itself before it was ended for that.
    TooMuchOutput {
        /// How many bytes it may write.
        limit: u64,
    },
    /// It was stopped: by [`Child::stop`](super::Child::stop), or cancelled.
    Stopped,
}

impl Outcome {
    /// What it means: `Ok` for a success, else the error with this outcome in it. Looked at are, in this order, why it was ended, how
    /// it ended, who has escaped, and whether its output is complete.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::TooMuchOutput`], [`Error::Cancelled`], [`Error::NonZero`], [`Error::Signalled`],
    /// [`Error::Escaped`], [`Error::PipeHeldOpen`].
    pub(in crate::act) fn judged(self, codes: &Codes, escape_allowed: bool) -> Result<Self, Error> {
        let outcome = Box::new(self);
        match (outcome.killed_by, outcome.status) {
            (Some(KilledBy::TimedOut { limit }), _) => {
                return Err(Error::Timeout { limit_ms: millis(limit), outcome });
            }
            (Some(KilledBy::TooMuchOutput { limit }), _) => {
                return Err(Error::TooMuchOutput { limit, outcome });
            }
            (Some(KilledBy::Stopped), _) => return Err(Error::Cancelled { outcome: Some(outcome) }),
            (None, Status::Exited(code)) if !codes.is_success(code) => {
                return Err(Error::NonZero { code, fault: codes.fault(code), outcome });
            }
            (None, Status::Signalled { signal, .. }) => return Err(Error::Signalled { signal, outcome }),
            (None, Status::Unknown) => return Err(Error::Lost { outcome }),
            (None, Status::Exited(_)) => {}
        }
        if escape_allowed {
            return Ok(*outcome);
        }
        if !outcome.escaped.is_empty() {
            return Err(Error::Escaped { pids: outcome.escaped.clone(), outcome });
        }
        if outcome.pipe_held_open {
            return Err(Error::PipeHeldOpen { outcome });
        }
        Ok(*outcome)
    }
}
