//! Local times by their fields: a bit for each second, minute, hour, day, month and year that is meant.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::decide::schedule::days::Days;

/// The last year in which anything is looked for.
const YEAR_LAST: i32 = 9998;
/// After so many years the calendar repeats, weekdays included.
const CYCLE: i32 = 400;
const DAY: i64 = 86_400;

/// Which local times. None of the masks is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) seconds: u64,
    pub(crate) minutes: u64,
    pub(crate) hours: u64,
    pub(crate) days: Days,
    pub(crate) months: u64,
    /// A bit a year; all of them if there is none.
    pub(crate) years: Option<Box<[u64]>>,
}

impl Fields {
    /// One time of day, to the second.
    pub(super) fn at(time: NaiveTime, days: Days) -> Self {
        Self {
            seconds: 1 << time.second(),
            minutes: 1 << time.minute(),
            hours: 1 << time.hour(),
            days,
            months: 0b1_1111_1111_1110,
            years: None,
        }
    }

    pub(super) fn matches(&self, local: NaiveDateTime) -> bool {
        let time = local.time();
        has(self.hours, time.hour())
            && has(self.minutes, time.minute())
            && has(self.seconds, time.second())
            && self.has_day(local.date())
    }

    /// The first of them that is not before `local`, which has whole seconds.
    pub(super) fn from(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let day = local.date();
        if self.has_day(day)
            && let Some(time) = self.time_from(local.time())
        {
            return Some(day.and_time(time));
        }
        Some(self.day_from(day.succ_opt()?, YEAR_LAST)?.and_time(self.time_from(NaiveTime::MIN)?))
    }

    /// The last of them that is not after `local`, which has whole seconds.
    pub(super) fn until(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let day = local.date();
        if self.has_day(day)
            && let Some(time) = self.time_until(local.time())
        {
            return Some(day.and_time(time));
        }
        let end = NaiveTime::from_hms_opt(23, 59, 59)?;
        Some(self.day_until(day.pred_opt()?)?.and_time(self.time_until(end)?))
    }

    /// Whether there is any such day at all.
    #[cfg(feature = "cron")]
    pub(super) fn is_possible(&self) -> bool {
        NaiveDate::from_ymd_opt(1, 1, 1).is_some_and(|first| self.day_from(first, self.cycle()).is_some())
    }

    /// The shortest time from one to the next by the calendar; none if there is only one.
    pub(super) fn period_min(&self) -> Option<TimeDelta> {
        let first = self.time_from(NaiveTime::MIN)?;
        let (mut time, mut least) = (first, i64::MAX);
        // At most the seconds of a day.
        while let Some(after) = second_of_day(time.num_seconds_from_midnight() + 1)
            && let Some(next) = self.time_from(after)
        {
            least = least.min((next - time).num_seconds());
            time = next;
        }
        let night = (first - time).num_seconds();
        if let Some(days) = self.days_min() {
            least = least.min(days * DAY + night);
        }
        (least < i64::MAX).then(|| TimeDelta::seconds(least))
    }

    /// The fewest days from one to the next.
    fn days_min(&self) -> Option<i64> {
        /// So many show the shortest distance: all combinations of two months occur within 28 years.
        const DAYS_MAX: usize = 1000;
        let end = self.cycle() + 40;
        let mut day = self.day_from(NaiveDate::from_ymd_opt(1, 1, 1)?, end)?;
        let mut least = None;
        for _ in 0..DAYS_MAX {
            let Some(next) = day.succ_opt().and_then(|after| self.day_from(after, end)) else { break };
            let days = (next - day).num_days();
            least = Some(least.map_or(days, |least: i64| least.min(days)));
            if days == 1 {
                break;
            }
            day = next;
        }
        least
    }

    /// The last year that has to be looked at, from the first, to see whatever there is to see.
    const fn cycle(&self) -> i32 {
        if self.years.is_some() { YEAR_LAST } else { CYCLE }
    }

