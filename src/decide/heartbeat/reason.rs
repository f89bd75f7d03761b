//! What a heart tells, and why.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::{Timestamp, between};

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Put aside by a person: nothing is expected.
    Paused,
    /// Declared, or resumed, and never seen to succeed.
    New,
    /// Well.
    Up,
    /// Past its time, or not begun in time.
    Late,
    /// Silent for twice its interval: taken for dead.
    Overdue,
    /// It has failed as often as it may in a row; stays so until it succeeds, also if it is silent then.
    Failing,
}

impl State {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::New => "new",
            Self::Up => "up",
            Self::Late => "late",
            Self::Overdue => "overdue",
            Self::Failing => "failing",
        }
    }

    /// Whether a person should see to it: overdue or failing.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Overdue | Self::Failing)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A change of state, told once.
#[must_use = "an event is told once"]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// When it was noticed.
    pub at: Timestamp,
    /// The state before.
    pub from: State,
    /// The state now; the same where only what was not told is summed up.
    pub to: State,
    /// Why.
    pub why: Why,
}

impl Event {
    /// Whether it is no more than a hint: that a success is late, and that it came after all. A job that takes now a little longer and
    /// now a little less is late each time, and nobody wants to hear of it.
    #[must_use]
    pub const fn is_hint(&self) -> bool {
        self.why.is_hint()
    }
}

impl Why {
    pub(super) const fn is_hint(&self) -> bool {
        matches!(self, Self::Late { .. } | Self::CameLate { .. })
    }
}

impl Explain for Event {
    fn code(&self) -> &'static str {
        self.why.code()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.to, self.why)
    }
}

/// Why a state is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// It has succeeded for the first time.
    FirstSuccess {
        /// When it was declared, or resumed.
        since: Timestamp,
    },
    /// It succeeds again.
    Recovered {
        /// How it was.
        from: State,
        /// Since when.
        since: Timestamp,
        /// When it is well again.
        at: Timestamp,
    },
    /// It has succeeded, later than it was to.
    CameLate {
        /// Since when it was late.
        since: Timestamp,
        /// When it succeeded.
        at: Timestamp,
    },
    /// No success came in its time.
    Late {
        /// The last success; `None` if there never was one.
        last: Option<Timestamp>,
        /// When it was to have succeeded.
        due: Timestamp,
    },
    /// No run was begun in its time.
    NotStarted {
        /// The last success; `None` if there never was one.
        last: Option<Timestamp>,
        /// When a run was to have begun.
        due: Timestamp,
    },
    /// It is silent: no success for twice its interval, or at two expected instants.
    Overdue {
        /// The last success; `None` if there never was one.
        last: Option<Timestamp>,
        /// When it was late.
        late: Timestamp,
        /// When it is taken for dead.
        due: Timestamp,
    },
    /// It said that it has failed.
    Failed {
        /// How often in a row.
        in_a_row: u32,
        /// How often it may not.
        limit: u32,
        /// What it said, up to 200 bytes.
        said: String,
    },
    /// A run has not ended in its time.
    RanTooLong {
        /// Which; empty if it has no id.
        run: String,
        /// When it began.
        began: Timestamp,
        /// How long it may take.
        limit: Duration,
    },
    /// A run made no progress for as long as its lease.
    Stalled {
        /// Which; empty if it has no id.
        run: String,
        /// When it last made some.
        last: Timestamp,
        /// The lease.
        lease: Duration,
    },
    /// A run succeeded sooner than is possible.
    TooFast {
        /// Which; empty if it has no id.
        run: String,
        /// How long it took.
        took: Duration,
        /// How long it takes at least.
        limit: Duration,
    },
    /// A person has put it aside.
    Paused,
    /// It is expected again.
    Resumed,
    /// Its state changes too often for each change to be told.
    Unsteady {
        /// How often it did.
        changes: u32,
        /// Within how long.
        span: Duration,
    },
    /// Its state has not changed for a while.
    Steady {
        /// For how long.
        span: Duration,
        /// How many changes were not told.
        untold: u32,
    },
}

impl Explain for Why {
    fn code(&self) -> &'static str {
        match self {
            Self::FirstSuccess { .. } => "heartbeat.first_success",
            Self::Recovered { .. } => "heartbeat.recovered",
            Self::CameLate { .. } => "heartbeat.came_late",
            Self::Late { .. } => "heartbeat.late",
            Self::NotStarted { .. } => "heartbeat.not_started",
            Self::Overdue { .. } => "heartbeat.overdue",
            Self::Failed { .. } => "heartbeat.failed",
            Self::RanTooLong { .. } => "heartbeat.ran_too_long",
            Self::Stalled { .. } => "heartbeat.stalled",
            Self::TooFast { .. } => "heartbeat.too_fast",
            Self::Paused => "heartbeat.paused",
            Self::Resumed => "heartbeat.resumed",
            Self::Unsteady { .. } => "heartbeat.unsteady",
            Self::Steady { .. } => "heartbeat.steady",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstSuccess { since } => {
                write!(f, "it has succeeded, for the first time since it is expected ({})", second(*since))
            }
            Self::Recovered { from, since, at } => {
                let was = text::about(between(*since, *at));
                write!(f, "it succeeds again after it was {from} for {was}, since {}", second(*since))
            }
            Self::CameLate { since, at } => {
                let late = text::about(between(*since, *at));
                write!(f, "it has succeeded, {late} after it was found to be late")
            }
            Self::Late { last, due } => {
                write!(f, "it was to have succeeded by {}, {}", second(*due), Last(*last))
            }
            Self::NotStarted { last, due } => {
                write!(f, "it was to have begun by {}, {}", second(*due), Last(*last))
            }
            Self::Overdue { last, late, due } => write!(
                f,
                "it is silent: late since {}, given up at {}, {}",
                second(*late),
                second(*due),
                Last(*last)
            ),
            Self::Failed { in_a_row: 1, said, .. } => write!(f, "it has failed{}", Said(said)),
            Self::Failed { in_a_row, limit, said } => {
                write!(f, "it has failed {in_a_row} times in a row, the limit is {limit}{}", Said(said))
            }
            Self::RanTooLong { run, began, limit } => {
                let limit = text::about(*limit);
                write!(f, "{} that began at {} has not ended within {limit}", Run(run), second(*began))
            }
            Self::Stalled { run, last, lease } => {
                let lease = text::about(*lease);
                write!(f, "{} has made no progress for {lease}, since {}", Run(run), second(*last))
            }
            Self::TooFast { run, took, limit } => {
                let (took, limit) = (text::about(*took), text::about(*limit));
                write!(f, "{} says it succeeded after {took}, and no run takes less than {limit}", Run(run))
            }
            Self::Paused => f.write_str("a person has put it aside"),
            Self::Resumed => f.write_str("it is expected again"),
            Self::Unsteady { changes, span } => {
                let span = text::about(*span);
                write!(
                    f,
                    "its state has changed {changes} times within {span}; no more is told until it is quiet"
                )
            }
            Self::Steady { span, untold } => {
                let span = text::about(*span);
                write!(f, "its state has not changed for {span}; {untold} changes before were not told")
            }
        }
    }
}

struct Last(Option<Timestamp>);

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(last) => write!(f, "and last did so at {}", second(last)),
            None => f.write_str("and was never seen to succeed"),
        }
    }
}

struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

struct Run<'a>(&'a str);

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("a run") } else { write!(f, "the run {}", self.0) }
    }
}

pub(super) fn second(at: Timestamp) -> String {
    text::second(at).to_string()
}
