//! The steps, one after the other, until one of them is sure.

use super::bytes::{Symbol, histogram, histogram_distance};
use super::front::{self, Searched};
use super::meter::Meter;
use super::verdict::{Cut, Step};
use super::{band, grams, pieces, refine};

/// Offsets are kept in 32 bits; longer texts are compared only by the steps that keep none.
const OFFSETS_MAX: usize = i32::MAX as usize;

/// Steps that a walk over the whole may take before it has come anywhere.
const WALK_ALLOWANCE: u64 = 20_000;

/// Beyond so many bytes, both together, a search that will not come to an end is given up early.
const LARGE: usize = 4 << 20;

/// A step of the search along diagonals takes about as long as three words of the band.
const DIAGONAL_WORDS: u64 = 3;

/// What bounds a comparison, and which steps it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The largest distance that is not meaningful.
    pub(super) k: u64,
    pub(super) work_max: u64,
    pub(super) memory_max: u64,
    pub(super) may: May,
}

/// The steps that are taken. All of them, but for tests that look at one alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct May(u16);

impl May {
    pub(super) const ALL: Self = Self(u16::MAX);

    #[cfg(test)]
    pub(super) const fn only(step: Step) -> Self {
        Self(1 << step as u16)
    }

    #[cfg(test)]
    pub(super) const fn and(self, step: Step) -> Self {
        Self(self.0 | 1 << step as u16)
    }

    const fn take(self, step: Step) -> bool {
        self.0 & (1 << step as u16) != 0
    }
}

/// What is known of the distance, and by which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) step: Step,
    pub(super) at_least: u64,
    pub(super) at_most: u64,
    /// What ended the search before it was sure.
    pub(super) cut: Option<Cut>,
}

impl Known {
    pub(super) fn between(a: usize, b: usize) -> Self {
        let (a, b) = (a as u64, b as u64);
        Self { step: Step::Length, at_least: a.abs_diff(b), at_most: a.saturating_add(b), cut: None }
    }

    /// Takes in what a step has found. Whether that decides. The parity of the distance is that of the lengths.
    pub(super) fn learn(&mut self, step: Step, at_least: u64, at_most: u64, k: u64) -> bool {
        self.step = step;
        self.at_most = self.at_most.min(at_most);
        let at_least = at_least.saturating_add((at_least ^ self.at_most) & 1);
        self.at_least = self.at_least.max(at_least).min(self.at_most);
        self.at_least > k || self.at_most <= k
    }
}

/// Compares two texts.
pub(super) fn compare(a: &[u8], b: &[u8], plan: &Plan, meter: &mut Meter<'_>) -> Known {
    let k = plan.k;
    let mut known = Known::between(a.len(), b.len());
    if plan.may.take(Step::Length) && known.at_least > k {
        return known;
    }
    let (a, b) = if plan.may.take(Step::Trim) { trim(a, b) } else { (a, b) };
    let equal = a.is_empty() && b.is_empty();
    let rest = (a.len() + b.len()) as u64;
    if plan.may.take(Step::Trim) {
        let exact = if a.is_empty() || b.is_empty() { rest } else { 1 };
        if known.learn(if equal { Step::Equal } else { Step::Trim }, exact, rest, k) {
            return known;
        }
    }
    let mut run = Run { a, b, plan, known, meter, unlike: false };
    if !run.roughly() {
        run.exactly();
    }
    run.known
}

/// Takes the common beginning and end off; the longest common subsequence of the rest is shorter by just those.
pub(super) fn trim<'a, T: Symbol>(a: &'a [T], b: &'a [T]) -> (&'a [T], &'a [T]) {
    let before = T::prefix(a, b);
    let (a, b) = (&a[before..], &b[before..]);
    let after = T::suffix(a, b);
    (&a[..a.len() - after], &b[..b.len() - after])
}

struct Run<'a, 'm> {
    a: &'a [u8],
    b: &'a [u8],
    plan: &'a Plan,
    known: Known,
    meter: &'a mut Meter<'m>,
    /// Many pieces were missing, though not enough to prove it.
    unlike: bool,
}

impl Run<'_, '_> {
    /// The steps that take time in proportion to the lengths. Whether the case is decided, or time is over.
    ///
    /// What proves a large distance comes before what finds a small one only where pieces promise that it is large.
    fn roughly(&mut self) -> bool {
        if self.walk() || self.over() || self.histogram() || self.over() || self.pieces(0) || self.over() {
            return true;
        }
        let unlike = self.unlike;
        (unlike && (self.grams() || self.over()))
            || self.refine()
            || self.over()
            || (!unlike && (self.grams() || self.over()))
    }

    fn fits(&self) -> bool {
        self.a.len().saturating_add(self.b.len()) < OFFSETS_MAX
    }

    fn over(&mut self) -> bool {
        let late = self.meter.ask();
        if late {
            self.known.cut = Some(Cut::Time);
        }
        late
    }

    fn walk(&mut self) -> bool {
        if !self.plan.may.take(Step::Walk) || !self.fits() {
            return false;
        }
        let k = self.plan.k;
        let walked = front::walk((self.a, self.b), k, k, WALK_ALLOWANCE, self.meter);
        self.known.learn(Step::Walk, 0, walked.at_most, k)
    }

