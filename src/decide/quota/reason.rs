//! What a quota decides, and why.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::decide::quota::meter::Taken;

/// Whether it may be done now.
#[must_use = "what is refused must not be done"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It may, and is counted.
    Allow {
        /// Why.
        why: Allowing,
    },
    /// It may not, and is not counted.
    Refuse {
        /// Why not.
        why: Refusing,
        /// How long until it may, if nobody else takes it; [`Duration::MAX`] if it never may.
        wait: Duration,
        /// When that is.
        retry_at: Timestamp,
    },
}

/// Whether a place was taken, now or a little later.
#[must_use = "a place that is not used is given back"]
#[derive(Debug, PartialEq, Eq)]
pub enum Reserve {
    /// Go on.
    Ready(Taken),
    /// The place is taken; wait for it, then go on.
    Wait {
        /// The place.
        taken: Taken,
        /// How long until it is there.
        delay: Duration,
        /// Why not now.
        why: Refusing,
    },
    /// Nothing is taken: the wait is too long.
    Refuse {
        /// Why not.
        why: Refusing,
        /// How long it would be; [`Duration::MAX`] if no wait helps.
        wait: Duration,
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
}

/// Why it may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowing {
    /// The quota has room.
    Within {
        /// How many were asked for.
        n: u32,
        /// How many more may be done at once after this.
        left: u32,
        /// How many in a period.
        limit: u32,
        /// The period.
        period: Duration,
        /// How many at once.
        burst: u32,
    },
    /// The calendar's period has room.
    Calendar {
        /// How many were asked for.
        n: u32,
        /// How many of the period are used with them.
        used: u32,
        /// How many it has.
        limit: u32,
        /// When it ends.
        resets_at: Timestamp,
    },
    /// The same, after the wall clock went back into a period that had ended: what was used since is carried into it.
    Carried {
        /// How many were asked for.
        n: u32,
        /// How many are used with them.
        used: u32,
        /// How many the period has.
        limit: u32,
        /// When it ends.
        resets_at: Timestamp,
    },
}

/// Why it may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// The quota has less than that now.
    Spent {
        /// How many were asked for.
        n: u32,
        /// How many may be done at once now.
        left: u32,
        /// How many in a period.
        limit: u32,
        /// The period.
        period: Duration,
        /// How many at once.
        burst: u32,
    },
    /// More than there ever are at once: no wait helps.
    TooMany {
        /// How many were asked for.
        n: u32,
        /// How many at once.
        most: u32,
    },
    /// The calendar's period has less than that left.
    Calendar {
        /// How many were asked for.
        n: u32,
        /// How many are used.
        used: u32,
        /// How many the period has.
        limit: u32,
        /// When it ends.
        resets_at: Timestamp,
    },
    /// The same, after the wall clock went back into a period that had ended: what was used since is carried into it.
    Carried {
        /// How many were asked for.
        n: u32,
        /// How many are used.
        used: u32,
        /// How many the period has.
        limit: u32,
        /// When it ends.
        resets_at: Timestamp,
    },
}

/// What was noticed while a snapshot was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restoring {
    /// The limit has changed since: as many as were owed are owed still, at most the new burst.
    ConfigurationChanged,
    /// The wall clock is before the instant of saving; the time since is taken as zero.
    ClockSteppedBack {
        /// By how much.
        by: Duration,
    },
}

impl Explain for Allowing {
    fn code(&self) -> &'static str {
        match self {
            Self::Within { .. } => "quota.within",
            Self::Calendar { .. } => "quota.within_calendar",
            Self::Carried { .. } => "quota.within_carried",
        }
    }
}

impl fmt::Display for Allowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within { n, left, limit, period, burst } => {
                write!(f, "{n} taken, {left} of {burst} are left at once, {limit} come back in {period:?}")
            }
            Self::Calendar { n, used, limit, resets_at } => {
                write!(f, "{n} taken, {used} of {limit} are used until {resets_at}")
            }
            Self::Carried { n, used, limit, resets_at } => {
                write!(
                    f,
                    "{n} taken, {used} of {limit} are used until {resets_at}, carried over as the clock went back"
                )
            }
        }
    }
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::Spent { .. } => "quota.spent",
            Self::TooMany { .. } => "quota.too_many",
            Self::Calendar { .. } => "quota.spent_calendar",
            Self::Carried { .. } => "quota.spent_carried",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spent { n, left, limit, period, burst } => {
                write!(f, "{n} asked for, {left} of {burst} are left, {limit} come back in {period:?}")
            }
            Self::TooMany { n, most } => write!(f, "{n} asked for, there are never more than {most} at once"),
            Self::Calendar { n, used, limit, resets_at } => {
                write!(f, "{n} asked for, {used} of {limit} are used until {resets_at}")
            }
            Self::Carried { n, used, limit, resets_at } => {
                write!(
                    f,
                    "{n} asked for, {used} of {limit} are used until {resets_at}, carried over as the clock went back"
                )
            }
        }
    }
}

impl Explain for Restoring {
    fn code(&self) -> &'static str {
        match self {
            Self::ConfigurationChanged => "quota.configuration_changed",
            Self::ClockSteppedBack { .. } => "quota.clock_stepped_back",
        }
    }
}

impl fmt::Display for Restoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigurationChanged => {
                f.write_str("the limit has changed, so what was owed is kept, at most the new burst")
            }
            Self::ClockSteppedBack { by } => {
                write!(f, "the wall clock is {by:?} before what was saved, so no time has passed")
            }
        }
    }
}
