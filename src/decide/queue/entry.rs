//! What a pile is ordered by: small, and with all that a comparison needs, so that no slot is looked at.

use crate::decide::queue::slab::{Meta, Slab};

/// A task whose estimate is learned and who would be late is worth this share: behind all others, but not gone.
const DEMOTED: f64 = 1e-6;
/// In seconds: a task is taken to last at least a millisecond.
const TICK: f64 = 1e-3;
const NANOS: f64 = 1e9;

/// A place in an order: first what comes first by it, then the earlier deadline, then the earlier arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    high: u64,
    low: u64,
    pub(super) slot: u32,
}

impl Ord for Entry {
    #[inline]
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Entry {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }

    #[inline]
    fn lt(&self, other: &Self) -> bool {
        self.key() < other.key()
    }

    #[inline]
    fn le(&self, other: &Self) -> bool {
        self.key() <= other.key()
    }
}

impl Entry {
    #[inline]
    pub(super) const fn new(primary: u32, deadline: u64, seq: u32, slot: u32) -> Self {
        Self { high: (primary as u64) << 32 | deadline >> 32, low: deadline << 32 | seq as u64, slot }
    }

    #[inline]
    const fn key(&self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    pub(super) const fn primary(&self) -> u32 {
        (self.high >> 32) as u32
    }

    pub(super) const fn deadline(&self) -> u64 {
        self.high << 32 | self.low >> 32
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) const fn seq(&self) -> u32 {
        self.low as u32
    }
}

/// A place by time: when something is due, then a number, then the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) at: u64,
    tail: u64,
}

impl Due {
    pub(super) const fn new(at: u64, number: u32, slot: u32) -> Self {
        Self { at, tail: (number as u64) << 32 | slot as u64 }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    pub(super) const fn number(&self) -> u32 {
        (self.tail >> 32) as u32
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) const fn slot(&self) -> u32 {
        self.tail as u32
    }
}

/// A place by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrival(u64);

impl Arrival {
    pub(super) const fn new(seq: u32, slot: u32) -> Self {
        Self((seq as u64) << 32 | slot as u64)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    pub(super) const fn seq(&self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(super) const fn slot(&self) -> u32 {
        self.0 as u32
    }
}

/// What a task is ordered by, for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Density,
    /// The class first.
    Class,
    /// The deadline, and what would be late after all that would not.
    Deadline,
    /// The deadline alone.
    BareDeadline,
    Arrival,
}

impl By {
    /// Where a task is in this order at `now`. It only moves back as time passes: what was computed before is a bound.
    #[inline]
    pub(super) fn entry<T>(self, slab: &Slab<T>, slot: u32, meta: &Meta, now: u64) -> Entry {
        let primary = match self {
            Self::Density => !density(slab, slot, meta, now).to_bits(),
            // Two bits for the class, and one less for the density: the most, 10^15, is less than 2^31 as bits.
            Self::Class => {
                let bits = density(slab, slot, meta, now).to_bits() >> 1;
                u32::from(meta.class.min(3)) << 30 | ((1 << 30) - 1 - bits)
            }
            Self::Deadline => u32::from(meta.is_late(now)),
            Self::BareDeadline | Self::Arrival => 0,
        };
        Entry::new(primary, self.deadline(meta), meta.seq, slot)
    }

    pub(super) fn deadline(self, meta: &Meta) -> u64 {
        if self == Self::Arrival { 0 } else { meta.deadline }
    }
}

/// Worth a second if it is begun now. Not below zero, and rounded to the precision in which densities are compared.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounding is monotone, and 10^15 is in the range"
)]
#[inline]
pub(super) fn density<T>(slab: &Slab<T>, slot: u32, meta: &Meta, now: u64) -> f32 {
    let age = now.saturating_sub(meta.submitted).saturating_add(meta.estimate);
    let worth = slab.worth(slot, meta, age) / (meta.estimate as f64 / NANOS).max(TICK);
    (if meta.is_late(now) { worth * DEMOTED } else { worth }) as f32
}
