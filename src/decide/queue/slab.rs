//! The tasks: slots that are used again, with generations, so that the id of a task that is gone finds nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::decide::queue::value::{Shape, Value};

/// A task in its queue. Never given again for another task (before four billion have had its place).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// No deadline; also: no free slot.
pub(super) const NEVER: u64 = u64::MAX;
const NO_SLOT: u32 = u32::MAX;

/// Where a task is that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before its time.
    Future,
    Ready,
}

/// One bit each of what is so about a task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const PAUSED: u8 = 1;
    /// The deadline was given as wall time.
    pub(super) const WALL_DEADLINE: u8 = 2;
    /// The time before which it does not begin was given as wall time.
    pub(super) const WALL_START: u8 = 4;
    /// The estimate was declared; otherwise it is the kind's.
    pub(super) const DECLARED: u8 = 8;
    /// A pile of the order has an entry with the bound.
    pub(super) const IN_BEST: u8 = 16;
    pub(super) const IN_OLDEST: u8 = 32;
    pub(super) const IN_EXPIRY: u8 = 64;
    /// It ran when the queue was saved.
    pub(super) const INTERRUPTED: u8 = 128;

    pub(super) const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    pub(super) const fn set(&mut self, flag: u8, on: bool) {
        self.0 = if on { self.0 | flag } else { self.0 & !flag };
    }
}

/// Which shape the packed value has.
#[derive(Clone, Copy, Debug)]
enum Tag {
    Step,
    Linear,
    HalfLife,
    Steps,
}

/// All that is known of a task, in 72 bytes. Instants are nanoseconds on the queue's own line of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub(super) submitted: u64,
    /// [`NEVER`] if it has none.
    pub(super) deadline: u64,
    /// Nanoseconds, whether declared or its kind's.
    pub(super) estimate: u64,
    v: f64,
    a: u64,
    b: u64,
    /// By arrival.
    pub(super) seq: u32,
    /// What the entry in the order says; while it is in the future, which entry there holds.
    pub(super) bound: u32,
    pub(super) generation: u32,
    /// 0 is none.
    pub(super) key: u32,
    /// 0 is none.
    pub(super) kind: u16,
    pub(super) place: Place,
    tag: Tag,
    pub(super) class: u8,
    pub(super) flags: Flags,
}

impl Meta {
    pub(super) fn new(submitted: u64) -> Self {
        Self {
            submitted,
            deadline: NEVER,
            estimate: 0,
            v: 1.0,
            a: 0,
            b: 0,
            seq: 0,
            bound: 0,
            generation: 0,
            key: 0,
            kind: 0,
            place: Place::Ready,
            tag: Tag::Step,
            class: 0,
            flags: Flags::default(),
        }
    }

    /// It may be begun, as far as it alone is concerned.
    pub(super) fn is_open(&self) -> bool {
        self.place == Place::Ready && !self.flags.has(Flags::PAUSED)
    }

    /// The last instant at which it is begun: that of its deadline, or so long before as it is declared to take.
    pub(super) fn last_start(&self) -> u64 {
        match self.deadline {
            NEVER => NEVER,
            deadline if self.flags.has(Flags::DECLARED) => deadline.saturating_sub(self.estimate),
            deadline => deadline,
        }
    }

    /// Begun now it would end after its deadline, as far as one knows.
    pub(super) fn is_late(&self, now: u64) -> bool {
        self.deadline != NEVER && now.saturating_add(self.estimate) > self.deadline
    }
}

#[derive(Clone, Debug)]
enum Slot<T> {
    Free {
        next: u32,
        generation: u32,
    },
    Queued(Meta, T),
    /// Which of those that run.
    Running {
        at: u32,
        generation: u32,
    },
}

/// A task whose payload was handed out.
#[derive(Clone, Debug)]
struct Working {
    meta: Meta,
    slot: u32,
    since: u64,
}

