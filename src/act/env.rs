//! How a driver waits: the same decisions, once for threads and once for futures.

use std::time::Duration;

use crate::act::panics::caught;
use crate::act::pool::Pool;
use crate::base::time::{BoxFuture, Now, Sleep, SleepBlocking};

/// The clock that a driver goes by, and how it waits on it.
pub(in crate::act) trait Env: Send + Sync {
    /// Both clocks.
    fn now(&self) -> Now;

    /// How long the machine has been up; see [`Clock::uptime`](crate::base::time::Clock::uptime).
    fn uptime(&self) -> Option<Duration>;

    /// Waits. On a thread's face this blocks when it is polled.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;

    /// How work that blocks is run, and how a lease is renewed meanwhile.
    fn face(&self) -> Face;

    /// Threads for work that blocks, where they are the driver's own.
    fn pool(&self) -> Option<&Pool> {
        None
    }
}

impl dyn Env {
    /// Runs `work`, which blocks its thread: on a thread of its own where there are some. What it said if it panicked.
    pub(in crate::act) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        if let Some(pool) = self.pool() {
            let done = pool.run(async move { caught(work) }).await;
            return done.unwrap_or_else(|| Err(String::from("there is no thread for it")));
        }
        #[cfg(feature = "tokio")]
        if self.face() == Face::Future && tokio::runtime::Handle::try_current().is_ok() {
            let joined = tokio::task::spawn_blocking(move || caught(work)).await;
            return joined.unwrap_or_else(|error| Err(error.to_string()));
        }
        caught(work)
    }
}

/// The face of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Face {
    /// A thread, by the machine's clock: another thread renews.
    Thread,
    /// A thread, by a clock that moves only when somebody sleeps: leases are renewed at each sleep.
    SimulatedThread,
    /// A future: the renewal is a future beside it.
    Future,
}

/// Waits by blocking the thread.
pub(in crate::act) struct OnThread<C> {
    pub(in crate::act) clock: C,
    pub(in crate::act) face: Face,
}

impl<C: SleepBlocking> Env for OnThread<C> {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn uptime(&self) -> Option<Duration> {
        self.clock.uptime()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.clock.sleep_blocking(duration) })
    }

    fn face(&self) -> Face {
        self.face
    }
}

/// Waits on a timer.
pub(in crate::act) struct OnTimer<C>(pub(in crate::act) C);

impl<C: Sleep> Env for OnTimer<C> {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn uptime(&self) -> Option<Duration> {
        self.0.uptime()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }

    fn face(&self) -> Face {
        Face::Future
    }
}
