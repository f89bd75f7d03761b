//! The longest common subsequence by machine words, in a band around the diagonal.
//!
//! Hyyrö, *Bit-Parallel LCS-length Computation Revisited* (2004): bit `i` of a row is 0 where the subsequence grows with the
//! byte `i` of the old text. A row is `u = s & m; s = (s + u) | (s & !m)`, where `m` marks the places of one byte. Only
//! the places that a distance of `k` can reach are kept: `(k + difference of lengths) / 2` to either side. Every so many
//! rows the places are left from which it can no longer be reached.

use super::meter::Meter;

/// After so many rows the band is made narrower; in tests much sooner.
const NARROWED_EVERY: usize = if cfg!(test) { 16 } else { 1024 };

/// How the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Banded {
    /// The distance.
    Found(u64),
    /// It is larger than `k`.
    Beyond,
    /// The caller's time was over.
    Stopped,
}

/// The exact distance if it is at most `k`.
pub(super) fn search(a: &[u8], b: &[u8], k: u64, meter: &mut Meter<'_>) -> Banded {
    let Some(mut band) = Band::new(a, b, k) else { return Banded::Beyond };
    for (row, byte) in b.iter().enumerate() {
        if row % NARROWED_EVERY == NARROWED_EVERY - 1 && !band.narrow(row) {
            return Banded::Beyond;
        }
        let Some((first, last)) = band.words(row) else { continue };
        band.row(*byte, first, last);
        if meter.spent((last - first + 1) as u64) {
            return Banded::Stopped;
        }
    }
    let common: u64 = band.row.iter().map(|word| u64::from(word.count_zeros())).sum();
    let distance = (a.len() as u64 + b.len() as u64).saturating_sub(2 * common);
    if distance <= k { Banded::Found(distance) } else { Banded::Beyond }
}

/// About how many words are gone through.
pub(super) fn steps(a: usize, b: usize, k: u64) -> u64 {
    let width = k.min(a as u64 * 2) / 64 + 2;
    width.min(a as u64 / 64 + 1).saturating_mul(b as u64)
}

/// About how many bytes it takes: the masks of each byte within the band, and a row.
pub(super) fn memory(a: usize, k: u64) -> u64 {
    let words = (k / 64 + 3).min(a as u64 / 64 + 3);
    words.saturating_mul(256 * 8).saturating_add(a as u64 / 8)
}

struct Band<'a> {
    a: &'a [u8],
    rows: usize,
    k: i64,
    /// The diagonals, place in the old text less place in the new one, that are kept.
    least: i64,
    most: i64,
    row: Vec<u64>,
    /// For each byte that occurs its masks, a ring of `ring` words.
    masks: Vec<u64>,
    ring: usize,
    number: [u16; 256],
    /// The words of the old text of which the ring holds the masks: from, to.
    held: (usize, usize),
    /// Zeros in the words before the band, and how many words those are.
    passed: (u64, usize),
}

const ABSENT: u16 = u16::MAX;

impl<'a> Band<'a> {
    fn new(a: &'a [u8], b: &'a [u8], k: u64) -> Option<Self> {
        let (n, m) = (signed(a.len()), signed(b.len()));
        let k = i64::try_from(k).unwrap_or(i64::MAX).min(n + m);
        if (n - m).abs() > k || a.is_empty() {
            return (k >= n + m).then(|| Self::empty(a, b.len(), k));
        }
        let (least, most) = (-((k - (n - m)) / 2), (k + (n - m)) / 2);
        let mut band = Self { least, most, ..Self::empty(a, b.len(), k) };
        band.ring = (unsigned(most - least) / 64 + 3).min(a.len() / 64 + 2);
        band.row = vec![u64::MAX; a.len().div_ceil(64)];
        let mut kinds = 0;
        for byte in a {
            let number = &mut band.number[usize::from(*byte)];
            if *number == ABSENT {
                *number = kinds;
                kinds += 1;
            }
        }
        band.masks = vec![0; usize::from(kinds) * band.ring];
        Some(band)
    }

