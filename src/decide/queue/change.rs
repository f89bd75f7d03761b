//! What may be done to tasks that wait: paused, changed, listed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::time::{Now, nanos};
use crate::decide::queue::core::{Queue, is_future};
use crate::decide::queue::error::Error;
use crate::decide::queue::line;
use crate::decide::queue::reason::{Listed, State};
use crate::decide::queue::slab::{Flags, Id, Meta, NEVER, Place};
use crate::decide::queue::task::{Reschedule, When, check_estimate, check_times};

impl<T> Queue<T> {
    /// Holds a task that waits back; its deadline goes on. False if no such task waits.
    pub fn pause(&mut self, id: Id) -> bool {
        let Some(slot) = self.slab.find(id) else { return false };
        let Some(meta) = self.slab.get_mut(slot) else { return false };
        meta.flags.set(Flags::PAUSED, true);
        let key = meta.key;
        self.expires(slot);
        self.promote(key);
        true
    }

    /// Lets a task go on that was paused. False if no such task waits.
    pub fn resume(&mut self, id: Id, now: Now) -> bool {
        self.observe(now);
        let Some(slot) = self.slab.find(id) else { return false };
        if let Some(meta) = self.slab.get_mut(slot) {
            meta.flags.set(Flags::PAUSED, false);
        }
        self.offer(slot);
        true
    }

    /// Hands nothing out until [`resume_all`](Self::resume_all); what is over is still told.
    pub const fn pause_all(&mut self) {
        self.paused = true;
    }

    /// Hands tasks out again. What was paused by itself stays so.
    pub const fn resume_all(&mut self) {
        self.paused = false;
    }

    /// Changes a task that waits; it keeps its place by arrival, and ages as before. False if no such task waits.
    ///
    /// # Errors
    ///
    /// [`Error::Field`], and nothing is changed, if the deadline would be before the time before which it does not begin, or
    /// the estimate is not more than nothing and at most 366 days.
    pub fn reschedule(&mut self, id: Id, change: Reschedule, now: Now) -> Result<bool, Error> {
        self.observe(now);
        self.ripen();
        let Some((slot, meta)) = self.slab.find(id).and_then(|slot| Some((slot, *self.slab.get(slot)?)))
        else {
            return Ok(false);
        };
        if let Some(estimate) = change.estimate {
            check_estimate(estimate)?;
        }
        let start = match change.not_before {
            Some(when) => Some(when.at(now)),
            None if change.deadline.is_some() => self.start_of(slot, &meta),
            None => None,
        };
        let deadline = match change.deadline {
            None => Some(meta.deadline).filter(|deadline| *deadline != NEVER),
            Some(deadline) => deadline.map(|when| when.at(now)),
        };
        if change.deadline.is_some() || change.not_before.is_some() {
            check_times(deadline, start)?;
        }
        if let Some(value) = change.value {
            self.slab.set_value(slot, value);
        }
        if let Some(meta) = self.slab.get_mut(slot) {
            meta.deadline = deadline.unwrap_or(NEVER);
            if let Some(given) = change.deadline {
                meta.flags.set(Flags::WALL_DEADLINE, given.is_some_and(When::is_wall));
            }
            if let Some(given) = change.not_before {
                meta.flags.set(Flags::WALL_START, given.is_wall());
            }
            if let Some(estimate) = change.estimate {
                meta.estimate = nanos(estimate);
                meta.flags.set(Flags::DECLARED, true);
            }
            // What the piles say of it is void; where it is by arrival is not.
            meta.flags.set(Flags::IN_BEST, false);
            meta.flags.set(Flags::IN_EXPIRY, false);
        }
        if change.not_before.is_some() || meta.place == Place::Ready {
            self.place(slot, start);
        } else {
            self.expires(slot);
        }
        if let Some(shed) = &mut self.shed {
            shed.add(&self.slab, slot);
        }
        // It may have been what stood for those that wait for the same key.
        self.promote(meta.key);
        self.compact();
        Ok(true)
    }

    /// All that wait and run, in the order of their arrival.
    #[must_use]
    pub fn list(&self, now: Now) -> Vec<Listed> {
        let at = self.now.max(line::of(now.moment));
        let starts: BTreeMap<u32, u64> = self
            .future
            .iter()
            .filter(|due| is_future(&self.slab, **due))
            .map(|due| (due.slot(), due.at))
            .collect();
        let waiting = self.slab.waiting().map(|(slot, meta, _)| {
            let state = match starts.get(&slot) {
                _ if meta.flags.has(Flags::PAUSED) => State::Paused,
                Some(start) if *start > at => State::Future { at: line::moment(*start) },
                _ if self.is_blocked(slot) => State::WaitsForKey,
                _ => State::Ready,
            };
            (slot, meta, state)
        });
        let running = self.slab.at_work().map(|(slot, meta, _)| (slot, meta, State::Running));
        let mut all: Vec<(u32, &Meta, State)> = waiting.chain(running).collect();
        all.sort_unstable_by_key(|(_, meta, _)| meta.seq);
        let listed = all.into_iter().map(|(slot, meta, state)| Listed {
            id: self.slab.id(slot),
            state,
            density: f64::from(crate::decide::queue::entry::density(&self.slab, slot, meta, at)),
            deadline: (meta.deadline != NEVER).then(|| line::moment(meta.deadline)),
            waited: Duration::from_nanos(at.saturating_sub(meta.submitted)),
            key: self.keys.name(meta.key).map(str::to_owned),
        });
        listed.collect()
    }

    fn start_of(&self, slot: u32, meta: &Meta) -> Option<u64> {
        let due =
            |due: &&crate::decide::queue::entry::Due| due.slot() == slot && is_future(&self.slab, **due);
        if meta.place == Place::Future { self.future.iter().find(due).map(|due| due.at) } else { None }
    }
}
