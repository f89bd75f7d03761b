//! What is noted, until it is written.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::base::subject::Subject;
use crate::base::time::{Moment, Now, Timestamp};

/// More are not kept.
const PENDING_MAX: usize = 4096;

impl Subject {
    /// Under which name its statistics are saved, among the `snapshots` of the store: `statistics/job/NAME`. Of a name of more
    /// than 400 bytes only so many count.
    #[must_use]
    pub fn key(&self) -> String {
        format!("statistics/{}", self.path())
    }
}

/// What can become worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stream {
    /// It did not succeed.
    Failed,
    /// It took more than one attempt.
    Retried,
    /// It ended where only a person goes on.
    DeadLettered,
    /// It took longer than the usual median.
    SlowerThanMedian,
    /// It took longer than the usual 95th percentile.
    SlowerThanP95,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Failed, Self::Retried, Self::DeadLettered, Self::SlowerThanMedian, Self::SlowerThanP95];

    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::DeadLettered => "dead_lettered",
            Self::SlowerThanMedian => "slower_than_median",
            Self::SlowerThanP95 => "slower_than_p95",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How something has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    pub(super) failed: bool,
    pub(super) retried: Option<bool>,
    pub(super) dead_lettered: Option<bool>,
    pub(super) duration: Option<Duration>,
}

impl Ended {
    /// It succeeded, after so long.
    #[must_use]
    pub const fn ok(duration: Duration) -> Self {
        Self { failed: false, retried: None, dead_lettered: None, duration: Some(duration) }
    }

    /// It failed. How long that took is not compared: what fails at once would make what is usual faster.
    #[must_use]
    pub const fn failed() -> Self {
        Self { failed: true, retried: None, dead_lettered: None, duration: None }
    }

    /// Whether it took more than one attempt; not said, it does not count for that.
    #[must_use]
    pub const fn retried(mut self, retried: bool) -> Self {
        self.retried = Some(retried);
        self
    }

    /// Whether only a person can go on with it; not said, it does not count for that.
    #[must_use]
    pub const fn dead_lettered(mut self, dead: bool) -> Self {
        self.dead_lettered = Some(dead);
        self
    }
}

/// Something that happened to a subject.
#[derive(Clone, Debug)]
pub(super) enum Happened {
    Ended(Ended),
    /// It was asked for once more, and had been done.
    Duplicate,
    /// It was not done now, and nothing was tried: the code says why.
    Refused(String),
    /// Somebody else took over what was worked on here.
    LeaseLost,
    /// A step of it took so long.
    Step(String, Duration),
}

/// What was noted of a subject.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) subject: Subject,
    pub(super) happened: Happened,
    pub(super) moment: Moment,
    pub(super) wall: Timestamp,
}

/// What was noted and is not written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    noted: VecDeque<Noted>,
    lost: u64,
}

impl Pending {
    pub(super) fn push(&mut self, subject: &Subject, happened: Happened, now: Now) {
        self.noted.push_back(Noted {
            subject: subject.clone(),
            happened,
            moment: now.moment,
            wall: now.wall,
        });
        self.bound();
    }

    pub(super) fn len(&self) -> usize {
        self.noted.len()
    }

    pub(super) fn oldest(&self) -> Option<Moment> {
        self.noted.front().map(|noted| noted.moment)
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn take(&mut self) -> VecDeque<Noted> {
        std::mem::take(&mut self.noted)
    }

    /// Puts back what could not be written, before what came since.
    pub(super) fn put_back(&mut self, mut noted: VecDeque<Noted>) {
        noted.append(&mut self.noted);
        self.noted = noted;
        self.bound();
    }

    fn bound(&mut self) {
        while self.noted.len() > PENDING_MAX {
            self.noted.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
    }
}