    const fn empty(a: &'a [u8], rows: usize, k: i64) -> Self {
        Self {
            a,
            rows,
            k,
            least: 0,
            most: 0,
            row: Vec::new(),
            masks: Vec::new(),
            ring: 1,
            number: [ABSENT; 256],
            held: (0, 0),
            passed: (0, 0),
        }
    }

    /// The first and last word in which a row has places within the band.
    fn words(&self, row: usize) -> Option<(usize, usize)> {
        let (n, row) = (signed(self.a.len()), signed(row));
        let (from, to) = ((row + self.least).max(0), (row + self.most).min(n - 1));
        (from <= to).then(|| (unsigned(from) / 64, unsigned(to) / 64))
    }

    fn row(&mut self, byte: u8, first: usize, last: usize) {
        self.hold(first, last);
        let number = self.number[usize::from(byte)];
        if number == ABSENT {
            return;
        }
        let masks = &self.masks[usize::from(number) * self.ring..][..self.ring];
        let (slot, count) = (first % self.ring, last - first + 1);
        let whole = count.min(self.ring - slot);
        let words = &mut self.row[first..=last];
        let carry = add(&mut words[..whole], &masks[slot..], false);
        if whole < count {
            add(&mut words[whole..], masks, carry);
        }
    }

    /// Takes the masks of the words up to `last` in, and those before `first` out where their room is needed.
    fn hold(&mut self, first: usize, last: usize) {
        while self.held.1 <= last {
            if self.held.1 - self.held.0 >= self.ring {
                self.mark(self.held.0, false);
                self.held.0 += 1;
            }
            self.mark(self.held.1, true);
            self.held.1 += 1;
        }
        debug_assert!(self.held.0 <= first, "what is in the band is held");
    }

    fn mark(&mut self, word: usize, set: bool) {
        let from = word * 64;
        let to = (from + 64).min(self.a.len());
        for (bit, byte) in self.a[from..to].iter().enumerate() {
            let at = usize::from(self.number[usize::from(*byte)]) * self.ring + word % self.ring;
            if set { self.masks[at] |= 1 << bit } else { self.masks[at] = 0 }
        }
    }

    /// Leaves the diagonals that can no longer be part of an alignment within `k`. Whether any is left.
    ///
    /// `distance so far + difference still to be made up <= k` is asked at the borders of words; within one the left
    /// side is smaller by at most 128.
    fn narrow(&mut self, row: usize) -> bool {
        let Some((first, last)) = self.words(row) else { return true };
        while self.passed.1 < first {
            self.passed.0 += u64::from(self.row[self.passed.1].count_zeros());
            self.passed.1 += 1;
        }
        let (n, m, j) = (signed(self.a.len()), signed(self.rows), signed(row));
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        let mut common = i64::try_from(self.passed.0).unwrap_or(i64::MAX);
        for word in first..=last + 1 {
            let i = signed(word * 64).min(n);
            let (diagonal, to_go) = (i - j, (n - i) - (m - j));
            let spare = self.k + 128 - (i + j - 2 * common);
            if spare >= to_go.abs() {
                // Going to a diagonal further out and from there to the end costs the way out and the way back.
                most = most.max((spare + diagonal + (n - m)) / 2 + 64);
                least = least.min(-((spare - diagonal - (n - m)) / 2) - 64);
            }
            common += self.row.get(word).map_or(0, |bits| i64::from(bits.count_zeros()));
        }
        if least > most {
            return false;
        }
        (self.least, self.most) = (self.least.max(least), self.most.min(most));
        // Words beyond the band would keep what they grew by in rows that went by; without it they count too little.
        let beyond = self.words(row).map_or(0, |(_, last)| last + 1);
        for bits in self.row.iter_mut().take(last + 2).skip(beyond) {
            *bits = u64::MAX;
        }
        true
    }
}

#[inline]
fn add(row: &mut [u64], masks: &[u64], mut carry: bool) -> bool {
    for (s, m) in row.iter_mut().zip(masks) {
        let u = *s & m;
        let (sum, over) = s.overflowing_add(u);
        let (sum, again) = sum.overflowing_add(u64::from(carry));
        carry = over | again;
        *s = sum | (*s & !m);
    }
    carry
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> usize {
    usize::try_from(n).unwrap_or_default()
}
