//! The schedule: what it is made of, and what it is asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveTime, Timelike, Weekday};

use crate::base::text;
use crate::base::time::{Timestamp, between, later, millis};
use crate::base::zone::Zone;
use crate::decide::schedule::days::{Days, OfWeek};
use crate::decide::schedule::error::Error;
use crate::decide::schedule::fields::Fields;
use crate::decide::schedule::interval::Interval;
use crate::decide::schedule::occurrence::{Count, Note, Occurrence, Upcoming};
use crate::decide::schedule::pattern::{Pattern, Said};

const PERIOD_MIN: Duration = Duration::from_secs(1);
const PERIOD_MAX: Duration = Duration::from_secs(3660 * 86_400);
/// More are not counted one by one.
const COUNT_MAX: u64 = 10_000;

/// Nothing is due before it: 1 June of the year 1. Some days inside the calendar, so that days beside it exist.
pub(crate) const START: Timestamp = edge(-62_122_550_400);
/// Nor after it: 1 June 9998.
pub(crate) const END: Timestamp = edge(253_352_275_200);

/// When something is due, again and again.
///
/// Made by [`every`](Self::every), [`daily`](Self::daily), [`weekly`](Self::weekly), `cron` (feature `cron`) or
/// [`once`](Self::once). Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use unattended::schedule::Schedule;
///
/// let schedule = Schedule::every(Duration::from_secs(900))?;
/// assert_eq!(schedule.to_string(), "every 15m");
/// let at = "2027-01-15T10:07:00Z".parse().unwrap_or_default();
/// let next: Vec<_> = schedule.upcoming(at).take(2).map(|next| next.nominal.to_string()).collect();
/// assert_eq!(next, ["2027-01-15 10:15:00 UTC", "2027-01-15 10:30:00 UTC"]);
/// # Ok::<(), unattended::schedule::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: Kind,
    jitter: Option<Jitter>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Every(Interval),
    Once(Timestamp),
    Local(Arc<Pattern>, Zone),
}

/// What a schedule is made of, for who says it in other words.
#[cfg(all(feature = "systemd", unix))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parts<'a> {
    Every { period: Duration, anchor: Timestamp },
    Once(Timestamp),
    Local { fields: &'a Fields, wildcard: bool, zone: Zone },
}

/// How much later than the nominal time it begins: the same each time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Jitter {
    max: Duration,
    offset: Duration,
}

impl Schedule {
    /// Each `period` of real time, counted from the Unix epoch: so processes that start at different times agree, and a
    /// period of 15 minutes is at :00, :15, :30 and :45 of UTC. "Every 24 hours" is not "daily", which keeps its time of
    /// day when the clocks change.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a `period` under a second, over 3660 days, or with a part of a millisecond.
    pub fn every(period: Duration) -> Result<Self, Error> {
        if !(PERIOD_MIN..=PERIOD_MAX).contains(&period) || !period.subsec_nanos().is_multiple_of(1_000_000) {
            let (given, allowed) =
                (format!("{period:?}"), "1 s to 3660 days, in whole milliseconds".to_owned());
            return Err(Error::Field { field: "period", given, allowed });
        }
        Ok(Self::of(Kind::Every(Interval { period, anchor: Timestamp::UNIX_EPOCH })))
    }

    /// The same interval, counted from `at` in both directions: `at` is an occurrence.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] where this is not an interval: a time of day has no anchor.
    pub fn anchored(mut self, at: Timestamp) -> Result<Self, Error> {
        match &mut self.kind {
            Kind::Every(interval) => interval.anchor = at,
            Kind::Once(_) | Kind::Local(..) => {
                let allowed = String::from("only that of an interval");
                return Err(Error::Field { field: "anchor", given: text::rfc3339(at), allowed });
            }
        }
        Ok(self)
    }

    /// Each day at a time of day, to the second, on the clocks of `zone`.
    #[must_use]
    pub fn daily(at: NaiveTime, zone: Zone) -> Self {
        let at = to_the_second(at);
        Self::fixed(Fields::at(at, Days::default()), Said::Daily(at), zone)
    }

    /// On these days of the week at a time of day, to the second, on the clocks of `zone`. A day that is named twice is
    /// meant once.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] without any day.
    pub fn weekly(days: &[Weekday], at: NaiveTime, zone: Zone) -> Result<Self, Error> {
        if days.is_empty() {
            let (given, allowed) = (String::from("empty"), String::from("one day or more"));
            return Err(Error::Field { field: "days", given, allowed });
        }
        let at = to_the_second(at);
        let named = Days { of_week: Some(OfWeek::of(days)), ..Days::default() };
        let mut days = days.to_vec();
        days.sort_unstable_by_key(Weekday::num_days_from_monday);
        days.dedup();
        Ok(Self::fixed(Fields::at(at, named), Said::Weekly(days, at), zone))
    }

