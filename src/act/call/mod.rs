//! One adapter for each dependency: everything that is asked before it is called and decided after, built once, named,
//! shared.
//!
//! From the outside in, always in this order:
//!
//! | layer | a refusal |
//! |---|---|
//! | [fallback](crate::act::fallback), around a call | |
//! | total deadline | `Stopped::Failed`, `retry.out_of_time`; before the first attempt `Stopped::Refused`, `call.out_of_time` |
//! | retry | `Stopped::Failed` or `Deferred` |
//! | [budget](crate::decide::budget), before a wait | `Stopped::Refused`, `budget.spent` |
//! | [breaker](crate::decide::breaker), and what a server asked for with a 429 | `Stopped::Refused`, `breaker.open` … |
//! | [quotas](crate::decide::quota) and rate limit, with a bounded wait | `Stopped::Refused`, `quota.spent` |
//! | bulkhead, with a bounded wait | `Stopped::Refused`, `call.full` |
//! | attempt time-out | the attempt has failed, `call.timed_out` |
//! | operation | |
//!
//! The retry is outside of the breaker, so that each try is scored; a refusal is not an attempt and ends the call at
//! once, with when to come back. What was taken from an outer layer is given back when an inner one refuses, but for the
//! rate limit, which takes nothing back. Whoever has waited is asked by the breaker again before the operation begins.
//!
//! ```
//! use std::time::Duration;
//! use unattended::{breaker, call::Call, effect::Effect, quota::Quota, retry};
//!
//! let youtube = Call::to("youtube")
//!     .retry(retry::Policy::cron())
//!     .breaker(breaker::Policy::cron())
//!     .quota(Quota::per_minute(60)?)
//!     .concurrency(4)
//!     .attempt_timeout(Duration::from_secs(30))
//!     .effect(Effect::Idempotent)
//!     .build()?;
//! let uploaded = youtube.run_blocking(|attempt| Ok::<_, std::io::Error>(attempt.remaining()));
//! assert_eq!(uploaded?, Duration::from_secs(30));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::act::accounts::Accounts;
use crate::act::log::Who;
use crate::base::fault::Overrides;
use crate::base::park;
use crate::base::time::{Clock, Moment, SleepBlocking, System};
use crate::decide::breaker::Breaker;
use crate::decide::budget::Budget;
use crate::decide::quota::Meter;
use crate::decide::retry::{self, Attempt};

mod builder;
mod bulkhead;
mod credentials;
mod drive;
mod error;
mod face;
mod gate;
mod hot;
mod judge;
#[cfg(feature = "store")]
mod kept;
mod last;
mod ongoing;
#[cfg(feature = "rate-limit")]
mod rate;
mod refusing;
#[cfg(test)]
mod tests;
mod thread;
#[cfg(feature = "store")]
mod watched;
mod with;

pub use crate::act::accounts::Dropped;
pub use crate::act::classifier::{By, ByTrait, Classifier, Keep, Reject, RejectBy};
pub use crate::act::guarding::Guarding;
pub use crate::act::retrying::Retrying;
pub use builder::Builder;
use bulkhead::Bulkhead;
use credentials::Credentials;
use drive::drive;
pub use error::Error;
#[cfg(feature = "store")]
use face::Face;
use face::OnThread;
#[cfg(feature = "tokio")]
use face::OnTimer;
use gate::Gate;
pub use judge::{ByContract, Judge};
#[cfg(feature = "store")]
pub use kept::{PersistError, StoreDown};
pub use last::{Last, Stopped};
use ongoing::{Failed, Ongoing};
#[cfg(feature = "rate-limit")]
pub use rate::RateLimit;
pub use refusing::Refusing;
pub use with::Calling;

/// One dependency and how it is called. Share it by reference or in an `Arc`.
#[derive(Debug)]
pub struct Call<C = ByTrait, K = System, R = Keep> {
    retry: retry::Policy,
    breaker: Breaker,
    meters: Box<[Meter]>,
    budget: Option<Budget>,
    bulkhead: Bulkhead,
    concurrency_wait: Duration,
    attempt_timeout: Duration,
    /// Nothing but memory and the monotonic clock is needed to let a call in.
    simple: bool,
    overrides: Overrides,
    credentials: Credentials,
    accounts: Accounts,
    #[cfg(feature = "rate-limit")]
    rate_limit: Option<RateLimit>,
    seed: u64,
    /// How many calls have failed at their first attempt: each has a jitter of its own.
    failing: AtomicU64,
    classify: C,
    accept: R,
    clock: K,
    #[cfg(feature = "store")]
    keeper: Option<kept::Keeper>,
    #[cfg(feature = "store")]
    statistics: Option<watched::Watched>,
}

impl Call {
    /// Begins an adapter for the dependency `name`.
    pub fn to(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }
}

impl<C, K: Clock, R> Call<C, K, R> {
    /// The dependency.
    #[must_use]
    pub fn name(&self) -> &str {
        self.breaker.name()
    }

    /// Its breaker: to read its state, to force it, to save it.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Its retry budget, if it has one.
    #[must_use]
    pub const fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    /// Of how many [accounts](Self::key) something is known.
    #[must_use]
    pub fn accounts_known(&self) -> usize {
        self.accounts.len()
    }

    /// How many accounts were forgotten because there are more than may be kept.
    #[must_use]
    pub fn accounts_dropped(&self) -> Dropped {
        self.accounts.dropped()
    }

