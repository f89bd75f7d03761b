//! Keys: of the tasks that share one, one runs at a time, and the others wait in a lane of the key's own.

use std::collections::BTreeMap;

use crate::decide::queue::entry::{Arrival, Entry};
use crate::decide::queue::pile::Pile;

/// What waits to be chosen: by the order, and by arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    pub(super) best: Pile<Entry>,
    pub(super) oldest: Pile<Arrival>,
}

impl Lane {
    pub(super) fn clear(&mut self) {
        self.best.clear();
        self.oldest.clear();
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) name: Box<str>,
    /// How many have it, waiting or running.
    pub(super) tasks: usize,
    pub(super) busy: bool,
    pub(super) lane: Lane,
}

/// The keys that tasks have now, by number from 1 on; 0 is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    by_name: BTreeMap<Box<str>, u32>,
    keys: Vec<Key>,
    free: Vec<u32>,
}

impl Keys {
    /// The number of a key, for one more task.
    pub(super) fn enter(&mut self, name: &str) -> u32 {
        if let Some(number) = self.by_name.get(name).copied() {
            if let Some(key) = self.get_mut(number) {
                key.tasks += 1;
            }
            return number;
        }
        let key = Key { name: name.into(), tasks: 1, ..Key::default() };
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(place) = self.get_mut(number) {
                    *place = key;
                }
                number
            }
            None => {
                self.keys.push(key);
                u32::try_from(self.keys.len()).unwrap_or(0)
            }
        };
        self.by_name.insert(name.into(), number);
        number
    }

    /// One task less has it.
    pub(super) fn leave(&mut self, number: u32) {
        let Some(key) = self.get_mut(number) else { return };
        key.tasks = key.tasks.saturating_sub(1);
        if key.tasks == 0 {
            let name = std::mem::take(key).name;
            self.by_name.remove(&name);
            self.free.push(number);
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Key> {
        self.keys.get((number as usize).checked_sub(1)?)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Key> {
        self.keys.get_mut((number as usize).checked_sub(1)?)
    }

    pub(super) fn is_busy(&self, number: u32) -> bool {
        self.get(number).is_some_and(|key| key.busy)
    }

    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.get(number).map(|key| &*key.name)
    }

    pub(super) fn lanes_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.keys.iter_mut().map(|key| &mut key.lane)
    }
}
