//! How a credential is made.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::act::classifier::{By, ByTrait, Classifier};
#[cfg(feature = "store")]
use crate::act::credential::shared::Shared;
use crate::act::credential::wait::{Machine, On, Wait};
use crate::act::credential::work::{Crew, Op};
use crate::act::credential::{Credential, Error, Token};
use crate::base::backoff::{Backoff, Jitter};
use crate::base::fault::{Classify, Fault};
use crate::base::rng;
use crate::base::time::{BoxFuture, Sleep, SleepBlocking};
use crate::decide::breaker::{self, Breaker};
#[cfg(feature = "store")]
use crate::remember::store::Store;

/// The longest name.
pub(super) const NAME_MAX: usize = 200;
/// How long a refresh may take unless told otherwise.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest that it may be told.
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// How long the breaker of the refresh opens first unless told otherwise.
const OPEN: Duration = Duration::from_secs(15);
/// The wait after a failed refresh: it doubles up to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A credential that has a name, and is to be told how it is refreshed.
pub struct Named<T> {
    name: String,
    of: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> Named<T> {
    pub(super) const fn new(name: String) -> Self {
        Self { name, of: PhantomData }
    }

    /// Gets a new token; it is given the one before, if there was one: that is where the refresh token is.
    ///
    /// Whatever happens to its callers, a refresh that has begun is not dropped: another caller goes on with it. It is
    /// never run twice at a time.
    pub fn refresh<E, F, Fut>(self, op: F) -> Builder<T, E>
    where
        F: Fn(Option<Token<T>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Token<T>, E>> + Send + 'static,
    {
        Builder::new(self.name, Raw::Future(Box::new(move |old| Box::pin(op(old)))))
    }

    /// The same by blocking a thread. Where futures wait for it inside a tokio runtime it is moved to a thread on which
    /// that does no harm.
    pub fn refresh_blocking<E, F>(self, op: F) -> Builder<T, E>
    where
        F: Fn(Option<Token<T>>) -> Result<Token<T>, E> + Send + Sync + 'static,
    {
        Builder::new(self.name, Raw::Blocking(Box::new(op)))
    }
}

impl<T> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("name", &self.name).finish()
    }
}

type FutureOp<T, E> = dyn Fn(Option<Token<T>>) -> BoxFuture<'static, Result<Token<T>, E>> + Send + Sync;
type BlockingOp<T, E> = dyn Fn(Option<Token<T>>) -> Result<Token<T>, E> + Send + Sync;

/// The refresh with its own error, before that is classified.
enum Raw<T, E> {
    Future(Box<FutureOp<T, E>>),
    Blocking(Box<BlockingOp<T, E>>),
}

/// A credential on its way.
#[must_use = "it is nothing until it is built"]
pub struct Builder<T, E, C = ByTrait> {
    name: String,
    op: Raw<T, E>,
    classify: C,
    wait: Arc<dyn Wait>,
    breaker: Option<breaker::Policy>,
    attempt_timeout: Duration,
    token: Option<Token<T>>,
    seed: Option<u64>,
    #[cfg(feature = "store")]
    shared: Option<Shared<T>>,
}

impl<T: Send + Sync + 'static, E> Builder<T, E> {
    fn new(name: String, op: Raw<T, E>) -> Self {
        Self {
            name,
            op,
            classify: ByTrait,
            wait: Arc::new(Machine),
            breaker: None,
            attempt_timeout: ATTEMPT_TIMEOUT,
            token: None,
            seed: None,
            #[cfg(feature = "store")]
            shared: None,
        }
    }
}

