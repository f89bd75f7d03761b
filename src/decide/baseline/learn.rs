//! What is done from time to time: learning ends or begins anew, counts decay, intervals are left out.

use crate::base::time::{Now, Timestamp, nanos};
use crate::decide::baseline::core::{Baseline, place};
use crate::decide::baseline::error::Error;
use crate::decide::baseline::reason::Finding;
use crate::decide::baseline::state::State;
use crate::decide::baseline::table::{AGED, SINGLE};

/// How many intervals may be excluded at the same time.
const EXCLUDED_MAX: usize = 64;
/// Above this share of events that are of a kind never seen, there is no bound on the kinds.
const UNBOUNDED_MASS: f64 = 0.5;
/// Epochs beyond which the age of a kind is not told apart.
const AGE_MAX: u16 = 30_000;

impl Baseline {
    /// Leaves out the events from `from` until before `to`, such as a test or an outage: they are not counted and nothing is told
    /// of them. What was counted already stays counted.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for an interval that does not end after it begins, and when 64 that are not over yet are excluded.
    pub fn exclude(&mut self, from: Timestamp, to: Timestamp, now: Now) -> Result<(), Error> {
        if to <= from {
            return Err(Error::field("exclude.to", to, format!("after {from}")));
        }
        self.excluded.retain(|(_, end)| *end > now.wall);
        if self.excluded.len() >= EXCLUDED_MAX {
            let allowed = format!("at most {EXCLUDED_MAX} at a time");
            return Err(Error::field("exclude", EXCLUDED_MAX + 1, allowed));
        }
        self.excluded.push((from, to));
        self.settle();
        self.plan();
        Ok(())
    }

    /// Learns anew what is usual, keeping what is known to be frequent: after a release, for instance. The rough memory of kinds
    /// that had to go is dropped, so that one that was crowded works again.
    pub fn relearn(&mut self) {
        self.filter = None;
        self.evicted = 0;
        self.cardinality_told = false;
        self.relearn_as(State::Learning);
    }

    pub(super) fn relearn_as(&mut self, state: State) {
        self.settle();
        self.state = state;
        (self.events, self.singles) = (0, 0);
        for slot in self.table.iter_mut() {
            slot.flags &= !SINGLE;
        }
        self.plan();
    }

    /// Time has passed: where the clock went back, none. Gives the instant on the baseline's line.
    pub(super) fn pass(&mut self, now: Now) -> u64 {
        let at = place(now.moment).max(self.last);
        let idle = at - self.last;
        let (held, over) = (self.held_until(), self.is_due(at));
        if over {
            self.on_time(at, held, now.wall);
        }
        if idle >= nanos(self.policy.stale_after) && self.total_now() > 0 && self.state != State::Stale {
            self.tell_stale(self.last, at, now.wall);
            self.relearn_as(State::Stale);
        }
        at
    }

    fn total_now(&mut self) -> u64 {
        self.settle();
        self.total
    }

    fn on_time(&mut self, at: u64, held_until: u64, wall: Timestamp) {
        self.settle();
        if at >= held_until {
            self.release(0, at.saturating_sub(nanos(self.policy.hold)), at, wall);
        }
        if at >= self.alerts.look_at {
            for (hash, closed) in self.alerts.close(&self.policy, at, wall) {
                self.mark(hash, false);
                if let Some(closed) = closed {
                    self.tell(Finding::Closed(closed));
                }
            }
        }
        if let Some(epoch) = self.policy.epoch.map(nanos) {
            let epochs = at.saturating_sub(self.epoch_began) / epoch;
            if epochs > 0 {
                self.epoch_began = self.epoch_began.saturating_add(epochs.saturating_mul(epoch));
                self.decay(u16::try_from(epochs).unwrap_or(AGE_MAX).min(AGE_MAX));
                self.plan();
            }
        }
        self.plan_time();
    }

    /// The planned number of events has passed.
    pub(super) fn turn(&mut self, hash: u64, key: Option<&[u8]>, at: u64, wall: Timestamp) {
        let window = u64::from(self.policy.storm_events);
        // What is over would have every event looked at for ever.
        self.excluded.retain(|(_, to)| *to > wall);
        self.storm(wall);
        self.release(self.total.saturating_sub(window), 0, at, wall);
        if self.policy.epoch_events.is_some_and(|events| self.epoch_count >= events) {
            self.decay(1);
        }
        let mass = self.missing_mass();
        match self.state {
            State::Active => {}
            _ if self.events < self.needed => {}
            _ if mass <= self.policy.missing_mass_max => self.state = State::Active,
            _ if mass > UNBOUNDED_MASS => self.tell_cardinality(hash, key, wall),
            _ => {}
        }
        self.plan();
        self.plan_time();
    }

    /// Halves what was counted, once for each epoch.
    fn decay(&mut self, epochs: u16) {
        let by = u32::from(epochs).min(63);
        self.epoch = self.epoch.wrapping_add(epochs);
        self.epoch_count = 0;
        let (rare_below, epoch) = (self.policy.rare_below, self.epoch);
        for slot in self.table.iter_mut() {
            slot.count = slot.count.checked_shr(by).unwrap_or(0);
            slot.flags &= !SINGLE;
            if slot.count < rare_below {
                slot.flags |= AGED;
            }
            if epoch.wrapping_sub(slot.last) > AGE_MAX {
                slot.last = epoch.wrapping_sub(AGE_MAX);
            }
        }
        self.events >>= by;
        self.singles >>= by;
        if self.is_crowded() {
            // It would never be of use again: what is cleared here is learned anew.
            self.filter = None;
            self.evicted = 0;
            self.relearn_as(State::Learning);
        } else {
            if let Some(filter) = &mut self.filter {
                filter.decay();
            }
            if self.missing_mass() <= UNBOUNDED_MASS {
                self.cardinality_told = false;
            }
        }
        if self.state == State::Active && self.events < self.needed {
            self.state = State::Learning;
        }
    }

    pub(super) fn excluded_until(&self, wall: Timestamp) -> Option<Timestamp> {
        let inside = self.excluded.iter().filter(|(from, to)| *from <= wall && wall < *to);
        inside.map(|(_, to)| *to).max()
    }
}
