//! Pieces of the old text that are nowhere near their place in the new one: a lower bound of the distance.
//!
//! The old text is cut into blocks, each block into pieces of `q` bytes. An alignment within `k` lays each block against
//! a stretch of the new text that starts at most `(k + difference of lengths) / 2` away, the stretches do not overlap, and
//! the distance is the sum over the blocks. In a block either each piece is hit by an insertion or deletion, so that it
//! costs as many as it has pieces; or one piece is unharmed, and stands in the new text within that reach. Then it costs
//! what it costs to go on from there to both ends of the block, wherever those may lie. The least of these is what the block
//! costs at least; where the sum is above `k`, so is the distance.
//!
//! Whatever is left out (a piece that occurs too often, blocks for which there is no time) counts as nothing.

use super::bytes::{Symbol, word_at};
use super::meter::Meter;

/// Pieces in a block.
const PIECES: usize = 16;

/// Places of one hash that are looked at; pieces beyond do not count.
const CHAIN: usize = 24;

const NONE: u32 = u32::MAX;

const MIX: u64 = 0xD6E8_FEB8_6659_FD93;

/// So many places are looked at before it is asked whether that is enough.
const STRETCH: usize = 1024;

/// How the old text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The length of a piece.
    pub(super) q: usize,
}

impl Cut {
    /// The length that promises most: short enough that as many pieces as `k` allows can be missing one and a half times over,
    /// long enough that they are rarely found by chance. `None` where that is too short to tell anything.
    pub(super) fn for_allowed(n: usize, k: u64) -> Option<Self> {
        let q = (n as u64).saturating_mul(2) / k.saturating_mul(3).max(1);
        let q = usize::try_from(q).unwrap_or(32).min(32);
        (q >= 6 && n >= q * PIECES).then_some(Self { q })
    }

    /// A shorter one, which may prove more where changes are even, at more work.
    pub(super) fn shorter(self) -> Option<Self> {
        let q = self.q * 2 / 3;
        (q >= 8).then_some(Self { q })
    }
}

/// How much may be spent on looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effort {
    /// Steps beside one for each byte of the new text.
    pub(super) steps_max: u64,
    /// Whether to give up as soon as the blocks so far promise no proof.
    pub(super) promising: bool,
}

/// At least this many bytes are inserted or deleted, if the distance is at most `k` at all: so more than `k` is proof that
/// it is not. Ends as soon as that is so, or with the effort.
pub(super) fn distance(
    (a, b): (&[u8], &[u8]),
    k: u64,
    cut: Cut,
    effort: Effort,
    meter: &mut Meter<'_>,
) -> u64 {
    let (n, m) = (signed(a.len()), signed(b.len()));
    let k_signed = i64::try_from(k).unwrap_or(i64::MAX / 4).min(n + m);
    if (n - m).abs() > k_signed {
        return (n - m).unsigned_abs();
    }
    let least = -((k_signed - (n - m)) / 2);
    let most = (k_signed + (n - m)) / 2;
    let mut scan = Scan::new(a, b, cut.q, least, most);
    let end = (b.len() + 1).saturating_sub(cut.q);
    let mut from = 0;
    while from < end {
        let to = (from + STRETCH).min(end);
        // What comes into reach within the stretch is taken in at its beginning: a longer reach only finds more.
        scan.take_in(to - 1);
        scan.look(from, to);
        if scan.close(signed(from)) > k {
            return scan.sum;
        }
        let late = meter.spent((to - from) as u64 + scan.steps - scan.counted);
        scan.counted = scan.steps;
        if late || scan.steps > effort.steps_max || (effort.promising && !scan.promises(k)) {
            return scan.sum;
        }
        from = to;
    }
    scan.close(i64::MAX)
}

struct Scan<'a> {
    a: &'a [u8],
    b: &'a [u8],
    q: usize,
    bits: u32,
    least: i64,
    most: i64,
    /// For each hash the piece that was taken in last.
    heads: Vec<u32>,
    /// For each piece, by its number in a ring, the one before it with the same hash.
    before: Vec<u32>,
    blocks: Vec<Block>,
    taken: usize,
    closed: usize,
    sum: u64,
    steps: u64,
    counted: u64,
}

