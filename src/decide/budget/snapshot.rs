//! All of a budget that has to survive a restart, as a small value with a version.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::bucket::{Rate, Saved};
use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::budget::policy::{Error, Policy};
use crate::decide::budget::reason::{Allowing, Refusing, Restoring};
use crate::decide::budget::shared::{allowing, spent};

const VERSION: u32 = 1;

/// A budget as it is saved. Instants are wall time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    key: String,
    bucket: Saved,
}

/// What was noticed while a snapshot was read; empty when all was as it was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// In the order in which it was noticed, at most one of each kind.
    pub reasons: Vec<Restoring>,
}

/// Whether a retry may be made out of a budget that processes share.
#[must_use = "the retry is paid for only once the snapshot is written where the old one was"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spend {
    /// It may: write `snapshot` in place of the one that was read; only if that succeeds it is paid for.
    Allow {
        /// What to write.
        snapshot: Snapshot,
        /// Why.
        why: Allowing,
        /// What was noticed while the snapshot was read.
        noticed: Restored,
    },
    /// It may not; there is nothing to write.
    Refuse {
        /// Why not.
        why: Refusing,
        /// How long until it may, if nobody else takes it.
        wait: Duration,
        /// When that is.
        retry_at: Timestamp,
    },
}

impl Snapshot {
    /// A budget of which nothing is spent at `wall`.
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn fresh(key: &str, policy: &Policy, wall: Timestamp) -> Result<Self, Error> {
        Ok(Self::of(key, policy.rate()?, 0, wall))
    }

    /// The dependency.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When nothing of it is spent any more, if nothing more is.
    #[must_use]
    pub const fn full_at(&self) -> Timestamp {
        self.bucket.full_at()
    }

    /// Pays `cost` thousandths of a token (see [`Policy::cost`]) at `wall` out of what is shared.
    ///
    /// Pure: read the snapshot, call this, and write the answer if nobody has written in between; else begin again.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for a snapshot of a newer program, and what [`Policy::check`] finds.
    pub fn spend(&self, policy: &Policy, cost: u32, wall: Timestamp) -> Result<Spend, Error> {
        let rate = policy.rate()?;
        let (debt, noticed) = self.debt(rate, wall)?;
        let now = Now { moment: Moment::ZERO, wall };
        Ok(match rate.take(debt, now.moment, rate.cost_of_thousandths(cost), 0) {
            Ok(slot) => Spend::Allow {
                snapshot: Self::of(&self.key, rate, slot.full_at, wall),
                why: allowing(policy, rate, cost, slot.full_at, now.moment),
                noticed,
            },
            Err(wait) => {
                let (why, wait, retry_at) = spent(policy, rate, cost, debt, now, wait);
                Spend::Refuse { why, wait, retry_at }
            }
        })
    }

    /// What is shared after so many successes: what to write, or `None` if they bring nothing back.
    ///
    /// # Errors
    ///
    /// As [`spend`](Self::spend).
    pub fn succeeded(&self, policy: &Policy, successes: u32, wall: Timestamp) -> Result<Option<Self>, Error> {
        let rate = policy.rate()?;
        let (debt, _) = self.debt(rate, wall)?;
        let deposit = policy.deposit(rate).saturating_mul(u64::from(successes));
        let less = debt.saturating_sub(deposit);
        Ok((less < debt).then(|| Self::of(&self.key, rate, less, wall)))
    }

    pub(super) fn of(key: &str, rate: Rate, debt: u64, wall: Timestamp) -> Self {
        Self { v: VERSION, key: key.into(), bucket: Saved::new(rate, debt, wall) }
    }

    /// Nanoseconds until it is full, and what was noticed.
    pub(super) fn debt(&self, rate: Rate, wall: Timestamp) -> Result<(u64, Restored), Error> {
        if self.v != VERSION {
            return Err(Error::Version { found: self.v, known: VERSION });
        }
        let debt = self.bucket.debt(rate, wall);
        let changed = debt.changed.then_some(Restoring::ConfigurationChanged);
        let back = debt.stepped_back.map(|by| Restoring::ClockSteppedBack { by });
        Ok((debt.nanos, Restored { reasons: changed.into_iter().chain(back).collect() }))
    }
}
