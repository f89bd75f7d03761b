//! What one flight does: look at what is saved, refresh, save. It knows no state of the process; what it found is taken
//! in by whoever polled it last.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::act::credential::Token;
#[cfg(feature = "store")]
use crate::act::credential::shared::Shared;
use crate::act::credential::wait::{Face, Wait};
use crate::act::panics;
use crate::base::backoff::Backoff;
use crate::base::fault::{Class, Fault};
use crate::base::rng::Rng;
use crate::base::time::{BoxFuture, Moment, Now, Timestamp, between, later, millis};

/// The longest wait that a failed refresh asks for, whatever the server says.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(900);

/// What every flight of one credential needs.
pub(super) struct Crew<T> {
    pub(super) name: String,
    pub(super) op: Op<T>,
    pub(super) wait: Arc<dyn Wait>,
    pub(super) attempt_timeout: Duration,
    pub(super) backoff: Backoff,
    #[cfg(feature = "store")]
    pub(super) shared: Option<Shared<T>>,
}

type FutureOp<T> = dyn Fn(Option<Token<T>>) -> BoxFuture<'static, Result<Token<T>, Fault>> + Send + Sync;
type BlockingOp<T> = dyn Fn(Option<Token<T>>) -> Result<Token<T>, Fault> + Send + Sync;

/// The refresh.
pub(super) enum Op<T> {
    Future(Box<FutureOp<T>>),
    Blocking(Arc<BlockingOp<T>>),
}

/// What a flight is to do.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "what is shared needs a store"))]
pub(super) enum Plan<T> {
    /// Read what is saved.
    Look,
    /// Save a token that could not be saved before.
    Save(Unsaved<T>),
    /// Refresh.
    Refresh(Order<T>),
}

/// A refresh that is to be made.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "what is shared needs a store"))]
pub(super) struct Order<T> {
    pub(super) face: Face,
    /// Whether there is no token to go on with meanwhile.
    pub(super) hard: bool,
    /// The token that is held.
    pub(super) old: Option<Token<T>>,
    /// Its number in the store, if it came from there.
    pub(super) serial: Option<u64>,
    /// A token that is not saved yet: the refresh goes on from it.
    pub(super) unsaved: Option<Unsaved<T>>,
    /// Failures in a row so far.
    pub(super) failures: u32,
    /// The last failure that is known here; its wait is over by the monotonic clock.
    pub(super) failed: Option<Failed>,
    /// For the jitter of the wait after a failure.
    pub(super) seed: u64,
}

/// A token that could not be saved.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "what is shared needs a store"))]
pub(super) struct Unsaved<T> {
    pub(super) token: Token<T>,
    /// The number of the saved token that it follows.
    pub(super) base: u64,
}

impl<T> Clone for Unsaved<T> {
    fn clone(&self) -> Self {
        Self { token: self.token.clone(), base: self.base }
    }
}

/// What is saved.
pub(super) struct Stored<T> {
    pub(super) serial: u64,
    pub(super) token: Option<Token<T>>,
    pub(super) refused: Option<Class>,
    pub(super) failed: Option<Failed>,
}

/// A refresh that failed, and when the next one may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) class: Class,
    pub(super) failures: u32,
    /// How long after it the next try is.
    pub(super) wait: Duration,
    pub(super) retry_at: Timestamp,
}

impl Failed {
    /// Whether the next try is still ahead. More than the whole wait cannot be left: then the clock went back, and the
    /// wait is over.
    pub(super) fn waits(&self, now: Now) -> bool {
        let left = between(now.wall, self.retry_at);
        !left.is_zero() && left <= self.wait
    }
}

/// What a flight found.
#[cfg_attr(not(feature = "store"), allow(dead_code, reason = "what is shared needs a store"))]
pub(super) enum Landing<T> {
    /// This is saved; nothing was refreshed.
    Looked(Option<Stored<T>>),
    /// A new token; `serial` is its number in the store, if it was saved there.
    Refreshed { token: Token<T>, since: Moment, serial: Option<u64>, unsaved: Option<u64> },
    /// What could not be saved before is saved.
    Saved { serial: u64 },
    /// It still cannot.
    NotSaved,
    /// The refresh failed for now.
    Failed { failed: Failed, hint: Option<Duration> },
    /// It was refused for good; `first` if nobody has said so yet.
    Refused { class: Class, first: bool },
    /// Another process is at it.
    Elsewhere { hard: bool },
    /// The store cannot be used.
    StoreDown,
}

