//! The five-minute face of the ledger: do this once, and give me the result each time I ask.
//!
//! ```
//! use std::sync::Arc;
//! use unattended::{canonical::Key, ledger::StoreLedger, memory::Memory, once::Once};
//!
//! let ledger = StoreLedger::new(Arc::new(Memory::new()));
//! let key = Key::new("billing", "invoice", 42)?;
//! let pay = || ledger.once_blocking(&key, &("eur", 100), |_key| Ok::<_, std::io::Error>(String::from("receipt 7")));
//! assert_eq!(pay()?, Once::Did(String::from("receipt 7")));
//! assert_eq!(pay()?, Once::Already(String::from("receipt 7")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # After a restart
//! Work that was in the middle when its process died follows the effect class that the ledger was told
//! ([`StoreLedger::effect`]): by default it is unsafe, and a person is asked.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::act::keeper::{self, Keeper, Kept, Renewal, usable};
use crate::act::pipeline::StepError;
use crate::act::runlog;
use crate::base::canonical::{self, Fingerprint, Key};
use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::fault::{self, Class, Fault, Reached};
use crate::base::time::{BoxFuture, Clock, Moment, Sleep, System, Timestamp};
use crate::decide::claim::{self, AfterTakeover};
use crate::remember::blocking::block_on;
use crate::remember::ledger::{self, Claim, Fence, LEASE, Ledger, Outcome, StoreLedger};

/// What became of work that is to be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Once<T> {
    /// It was done now.
    Did(T),
    /// It had been done before; this is what it gave then.
    Already(T),
    /// Somebody is at it.
    Busy {
        /// Who.
        owner: String,
        /// Until when, unless the lease is renewed.
        until: Timestamp,
    },
    /// The same key was used before with another input.
    Conflict {
        /// The fingerprint of that input.
        stored: String,
        /// The fingerprint of this one.
        given: String,
    },
    /// Nobody knows whether it was done; a person is asked.
    NeedsReview {
        /// Why nobody knows.
        why: String,
    },
}