#[derive(Clone, Copy)]
struct Block {
    /// The least that it costs where one of its pieces was found.
    best: u8,
    /// The pieces that count, a bit each.
    pieces: u32,
    /// The diagonal that was tried last, and where in the old text its common run ends.
    diagonal: i64,
    run_end: usize,
}

impl<'a> Scan<'a> {
    fn new(a: &'a [u8], b: &'a [u8], q: usize, least: i64, most: i64) -> Self {
        // A stretch is taken in at its beginning.
        let in_reach = (unsigned(most - least) + STRETCH) / q + 3;
        let ring = in_reach.min(a.len() / q + 1).next_power_of_two();
        let bits = (ring * 8).ilog2().clamp(10, 17);
        let block = Block { best: u8::MAX, pieces: 0, diagonal: i64::MAX, run_end: 0 };
        Self {
            a,
            b,
            q,
            bits,
            least,
            most,
            heads: vec![NONE; 1 << bits],
            before: vec![NONE; ring],
            blocks: vec![block; a.len().div_ceil(q * PIECES)],
            taken: 0,
            closed: 0,
            sum: 0,
            steps: 0,
            counted: 0,
        }
    }

    /// Takes in the pieces that the place `j` of the new text can reach.
    #[inline]
    fn take_in(&mut self, j: usize) {
        while self.taken * self.q + self.q <= self.a.len()
            && signed(self.taken * self.q) <= signed(j) + self.most
        {
            self.take(self.taken);
            self.taken += 1;
        }
    }

    fn take(&mut self, piece: usize) {
        self.blocks[piece / PIECES].pieces |= 1 << (piece % PIECES);
        let hash = self.hash(self.a, piece * self.q);
        let ring = self.before.len() - 1;
        self.before[piece & ring] = self.heads[hash];
        self.heads[hash] = u32::try_from(piece).unwrap_or(NONE);
    }

    /// The hash of a piece: of its first and last eight bytes, or of all if it is shorter. Equality is asked of the bytes.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "bits is at most 17")]
    fn hash(&self, bytes: &[u8], at: usize) -> usize {
        if self.q >= 8 {
            return hash_of(word_at(bytes, at), word_at(bytes, at + self.q - 8), self.bits);
        }
        let word = word_at(bytes, at) << (64 - 8 * self.q);
        (word.wrapping_mul(MIX) >> (64 - self.bits)) as usize
    }

    /// Looks for pieces that stand from `from` on, before `to`, in the new text.
    fn look(&mut self, from: usize, to: usize) {
        if self.q < 8 {
            for j in from..to {
                let hash = self.hash(self.b, j);
                if self.heads[hash] != NONE {
                    self.follow(hash, j);
                }
            }
            return;
        }
        let (text, bits, last) = (self.b, self.bits, self.q - 8);
        let firsts = text[from..to + 7].windows(8);
        let lasts = text[from + last..to + last + 7].windows(8);
        for (offset, (first, last)) in firsts.zip(lasts).enumerate() {
            let hash = hash_of(word_at(first, 0), word_at(last, 0), bits);
            if self.heads.get(hash).is_some_and(|head| *head != NONE) {
                self.follow(hash, from + offset);
            }
        }
    }

    fn follow(&mut self, hash: usize, j: usize) {
        let ring = self.before.len() - 1;
        let (mut piece, mut from) = (self.heads[hash], NONE);
        let mut seen = 0;
        while piece != NONE {
            let at = piece as usize * self.q;
            // Those before it are further away still, and their room in the ring may be taken: the chain ends here.
            if signed(at) < signed(j) + self.least {
                self.end(hash, from);
                return;
            }
            if seen == CHAIN {
                self.end(hash, from);
                self.discount(piece, j);
                return;
            }
            seen += 1;
            self.steps += 4;
            self.try_at(piece as usize, j);
            from = piece;
            piece = self.before[piece as usize & ring];
        }
    }

    /// Ends the chain of a hash after a piece, or empties it.
    fn end(&mut self, hash: usize, after: u32) {
        let ring = self.before.len() - 1;
        if after == NONE { self.heads[hash] = NONE } else { self.before[after as usize & ring] = NONE }
    }

    /// Pieces that are not looked at any more do not count.
    fn discount(&mut self, mut piece: u32, j: usize) {
        let ring = self.before.len() - 1;
        while piece != NONE && signed(piece as usize * self.q) >= signed(j) + self.least {
            self.blocks[piece as usize / PIECES].pieces &= !(1 << (piece as usize % PIECES));
            self.steps += 1;
            piece = self.before[piece as usize & ring];
        }
    }