impl<T: Send + Sync + 'static> Crew<T> {
    /// The longest that a flight can take if everything answers in its time.
    pub(super) fn budget(&self) -> Duration {
        if self.is_shared() {
            return self.attempt_timeout.saturating_mul(4).saturating_add(Duration::from_secs(60));
        }
        self.attempt_timeout.saturating_add(Duration::from_secs(1))
    }

    /// Whether other processes have it too.
    #[cfg(feature = "store")]
    pub(super) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    #[cfg(not(feature = "store"))]
    #[expect(clippy::unused_self, reason = "with a store it is asked")]
    pub(super) const fn is_shared(&self) -> bool {
        false
    }

    pub(super) fn fly(self: Arc<Self>, plan: Plan<T>) -> BoxFuture<'static, Landing<T>> {
        Box::pin(async move {
            match plan {
                #[cfg(feature = "store")]
                Plan::Look => self.look().await,
                #[cfg(feature = "store")]
                Plan::Save(unsaved) => self.save(&unsaved).await,
                #[cfg(feature = "store")]
                Plan::Refresh(order) if self.is_shared() => self.refresh_shared(order).await,
                Plan::Refresh(order) => self.refresh_alone(order).await,
                #[cfg(not(feature = "store"))]
                Plan::Look | Plan::Save(_) => Landing::Looked(None),
            }
        })
    }

    async fn refresh_alone(&self, order: Order<T>) -> Landing<T> {
        let since = self.wait.now().moment;
        match self.call(order.face, order.old).await {
            Ok(token) => Landing::Refreshed { token, since, serial: None, unsaved: None },
            Err(fault) if for_good(&fault) => Landing::Refused { class: fault.class, first: true },
            Err(fault) => self.failed(&fault, order.failures, order.seed),
        }
    }

    pub(super) fn failed(&self, fault: &Fault, failures: u32, seed: u64) -> Landing<T> {
        Landing::Failed { failed: self.back_off(fault, failures, seed), hint: fault.retry_after }
    }

    /// When the next try is, after a failure.
    pub(super) fn back_off(&self, fault: &Fault, failures: u32, seed: u64) -> Failed {
        let own = self.backoff.delay(failures, Duration::ZERO, &mut Rng::seeded(seed));
        let asked = fault.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        // To the millisecond, as it is saved.
        let wait = Duration::from_millis(millis(own.max(asked)));
        let retry_at = later(self.wait.now().wall, wait);
        Failed { class: fault.class, failures: failures.saturating_add(1), wait, retry_at }
    }

    /// One refresh; a panic in it is a fault, and one that takes too long is cut where that can be done.
    pub(super) async fn call(&self, face: Face, old: Option<Token<T>>) -> Result<Token<T>, Fault> {
        let work = caught(self.run(face, old));
        let given = match face {
            Face::Future => self.wait.within(self.attempt_timeout, work).await,
            Face::Thread => Some(work.await),
        };
        given.unwrap_or_else(|| Err(Fault::transient("credential.timed_out")))
    }

    async fn run(&self, face: Face, old: Option<Token<T>>) -> Result<Token<T>, Fault> {
        match &self.op {
            Op::Future(op) => op(old).await,
            #[cfg(feature = "tokio")]
            Op::Blocking(op) if face == Face::Future && tokio::runtime::Handle::try_current().is_ok() => {
                let op = Arc::clone(op);
                let joined = tokio::task::spawn_blocking(move || op(old)).await;
                joined.unwrap_or_else(|error| {
                    Err(if error.is_panic() {
                        panicked()
                    } else {
                        Fault::transient("credential.runtime_gone")
                    })
                })
            }
            Op::Blocking(op) => {
                let _face = face;
                op(old)
            }
        }
    }
}

/// Whether a refresh that failed so is not to be tried again.
pub(super) const fn for_good(fault: &Fault) -> bool {
    matches!(fault.class, Class::Permanent | Class::Unauthorized)
}

async fn caught<V>(work: impl Future<Output = Result<V, Fault>>) -> Result<V, Fault> {
    let mut work = pin!(work);
    poll_fn(move |context| {
        panics::caught(|| work.as_mut().poll(context)).unwrap_or_else(|_said| Poll::Ready(Err(panicked())))
    })
    .await
}

/// What it said is left out: it may hold what must not be shown.
pub(super) const fn panicked() -> Fault {
    Fault::new(Class::Unknown, "credential.panicked")
}
