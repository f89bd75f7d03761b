//! A fast hash of short keys, under a secret of the baseline's own.
//!
//! The construction is that of wyhash (Wang Yi, 2019): eight bytes at a time, folded by a 64 by 64 bit multiplication. It is not
//! a cryptographic hash; its four secrets are drawn from the baseline's seed, so that who writes into a log cannot prepare keys
//! that fall together without knowing the seed.

use crate::base::rng::Rng;

/// The secrets of one baseline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hasher {
    secrets: [u64; 4],
}

impl Hasher {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::seeded(seed);
        // Odd, so that none is zero.
        Self { secrets: std::array::from_fn(|_| rng.next_u64() | 1) }
    }

    /// The hash of `key`; never 0, which marks an empty place.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let [s0, s1, s2, s3] = self.secrets;
        let mut state = s0;
        let (a, b) = if key.len() <= 16 {
            short(key)
        } else {
            let mut rest = key;
            while rest.len() > 32 {
                let (low, high) = (pair(rest), pair(&rest[16..]));
                state = fold(low.0 ^ s1, low.1 ^ state) ^ fold(high.0 ^ s2, high.1 ^ s3);
                rest = &rest[32..];
            }
            if rest.len() > 16 {
                let low = pair(rest);
                state = fold(low.0 ^ s1, low.1 ^ state);
            }
            pair(&key[key.len() - 16..])
        };
        let (low, high) = wide(a ^ s1, b ^ state);
        fold(low ^ s2 ^ key.len() as u64, high ^ s3).max(1)
    }
}

/// The bytes of up to 16, some of them twice.
#[inline]
fn short(key: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else if let [first, .., last] = key {
        let middle = key[key.len() / 2];
        (u64::from(*first) << 16 | u64::from(middle) << 8 | u64::from(*last), 0)
    } else {
        (key.first().map_or(0, |only| u64::from(*only) << 16 | u64::from(*only)), 0)
    }
}

/// The first 16 bytes as two numbers.
#[inline]
fn pair(bytes: &[u8]) -> (u64, u64) {
    let word =
        |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    (word(0), word(8))
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
fn wide(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    (product as u64, (product >> 64) as u64)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = wide(a, b);
    low ^ high
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_of_many_short_keys_fall_together() {
        let hasher = Hasher::new(7);
        let mut seen = BTreeSet::new();
        for n in 0..60_000_u32 {
            assert!(seen.insert(hasher.hash(format!("{n}").as_bytes())), "{n}");
            assert!(
                seen.insert(hasher.hash(format!("a kind of line whose number is {n}|INFO|x").as_bytes()))
            );
        }
        // Each length, all zero: only the length tells them apart.
        for length in 1..200 {
            assert!(seen.insert(hasher.hash(&vec![0; length])), "{length}");
        }
        assert_ne!(hasher.hash(b""), 0);
        assert!(!seen.contains(&hasher.hash(b"")));
    }

    #[test]
    fn every_bit_of_a_key_turns_half_of_the_hash() {
        let hasher = Hasher::new(3);
        for length in [1_usize, 3, 4, 8, 11, 16, 17, 33, 64, 100] {
            let key: Vec<u8> = (0..length).map(|at| u8::try_from(at).unwrap()).collect();
            let (mut turned, mut flips) = (0, 0);
            for bit in 0..length * 8 {
                let mut other = key.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                turned += (hasher.hash(&key) ^ hasher.hash(&other)).count_ones();
                flips += 1;
            }
            let mean = f64::from(turned) / f64::from(flips);
            assert!((24.0..40.0).contains(&mean), "{length}: {mean}");
        }
    }

    #[test]
    fn another_seed_is_another_hash() {
        assert_ne!(Hasher::new(1).hash(b"key"), Hasher::new(2).hash(b"key"));
        assert_eq!(Hasher::new(1).hash(b"key"), Hasher::new(1).hash(b"key"));
    }
}
