//! What becomes of occurrences that were missed, and of those that come while the one before still runs.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::decide::schedule::Error;

/// The most occurrences that one look may catch up with.
const AT_MOST_MAX: u32 = 1000;
/// A catch-up is not held back for longer than that, unless told otherwise.
const SPREAD_MAX: Duration = Duration::from_secs(60);
/// An occurrence is not worth catching up with after that, unless told otherwise.
const LATE_MAX: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// What becomes of occurrences that nobody was there for: the process was down, the machine was suspended, the clock was
/// set forward. A misfire, in the field's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are skipped, and recorded.
    Skip,
    /// One run, that of the newest, stands for all of them, if it is not [too late](Policy::late_max).
    #[default]
    Once,
    /// Each is run, one after the other; of more than that, the newest.
    All {
        /// So many; 1 to 1000.
        at_most: u32,
    },
}

/// What happens when an occurrence comes while the run of the one before is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped, and recorded.
    #[default]
    Skip,
    /// It waits for the end of the one before. Of those that come meanwhile [`CatchUp`] says how many are run then: by
    /// default one, that of the newest.
    QueueOne,
    /// The one that runs is asked to stop, and this one runs in its place.
    Replace,
    /// They run side by side.
    Allow,
}

/// What to do with an occurrence whose time has come.
#[must_use = "an occurrence that is not begun is to be recorded"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// Begin.
    Begin,
    /// Begin once the run of the one before has ended.
    Wait,
    /// Stop the run of the one before, then begin.
    Replace,
    /// Do not.
    Skip {
        /// Why not.
        why: Overlapping,
    },
}

/// Why an occurrence is skipped for others of its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlapping {
    /// The run of the one before has not ended.
    StillRuns,
    /// As many run side by side as ever do.
    TooMany {
        /// So many.
        running: usize,
    },
}

impl Overlap {
    /// What to do now that an occurrence is due while so many of its schedule run; side by side at most `most` do.
    pub const fn decide(self, running: usize, most: usize) -> Clash {
        match self {
            _ if running == 0 => Clash::Begin,
            Self::Allow if running < most => Clash::Begin,
            Self::Allow => Clash::Skip { why: Overlapping::TooMany { running } },
            Self::Skip => Clash::Skip { why: Overlapping::StillRuns },
            Self::QueueOne => Clash::Wait,
            Self::Replace => Clash::Replace,
        }
    }
}

impl Explain for Overlapping {
    fn code(&self) -> &'static str {
        match self {
            Self::StillRuns => "schedule.overlap",
            Self::TooMany { .. } => "schedule.too_many_run",
        }
    }
}

impl fmt::Display for Overlapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillRuns => f.write_str("the run of the occurrence before it has not ended"),
            Self::TooMany { running } => write!(f, "{running} before it have not ended"),
        }
    }
}

/// How a [`Ticker`](super::Ticker) treats what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    catch_up: CatchUp,
    late_max: Option<Duration>,
    grace: Duration,
    spread: Option<Duration>,
    overlap: Overlap,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy {
    /// Catch up once, skip overlaps.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            catch_up: CatchUp::Once,
            late_max: None,
            grace: Duration::from_secs(60),
            spread: None,
            overlap: Overlap::Skip,
        }
    }

    /// What becomes of missed occurrences. Default: [`CatchUp::Once`].
    #[must_use]
    pub const fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// How late an occurrence may be to be caught up with; above zero, at most 366 days. Default: the time to the next one,
    /// at most 24 h, for [`CatchUp::Once`]; no bound for [`CatchUp::All`], which has one in number.
    #[must_use]
    pub const fn late_max(mut self, late: Duration) -> Self {
        self.late_max = Some(late);
        self
    }

    /// Up to how late an occurrence counts as on time: a cron process that asks every quarter of an hour says 15 min here.
    /// Default: 60 s; at most 24 h.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// A run that catches up begins within this time, at a moment that depends on the schedule's name alone, so that not
    /// everything starts in the first minute after a reboot. Default: a tenth of the time to the next occurrence, at most
    /// 60 s; at most 24 h.
    #[must_use]
    pub const fn spread(mut self, spread: Duration) -> Self {
        self.spread = Some(spread);
        self
    }

    /// What happens when the run before has not ended. Default: [`Overlap::Skip`].
    #[must_use]
    pub const fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// What becomes of missed occurrences.
    #[must_use]
    pub const fn what_was_missed(&self) -> CatchUp {
        self.catch_up
    }

    /// What happens when the run before has not ended.
    #[must_use]
    pub const fn what_overlaps(&self) -> Overlap {
        self.overlap
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Field`] with the field, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        if let CatchUp::All { at_most } = self.catch_up
            && !(1..=AT_MOST_MAX).contains(&at_most)
        {
            return Err(Error::field("at_most", at_most, format!("1 to {AT_MOST_MAX}")));
        }
        if self.overlap == Overlap::QueueOne && self.catch_up == CatchUp::Skip {
            // What has waited is late, and would be skipped for it.
            return Err(Error::field("catch_up", "skip", "once or all, where overlap is queue_one"));
        }
        if let Some(late) = self.late_max
            && (late.is_zero() || late > YEAR)
        {
            return Err(Error::field("late_max", format!("{late:?}"), "more than 0 s, at most 366 days"));
        }
        for (field, given) in [("grace", self.grace), ("spread", self.spread.unwrap_or_default())] {
            if given > LATE_MAX {
                return Err(Error::field(field, format!("{given:?}"), "at most 24 h"));
            }
        }
        Ok(())
    }

    pub(super) fn is_on_time(&self, late: Duration) -> bool {
        late <= self.grace
    }

    /// How late may be caught up with, where the next occurrence comes `period` later.
    pub(crate) fn late_bound(&self, period: Option<Duration>) -> Duration {
        match (self.late_max, self.catch_up) {
            (Some(late), _) => late,
            (None, CatchUp::All { .. }) => Duration::MAX,
            (None, _) => period.unwrap_or(LATE_MAX).min(LATE_MAX),
        }
    }

    pub(super) fn spread_over(&self, period: Option<Duration>) -> Duration {
        self.spread.unwrap_or_else(|| period.map_or(SPREAD_MAX, |period| period / 10).min(SPREAD_MAX))
    }
}
