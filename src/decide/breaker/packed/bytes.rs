//! Numbers of as many bytes as they need (LEB128; signed ones zigzag), and instants near a base.

use crate::base::time::{Now, Timestamp};
use crate::decide::breaker::packed::{wall_at, wall_nanos};
use crate::decide::breaker::state::Instant;
use crate::decide::breaker::window::At;

pub(super) struct Writer {
    bytes: Vec<u8>,
    base: Base,
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    base: Base,
}

/// One reading of both clocks; where they went on alike, the wall time of an instant is one byte.
#[derive(Clone, Copy)]
struct Base {
    at: At,
    wall: i128,
}

impl Base {
    fn of(base: Now) -> Self {
        Self { at: Instant::of(base).at, wall: wall_nanos(base.wall) }
    }
}

impl Writer {
    pub(super) fn new(first: u8, base: Now) -> Self {
        Self { bytes: vec![first], base: Base::of(base) }
    }

    pub(super) fn base_at(&self) -> At {
        self.base.at
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn word(&mut self, word: u64) {
        self.bytes.extend(word.to_le_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.wide(number.into());
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.wide_signed(number.into());
    }

    pub(super) fn instant(&mut self, instant: Instant) {
        let ahead = i128::from(instant.at) - i128::from(self.base.at);
        self.wide_signed(ahead);
        self.wide_signed(wall_nanos(instant.wall) - self.base.wall - ahead);
    }

    pub(super) fn wall(&mut self, wall: Timestamp) {
        self.wide_signed(wall_nanos(wall) - self.base.wall);
    }

    pub(super) fn bits(&mut self, bits: impl Iterator<Item = bool>) {
        for (n, bit) in bits.enumerate() {
            if n % 8 == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(bit) << (n % 8);
            }
        }
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.bytes
    }

    fn wide_signed(&mut self, number: i128) {
        // Zigzag: the sign is the lowest bit, so that small negative numbers are short too.
        self.wide((number.cast_unsigned() << 1) ^ (number >> 127).cast_unsigned());
    }

    fn wide(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.bytes.push(low(number) | 0x80);
            number >>= 7;
        }
        self.bytes.push(low(number));
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], base: Now) -> Self {
        Self { bytes, base: Base::of(base) }
    }

    pub(super) const fn base_at(&self) -> At {
        self.base.at
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(super) fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u64::from_le_bytes(*word))
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        u64::try_from(self.wide()?).ok()
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.wide()?).ok()
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        i64::try_from(self.wide_signed()?).ok()
    }

    pub(super) fn instant(&mut self) -> Option<Instant> {
        let ahead = self.wide_signed()?;
        let at = At::try_from(i128::from(self.base.at).checked_add(ahead)?).ok()?;
        let wall = self.base.wall.checked_add(ahead)?.checked_add(self.wide_signed()?)?;
        Some(Instant { at, wall: wall_at(wall)? })
    }

    pub(super) fn wall(&mut self) -> Option<Timestamp> {
        wall_at(self.base.wall.checked_add(self.wide_signed()?)?)
    }

    /// The bytes of so many bits.
    pub(super) fn bits(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bits, rest) = self.bytes.split_at_checked(count.div_ceil(8))?;
        self.bytes = rest;
        Some(bits)
    }

    fn wide_signed(&mut self) -> Option<i128> {
        let number = self.wide()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn wide(&mut self) -> Option<u128> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            number |= u128::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
            shift += 7;
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "seven bits are what is wanted")]
const fn low(number: u128) -> u8 {
    number as u8 & 0x7f
}
