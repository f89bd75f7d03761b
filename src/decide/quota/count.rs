//! How much of a calendar's period is used, as one integer that threads share.
//!
//! ```text
//! 63     61       32 31        0
//! | carried |  day  |   used   |
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::time::{Now, Timestamp};
use crate::decide::quota::calendar::{Calendar, Period};

const CARRIED: u64 = 1 << 63;
const DAY: u64 = (1 << 31) - 1;

/// What is used of which period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) period: Period,
    pub(super) used: u32,
    /// It was used in a later period, before the clock went back.
    pub(super) carried: bool,
}

/// The count of a calendar; 0 is one that was never used.
#[derive(Debug)]
pub(super) struct Count(AtomicU64);

// Relaxed throughout: the integer is all that is shared, and nothing else is published by it.
impl Count {
    pub(super) const fn new(word: u64) -> Self {
        Self(AtomicU64::new(word))
    }

    pub(super) fn word(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self, calendar: &Calendar, wall: Timestamp) -> Used {
        Used::of(self.0.load(Ordering::Relaxed), calendar, wall)
    }

    /// Takes `n`; answers with the word and what is used then, or with what is used so that `n` do not fit.
    pub(super) fn take(&self, calendar: &Calendar, n: u32, now: Now) -> Result<(u64, Used), Used> {
        let fits = |seen: Used| seen.used.checked_add(n).filter(|used| *used <= calendar.limit());
        self.change(calendar, now.wall, |seen| fits(seen).map(|used| Used { used, ..seen }))
    }

    /// Takes `n` back if the period of `word` is still the one that is counted.
    pub(super) fn give_back(&self, word: u64, n: u32) -> bool {
        let mut found = self.0.load(Ordering::Relaxed);
        while found & !u64::from(u32::MAX) == word & !u64::from(u32::MAX) && low(found) >= n {
            match self.exchange(found, found - u64::from(n)) {
                Ok(_) => return true,
                Err(other) => found = other,
            }
        }
        false
    }

    /// Makes it no less than `used`.
    pub(super) fn raise(&self, calendar: &Calendar, theirs: Used, wall: Timestamp) {
        let more = |seen: Used| {
            let used = seen.used.max(theirs.used);
            (used > seen.used).then_some(Used { used, carried: seen.carried || theirs.carried, ..seen })
        };
        // `Err` is a count that is as high already.
        let (Ok(_) | Err(_)) = self.change(calendar, wall, more);
    }

    fn change(
        &self,
        calendar: &Calendar,
        wall: Timestamp,
        change: impl Fn(Used) -> Option<Used>,
    ) -> Result<(u64, Used), Used> {
        let mut found = self.0.load(Ordering::Relaxed);
        loop {
            let seen = Used::of(found, calendar, wall);
            let changed = change(seen).ok_or(seen)?;
            match self.exchange(found, changed.word()) {
                Ok(_) => return Ok((changed.word(), changed)),
                Err(other) => found = other,
            }
        }
    }

    fn exchange(&self, found: u64, new: u64) -> Result<u64, u64> {
        self.0.compare_exchange_weak(found, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

impl Used {
    fn of(word: u64, calendar: &Calendar, wall: Timestamp) -> Self {
        let counted = low((word >> 32) & DAY);
        let period = calendar.period_after(counted, wall);
        let (used, carried) = match counted.cmp(&period.index) {
            std::cmp::Ordering::Less => (0, false),
            std::cmp::Ordering::Equal => (low(word), word & CARRIED != 0),
            std::cmp::Ordering::Greater => (low(word), true),
        };
        Self { period, used, carried }
    }

    pub(super) const fn word(self) -> u64 {
        let carried = if self.carried { CARRIED } else { 0 };
        carried | ((self.period.index as u64) & DAY) << 32 | self.used as u64
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn low(word: u64) -> u32 {
    word as u32
}
