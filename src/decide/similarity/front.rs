//! The furthest points that so many insertions and deletions reach, diagonal by diagonal (Myers 1986, without a trace).
//!
//! A point `(x, y)` has passed `x` of the old and `y` of the new sequence; its diagonal is `x - y`. What follows is in steps
//! of one insertion or deletion: on each diagonal only the furthest point matters. Diagonals of one parity alternate, so
//! they are kept without gaps: the entry `i` is the diagonal `low + 2 * i`.

use super::bytes::Symbol;
use super::meter::Meter;

/// How far behind the leading point, in `x + y`, a diagonal may be before a walk leaves it.
const LAG: i64 = 640;

/// Room for the diagonals of a walk.
const WALK_ROOM: usize = 4096;

/// What a walk has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    /// The distance is at most this: there is an alignment that costs it.
    pub(super) at_most: u64,
    /// How many steps were taken.
    pub(super) steps: u64,
}

/// How the exact search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Searched {
    /// The distance.
    Found(u64),
    /// It is larger than `k`.
    Beyond,
    /// The steps are spent; it is larger than this.
    Spent(u64),
}

/// Walks through both side by side, keeping only the diagonals near the leading one: an upper bound of the distance, in
/// time that grows with it. Ends as soon as that is at most `target`; gives up after `edits_max`, or where more than
/// `allowance` steps and two for each element passed are spent: what is left then counts as different.
pub(super) fn walk<T: Symbol>(
    (a, b): (&[T], &[T]),
    target: u64,
    edits_max: u64,
    allowance: u64,
    meter: &mut Meter<'_>,
) -> Walked {
    let mut front = Front::start(a, b, WALK_ROOM);
    let (n, m) = (as_i64(a.len()), as_i64(b.len()));
    let (mut edits, mut steps) = (0_u64, 0_u64);
    loop {
        let (x, y) = front.best;
        let at_most = edits.saturating_add(gap(n, x)).saturating_add(gap(m, y));
        let passed = gap(x, 0).saturating_mul(2);
        let spent =
            steps > allowance.saturating_add(passed) || edits >= edits_max || meter.spent(front.len() as u64);
        if at_most <= target || spent || (x == n && y == m) {
            return Walked { at_most, steps };
        }
        front.leave(x + y - LAG);
        if front.len() + 2 >= WALK_ROOM {
            return Walked { at_most, steps };
        }
        front.step(-m, n);
        edits += 1;
        steps += front.len() as u64;
    }
}

/// The exact distance if it is at most `k`. A diagonal from which the end cannot be reached within `k` is left, so about
/// `k * k / 4` steps and `4 * k` bytes are the most.
pub(super) fn search<T: Symbol>(a: &[T], b: &[T], k: u64, steps_max: u64, meter: &mut Meter<'_>) -> Searched {
    let (n, m) = (as_i64(a.len()), as_i64(b.len()));
    let delta = n - m;
    let k = i64::try_from(k.min(a.len() as u64 + b.len() as u64)).unwrap_or(i64::MAX / 2);
    if delta.abs() > k {
        return Searched::Beyond;
    }
    let room = usize::try_from(k).unwrap_or(usize::MAX).saturating_add(4);
    let mut front = Front::start(a, b, room);
    let (mut edits, mut steps) = (0_i64, 0_u64);
    loop {
        if front.reaches(n, delta) {
            return Searched::Found(gap(edits, 0));
        }
        if edits >= k || front.len() == 0 {
            return Searched::Beyond;
        }
        if steps > steps_max || meter.spent(front.len() as u64) {
            return Searched::Spent(gap(edits, 0));
        }
        edits += 1;
        // From a diagonal the end is no nearer than the difference to that of the end.
        let left = k - edits;
        front.step((-m).max(delta - left), n.min(delta + left));
        steps += front.len() as u64;
    }
}

/// The most steps that [`search`] takes for that `k`.
pub(super) fn search_steps(k: u64) -> u64 {
    (k.saturating_mul(k) / 4).saturating_add(k.saturating_mul(2)).saturating_add(16)
}