    fn histogram(&mut self) -> bool {
        if !self.plan.may.take(Step::Histogram) {
            return false;
        }
        let at_least = histogram_distance(&histogram(self.a), &histogram(self.b));
        self.known.learn(Step::Histogram, at_least, u64::MAX, self.plan.k)
    }

    /// At first, with no effort, only as long as it is promising; before an exact search with so many steps, and with
    /// shorter pieces too.
    fn pieces(&mut self, effort: u64) -> bool {
        let (n, k) = (self.a.len() as u64, self.plan.k);
        let Some(cut) = pieces::Cut::for_allowed(self.a.len(), k) else { return false };
        if !self.plan.may.take(Step::Pieces) || !self.fits() || n / 8 > self.plan.memory_max {
            return false;
        }
        let thorough = effort > 0;
        let cuts = if thorough { [Some(cut), cut.shorter()] } else { [Some(cut), None] };
        let effort = pieces::Effort { steps_max: effort.max(1_000_000 + 2 * n), promising: !thorough };
        for cut in cuts.into_iter().flatten() {
            let at_least = pieces::distance((self.a, self.b), k, cut, effort, self.meter);
            self.unlike = at_least > k / 2;
            // Pieces are looked for only within the reach of k: a sum up to k bounds nothing.
            let proof = if at_least > k { k + 1 } else { 0 };
            if self.known.learn(Step::Pieces, proof, u64::MAX, k) {
                return true;
            }
        }
        false
    }

    fn grams(&mut self) -> bool {
        if !self.plan.may.take(Step::Grams) {
            return false;
        }
        let table = usize::try_from(self.plan.memory_max).unwrap_or(usize::MAX);
        let at_least = grams::distance(self.a, self.b, table);
        self.known.learn(Step::Grams, at_least, u64::MAX, self.plan.k)
    }

    fn refine(&mut self) -> bool {
        if !self.fits() {
            return false;
        }
        let (k, may) = (self.plan.k, self.plan.may);
        let refined =
            refine::refine((self.a, self.b), k, self.plan.memory_max, |step| may.take(step), self.meter);
        self.known.learn(refined.step, 0, refined.at_most, k)
    }

    /// The exact search, by diagonals where `k` is small, else by a band.
    fn exactly(&mut self) {
        let (k, n, m) = (self.plan.k, self.a.len(), self.b.len());
        let (work, memory) = (self.plan.work_max, self.plan.memory_max);
        let by_diagonals = front::search_steps(k.min((n + m) as u64)).saturating_mul(DIAGONAL_WORDS);
        let by_band = band::steps(n, m, k);
        let may_diagonals = self.plan.may.take(Step::Diagonals) && self.fits();
        let may_band = self.plan.may.take(Step::Band) && band::memory(n, k) <= memory;
        let cheapest = by_diagonals.min(by_band);
        // Of large texts a verdict is due soon rather than always exact.
        let (effort_max, share) = if n + m > LARGE { (5_000_000, 64) } else { (20_000_000, 16) };
        if cheapest > 50_000_000 && self.pieces((cheapest / 32).clamp(4_000_000, effort_max)) {
            return;
        }
        if self.over() {
            return;
        }
        if may_band && by_band <= work && (by_band < by_diagonals || !may_diagonals) {
            self.band();
        } else if may_diagonals && k.saturating_mul(8) <= memory {
            // Where it cannot come to an end within the work, a part of it may still find a small distance.
            let steps = if by_diagonals <= work { by_diagonals } else { work / share };
            self.diagonals(steps / DIAGONAL_WORDS);
        } else if may_band && by_band <= work {
            self.band();
        } else if may_band || may_diagonals {
            let needed = k.saturating_mul(8).min(band::memory(n, k));
            self.known.cut = Some(if needed > memory {
                Cut::Memory { needed, max: memory }
            } else {
                Cut::Work { needed: cheapest, max: work }
            });
        }
    }

    fn diagonals(&mut self, steps: u64) {
        let k = self.plan.k;
        match front::search(self.a, self.b, k, steps, self.meter) {
            Searched::Found(distance) => {
                self.known.learn(Step::Diagonals, distance, distance, k);
            }
            Searched::Beyond => {
                self.known.learn(Step::Diagonals, k + 1, u64::MAX, k);
            }
            Searched::Spent(edits) => {
                self.known.learn(Step::Diagonals, edits, u64::MAX, k);
                if !self.over() {
                    let needed = front::search_steps(k).saturating_mul(DIAGONAL_WORDS);
                    let by_band = band::steps(self.a.len(), self.b.len(), k);
                    self.known.cut = Some(Cut::Work { needed: needed.min(by_band), max: self.plan.work_max });
                }
            }
        }
    }

    fn band(&mut self) {
        let k = self.plan.k;
        match band::search(self.a, self.b, k, self.meter) {
            band::Banded::Found(distance) => {
                self.known.learn(Step::Band, distance, distance, k);
            }
            band::Banded::Beyond => {
                self.known.learn(Step::Band, k + 1, u64::MAX, k);
            }
            band::Banded::Stopped => self.known.cut = Some(Cut::Time),
        }
    }
}
