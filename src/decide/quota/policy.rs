//! The limits: so many in a period, or so many until a time of day.

use std::time::Duration;

use crate::base::bucket::{DEPTH_MAX, Rate};
use crate::base::time::nanos;
use crate::decide::quota::calendar::Calendar;

const PERIOD_MIN: Duration = Duration::from_millis(1);
const PERIOD_MAX: Duration = Duration::from_secs(3660 * 86_400);

/// So many in a period, evenly: the generic cell rate algorithm.
///
/// One token comes back each `period / limit` (rounded up to a whole nanosecond), and at most `burst` are there at once;
/// by default the burst is the limit.
///
/// **The bound.** Within any span of time `t`, both ends counted, at most `burst + t * limit / period` are admitted, and
/// [`most_within`](Self::most_within) gives the exact number. So after an idle time one period may see the burst and the
/// whole limit beside it, twice the limit by default; where the other side counts a window that slides, use
/// [`strict`](Self::strict).
///
/// ```
/// use std::time::Duration;
/// use unattended::quota::Quota;
///
/// let quota = Quota::per_minute(60)?;
/// assert_eq!(quota.most_within(Duration::from_secs(60)), 120);
/// assert_eq!(quota.burst(5)?.most_within(Duration::from_secs(60)), 65);
/// assert_eq!(quota.strict()?.most_within(Duration::from_secs(60)), 60);
/// # Ok::<(), unattended::quota::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    limit: u32,
    period: Duration,
    burst: u32,
    strict: bool,
    rate: Rate,
}

impl Quota {
    /// `limit` in each `period`, and as many at once.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a `limit` of zero or of more than one a nanosecond, for a `period` under 1 ms or over 3660
    /// days.
    pub fn new(limit: u32, period: Duration) -> Result<Self, Error> {
        Self::made(limit, period, limit, false)
    }

    /// `limit` in each second.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_second(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(1))
    }

    /// `limit` in each minute.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_minute(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(60))
    }

    /// `limit` in each hour.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_hour(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(3600))
    }

    /// `limit` in each 24 hours. For one that starts anew at somebody's midnight: [`Calendar`].
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_day(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(86_400))
    }

    /// At most `burst` at once, 1 or more; of a [strict](Self::strict) quota at most the limit.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for zero, and for a burst that takes more than 100 years to come back.
    pub fn burst(self, burst: u32) -> Result<Self, Error> {
        Self::made(self.limit, self.period, burst, self.strict)
    }

    /// In no span of one period more than `limit`.
    ///
    /// The burst becomes half the limit, rounded up, and the interval is so much longer that burst and refill together
    /// are the limit: about half the limit in each period when it is used steadily, all of it after an idle time. A
    /// smaller [`burst`](Self::burst) set after this gives a higher steady rate: `limit - burst + 1` in each period.
    ///
    /// # Errors
    ///
    /// As [`burst`](Self::burst).
    pub fn strict(self) -> Result<Self, Error> {
        Self::made(self.limit, self.period, self.limit.div_ceil(2), true)
    }

    /// How many in a period.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// How many at once.
    #[must_use]
    pub const fn burst_max(&self) -> u32 {
        self.burst
    }

    /// Whether no span of one period sees more than the limit.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// The time in which one token comes back.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.rate.interval())
    }

    /// The most that is admitted within any span of that length, both ends counted.
    #[must_use]
    pub const fn most_within(&self, span: Duration) -> u64 {
        (self.burst as u64).saturating_add(nanos(span) / self.rate.interval())
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn made(limit: u32, period: Duration, burst: u32, strict: bool) -> Result<Self, Error> {
        if !(PERIOD_MIN..=PERIOD_MAX).contains(&period) {
            let allowed = format!("{PERIOD_MIN:?} to {PERIOD_MAX:?}");
            return Err(Error::Field { field: "period", given: format!("{period:?}"), allowed });
        }
        let span = nanos(period);
        let limit_max = u32::try_from(span).unwrap_or(u32::MAX);
        within("limit", limit, limit_max)?;
        within("burst", burst, if strict { limit } else { u32::MAX })?;
        let interval = if strict {
            // The shortest of which `limit - burst` do not fill a period with one more: burst + floor(period / interval)
            // is then at most the limit.
            span / u64::from(limit - burst + 1) + 1
        } else {
            span.div_ceil(u64::from(limit))
        };
        let Some(rate) = Rate::new(interval, burst) else {
            let most = nanos(DEPTH_MAX) / interval;
            return Err(field("burst", burst, &format!("1 to {most}")));
        };
        Ok(Self { limit, period, burst, strict, rate })
    }
}

/// What a [`Meter`](crate::decide::quota::Meter) counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many in a period.
    Rate(Quota),
    /// So many until a time of day.
    Calendar(Calendar),
}

impl From<Quota> for Limit {
    fn from(quota: Quota) -> Self {
        Self::Rate(quota)
    }
}

impl From<Calendar> for Limit {
    fn from(calendar: Calendar) -> Self {
        Self::Calendar(calendar)
    }
}

/// What is wrong with a limit or with a saved quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("quota: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A snapshot in a format that this version does not know.
    #[error("quota snapshot has version {found}, this program knows {known}")]
    Version {
        /// The version in the snapshot.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// A snapshot that does not say what was counted.
    #[error("quota snapshot lacks {lacks}")]
    Torn {
        /// What it cannot be without.
        lacks: &'static str,
    },
}

pub(super) fn within(name: &'static str, given: u32, max: u32) -> Result<(), Error> {
    if (1..=max).contains(&given) { Ok(()) } else { Err(field(name, given, &format!("1 to {max}"))) }
}

fn field(field: &'static str, given: u32, allowed: &str) -> Error {
    Error::Field { field, given: given.to_string(), allowed: allowed.to_owned() }
}
