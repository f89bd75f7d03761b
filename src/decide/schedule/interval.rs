//! Intervals: arithmetic on real time from an anchor, so that nothing adds up.

use std::time::Duration;

use crate::base::time::Timestamp;

const NANOS: i128 = 1_000_000_000;

/// Every so often, counted from an anchor in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) period: Duration,
    pub(super) anchor: Timestamp,
}

impl Interval {
    /// The first multiple after `at`.
    pub(super) fn next_after(self, at: Timestamp) -> Option<Timestamp> {
        self.multiple(self.index(at) + 1)
    }

    /// The last multiple that is not after `at`.
    pub(super) fn last_until(self, at: Timestamp) -> Option<Timestamp> {
        self.multiple(self.index(at))
    }

    /// How many there are after the one instant and not after the other.
    pub(super) fn count(self, after: Timestamp, until: Timestamp) -> u64 {
        u64::try_from(self.index(until) - self.index(after)).unwrap_or(0)
    }

    /// How many whole periods `at` is from the anchor, rounded down.
    fn index(self, at: Timestamp) -> i128 {
        (since_epoch(at) - since_epoch(self.anchor)).div_euclid(self.nanos())
    }

    fn multiple(self, index: i128) -> Option<Timestamp> {
        let nanos = since_epoch(self.anchor) + index * self.nanos();
        let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
        Timestamp::from_timestamp(seconds, u32::try_from(nanos.rem_euclid(NANOS)).ok()?)
    }

    fn nanos(self) -> i128 {
        // At least a second by the check of `every`; never zero in any case.
        i128::try_from(self.period.as_nanos()).unwrap_or(i128::MAX).max(1)
    }
}

/// Nanoseconds since 1970: the whole range of the calendar has room in 128 bits.
fn since_epoch(at: Timestamp) -> i128 {
    i128::from(at.timestamp()) * NANOS + i128::from(at.timestamp_subsec_nanos())
}
