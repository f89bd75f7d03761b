//! How long to wait before the next try: exponential growth, a cap that is a bound, and jitter.
//!
//! The cap is applied before the jitter, and the jitter only shortens, so no delay is ever above the cap and none piles
//! up at it. Arithmetic is integer nanoseconds and saturates. For why jitter, see Brooker, "Exponential Backoff And
//! Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::rng::Rng;
use crate::base::time::nanos;

/// Which part of the ceiling is left to chance, so that many clients that failed together do not return together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// The ceiling itself. Only where one client alone is waiting.
    None,
    /// Anything from `delay_min` to the ceiling, each equally likely.
    #[default]
    Full,
    /// The upper half: from half of the ceiling to the ceiling.
    Equal,
    /// From the base to three times the delay before, at most the cap.
    Decorrelated,
}

/// A growing delay.
///
/// Step 0 is the delay after the first failure, its ceiling is `base`; each further step multiplies the ceiling by
/// `factor` up to `delay_max`.
///
/// ```
/// use std::time::Duration;
/// use unattended::{backoff::Backoff, rng::Rng};
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(backoff.ceiling(3), Duration::from_secs(8));
/// let delay = backoff.delay(3, Duration::ZERO, &mut Rng::seeded(7));
/// assert!(delay <= Duration::from_secs(8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: u64,
    min: u64,
    max: u64,
    factor: u32,
    jitter: Jitter,
}

impl Backoff {
    /// Doubles from `base` to `delay_max`, with full jitter and no floor.
    #[must_use]
    pub const fn new(base: Duration, delay_max: Duration) -> Self {
        Self { base: nanos(base), min: 0, max: nanos(delay_max), factor: 2, jitter: Jitter::Full }
    }

    /// No wait at all.
    #[must_use]
    pub const fn zero() -> Self {
        Self::new(Duration::ZERO, Duration::ZERO)
    }

    /// The ceiling of the first delay.
    #[must_use]
    pub const fn delay_base(mut self, base: Duration) -> Self {
        self.base = nanos(base);
        self
    }

    /// What the ceiling is multiplied by at each step; default 2. Zero counts as 1.
    #[must_use]
    pub const fn factor(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    /// No delay is longer.
    #[must_use]
    pub const fn delay_max(mut self, max: Duration) -> Self {
        self.max = nanos(max);
        self
    }

    /// No delay is shorter, unless `delay_max` is; default zero.
    #[must_use]
    pub const fn delay_min(mut self, min: Duration) -> Self {
        self.min = nanos(min);
        self
    }

    /// The jitter; default [`Jitter::Full`].
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The parts: base, factor, min, max, jitter.
    pub(crate) const fn parts(&self) -> (Duration, u32, Duration, Duration, Jitter) {
        (
            Duration::from_nanos(self.base),
            self.factor,
            Duration::from_nanos(self.min),
            Duration::from_nanos(self.max),
            self.jitter,
        )
    }

    /// What the delay at `step` can be at most, before jitter.
    #[inline]
    #[must_use]
    pub const fn ceiling(&self, step: u32) -> Duration {
        Duration::from_nanos(self.ceiling_nanos(step))
    }

    /// The delay at `step`. `previous` is the delay before, zero at step 0; only [`Jitter::Decorrelated`] reads it.
    #[inline]
    #[must_use]
    pub fn delay(&self, step: u32, previous: Duration, rng: &mut Rng) -> Duration {
        Duration::from_nanos(match self.jitter {
            Jitter::Full => self.draw(self.min, self.ceiling_nanos(step), rng),
            Jitter::None => self.within(self.ceiling_nanos(step)),
            Jitter::Equal => {
                let ceiling = self.ceiling_nanos(step);
                self.draw(ceiling - ceiling / 2, ceiling, rng)
            }
            Jitter::Decorrelated => {
                let top = nanos(previous).saturating_mul(3).max(self.base).min(self.max);
                self.draw(self.base, top, rng)
            }
        })
    }

    #[inline]
    const fn ceiling_nanos(&self, step: u32) -> u64 {
        let grown = if self.factor == 2 {
            if self.base == 0 || step <= self.base.leading_zeros() {
                wide_shl(self.base, step)
            } else {
                u64::MAX
            }
        } else {
            let factor = if self.factor == 0 { 1 } else { self.factor as u64 };
            self.base.saturating_mul(factor.saturating_pow(step))
        };
        if grown < self.max { grown } else { self.max }
    }

    /// Anything from `low` to `high`, once both lie between the floor and the cap.
    #[inline]
    fn draw(&self, low: u64, high: u64, rng: &mut Rng) -> u64 {
        let low = self.within(low);
        let high = high.min(self.max).max(low);
        low + rng.up_to(high - low)
    }

    #[inline]
    fn within(&self, delay: u64) -> u64 {
        delay.max(self.min).min(self.max)
    }
}

/// `wait` lengthened by at most `extra_max`: jitter on a wait that someone else has asked for may never shorten it.
#[must_use]
pub fn lengthened(wait: Duration, extra_max: Duration, rng: &mut Rng) -> Duration {
    wait.saturating_add(Duration::from_nanos(rng.up_to(nanos(extra_max))))
}

/// `percent` of `whole`, saturating.
#[must_use]
pub fn percent_of(whole: Duration, percent: u32) -> Duration {
    let part = u128::from(nanos(whole)) * u128::from(percent) / 100;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

/// `value << by` where the caller has checked that no bit is lost; a zero may be shifted by anything.
#[inline]
const fn wide_shl(value: u64, by: u32) -> u64 {
    if by < u64::BITS { value << by } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn any_jitter() -> impl Strategy<Value = Jitter> {
        prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated)]
    }

