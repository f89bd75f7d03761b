//! What a timer tells.

use std::fmt;
use std::time::Duration;

use crate::act::runlog;
use crate::base::explain::Explain;
use crate::base::time::{Jump, Timestamp};
use crate::decide::schedule::{Missed, Noticed, Occurrence, Overlapping, Running};

/// Something that happened to an entry, or to the timer's clock.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// An occurrence is run now.
    Begun {
        /// Which.
        occurrence: Occurrence,
        /// Why.
        why: Running,
        /// Its run, where the entry is a job's.
        run: Option<String>,
    },
    /// Its work has ended. Not told of jobs, whose runs have a history of their own.
    Ended {
        /// Which.
        occurrence: Occurrence,
        /// Why it failed, if it did.
        error: Option<String>,
    },
    /// Occurrences are not run.
    Missed(Missed),
    /// An occurrence is not run since the one before still is.
    Overlapped {
        /// Which.
        occurrence: Occurrence,
        /// Why.
        why: Overlapping,
    },
    /// An occurrence waits for the end of the one before.
    Waits {
        /// Which.
        occurrence: Occurrence,
    },
    /// What is due waits for the entry's window to open.
    Shut {
        /// When it opens.
        opens: Option<Timestamp>,
        /// Why it is closed.
        why: String,
    },
    /// Something was noticed about the saved state or the clock.
    Noticed(Noticed),
    /// The clocks have moved apart; each wake-up is computed anew.
    ClockJumped(Jump),
    /// The store failed, or took no input; nothing is begun until it answers.
    Failed {
        /// What it said.
        error: String,
        /// After how long it is asked again.
        again_in: Duration,
    },
}

/// What a timer did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Occurrences that were begun.
    pub begun: u64,
    /// Those of them whose work failed.
    pub failed: u64,
    /// Occurrences that were missed and not run, as far as they were counted.
    pub missed: u64,
    /// Occurrences that were skipped since the one before still ran.
    pub overlapped: u64,
    /// Work that was under way when the timer ended and did not end within the grace.
    pub left: u64,
    /// When the next occurrence comes, of any entry; told by [`pass`](crate::act::timer::Timer::pass_blocking).
    pub next: Option<Timestamp>,
}

impl Summary {
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Begun { .. } => self.begun += 1,
            Event::Ended { error: Some(_), .. } => self.failed += 1,
            Event::Missed(missed) => self.missed = self.missed.saturating_add(missed.count.number),
            Event::Overlapped { .. } => self.overlapped += 1,
            _ => {}
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.failed += other.failed;
        self.missed = self.missed.saturating_add(other.missed);
        self.overlapped += other.overlapped;
        self.left += other.left;
    }
}

impl Event {
    pub(super) fn log(&self, entry: &str) {
        let trouble = matches!(
            self,
            Self::Failed { .. } | Self::Missed(_) | Self::Noticed(_) | Self::Ended { error: Some(_), .. }
        );
        runlog::timer(entry, trouble, self.code(), self);
    }
}

impl Explain for Event {
    fn code(&self) -> &'static str {
        match self {
            Self::Begun { why, .. } => why.code(),
            Self::Ended { error: None, .. } => "timer.ended",
            Self::Ended { error: Some(_), .. } => "timer.failed",
            Self::Missed(missed) => missed.code(),
            Self::Overlapped { why, .. } => why.code(),
            Self::Waits { .. } => "timer.waits",
            Self::Shut { .. } => "timer.window_closed",
            Self::Noticed(noticed) => noticed.code(),
            Self::ClockJumped(jump) => jump.code(),
            Self::Failed { .. } => "timer.store_failed",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { occurrence, why, .. } => write!(f, "that of {} begins: {why}", occurrence.nominal),
            Self::Ended { occurrence, error: None } => write!(f, "that of {} has ended", occurrence.nominal),
            Self::Ended { occurrence, error: Some(error) } => {
                write!(f, "that of {} failed: {error}", occurrence.nominal)
            }
            Self::Missed(missed) => missed.fmt(f),
            Self::Overlapped { occurrence, why } => write!(f, "that of {}: {why}", occurrence.nominal),
            Self::Waits { occurrence } => {
                write!(f, "that of {} waits for the end of the one before", occurrence.nominal)
            }
            Self::Shut { opens: Some(opens), why } => write!(f, "what is due waits until {opens}: {why}"),
            Self::Shut { opens: None, why } => write!(f, "what is due waits: {why}"),
            Self::Noticed(noticed) => noticed.fmt(f),
            Self::ClockJumped(jump) => jump.fmt(f),
            Self::Failed { error, again_in } => write!(f, "{error}; it is tried again in {again_in:?}"),
        }
    }
}
