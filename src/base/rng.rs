//! A seeded generator. A seed is data: the same seed gives the same story.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Not for secrets.
//! The generator is deliberately not `Clone`: a copied live generator gives two callers the same jitter, which is the
//! opposite of what jitter is for.

use std::hash::{BuildHasher, Hasher};

/// A stream of pseudorandom numbers.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream that belongs to `seed`.
    ///
    /// ```
    /// use unattended::rng::Rng;
    /// assert_eq!(Rng::seeded(7).next_u64(), Rng::seeded(7).next_u64());
    /// ```
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of what is still to come: `Rng::seeded(state)` goes on where this is. For putting a generator down and
    /// picking it up, never for a second one beside it.
    pub(crate) const fn state(&self) -> u64 {
        self.0
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..=max`, each equally likely (Lemire, "Fast random integer generation in an interval", 2019).
    pub fn up_to(&mut self, max: u64) -> u64 {
        let Some(bound) = max.checked_add(1) else { return self.next_u64() };
        let mut product = u128::from(self.next_u64()) * u128::from(bound);
        if low(product) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while low(product) < threshold {
                product = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        high(product)
    }
}

/// A seed from the operating system's randomness, different for each call.
#[must_use]
pub fn entropy() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that asks for randomness")]
    let state = std::hash::RandomState::new();
    state.build_hasher().finish()
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(product: u128) -> u64 {
    product as u64
}

#[allow(clippy::cast_possible_truncation, reason = "the high half fits")]
const fn high(product: u128) -> u64 {
    (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_stream() {
        // The first outputs for seed 1234567, from the authors' reference implementation.
        let mut rng = Rng::seeded(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
        assert_eq!(rng.next_u64(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn up_to_stays_within_and_reaches_both_ends() {
        let mut rng = Rng::seeded(1);
        let mut seen = [0u32; 3];
        for _ in 0..3000 {
            seen[usize::try_from(rng.up_to(2)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|n| (900..1100).contains(n)), "{seen:?}");
        assert_eq!(rng.up_to(0), 0);
        rng.up_to(u64::MAX);
    }

    #[test]
    fn entropy_differs_from_call_to_call() {
        assert_ne!(entropy(), entropy());
    }
}