    fn has_day(&self, day: NaiveDate) -> bool {
        self.has_year(day.year())
            && has(self.months, day.month())
            && has(self.days.within(day.year(), day.month()), day.day())
    }

    fn has_year(&self, year: i32) -> bool {
        let Some(years) = &self.years else { return true };
        let word = usize::try_from(year / 64).ok().and_then(|word| years.get(word));
        word.is_some_and(|word| word >> (year % 64) & 1 == 1)
    }

    /// The first such day that is not before `day`, at most in `last` (a year).
    fn day_from(&self, day: NaiveDate, last: i32) -> Option<NaiveDate> {
        let (mut year, mut month, mut number) = (day.year().max(1), day.month(), day.day());
        while year <= last {
            let next = if self.has_year(year) { at_or_after(self.months, month) } else { None };
            let Some(found) = next else {
                (year, month, number) = (year + 1, 1, 1);
                continue;
            };
            if found > month {
                number = 1;
            }
            if let Some(number) = at_or_after(self.days.within(year, found), number) {
                return NaiveDate::from_ymd_opt(year, found, number);
            }
            (month, number) = (found + 1, 1);
        }
        None
    }

    /// The last such day that is not after `day`.
    fn day_until(&self, day: NaiveDate) -> Option<NaiveDate> {
        let (mut year, mut month, mut number) = (day.year().min(YEAR_LAST), day.month(), day.day());
        while year >= 1 {
            let next = if self.has_year(year) { at_or_before(self.months, month) } else { None };
            let Some(found) = next else {
                (year, month, number) = (year - 1, 12, 31);
                continue;
            };
            if found < month {
                number = 31;
            }
            if let Some(number) = at_or_before(self.days.within(year, found), number) {
                return NaiveDate::from_ymd_opt(year, found, number);
            }
            (month, number) = (found - 1, 31);
        }
        None
    }

    /// The first such time of day that is not before `time`.
    fn time_from(&self, time: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = at_or_after(self.seconds, second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if let Some(minute) = at_or_after(self.minutes, minute + 1) {
                return NaiveTime::from_hms_opt(hour, minute, lowest(self.seconds));
            }
        }
        let hour = at_or_after(self.hours, hour + 1)?;
        NaiveTime::from_hms_opt(hour, lowest(self.minutes), lowest(self.seconds))
    }

    /// The last such time of day that is not after `time`.
    fn time_until(&self, time: NaiveTime) -> Option<NaiveTime> {
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = at_or_before(self.seconds, second)
            {
                return NaiveTime::from_hms_opt(hour, minute, second);
            }
            if let Some(minute) = below(self.minutes, minute) {
                return NaiveTime::from_hms_opt(hour, minute, highest(self.seconds));
            }
        }
        let hour = below(self.hours, hour)?;
        NaiveTime::from_hms_opt(hour, highest(self.minutes), highest(self.seconds))
    }
}

/// None from midnight on.
const fn second_of_day(second: u32) -> Option<NaiveTime> {
    NaiveTime::from_num_seconds_from_midnight_opt(second, 0)
}

pub(super) const fn has(mask: u64, bit: u32) -> bool {
    bit < 64 && mask >> bit & 1 == 1
}

fn at_or_after(mask: u64, bit: u32) -> Option<u32> {
    let rest = mask & u64::MAX.checked_shl(bit)?;
    (rest != 0).then(|| rest.trailing_zeros())
}

fn at_or_before(mask: u64, bit: u32) -> Option<u32> {
    let rest = mask & u64::MAX >> 63_u32.saturating_sub(bit);
    (rest != 0).then(|| 63 - rest.leading_zeros())
}

fn below(mask: u64, bit: u32) -> Option<u32> {
    at_or_before(mask, bit.checked_sub(1)?)
}

const fn lowest(mask: u64) -> u32 {
    mask.trailing_zeros()
}

const fn highest(mask: u64) -> u32 {
    63_u32.saturating_sub(mask.leading_zeros())
}
