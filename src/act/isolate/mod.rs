//! Several engines side by side, each in its own error boundary.
//!
//! A failure, a panic or a hang in one never stops or delays the others. A failure that is
//! [`Degraded`](crate::base::fault::Severity::Degraded) is reported as skipped; one that is
//! [`Fatal`](crate::base::fault::Severity::Fatal) (disk full, out of memory) stops the group and raises an
//! [`alert`](Report::alert): what has not begun is not begun, what runs is cut. The [`Report`] says for each engine, in
//! the order in which they were declared, what became of it, how long it took and why.
//!
//! Engines are futures ([`Group::futures`]) or run on threads of their own ([`Group::threads`]). At most 16 run at once
//! unless told otherwise.
//!
//! ```
//! use std::io;
//! use unattended::isolate::Group;
//!
//! let report = Group::threads("morning")
//!     .engine("mail", |_stop| Ok::<_, io::Error>(12))
//!     .engine("calendar", |_stop| Err(io::Error::from(io::ErrorKind::TimedOut)))
//!     .engine("weather", |_stop| -> io::Result<u32> { panic!("no such city") })
//!     .run();
//! let codes: Vec<_> = report.entries().iter().map(|entry| entry.code()).collect();
//! assert_eq!(codes, ["isolate.done", "isolate.failed", "isolate.panicked"]);
//! assert_eq!(report.values().collect::<Vec<_>>(), [&12]);
//! assert_eq!(report.exit_code(), 1);
//! ```

use std::fmt::{self, Display};
use std::time::Duration;

use crate::base::fault::Classify;
use crate::base::time::BoxFuture;

mod futures;
mod report;
mod threads;

use report::Failure;
pub use report::{Alert, Entry, NotBegun, Outcome, Report};
pub use threads::Stop;

/// How many engines run at once unless told otherwise.
pub const AT_ONCE: usize = 16;

/// How long threads that were told to stop are waited for unless told otherwise.
pub const GRACE: Duration = Duration::from_secs(5);

/// Engines about to run side by side; `W` is what they are: [`Future`] or [`Thread`].
#[must_use = "nothing runs until it is run"]
pub struct Group<W> {
    name: String,
    at_once: usize,
    grace: Duration,
    timeout: Option<Duration>,
    engines: Vec<Engine<W>>,
}

struct Engine<W> {
    name: String,
    timeout: Option<Duration>,
    work: W,
}

/// An engine that is a future. It is made, and polled, inside its boundary.
pub struct Future<'a, T>(Box<FutureWork<'a, T>>);

type FutureWork<'a, T> = dyn FnOnce() -> BoxFuture<'a, Result<T, Failure>> + Send + 'a;

/// An engine that runs on a thread of its own.
pub struct Thread<T>(Box<ThreadWork<T>>);

type ThreadWork<T> = dyn FnOnce(&Stop) -> Result<T, Failure> + Send;

impl<'a, T> Group<Future<'a, T>> {
    /// A group of futures, polled side by side by one future; no runtime is needed but for the clock's timer.
    ///
    /// One that blocks its thread blocks the others: work of that kind belongs on [`threads`](Group::threads).
    pub fn futures(name: impl Into<String>) -> Self {
        Self::new(name.into())
    }

    /// Adds an engine. What its error means decides between failed, skipped and fatal.
    pub fn engine<E, Fut>(self, name: impl Into<String>, op: impl FnOnce() -> Fut + Send + 'a) -> Self
    where
        E: Classify + Display,
        Fut: std::future::Future<Output = Result<T, E>> + Send + 'a,
    {
        let work = move || -> BoxFuture<'a, Result<T, Failure>> {
            let op = op();
            Box::pin(async move { op.await.map_err(|error| Failure::of(&error)) })
        };
        self.add(name.into(), Future(Box::new(work)))
    }
}

impl<T> Group<Thread<T>> {
    /// A group in which each engine has a thread of its own.
    ///
    /// A thread cannot be cut: one that hangs is told to stop at its time-out and left behind, and the group goes on
    /// without it. Time-outs and the grace are real time.
    pub fn threads(name: impl Into<String>) -> Self {
        Self::new(name.into())
    }

    /// Adds an engine. What its error means decides between failed, skipped and fatal. Work that is long looks now and
    /// then whether it was told to [`Stop`].
    pub fn engine<E: Classify + Display>(
        self,
        name: impl Into<String>,
        op: impl FnOnce(&Stop) -> Result<T, E> + Send + 'static,
    ) -> Self {
        let work = move |stop: &Stop| op(stop).map_err(|error| Failure::of(&error));
        self.add(name.into(), Thread(Box::new(work)))
    }

    /// How long threads that were told to stop are waited for after a fatal failure; default 5 s.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl<W> Group<W> {
    const fn new(name: String) -> Self {
        Self { name, at_once: AT_ONCE, grace: GRACE, timeout: None, engines: Vec::new() }
    }

    fn add(mut self, name: String, work: W) -> Self {
        self.engines.push(Engine { name, timeout: None, work });
        self
    }

    /// How long the engine that was added last may take; without it, as [`timeout_each`](Self::timeout_each) says.
    pub fn timeout(mut self, limit: Duration) -> Self {
        if let Some(engine) = self.engines.last_mut() {
            engine.timeout = Some(limit);
        }
        self
    }

    /// How long each engine may take that has no time-out of its own; default as long as it likes. A group in which one
    /// engine hangs and has no time-out never ends, though the others do.
    pub const fn timeout_each(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// How many engines run at once; default 16. Zero counts as 1.
    pub const fn at_once(mut self, engines: usize) -> Self {
        self.at_once = if engines == 0 { 1 } else { engines };
        self
    }
}

impl<W> fmt::Debug for Group<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engines: Vec<_> = self.engines.iter().map(|engine| &engine.name).collect();
        f.debug_struct("Group").field("name", &self.name).field("engines", &engines).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Future<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Future(..)")
    }
}

impl<T> fmt::Debug for Thread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thread(..)")
    }
}
