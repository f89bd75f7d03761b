//! One adapter for each dependency: retry, breaker and time-outs, built once, named, shared.
//!
//! From the outside in, always in this order: total deadline, retry, breaker, attempt time-out, operation. The retry is
//! outside of the breaker, so that each try is scored; a refusal of the breaker is not an attempt and ends the call at
//! once, with when to come back.
//!
//! ```
//! use std::time::Duration;
//! use unattended::{breaker, call::Call, effect::Effect, retry};
//!
//! let youtube = Call::to("youtube")
//!     .retry(retry::Policy::cron())
//!     .breaker(breaker::Policy::cron())
//!     .attempt_timeout(Duration::from_secs(30))
//!     .effect(Effect::Idempotent)
//!     .build()?;
//! let uploaded = youtube.run_blocking(|attempt| Ok::<_, std::io::Error>(attempt.remaining()));
//! assert_eq!(uploaded?, Duration::from_secs(30));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

#[cfg(feature = "store")]
use crate::act::log;
use crate::base::time::{Clock, Moment, SleepBlocking, System};
use crate::decide::breaker::Breaker;
use crate::decide::retry::{self, Attempt};
#[cfg(feature = "store")]
use crate::remember::blocking::block_on;

mod builder;
mod last;
mod ongoing;
#[cfg(feature = "store")]
mod persist;
#[cfg(test)]
mod tests;
mod thread;

pub use crate::act::classifier::{By, ByTrait, Classifier, Keep, Reject, RejectBy};
pub use crate::act::guarding::Guarding;
pub use crate::act::retrying::Retrying;
pub use builder::{Builder, Error};
pub use last::{Last, Refusing, Stopped};
use ongoing::Ongoing;
#[cfg(feature = "store")]
pub use persist::PersistError;

/// One dependency and how it is called. Share it by reference or in an `Arc`.
#[derive(Debug)]
pub struct Call<C = ByTrait, K = System> {
    retry: retry::Policy,
    breaker: Breaker,
    attempt_timeout: Duration,
    classify: C,
    clock: K,
    #[cfg(feature = "store")]
    keeper: Option<persist::Keeper>,
}

impl Call {
    /// Begins an adapter for the dependency `name`.
    pub fn to(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }
}

impl<C, K: Clock> Call<C, K> {
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

    /// Calls until it succeeds or must not go on, on this thread.
    ///
    /// An attempt cannot be cut here: it is told what it has in [`Attempt::remaining`], and what it takes beyond that
    /// is reported as `overrun` in the timeline. [`run_on_thread`](Self::run_on_thread) leaves it behind instead.
    ///
    /// # Errors
    ///
    /// [`retry::Stopped::Failed`], [`Refused`](retry::Stopped::Refused) or [`Deferred`](retry::Stopped::Deferred), each
    /// with what was tried.
    pub fn run_blocking<T, E, F>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
        K: SleepBlocking,
    {
        self.drive_blocking(|attempt| op(attempt).map_err(Last::Error))
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
    {
        self.open().await;
        let (mut ongoing, mut attempt) = Ongoing::begin(self);
        loop {
            let guard = ongoing.admit()?;
            self.keep().await;
            let last = match ongoing::cut(op(attempt), self.clock.sleep(attempt.remaining())).await {
                Some(Ok(value)) => {
                    ongoing.succeeded(guard, attempt);
                    self.keep().await;
                    return Ok(value);
                }
                Some(Err(error)) => Last::Error(error),
                None => Last::TimedOut { after: attempt.remaining() },
            };
            let next = ongoing.failed(guard, attempt, last);
            self.keep().await;
            self.clock.sleep(next?).await;
            attempt = ongoing.next()?;
        }
    }

    /// The loop of both blocking drivers.
    fn drive_blocking<T, E>(&self, mut op: impl FnMut(Attempt) -> Result<T, Last<E>>) -> Result<T, Stopped<E>>
    where
        C: Classifier<E>,
        K: SleepBlocking,
    {
        self.open_blocking();
        let (mut ongoing, mut attempt) = Ongoing::begin(self);
        loop {
            let guard = ongoing.admit()?;
            self.keep_blocking();
            let last = match op(attempt) {
                Ok(value) => {
                    ongoing.succeeded(guard, attempt);
                    self.keep_blocking();
                    return Ok(value);
                }
                Err(last) => last,
            };
            let next = ongoing.failed(guard, attempt, last);
            self.keep_blocking();
            self.clock.sleep_blocking(next?);
            attempt = ongoing.next()?;
        }
    }

    /// The attempt with no more time than the time-out allows.
    fn limited(&self, attempt: Attempt, now: Moment) -> Attempt {
        attempt.at_most(self.attempt_timeout, now)
    }

    /// Loads what is kept, at first use.
    #[cfg(feature = "tokio")]
    async fn open(&self) {
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.keeper {
            log::kept(self.name(), &keeper.open(&self.breaker, self.clock.now()).await);
        }
    }

    /// Writes what has moved.
    #[cfg(feature = "tokio")]
    async fn keep(&self) {
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.keeper {
            log::kept(self.name(), &keeper.keep(&self.breaker, self.clock.now()).await);
        }
    }

    fn open_blocking(&self) {
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.keeper {
            log::kept(self.name(), &block_on(keeper.open(&self.breaker, self.clock.now())));
        }
    }

    fn keep_blocking(&self) {
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.keeper {
            log::kept(self.name(), &block_on(keeper.keep(&self.breaker, self.clock.now())));
        }
    }

    /// Writes all that the breaker has counted; between calls only what moved is written. A cron `main` calls it before
    /// it leaves, so that two failures of this process and one of the next are three in a row.
    ///
    /// # Errors
    ///
    /// [`PersistError`] when the store cannot be read or written. Nothing to keep ([`Builder::persist`] was not called)
    /// is no error.
    #[cfg(feature = "store")]
    pub async fn flush(&self) -> Result<(), PersistError> {
        match &self.keeper {
            Some(keeper) => keeper.flush(&self.breaker, self.clock.now()).await,
            None => Ok(()),
        }
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    #[cfg(feature = "store")]
    pub fn flush_blocking(&self) -> Result<(), PersistError> {
        block_on(self.flush())
    }
}