/// The slots, and what does not fit into them.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: u32,
    queued: usize,
    working: Vec<Working>,
    /// Values in steps, which are rare and long.
    steps: BTreeMap<u32, Arc<[(u64, f64)]>>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: NO_SLOT, queued: 0, working: Vec::new(), steps: BTreeMap::new() }
    }

    /// What it holds memory for.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<T>>()
    }

    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    pub(super) const fn running(&self) -> usize {
        self.working.len()
    }

    pub(super) fn insert(&mut self, mut meta: Meta, payload: T, value: Value) -> Id {
        let free = match self.slots.get(self.free as usize) {
            Some(Slot::Free { next, generation }) => Some((self.free, *next, *generation)),
            _ => None,
        };
        let (slot, generation) = match free {
            Some((slot, next, generation)) => {
                self.free = next;
                (slot, generation)
            }
            // The capacity is less than 2^32, and so is what runs.
            None => (u32::try_from(self.slots.len()).unwrap_or(NO_SLOT), 0),
        };
        meta.generation = generation;
        let queued = Slot::Queued(meta, payload);
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = queued,
            None => self.slots.push(queued),
        }
        self.queued += 1;
        self.set_value(slot, value);
        Id { slot, generation }
    }

    /// What is known of a task that waits.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&Meta> {
        match self.slots.get(slot as usize) {
            Some(Slot::Queued(meta, _)) => Some(meta),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Meta> {
        match self.slots.get_mut(slot as usize) {
            Some(Slot::Queued(meta, _)) => Some(meta),
            _ => None,
        }
    }

    /// The slot of a task that waits.
    pub(super) fn find(&self, id: Id) -> Option<u32> {
        self.get(id.slot).filter(|meta| meta.generation == id.generation).map(|_| id.slot)
    }

    pub(super) fn id(&self, slot: u32) -> Id {
        let generation = match self.slots.get(slot as usize) {
            Some(Slot::Queued(meta, _)) => meta.generation,
            Some(Slot::Running { generation, .. } | Slot::Free { generation, .. }) => *generation,
            None => 0,
        };
        Id { slot, generation }
    }

    /// Takes a task out for good.
    pub(super) fn remove(&mut self, slot: u32) -> Option<(Meta, T)> {
        let meta = *self.get(slot)?;
        let free = self.freed(slot, &meta);
        match std::mem::replace(self.slots.get_mut(slot as usize)?, free) {
            Slot::Queued(meta, payload) => {
                self.queued -= 1;
                Some((meta, payload))
            }
            Slot::Free { .. } | Slot::Running { .. } => None,
        }
    }

    /// Hands the payload of a task out; its slot stays until it is done.
    pub(super) fn start(&mut self, slot: u32, now: u64) -> Option<(Id, Meta, T)> {
        let meta = *self.get(slot)?;
        let at = u32::try_from(self.working.len()).ok()?;
        let running = Slot::Running { at, generation: meta.generation };
        match std::mem::replace(self.slots.get_mut(slot as usize)?, running) {
            Slot::Queued(meta, payload) => {
                self.queued -= 1;
                self.working.push(Working { meta, slot, since: now });
                Some((Id { slot, generation: meta.generation }, meta, payload))
            }
            Slot::Free { .. } | Slot::Running { .. } => None,
        }
    }

    /// Frees the slot of a task that runs; since when it has.
    pub(super) fn finish(&mut self, id: Id) -> Option<(Meta, u64)> {
        let at = match self.slots.get(id.slot as usize) {
            Some(Slot::Running { at, generation }) if *generation == id.generation => *at,
            _ => return None,
        };
        if at as usize >= self.working.len() {
            return None;
        }
        let Working { meta, since, .. } = self.working.swap_remove(at as usize);
        if let Some(moved) = self.working.get(at as usize)
            && let Some(Slot::Running { at: place, .. }) = self.slots.get_mut(moved.slot as usize)
        {
            *place = at;
        }
        let free = self.freed(id.slot, &meta);
        *self.slots.get_mut(id.slot as usize)? = free;
        Some((meta, since))
    }

    /// All that wait, by slot.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u32, &Meta, &T)> {
        (0..).zip(&self.slots).filter_map(|(slot, of)| match of {
            Slot::Queued(meta, payload) => Some((slot, meta, payload)),
            Slot::Free { .. } | Slot::Running { .. } => None,
        })
    }

    /// All that run, and since when.
    pub(super) fn at_work(&self) -> impl Iterator<Item = (u32, &Meta, u64)> {
        self.working.iter().map(|working| (working.slot, &working.meta, working.since))
    }

    pub(super) fn metas_mut(&mut self) -> impl Iterator<Item = (u32, &mut Meta)> {
        (0..).zip(&mut self.slots).filter_map(|(slot, of)| match of {
            Slot::Queued(meta, _) => Some((slot, meta)),
            Slot::Free { .. } | Slot::Running { .. } => None,
        })
    }

    /// All that is known of all tasks, of those that wait and then of those that run.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Meta> {
        let waiting = self.slots.iter_mut().filter_map(|of| match of {
            Slot::Queued(meta, _) => Some(meta),
            Slot::Free { .. } | Slot::Running { .. } => None,
        });
        waiting.chain(self.working.iter_mut().map(|working| &mut working.meta))
    }

    pub(super) fn set_value(&mut self, slot: u32, value: Value) {
        let packed = match value.0 {
            Shape::Step(v) => (Tag::Step, v, 0, 0),
            Shape::Linear { v, from, to } => (Tag::Linear, v, from, to),
            Shape::HalfLife { v, h, floor } => (Tag::HalfLife, v, h, floor.to_bits()),
            Shape::Steps(steps) => {
                self.steps.insert(slot, steps);
                (Tag::Steps, 0.0, 0, 0)
            }
        };
        if let Some(meta) = self.get_mut(slot) {
            (meta.tag, meta.v, meta.a, meta.b) = packed;
        }
    }

    /// The value of a task, waiting or running.
    pub(super) fn value(&self, slot: u32, meta: &Meta) -> Value {
        Value(match meta.tag {
            Tag::Step => Shape::Step(meta.v),
            Tag::Linear => Shape::Linear { v: meta.v, from: meta.a, to: meta.b },
            Tag::HalfLife => Shape::HalfLife { v: meta.v, h: meta.a, floor: f64::from_bits(meta.b) },
            Tag::Steps => self.steps.get(&slot).map_or(Shape::Step(0.0), |steps| Shape::Steps(steps.clone())),
        })
    }

    /// What it is worth if it is done at that age.
    #[inline]
    pub(super) fn worth(&self, slot: u32, meta: &Meta, age: u64) -> f64 {
        if matches!(meta.tag, Tag::Step) { meta.v } else { self.value(slot, meta).after_nanos(age) }
    }

    fn freed(&mut self, slot: u32, meta: &Meta) -> Slot<T> {
        if matches!(meta.tag, Tag::Steps) {
            self.steps.remove(&slot);
        }
        let free = Slot::Free { next: self.free, generation: meta.generation.wrapping_add(1) };
        self.free = slot;
        free
    }
}
