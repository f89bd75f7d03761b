//! A token that is refreshed before it ends: by one caller, and of several processes by one.
//!
//! ```
//! use std::time::Duration;
//! use unattended::credential::{Credential, Token};
//!
//! let youtube = Credential::named("youtube")
//!     .refresh_blocking(|old: Option<Token<String>>| {
//!         // Ask the provider, with the refresh token that is in `old`.
//!         let asked = chrono::Utc::now();
//!         let count = old.map_or(1, |old| old.expose().len());
//!         Ok::<_, std::io::Error>(Token::lasting("x".repeat(count), asked, Duration::from_secs(3600)))
//!     })
//!     .build()?;
//! let given = youtube.get_blocking()?;
//! assert_eq!((given.expose().as_str(), given.generation), ("x", 1));
//! # Ok::<(), unattended::credential::Error>(())
//! ```
//!
//! # The rules
//!
//! - It is refreshed within `min(max(5 min, 20 % of the lifetime), half the lifetime)` before its end, and up to 10 % of
//!   the lifetime earlier, drawn once for each token, so that a fleet does not refresh at one instant; also when it would
//!   end before the instant until which the caller needs it ([`get_until`](Credential::get_until)).
//! - One refresh is under way at a time. While the old token is valid everybody else gets that at once; when it is over
//!   they wait for the one. A caller that goes away leaves the refresh to the next: it is not sent twice.
//! - A refresh that fails for now leaves the old token in use until its end; why is in the answer ([`Serving`]). The next
//!   try waits, and a breaker of its own watches over it. A token that the other side has refused is not given again.
//! - Its end is the earlier of what the wall clock and what the monotonic clock says, less 10 s (at most 5 % of the
//!   lifetime), because the other side's clock is not ours.
//! - A refresh that is refused for good makes it *needs human*: one alert, no further refresh, and no token once the old
//!   one is over, until a person says so ([`Credential::ok`], `unattended credential ok NAME`) or puts a new token there
//!   ([`Credential::put`]).
//! - With a store ([`Builder::store`]) a new token is saved before it is used: a refresh token that is replaced with each
//!   use must not be sent twice. Where it cannot be saved the old one goes on being used until its end, then the new one
//!   unsaved ([`Serving::Unsaved`]); saving goes on being tried all the while. A process that is killed after the answer
//!   and before the save loses that answer: nothing on this side can help that, and the next refresh may then be refused.
//! - No token is in any `Debug`, log, reason or error, and neither is what the refresh's own errors say, which may quote
//!   it: of those only the class and the code go further.
//!
//! # Threads and futures
//! [`get`](Credential::get) is for futures, [`get_blocking`](Credential::get_blocking) for threads; the decisions are the
//! same. A refresh that is a future can be driven by both, where it needs no runtime that a thread lacks.

mod builder;
mod expiry;
mod log;
mod reason;
#[cfg(feature = "store")]
mod shared;
mod state;
mod token;
mod wait;
mod work;

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

pub use builder::{Builder, Named};
pub use reason::{Due, Refusing, Serving};
#[cfg(feature = "store")]
pub use shared::{Cleared, ok, token_of};
#[cfg(feature = "store")]
pub(in crate::act) use shared::{Needing, needs_human, unmoved};
pub use token::{Given, Token};

use crate::act::panics::caught;
use crate::base::explain::Explain;
use crate::base::fault::{Class, Fault, Reached};
use crate::base::handover::HandedOver;
use crate::base::park::block_on;
use crate::base::time::{BoxFuture, Moment, Now, Timestamp, between, later};
use crate::decide::breaker::{Breaker, Outcome, Permit};
#[cfg(feature = "store")]
use crate::remember::store;
use state::{Ask, Landed, Look, State};
use wait::Face;
use work::{Crew, Landing, panicked};

/// How often one call looks anew; each look but the last has ended a flight or waited for one.
const ROUNDS_MAX: u32 = 64;
/// How often a thread that waits for another's refresh looks.
const LOOK: Duration = Duration::from_millis(10);

/// A credential. Share it by reference or in an `Arc`.
pub struct Credential<T> {
    crew: Arc<Crew<T>>,
    breaker: Breaker,
    state: Mutex<State<T>>,
}

/// What the driver of calls needs of a credential, whatever its token is.
pub trait Renew: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Changes with every new token.
    fn generation(&self) -> u64;

    /// Why no call should be made with it now (needs a person), if so.
    fn refusal(&self) -> Option<Refusing>;

    /// One forced refresh, unless the token is no longer the one of generation `seen`.
    ///
    /// # Errors
    /// Why there is no other token.
    fn renew(&self, seen: u64) -> BoxFuture<'_, Result<(), Refusing>>;
}

/// No token, or no credential.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A field is outside its bounds.
    Field {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// There is no token that may be used now. Its source is the [`HandedOver`] that says until when.
    Refused {
        /// The credential.
        name: String,
        /// Why not.
        why: Refusing,
        /// The same as work that is put off rather than failed.
        handed: Box<HandedOver>,
        /// When this was said.
        at: Timestamp,
    },
    /// The store could not be written.
    #[cfg(feature = "store")]
    Store {
        /// The credential.
        name: String,
        /// What the store said.
        source: store::Error,
    },
}