struct Front<'a, T> {
    a: &'a [T],
    b: &'a [T],
    x: Vec<u32>,
    start: usize,
    end: usize,
    low: i64,
    /// The point with the most passed.
    best: (i64, i64),
}

impl<'a, T: Symbol> Front<'a, T> {
    fn start(a: &'a [T], b: &'a [T], room: usize) -> Self {
        let mut x = Vec::with_capacity(room.min(1 << 12));
        let common = T::prefix(a, b);
        x.push(short(common));
        Self { a, b, x, start: 0, end: 1, low: 0, best: (as_i64(common), as_i64(common)) }
    }

    const fn len(&self) -> usize {
        self.end - self.start
    }

    /// One more insertion or deletion, and then all that is common; only the diagonals from `least` to `most`.
    fn step(&mut self, least: i64, most: i64) {
        if self.start > 0 && self.start >= self.len() {
            self.x.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.x.len() {
            self.x.push(0);
        }
        // Entry i becomes the diagonal low - 1 + 2 * i: from the entry before by a deletion, from its own by an insertion.
        self.low -= 1;
        let mut before = self.x[self.start];
        self.x[self.end] = self.x[self.end - 1] + 1;
        for at in self.start + 1..self.end {
            let here = self.x[at];
            self.x[at] = here.max(before + 1);
            before = here;
        }
        self.end += 1;
        self.keep(least, most);
        self.slide();
    }

    /// Leaves the diagonals out of the range, which are at the ends.
    fn keep(&mut self, least: i64, most: i64) {
        while self.start < self.end && self.low < least {
            self.start += 1;
            self.low += 2;
        }
        while self.start < self.end && self.low + 2 * as_i64(self.len() - 1) > most {
            self.end -= 1;
        }
    }

    /// Goes on each diagonal as far as both are the same, and finds the point with the most passed.
    fn slide(&mut self) {
        let (a, b) = (self.a, self.b);
        let (n, m) = (as_i64(a.len()), as_i64(b.len()));
        let mut diagonal = self.low;
        let mut best = (0, 0);
        for x in &mut self.x[self.start..self.end] {
            // A point beyond the edge: the one on the edge is reached as cheaply.
            let at = i64::from(*x).min(n).min(m + diagonal);
            let mut at = index(at);
            let y = index(as_i64(at) - diagonal);
            let (rest, other) = (a.get(at..).unwrap_or_default(), b.get(y..).unwrap_or_default());
            if let (Some(p), Some(q)) = (rest.first(), other.first())
                && p == q
            {
                at += T::prefix(rest, other);
            }
            *x = short(at);
            let at = as_i64(at);
            if 2 * at - diagonal > best.0 + best.1 {
                best = (at, at - diagonal);
            }
            diagonal += 2;
        }
        self.best = best;
    }

    /// Leaves the diagonals at either end that have passed less than `least`.
    fn leave(&mut self, least: i64) {
        let passed = |x: u32, diagonal: i64| 2 * i64::from(x) - diagonal;
        while self.len() > 1 && passed(self.x[self.start], self.low) < least {
            self.start += 1;
            self.low += 2;
        }
        while self.len() > 1 && passed(self.x[self.end - 1], self.low + 2 * as_i64(self.len() - 1)) < least {
            self.end -= 1;
        }
    }

    /// Whether the diagonal of the end has come to it.
    fn reaches(&self, n: i64, delta: i64) -> bool {
        let offset = delta - self.low;
        if offset < 0 || offset % 2 != 0 {
            return false;
        }
        let at = self.start + index(offset / 2);
        at < self.end && i64::from(self.x[at]) >= n
    }
}

/// Lengths fit: the callers refuse what has 2^31 elements or more.
fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn short(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn index(n: i64) -> usize {
    usize::try_from(n).unwrap_or_default()
}

/// How much larger the first is; zero if it is not.
fn gap(a: i64, b: i64) -> u64 {
    u64::try_from(a.saturating_sub(b)).unwrap_or_default()
}
