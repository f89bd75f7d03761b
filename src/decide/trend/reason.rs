//! What a trend says, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::time::Timestamp;

/// What one more observation changes.
#[must_use = "an alert is told once"]
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// Too little is known to judge it.
    Learning {
        /// How many were learned from.
        seen: u64,
        /// How many there have to be.
        needed: u32,
    },
    /// As usual.
    Steady {
        /// The sum: 0 while all is well.
        score: f64,
        /// What it has to pass.
        threshold: f64,
    },
    /// The share has risen; told once, until it has fallen again.
    Alert(Alert),
    /// The alert stands.
    Open {
        /// Since when it was told.
        since: Timestamp,
        /// How many came since then.
        of: u64,
        /// How many of them were bad.
        bad: u64,
    },
    /// The share has fallen again.
    Recovered(Recovered),
}

impl Observed {
    /// In one word, as `simulate` prints it: `none`, `alert` or `recover`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Learning { .. } | Self::Steady { .. } | Self::Open { .. } => "none",
            Self::Alert(_) => "alert",
            Self::Recovered(_) => "recover",
        }
    }
}

impl Explain for Observed {
    fn code(&self) -> &'static str {
        match self {
            Self::Learning { .. } => "trend.learning",
            Self::Steady { .. } => "trend.steady",
            Self::Alert(alert) => alert.code(),
            Self::Open { .. } => "trend.open",
            Self::Recovered(recovered) => recovered.code(),
        }
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Learning { seen, needed } => {
                write!(f, "{seen} were learned from, nothing is judged before {needed}")
            }
            Self::Steady { score, threshold } => {
                write!(f, "as usual: the sum is {score:.1} and would have to pass {threshold}")
            }
            Self::Alert(alert) => alert.fmt(f),
            Self::Open { since, of, bad } => {
                write!(f, "the alert of {} stands: {bad} of {of} since then were bad", second(*since))
            }
            Self::Recovered(recovered) => recovered.fmt(f),
        }
    }
}

/// Why there is an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The share is greater than it was.
    Worse,
    /// Most have been bad from the first one on: there is no usual share to compare with.
    BadFromTheStart,
}

/// A share that has risen, with all that was compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Alert {
    /// Why.
    pub cause: Cause,
    /// When it was noticed.
    pub at: Timestamp,
    /// Since when, as far as one can tell: when the sum last left zero.
    pub since: Timestamp,
    /// How many came since then.
    pub of: u64,
    /// How many of them were bad.
    pub bad: u64,
    /// How many were learned from; 0 if they are the same.
    pub usual_of: u64,
    /// How many of those were bad.
    pub usual_bad: u64,
    /// The share that is taken for usual: the upper limit that those allow.
    pub usual: f64,
    /// The share that was looked for.
    pub worse: f64,
    /// The sum.
    pub score: f64,
    /// What it has passed.
    pub threshold: f64,
    /// What this could find, and how fast.
    pub power: Power,
}

/// What a trend can find with what it has learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Power {
    /// After about how many observations a share of 10 % is found; `None` if it cannot be told from the usual one.
    pub ten_percent: Option<u32>,
    /// The same for 30 %.
    pub thirty_percent: Option<u32>,
    /// The same if all are bad.
    pub all: Option<u32>,
    /// There is at most one false alert in so many.
    pub false_one_in: u32,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = |share: &str, after: Option<u32>| match after {
            Some(after) => format!("{share} after about {after}"),
            None => format!("{share} not at all"),
        };
        let shares = [("10 %", self.ten_percent), ("30 %", self.thirty_percent), ("100 %", self.all)];
        let [ten, thirty, all] = shares.map(|(share, after)| found(share, after));
        write!(f, "it finds {ten}, {thirty}, {all}, with at most one false alert in {}", self.false_one_in)
    }
}

impl Explain for Alert {
    fn code(&self) -> &'static str {
        match self.cause {
            Cause::Worse => "trend.worse",
            Cause::BadFromTheStart => "trend.bad_from_the_start",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, bad, usual_of, usual_bad, score, threshold, .. } = self;
        match self.cause {
            Cause::Worse => write!(
                f,
                "{bad} of {of} since {} were bad, usual is {usual_bad} of {usual_of} (at most {:.1} %): the sum {score:.1} \
                 has passed {threshold}; {}",
                second(self.since),
                100.0 * self.usual,
                self.power
            ),
            Cause::BadFromTheStart => write!(
                f,
                "{bad} of {of} since {} were bad, from the first one on: nothing is known that was better",
                second(self.since)
            ),
        }
    }
}

/// A share that has fallen to the usual one again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recovered {
    /// When that was noticed.
    pub at: Timestamp,
    /// When the alert was.
    pub since: Timestamp,
    /// How many came while the alert stood.
    pub of: u64,
    /// How many of them were bad.
    pub bad: u64,
}

impl Explain for Recovered {
    fn code(&self) -> &'static str {
        "trend.recovered"
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, of, bad, .. } = self;
        write!(f, "as usual again: {bad} of {of} were bad since the alert of {}", second(*since))
    }
}

fn second(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