impl<T: Send + Sync + 'static> Credential<T> {
    /// Begins the credential `name`: 1 to 200 bytes, the same in every process that shares it.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Named<T> {
        Named::new(name.into())
    }

    fn of(crew: Crew<T>, breaker: Breaker, token: Option<Token<T>>, seed: u64) -> Self {
        let now = crew.wait.now();
        let state = State::new(token, seed, crew.is_shared(), now);
        Self { crew: Arc::new(crew), breaker, state: Mutex::new(state) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.crew.name
    }

    /// The breaker of its refresh.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// A token that may be used now, refreshed if it is time.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is none: it is over, or the other side has refused it, and it could not be refreshed.
    pub async fn get(&self) -> Result<Given<T>, Error> {
        self.give(Face::Future, None).await
    }

    /// The same for a caller who needs it until `until`: the end of its run, or the next scheduled run. A token that
    /// would end before is refreshed first, where the next one would last as long.
    ///
    /// # Errors
    /// As [`get`](Self::get). A token that ends too early and cannot be refreshed is given all the same.
    pub async fn get_until(&self, until: Timestamp) -> Result<Given<T>, Error> {
        self.give(Face::Future, Some(until)).await
    }

    /// As [`get`](Self::get), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn get_blocking(&self) -> Result<Given<T>, Error> {
        block_on(self.give(Face::Thread, None))
    }

    /// As [`get_until`](Self::get_until), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn get_until_blocking(&self, until: Timestamp) -> Result<Given<T>, Error> {
        block_on(self.give(Face::Thread, Some(until)))
    }

    /// Puts a token there that was obtained in another way, such as by a person who has logged in anew. It is saved
    /// first; a credential that needed a person needs none any more. Runs that wait for it are released by
    /// `credential ok`.
    ///
    /// # Errors
    /// [`Error::Store`] if it could not be saved; it is not used then.
    pub async fn put(&self, token: Token<T>) -> Result<(), Error> {
        #[cfg(feature = "store")]
        let serial = match &self.crew.shared {
            Some(shared) => Some(shared.put(&token).await.map_err(|source| self.not_saved(source))?),
            None => None,
        };
        #[cfg(not(feature = "store"))]
        let serial = None;
        let now = self.crew.wait.now();
        self.state().put(token, serial, now);
        Ok(())
    }

    /// As [`put`](Self::put), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn put_blocking(&self, token: Token<T>) -> Result<(), Error> {
        block_on(self.put(token))
    }

    /// A person, `by`, has seen to it: it may be refreshed again. Clears what is saved, too.
    ///
    /// # Errors
    /// [`Error::Store`] if that could not be written; nothing has changed then.
    pub async fn ok(&self, by: &str) -> Result<(), Error> {
        #[cfg(feature = "store")]
        if let Some(shared) = &self.crew.shared {
            let cleared = ok(shared.store(), self.name(), by).await;
            let _cleared = cleared.map_err(|source| self.not_saved(source))?;
        }
        #[cfg(not(feature = "store"))]
        let _by = by;
        self.state().clear();
        Ok(())
    }

    /// As [`ok`](Self::ok), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn ok_blocking(&self, by: &str) -> Result<(), Error> {
        block_on(self.ok(by))
    }

    #[cfg(feature = "store")]
    fn not_saved(&self, source: store::Error) -> Error {
        Error::Store { name: self.name().to_owned(), source }
    }

    async fn give(&self, face: Face, until: Option<Timestamp>) -> Result<Given<T>, Error> {
        let mut with = None;
        for _ in 0..ROUNDS_MAX {
            match self.look(Ask { face, until, with }) {
                (Look::Give(given), _) => return Ok(given),
                (Look::Refuse(why), now) => return Err(self.refused(why, now)),
                (Look::Lead(id, because), _) => {
                    with = Some((id, because));
                    self.lead(id).await;
                }
                (Look::Wait(id, because, ends), now) => {
                    with = Some((id, because));
                    self.wait(face, id, ends, now).await;
                }
            }
        }
        let now = self.crew.wait.now();
        Err(self.refused(Refusing::Elsewhere { retry_at: later(now.wall, LOOK) }, now))
    }

    fn refused(&self, why: Refusing, now: Now) -> Error {
        let name = self.name().to_owned();
        let handed = HandedOver::new(why.code(), why.to_string(), why.retry_at().unwrap_or(now.wall));
        let handed = if why.needs_human() { handed.credential(name.as_str()) } else { handed };
        Error::Refused { name, why, handed: Box::new(handed), at: now.wall }
    }

    fn look(&self, ask: Ask) -> (Look<T>, Now) {
        let now = self.crew.wait.now();
        let mut state = self.state();
        let (permit, lost) = state.lose_overdue(now, &self.crew);
        if let Some(permit) = permit {
            self.settle(permit, Outcome::Failure(Class::Transient), None, now);
        }
        let look = state.look(ask, &self.crew, &self.breaker, now);
        drop(state);
        lost.into_iter().for_each(std::task::Waker::wake);
        (look, now)
    }

    /// Polls the flight to its end. Dropped before that, it leaves the flight to another caller.
    async fn lead(&self, id: u64) {
        let lead = Lead { credential: self, id };
        poll_fn(|context| lead.poll(context)).await;
    }

    /// Waits until the flight has ended, needs somebody to lead it, or is taken for lost.
    async fn wait(&self, face: Face, id: u64, ends: Moment, now: Now) {
        if face == Face::Thread {
            // It looks now and then, so that any clock can drive it and nothing has to wake it.
            while self.state().is_led(id) && self.crew.wait.now().moment < ends {
                self.crew.wait.block(LOOK);
            }
            return;
        }
        let waiting = Waiting { credential: self, id, waiter: self.state().waiter() };
        let over = poll_fn(|context| waiting.poll(context));
        let _over_or_lost = self.crew.wait.within(ends.since(now.moment), over).await;
    }

    fn land(&self, id: u64, landing: Landing<T>) {
        let now = self.crew.wait.now();
        let Landed { permit, wake } = self.state().land(id, landing, &self.crew, now);
        if let Some((permit, outcome, hint)) = permit {
            self.settle(permit, outcome, hint, now);
        }
        wake.into_iter().for_each(std::task::Waker::wake);
    }

    fn settle(&self, permit: Permit, outcome: Outcome, hint: Option<Duration>, now: Now) {
        let moved = self.breaker.settle_hinted(permit, outcome, hint, now);
        crate::act::log::moved(self.breaker.name(), &moved);
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code but this module's runs under the lock, and each change is whole when it ends.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Renew for Credential<T> {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn generation(&self) -> u64 {
        self.state().generation()
    }

    fn refusal(&self) -> Option<Refusing> {
        let now = self.crew.wait.now();
        self.state().refusal(self.crew.is_shared(), now)
    }

    fn renew(&self, seen: u64) -> BoxFuture<'_, Result<(), Refusing>> {
        Box::pin(async move {
            if !self.state().reject(seen) {
                return Ok(());
            }
            match self.give(Face::Future, None).await {
                Ok(_) => Ok(()),
                Err(Error::Refused { why, .. }) => Err(why),
                // Only a build or a put says anything else.
                Err(_) => Err(Refusing::StoreDown { retry_at: self.crew.wait.now().wall }),
            }
        })
    }
}

