//! A token bucket that is one integer: the instant at which it is full again.
//!
//! This is the generic cell rate algorithm (ITU-T I.371, 1993; there the integer is the *theoretical arrival time*). A
//! token is an interval of time, so nothing has to fill the bucket: it is fuller because it is later. Taking tokens moves
//! the instant later by their intervals; what may be taken now is what keeps it within the depth. Nanoseconds on the line
//! of [`Moment`], no floats, arithmetic saturates, and a bucket whose sum would leave the line refuses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Moment, Timestamp, between, later, nanos};

/// The longest time from empty to full: 100 years of 365 days.
pub(crate) const DEPTH_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The time that one token takes, in nanoseconds, at least 1.
    interval: u64,
    /// The time from empty to full, in nanoseconds.
    depth: u64,
}

/// A place that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// What the bucket holds since.
    pub(crate) full_at: u64,
    /// How long until the place is there, in nanoseconds; zero for now.
    pub(crate) wait: u64,
}

impl Rate {
    /// `tokens` at most, one more each `interval` nanoseconds. `None` if that is no time, or more than [`DEPTH_MAX`].
    pub(crate) const fn new(interval: u64, tokens: u32) -> Option<Self> {
        match interval.checked_mul(tokens as u64) {
            Some(depth) if depth > 0 && depth <= nanos(DEPTH_MAX) => Some(Self { interval, depth }),
            _ => None,
        }
    }

    pub(crate) const fn interval(self) -> u64 {
        self.interval
    }

    pub(crate) const fn depth(self) -> u64 {
        self.depth
    }

    /// What `n` tokens take, in nanoseconds.
    #[inline]
    pub(crate) const fn cost(self, n: u32) -> u64 {
        self.interval.saturating_mul(n as u64)
    }

    /// What `thousandths` of a token take, rounded up.
    #[inline]
    pub(crate) fn cost_of_thousandths(self, thousandths: u32) -> u64 {
        scaled(self.interval, u64::from(thousandths), 1000)
    }

    /// Whole tokens that are there at `now`.
    pub(crate) fn left(self, full_at: u64, now: Moment) -> u32 {
        u32::try_from(self.room(full_at, now) / self.interval).unwrap_or(u32::MAX)
    }

    /// Thousandths of tokens that are there at `now`, rounded down.
    pub(crate) fn thousandths_left(self, full_at: u64, now: Moment) -> u64 {
        let left = u128::from(self.room(full_at, now)) * 1000 / u128::from(self.interval);
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    /// Takes `cost` at `now` from what is full at `full_at`, with a wait of at most `wait_max`.
    ///
    /// `Err` is the wait that it would take, `u64::MAX` if no wait helps.
    #[inline]
    pub(crate) const fn take(self, full_at: u64, now: Moment, cost: u64, wait_max: u64) -> Result<Slot, u64> {
        if cost == 0 {
            return Ok(Slot { full_at, wait: 0 });
        }
        let now = now.as_nanos();
        let base = if full_at > now { full_at } else { now };
        let Some(after) = base.checked_add(cost) else { return Err(u64::MAX) };
        if cost > self.depth {
            return Err(u64::MAX);
        }
        let wait = after.saturating_sub(now.saturating_add(self.depth));
        if wait > wait_max { Err(wait) } else { Ok(Slot { full_at: after, wait }) }
    }

    /// How much may be taken at once, in nanoseconds.
    const fn room(self, full_at: u64, now: Moment) -> u64 {
        self.depth.saturating_sub(full_at.saturating_sub(now.as_nanos()))
    }
}

/// A bucket that threads share.
#[derive(Debug, Default)]
pub(crate) struct Bucket(AtomicU64);

// Relaxed throughout: the integer is all that is shared, and nothing else is published by it.
impl Bucket {
    /// A bucket that is full at `full_at`; 0 is one that was never used.
    pub(crate) const fn new(full_at: u64) -> Self {
        Self(AtomicU64::new(full_at))
    }

