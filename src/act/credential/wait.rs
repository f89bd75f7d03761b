//! How a credential waits: on a timer where there is one, else by blocking the thread.

use std::time::Duration;

use crate::base::race::before;
use crate::base::time::{BoxFuture, Clock, Now, Sleep, SleepBlocking, System};

/// How the caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// By blocking its thread.
    Thread,
    /// As a future.
    Future,
}

/// The clock of a credential.
pub(super) trait Wait: Send + Sync {
    /// Both clocks.
    fn now(&self) -> Now;

    /// A timer, if one can be had here.
    fn timer(&self, after: Duration) -> Option<BoxFuture<'_, ()>>;

    /// Blocks the thread.
    fn block(&self, duration: Duration);
}

impl dyn Wait {
    /// What `work` gives within `limit`; where no timer can be had, what it gives at all.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        match self.timer(limit) {
            Some(timer) => before(timer, work).await,
            None => Some(work.await),
        }
    }

    /// Waits as `face` does.
    #[cfg(feature = "store")]
    pub(super) async fn pause(&self, face: Face, duration: Duration) {
        match (face, self.timer(duration)) {
            (Face::Future, Some(timer)) => timer.await,
            _ => self.block(duration),
        }
    }
}

/// The machine's own clocks; the timer is tokio's, inside a runtime of it.
pub(super) struct Machine;

impl Wait for Machine {
    fn now(&self) -> Now {
        System.now()
    }

    #[cfg(feature = "tokio")]
    fn timer(&self, after: Duration) -> Option<BoxFuture<'_, ()>> {
        tokio::runtime::Handle::try_current().ok().map(|_runtime| System.sleep(after))
    }

    #[cfg(not(feature = "tokio"))]
    fn timer(&self, _: Duration) -> Option<BoxFuture<'_, ()>> {
        None
    }

    fn block(&self, duration: Duration) {
        System.sleep_blocking(duration);
    }
}

/// Another clock.
pub(super) struct On<K>(pub(super) K);

impl<K: Sleep + SleepBlocking> Wait for On<K> {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn timer(&self, after: Duration) -> Option<BoxFuture<'_, ()>> {
        Some(self.0.sleep(after))
    }

    fn block(&self, duration: Duration) {
        self.0.sleep_blocking(duration);
    }
}
