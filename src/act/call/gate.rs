//! The way in: what was taken from breaker, quotas and bulkhead for one attempt, and how it is given back.

#[cfg(feature = "store")]
use std::sync::Arc;
use std::time::Duration;

use crate::act::accounts::Accounts;
use crate::act::call::bulkhead::Slot;
use crate::act::log;
use crate::base::fault::{Class, Fault};
use crate::base::time::{Clock, Moment, Now, Timestamp};
use crate::decide::breaker::{self, Admit, Breaker, Moved, Outcome, Permit};
#[cfg(feature = "store")]
use crate::decide::breaker::{Restored, Snapshot, Standing};
#[cfg(feature = "store")]
use crate::decide::quota::Block;
use crate::decide::quota::{Meter, Reserve, Taken};

/// Whose state is asked: that of the whole dependency, or that of one account of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gate<'a> {
    /// The dependency's own.
    Own { breaker: &'a Breaker, meters: &'a [Meter] },
    /// One account's.
    Account { accounts: &'a Accounts, key: &'a str, name: &'a str },
}

/// What of a breaker another process must not miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(feature = "store")]
pub(super) struct Mark {
    pub(super) generation: u32,
    pub(super) blocked_until: Option<Timestamp>,
}

impl<'a> Gate<'a> {
    pub(super) fn admit(self, now: Now) -> Admit {
        match self {
            Self::Own { breaker, .. } => breaker.admit(now),
            Self::Account { accounts, key, .. } => accounts.admit(key, now),
        }
    }

    pub(super) fn settle(self, permit: Permit, outcome: Outcome, hint: Option<Duration>, now: Now) -> Moved {
        match self {
            Self::Own { breaker, .. } => breaker.settle_hinted(permit, outcome, hint, now),
            Self::Account { accounts, key, .. } => accounts.settle_hinted(key, permit, outcome, hint, now),
        }
    }

    pub(super) fn block(self, wait: Duration, now: Now) {
        match self {
            Self::Own { breaker, .. } => breaker.block(wait, now),
            Self::Account { accounts, key, .. } => accounts.block(key, wait, now),
        };
    }

    pub(super) fn refusal(self, now: Now) -> Option<(breaker::Refusing, Timestamp)> {
        match self {
            Self::Own { breaker, .. } => breaker.refusal(now),
            Self::Account { accounts, key, .. } => accounts.refusal(key, now),
        }
    }

    /// Whether a permit that was given before a wait would not be given any more.
    fn has_withdrawn(self, permit: &Permit, now: Now) -> bool {
        let generation = match self {
            Self::Own { breaker, .. } => breaker.generation(),
            Self::Account { accounts, key, .. } => accounts.generation(key),
        };
        match self.refusal(now) {
            // All probes that may be out are, and this may be one of them.
            Some((breaker::Refusing::Probing { .. }, _)) | None => permit.is_of_another(generation),
            Some(_) => permit.is_scored(),
        }
    }

    /// Takes from the quota `index`, now or within `wait_max`.
    pub(super) fn reserve(self, index: usize, now: Now, wait_max: Duration) -> Option<Reserve> {
        match self {
            Self::Own { meters, .. } => Some(meters.get(index)?.reserve(1, now, wait_max)),
            Self::Account { accounts, key, .. } => accounts.reserve(key, index, 1, now, wait_max),
        }
    }

    fn give_back(self, index: usize, taken: Taken, now: Now) {
        match self {
            Self::Own { meters, .. } => {
                if let Some(meter) = meters.get(index) {
                    meter.give_back(taken);
                }
            }
            Self::Account { accounts, key, .. } => {
                accounts.give_back(key, index, taken, now);
            }
        }
    }

    fn slow_over(self) -> Option<Duration> {
        match self {
            Self::Own { breaker, .. } => breaker.slow_over(),
            Self::Account { accounts, .. } => accounts.slow_over(),
        }
    }

    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Own { breaker, .. } => breaker.name(),
            Self::Account { name, .. } => name,
        }
    }

    pub(super) const fn account(self) -> Option<&'a str> {
        match self {
            Self::Own { .. } => None,
            Self::Account { key, .. } => Some(key),
        }
    }

    #[cfg(feature = "store")]
    pub(super) fn snapshot(self, now: Now) -> Snapshot {
        match self {
            Self::Own { breaker, .. } => breaker.snapshot(now),
            Self::Account { accounts, key, name } => accounts.snapshot(key, name, now),
        }
    }

    /// Takes over what another process has saved, and counts on top of it the successes that it cannot know of.
    #[cfg(feature = "store")]
    pub(super) fn adopt(
        self,
        snapshot: &Snapshot,
        successes: u32,
        now: Now,
    ) -> Result<Restored, breaker::Error> {
        match self {
            Self::Own { breaker, .. } => breaker.adopt_and_credit(snapshot, successes, now),
            Self::Account { accounts, key, .. } => accounts.adopt_and_credit(key, snapshot, successes, now),
        }
    }

    #[cfg(feature = "store")]
    pub(super) fn mark(self) -> (Mark, Standing) {
        let (generation, blocked_until, standing) = match self {
            Self::Own { breaker, .. } => breaker.mark(),
            Self::Account { accounts, key, .. } => accounts.mark(key),
        };
        (Mark { generation, blocked_until }, standing)
    }
}