    /// By a cron expression, on the clocks of `zone`.
    ///
    /// Five fields (minute, hour, day of month, month, day of week), six with a field for seconds before them, seven
    /// with one for the year after them. `*`, `,`, `-`, `/`, names such as `MON` and `JAN`; `L`, `LW` and `15W` for the day
    /// of the month; `5#2` and `5L` for the day of the week; `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    /// Monday is 1; Sunday is 0 and 7. Where neither of the fields for days is `*`, one of them is enough, as in Vixie
    /// cron; with `+` before the day of week, both must name the day. A step is counted within its field and begins anew in
    /// each: one longer than the field (`*/90` for the minute) is an error, for it would not mean what it says.
    ///
    /// ```
    /// use unattended::schedule::Schedule;
    /// use unattended::zone::Zone;
    ///
    /// let schedule = Schedule::cron("30 9 * * 1-5", Zone::Utc)?;
    /// let saturday = "2027-01-16T00:00:00Z".parse().unwrap_or_default();
    /// let next = schedule.next_after(saturday).map(|next| next.nominal.to_string());
    /// assert_eq!(next.as_deref(), Some("2027-01-18 09:30:00 UTC"));
    /// # Ok::<(), unattended::schedule::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Cron`] for an expression that cannot be read or is longer than 1000 bytes, with the field that is wrong;
    /// [`Error::NeverFires`] for one that names no day which exists. Years that are over are no error.
    #[cfg(feature = "cron")]
    pub fn cron(expression: &str, zone: Zone) -> Result<Self, Error> {
        let pattern = crate::decide::schedule::cron::read(expression)?;
        Ok(Self::of(Kind::Local(Arc::new(pattern), zone)))
    }

    /// Once, and never again.
    #[must_use]
    pub const fn once(at: Timestamp) -> Self {
        Self { kind: Kind::Once(at), jitter: None }
    }

    /// Begins later than the nominal time, by less than `max`: always by the same time, to the millisecond, which depends
    /// on `stable` alone, such as the names of the machine and the job. So many machines with one schedule do not begin at
    /// once, each keeps its distance from one occurrence to the next, and a restart moves nothing.
    /// (`RandomizedDelaySec=` with `FixedRandomDelay=` of systemd.)
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for a `max` that is not less than [`period_min`](Self::period_min), or over 3660 days.
    pub fn jitter(mut self, max: Duration, stable: &str) -> Result<Self, Error> {
        let period = self.period_min().unwrap_or(PERIOD_MAX).min(PERIOD_MAX);
        if max >= period {
            let allowed = format!("less than {}, the shortest period", text::exact(period));
            return Err(Error::Field { field: "jitter", given: text::exact(max), allowed });
        }
        self.jitter = Some(Jitter { max, offset: share(stable, max) });
        Ok(self)
    }