/// Whoever polls a flight.
struct Lead<'a, T: Send + Sync + 'static> {
    credential: &'a Credential<T>,
    id: u64,
}

impl<T: Send + Sync + 'static> Lead<'_, T> {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut work) = self.credential.state().take_work(self.id) else { return Poll::Ready(()) };
        // Outside the lock: it is the user's code.
        match caught(|| work.as_mut().poll(context)) {
            Ok(Poll::Ready(landing)) => {
                self.credential.land(self.id, landing);
                Poll::Ready(())
            }
            Ok(Poll::Pending) => {
                let lost = self.credential.state().give_back(self.id, work);
                if lost.is_some() { Poll::Ready(()) } else { Poll::Pending }
            }
            Err(_said) => {
                self.credential.land(self.id, self.credential.crew.failed(&panicked(), 0, self.id));
                Poll::Ready(())
            }
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        let wake = self.credential.state().leave(self.id);
        wake.into_iter().for_each(std::task::Waker::wake);
    }
}

/// Whoever waits for a flight.
struct Waiting<'a, T: Send + Sync + 'static> {
    credential: &'a Credential<T>,
    id: u64,
    waiter: u64,
}

impl<T: Send + Sync + 'static> Waiting<'_, T> {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        match self.credential.state().wait(self.id, self.waiter, context.waker()) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.credential.state().forget(self.id, self.waiter);
    }
}

impl Error {
    fn field(field: &'static str, given: String, allowed: String) -> Self {
        Self::Field { field, given, allowed }
    }

    fn as_fault(&self) -> Fault {
        match self {
            Self::Field { .. } => Fault::permanent("credential.invalid").reached(Reached::No),
            Self::Refused { why, at, .. } => {
                let fault = match why.retry_at() {
                    None => Fault::permanent(why.code()),
                    Some(retry_at) => Fault::transient(why.code()).retry_after(between(*at, retry_at)),
                };
                fault.reached(Reached::No)
            }
            #[cfg(feature = "store")]
            Self::Store { source, .. } => crate::base::fault::Classify::fault(source),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, given, allowed } => write!(f, "{field} is {given}; allowed is {allowed}"),
            Self::Refused { name, why, .. } => write!(f, "credential {name}: {why}"),
            #[cfg(feature = "store")]
            Self::Store { name, .. } => write!(f, "credential {name} could not be saved"),
        }
    }
}

// By hand, because the source is what the box holds and not the box: it is looked for by its type.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Field { .. } => None,
            Self::Refused { handed, .. } => Some(&**handed),
            #[cfg(feature = "store")]
            Self::Store { source, .. } => Some(source),
        }
    }
}

impl<T> fmt::Debug for Credential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("name", &self.crew.name).finish_non_exhaustive()
    }
}