    /// When it is full; 0 if it is known to be.
    #[inline]
    pub(crate) fn full_at(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes `cost`, as [`Rate::take`] does.
    #[inline]
    pub(crate) fn take(&self, rate: Rate, now: Moment, cost: u64, wait_max: u64) -> Result<Slot, u64> {
        let mut full_at = self.full_at();
        loop {
            let slot = rate.take(full_at, now, cost, wait_max)?;
            match self.exchange(full_at, slot.full_at) {
                Ok(_) => return Ok(slot),
                Err(found) => full_at = found,
            }
        }
    }

    /// Takes `cost` back if nothing was taken since it left the bucket full at `full_at`.
    pub(crate) fn give_back(&self, full_at: u64, cost: u64) -> bool {
        let before = full_at.saturating_sub(cost);
        self.0.compare_exchange(full_at, before, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Puts `amount` in. One that is full is marked as such once, and from then on this is one load.
    #[inline]
    pub(crate) fn put(&self, amount: u64, now: Moment) {
        let mut full_at = self.full_at();
        while full_at != 0 {
            let less = if full_at <= now.as_nanos() { 0 } else { full_at.saturating_sub(amount) };
            match self.exchange(full_at, less) {
                Ok(_) => return,
                Err(found) => full_at = found,
            }
        }
    }

    /// Makes it full no earlier than `full_at`.
    pub(crate) fn raise(&self, full_at: u64) {
        self.0.fetch_max(full_at, Ordering::Relaxed);
    }

    #[inline]
    fn exchange(&self, found: u64, new: u64) -> Result<u64, u64> {
        self.0.compare_exchange_weak(found, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

/// A bucket as it is saved: under which rate, when, and when it is full again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    interval_ns: u64,
    depth_ns: u64,
    at: Timestamp,
    full_at: Timestamp,
}

/// What a saved bucket still owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debt {
    /// The time until it is full under the rate that asks, in nanoseconds, at most the depth.
    pub(crate) nanos: u64,
    /// It was saved under another rate.
    pub(crate) changed: bool,
    /// By how much the wall clock is before the instant of saving, if it is.
    pub(crate) stepped_back: Option<Duration>,
}

impl Saved {
    /// A bucket under `rate` that lacks `debt` nanoseconds at `wall`.
    pub(crate) fn new(rate: Rate, debt: u64, wall: Timestamp) -> Self {
        let full_at = later(wall, Duration::from_nanos(debt.min(rate.depth)));
        Self { interval_ns: rate.interval, depth_ns: rate.depth, at: wall, full_at }
    }

    /// The debt at `wall`, in the intervals of `rate`.
    ///
    /// The time since it was saved has paid; a clock that went back has paid nothing. Under another rate the debt is the
    /// same number of tokens.
    pub(crate) fn debt(&self, rate: Rate, wall: Timestamp) -> Debt {
        let back = between(wall, self.at);
        let since = if back > Duration::ZERO { self.at } else { wall };
        let left = nanos(between(since, self.full_at)).min(self.depth_ns);
        let changed = self.interval_ns != rate.interval || self.depth_ns != rate.depth;
        let nanos = if changed { scaled(left, rate.interval, self.interval_ns.max(1)) } else { left };
        Debt { nanos: nanos.min(rate.depth), changed, stepped_back: (back > Duration::ZERO).then_some(back) }
    }

    /// The debt in whole tokens at `wall`, rounded up.
    pub(crate) fn tokens(&self, wall: Timestamp) -> (u32, Option<Duration>) {
        let rate = Rate { interval: self.interval_ns.max(1), depth: self.depth_ns };
        let debt = self.debt(rate, wall);
        (u32::try_from(debt.nanos.div_ceil(rate.interval)).unwrap_or(u32::MAX), debt.stepped_back)
    }

    /// When it is full.
    pub(crate) const fn full_at(&self) -> Timestamp {
        self.full_at
    }
}

/// `value * by / of`, rounded up, saturating.
fn scaled(value: u64, by: u64, of: u64) -> u64 {
    let scaled = (u128::from(value) * u128::from(by)).div_ceil(u128::from(of));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn moment(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn it_gives_what_it_holds_and_then_one_each_interval() {
        let (rate, bucket) = (Rate::new(SECOND, 3).unwrap(), Bucket::default());
        let now = moment(100 * SECOND);
        let takes = (0..4).map(|_| bucket.take(rate, now, SECOND, 0).is_ok()).collect::<Vec<_>>();
        assert_eq!(takes, [true, true, true, false]);
        assert_eq!(bucket.take(rate, moment(100 * SECOND + 1), SECOND, 0), Err(SECOND - 1));
        assert!(bucket.take(rate, moment(101 * SECOND), SECOND, 0).is_ok());
        assert_eq!(rate.left(bucket.full_at(), moment(103 * SECOND)), 2);
        assert_eq!(rate.thousandths_left(bucket.full_at(), moment(101 * SECOND + SECOND / 2)), 500);
    }

    #[test]
    fn more_than_it_holds_never_fits_and_the_end_of_the_line_refuses() {
        let (rate, bucket) = (Rate::new(SECOND, 3).unwrap(), Bucket::default());
        assert_eq!(bucket.take(rate, moment(0), 4 * SECOND, u64::MAX), Err(u64::MAX));
        assert_eq!(bucket.take(rate, moment(u64::MAX), SECOND, u64::MAX), Err(u64::MAX));
        assert_eq!((Rate::new(0, 3), Rate::new(3, 0), Rate::new(u64::MAX, 2)), (None, None, None));
    }

    #[test]
    fn it_holds_exactly_what_it_holds_whatever_the_threads_do() {
        let (rate, bucket) = (Rate::new(SECOND, 1000).unwrap(), Bucket::default());
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..1000).filter(|_| bucket.take(rate, moment(5), SECOND, 0).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }

    #[test]
    fn a_changed_rate_keeps_the_number_of_tokens_that_are_owed() {
        let wall = Timestamp::UNIX_EPOCH;
        let saved = Saved::new(Rate::new(SECOND, 60).unwrap(), 30 * SECOND, wall);
        let slower = Rate::new(6 * SECOND, 50).unwrap();
        assert_eq!(saved.debt(slower, wall), Debt { nanos: 180 * SECOND, changed: true, stepped_back: None });
        let small = Rate::new(6 * SECOND, 10).unwrap();
        assert_eq!(saved.debt(small, wall).nanos, 60 * SECOND);
        assert_eq!(saved.tokens(later(wall, Duration::from_millis(500))), (30, None));
    }

    proptest! {
        #[test]
        fn no_span_has_more_than_the_depth_and_what_fills_in_it(
            interval in 1u64..50, tokens in 1u32..20, wait_max in 0u64..200,
            asks in prop::collection::vec((0u64..60, 1u32..6, any::<bool>()), 1..120),
        ) {
            let (rate, bucket) = (Rate::new(interval, tokens).unwrap(), Bucket::default());
            let (mut now, mut given) = (1000, Vec::new());
            for (later, n, regret) in asks {
                now += later;
                if let Ok(slot) = bucket.take(rate, moment(now), rate.cost(n), wait_max) {
                    prop_assert!(slot.wait <= wait_max);
                    if regret && bucket.give_back(slot.full_at, rate.cost(n)) {
                        continue;
                    }
                    given.push((now + slot.wait, u64::from(n)));
                }
            }
            given.sort_unstable();
            for (first, (from, _)) in given.iter().enumerate() {
                let mut sum = 0;
                for (to, n) in &given[first..] {
                    sum += n;
                    prop_assert!(sum <= u64::from(tokens) + (to - from) / interval);
                }
            }
        }

        #[test]
        fn no_input_overflows(
            interval in any::<u64>(), tokens in any::<u32>(), full_at in any::<u64>(), now in any::<u64>(),
            n in any::<u32>(), wait_max in any::<u64>(), seconds in any::<i32>(),
        ) {
            let Some(rate) = Rate::new(interval, tokens) else { return Ok(()) };
            let (now, cost) = (moment(now), rate.cost(n));
            if let Ok(slot) = rate.take(full_at, now, cost, wait_max) {
                prop_assert!(slot.full_at >= full_at && slot.wait <= wait_max);
            }
            prop_assert!(rate.left(full_at, now) <= tokens);
            let wall = Timestamp::from_timestamp(i64::from(seconds), 0).unwrap();
            let saved = Saved::new(rate, full_at, wall);
            prop_assert_eq!(saved.debt(rate, wall).nanos, full_at.min(rate.depth));
            prop_assert!(saved.debt(rate, Timestamp::MIN_UTC).nanos <= rate.depth);
            prop_assert_eq!(saved.debt(rate, Timestamp::MAX_UTC).nanos, 0);
        }
    }
}