    /// The shortest time from one occurrence to the next while the clocks go evenly; `None` if there is only one.
    #[must_use]
    pub fn period_min(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Every(interval) => Some(interval.period),
            Kind::Once(_) => None,
            Kind::Local(pattern, _) => pattern.fields.period_min()?.to_std().ok(),
        }
    }

    /// The first occurrence whose nominal time is after `at`. `None`: never again.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Occurrence> {
        let from = at.max(START);
        let (next, note) = match &self.kind {
            Kind::Once(once) => return (*once > at).then(|| self.occurrence(*once, Note::Normal)),
            Kind::Every(interval) => (interval.next_after(from.min(END))?, Note::Normal),
            Kind::Local(pattern, zone) => pattern.next_after(from.min(END), *zone)?,
        };
        (next > from && next <= END).then(|| self.occurrence(next, note))
    }

    /// The newest occurrence whose nominal time is not after `at`. `None`: there was none.
    #[must_use]
    pub fn last_until(&self, at: Timestamp) -> Option<Occurrence> {
        let until = at.min(END);
        let (last, note) = match &self.kind {
            Kind::Once(once) => return (*once <= at).then(|| self.occurrence(*once, Note::Normal)),
            Kind::Every(interval) => (interval.last_until(until.max(START))?, Note::Normal),
            Kind::Local(pattern, zone) => pattern.last_until(until.max(START), *zone)?,
        };
        (last <= until && last > START).then(|| self.occurrence(last, note))
    }

    /// How many occurrences there are after the one instant and not after the other, by their nominal times.
    ///
    /// Exact for intervals, by arithmetic; times of day and cron expressions are counted one by one, up to 10,000.
    #[must_use]
    pub fn count(&self, after: Timestamp, until: Timestamp) -> Count {
        match &self.kind {
            Kind::Every(interval) => {
                let number = interval.count(after.clamp(START, END), until.clamp(START, END));
                Count { number, exact: true }
            }
            Kind::Once(once) => Count { number: u64::from(*once > after && *once <= until), exact: true },
            Kind::Local(..) => {
                let mut number = 0;
                for _ in self.upcoming(after).take_while(|next| next.nominal <= until) {
                    if number == COUNT_MAX {
                        return Count { number, exact: false };
                    }
                    number += 1;
                }
                Count { number, exact: true }
            }
        }
    }

    /// The occurrences whose nominal times are after `after`, in order.
    #[must_use]
    pub const fn upcoming(&self, after: Timestamp) -> Upcoming<'_> {
        Upcoming::new(self, after)
    }

    /// How long after `nominal` the next one is. `None`: there is none.
    #[must_use]
    pub fn period_after(&self, nominal: Timestamp) -> Option<Duration> {
        self.next_after(nominal).map(|next| between(nominal, next.nominal))
    }

    /// When it is due, in words: the same as `Display`.
    #[must_use]
    pub fn explain(&self) -> String {
        self.to_string()
    }

    /// The cron expression that says the same, and its zone, where there is one.
    #[cfg(all(feature = "cron", feature = "store"))]
    pub(crate) fn as_cron(&self) -> Option<(String, Zone)> {
        match &self.kind {
            Kind::Local(pattern, zone) if self.jitter.is_none() => Some((pattern.said.as_cron(), *zone)),
            _ => None,
        }
    }

    /// What it is made of.
    #[cfg(all(feature = "systemd", unix))]
    pub(crate) fn parts(&self) -> Parts<'_> {
        match &self.kind {
            Kind::Every(Interval { period, anchor }) => Parts::Every { period: *period, anchor: *anchor },
            Kind::Once(at) => Parts::Once(*at),
            Kind::Local(pattern, zone) => {
                Parts::Local { fields: &pattern.fields, wildcard: pattern.wildcard, zone: *zone }
            }
        }
    }

    /// The bound of its jitter.
    #[cfg(all(feature = "systemd", unix))]
    pub(crate) fn jitter_max(&self) -> Option<Duration> {
        self.jitter.map(|jitter| jitter.max)
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, jitter: None }
    }

    fn fixed(fields: Fields, said: Said, zone: Zone) -> Self {
        Self::of(Kind::Local(Arc::new(Pattern { fields, wildcard: false, said }), zone))
    }

    fn occurrence(&self, nominal: Timestamp, note: Note) -> Occurrence {
        let zone = match self.kind {
            Kind::Local(_, zone) => zone,
            Kind::Every(_) | Kind::Once(_) => Zone::Utc,
        };
        let offset = self.jitter.map_or(Duration::ZERO, |jitter| jitter.offset);
        Occurrence { nominal, at: later(nominal, offset), local: zone.at(nominal), note }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Every(Interval { period, anchor }) => {
                write!(f, "every {}", text::exact(*period))?;
                if *anchor != Timestamp::UNIX_EPOCH {
                    write!(f, ", counted from {} UTC", text::second(*anchor))?;
                }
            }
            Kind::Once(at) => write!(f, "once at {} UTC", text::second(*at))?,
            Kind::Local(pattern, zone) => {
                write!(f, "{} in {zone}", pattern.said)?;
                if let Some(meaning) = pattern.said.meaning() {
                    write!(f, ": {meaning}")?;
                }
            }
        }
        match self.jitter {
            Some(Jitter { max, offset }) => {
                let (max, offset) = (text::exact(max), text::exact(offset));
                write!(f, "; begins {offset} later, by a jitter of less than {max}")
            }
            None => Ok(()),
        }
    }
}

/// A part of `max`, in whole milliseconds, that depends on `stable` alone.
pub(super) fn share(stable: &str, max: Duration) -> Duration {
    let part = (u128::from(spread(stable)) * u128::from(millis(max))) >> 64;
    Duration::from_millis(u64::try_from(part).unwrap_or(0))
}

/// The same in every build and release: machines that agree on `stable` agree on the offset.
fn spread(stable: &str) -> u64 {
    // FNV-1a, then the last steps of SplitMix64, because its upper bits say little about a short text.
    let hash = stable.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

fn to_the_second(at: NaiveTime) -> NaiveTime {
    at.with_nanosecond(0).unwrap_or(at)
}

const fn edge(seconds: i64) -> Timestamp {
    match Timestamp::from_timestamp(seconds, 0) {
        Some(at) => at,
        None => Timestamp::UNIX_EPOCH,
    }
}
