//! Simulated time: both clocks, every wait, and the order of everything that waits.
//!
//! A [`Sim`] is a [`Clock`] that stands still while code runs and jumps to the next wake-up when everything waits. A
//! week of retries takes milliseconds, and the same seed gives the same story, because one thing runs at a time: the
//! futures of [`block_on`](Sim::block_on) and [`join`](Sim::join) are polled on the calling thread in the order in which
//! they were woken, and the threads made with [`thread`](Sim::thread) take turns. Wake-ups at one instant happen in the
//! order in which they were asked for. No async runtime is needed.
//!
//! ```
//! use std::time::Duration;
//! use unattended::testing::sim::Sim;
//! use unattended::time::{Clock, Sleep};
//!
//! let sim = Sim::new(chrono::DateTime::UNIX_EPOCH, 7);
//! let day = Duration::from_secs(86_400);
//! let wall = sim.block_on(async {
//!     for _ in 0..7 {
//!         sim.sleep(day).await;
//!     }
//!     sim.now().wall
//! })?;
//! assert_eq!(wall.timestamp(), 7 * 86_400);
//! # Ok::<(), unattended::testing::sim::Stuck>(())
//! ```
//!
//! What it can do to the clocks: the wall clock alone can be [stepped](Sim::step_wall) forwards and back, it can
//! [drift](Sim::drift), and the machine can be [suspended](Sim::suspend), which moves the wall clock and leaves the
//! monotonic one where it was, as Linux and macOS do.
//!
//! Work on real threads of its own (a database's writer) is invisible to the simulation. Wrap its future in
//! [`outside`](Sim::outside): until it answers, simulated time stands still and the simulation waits in real time.

mod exec;
mod schedule;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::TimeDelta;

use crate::base::fault::Panicked;
use crate::base::rng::Rng;
use crate::base::time::{BoxFuture, Clock, Moment, Now, Sleep, SleepBlocking, Timestamp};
use schedule::{Shared, Turn};

/// A simulated machine's clocks. Clones are handles to the same one.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
}

/// Why a simulation cannot go on. Each would be a hang, or an endless loop, without this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stuck {
    /// Everything waits, and nothing will ever wake it: a lost wake-up, or a wait for something outside the simulation
    /// that was not wrapped in [`Sim::outside`].
    #[error("deadlock at {at}: {waiting} wait and no wake-up is due")]
    Deadlock {
        /// The simulated wall time.
        at: Timestamp,
        /// How many threads of the simulation wait; futures that are polled on one thread count as one.
        waiting: usize,
    },
    /// Futures were polled [`Sim::POLLS_MAX`] times without simulated time moving: something waits by spinning.
    #[error("livelock at {at}: {} polls and time does not move", Sim::POLLS_MAX)]
    Livelock {
        /// The simulated wall time.
        at: Timestamp,
    },
    /// The next wake-up is beyond the [horizon](Sim::horizon): something repeats for ever.
    #[error("the next wake-up is more than {} s after the start", limit.as_secs())]
    Horizon {
        /// The horizon.
        limit: Duration,
    },
    /// For longer than the [patience](Sim::patience) nothing happened in real time: a thread of the simulation waits for
    /// something real, such as a lock held by a thread whose turn it is not.
    #[error("nothing happened for {limit:?} of real time")]
    Stalled {
        /// The patience.
        limit: Duration,
    },
    /// A thread of the simulation panicked.
    #[error("a thread of the simulation panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The operating system did not give a thread.
    #[error("no thread could be started: {kind}")]
    NoThread {
        /// Its answer.
        kind: io::ErrorKind,
    },
}

impl Sim {
    /// How often futures may be polled at one instant of simulated time.
    pub const POLLS_MAX: u64 = 1_000_000;

    /// A machine whose wall clock says `start`. Its monotonic clock says one day, so that a moment before the first
    /// reading has room.
    #[must_use]
    pub fn new(start: Timestamp, seed: u64) -> Self {
        Self { shared: Arc::new(Shared::new(start, seed)) }
    }

    /// The same machine with another bound on how far simulated time may go: 10 years after the start unless told
    /// otherwise. It stops a simulation in which something repeats for ever while another part waits in vain.
    #[must_use]
    pub fn horizon(self, limit: Duration) -> Self {
        self.shared.lock().horizon = limit;
        self
    }

    /// The same machine with another bound on how much real time may pass without anything happening: 60 s unless told
    /// otherwise.
    #[must_use]
    pub fn patience(self, limit: Duration) -> Self {
        self.shared.lock().patience = limit;
        self
    }

