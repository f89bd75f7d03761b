//! What is decided of an alert, and why.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::text::{self, second};
use crate::base::time::{Timestamp, between};
use crate::decide::alert::machine::Rule;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a page that is not sent tells nobody"]
pub enum Decision {
    /// A person is to be told.
    Page(Paging),
    /// Not now: it was told, or somebody sees to it.
    Suppressed(Suppressing),
    /// Nobody is told, by the job's rule; it is listed.
    Recorded(Recording),
    /// It is over.
    Resolved(Resolving),
    /// Nothing has changed.
    Nothing,
}

/// Why a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Paging {
    /// It has begun.
    First,
    /// It goes on.
    Again {
        /// How often it was told before.
        paged: u32,
        /// Since when it goes on.
        since: Timestamp,
        /// How often it has happened since.
        count: u64,
        /// How often since it was last told.
        untold: u64,
    },
}

/// Why a person is not told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Suppressing {
    /// It was told a short while ago.
    Paged {
        /// Until when it is not told again.
        until: Timestamp,
        /// How often it has happened since it was told.
        count: u64,
    },
    /// Somebody sees to it.
    Acknowledged {
        /// Until when; without an end, until it is over.
        until: Option<Timestamp>,
        /// How often it has happened since it was told.
        count: u64,
    },
}

/// Why nobody is told at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recording {
    /// The job's rule.
    pub rule: Rule,
    /// How often it has happened.
    pub count: u64,
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resolving {
    /// When it began.
    pub since: Timestamp,
    /// When it last happened.
    pub last: Timestamp,
    /// For how long nothing has.
    pub quiet: Duration,
    /// How often it happened.
    pub count: u64,
    /// How often it was told; where it never was, neither is its end.
    pub paged: u32,
}

impl Explain for Paging {
    fn code(&self) -> &'static str {
        match self {
            Self::First => "alert.first",
            Self::Again { .. } => "alert.again",
        }
    }
}

impl fmt::Display for Paging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("it has begun, and a person is told"),
            Self::Again { paged, since, count, untold } => {
                let since = second(*since);
                write!(
                    f,
                    "it goes on since {since}, {count} times so far, {untold} since it was last told;"
                )?;
                write!(f, " it was told {}", text_times(u64::from(*paged)))
            }
        }
    }
}

impl Explain for Suppressing {
    fn code(&self) -> &'static str {
        match self {
            Self::Paged { .. } => "alert.suppressed",
            Self::Acknowledged { .. } => "alert.acknowledged",
        }
    }
}

impl fmt::Display for Suppressing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paged { until, count } => {
                let until = second(*until);
                write!(f, "it was told, and is not told again before {until}; {} since", text_times(*count))
            }
            Self::Acknowledged { until: Some(until), count } => {
                write!(f, "somebody sees to it, until {}; {} since", second(*until), text_times(*count))
            }
            Self::Acknowledged { until: None, count } => {
                write!(f, "somebody sees to it, until it is over; {} since", text_times(*count))
            }
        }
    }
}

impl Explain for Recording {
    fn code(&self) -> &'static str {
        "alert.recorded"
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is recorded and not told, by the rule {}; {} so far", self.rule, text_times(self.count))
    }
}

impl Explain for Resolving {
    fn code(&self) -> &'static str {
        "alert.resolved"
    }
}

impl fmt::Display for Resolving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasted = text::about(between(self.since, self.last));
        let quiet = text::about(self.quiet);
        write!(f, "it is over: nothing has happened for {quiet}; before that {}", text_times(self.count))?;
        if self.count > 1 { write!(f, " within {lasted}") } else { Ok(()) }
    }
}

impl Explain for Decision {
    fn code(&self) -> &'static str {
        match self {
            Self::Page(why) => why.code(),
            Self::Suppressed(why) => why.code(),
            Self::Recorded(why) => why.code(),
            Self::Resolved(why) => why.code(),
            Self::Nothing => "alert.nothing",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(why) => why.fmt(f),
            Self::Suppressed(why) => why.fmt(f),
            Self::Recorded(why) => why.fmt(f),
            Self::Resolved(why) => why.fmt(f),
            Self::Nothing => f.write_str("nothing has changed"),
        }
    }
}

fn text_times(count: u64) -> String {
    match count {
        1 => String::from("once"),
        2 => String::from("twice"),
        count => format!("{count} times"),
    }
}
