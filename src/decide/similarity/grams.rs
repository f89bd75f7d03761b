//! Sequences of five bytes, counted in a hashed table that wraps.
//!
//! An insertion or deletion takes away and brings at most `2 * q - 1` sequences of `q` bytes, so counts whose differences
//! sum up to more than `(2 * q - 1) * k` prove a distance above `k` (Ukkonen 1992). Sequences that share an entry only
//! lower the sum, and so does an entry that wraps around: its absolute value is never more than what it stands for.

use super::bytes::word_at;

/// How many bytes a sequence has.
pub(super) const Q: usize = 5;

/// The difference of the counts of a single insertion or deletion is at most this.
pub(super) const EACH: u64 = 2 * Q as u64 - 1;

/// At least this many bytes are inserted or deleted.
pub(super) fn distance(a: &[u8], b: &[u8], table_max: usize) -> u64 {
    let size = (a.len().max(b.len())).next_power_of_two().clamp(1 << 12, 1 << 22).min(table_max.max(1 << 12));
    let bits = size.ilog2();
    let mut table = vec![0_u8; 1 << bits];
    each(a, bits, |at| table[at] = table[at].wrapping_add(1));
    each(b, bits, |at| table[at] = table[at].wrapping_sub(1));
    let mut sum = 0_u64;
    for part in table.chunks(1 << 12) {
        sum += u64::from(part.iter().map(|count| u32::from(count.cast_signed().unsigned_abs())).sum::<u32>());
    }
    sum.div_ceil(EACH)
}

/// Gives the entry of each sequence, in a table of `2^bits` entries.
#[inline]
pub(super) fn each(bytes: &[u8], bits: u32, mut count: impl FnMut(usize)) {
    let mask = (1_usize << bits) - 1;
    let mut give = |word: u64| count(entry(word, bits) & mask);
    let whole = bytes.len().saturating_sub(11);
    let mut at = 0;
    // One load of eight bytes holds four sequences of five.
    while at < whole {
        let word = word_at(bytes, at);
        for shift in [0, 8, 16, 24] {
            give(word >> shift);
        }
        at += 4;
    }
    while at + Q <= bytes.len() {
        give(word_at(bytes, at));
        at += 1;
    }
}

/// Multiply and shift: the highest bits of the product of the five lowest bytes.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "bits is below 32")]
pub(super) const fn entry(word: u64, bits: u32) -> usize {
    ((word << 24).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - bits)) as usize
}
