//! Which task is the least dense, without looking at all of them for each that is to go.
//!
//! Densities only fall. What a task will be worth at the end of some span is a lower bound until then, so candidates are
//! looked at from the lowest bound up, until no bound is below the least that was found: the choice is that of a scan. At the
//! end of the span all bounds are computed again, and the span is made longer or shorter so that this is rare and the
//! candidates are few.

use std::cmp::Reverse;

use crate::decide::queue::entry::{By, Entry};
use crate::decide::queue::pile::Pile;
use crate::decide::queue::slab::Slab;

const SPAN_MIN: u64 = 1_000_000;
const SPAN_MAX: u64 = 86_400_000_000_000;
/// The share of the queue that may be looked at for one choice before the span is shortened.
const SHARE: usize = 64;

/// Bounds of all that wait; kept from the first time on that the queue is full.
#[derive(Clone, Debug)]
pub(super) struct Shed {
    by: By,
    /// Until when the bounds hold.
    until: u64,
    span: u64,
    /// The last in the order at the end of the span first.
    bounds: Pile<Reverse<Entry>>,
    /// Choices since the bounds were computed.
    choices: usize,
}

impl Shed {
    pub(super) fn new(by: By) -> Self {
        Self { by, until: 0, span: 1_000_000_000, bounds: Pile::default(), choices: 0 }
    }

    /// Another task waits, or one is worth something else.
    pub(super) fn add<T>(&mut self, slab: &Slab<T>, slot: u32) {
        if let Some(meta) = slab.get(slot) {
            self.bounds.push(Reverse(self.by.entry(slab, slot, meta, self.until)));
            self.bounds.compact(slab.queued(), |bound| holds(slab, bound.0));
            // One that was changed again and again has a bound from each time.
            if self.bounds.len() > slab.queued().saturating_mul(2).saturating_add(64) {
                self.fill(slab);
            }
        }
    }

    /// What it holds memory for.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bounds.bytes()
    }

    /// Estimates or deadlines have changed: no bound holds.
    pub(super) const fn forget(&mut self) {
        self.until = 0;
    }

    /// The last in the order of what waits at `now`, but for the one in `new`.
    pub(super) fn last<T>(&mut self, slab: &Slab<T>, now: u64, new: u32) -> Option<Entry> {
        if now > self.until {
            self.compute(slab, now);
        }
        self.choices += 1;
        let mut looked_at = Vec::new();
        let mut last: Option<Entry> = None;
        while let Some(Reverse(bound)) = self.bounds.peek() {
            if last.is_some_and(|last| last >= bound) {
                break;
            }
            self.bounds.pop();
            if !holds(slab, bound) {
                continue;
            }
            if bound.slot == new {
                // Computed with the others: it is compared apart, and added if it stays.
                continue;
            }
            looked_at.push(bound);
            if let Some(meta) = slab.get(bound.slot) {
                let found = self.by.entry(slab, bound.slot, meta, now);
                last = last.max(Some(found));
            }
        }
        if looked_at.len() > SHARE + slab.queued() / SHARE {
            self.span = (self.span / 2).max(SPAN_MIN);
            self.until = self.until.min(now.saturating_add(self.span));
        }
        for bound in looked_at {
            self.bounds.push(Reverse(bound));
        }
        last
    }

    fn compute<T>(&mut self, slab: &Slab<T>, now: u64) {
        if self.choices < slab.queued() / SHARE {
            self.span = self.span.saturating_mul(2).min(SPAN_MAX);
        }
        self.choices = 0;
        self.until = now.saturating_add(self.span);
        self.fill(slab);
    }

    fn fill<T>(&mut self, slab: &Slab<T>) {
        self.bounds.clear();
        for (slot, meta, _) in slab.waiting() {
            self.bounds.push(Reverse(self.by.entry(slab, slot, meta, self.until)));
        }
    }
}

fn holds<T>(slab: &Slab<T>, bound: Entry) -> bool {
    slab.get(bound.slot).is_some_and(|meta| meta.seq == bound.seq())
}