    /// Calls until it succeeds or must not go on, on this thread.
    ///
    /// An attempt cannot be cut here: it is told what it has in [`Attempt::remaining`], and what it takes beyond that
    /// is reported as `overrun` in the timeline. [`run_on_thread`](Self::run_on_thread) leaves it behind instead.
    ///
    /// # Errors
    ///
    /// [`retry::Stopped::Failed`], [`Refused`](retry::Stopped::Refused) or [`Deferred`](retry::Stopped::Deferred), each
    /// with what was tried.
    #[inline]
    pub fn run_blocking<T, E, F>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
        K: SleepBlocking,
        R: Judge<T, E>,
    {
        let began = self.clock.moment();
        let failed = match self.enter_at_once(began) {
            None => None,
            Some((passage, attempt)) => {
                let given = Some(op(attempt).map_err(Last::Error));
                match drive::judged(&self.accept, given, attempt) {
                    Ok(value) => {
                        self.succeeded(passage, attempt);
                        return Ok(value);
                    }
                    Err(last) => Some((passage.passage(), attempt, last)),
                }
            }
        };
        let op = |attempt| std::future::ready(op(attempt).map_err(Last::Error));
        self.again_blocking(self.gate(), self.who(), began, op, failed)
    }

    /// Calls until it succeeds or must not go on, each attempt on a thread of its own.
    ///
    /// An attempt that takes longer than its time-out is left behind: its thread goes on until the operation returns,
    /// and what it then gives is thrown away. The time-out of an attempt is real time, whatever the clock. At most as
    /// many threads are left behind as there are attempts.
    ///
    /// # Errors
    ///
    /// As [`run_blocking`](Self::run_blocking); the last failure may be [`Last::TimedOut`], [`Last::Panicked`] or
    /// [`Last::NoThread`].
    pub fn run_on_thread<T, E, F>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: Fn(Attempt) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + 'static,
        C: Classifier<E>,
        K: SleepBlocking,
        R: Judge<T, E>,
    {
        self.plain().run_on_thread(op)
    }

    /// Calls until it succeeds or must not go on. An attempt that takes longer than its time-out is dropped.
    ///
    /// # Errors
    ///
    /// As [`run_blocking`](Self::run_blocking); the last failure may be [`Last::TimedOut`].
    #[cfg(feature = "tokio")]
    pub async fn run<T, E, F, Fut>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
        K: crate::base::time::Sleep,
        R: Judge<T, E>,
    {
        let began = self.clock.moment();
        let failed = match self.enter_at_once(began) {
            None => None,
            Some((passage, attempt)) => {
                let given = face::cut(&OnTimer(&self.clock), op(attempt), attempt.remaining()).await;
                let given = given.map(|given| given.map_err(Last::Error));
                match drive::judged(&self.accept, given, attempt) {
                    Ok(value) => {
                        self.succeeded(passage, attempt);
                        return Ok(value);
                    }
                    Err(last) => Some((passage.passage(), attempt, last)),
                }
            }
        };
        let ongoing = self.ongoing(self.gate(), self.who(), began);
        let mut op = |attempt| last_of(op(attempt));
        // Boxed, so that the future of an operation that succeeds at once stays small.
        Box::pin(drive(ongoing, &OnTimer(&self.clock), &mut op, failed)).await
    }

    #[cold]
    fn again_blocking<'a, T, E, F, Fut>(
        &'a self,
        gate: Gate<'a>,
        who: Who<'a>,
        began: Moment,
        mut op: F,
        failed: Option<Failed<'a, K, E>>,
    ) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, Last<E>>>,
        C: Classifier<E>,
        K: SleepBlocking,
        R: Judge<T, E>,
    {
        park::block_on(drive(self.ongoing(gate, who, began), &OnThread(&self.clock), &mut op, failed))
    }

    fn ongoing<'a, E>(&'a self, gate: Gate<'a>, who: Who<'a>, began: Moment) -> Ongoing<'a, E, C, K, R>
    where
        C: Classifier<E>,
    {
        let seen = self.credentials.of(gate).map_or(0, |credential| credential.generation());
        Ongoing::begin(self, gate, who, began, seen)
    }

    fn gate(&self) -> Gate<'_> {
        Gate::Own { breaker: &self.breaker, meters: &self.meters }
    }

    fn who(&self) -> Who<'_> {
        Who { dependency: Some(self.name()), ..Who::default() }
    }

    /// Writes all that is counted and gives back what was reserved and not used; between calls only what must not be
    /// missed is written. A cron `main` calls it before it leaves, so that two failures of this process and one of the
    /// next are three in a row. [Accounts](Self::key) are flushed each by itself.
    ///
    /// # Errors
    ///
    /// [`PersistError`] when the store cannot be read or written. Nothing to keep ([`Builder::persist`] was not called)
    /// is no error.
    #[cfg(all(feature = "store", feature = "tokio"))]
    pub async fn flush(&self) -> Result<(), PersistError>
    where
        K: crate::base::time::Sleep,
    {
        self.flush_on(&OnTimer(&self.clock), self.gate()).await
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    #[cfg(feature = "store")]
    pub fn flush_blocking(&self) -> Result<(), PersistError>
    where
        K: SleepBlocking,
    {
        park::block_on(self.flush_on(&OnThread(&self.clock), self.gate()))
    }

    #[cfg(feature = "store")]
    async fn flush_on<W: Face>(&self, face: &W, gate: Gate<'_>) -> Result<(), PersistError> {
        if let Some(watched) = &self.statistics {
            watched.flush(face).await?;
        }
        let Some(keeper) = &self.keeper else { return Ok(()) };
        keeper.flush(face, gate, self.clock.now()).await?;
        keeper.settle_up(face, gate, self.accounts.limits(), self.budget.as_ref(), self.clock.now()).await
    }
}

#[cfg(feature = "tokio")]
async fn last_of<T, E>(attempt: impl Future<Output = Result<T, E>>) -> Result<T, Last<E>> {
    attempt.await.map_err(Last::Error)
}
