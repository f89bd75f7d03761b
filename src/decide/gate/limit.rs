//! What a signal may be.

use serde::{Deserialize, Serialize};

use crate::decide::gate::sample::Reading;
use crate::decide::gate::signal::Signal;

/// What it means that a signal cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is passed over.
    Open,
    /// It keeps the gate closed.
    Closed,
}

/// Between what a signal closes the gate and lets it open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bound {
    /// Much of it is bad.
    Above {
        /// Above this it closes.
        close: f64,
        /// Below this it may open; at most `close`.
        open: f64,
    },
    /// Little of it is bad.
    Below {
        /// Below this it closes.
        close: f64,
        /// Above this it may open; at least `close`.
        open: f64,
    },
    /// It has to be so.
    Yes,
}

/// One limit of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub(super) signal: Signal,
    pub(super) bound: Bound,
    pub(super) missing: Missing,
}

/// What a reading means for a limit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judged {
    Good,
    /// Between the thresholds.
    Between,
    Bad,
    Measuring(std::time::Duration),
    /// It cannot be read; this is said of it.
    Missing(String),
}

impl Limit {
    pub(super) const fn new(signal: Signal, bound: Bound) -> Self {
        let missing = match signal {
            Signal::Pressure { .. } => Missing::Open,
            _ => Missing::Closed,
        };
        Self { signal, bound, missing }
    }

    /// Of what.
    #[must_use]
    pub const fn signal(&self) -> &Signal {
        &self.signal
    }

    /// What it may be.
    #[must_use]
    pub const fn bound(&self) -> Bound {
        self.bound
    }

    /// What it means that it cannot be read.
    #[must_use]
    pub const fn missing(&self) -> Missing {
        self.missing
    }

    pub(super) fn judge(&self, reading: Option<&Reading>) -> Judged {
        match (reading, self.bound) {
            (None, _) => Judged::Missing(String::from("the sample does not hold it")),
            (Some(Reading::Missing(why)), _) => Judged::Missing(why.clone()),
            (Some(Reading::Measuring(due)), _) => Judged::Measuring(*due),
            (Some(Reading::Number(number)), Bound::Above { .. } | Bound::Below { .. })
                if !number.is_finite() =>
            {
                Judged::Missing(format!("{number} is no number that can be compared"))
            }
            (Some(Reading::Number(number)), Bound::Above { close, open }) => {
                sides(*number < open, *number > close, close == open)
            }
            (Some(Reading::Number(number)), Bound::Below { close, open }) => {
                sides(*number > open, *number < close, close == open)
            }
            (Some(Reading::Is(is)), Bound::Yes) => sides(*is, !*is, true),
            (Some(Reading::Is(_)), _) => Judged::Missing(String::from("it says yes or no, not a number")),
            (Some(Reading::Number(_)), Bound::Yes) => {
                Judged::Missing(String::from("it says a number, not yes or no"))
            }
        }
    }
}

/// Where the thresholds are the same nothing lies between them: what is not good is bad.
const fn sides(good: bool, bad: bool, same: bool) -> Judged {
    if good {
        Judged::Good
    } else if bad || same {
        Judged::Bad
    } else {
        Judged::Between
    }
}
