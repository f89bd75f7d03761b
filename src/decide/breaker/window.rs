//! What is remembered of the last results: by count, by time. Memory is fixed when the policy is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::nanos;

/// Into how many steps a time window is cut.
const STEPS: usize = 60;

/// Nanoseconds on the monotonic line of this process; negative for what was restored from before it.
pub(super) type At = i64;

/// Nanoseconds of `duration`, at most a quarter of the line, so that sums of two never overflow.
pub(super) fn span(duration: Duration) -> At {
    i64::try_from(nanos(duration)).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// The last results, at most as many as it was made for, and perhaps only those that are young enough.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    size: usize,
    within: Option<At>,
    results: VecDeque<(At, bool)>,
    bad: u32,
}

impl Counted {
    pub(super) fn new(calls: u32, within: Option<Duration>) -> Self {
        let size = usize::try_from(calls).unwrap_or(usize::MAX).max(1);
        Self { size, within: within.map(span), results: VecDeque::with_capacity(size), bad: 0 }
    }

    pub(super) fn push(&mut self, at: At, bad: bool) {
        if self.results.len() == self.size {
            self.evict();
        }
        // Without an age the time means nothing, and successes may come without one.
        self.results.push_back((if self.is_timed() { at } else { 0 }, bad));
        self.bad += u32::from(bad);
    }

    pub(super) fn push_good(&mut self, at: At, count: u32) {
        for _ in 0..usize::try_from(count).unwrap_or(usize::MAX).min(self.size) {
            self.push(at, false);
        }
    }

    /// How many are bad, of how many.
    pub(super) fn totals(&mut self, now: At) -> (u32, u32) {
        if let Some(within) = self.within {
            while self.results.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= within) {
                self.evict();
            }
        }
        (self.bad, u32::try_from(self.results.len()).unwrap_or(u32::MAX))
    }

    /// How many good results in a row make it full and clean, after which one more changes nothing.
    pub(super) fn until_clean(&self) -> usize {
        let last_bad = self.results.iter().rposition(|(_, bad)| *bad).map_or(0, |index| index + 1);
        self.size - self.results.len() + last_bad
    }

    pub(super) fn clear(&mut self) {
        self.results.clear();
        self.bad = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (At, bool)> + '_ {
        self.results.iter().copied()
    }

    pub(super) const fn has_bad(&self) -> bool {
        self.bad > 0
    }

    pub(super) const fn is_timed(&self) -> bool {
        self.within.is_some()
    }

    fn evict(&mut self) {
        if let Some((_, true)) = self.results.pop_front() {
            self.bad = self.bad.saturating_sub(1);
        }
    }
}

/// Results within a time, counted in 60 steps.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    width: At,
    steps: [Step; STEPS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    index: At,
    calls: u32,
    bad: u32,
}

impl Timed {
    pub(super) fn new(window: Duration) -> Self {
        let width = (span(window) / 60).max(1);
        Self { width, steps: [Step { index: At::MIN, calls: 0, bad: 0 }; STEPS] }
    }

    pub(super) fn push(&mut self, at: At, bad: bool) {
        self.add(at, 1, u32::from(bad));
    }

    pub(super) fn add(&mut self, at: At, calls: u32, bad: u32) {
        self.add_indexed(at.div_euclid(self.width), calls, bad);
    }

    /// Adds to the step of that [index](Self::indexed).
    pub(super) fn add_indexed(&mut self, index: At, calls: u32, bad: u32) {
        let slot = usize::try_from(index.rem_euclid(60)).unwrap_or(0);
        let step = &mut self.steps[slot];
        if step.index < index {
            *step = Step { index, calls: 0, bad: 0 };
        }
        // A result that comes with a time from before the whole window is too old to count.
        if step.index == index {
            step.calls = step.calls.saturating_add(calls);
            step.bad = step.bad.saturating_add(bad);
        }
    }

    /// How many are bad, of how many.
    pub(super) fn totals(&self, now: At) -> (u32, u32) {
        let last = now.div_euclid(self.width);
        self.steps
            .iter()
            .filter(|step| step.index > last.saturating_sub(60) && step.index <= last)
            .fold((0, 0), |(bad, calls), step| {
                (step.bad.saturating_add(bad), step.calls.saturating_add(calls))
            })
    }

    pub(super) fn clear(&mut self) {
        self.steps = [Step { index: At::MIN, calls: 0, bad: 0 }; STEPS];
    }

    /// Index, calls and failures of each step that is not empty and not older than the window at the newest one, the
    /// oldest first.
    pub(super) fn indexed(&self) -> Vec<(At, u32, u32)> {
        let used = || self.steps.iter().filter(|step| step.calls > 0);
        let newest = used().map(|step| step.index).max().unwrap_or(At::MIN);
        let young = used().filter(|step| step.index > newest.saturating_sub(60));
        let mut indexed: Vec<_> = young.map(|step| (step.index, step.calls, step.bad)).collect();
        indexed.sort_unstable();
        indexed
    }

    /// Start, calls and failures of the same steps.
    pub(super) fn iter(&self) -> impl Iterator<Item = (At, u32, u32)> + '_ {
        let start = |index: At| index.saturating_mul(self.width);
        self.indexed().into_iter().map(move |(index, calls, bad)| (start(index), calls, bad))
    }
}

/// Whether `bad` of `calls` is at least `percent`, given that there are at least `min`.
pub(super) const fn reaches(bad: u32, calls: u32, percent: u32, min: u32) -> bool {
    calls >= min && calls > 0 && bad as u64 * 100 >= percent as u64 * calls as u64
}
