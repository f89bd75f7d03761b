//! What a window answers, and why.

use std::fmt;
use std::time::Duration;

use chrono::{NaiveTime, Weekday};

use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::Timestamp;

/// Whether a window is open.
#[must_use = "what is closed is not gone through"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Open {
        /// When it closes; `None` if it never does.
        closes: Option<Timestamp>,
    },
    /// It is not.
    Closed {
        /// When it opens; `None` only at the end of the calendar.
        opens: Option<Timestamp>,
        /// Why not now.
        why: Why,
    },
}

/// Whether something has room in an opening.
#[must_use = "what does not fit is not begun"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fits {
    /// It has, if it begins now.
    Yes,
    /// It has, if it begins later.
    NotBefore {
        /// The first instant at which it could be begun.
        at: Timestamp,
        /// Why not now.
        why: Why,
    },
    /// It is longer than every opening of a year.
    Never {
        /// How long the longest is; zero where none is left.
        longest: Duration,
    },
}

/// Why a window is closed, or not open for long enough.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Hours of this day are still to come.
    BeforeHours {
        /// The day of the week.
        weekday: Weekday,
        /// When the next of them begin, by the clocks of the window.
        opens: NaiveTime,
    },
    /// The hours of this day are over.
    AfterHours {
        /// The day of the week.
        weekday: Weekday,
        /// When the last of them ended, by the clocks of the window.
        closed: NaiveTime,
    },
    /// This day has no hours.
    NotThisDay {
        /// The day of the week.
        weekday: Weekday,
    },
    /// It is closed on this day, or at this time, whatever the hours.
    Blackout {
        /// Why, as whoever made the window said it.
        why: String,
    },
    /// The clocks skip the hours of this day.
    Skipped {
        /// The day of the week.
        weekday: Weekday,
        /// When they would have begun.
        opens: NaiveTime,
    },
    /// It is open, but not for as long as that takes.
    ClosesTooSoon {
        /// When it closes.
        closes: Timestamp,
        /// How long it would have to be open.
        needs: Duration,
    },
}

impl Explain for Why {
    fn code(&self) -> &'static str {
        match self {
            Self::BeforeHours { .. } => "window.before_hours",
            Self::AfterHours { .. } => "window.after_hours",
            Self::NotThisDay { .. } => "window.not_this_day",
            Self::Blackout { .. } => "window.blackout",
            Self::Skipped { .. } => "window.skipped",
            Self::ClosesTooSoon { .. } => "window.closes_too_soon",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeHours { weekday, opens } => {
                write!(f, "the hours of {} begin at {}", text::weekday(*weekday), text::time_of_day(*opens))
            }
            Self::AfterHours { weekday, closed } => {
                write!(
                    f,
                    "the hours of {} have ended at {}",
                    text::weekday(*weekday),
                    text::time_of_day(*closed)
                )
            }
            Self::NotThisDay { weekday } => write!(f, "{} has no hours", text::weekday(*weekday)),
            Self::Blackout { why } => write!(f, "closed: {why}"),
            Self::Skipped { weekday, opens } => {
                write!(
                    f,
                    "the clocks skip the hours of this {}, from {} on",
                    text::weekday(*weekday),
                    text::time_of_day(*opens)
                )
            }
            Self::ClosesTooSoon { closes, needs } => {
                write!(f, "it closes at {closes}, too soon for what takes {needs:?}")
            }
        }
    }
}
