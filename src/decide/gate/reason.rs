//! What a gate answers, and why.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::text::{about, second};
use crate::base::time::Timestamp;
use crate::decide::gate::limit::Bound;
use crate::decide::gate::sample::Reading;
use crate::decide::gate::signal::Signal;

/// Whether heavy work may begin now.
#[must_use = "what a closed gate is asked about is not begun"]
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It may.
    Open {
        /// Why.
        why: Opened,
    },
    /// Not now.
    Closed(Closed),
    /// Not now, and it was waited for long enough.
    GivenUp(GivenUp),
}

impl Decision {
    /// Whether work may begin.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// What is in the way, if something is.
    #[must_use]
    pub const fn closed(&self) -> Option<&Closed> {
        match self {
            Self::Open { .. } => None,
            Self::Closed(closed) => Some(closed),
            Self::GivenUp(given_up) => Some(&given_up.last),
        }
    }
}

impl Explain for Decision {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { why } => why.code(),
            Self::Closed(closed) => closed.code(),
            Self::GivenUp(given_up) => given_up.code(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { why } => why.fmt(f),
            Self::Closed(closed) => closed.fmt(f),
            Self::GivenUp(given_up) => given_up.fmt(f),
        }
    }
}

/// Why a gate is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// Nothing is beyond its limit, and nothing was since it was open last.
    Calm {
        /// How many signals were looked at.
        signals: usize,
        /// How many of them could not be read and are passed over.
        missing: usize,
    },
    /// It was closed, and everything has been good for the dwell.
    Calmed {
        /// For how long it was not open.
        waited: Duration,
        /// For how long everything has been good.
        calm: Duration,
    },
}

impl Explain for Opened {
    fn code(&self) -> &'static str {
        match self {
            Self::Calm { .. } => "gate.calm",
            Self::Calmed { .. } => "gate.calmed",
        }
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Calm { signals, missing } => {
                let read = signals.saturating_sub(missing);
                write!(f, "{read} of {signals} signals were read, none is beyond its limit")
            }
            Self::Calmed { waited, calm } => {
                write!(f, "calm for {}; it was closed for {}", about(calm), about(waited))
            }
        }
    }
}

/// A gate that is closed: which signal is in the way, and when to ask again.
///
/// While it only [dwells](Why::Dwelling), signal, value and limit are those that closed it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Closed {
    /// The signal that is in the way; of several the first of the policy.
    pub signal: Signal,
    /// What it says.
    pub value: Reading,
    /// What it may be.
    pub limit: Bound,
    /// Since when the gate has not been open, by the wall clock.
    pub since: Timestamp,
    /// When to ask again: always after the instant of the question (but at the end of the calendar), at most the dwell or a minute,
    /// whichever is longer, and never after the instant at which it gives up.
    pub retry_at: Timestamp,
    /// Why this keeps it closed.
    pub why: Why,
}

/// Why a signal keeps a gate closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is beyond the threshold at which the gate closes.
    Beyond,
    /// It is no longer, but not yet on the good side of the one at which the gate opens.
    NotYetGood,
    /// Everything is good, but not for long enough.
    Dwelling {
        /// For how long everything has been.
        calm: Duration,
        /// For how long it has to be.
        dwell: Duration,
    },
    /// It cannot be read.
    Missing,
    /// It takes two looks, and the second is still to come.
    Measuring {
        /// After how long.
        due: Duration,
    },
}

impl Explain for Closed {
    fn code(&self) -> &'static str {
        match (self.why, self.limit) {
            (Why::Beyond, Bound::Above { .. }) => "gate.above",
            (Why::Beyond, Bound::Below { .. }) => "gate.below",
            (Why::Beyond, Bound::Yes) => "gate.no",
            (Why::NotYetGood, _) => "gate.not_yet_good",
            (Why::Dwelling { .. }, _) => "gate.dwelling",
            (Why::Missing, _) => "gate.missing",
            (Why::Measuring { .. }, _) => "gate.measuring",
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            Why::Dwelling { calm, dwell } => {
                write!(f, "calm for {} of {}; it was closed because ", about(calm), about(dwell))?;
                self.beyond(f)
            }
            Why::NotYetGood => {
                let (side, open) = match self.limit {
                    Bound::Above { open, .. } => ("below", open),
                    Bound::Below { open, .. } => ("above", open),
                    Bound::Yes => return self.beyond(f),
                };
                write!(f, "{} is {}; ", self.signal, self.said())?;
                write!(f, "it opens again {side} {}", self.signal.shown(open))
            }
            Why::Measuring { due } => {
                write!(f, "{} is still being measured, for another {}", self.signal, about(due))
            }
            Why::Beyond | Why::Missing => self.beyond(f),
        }
    }
}

impl Closed {
    /// What closed it, as a sentence.
    fn beyond(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signal = &self.signal;
        if let Reading::Missing(why) = &self.value {
            return write!(f, "{signal} cannot be read: {why}");
        }
        match (self.limit, signal) {
            (Bound::Above { close, .. }, _) => {
                let how = if self.value == Reading::Number(close) { "not below" } else { "above" };
                write!(f, "{signal} is {}, {how} {}", self.said(), signal.shown(close))
            }
            (Bound::Below { close, .. }, _) => {
                let how = if self.value == Reading::Number(close) { "not above" } else { "below" };
                write!(f, "{signal} is {}, {how} {}", self.said(), signal.shown(close))
            }
            (Bound::Yes, Signal::Mounted(_)) => write!(f, "nothing is mounted at {signal}"),
            (Bound::Yes, Signal::Exists(_)) => write!(f, "{signal} does not exist"),
            (Bound::Yes, Signal::Answers(_)) => write!(f, "{signal} does not answer"),
            (Bound::Yes, _) => write!(f, "{signal} says no"),
        }
    }

    fn said(&self) -> String {
        match &self.value {
            Reading::Number(number) => self.signal.shown(*number),
            Reading::Is(is) => String::from(if *is { "yes" } else { "no" }),
            Reading::Measuring(_) | Reading::Missing(_) => String::from("not known"),
        }
    }
}

/// A gate that was closed for too long.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GivenUp {
    /// For how long it was waited.
    pub waited: Duration,
    /// What it was not to take longer than.
    pub by: GaveUp,
    /// What was in the way at last.
    pub last: Closed,
}

/// What says that it was waited for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaveUp {
    /// A time, of the policy or of whoever waits.
    After(Duration),
    /// An instant that was given with the question.
    At(Timestamp),
}

impl GivenUp {
    /// Whoever waits has waited for as long as it would.
    #[must_use]
    pub const fn after(limit: Duration, waited: Duration, last: Closed) -> Self {
        Self { waited, by: GaveUp::After(limit), last }
    }
}

impl Explain for GivenUp {
    fn code(&self) -> &'static str {
        "gate.given_up"
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "given up after {}", about(self.waited))?;
        if let GaveUp::At(deadline) = self.by {
            write!(f, ", at {} UTC", second(deadline))?;
        }
        write!(f, ": {}", self.last)
    }
}