    /// The seed it was made with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.lock().seed
    }

    /// A new stream of random numbers; which one depends on the seed and on how many were asked for before.
    #[must_use]
    pub fn rng(&self) -> Rng {
        Rng::seeded(self.shared.lock().streams.next_u64())
    }

    /// How much simulated time has passed since the start, on the monotonic clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.lock().clock.elapsed()
    }

    /// When the next sleeper wakes, if any sleeps.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        self.shared.lock().next_wake()
    }

    /// Runs a future to its end on this thread.
    ///
    /// # Errors
    ///
    /// The future waits for what will never come, or for ever: see [`Stuck`].
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Stuck> {
        let mut done = self.join([future])?;
        // One future in, one output out: the error cannot be.
        done.pop().ok_or_else(|| self.shared.lock().stalled())
    }

    /// Runs many futures to their ends on this thread, side by side, and gives their outputs in the order of the
    /// futures. Those of different types are boxed as [`BoxFuture`].
    ///
    /// # Errors
    ///
    /// As [`block_on`](Self::block_on).
    pub fn join<F: Future>(&self, futures: impl IntoIterator<Item = F>) -> Result<Vec<F::Output>, Stuck> {
        exec::join(&self.shared, futures.into_iter().map(Box::pin).collect())
    }

    /// Makes a thread that takes part: it runs when it is its turn, and time moves only when all such threads wait.
    /// Its waits must go through the simulation ([`SleepBlocking`], [`block_on`](Self::block_on), [`Thread::join`]).
    ///
    /// The thread that makes it goes on first, until it joins or sleeps itself; the others take their turns while it
    /// waits, in the order in which they were made.
    pub fn thread<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> Thread<T> {
        let id = self.shared.register();
        let shared = Arc::clone(&self.shared);
        let handle = std::thread::Builder::new().spawn(move || {
            let _turn = Turn::begin(shared, id);
            run()
        });
        if handle.is_err() {
            self.shared.leave(id);
        }
        Thread { id, shared: Arc::clone(&self.shared), handle: Some(handle) }
    }

    /// Waits for a future that is answered by something real: while it is pending, simulated time stands still.
    pub fn outside<F: Future>(&self, future: F) -> Outside<F> {
        Outside { shared: Arc::clone(&self.shared), future: Box::pin(future), counted: false }
    }

    /// Moves both clocks, waking sleepers on the way in their order. Where futures run on another executor, this is what
    /// drives time: advance to [`next_wake`](Self::next_wake), let the executor run until it has nothing to do, repeat.
    pub fn advance(&self, by: Duration) {
        self.sleep_blocking(by);
    }

    /// Moves the wall clock alone, forwards or back, as an administrator or NTP does.
    pub fn step_wall(&self, by: TimeDelta) {
        self.shared.lock().clock.step(by);
    }

    /// Sets the wall clock alone.
    pub fn set_wall(&self, to: Timestamp) {
        self.shared.lock().clock.set(to);
    }

    /// Suspends the machine: the wall clock moves on, the monotonic one does not, and nobody wakes.
    pub fn suspend(&self, duration: Duration) {
        self.shared.lock().clock.suspend(duration);
    }

    /// From now on the wall clock gains this many microseconds in each second; negative numbers lose. At least
    /// -1,000,000, where it stands still.
    pub fn drift(&self, ppm: i32) {
        self.shared.lock().clock.drift(ppm);
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("Sim").field("seed", &self.seed()).field("now", &now).finish_non_exhaustive()
    }
}

impl Clock for Sim {
    fn now(&self) -> Now {
        self.shared.lock().clock.now()
    }

    fn uptime(&self) -> Option<Duration> {
        Some(self.shared.lock().clock.uptime())
    }
}

impl SleepBlocking for Sim {
    /// The only thread of a simulation moves time at once; where there are several, it moves when all of them wait.
    fn sleep_blocking(&self, duration: Duration) {
        self.shared.sleep(duration);
    }
}

impl Sleep for Sim {
    /// Completes after `duration` of simulated time from this call. A sleep beyond the end of the monotonic range never
    /// completes, and dropping a sleep takes its wake-up away.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(exec::Nap::new(&self.shared, duration))
    }
}

/// A thread of the simulation.
#[derive(Debug)]
#[must_use = "a thread that is dropped runs on, and its outcome is lost"]
pub struct Thread<T> {
    id: u64,
    shared: Arc<Shared>,
    handle: Option<io::Result<JoinHandle<T>>>,
}

impl<T> Thread<T> {
    /// Waits for the end of the thread and gives its outcome.
    ///
    /// # Errors
    ///
    /// The thread panicked or could not be started, or the simulation cannot go on: see [`Stuck`].
    pub fn join(mut self) -> Result<T, Stuck> {
        self.shared.join(self.id)?;
        match self.handle.take() {
            Some(Ok(handle)) => {
                handle.join().map_err(|panic| Stuck::Panicked { message: Panicked::of(&*panic).message })
            }
            Some(Err(error)) => Err(Stuck::NoThread { kind: error.kind() }),
            None => Err(self.shared.lock().stalled()),
        }
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        if self.handle.is_some() {
            self.shared.release();
        }
    }
}

/// The future of [`Sim::outside`].
pub struct Outside<F> {
    shared: Arc<Shared>,
    future: Pin<Box<F>>,
    counted: bool,
}

impl<F: Future> Future for Outside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.counted {
            // Counted before the first poll: the answer may come while this thread is still in it.
            self.counted = true;
            self.shared.outside(1);
        }
        let polled = self.future.as_mut().poll(cx);
        if polled.is_ready() {
            self.settle();
        }
        polled
    }
}

impl<F> Outside<F> {
    fn settle(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.shared.outside(-1);
        }
    }
}

impl<F> Drop for Outside<F> {
    fn drop(&mut self) {
        self.settle();
    }
}

impl<F> fmt::Debug for Outside<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("pending", &self.counted).finish_non_exhaustive()
    }
}