/// What one attempt holds. Dropped before it is settled, it gives the slot back, scores nothing, and, if the attempt has
/// not begun, gives back what it took from the quotas.
pub(super) struct Passage<'a, K: Clock> {
    gate: Gate<'a>,
    clock: &'a K,
    permit: Option<Permit>,
    began: Moment,
    slot: Option<Slot<'a>>,
    taken: Vec<(usize, Taken)>,
    /// Of each of these one is used.
    #[cfg(feature = "store")]
    blocks: Vec<Arc<Block>>,
}

impl<'a, K: Clock> Passage<'a, K> {
    /// Not allowed in by anybody yet.
    pub(super) const fn new(gate: Gate<'a>, clock: &'a K, began: Moment) -> Self {
        Self {
            gate,
            clock,
            permit: None,
            began,
            slot: None,
            taken: Vec::new(),
            #[cfg(feature = "store")]
            blocks: Vec::new(),
        }
    }

    pub(super) fn admitted(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// The permit, for somebody else to hold.
    #[cfg(feature = "store")]
    pub(super) fn release(mut self) -> Option<Permit> {
        self.permit.take()
    }

    /// Gives the permit back if it would not be given any more, as it stands after a wait; whether it was.
    pub(super) fn lets_go(&mut self, now: Now) -> bool {
        let withdrawn = self.permit.take_if(|permit| self.gate.has_withdrawn(permit, now));
        let Some(permit) = withdrawn else { return false };
        self.settle(permit, Outcome::Abandoned, None, now);
        true
    }

    pub(super) fn took(&mut self, index: usize, taken: Taken) {
        self.taken.push((index, taken));
    }

    #[cfg(feature = "store")]
    pub(super) fn used(&mut self, block: Arc<Block>) {
        self.blocks.push(block);
    }

    pub(super) fn holds(&mut self, slot: Slot<'a>) {
        self.slot = Some(slot);
    }

    /// The attempt begins: what it took is spent.
    pub(super) fn begins(&mut self, now: Moment) {
        self.began = now;
        self.taken.clear();
        #[cfg(feature = "store")]
        self.blocks.clear();
    }

    #[cfg(feature = "store")]
    pub(super) const fn clock(&self) -> &'a K {
        self.clock
    }

    pub(super) const fn began(&self) -> Moment {
        self.began
    }

    /// Settles a success, and tells of it.
    pub(super) fn succeeded(mut self, who: log::Who<'_>, attempt: u32) {
        let began = self.began;
        self.settle_success();
        if log::wants_successes() {
            log::succeeded(who, attempt, self.clock.moment().since(began));
        }
    }

    /// Settles a success.
    pub(super) fn settle_success(&mut self) {
        self.slot = None;
        if let Some(permit) = self.permit.take() {
            let now = self.clock.now();
            self.settle(permit, self.success(now), None, now);
        }
    }

    /// Whether it was one in time.
    fn success(&self, now: Now) -> Outcome {
        match self.gate.slow_over() {
            Some(over) if now.moment.since(self.began) > over => Outcome::Slow,
            _ => Outcome::Success,
        }
    }

    /// Settles a failure.
    #[cold]
    pub(super) fn failed(mut self, fault: &Fault, now: Now) {
        self.slot = None;
        if let Some(wait) = block_for(fault) {
            self.gate.block(wait, now);
        }
        if let Some(permit) = self.permit.take() {
            self.settle(permit, Outcome::Failure(fault.class), fault.retry_after, now);
        }
    }

    fn settle(&self, permit: Permit, outcome: Outcome, hint: Option<Duration>, now: Now) {
        log::moved(self.gate.name(), &self.gate.settle(permit, outcome, hint, now));
    }

    /// The permit and how it ended, to be settled by somebody else.
    #[cfg(feature = "store")]
    pub(super) fn ends(mut self, fault: Option<&Fault>, now: Now) -> Option<(Permit, Outcome)> {
        self.slot = None;
        let outcome = fault.map_or_else(|| self.success(now), |fault| Outcome::Failure(fault.class));
        Some((self.permit.take()?, outcome))
    }
}

/// A server's word on a rate limit blocks the dependency; on anything else it is how long the breaker opens, should it
/// trip.
pub(super) fn block_for(fault: &Fault) -> Option<Duration> {
    fault.retry_after.filter(|_| fault.class == Class::RateLimited)
}

impl<K: Clock> Drop for Passage<'_, K> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.settle(permit, Outcome::Abandoned, None, self.clock.now());
        }
        for (index, taken) in std::mem::take(&mut self.taken) {
            self.gate.give_back(index, taken, self.clock.now());
        }
        #[cfg(feature = "store")]
        for block in std::mem::take(&mut self.blocks) {
            block.give_one_back();
        }
    }
}
