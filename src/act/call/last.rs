//! How an attempt fails, and how a call ends.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::act::call::Refusing;
use crate::base::fault::{Class, Fault, Reached};
use crate::decide::{contract::Violations, retry};

/// How a call ends when it does not end well.
pub type Stopped<E> = retry::Stopped<Last<E>, Refusing>;

/// How an attempt has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Last<E> {
    /// With its own error.
    Error(E),
    /// It gave nothing within its time-out, and was cut or left behind.
    TimedOut {
        /// The time that it had.
        after: Duration,
    },
    /// The thread on which it ran has panicked.
    Panicked {
        /// What it said.
        message: String,
    },
    /// It gave an answer that is not as the contract says.
    BreaksContract(Violations),
    /// No thread could be started for it.
    NoThread {
        /// Why not.
        kind: io::ErrorKind,
    },
}

impl<E> Last<E> {
    /// The operation's own error, if that is how it failed.
    #[must_use]
    pub const fn error(&self) -> Option<&E> {
        match self {
            Self::Error(error) => Some(error),
            Self::TimedOut { .. }
            | Self::Panicked { .. }
            | Self::BreaksContract(_)
            | Self::NoThread { .. } => None,
        }
    }

    /// What it means; the operation's own error is classified by `classify`.
    pub(super) fn fault(&self, classify: impl FnOnce(&E) -> Fault) -> Fault {
        match self {
            Self::Error(error) => classify(error),
            Self::TimedOut { .. } => Fault::transient("call.timed_out"),
            Self::Panicked { .. } => Fault::new(Class::Unknown, "call.panicked"),
            Self::BreaksContract(_) => Fault::permanent("contract.response"),
            Self::NoThread { .. } => Fault::transient("call.no_thread").reached(Reached::No),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Last<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::TimedOut { after } => write!(f, "no answer within {after:?}"),
            Self::Panicked { message } => write!(f, "the operation panicked: {message}"),
            Self::BreaksContract(violations) => {
                write!(f, "the answer is not as the contract says: {violations}")
            }
            Self::NoThread { kind } => write!(f, "no thread could be started: {kind}"),
        }
    }
}

impl<E: Error + 'static> Error for Last<E> {
    /// The error itself, so that whoever walks the chain can find it by its type.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Error(error) => Some(error),
            Self::BreaksContract(violations) => Some(violations),
            Self::TimedOut { .. } | Self::Panicked { .. } | Self::NoThread { .. } => None,
        }
    }
}
