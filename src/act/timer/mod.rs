//! Schedules that are kept: in a service, by a future or a thread that waits for the next occurrence; in a cron process, by
//! one pass that does what is due and leaves.
//!
//! What is due is decided by a [`Ticker`] for each entry: one path for a restart, a suspend, and a clock that was set. The
//! timer waits at most a minute at a time, and looks at both clocks after each wait, so that a machine that wakes from a
//! suspend is noticed at once and each wake-up is computed again from the wall clock.
//!
//! With a store ([`Builder::saved_in`]) what was run last is remembered, and several processes with the same entries share
//! it: an occurrence is run by whoever writes first that it is his. It is written before the work begins, so a process that
//! dies in the middle has run it; work that must end well is a [job](Entry::job), whose run outlives its worker.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::sync::Arc;
//! use std::time::Duration;
//! use unattended::schedule::Schedule;
//! use unattended::shutdown::Shutdown;
//! use unattended::timer::{Entry, Timer};
//! # use std::convert::Infallible;
//!
//! let count = Arc::new(AtomicU32::new(0));
//! let counted = Arc::clone(&count);
//! let hourly = Entry::new("report", Schedule::every(Duration::from_secs(3600))?).run(move |_| {
//!     counted.fetch_add(1, Ordering::Relaxed);
//!     async { Ok::<(), Infallible>(()) }
//! });
//! let timer = Timer::new().entry(hourly).build()?;
//! # #[cfg(feature = "testing")] {
//! use unattended::testing::sim::Sim;
//! use unattended::time::Sleep;
//!
//! let sim = Sim::new(chrono::DateTime::UNIX_EPOCH, 1);
//! let shutdown = Shutdown::new();
//! let day = async {
//!     sim.sleep(Duration::from_secs(86_400 + 1)).await;
//!     shutdown.trigger();
//! };
//! let run = async { let _summary = timer.run_on(sim.clone(), &shutdown).await; };
//! let all: [unattended::time::BoxFuture<'_, ()>; 2] = [Box::pin(run), Box::pin(day)];
//! sim.join(all)?;
//! assert_eq!(count.load(Ordering::Relaxed), 24);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entry;
mod event;
mod kept;
mod pass;
mod serve;
mod work;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use entry::{BuildError, Builder, Entry};
pub use event::{Event, Summary};
pub use pass::PassError;
pub use work::Occasion;

use crate::act::env::{Env, OnTimer};
use crate::act::shutdown::Shutdown;
#[cfg(feature = "tokio")]
use crate::act::tasks;
use crate::act::threads::Threads;
use crate::base::time::Sleep;
use crate::remember::store::Store;
use serve::Service;

#[cfg(doc)]
use crate::decide::schedule::Ticker;

/// Entries, each with its schedule and what it does.
pub struct Timer {
    entries: Arc<[Arc<Entry>]>,
    store: Option<Arc<dyn Store>>,
    grace: Duration,
    observe: Option<Observer>,
}

type Observer = Arc<dyn Fn(&str, &Event) + Send + Sync>;

impl Timer {
    /// Begins a timer.
    #[allow(clippy::new_ret_no_self, reason = "a timer begins with its builder, as a worker does")]
    pub fn new() -> Builder {
        Builder::new()
    }

    /// Keeps the schedules until `shutdown` asks for an end, inside a tokio runtime with time enabled. Work that blocks is
    /// moved to threads.
    #[cfg(feature = "tokio")]
    pub async fn run(&self, shutdown: &Shutdown) -> Summary {
        let env: Arc<dyn Env> = Arc::new(OnTimer(crate::base::time::System));
        Service::new(self, &env, shutdown, |work| tasks::spawn(work, work::Done::panicked)).run().await
    }

    /// The same by `clock`, all in this one future, so that simulated time drives it. Work that blocks does so where the
    /// future is polled, unless that is in a tokio runtime.
    pub async fn run_on<C: Sleep>(&self, clock: C, shutdown: &Shutdown) -> Summary {
        let env: Arc<dyn Env> = Arc::new(OnTimer(clock));
        Service::new(self, &env, shutdown, |work| work).run().await
    }

    /// The same, blocking this thread; no runtime is needed. The work runs on threads of its own.
    pub fn run_blocking(&self, shutdown: &Shutdown) -> Summary {
        let threads = Arc::new(Threads::new(self.entries.len().saturating_mul(2)));
        let env: Arc<dyn Env> = Arc::<Threads>::clone(&threads);
        threads.block_on(Service::new(self, &env, shutdown, |work| work).run())
    }

    fn tell(&self, name: &str, event: &Event) {
        event.log(name);
        if let Some(observe) = &self.observe {
            observe(name, event);
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.name()).collect();
        f.debug_struct("Timer").field("entries", &names).finish_non_exhaustive()
    }
}
