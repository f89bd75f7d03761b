//! The blocking face: the same futures, driven by parking the thread. For programs without an async runtime.

pub use crate::base::park::block_on;
use crate::remember::store::{
    Applied, ApplyError, Batch, ClaimDue, Claimed, Error, Ns, Page, Prune, Query, Record, Store, StoredEvent,
};

/// A store, called without `await`.
///
/// ```
/// use unattended::blocking::Blocking;
/// use unattended::memory::Memory;
/// use unattended::store::Ns;
///
/// let store = Memory::new();
/// assert_eq!(Blocking(&store).get(Ns::RUN, "billing/2026-11")?, None);
/// # Ok::<(), unattended::store::Error>(())
/// ```
///
/// A store whose futures need the caller's runtime ([`Caps::own_threads`](crate::remember::store::Caps) is false) is
/// refused with [`Error::WouldDeadlock`] on a thread whose runtime has no other thread to drive it (feature `tokio`).
#[derive(Clone, Copy)]
pub struct Blocking<'a>(pub &'a dyn Store);

impl std::fmt::Debug for Blocking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Blocking").field(&self.0.caps().name).finish()
    }
}

impl Blocking<'_> {
    /// [`Store::apply`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`] as [`ApplyError::NotApplied`].
    pub fn apply(&self, batch: Batch) -> Result<Applied, ApplyError> {
        self.may_park("apply")?;
        block_on(self.0.apply(batch))
    }

    /// [`Store::get`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn get(&self, ns: Ns, key: &str) -> Result<Option<Record>, Error> {
        self.may_park("get")?;
        block_on(self.0.get(ns, key))
    }

    /// [`Store::scan`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn scan(&self, query: Query) -> Result<Page, Error> {
        self.may_park("scan")?;
        block_on(self.0.scan(query))
    }

    /// [`Store::events`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn events(&self, ns: Ns, key: &str, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        self.may_park("events")?;
        block_on(self.0.events(ns, key, after, limit))
    }

    /// [`Store::prune`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn prune(&self, prune: Prune) -> Result<u64, Error> {
        self.may_park("prune")?;
        block_on(self.0.prune(prune))
    }

    /// [`Store::claim_due`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn claim_due(&self, claim: ClaimDue) -> Result<Vec<Claimed>, Error> {
        self.may_park("claim_due")?;
        block_on(self.0.claim_due(claim))
    }

    fn may_park(&self, what: &'static str) -> Result<(), Error> {
        if self.0.caps().own_threads || !parking_stops_the_runtime() {
            return Ok(());
        }
        let instead = "await it, or call it from a thread outside the runtime (spawn_blocking)";
        Err(Error::WouldDeadlock { what, instead })
    }
}

#[cfg(feature = "tokio")]
fn parking_stops_the_runtime() -> bool {
    use tokio::runtime::{Handle, RuntimeFlavor};
    Handle::try_current().is_ok_and(|handle| {
        handle.runtime_flavor() == RuntimeFlavor::CurrentThread || handle.metrics().num_workers() < 2
    })
}

#[cfg(not(feature = "tokio"))]
const fn parking_stops_the_runtime() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn answered_by_a_thread(value: u32) -> futures_channel::oneshot::Receiver<u32> {
        let (send, receive) = futures_channel::oneshot::channel();
        thread::spawn(move || send.send(value));
        receive
    }

    #[test]
    fn a_call_nested_in_a_poll_does_not_eat_the_outer_wake() {
        for _ in 0..200 {
            let mut outer = answered_by_a_thread(1);
            let sum = block_on(std::future::poll_fn(|cx| {
                let inner = block_on(answered_by_a_thread(2)).unwrap();
                std::pin::Pin::new(&mut outer).poll(cx).map(|outer| outer.unwrap() + inner)
            }));
            assert_eq!(sum, 3);
        }
    }

    #[cfg(feature = "tokio")]
    mod inside_tokio {
        use super::super::*;
        use super::answered_by_a_thread;
        use crate::base::time::BoxFuture;
        use crate::remember::memory::Memory;
        use crate::remember::store::Caps;

        /// A store that needs the caller's runtime.
        struct Borrowing(Memory);

        impl Store for Borrowing {
            fn caps(&self) -> Caps {
                Caps { own_threads: false, ..self.0.caps() }
            }
            fn owner(&self) -> &str {
                self.0.owner()
            }
            fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
                self.0.apply(batch)
            }
            fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
                self.0.get(ns, key)
            }
            fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
                self.0.scan(query)
            }
            fn events<'a>(
                &'a self,
                ns: Ns,
                key: &'a str,
                after: u64,
                limit: u32,
            ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>> {
                self.0.events(ns, key, after, limit)
            }
            fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
                self.0.prune(prune)
            }
        }

        #[test]
        fn parks_inside_both_runtimes() {
            let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(current.block_on(async { block_on(answered_by_a_thread(5)) }), Ok(5));
            let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            assert_eq!(multi.block_on(async { block_on(answered_by_a_thread(5)) }), Ok(5));
        }

        #[test]
        fn a_store_that_needs_this_thread_is_refused_and_others_are_not() {
            let borrowing = Borrowing(Memory::new());
            let get = || Blocking(&borrowing).get(Ns::RUN, "a");
            assert!(get().is_ok(), "a plain thread");
            let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let refused = current.block_on(async { get() });
            assert!(matches!(refused, Err(Error::WouldDeadlock { what: "get", .. })), "{refused:?}");
            let one = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            assert!(matches!(one.block_on(async { get() }), Err(Error::WouldDeadlock { .. })));
            let two = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            assert!(two.block_on(async { get() }).is_ok());
            assert!(current.block_on(async { Blocking(&Memory::new()).get(Ns::RUN, "a") }).is_ok());
        }
    }
}
