//! Which times of day the clocks of a zone skip.

use chrono::{NaiveTime, TimeDelta, Timelike};

use crate::base::time::Timestamp;
use crate::base::zone::Zone;

/// 2025 to 2037: what a person plans for, and as far as most tables of zones go year by year.
const FROM: i64 = 1_735_689_600;
const DAYS: i64 = 13 * 365;
const DAY: i64 = 86_400;

/// What happens to the clocks of a zone from 2025 to 2037.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    /// Times of day at which clocks are put forward, and by how many minutes; each once.
    gaps: Vec<(NaiveTime, i64)>,
    /// Whether they are ever put back.
    pub(super) repeats: bool,
    /// Whether they are always whole hours from UTC.
    pub(super) whole_hours: bool,
}

impl Changes {
    pub(super) fn of(zone: Zone) -> Self {
        let mut changes = Self { gaps: Vec::new(), repeats: false, whole_hours: true };
        let at = |seconds| Timestamp::from_timestamp(seconds, 0).unwrap_or_default();
        let mut before = zone.offset(at(FROM));
        for day in 0..DAYS {
            let (begin, end) = (FROM + day * DAY, FROM + (day + 1) * DAY);
            changes.whole_hours &= before.num_seconds() % 3600 == 0;
            let after = zone.offset(at(end));
            changes.repeats |= after < before;
            if after > before {
                let turn = turn(begin, end, |seconds| zone.offset(at(seconds)) != before);
                let skipped = (at(turn).naive_utc() + before).time();
                let gap = (skipped, (after - before).num_minutes());
                if !changes.gaps.contains(&gap) {
                    changes.gaps.push(gap);
                }
            }
            before = after;
        }
        changes
    }

    /// Whether the clocks ever skip one of these times of day, which are given by a bit for each hour and minute.
    pub(super) fn skips(&self, hours: u64, minutes: u64) -> bool {
        let meant = |time: NaiveTime| hours >> time.hour() & 1 == 1 && minutes >> time.minute() & 1 == 1;
        self.gaps.iter().any(|(begin, length)| {
            (0..*length).any(|minute| meant(begin.overflowing_add_signed(TimeDelta::minutes(minute)).0))
        })
    }
}

/// The first second for which it holds, between one for which it does not and one for which it does.
fn turn(mut before: i64, mut after: i64, holds: impl Fn(i64) -> bool) -> i64 {
    while after - before > 1 {
        let between = before + (after - before) / 2;
        if holds(between) { after = between } else { before = between }
    }
    after
}

#[cfg(test)]
#[cfg(feature = "tz")]
mod tests {
    use super::*;

    #[test]
    fn the_hour_that_europe_skips_is_known_and_that_india_skips_none() {
        let of = |name: &str| Changes::of(name.parse().unwrap());
        let paris = of("Europe/Paris");
        assert!(paris.skips(1 << 2, 1 << 30) && paris.skips(1 << 2, 1) && paris.repeats && paris.whole_hours);
        assert!(!paris.skips(1 << 1, 1 << 59) && !paris.skips(1 << 3, 1) && !paris.skips(0, u64::MAX));
        assert!(of("Asia/Beirut").skips(1, 1 << 15), "at midnight");
        let kolkata = of("Asia/Kolkata");
        assert!(!kolkata.skips(u64::MAX, u64::MAX) && !kolkata.repeats && !kolkata.whole_hours);
        assert!(of("Australia/Lord_Howe").skips(1 << 2, 1 << 15), "half an hour");
        assert!(!of("Australia/Lord_Howe").skips(1 << 2, 1 << 30));
    }
}
