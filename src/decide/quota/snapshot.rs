//! All of a quota that has to survive a restart, as a small value with a version.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::base::bucket::Saved;
use crate::base::time::{Moment, Now, Timestamp, between};
use crate::decide::quota::calendar::Calendar;
use crate::decide::quota::count::Used;
use crate::decide::quota::policy::{Error, Limit, Quota};
use crate::decide::quota::reason::Restoring;

const VERSION: u32 = 1;

/// A quota as it is saved. Instants are wall time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Saved>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendar: Option<Counted>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    limit: u32,
    reset_at: NaiveTime,
    zone: String,
    at: Timestamp,
    resets_at: Timestamp,
    used: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    carried: bool,
}

/// What was noticed while a snapshot was read; empty when all was as it was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// In the order in which it was noticed, at most one of each kind.
    pub reasons: Vec<Restoring>,
}

/// What a snapshot says of a limit at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owed {
    /// Nanoseconds until a rate is full.
    Rate(u64),
    Calendar {
        used: u32,
        carried: bool,
        /// The period to which it belongs; 0 is the one that is.
        index: u32,
    },
}

impl Snapshot {
    /// A quota of which nothing is used.
    #[must_use]
    pub fn fresh(key: &str, limit: &Limit, now: Now) -> Self {
        match limit {
            Limit::Rate(quota) => Self::of_rate(key, quota, 0, now.wall),
            Limit::Calendar(calendar) => {
                let used = Owed::NOTHING.count(calendar, now.wall);
                Self::of_calendar(key, calendar, used, now.wall)
            }
        }
    }

    /// What is limited.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When nothing of it is used any more, if nothing more is taken.
    #[must_use]
    pub fn full_at(&self) -> Option<Timestamp> {
        let calendar = self.calendar.as_ref().map(|calendar| calendar.resets_at);
        self.rate.as_ref().map(Saved::full_at).or(calendar)
    }

    /// How much of the calendar's period is used.
    #[must_use]
    pub fn used(&self) -> Option<u32> {
        self.calendar.as_ref().map(|calendar| calendar.used)
    }

    pub(super) fn of_rate(key: &str, quota: &Quota, debt: u64, wall: Timestamp) -> Self {
        let rate = Some(Saved::new(quota.rate(), debt, wall));
        Self { v: VERSION, key: key.into(), rate, calendar: None }
    }

    pub(super) fn of_calendar(key: &str, calendar: &Calendar, used: Used, wall: Timestamp) -> Self {
        let counted = Counted {
            limit: calendar.limit(),
            reset_at: calendar.reset_at(),
            zone: calendar.zone().to_string(),
            at: wall,
            resets_at: used.period.resets_at,
            used: used.used,
            carried: used.carried,
        };
        Self { v: VERSION, key: key.into(), rate: None, calendar: Some(counted) }
    }

    /// What it says of `limit` at `wall`.
    pub(super) fn owed(&self, limit: &Limit, wall: Timestamp) -> Result<(Owed, Restored), Error> {
        if self.v != VERSION {
            return Err(Error::Version { found: self.v, known: VERSION });
        }
        let mut noticed = Restored::default();
        let changed = |changed: bool| changed.then_some(Restoring::ConfigurationChanged);
        let back = |by: Option<Duration>| by.map(|by| Restoring::ClockSteppedBack { by });
        let owed = match (limit, &self.rate, &self.calendar) {
            (_, None, None) => return Err(Error::Torn { lacks: "rate and calendar" }),
            (Limit::Rate(quota), Some(saved), _) => {
                let debt = saved.debt(quota.rate(), wall);
                noticed.note(changed(debt.changed));
                noticed.note(back(debt.stepped_back));
                Owed::Rate(debt.nanos)
            }
            (Limit::Calendar(calendar), _, Some(counted)) => {
                noticed.note(changed(!counted.is_of(calendar)));
                noticed.note(back(counted.stepped_back(wall)));
                counted.owed(calendar, wall)
            }
            (Limit::Calendar(_), Some(saved), None) => {
                let (used, stepped_back) = saved.tokens(wall);
                noticed.note(changed(true));
                noticed.note(back(stepped_back));
                Owed::Calendar { used, carried: false, index: 0 }
            }
            (Limit::Rate(quota), None, Some(counted)) => {
                noticed.note(changed(true));
                noticed.note(back(counted.stepped_back(wall)));
                let used = if wall < counted.resets_at { counted.used } else { 0 };
                Owed::Rate(quota.rate().cost(used).min(quota.rate().depth()))
            }
        };
        Ok((owed, noticed))
    }
}

impl Restored {
    fn note(&mut self, reason: Option<Restoring>) {
        self.reasons.extend(reason);
    }
}

impl Counted {
    fn is_of(&self, calendar: &Calendar) -> bool {
        self.limit == calendar.limit()
            && self.reset_at == calendar.reset_at()
            && self.zone == calendar.zone().to_string()
    }

    fn stepped_back(&self, wall: Timestamp) -> Option<Duration> {
        Some(between(wall, self.at)).filter(|by| *by > Duration::ZERO)
    }

    fn owed(&self, calendar: &Calendar, wall: Timestamp) -> Owed {
        let (used, carried) = (self.used, self.carried);
        if self.is_of(calendar) {
            let last = self.resets_at.checked_sub_signed(TimeDelta::nanoseconds(1)).unwrap_or(self.resets_at);
            return Owed::Calendar { used, carried, index: calendar.period(last).index };
        }
        // Another reset: what was used before the old one is over.
        let used = if wall < self.resets_at { used } else { 0 };
        Owed::Calendar { used, carried, index: 0 }
    }
}

impl Owed {
    pub(super) const NOTHING: Self = Self::Rate(0);

    pub(super) fn full_at(self, now: Moment) -> u64 {
        match self.debt() {
            0 => 0,
            debt => now.as_nanos().saturating_add(debt),
        }
    }

    pub(super) const fn debt(self) -> u64 {
        match self {
            Self::Rate(debt) => debt,
            Self::Calendar { .. } => 0,
        }
    }

    pub(super) fn count(self, calendar: &Calendar, wall: Timestamp) -> Used {
        let Self::Calendar { used, carried, index } = self else {
            return Used { period: calendar.period(wall), used: 0, carried: false };
        };
        let period = calendar.period_after(index, wall);
        if index == 0 || index == period.index {
            return Used { period, used, carried };
        }
        let ahead = index > period.index;
        Used { period, used: if ahead { used } else { 0 }, carried: ahead }
    }
}
