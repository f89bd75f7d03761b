//! What is said once about a dependency.

use std::time::Duration;

use crate::act::call::Call;
#[cfg(feature = "store")]
use crate::act::call::persist::{Keeper, Saved};
use crate::act::classifier::{By, ByTrait};
use crate::base::effect::Effect;
use crate::base::fault::Fault;
use crate::base::rng;
use crate::base::time::{Clock, System};
use crate::decide::breaker::{self, Breaker};
use crate::decide::retry;
#[cfg(feature = "store")]
use crate::remember::{snapshots::Snapshots, store::Store};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// How an error of type `E` is classified, kept in a [`Call`].
type Closure<E> = Box<dyn Fn(&E) -> Fault + Send + Sync>;

/// An adapter that is being described; [`build`](Builder::build) does no I/O.
#[derive(Debug)]
#[must_use = "it does nothing until it is built"]
pub struct Builder<C = ByTrait, K = System> {
    name: String,
    retry: retry::Policy,
    breaker: breaker::Policy,
    attempt_timeout: Duration,
    deadline_total: Option<Duration>,
    effect: Option<Effect>,
    classify: C,
    clock: K,
    #[cfg(feature = "store")]
    keeper: Option<Keeper>,
}

/// An adapter that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody said what running the operation twice does to the world.
    #[error("call to {name} declares no effect, allowed is one of pure, idempotent, verifiable, unsafe")]
    NoEffect {
        /// The dependency.
        name: String,
    },
    /// A time-out of zero.
    #[error("call to {name}: {field} is zero, allowed is more than that")]
    Zero {
        /// The dependency.
        name: String,
        /// Which time-out.
        field: &'static str,
    },
    /// The retry policy cannot be meant.
    #[error("call to {name}")]
    Retry {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        source: retry::Error,
    },
    /// The breaker policy cannot be meant.
    #[error("call to {name}")]
    Breaker {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        source: breaker::Error,
    },
}

impl Builder {
    pub(super) const fn new(name: String) -> Self {
        Self {
            name,
            retry: retry::Policy::cron(),
            breaker: breaker::Policy::never(),
            attempt_timeout: ATTEMPT_TIMEOUT,
            deadline_total: None,
            effect: None,
            classify: ByTrait,
            clock: System,
            #[cfg(feature = "store")]
            keeper: None,
        }
    }
}

impl<C, K: Clock> Builder<C, K> {
    /// When to try again; default [`retry::Policy::cron`]. Its effect class is replaced by the one declared here.
    pub const fn retry(mut self, policy: retry::Policy) -> Self {
        self.retry = policy;
        self
    }

    /// When to leave it alone; default is no rule. What a server asked for with a 429 holds in any case.
    pub const fn breaker(mut self, policy: breaker::Policy) -> Self {
        self.breaker = policy;
        self
    }

    /// How long one attempt may take; default 60 s.
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// How long all attempts and waits may take together; default what the retry policy says.
    pub const fn deadline_total(mut self, limit: Duration) -> Self {
        self.deadline_total = Some(limit);
        self
    }

    /// What running the operation twice does to the world. It must be declared.
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Says what an error means, for a type that does not say it itself.
    pub fn classify<E>(
        self,
        classify: impl Fn(&E) -> Fault + Send + Sync + 'static,
    ) -> Builder<By<Closure<E>>, K> {
        let classify = By(Box::new(classify) as Closure<E>);
        Builder {
            name: self.name,
            retry: self.retry,
            breaker: self.breaker,
            attempt_timeout: self.attempt_timeout,
            deadline_total: self.deadline_total,
            effect: self.effect,
            classify,
            clock: self.clock,
            #[cfg(feature = "store")]
            keeper: self.keeper,
        }
    }

    /// Runs on `clock`, such as a simulated one.
    pub fn on<L: Clock>(self, clock: L) -> Builder<C, L> {
        Builder {
            name: self.name,
            retry: self.retry,
            breaker: self.breaker,
            attempt_timeout: self.attempt_timeout,
            deadline_total: self.deadline_total,
            effect: self.effect,
            classify: self.classify,
            clock,
            #[cfg(feature = "store")]
            keeper: self.keeper,
        }
    }

    /// Keeps the breaker, and until when the dependency is blocked, in `store` between processes: three failures in a
    /// row are three in a row across three cron runs. Loaded at first use ([`build`](Self::build) does no I/O); what
    /// moves is written before the call returns, the rest by [`Call::flush`], and nothing when it is dropped.
    ///
    /// A store that fails does not fail the call: the breaker goes on with what it knows, and `flush` says what is
    /// wrong.
    #[cfg(feature = "store")]
    pub fn persist(self, store: &std::sync::Arc<dyn Store>) -> Self {
        self.persist_in(std::sync::Arc::new(Snapshots::new(std::sync::Arc::clone(store))))
    }

    #[cfg(feature = "store")]
    pub(super) fn persist_in(mut self, saved: std::sync::Arc<dyn Saved>) -> Self {
        self.keeper = Some(Keeper::new(saved));
        self
    }

    /// The adapter.
    ///
    /// # Errors
    ///
    /// [`Error`], naming what is missing or out of its range.
    pub fn build(self) -> Result<Call<C, K>, Error> {
        let name = self.name;
        let Some(effect) = self.effect else { return Err(Error::NoEffect { name }) };
        if self.attempt_timeout.is_zero() {
            return Err(Error::Zero { name, field: "attempt_timeout" });
        }
        if self.deadline_total.is_some_and(|limit| limit.is_zero()) {
            return Err(Error::Zero { name, field: "deadline_total" });
        }
        let retry = match self.deadline_total {
            Some(limit) => self.retry.elapsed_at_most(limit),
            None => self.retry,
        }
        .effect(effect);
        if let Err(source) = retry.check() {
            return Err(Error::Retry { name, source });
        }
        let breaker = match Breaker::seeded(name.clone(), self.breaker, rng::entropy(), self.clock.now()) {
            Ok(breaker) => breaker,
            Err(source) => return Err(Error::Breaker { name, source }),
        };
        Ok(Call {
            retry,
            breaker,
            attempt_timeout: self.attempt_timeout,
            classify: self.classify,
            clock: self.clock,
            #[cfg(feature = "store")]
            keeper: self.keeper,
        })
    }
}
