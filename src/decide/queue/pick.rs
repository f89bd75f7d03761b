//! Which task is the next. What the piles hold are bounds: a worth never rises, so an entry that was computed earlier says at
//! least as much as holds now. The first whose entry is still right is the best there is (lazy evaluation, as in Minoux,
//! "Accelerated greedy algorithms for maximizing submodular set functions", 1978).

use crate::decide::queue::core::{Queue, is_arrival, is_bound, is_end};
use crate::decide::queue::entry::{Arrival, By, Due, Entry};
use crate::decide::queue::order::Order;
use crate::decide::queue::slab::{Flags, NEVER, Place};

/// How many slots are looked at together.
const AHEAD: usize = 16;

impl<T> Queue<T> {
    /// The next to run, and whether it is the turn of the oldest.
    pub(super) fn pick(&mut self) -> Option<(u32, bool)> {
        let every = self.config.oldest_every;
        let turn = every > 0 && self.config.order != Order::Fifo && self.dispatched % every == every - 1;
        if turn && let Some(slot) = self.oldest() {
            return Some((slot, true));
        }
        let slot = self.best()?;
        if self.by() == By::BareDeadline && self.slab.get(slot).is_some_and(|meta| meta.is_late(self.now)) {
            self.overloaded = true;
            self.rebuild();
            return self.best().map(|slot| (slot, false));
        }
        Some((slot, false))
    }

    fn best(&mut self) -> Option<u32> {
        let by = self.by();
        loop {
            self.look_ahead();
            let entry = self.ready.best.pop()?;
            let slot = entry.slot;
            if !is_bound(&self.slab, by, &entry) {
                continue;
            }
            let Some(meta) = self.slab.get_mut(slot) else { continue };
            meta.flags.set(Flags::IN_BEST, false);
            let (key, meta) = (meta.key, *meta);
            if !meta.is_open() {
                self.promote(key);
                continue;
            }
            if self.keys.is_busy(key) {
                self.wait_in_lane(key, entry);
                continue;
            }
            let found = by.entry(&self.slab, slot, &meta, self.now);
            if found == entry || (key == 0 && self.ready.best.peek().is_none_or(|next| found < next)) {
                return Some(slot);
            }
            if key == 0 {
                self.keep(found);
                self.ready.best.push(found);
                // By deadline what is demoted is behind others that are due later.
                self.expires(slot);
            } else {
                self.wait_in_lane(key, found);
                self.promote(key);
            }
        }
    }

    /// Looks at the slots of what comes next together: waiting for memory for each at its turn is most of what a turn costs.
    #[inline]
    fn look_ahead(&mut self) {
        let (len, next) = self.ready.best.ahead(AHEAD);
        if len <= self.warm || len - self.warm > AHEAD {
            self.warm = len.saturating_sub(AHEAD);
            let seen = |entry: &Entry| {
                self.slab.get(entry.slot).map_or(0, |meta| meta.submitted ^ u64::from(meta.seq))
            };
            // So that looking is not left out.
            std::hint::black_box(next.iter().map(seen).fold(0, |a, b| a ^ b));
        }
    }

    /// The one that arrived first of those that can still be done in time.
    fn oldest(&mut self) -> Option<u32> {
        loop {
            let arrival = self.ready.oldest.pop()?;
            let slot = arrival.slot();
            if !is_arrival(&self.slab, arrival) {
                continue;
            }
            let now = self.now;
            let Some(meta) = self.slab.get_mut(slot) else { continue };
            if !meta.is_open() || meta.is_late(now) {
                // What would be late now will be later too; a change that helps it offers it again.
                meta.flags.set(Flags::IN_OLDEST, false);
                let key = meta.key;
                self.promote(key);
                continue;
            }
            let key = meta.key;
            match self.keys.get_mut(key) {
                Some(key) if key.busy => key.lane.oldest.push(arrival),
                _ => return Some(slot),
            }
        }
    }

    /// A task that is ready may be chosen from now on.
    pub(super) fn offer(&mut self, slot: u32) {
        let by = self.by();
        let Some(meta) = self.slab.get(slot).copied().filter(|meta| meta.is_open()) else { return };
        let entry = by.entry(&self.slab, slot, &meta, self.now);
        let oldest = self.config.oldest_every > 0
            && self.config.order != Order::Fifo
            && !meta.flags.has(Flags::IN_OLDEST)
            && !meta.is_late(self.now);
        let arrival = Arrival::new(meta.seq, slot);
        let bounded = meta.flags.has(Flags::IN_BEST) && meta.bound <= entry.primary();
        if let Some(meta) = self.slab.get_mut(slot) {
            meta.flags.set(Flags::IN_OLDEST, oldest || meta.flags.has(Flags::IN_OLDEST));
            if !bounded {
                meta.flags.set(Flags::IN_BEST, true);
                meta.bound = entry.primary();
            }
        }
        let lane = match self.keys.get_mut(meta.key) {
            Some(key) if key.busy => &mut key.lane,
            _ => &mut self.ready,
        };
        if !bounded {
            lane.best.push(entry);
        }
        if oldest {
            lane.oldest.push(arrival);
        }
        self.compact_lane(meta.key);
    }

