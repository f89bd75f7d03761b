//! Which days of a month: a bit a day.

use chrono::{Datelike, NaiveDate, Weekday};

use crate::decide::schedule::fields::has;

/// Each seventh day from the first.
const SEVENTH: u64 = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28;

/// Which days. Without a rule for either, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) of_month: Option<OfMonth>,
    pub(crate) of_week: Option<OfWeek>,
    /// Where there are both, a day must be named by both; else one of them is enough.
    pub(crate) both: bool,
}

/// Days by their number. The bit of a day is its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfMonth {
    pub(crate) plain: u64,
    /// The working day that is nearest to each of these (`15W`).
    pub(crate) nearest: u64,
    /// The last day (`L`).
    pub(crate) last: bool,
    /// The last working day (`LW`).
    pub(crate) last_working: bool,
}

/// Days by their name. The bit of a weekday counts from Sunday, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfWeek {
    pub(crate) plain: u64,
    /// The first, second, up to the fifth such day of the month (`5#2`).
    pub(crate) nth: [u64; 5],
    /// The last such day of the month (`5L`).
    pub(crate) last: u64,
}

impl OfWeek {
    pub(super) fn of(days: &[Weekday]) -> Self {
        let plain = days.iter().fold(0, |mask, day| mask | 1 << day.num_days_from_sunday());
        Self { plain, ..Self::default() }
    }
}

/// A month, as far as the rules ask for it.
#[derive(Clone, Copy)]
struct Month {
    length: u32,
    /// The weekday of its first day.
    begins: u32,
}

impl Days {
    /// The days of that month which are meant: bits 1 to 31. None in a month that does not exist.
    pub(super) fn within(&self, year: i32, month: u32) -> u64 {
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1) else { return 0 };
        let length = length(year, month);
        let month = Month { length, begins: first.weekday().num_days_from_sunday() };
        let all = (1 << (length + 1)) - 2;
        let meant = match (&self.of_month, &self.of_week) {
            (None, None) => all,
            (Some(days), None) => days.within(month),
            (None, Some(days)) => days.within(month),
            (Some(days), Some(names)) if self.both => days.within(month) & names.within(month),
            (Some(days), Some(names)) => days.within(month) | names.within(month),
        };
        meant & all
    }
}

impl OfMonth {
    fn within(&self, month: Month) -> u64 {
        let mut days = self.plain;
        if self.last {
            days |= 1 << month.length;
        }
        if self.last_working {
            days |= 1 << month.nearest_before_the_end();
        }
        let mut nearest = self.nearest;
        while nearest != 0 {
            let day = nearest.trailing_zeros();
            nearest &= nearest - 1;
            if day <= month.length {
                days |= 1 << month.nearest_to(day);
            }
        }
        days
    }
}

impl OfWeek {
    fn within(&self, month: Month) -> u64 {
        (0..7).fold(0, |days, weekday| {
            let first = 1 + (weekday + 7 - month.begins) % 7;
            let mut named = if has(self.plain, weekday) { SEVENTH << first } else { 0 };
            for (weeks, nth) in (0..).zip(self.nth) {
                if has(nth, weekday) {
                    named |= 1 << (first + 7 * weeks);
                }
            }
            if has(self.last, weekday) {
                named |= 1 << (first + 7 * ((month.length - first) / 7));
            }
            days | named
        })
    }
}

impl Month {
    fn weekday(self, day: u32) -> u32 {
        (self.begins + day + 6) % 7
    }

    /// The working day nearest to `day`, within the month.
    fn nearest_to(self, day: u32) -> u32 {
        match self.weekday(day) {
            6 if day > 1 => day - 1,
            6 => day + 2,
            0 if day < self.length => day + 1,
            0 => day - 2,
            _ => day,
        }
    }

    fn nearest_before_the_end(self) -> u32 {
        match self.weekday(self.length) {
            6 => self.length - 1,
            0 => self.length - 2,
            _ => self.length,
        }
    }
}

const fn length(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}
