//! A worker: takes runs from a shared store, works on them, and ends well.
//!
//! Any number of processes run workers over one store; each is stateless. A worker claims the runs that are due, by their
//! rank (each sixteenth claim takes the oldest), as many as it can begin at once, and renews their leases while it works.
//! Where runs end faster than claims come back it claims ahead, at most twice its concurrency; what has not begun after a
//! second, or after a quarter of its lease, is given back.
//! It takes over what a dead worker has left, by the store's clock, and ends waits whose time has come. What it may do at
//! the same time and how often is bounded in all ([`Builder::concurrency`], [`Builder::rate`]), for each job
//! ([`Limits`]), and for each serial key, of which one run is worked on anywhere.
//!
//! Asked to end by a [`Shutdown`], it claims nothing more and gives back what it has not begun. What runs may finish within
//! the grace period; then, or at the second request, it is put down: a run whose step is in the middle goes back to the
//! queue where the step's effect is one that may begin again. One that is unsafe, or that blocks its thread, is left as it
//! is: its lease runs out, and the effect class decides what the next worker does. Steps see it by
//! [`Cx::should_stop`](crate::act::pipeline::Cx::should_stop).
//!
//! A store that fails is asked again, with growing waits; a job that fails or panics fails its own run alone.
//!
//! ```
//! use std::sync::Arc;
//! use unattended::effect::Effect;
//! use unattended::job::Job;
//! use unattended::memory::Memory;
//! use unattended::pipeline::Step;
//! use unattended::shutdown::Shutdown;
//! use unattended::store::Store;
//! use unattended::worker::Worker;
//!
//! let store: Arc<dyn Store> = Arc::new(Memory::new());
//! let job = Job::new("greet").step(Step::blocking("print", Effect::Pure, |cx| cx.input::<String>())).build()?;
//! let worker = Worker::new(Arc::clone(&store)).job(job).concurrency(4).build()?;
//! let shutdown = Shutdown::new();
//! shutdown.trigger(); // a service leaves that to its signals
//! let summary = worker.run_blocking(&shutdown);
//! assert_eq!(summary.claimed, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ahead;
mod build;
mod core;
mod lanes;
mod look;
mod plan;
mod summary;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use build::{BuildError, Builder, CONCURRENCY_MAX, JOBS_MAX, Limits};
pub use summary::{Stopped, Summary};
pub use watch::{Course, Standing, Watch};

use self::core::Core;
#[cfg(feature = "tokio")]
use self::core::Outcome;
use crate::act::env::{Env, OnTimer};
use crate::act::job::Job;
use crate::act::shutdown::Shutdown;
#[cfg(feature = "tokio")]
use crate::act::tasks;
use crate::act::threads::Threads;
use crate::base::time::Sleep;
use crate::remember::store::Store;
use lanes::Meter;
use plan::Pace;
use watch::Watchers;

/// A worker over a store. Running it does not use it up: it may run again after it has ended.
pub struct Worker {
    store: Arc<dyn Store>,
    name: String,
    actor: Arc<str>,
    jobs: Arc<[Entry]>,
    kinds: Arc<[String]>,
    concurrency: usize,
    meter: Option<Meter>,
    pace: Pace,
    grace: Duration,
    seed: Option<u64>,
    hangs_after: Option<Duration>,
    watchers: Watchers,
}

/// A job of a worker.
struct Entry {
    job: Arc<Job>,
    concurrency: Option<usize>,
    meter: Option<Meter>,
}

impl Worker {
    /// Begins a worker over `store`.
    #[allow(clippy::new_ret_no_self, reason = "a worker begins with its builder, as every policy here does")]
    pub fn new(store: Arc<dyn Store>) -> Builder {
        Builder::new(store)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Works until `shutdown` asks for an end, inside a tokio runtime with time enabled. Each run is a task of its own;
    /// steps that block are moved to threads where that does no harm.
    ///
    /// Dropped before its end it stops at once, and what ran is taken over when its leases are over.
    #[cfg(feature = "tokio")]
    pub async fn run(&self, shutdown: &Shutdown) -> Summary {
        let env: Arc<dyn Env> = Arc::new(OnTimer(crate::base::time::System));
        Core::new(self, &env, shutdown, |work| tasks::spawn(work, Outcome::Failed)).run().await
    }

    /// The same until the process is told to end, by [`Shutdown::on_signals`].
    ///
    /// # Errors
    /// When the process cannot listen to signals.
    #[cfg(all(feature = "tokio", feature = "signals"))]
    pub async fn run_until_shutdown(&self) -> Result<Summary, crate::act::shutdown::NoSignals> {
        Ok(self.run(&Shutdown::on_signals()?).await)
    }

    /// Works until `shutdown` asks for an end, by `clock`: all in this one future, so that simulated time drives it.
    /// Steps that block do so where the future is polled, unless that is in a tokio runtime.
    pub async fn run_on<C: Sleep>(&self, clock: C, shutdown: &Shutdown) -> Summary {
        let env: Arc<dyn Env> = Arc::new(OnTimer(clock));
        Core::new(self, &env, shutdown, |work| work).run().await
    }

    /// Works until `shutdown` asks for an end, blocking this thread; no runtime is needed. Each step runs on a thread of
    /// its own, at most [`concurrency`](Builder::concurrency) at the same time; leases are renewed from this one.
    ///
    /// A step that blocks for longer than it is waited for goes on, on its thread, after this has returned; its run is
    /// left to its lease.
    pub fn run_blocking(&self, shutdown: &Shutdown) -> Summary {
        let threads = Arc::new(Threads::new(self.concurrency));
        let env: Arc<dyn Env> = Arc::<Threads>::clone(&threads);
        threads.block_on(Core::new(self, &env, shutdown, |work| work).run())
    }

    /// The same until the process is told to end, by [`Shutdown::on_signals`].
    ///
    /// # Errors
    /// When the process cannot listen to signals.
    #[cfg(feature = "signals")]
    pub fn run_blocking_until_shutdown(&self) -> Result<Summary, crate::act::shutdown::NoSignals> {
        Ok(self.run_blocking(&Shutdown::on_signals()?))
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("kinds", &self.kinds)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
