//! One quota for processes that run together: each takes a block from what they share, and uses it by itself.
//!
//! **Why it holds.** Call the time until the shared count is full its level, and the time for which a block still holds
//! tokens its hold. When a block is granted, level and hold grow by the same; later each shrinks by one second in a
//! second until it is zero, and using a token shortens the hold alone. So all holds together never exceed the level, and
//! the level never exceeds the burst. Within any span, then, what was held at its begin and what is granted in it are
//! together at most the burst and what comes back in the span, which is the bound of a single [`Meter`]: however long a
//! process keeps its block, however it dies with it.
//!
//! [`Meter`]: crate::decide::quota::Meter

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::time::{Moment, Now, Timestamp, between};
use crate::decide::quota::count::Used;
use crate::decide::quota::meter::{full, lacking, until};
use crate::decide::quota::policy::{Error, Limit};
use crate::decide::quota::reason::Refusing;
use crate::decide::quota::snapshot::{Owed, Restored, Snapshot};

/// Tokens that this process has taken from a shared quota and may use by itself; shared by threads.
///
/// A block of a rate decays: it loses one token in each interval, used or not. One of a calendar ends with the period.
/// Both are judged by the monotonic clock; where that stands still while the machine is suspended, let go of blocks
/// before.
#[derive(Debug)]
pub struct Block {
    held: Held,
}

#[derive(Debug)]
enum Held {
    Rate { interval: u64, until: AtomicU64 },
    Calendar { left: AtomicU64, ends: Moment },
}

/// Whether a block was taken.
#[must_use = "the block holds only once its snapshot is written where the old one was"]
#[derive(Debug)]
pub enum TakeBlock {
    /// Write `snapshot` in place of the one that was read; only if that succeeds the block may be used.
    Granted {
        /// What to write.
        snapshot: Snapshot,
        /// What may be used then: as many as were asked for, or as many as there are.
        block: Block,
        /// What was noticed while the snapshot was read.
        noticed: Restored,
    },
    /// There is not one.
    Refused {
        /// Why not.
        why: Refusing,
        /// How long until there is one, if nobody else takes it.
        wait: Duration,
        /// When that is.
        retry_at: Timestamp,
    },
}

impl Snapshot {
    /// Takes a block of up to `n` (of zero: one) from what is shared, as it stands at `now`.
    ///
    /// Pure: read the snapshot, call this, and write the answer if nobody has written in between; else drop the block
    /// and begin again. The clocks of hosts that share a quota must agree: one that is ahead by `x` sees what comes back
    /// in `x`, once, and at most one burst.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] and [`Error::Torn`].
    pub fn take_block(&self, limit: &Limit, n: u32, now: Now) -> Result<TakeBlock, Error> {
        let n = n.max(1);
        let (owed, noticed) = self.owed(limit, now.wall)?;
        Ok(match limit {
            Limit::Rate(quota) => {
                let (rate, debt) = (quota.rate(), owed.debt());
                let granted = n.min(rate.left(debt, Moment::ZERO));
                if granted == 0 {
                    let wait = rate.take(debt, Moment::ZERO, rate.cost(1), 0).err().unwrap_or(0);
                    let (wait, retry_at) = until(wait, now.wall);
                    return Ok(TakeBlock::Refused { why: lacking(quota, 1, 0), wait, retry_at });
                }
                let debt = debt.saturating_add(rate.cost(granted));
                let until = AtomicU64::new(now.moment.as_nanos().saturating_add(rate.cost(granted)));
                TakeBlock::Granted {
                    snapshot: Self::of_rate(self.key(), quota, debt, now.wall),
                    block: Block { held: Held::Rate { interval: rate.interval(), until } },
                    noticed,
                }
            }
            Limit::Calendar(calendar) => {
                let seen = owed.count(calendar, now.wall);
                let granted = n.min(calendar.limit().saturating_sub(seen.used));
                if granted == 0 {
                    let (why, wait, retry_at) = full(calendar, seen, 1, now.wall);
                    return Ok(TakeBlock::Refused { why, wait, retry_at });
                }
                let ends = now.moment.after(between(now.wall, seen.period.resets_at));
                let used = Used { used: seen.used.saturating_add(granted), ..seen };
                TakeBlock::Granted {
                    snapshot: Self::of_calendar(self.key(), calendar, used, now.wall),
                    block: Block { held: Held::Calendar { left: AtomicU64::new(granted.into()), ends } },
                    noticed,
                }
            }
        })
    }