/// Work that is to be done once was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: StdError + 'static> {
    /// It failed now.
    #[error("the work failed")]
    Work(#[source] E),
    /// It had failed for good before, and was not tried again.
    #[error("the same work failed for good before: {code}: {why}")]
    FailedBefore {
        /// The fault's stable word.
        code: String,
        /// What the error said then.
        why: String,
    },
    /// The lease was lost while the work ran; what it did no longer counts, and is settled by whoever took over.
    #[error("the claim of {key} was lost while the work ran")]
    Lost {
        /// The key.
        key: Key,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The input, or what the work gave, has no canonical JSON form; or what is stored is no such value.
    #[error("{what}")]
    Json {
        /// Of what.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl StoreLedger {
    /// Does `work` under `key`, once for ever; whoever comes again with the same `input` is given the stored result.
    /// Blocks the thread; a thread beside it renews the claim.
    ///
    /// # Errors
    /// [`Error::Work`] when it failed: a permanent fault is remembered, anything else gives the key back, unless the
    /// effect is unsafe and may have taken place. Otherwise as [`Error`] says.
    pub fn once_blocking<I, T, E>(
        &self,
        key: &Key,
        input: &I,
        work: impl FnOnce(&Key) -> Result<T, E>,
    ) -> Result<Once<T>, Error<E>>
    where
        I: Serialize + ?Sized,
        T: Serialize + DeserializeOwned,
        E: StdError + Send + Sync + 'static,
    {
        let claimed = match block_on(self.begin(System, key, input))? {
            Begun::Ours(claimed) => Arc::new(claimed),
            Begun::Told(told) => return Ok(told),
        };
        let keeper = Keeper::start(&claimed);
        let done = work(key);
        drop(keeper);
        let Some(claimed) = Arc::into_inner(claimed) else { return Err(Error::Lost { key: key.clone() }) };
        block_on(self.end(claimed, done))
    }

    /// Does `work` under `key`, once for ever; whoever comes again with the same `input` is given the stored result.
    /// The claim is renewed beside the work; when it is lost, the work is dropped.
    ///
    /// # Errors
    /// As [`once_blocking`](Self::once_blocking), and [`Error::Lost`].
    #[cfg(feature = "tokio")]
    pub async fn once<I, T, E, Fut>(
        &self,
        key: &Key,
        input: &I,
        work: impl FnOnce(Key) -> Fut,
    ) -> Result<Once<T>, Error<E>>
    where
        I: Serialize + ?Sized,
        T: Serialize + DeserializeOwned,
        E: StdError + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>>,
    {
        self.once_on(System, key, input, work).await
    }

    /// The same on another clock: for tests under simulated time.
    ///
    /// # Errors
    /// As there.
    pub async fn once_on<I, T, E, Fut>(
        &self,
        clock: impl Sleep,
        key: &Key,
        input: &I,
        work: impl FnOnce(Key) -> Fut,
    ) -> Result<Once<T>, Error<E>>
    where
        I: Serialize + ?Sized,
        T: Serialize + DeserializeOwned,
        E: StdError + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>>,
    {
        let claimed = match self.begin(clock, key, input).await? {
            Begun::Ours(claimed) => claimed,
            Begun::Told(told) => return Ok(told),
        };
        let done = keeper::beside(&claimed, |wait| claimed.clock.sleep(wait), work(key.clone())).await;
        let Some(done) = done else { return Err(Error::Lost { key: key.clone() }) };
        self.end(claimed, done).await
    }

    async fn begin<K, I, T, E>(&self, clock: K, key: &Key, input: &I) -> Result<Begun<T, K>, Error<E>>
    where
        K: Clock,
        I: Serialize + ?Sized,
        T: DeserializeOwned,
        E: StdError + 'static,
    {
        let payload = Fingerprint::of(input).map_err(|source: canonical::Error| json("the input", source))?;
        let asked = clock.moment();
        let until = Mutex::new(usable(asked, LEASE));
        let ours = |fence| Begun::Ours(Claimed { ledger: self.clone(), fence, clock, until });
        Ok(match self.claim(key, &payload, LEASE).await? {
            Claim::Fresh(fence) => ours(fence),
            Claim::TakeOver(fence, last_known) => match claim::after_takeover(self.declared(), last_known) {
                AfterTakeover::Rerun(_) => ours(fence),
                // Nobody here can be asked whether it was done, but a person.
                doubt @ (AfterTakeover::Verify | AfterTakeover::Review) => {
                    let why = doubt.to_string();
                    runlog::in_doubt(key.as_str(), doubt.code(), &why);
                    self.doubt(&fence, &why).await?;
                    Begun::Told(Once::NeedsReview { why })
                }
            },
            Claim::Busy { owner, until } => Begun::Told(Once::Busy { owner, until }),
            Claim::Conflict { stored, given } => Begun::Told(Once::Conflict { stored, given }),
            Claim::Duplicate(Outcome::Succeeded { result }) => {
                let value = serde_json::from_str(result.get());
                Begun::Told(Once::Already(value.map_err(|source| json("the stored result", source))?))
            }
            Claim::Duplicate(Outcome::NeedsReview { why }) => Begun::Told(Once::NeedsReview { why }),
            Claim::Duplicate(Outcome::Failed { code, why, .. }) => {
                return Err(Error::FailedBefore { code, why });
            }
        })
    }

    async fn end<K, T, E>(&self, claimed: Claimed<K>, done: Result<T, E>) -> Result<Once<T>, Error<E>>
    where
        T: Serialize,
        E: StdError + Send + Sync + 'static,
    {
        let fence = claimed.fence;
        let value = match done {
            Ok(value) => value,
            Err(error) => {
                let (why, error) = (fault::chain(&error), error);
                let fault = StepError::classified(&error);
                self.end_failed(&fence, &fault, &why).await?;
                return Err(Error::Work(error));
            }
        };
        let result = serde_json::value::to_raw_value(&value).map_err(|source| json("the result", source))?;
        self.complete(&fence, result).await?;
        Ok(Once::Did(value))
    }

    async fn end_failed(&self, fence: &Fence, fault: &Fault, why: &str) -> Result<(), ledger::Error> {
        if fault.class == Class::Permanent {
            return self.fail(fence, fault, why).await;
        }
        if self.declared() == Effect::Unsafe && fault.reached != Reached::No {
            return self.doubt(fence, why).await;
        }
        self.release(fence, why).await
    }
}

/// What a claim led to.
enum Begun<T, K> {
    Ours(Claimed<K>),
    Told(Once<T>),
}

/// A claim that is renewed while the work runs.
struct Claimed<K> {
    ledger: StoreLedger,
    fence: Fence,
    clock: K,
    until: Mutex<Moment>,
}

impl<K: Clock> Kept for Claimed<K> {
    fn renew(&self) -> BoxFuture<'_, Renewal> {
        Box::pin(async move {
            let asked = self.clock.moment();
            match self.ledger.renew(&self.fence, LEASE).await {
                Ok(_) => {
                    *self.until.lock().unwrap_or_else(PoisonError::into_inner) = usable(asked, LEASE);
                    Renewal::Done
                }
                Err(ledger::Error::Fenced { .. }) => Renewal::Lost,
                Err(error) => {
                    runlog::key_lease(self.fence.key().as_str(), "renewal_failed", &error.to_string());
                    if self.left().is_zero() { Renewal::Lost } else { Renewal::Failed }
                }
            }
        })
    }

    fn renew_in(&self, failed: bool) -> Duration {
        keeper::renew_in(LEASE, failed)
    }

    fn left(&self) -> Duration {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).since(self.clock.moment())
    }

    fn lose(&self) {
        runlog::key_lease(
            self.fence.key().as_str(),
            "lost",
            "the store does not answer, and the lease is about to end",
        );
    }
}

fn json<E: StdError + 'static>(
    what: &'static str,
    source: impl StdError + Send + Sync + 'static,
) -> Error<E> {
    Error::Json { what, source: Box::new(source) }
}
