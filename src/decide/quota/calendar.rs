//! Quotas that start anew at a time of day, and whose time of day that is.

use std::time::Duration;

use chrono::{Days, NaiveDate, NaiveTime};

use crate::base::time::{Timestamp, later};
use crate::base::zone::Zone;
use crate::decide::quota::policy::{Error, within};

/// A clock that is at most so much before the period that was counted last is taken to be in it: threads that read
/// the clock around a reset, and small corrections, do not start a period twice.
const TOLERANCE: Duration = Duration::from_secs(60);

/// So many until a time of day, when the count starts anew.
///
/// A local time that a change of the clocks skips resets at the first instant after the gap; one that occurs twice
/// resets at the first.
///
/// A wall clock that is set back over a reset does not give the quota a second time: what was used is carried into the
/// period that the clock shows, and starts anew at that period's end.
///
/// ```
/// use chrono::NaiveTime;
/// use unattended::quota::{Admit, Calendar, Meter};
/// use unattended::zone::Zone;
/// use unattended::time::{Clock, System};
///
/// let now = System.now();
/// let meter = Meter::new(Calendar::new(2, NaiveTime::MIN, Zone::Utc)?, now);
/// assert!(matches!(meter.admit_n(2, now), Admit::Allow { .. }));
/// assert!(matches!(meter.admit(now), Admit::Refuse { .. }));
/// # Ok::<(), unattended::quota::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    limit: u32,
    reset_at: NaiveTime,
    zone: Zone,
}

/// The time from one reset to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// The day on which it began, counted from the year 1; it grows from period to period.
    pub(super) index: u32,
    pub(super) resets_at: Timestamp,
}

impl Calendar {
    /// `limit` from one `reset_at` to the next, by the clocks of `zone`.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a `limit` of zero.
    pub fn new(limit: u32, reset_at: NaiveTime, zone: Zone) -> Result<Self, Error> {
        within("limit", limit, u32::MAX)?;
        Ok(Self { limit, reset_at, zone })
    }

    /// How many from one reset to the next.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The time of day at which the count starts anew.
    #[must_use]
    pub const fn reset_at(&self) -> NaiveTime {
        self.reset_at
    }

    /// Whose time of day.
    #[must_use]
    pub const fn zone(&self) -> Zone {
        self.zone
    }

    /// The first reset after `at`. Before the year 1 and after 9998 there is none, and an instant of those ends answers.
    #[must_use]
    pub fn next_reset(&self, at: Timestamp) -> Timestamp {
        self.period(at).resets_at
    }

    pub(super) fn period(&self, at: Timestamp) -> Period {
        let at = at.clamp(edge(1), edge(9998));
        let today = self.zone.local(at).date();
        // The last day that has begun: clocks that go back over midnight can have begun tomorrow already, and where
        // they skip a day, two begin at once.
        let begun = (-1..=2).map(|back| moved(today, -back)).find(|day| self.start(*day) <= at);
        let begun = begun.unwrap_or(today);
        let resets = (1..=3).map(|ahead| self.start(moved(begun, ahead))).find(|start| *start > at);
        Period { index: index(begun), resets_at: resets.unwrap_or(at) }
    }

    /// The period at `at` for a count whose last period was `counted`.
    pub(super) fn period_after(&self, counted: u32, at: Timestamp) -> Period {
        let period = self.period(at);
        if counted <= period.index {
            return period;
        }
        let near = self.period(later(at, TOLERANCE));
        if near.index >= counted { near } else { period }
    }

    fn start(&self, day: NaiveDate) -> Timestamp {
        self.zone.first(day.and_time(self.reset_at))
    }
}

fn edge(year: i32) -> Timestamp {
    // Some days inside, so that days beside it exist.
    NaiveDate::from_ymd_opt(year, 6, 1)
        .map_or(Timestamp::UNIX_EPOCH, |day| day.and_time(NaiveTime::MIN).and_utc())
}

fn moved(day: NaiveDate, by: i64) -> NaiveDate {
    let days = Days::new(by.unsigned_abs());
    let moved = if by < 0 { day.checked_sub_days(days) } else { day.checked_add_days(days) };
    moved.unwrap_or(day)
}

fn index(day: NaiveDate) -> u32 {
    use chrono::Datelike;
    u32::try_from(day.num_days_from_ce()).unwrap_or(0)
}