    /// What the block of a piece costs if the piece stands at `j`.
    fn try_at(&mut self, piece: usize, j: usize) {
        let (number, at) = (piece / PIECES, piece * self.q);
        let Block { best, diagonal, run_end, .. } = self.blocks[number];
        let here = signed(at) - signed(j);
        if best == 0 || (diagonal == here && at < run_end) {
            return;
        }
        if self.a[at..at + self.q] != self.b[j..j + self.q] {
            return;
        }
        let from = number * PIECES * self.q;
        let to = (from + PIECES * self.q).min(self.a.len());
        let (left, right) = (&self.a[from..at], &self.a[at + self.q..to]);
        let (left_new, right_new) = (&self.b[..j], &self.b[j + self.q..]);
        let run = at + self.q + u8::prefix(right, right_new);
        let most = usize::from(best).min(PIECES);
        let before = reach::<true>(left, left_new, most, &mut self.steps);
        let after = reach::<false>(right, right_new, most - before, &mut self.steps);
        let block = &mut self.blocks[number];
        block.diagonal = here;
        block.run_end = run;
        block.best = block.best.min(u8::try_from(before + after).unwrap_or(u8::MAX));
    }

    /// Adds up the blocks whose reach is passed at `j`.
    fn close(&mut self, j: i64) -> u64 {
        let size = self.q * PIECES;
        while self.closed < self.blocks.len() {
            let last = signed(((self.closed + 1) * size).min(self.a.len()));
            // j + least is the first place in the old text that is still in reach.
            if j.saturating_add(self.least) <= last {
                break;
            }
            self.sum += u64::from(self.settled(self.closed));
            self.closed += 1;
        }
        self.sum
    }

    /// Whether the blocks so far, taken for all of them, come near to a proof. Before a sixteenth is seen they do.
    fn promises(&self, k: u64) -> bool {
        let (seen, all) = (self.closed as u64, self.blocks.len() as u64);
        seen * 16 < all
            || self.sum.saturating_mul(all).saturating_mul(4) >= k.saturating_mul(seen).saturating_mul(3)
    }

    /// What a block costs when nothing more can be found: pieces that were never in reach of any place are missing.
    fn settled(&mut self, number: usize) -> u32 {
        let end = ((number + 1) * PIECES).min(self.a.len() / self.q);
        while self.taken < end {
            self.blocks[self.taken / PIECES].pieces |= 1 << (self.taken % PIECES);
            self.taken += 1;
        }
        let Block { best, pieces, .. } = self.blocks[number];
        u32::from(best).min(pieces.count_ones())
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "bits is at most 17")]
const fn hash_of(first: u64, last: u64, bits: u32) -> usize {
    let word = first.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ last.rotate_left(29);
    (word.wrapping_mul(MIX) >> (64 - bits)) as usize
}

/// The fewest insertions and deletions after which all of `a` is passed, wherever in `b` that is; or `most`.
fn reach<const BACKWARD: bool>(a: &[u8], b: &[u8], most: usize, steps: &mut u64) -> usize {
    let common = |x: usize, y: usize| {
        if BACKWARD { u8::suffix(&a[..a.len() - x], &b[..b.len() - y]) } else { u8::prefix(&a[x..], &b[y..]) }
    };
    let mut points = [0_usize; PIECES + 2];
    points[0] = common(0, 0);
    if points[0] >= a.len() {
        return 0;
    }
    for edits in 1..most.min(PIECES) {
        *steps += edits as u64 + 1;
        for i in (0..=edits).rev() {
            // Diagonal 2 * i - edits, by a deletion from the entry before or by an insertion from its own.
            let deleted = if i > 0 { points[i - 1] + 1 } else { 0 };
            let inserted = if i < edits { points[i] } else { 0 };
            let x = deleted.max(inserted).min(a.len()).min(b.len() + 2 * i - edits.min(b.len() + 2 * i));
            let y = (x + edits).saturating_sub(2 * i).min(b.len());
            points[i] = x + common(x, y);
            if points[i] >= a.len() {
                return edits;
            }
        }
    }
    most
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 4)
}

fn unsigned(n: i64) -> usize {
    usize::try_from(n).unwrap_or_default()
}