impl<T: Send + Sync + 'static, E, C> Builder<T, E, C> {
    /// Says what an error of the refresh means; without it, its [`Classify`] does.
    ///
    /// [`Permanent`](crate::base::fault::Class::Permanent) and
    /// [`Unauthorized`](crate::base::fault::Class::Unauthorized) mean that it was refused for good (`invalid_grant` of
    /// OAuth 2.0): no further refresh is made until a person has seen to it. Everything else is tried again.
    pub fn classify<F>(self, classify: F) -> Builder<T, E, By<F>>
    where
        F: Fn(&E) -> Fault + Send + Sync + 'static,
    {
        let Self { name, op, wait, breaker, attempt_timeout, token, seed, .. } = self;
        Builder {
            name,
            op,
            classify: By(classify),
            wait,
            breaker,
            attempt_timeout,
            token,
            seed,
            #[cfg(feature = "store")]
            shared: self.shared,
        }
    }

    /// Goes by `clock`, such as a simulated one. Default: the machine's clocks and, inside a tokio runtime (feature
    /// `tokio`), its timer. Without a timer a future cannot be cut.
    pub fn on<K: Sleep + SleepBlocking>(mut self, clock: K) -> Self {
        self.wait = Arc::new(On(clock));
        self
    }

    /// The breaker of the refresh, which is its own: not that of the calls. Default:
    /// [`breaker::Policy::service`] that opens for 15 s first, with a lease of twice the time-out.
    pub const fn breaker(mut self, policy: breaker::Policy) -> Self {
        self.breaker = Some(policy);
        self
    }

    /// How long a refresh may take: 30 s unless told otherwise, up to an hour. A future is dropped at its end. Work that
    /// blocks cannot be cut: others go on without it then, and should it come back with a token, that is still taken.
    pub const fn attempt_timeout(mut self, limit: Duration) -> Self {
        self.attempt_timeout = limit;
        self
    }

    /// The token to begin with, as a program has it from its configuration. What is saved in the store goes before it.
    pub fn token(mut self, token: Token<T>) -> Self {
        self.token = Some(token);
        self
    }

    /// Fixes the seed of the jitter; default is the machine's randomness.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Shares the token with every process that uses this store: it is saved before it is used, and one process at a
    /// time refreshes it.
    ///
    /// What is saved is the token itself, as JSON text: who can read the store can read it. The store's file is made
    /// readable for its owner alone.
    #[cfg(feature = "store")]
    pub fn store(mut self, store: &Arc<dyn Store>) -> Self
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        self.shared = Some(Shared::new(Arc::clone(store), &self.name));
        self
    }

    /// The credential. It does no I/O: the store is read at first use.
    ///
    /// # Errors
    /// [`Error::Field`] with the first field that is out of its bounds.
    pub fn build(self) -> Result<Credential<T>, Error>
    where
        C: Classifier<E> + Send + Sync + 'static,
        E: 'static,
    {
        let Self { name, op, classify, wait, breaker, attempt_timeout, token, seed, .. } = self;
        if name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
            let allowed = format!("1 to {NAME_MAX} bytes without control characters");
            return Err(Error::field("name", format!("{name:?}"), allowed));
        }
        if attempt_timeout.is_zero() || attempt_timeout > ATTEMPT_TIMEOUT_MAX {
            let allowed = format!("more than 0 s, at most {ATTEMPT_TIMEOUT_MAX:?}");
            return Err(Error::field("attempt_timeout", format!("{attempt_timeout:?}"), allowed));
        }
        let policy = breaker.unwrap_or_else(|| {
            breaker::Policy::service().open(OPEN).lease(attempt_timeout.saturating_mul(2))
        });
        let seed = seed.unwrap_or_else(rng::entropy);
        let breaker =
            Breaker::seeded(format!("credential/{name}"), policy, seed, wait.now()).map_err(|error| {
                Error::field("breaker", error.to_string(), String::from("a policy that it takes"))
            })?;
        let crew = Crew {
            name,
            op: classified(op, classify),
            wait,
            attempt_timeout,
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1).jitter(Jitter::Equal),
            #[cfg(feature = "store")]
            shared: self.shared,
        };
        Ok(Credential::of(crew, breaker, token, seed))
    }
}

fn classified<T, E, C>(op: Raw<T, E>, classify: C) -> Op<T>
where
    T: 'static,
    E: 'static,
    C: Classifier<E> + Send + Sync + 'static,
{
    match op {
        Raw::Blocking(op) => Op::Blocking(Arc::new(move |old| op(old).map_err(|e| classify.fault(&e)))),
        Raw::Future(op) => {
            let classify = Arc::new(classify);
            Op::Future(Box::new(move |old| {
                let (work, classify) = (op(old), Arc::clone(&classify));
                // The error itself goes no further: what it says may hold what must not be shown.
                Box::pin(async move { work.await.map_err(|error| classify.fault(&error)) })
            }))
        }
    }
}

impl<T, E, C> fmt::Debug for Builder<T, E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("token", &self.token)
            .field("breaker", &self.breaker)
            .field("attempt_timeout", &self.attempt_timeout)
            .finish_non_exhaustive()
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        self.as_fault()
    }
}
