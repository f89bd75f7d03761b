//! The exact counts: a flat table of 16-byte places, open addressing by linear probing, at most three quarters full.

/// One kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// The whole hash; 0 for an empty place.
    pub(super) hash: u64,
    pub(super) count: u32,
    /// The epoch in which it was last seen, modulo 2^16.
    pub(super) last: u16,
    pub(super) flags: u8,
}

/// Seen once in its life, and within the evidence that counts now.
pub(super) const SINGLE: u8 = 1;
/// An alert is open, or held, for it.
pub(super) const OPEN: u8 = 2;
/// Decayed from what was no longer rare.
pub(super) const AGED: u8 = 4;

const START: usize = 1024;
/// How many kinds are looked at for the one that goes.
const SAMPLE: usize = 8;

#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    shift: u32,
    len: usize,
    kinds_max: usize,
    /// Where the search for a kind that goes is continued.
    hand: usize,
}

impl Table {
    pub(super) fn new(kinds_max: usize) -> Self {
        let places = places(kinds_max).min(START);
        Self { slots: vec![Slot::default(); places], shift: shift(places), len: 0, kinds_max, hand: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.hash != 0)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| slot.hash != 0)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64) -> Option<&mut Slot> {
        let last = self.slots.len() - 1;
        let mut at = self.home(hash);
        loop {
            let found = self.slots[at & last].hash;
            if found == hash {
                return Some(&mut self.slots[at & last]);
            }
            if found == 0 {
                return None;
            }
            at += 1;
        }
    }

    /// Puts in a kind that is not there, and gives the one that had to go for it.
    pub(super) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        let gone = if self.len >= self.kinds_max { self.evict() } else { None };
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.place(slot);
        self.len += 1;
        gone
    }

    /// The hash may be found by its upper bits; the filter takes others.
    fn home(&self, hash: u64) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "shifted to fewer bits than a table has places")]
        let at = (hash >> self.shift) as usize;
        at
    }

    fn place(&mut self, slot: Slot) {
        let last = self.slots.len() - 1;
        let mut at = self.home(slot.hash) & last;
        while self.slots[at].hash != 0 {
            at = (at + 1) & last;
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let places = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); places]);
        self.shift = shift(places);
        self.hand = 0;
        for slot in old {
            if slot.hash != 0 {
                self.place(slot);
            }
        }
    }

    /// Takes out the least seen of the next few kinds.
    pub(super) fn evict(&mut self) -> Option<Slot> {
        let last = self.slots.len() - 1;
        let (mut at, mut best, mut looked) = (self.hand, None::<usize>, 0);
        for _ in 0..self.slots.len() {
            at = (at + 1) & last;
            let slot = self.slots[at];
            if slot.hash == 0 {
                continue;
            }
            // One with an open alert goes only if there is no other.
            let rank = (slot.flags & OPEN, slot.count);
            if best.is_none_or(|best| rank < (self.slots[best].flags & OPEN, self.slots[best].count)) {
                best = Some(at);
            }
            looked += 1;
            if looked >= SAMPLE && best.is_some_and(|best| self.slots[best].flags & OPEN == 0) {
                break;
            }
        }
        self.hand = at;
        let gone = best?;
        Some(self.remove(gone))
    }

    /// Empties a place and closes the gap, so that no search ends too early.
    fn remove(&mut self, place: usize) -> Slot {
        let last = self.slots.len() - 1;
        let gone = self.slots[place];
        let (mut gap, mut at) = (place, place);
        loop {
            at = (at + 1) & last;
            let slot = self.slots[at];
            if slot.hash == 0 {
                break;
            }
            let home = self.home(slot.hash) & last;
            // It may move back if its home is not between the gap and where it stands.
            if (at.wrapping_sub(home) & last) >= (at.wrapping_sub(gap) & last) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = Slot::default();
        self.len -= 1;
        gone
    }
}

/// How many places a table of so many kinds has in the end.
pub(super) fn places(kinds_max: usize) -> usize {
    kinds_max.saturating_add(1).saturating_mul(4).div_ceil(3).next_power_of_two().max(8)
}

const fn shift(places: usize) -> u32 {
    u64::BITS - places.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn it_holds_what_a_map_holds_while_kinds_come_and_go() {
        let mut rng = Rng::seeded(5);
        for kinds_max in [1_usize, 7, 100, 3000] {
            let (mut table, mut map) = (Table::new(kinds_max), BTreeMap::new());
            for step in 0..8000_u32 {
                // Many share a home: only a few of the upper bits differ.
                let hash = (rng.up_to(63) << 58) | (rng.up_to(200) + 1);
                match table.get_mut(hash) {
                    Some(slot) => {
                        assert_eq!(slot.count, map[&hash], "{step}");
                        slot.count += 1;
                        map.insert(hash, slot.count);
                    }
                    None => {
                        assert!(!map.contains_key(&hash), "{step}");
                        if let Some(gone) = table.insert(Slot { hash, count: 1, last: 0, flags: 0 }) {
                            assert_eq!(map.remove(&gone.hash), Some(gone.count), "{step}");
                        }
                        map.insert(hash, 1);
                    }
                }
                assert!(table.len() == map.len() && table.len() <= kinds_max);
            }
            let held: BTreeMap<u64, u32> = table.iter().map(|slot| (slot.hash, slot.count)).collect();
            assert_eq!(held, map);
            assert!(table.bytes() <= places(kinds_max).max(START) * 16);
        }
    }

    #[test]
    fn the_least_seen_go_and_those_with_an_open_alert_stay() {
        let mut table = Table::new(4);
        for (hash, count, flags) in [(1, 9, 0), (2, 1, OPEN), (3, 2, 0), (4, 8, 0)] {
            assert_eq!(table.insert(Slot { hash, count, last: 0, flags }), None);
        }
        let gone = table.insert(Slot { hash: 5, count: 1, last: 0, flags: 0 });
        assert_eq!(gone.map(|slot| slot.hash), Some(3));
        assert!(table.get_mut(2).is_some() && table.get_mut(5).is_some() && table.get_mut(3).is_none());
    }
}