    #[test]
    fn the_ceiling_grows_to_the_cap_and_saturates() {
        let backoff = Backoff::new(SECOND, Duration::from_secs(60));
        let seconds: Vec<u64> = (0..8).map(|step| backoff.ceiling(step).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.ceiling(u32::MAX), Duration::from_secs(60));
        assert_eq!(backoff.factor(3).ceiling(2), Duration::from_secs(9));
        assert_eq!(backoff.factor(3).ceiling(u32::MAX), Duration::from_secs(60));
        assert_eq!(Backoff::zero().ceiling(u32::MAX), Duration::ZERO);
    }

    #[test]
    fn full_jitter_is_uniform() {
        // Chi-square over 64 cells; 103.4 is the 0.1 % point for 63 degrees of freedom. The seed is fixed.
        let backoff = Backoff::new(Duration::from_nanos(63), SECOND);
        let (mut rng, mut cells) = (Rng::seeded(20_260_101), [0u32; 64]);
        for _ in 0..64_000 {
            let delay = backoff.delay(0, Duration::ZERO, &mut rng);
            cells[usize::try_from(delay.as_nanos()).unwrap()] += 1;
        }
        let chi: f64 = cells.iter().map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 103.4, "chi-square {chi}");
    }

    #[test]
    fn the_delays_do_not_pile_up_at_the_cap() {
        let backoff = Backoff::new(Duration::from_secs(64), Duration::from_secs(60));
        let mut rng = Rng::seeded(3);
        let at_cap =
            (0..10_000).filter(|_| backoff.delay(5, SECOND, &mut rng) == Duration::from_secs(60)).count();
        assert!(at_cap < 5, "{at_cap} of 10000 delays are the cap itself");
    }

    proptest! {
        #[test]
        fn no_delay_is_above_the_cap_or_below_the_floor(
            base in 0u64.., factor in 0u32..1000, min in 0u64.., max in 0u64.., jitter in any_jitter(),
            step in 0u32.., previous in 0u64.., seed in 0u64..,
        ) {
            let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max))
                .factor(factor).delay_min(Duration::from_nanos(min)).jitter(jitter);
            let delay = backoff.delay(step, Duration::from_nanos(previous), &mut Rng::seeded(seed));
            prop_assert!(delay <= Duration::from_nanos(max));
            prop_assert!(delay >= Duration::from_nanos(min.min(max)));
        }

        #[test]
        fn a_lengthened_wait_is_never_shorter(wait in 0u64.., extra in 0u64.., seed in 0u64..) {
            let (wait, extra) = (Duration::from_nanos(wait), Duration::from_nanos(extra));
            let longer = lengthened(wait, extra, &mut Rng::seeded(seed));
            prop_assert!(longer >= wait && longer <= wait.saturating_add(extra));
        }
    }
}
