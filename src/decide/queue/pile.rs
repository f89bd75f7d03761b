//! A priority queue that takes a burst at the price of one sort: what is new is gathered, and either sorted into a run that
//! is taken from its end, or, if it is little beside that run, put into a heap.

/// Fewer are never sorted into the run.
const BURST: usize = 256;
/// What is new is sorted into the run from this share of its length on: so each element is merged a bounded number of times.
const SHARE: usize = 8;
/// Children of a node of the heap: four share a cache line or two, and the heap is half as deep as a binary one.
const CHILDREN: usize = 4;

/// The least comes first.
#[derive(Clone, Debug)]
pub(super) struct Pile<E> {
    fresh: Vec<E>,
    heap: Vec<E>,
    /// Falling, so that the least is the last.
    run: Vec<E>,
}

impl<E> Default for Pile<E> {
    fn default() -> Self {
        Self { fresh: Vec::new(), heap: Vec::new(), run: Vec::new() }
    }
}

impl<E: Copy + Ord> Pile<E> {
    #[inline]
    pub(super) fn push(&mut self, entry: E) {
        self.fresh.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.heap.len() + self.run.len()
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Option<E> {
        self.settle();
        match (self.heap.first(), self.run.last()) {
            (Some(a), Some(b)) => Some(*a.min(b)),
            (a, b) => a.or(b).copied(),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<E> {
        self.settle();
        match (self.heap.first(), self.run.last()) {
            (Some(a), Some(b)) if a < b => self.pop_heap(),
            (_, Some(_)) => self.run.pop(),
            _ => self.pop_heap(),
        }
    }

    /// How many are in the run, and the last `n` of it: what will come next of them.
    pub(super) fn ahead(&self, n: usize) -> (usize, &[E]) {
        let len = self.run.len();
        (len, self.run.get(len.saturating_sub(n)..).unwrap_or_default())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.fresh.iter().chain(&self.heap).chain(&self.run)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets what does not hold, and what is in it twice, if more than half of it may be such: `live` is how many hold at
    /// most.
    pub(super) fn compact(&mut self, live: usize, holds: impl FnMut(&E) -> bool) {
        let most = live.saturating_mul(2).saturating_add(64);
        if self.len() > most {
            self.retain(holds);
        }
        // What was changed and changed back holds again, beside what was said of it anew.
        if self.len() > most {
            self.run.append(&mut self.fresh);
            self.run.sort_unstable_by(|a, b| b.cmp(a));
            self.run.dedup();
            self.run.shrink_to_fit();
        }
    }

    /// What it holds memory for.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        (self.fresh.capacity() + self.heap.capacity() + self.run.capacity()) * size_of::<E>()
    }

    fn retain(&mut self, mut holds: impl FnMut(&E) -> bool) {
        self.run.retain(&mut holds);
        self.fresh.append(&mut self.heap);
        self.fresh.retain(&mut holds);
        for part in [&mut self.run, &mut self.fresh, &mut self.heap] {
            part.shrink_to_fit();
        }
    }

    #[inline]
    fn settle(&mut self) {
        if !self.fresh.is_empty() {
            self.settle_fresh();
        }
    }

    fn settle_fresh(&mut self) {
        if self.fresh.len() < BURST || self.fresh.len() < self.run.len() / SHARE {
            while let Some(entry) = self.fresh.pop() {
                self.push_heap(entry);
            }
            return;
        }
        self.fresh.sort_unstable_by(|a, b| b.cmp(a));
        if self.run.is_empty() {
            std::mem::swap(&mut self.run, &mut self.fresh);
        } else {
            // The stable sort finds the two falling runs and merges them.
            self.run.append(&mut self.fresh);
            self.run.sort_by(|a, b| b.cmp(a));
            self.fresh = Vec::new();
        }
    }

    fn push_heap(&mut self, entry: E) {
        let at = self.heap.len();
        self.heap.push(entry);
        self.lift(at, entry);
    }

    fn pop_heap(&mut self) -> Option<E> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first().copied() else { return Some(last) };
        // Down to a leaf without a look at `last`, which came from one, then up again, which is seldom far.
        let mut at = 0;
        while let Some(least) = self.least_child(at) {
            self.heap[at] = self.heap[least];
            at = least;
        }
        self.lift(at, last);
        Some(first)
    }

    #[inline]
    fn least_child(&self, at: usize) -> Option<usize> {
        let begin = at * CHILDREN + 1;
        let Some([a, b, c, d]) = self.heap.get(begin..begin + CHILDREN) else {
            return (begin..self.heap.len()).min_by_key(|child| self.heap[*child]);
        };
        // Pairs, then the winners: no branch that has to be guessed.
        let (left, x) = if b < a { (1, b) } else { (0, a) };
        let (right, y) = if d < c { (3, d) } else { (2, c) };
        Some(begin + if y < x { right } else { left })
    }

    /// Puts an entry where it belongs between the root and `at`, which is free.
    #[inline]
    fn lift(&mut self, mut at: usize, entry: E) {
        while at > 0 {
            let parent = (at - 1) / CHILDREN;
            if self.heap[parent] <= entry {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = entry;
    }
}
