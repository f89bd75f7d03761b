//! One time at which a schedule is due.

use std::fmt;
use std::iter::FusedIterator;

use chrono::{DateTime, FixedOffset, NaiveDateTime};

use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::decide::schedule::form::Schedule;

/// One time at which a schedule is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The instant that the schedule means: what is stored, compared and counted from.
    pub nominal: Timestamp,
    /// The nominal instant and the jitter: when it is to begin.
    pub at: Timestamp,
    /// What the clocks of the schedule's zone show at the nominal instant; those of UTC for intervals and single instants.
    pub local: DateTime<FixedOffset>,
    /// What a change of the clocks has to do with it.
    pub note: Note,
}

/// What a change of the clocks has to do with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Nothing.
    Normal,
    /// The clocks skip the time that was wanted; this is the first instant after the gap.
    MovedOutOfGap {
        /// The local time that does not exist; where the gap holds several, the first.
        wanted: NaiveDateTime,
    },
    /// The clocks show the time twice; this is the first time, and there is no second run.
    FirstOfOverlap,
}

/// How many occurrences there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So many; if it is not exact, at least so many.
    pub number: u64,
    /// Whether all of them were counted.
    pub exact: bool,
}

/// The occurrences after an instant, one after another. Without an end for most schedules: take as many as are needed.
#[derive(Clone, Debug)]
pub struct Upcoming<'a> {
    schedule: &'a Schedule,
    after: Option<Timestamp>,
}

impl<'a> Upcoming<'a> {
    pub(super) const fn new(schedule: &'a Schedule, after: Timestamp) -> Self {
        Self { schedule, after: Some(after) }
    }
}

impl Iterator for Upcoming<'_> {
    type Item = Occurrence;

    fn next(&mut self) -> Option<Occurrence> {
        let next = self.schedule.next_after(self.after?);
        self.after = next.map(|occurrence| occurrence.nominal);
        next
    }
}

impl FusedIterator for Upcoming<'_> {}

impl Explain for Note {
    fn code(&self) -> &'static str {
        match self {
            Self::Normal => "schedule.normal",
            Self::MovedOutOfGap { .. } => "schedule.moved_out_of_gap",
            Self::FirstOfOverlap => "schedule.first_of_overlap",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("the clocks show this time once"),
            Self::MovedOutOfGap { wanted } => {
                write!(f, "the clocks skip {wanted}; this is the first instant after the gap")
            }
            Self::FirstOfOverlap => f.write_str("the clocks show this time twice; this is the first"),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, exact } = self;
        if *exact { write!(f, "{number}") } else { write!(f, "at least {number}") }
    }
}
