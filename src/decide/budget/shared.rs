//! The budget for many threads: one integer, no lock.

use std::time::Duration;

use crate::base::bucket::{Bucket, Rate};
use crate::base::fault::Fault;
use crate::base::time::{Moment, Now, Timestamp, later};
use crate::decide::budget::policy::{Error, Policy};
use crate::decide::budget::reason::{Admit, Allowing, Refusing};
use crate::decide::budget::snapshot::{Restored, Snapshot};

/// What one dependency may be burdened with by retries; shared by reference or in an `Arc`.
///
/// Ask it before the wait, not after: a retry that is refused then has not been waited for.
#[derive(Debug)]
pub struct Budget {
    policy: Policy,
    rate: Rate,
    deposit: u64,
    bucket: Bucket,
}

impl Budget {
    /// A budget of which nothing is spent.
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn new(policy: Policy) -> Result<Self, Error> {
        let rate = policy.rate()?;
        Ok(Self { policy, rate, deposit: policy.deposit(rate), bucket: Bucket::default() })
    }

    /// Picks up where `snapshot` was taken; what was noticed is said.
    ///
    /// What is spent is clamped to the whole budget, whatever the wall clock says, and a clock that went back has brought
    /// nothing back. Another policy keeps what is spent.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for a snapshot of a newer program, and what [`Policy::check`] finds.
    pub fn restore(policy: Policy, snapshot: &Snapshot, now: Now) -> Result<(Self, Restored), Error> {
        let budget = Self::new(policy)?;
        let restored = budget.adopt(snapshot, now)?;
        Ok((budget, restored))
    }

    /// Takes over what `snapshot` holds, in place: whatever is spent more, here or there, is spent.
    ///
    /// # Errors
    ///
    /// What [`restore`](Self::restore) finds; then nothing has changed.
    pub fn adopt(&self, snapshot: &Snapshot, now: Now) -> Result<Restored, Error> {
        let (debt, restored) = snapshot.debt(self.rate, now.wall)?;
        if debt > 0 {
            self.bucket.raise(now.moment.as_nanos().saturating_add(debt));
        }
        Ok(restored)
    }

    /// All that has to survive a restart.
    #[must_use]
    pub fn snapshot(&self, key: &str, now: Now) -> Snapshot {
        let debt = self.bucket.full_at().saturating_sub(now.moment.as_nanos());
        Snapshot::of(key, self.rate, debt, now.wall)
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a retry after `fault` may be made; if so it is paid for.
    pub fn admit(&self, fault: &Fault, now: Now) -> Admit {
        let cost = self.policy.cost(fault);
        match self.bucket.take(self.rate, now.moment, self.rate.cost_of_thousandths(cost), 0) {
            Ok(slot) => {
                Admit::Allow { why: allowing(&self.policy, self.rate, cost, slot.full_at, now.moment) }
            }
            Err(wait) => {
                let full_at = self.bucket.full_at();
                let (why, wait, retry_at) = spent(&self.policy, self.rate, cost, full_at, now, wait);
                Admit::Refuse { why, wait, retry_at }
            }
        }
    }

    /// What is left at `moment`, in thousandths of a token.
    #[must_use]
    pub fn left(&self, moment: Moment) -> u64 {
        self.rate.thousandths_left(self.bucket.full_at(), moment)
    }

    /// Whether a success may bring anything back: something is spent, and the policy counts successes. If not,
    /// [`succeeded`](Self::succeeded) does nothing, so the clock need not be read for it. One load.
    #[inline]
    #[must_use]
    pub fn wants_successes(&self) -> bool {
        self.deposit != 0 && self.bucket.full_at() != 0
    }

    /// A call has succeeded. While nothing is spent this is one load; where successes bring nothing back, nothing at all.
    #[inline]
    pub fn succeeded(&self, moment: Moment) {
        if self.deposit != 0 {
            self.bucket.put(self.deposit, moment);
        }
    }
}

pub(super) fn allowing(policy: &Policy, rate: Rate, cost: u32, full_at: u64, now: Moment) -> Allowing {
    if cost == 0 {
        return Allowing::Free;
    }
    Allowing::Within { cost, left: rate.thousandths_left(full_at, now), tokens_max: policy.tokens_max }
}

#[cold]
pub(super) fn spent(
    policy: &Policy,
    rate: Rate,
    cost: u32,
    full_at: u64,
    now: Now,
    wait: u64,
) -> (Refusing, Duration, Timestamp) {
    let why = Refusing::Spent {
        cost,
        left: rate.thousandths_left(full_at, now.moment),
        tokens_max: policy.tokens_max,
        refill: policy.refill,
        period: policy.refill_period,
    };
    let wait = Duration::from_nanos(wait);
    (why, wait, later(now.wall, wait))
}
