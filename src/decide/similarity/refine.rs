//! What both texts have in common, found roughly first and then more finely: an upper bound of the distance.

use super::bytes::Symbol;
use super::front::walk;
use super::meter::Meter;
use super::tokens::{Cuts, Gap, TOKEN_BYTES, gaps};
use super::verdict::Step;

/// Lines that are longer than this on average are cut into chunks instead.
const LINE_MAX: usize = 1024;

/// The bound that was found, and by which step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refined {
    pub(super) at_most: u64,
    pub(super) step: Step,
}

/// Compares by lines (or chunks), within the gaps, and then by words within what is left of those; ends as soon as the
/// distance is at most `k`. `steps` says which of these may be taken.
pub(super) fn refine(
    (a, b): (&[u8], &[u8]),
    k: u64,
    memory: u64,
    may: impl Fn(Step) -> bool,
    meter: &mut Meter<'_>,
) -> Refined {
    let tokens_max = usize::try_from(memory / TOKEN_BYTES).unwrap_or(usize::MAX);
    let total = (a.len() + b.len()) as u64;
    let whole = vec![Gap { old: 0..a.len(), new: 0..b.len() }];
    let mut search = Search { a, b, k, total, gaps: whole, left: 4_000_000 + total };
    let (cuts, first) = first_cuts(a, b, tokens_max);
    let mut found = |search: &mut Search<'_>, step, act: &mut dyn FnMut(&mut Search<'_>, &mut Meter<'_>)| {
        if may(step) && search.total > k && !meter.ask() {
            act(search, meter);
        }
        (search.total <= k).then_some(Refined { at_most: search.total, step })
    };
    found(&mut search, first, &mut |search, _| search.cut(cuts, tokens_max))
        .or_else(|| found(&mut search, Step::Hunks, &mut |search, meter| search.walk(meter)))
        .or_else(|| {
            found(&mut search, Step::Words, &mut |search, meter| {
                search.cut(Cuts::Words, tokens_max);
                search.walk(meter);
            })
        })
        .unwrap_or(Refined { at_most: search.total, step: Step::Words })
}

/// Lines; where they are long, or so short that they are too many, chunks of a length that suits.
fn first_cuts(a: &[u8], b: &[u8], tokens_max: usize) -> (Cuts, Step) {
    let n = a.len().max(b.len());
    let lines = |text: &[u8]| {
        let sample = &text[..text.len().min(256 * 1024)];
        sample.len() / (sample.iter().filter(|byte| **byte == b'\n').count() + 1)
    };
    let average = lines(a).min(lines(b)).max(1);
    if average <= LINE_MAX && (a.len() + b.len()) / average < tokens_max {
        return (Cuts::Lines, Step::Lines);
    }
    let fitting = (n / (tokens_max / 4).max(1)).max(64);
    (Cuts::Chunks { bits: (fitting.next_power_of_two().ilog2()).clamp(6, 20) }, Step::Chunks)
}

struct Search<'a> {
    a: &'a [u8],
    b: &'a [u8],
    k: u64,
    /// The distance is at most this.
    total: u64,
    gaps: Vec<Gap>,
    /// Steps that walks may still take.
    left: u64,
}

impl Search<'_> {
    /// Cuts each gap into tokens and keeps what is between those that both have.
    fn cut(&mut self, cuts: Cuts, tokens_max: usize) {
        let mut finer = Vec::new();
        for gap in std::mem::take(&mut self.gaps) {
            let (a, b) = (&self.a[gap.old.clone()], &self.b[gap.new.clone()]);
            let worth = !a.is_empty() && !b.is_empty();
            let Some(inside) = worth.then(|| gaps(a, b, cuts, tokens_max)).flatten() else {
                finer.push(gap);
                continue;
            };
            let size: u64 = inside.iter().map(Gap::size).sum();
            self.total -= gap.size().saturating_sub(size);
            finer.extend(inside.into_iter().map(|inside| Gap {
                old: gap.old.start + inside.old.start..gap.old.start + inside.old.end,
                new: gap.new.start + inside.new.start..gap.new.start + inside.new.end,
            }));
        }
        self.gaps = finer;
    }

    /// Walks through the gaps, the small ones first; keeps those of which the most part still counts as different.
    fn walk(&mut self, meter: &mut Meter<'_>) {
        let mut gaps = std::mem::take(&mut self.gaps);
        gaps.sort_by_key(Gap::size);
        for gap in gaps {
            let gap = self.trim(gap);
            let size = gap.size();
            if self.total <= self.k || gap.old.is_empty() || gap.new.is_empty() {
                continue;
            }
            let (a, b) = (&self.a[gap.old.clone()], &self.b[gap.new.clone()]);
            let allowance = (size * 32 + 1024).min(1_000_000).min(self.left);
            if allowance == 0 || meter.is_late() {
                self.gaps.push(gap);
                continue;
            }
            // The walk over the whole needs to come no further than this.
            let target = self.k.saturating_sub(self.total - size);
            let walked = walk((a, b), target, size, allowance, meter);
            self.left = self.left.saturating_sub(walked.steps);
            if walked.at_most > target && walked.at_most > size / 2 {
                self.gaps.push(gap);
            } else {
                self.total -= size - walked.at_most;
            }
        }
    }

    /// Takes the common beginning and end off.
    fn trim(&mut self, gap: Gap) -> Gap {
        let (a, b) = (&self.a[gap.old.clone()], &self.b[gap.new.clone()]);
        let before = u8::prefix(a, b);
        let after = u8::suffix(&a[before..], &b[before..]);
        self.total -= 2 * (before + after) as u64;
        Gap {
            old: gap.old.start + before..gap.old.end - after,
            new: gap.new.start + before..gap.new.end - after,
        }
    }
}
