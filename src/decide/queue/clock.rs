//! What makes the order void: a step of the wall clock, another estimate, four billion arrivals.

use crate::base::time::Now;
use crate::decide::queue::core::{Queue, is_future};
use crate::decide::queue::entry::Due;
use crate::decide::queue::line;
use crate::decide::queue::slab::{Flags, Meta};

/// A step of more than this many milliseconds is one: the wall clock was set, or the machine slept.
const STEP_MIN: u64 = 2000;

impl<T> Queue<T> {
    /// Takes the time in. The monotonic clock never goes back; a step of the wall clock moves what a person timed by it.
    pub(super) fn observe(&mut self, now: Now) {
        self.now = self.now.max(line::of(now.moment));
        // In milliseconds, for this lies before everything that is asked of the queue.
        if self.ahead.0.abs_diff(line::ahead_millis(now)) > STEP_MIN {
            let before = std::mem::replace(&mut self.ahead, (line::ahead_millis(now), line::ahead(now)));
            self.moved = self.moved.saturating_add(1);
            self.shift(before.1 - self.ahead.1);
        }
    }

    fn shift(&mut self, by: i128) {
        // What was due by the clock as it was is due.
        self.ripen();
        for (_, meta) in self.slab.metas_mut() {
            if meta.flags.has(Flags::WALL_DEADLINE) && meta.deadline < line::LAST {
                meta.deadline = line::shifted(meta.deadline, by);
            }
        }
        let old = std::mem::take(&mut self.future);
        for due in old.iter().filter(|due| is_future(&self.slab, **due)) {
            let wall = self.slab.get(due.slot()).is_some_and(|meta| meta.flags.has(Flags::WALL_START));
            let at = if wall && due.at < line::LAST { line::shifted(due.at, by) } else { due.at };
            self.future.push(Due::new(at, due.number(), due.slot()));
        }
        self.rebuild();
    }

    /// Puts the tasks of a kind whose estimate is another now where they belong. What the piles said of them is void, or holds
    /// again beside what is said now, until it is met or forgotten.
    pub(super) fn relearn(&mut self, kind: u16) {
        let estimate = self.kinds.estimate(kind);
        let mut slots = Vec::new();
        for (slot, meta) in self.slab.metas_mut() {
            if meta.kind == kind && !meta.flags.has(Flags::DECLARED) {
                meta.estimate = estimate;
                meta.flags.set(Flags::IN_BEST, false);
                slots.push((slot, meta.key));
            }
        }
        for (slot, key) in slots {
            self.offer(slot);
            self.expires(slot);
            if let Some(shed) = &mut self.shed {
                shed.add(&self.slab, slot);
            }
            // It may have been what stood for those that wait for the same key.
            self.promote(key);
        }
        self.compact();
    }

    /// Puts all that waits in order again: what it is ordered by has changed.
    pub(super) fn rebuild(&mut self) {
        self.ready.clear();
        self.expiry.clear();
        for lane in self.keys.lanes_mut() {
            lane.clear();
        }
        if let Some(shed) = &mut self.shed {
            shed.forget();
        }
        let slots: Vec<u32> = self.slab.waiting().map(|(slot, ..)| slot).collect();
        for slot in slots {
            if let Some(meta) = self.slab.get_mut(slot) {
                for flag in [Flags::IN_BEST, Flags::IN_OLDEST, Flags::IN_EXPIRY] {
                    meta.flags.set(flag, false);
                }
            }
            self.offer(slot);
            self.expires(slot);
        }
    }

    /// After four billion arrivals those that still wait, or run, are numbered from zero.
    pub(super) fn renumber(&mut self) {
        let mut metas: Vec<&mut Meta> = self.slab.all_mut().collect();
        metas.sort_unstable_by_key(|meta| meta.seq);
        self.seq = 0;
        for meta in metas {
            meta.seq = self.seq;
            self.seq += 1;
        }
        self.shed = None;
        self.rebuild();
    }
}
