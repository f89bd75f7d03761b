//! The way in and out of a call that meets no obstacle: a few atomic operations, no lock, no allocation, and one reading
//! of the monotonic clock.

use std::time::Duration;

use crate::act::call::Call;
use crate::act::call::bulkhead::Slot;
use crate::act::call::gate::Passage;
use crate::act::log;
use crate::base::time::{Clock, Moment};
use crate::decide::breaker::Permit;
use crate::decide::retry::Attempt;

/// What an attempt holds that was let in at once.
pub(super) struct Quick<'a, C, K: Clock, R> {
    call: &'a Call<C, K, R>,
    permit: Option<Permit>,
    slot: Option<Slot<'a>>,
    began: Moment,
}

impl<C, K: Clock, R> Call<C, K, R> {
    /// The first attempt, if nothing has to be asked that takes time; else nothing is taken.
    #[inline]
    pub(super) fn enter_at_once(&self, began: Moment) -> Option<(Quick<'_, C, K, R>, Attempt)> {
        if !self.simple {
            return None;
        }
        // In Closed a permit holds no slot: one that is dropped has nothing to give back.
        let permit = self.breaker.admit_fast()?;
        let slot = self.bulkhead.try_acquire()?;
        if !self.meters.is_empty() && !self.take_at_once(0, began) {
            return None;
        }
        let attempt = Attempt::first(&self.retry, Some(began), None).at_most(self.attempt_timeout, began);
        Some((Quick { call: self, permit: Some(permit), slot: Some(slot), began }, attempt))
    }

    /// One from each quota, or nothing.
    fn take_at_once(&self, index: usize, began: Moment) -> bool {
        let Some(meter) = self.meters.get(index) else { return true };
        let Some((taken, _)) = meter.reserve_fast(1, began, Duration::ZERO) else { return false };
        if self.take_at_once(index + 1, began) {
            return true;
        }
        meter.give_back(taken);
        false
    }

    /// Settles a success.
    #[inline]
    pub(super) fn succeeded(&self, mut quick: Quick<'_, C, K, R>, attempt: Attempt) {
        quick.slot = None;
        if let Some(budget) = &self.budget {
            budget.succeeded(quick.began);
        }
        if let Some(permit) = quick.permit.take()
            && let Err(permit) = self.breaker.settle_fast(permit)
            && let Err(permit) = self.breaker.succeeded_at(permit, self.clock.moment())
        {
            let mut passage = Passage::new(self.gate(), &self.clock, quick.began);
            passage.admitted(permit);
            passage.settle_success();
        }
        if log::wants_successes() {
            log::succeeded(self.who(), attempt.number(), self.clock.moment().since(quick.began));
        }
    }
}

impl<'a, C, K: Clock, R> Quick<'a, C, K, R> {
    /// The same as what a call holds that is not over yet.
    #[cold]
    pub(super) fn passage(mut self) -> Passage<'a, K> {
        let mut passage = Passage::new(self.call.gate(), &self.call.clock, self.began);
        if let Some(permit) = self.permit.take() {
            passage.admitted(permit);
        }
        if let Some(slot) = self.slot.take() {
            passage.holds(slot);
        }
        passage
    }
}
