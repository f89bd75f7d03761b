//! What a look at a schedule finds, and why.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::decide::schedule::{Count, Occurrence};

/// What is to be done now.
#[must_use = "what is due is to be run or recorded"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Wait {
        /// What comes next; `None` if nothing ever does.
        next: Option<Occurrence>,
        /// Why not now.
        why: Waiting,
    },
    /// Run these, one after the other, and [settle](super::Ticker::settle) each.
    Run {
        /// The oldest first; at least one.
        turns: Vec<Turn>,
        /// Those before them that are not run.
        missed: Option<Missed>,
    },
    /// All that was due is too late: [settle](super::Ticker::settle) it, and record why.
    Skip {
        /// What is not run.
        missed: Missed,
        /// What comes next.
        next: Option<Occurrence>,
    },
}

/// An occurrence that is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which.
    pub occurrence: Occurrence,
    /// When to begin: now, or a little later where many may catch up at the same time.
    pub begin: Timestamp,
    /// Why.
    pub why: Running,
}

/// Occurrences that are not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// How many.
    pub count: Count,
    /// The first of them.
    pub oldest: Occurrence,
    /// The last of them.
    pub newest: Occurrence,
    /// Why not.
    pub why: NotRun,
}

/// Why nothing is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// The next occurrence is in the future.
    NotYet {
        /// When it is to run.
        at: Timestamp,
    },
    /// The clock stands before an occurrence that was run already: it was set back. What it shows a second time is not
    /// run a second time.
    AlreadyRun {
        /// The occurrence that was run last.
        last: Timestamp,
        /// What the clock shows.
        now: Timestamp,
    },
    /// No occurrence ever comes.
    Never,
}

/// Why an occurrence is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Running {
    /// Its time has come.
    OnTime {
        /// How long ago.
        late: Duration,
    },
    /// Nobody was there when its time came.
    CaughtUp {
        /// How long ago that was.
        late: Duration,
    },
}

/// Why occurrences are not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotRun {
    /// The policy skips what was missed.
    Skipped {
        /// How late the newest is.
        late: Duration,
    },
    /// They are too late to be of use.
    TooLate {
        /// How late the newest of them is.
        late: Duration,
        /// How late it may be.
        late_max: Duration,
    },
    /// One run stands for them.
    Coalesced {
        /// The occurrence that is run.
        into: Timestamp,
    },
    /// There are more than are caught up with.
    TooMany {
        /// So many are.
        at_most: u32,
    },
}

/// What was noticed about a saved state, or about the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Noticed {
    /// The occurrence that was run last is more than a day in the future: the clock that said so was wrong. It goes on from
    /// what the clock shows now.
    ClockWasAhead {
        /// The occurrence that was run last, as it was saved.
        last: Timestamp,
        /// What the clock shows.
        now: Timestamp,
    },
    /// The schedule is another one than that which was saved. What was run is kept.
    Changed {
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
}

impl Explain for Waiting {
    fn code(&self) -> &'static str {
        match self {
            Self::NotYet { .. } => "schedule.not_yet",
            Self::AlreadyRun { .. } => "schedule.already_run",
            Self::Never => "schedule.never",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet { at } => write!(f, "it is due at {at}"),
            Self::AlreadyRun { last, now } => {
                write!(f, "the clock was set back to {now}, and what was due until {last} has been run")
            }
            Self::Never => f.write_str("nothing is ever due again"),
        }
    }
}

impl Explain for Running {
    fn code(&self) -> &'static str {
        match self {
            Self::OnTime { .. } => "schedule.on_time",
            Self::CaughtUp { .. } => "schedule.caught_up",
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTime { late } if late.is_zero() => f.write_str("its time has come"),
            Self::OnTime { late } => write!(f, "its time came {late:?} ago"),
            Self::CaughtUp { late } => write!(f, "its time came {late:?} ago, when nobody was there"),
        }
    }
}

impl Explain for NotRun {
    fn code(&self) -> &'static str {
        match self {
            Self::Skipped { .. } => "schedule.skipped",
            Self::TooLate { .. } => "schedule.too_late",
            Self::Coalesced { .. } => "schedule.coalesced",
            Self::TooMany { .. } => "schedule.too_many",
        }
    }
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { late } => write!(f, "it was missed {late:?} ago, and what is missed is skipped"),
            Self::TooLate { late, late_max } => {
                write!(f, "it was missed {late:?} ago; after {late_max:?} it is not caught up with")
            }
            Self::Coalesced { into } => write!(f, "one run, that of {into}, stands for all that was missed"),
            Self::TooMany { at_most } => {
                write!(f, "at most {at_most} are caught up with, and newer ones are")
            }
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = if self.count.exact { "" } else { "at least " };
        let (number, oldest, newest) = (self.count.number, self.oldest.nominal, self.newest.nominal);
        match number {
            1 => write!(f, "that of {newest}: {}", self.why),
            _ => write!(f, "{least}{number}, from {oldest} to {newest}: {}", self.why),
        }
    }
}

impl Explain for Missed {
    fn code(&self) -> &'static str {
        self.why.code()
    }
}

impl Explain for Noticed {
    fn code(&self) -> &'static str {
        match self {
            Self::ClockWasAhead { .. } => "schedule.clock_was_ahead",
            Self::Changed { .. } => "schedule.changed",
        }
    }
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockWasAhead { last, now } => write!(
                f,
                "the occurrence that was run last is of {last}, and it is {now}: the clock was wrong then, and it goes on from now"
            ),
            Self::Changed { from, to } => write!(f, "the schedule was {from}, and is {to}"),
        }
    }
}