    /// Gives back what is left of a block, for a process that ends; write the answer as with
    /// [`take_block`](Self::take_block). `None` if nothing is left, or the limit is another.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] and [`Error::Torn`].
    pub fn give_block_back(&self, limit: &Limit, block: Block, now: Now) -> Result<Option<Self>, Error> {
        let (owed, noticed) = self.owed(limit, now.wall)?;
        if !noticed.reasons.is_empty() || !block.holds_any(now.moment) {
            return Ok(None);
        }
        Ok(match (limit, owed, block.held) {
            (Limit::Rate(quota), Owed::Rate(debt), Held::Rate { until, .. }) => {
                let hold = until.into_inner().saturating_sub(now.moment.as_nanos());
                Some(Self::of_rate(self.key(), quota, debt.saturating_sub(hold), now.wall))
            }
            (Limit::Calendar(calendar), owed @ Owed::Calendar { .. }, Held::Calendar { left, .. }) => {
                let seen = owed.count(calendar, now.wall);
                let left = u32::try_from(left.into_inner()).unwrap_or(0);
                let used = Used { used: seen.used.saturating_sub(left), ..seen };
                Some(Self::of_calendar(self.key(), calendar, used, now.wall))
            }
            _ => None,
        })
    }
}

// Relaxed throughout: the integer is all that is shared, and nothing else is published by it.
impl Block {
    /// Uses one, if there is one.
    #[inline]
    #[must_use]
    pub fn use_one(&self, moment: Moment) -> bool {
        self.use_n(1, moment)
    }

    /// Uses `n`, all or none.
    #[inline]
    #[must_use]
    pub fn use_n(&self, n: u32, moment: Moment) -> bool {
        let (word, floor, cost) = match &self.held {
            Held::Rate { interval, until } => {
                (until, moment.as_nanos(), interval.saturating_mul(u64::from(n)))
            }
            Held::Calendar { left, ends } if moment < *ends => (left, 0, u64::from(n)),
            Held::Calendar { .. } => return n == 0,
        };
        let mut found = word.load(Ordering::Relaxed);
        while found.saturating_sub(floor) >= cost {
            match word.compare_exchange_weak(found, found - cost, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(other) => found = other,
            }
        }
        false
    }

    /// Gives back one that was [used](Self::use_one) for nothing. It holds no more then than if it had not been used, so
    /// the bound stays.
    #[cfg(feature = "store")]
    pub(crate) fn give_one_back(&self) {
        match &self.held {
            Held::Rate { interval, until } => until.fetch_add(*interval, Ordering::Relaxed),
            Held::Calendar { left, .. } => left.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// Takes out all that is left, as a block of its own.
    #[cfg(feature = "store")]
    pub(crate) fn take_rest(&self) -> Self {
        self.with_word(|word| word.swap(0, Ordering::Relaxed))
    }

    /// The same block once more: for a store's compare-and-set that has to be done again. Only one may be used.
    #[cfg(feature = "store")]
    pub(crate) fn twin(&self) -> Self {
        self.with_word(|word| word.load(Ordering::Relaxed))
    }

    /// Puts in again what was [taken out](Self::take_rest).
    #[cfg(feature = "store")]
    pub(crate) fn put_rest(&self, rest: Self) {
        let (Held::Rate { until: back, .. } | Held::Calendar { left: back, .. }) = rest.held;
        let (Held::Rate { until: word, .. } | Held::Calendar { left: word, .. }) = &self.held;
        word.fetch_add(back.into_inner(), Ordering::Relaxed);
    }

    #[cfg(feature = "store")]
    fn with_word(&self, read: impl FnOnce(&AtomicU64) -> u64) -> Self {
        let held = match &self.held {
            Held::Rate { interval, until } => {
                Held::Rate { interval: *interval, until: AtomicU64::new(read(until)) }
            }
            Held::Calendar { left, ends } => Held::Calendar { left: AtomicU64::new(read(left)), ends: *ends },
        };
        Self { held }
    }

    /// Whether it holds anything at all, be it less than one.
    fn holds_any(&self, moment: Moment) -> bool {
        match &self.held {
            Held::Rate { until, .. } => until.load(Ordering::Relaxed) > moment.as_nanos(),
            Held::Calendar { .. } => self.left(moment) > 0,
        }
    }

    /// How many it holds at `moment`.
    #[must_use]
    pub fn left(&self, moment: Moment) -> u32 {
        let left = match &self.held {
            Held::Rate { interval, until } => {
                until.load(Ordering::Relaxed).saturating_sub(moment.as_nanos()) / interval
            }
            Held::Calendar { left, ends } if moment < *ends => left.load(Ordering::Relaxed),
            Held::Calendar { .. } => 0,
        };
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}