    fn compact_lane(&mut self, key: u32) {
        let (slab, by) = (&self.slab, self.config.order.by(self.overloaded));
        if let Some(key) = self.keys.get_mut(key) {
            key.lane.best.compact(key.tasks, |entry| is_bound(slab, by, entry));
            key.lane.oldest.compact(key.tasks, |arrival| is_arrival(slab, *arrival));
        }
    }

    /// What the order says of a task is `entry` from now on.
    fn keep(&mut self, entry: Entry) {
        if let Some(meta) = self.slab.get_mut(entry.slot) {
            meta.bound = entry.primary();
            meta.flags.set(Flags::IN_BEST, true);
        }
    }

    fn wait_in_lane(&mut self, key: u32, entry: Entry) {
        self.keep(entry);
        if let Some(waits_for) = self.keys.get_mut(key) {
            waits_for.lane.best.push(entry);
            self.compact_lane(key);
        }
    }

    /// If a key is free, what is first of those that wait for it may be chosen: its bound is one for all of them.
    pub(super) fn promote(&mut self, key: u32) {
        let by = self.by();
        let Some(key) = self.keys.get_mut(key).filter(|key| !key.busy) else { return };
        while let Some(entry) = key.lane.best.pop() {
            if is_bound(&self.slab, by, &entry) {
                if self.slab.get(entry.slot).is_some_and(|meta| meta.is_open()) {
                    self.ready.best.push(entry);
                    break;
                }
                if let Some(meta) = self.slab.get_mut(entry.slot) {
                    meta.flags.set(Flags::IN_BEST, false);
                }
            }
        }
        while let Some(arrival) = key.lane.oldest.pop() {
            if is_arrival(&self.slab, arrival) {
                let Some(meta) = self.slab.get_mut(arrival.slot()) else { continue };
                if meta.is_open() && !meta.is_late(self.now) {
                    self.ready.oldest.push(arrival);
                    break;
                }
                meta.flags.set(Flags::IN_OLDEST, false);
            }
        }
    }

    /// Whether the end of a task is seen in the order itself: what comes first by deadline is over first.
    fn ends_in_order(&self, slot: u32) -> bool {
        self.config.order == Order::Edf
            && self.slab.get(slot).is_some_and(|meta| {
                meta.key == 0
                    && meta.is_open()
                    && !meta.flags.has(Flags::DECLARED)
                    && meta.flags.has(Flags::IN_BEST)
                    && meta.bound == 0
            })
    }

    /// Sees to it that the end of a task is noticed.
    pub(super) fn expires(&mut self, slot: u32) {
        if self.ends_in_order(slot) {
            return;
        }
        let Some(meta) = self.slab.get_mut(slot) else { return };
        if meta.deadline != NEVER && !meta.flags.has(Flags::IN_EXPIRY) {
            meta.flags.set(Flags::IN_EXPIRY, true);
            self.expiry.push(Due::new(meta.last_start(), meta.seq, slot));
        }
    }

    /// The task that can be begun no later than any other can.
    pub(super) fn next_end(&mut self) -> Option<Due> {
        let mut end = None;
        while let Some(due) = self.expiry.peek() {
            if is_end(&self.slab, due) {
                end = Some(due);
                break;
            }
            self.expiry.pop();
        }
        if self.config.order != Order::Edf {
            return end;
        }
        while let Some(entry) = self.ready.best.peek() {
            let meta = self.slab.get(entry.slot);
            if let Some(meta) = meta.filter(|_| is_bound(&self.slab, By::Deadline, &entry)) {
                if self.ends_in_order(entry.slot) && meta.deadline != NEVER {
                    let first = Due::new(meta.deadline, meta.seq, entry.slot);
                    end = Some(end.map_or(first, |end| end.min(first)));
                }
                break;
            }
            self.ready.best.pop();
        }
        end
    }

    /// The task that could have been begun no later than any other that is over.
    pub(super) fn doomed(&mut self) -> Option<u32> {
        // Mostly nothing is over by any entry, void or not, and no task has to be looked at.
        let now = self.now;
        let ends = self.expiry.peek().is_some_and(|due| now > due.at);
        let in_order = self.config.order == Order::Edf
            && self.ready.best.peek().is_some_and(|entry| now > entry.deadline());
        if !ends && !in_order {
            return None;
        }
        self.next_end().filter(|end| now > end.at).map(|end| end.slot())
    }

    /// Whether a task waits for its key.
    pub(super) fn is_blocked(&self, slot: u32) -> bool {
        self.slab.get(slot).is_some_and(|meta| meta.place == Place::Ready && self.keys.is_busy(meta.key))
    }
}
