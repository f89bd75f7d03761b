//! Who watches the watcher: what goes out after a check.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::act::monitor::report::Report;
use crate::base::fault::chain;
use crate::base::text;
use crate::remember::file;

/// How long a ping may take.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(30);

type Send_ = dyn Fn(&Report) -> Result<(), String> + Send + Sync;

/// What goes out after each check that was complete, for whoever misses it. It says that the monitor is alive, not that all is well: for
/// that look at the [`Report`] that a closure is given. It has 30 s, on a thread of its own.
pub struct Ping {
    send: Box<Send_>,
    /// Whether the last one has not come back yet.
    busy: Arc<AtomicBool>,
}

impl Ping {
    /// Calls a closure, which may send a request of HTTP, or `WATCHDOG=1` to systemd.
    pub fn call<E: Display>(send: impl Fn(&Report) -> Result<(), E> + Send + Sync + 'static) -> Self {
        Self::of(move |report| send(report).map_err(|error| error.to_string()))
    }

    /// Replaces a file by one line: when, and how many are well. Its age is what is to be looked at, such as by
    /// `find FILE -mmin +5`.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::of(move |report| {
            let line = format!("{} {}\n", text::rfc3339(report.at), report.summary());
            file::replace(&path, line).map_err(|error| chain(&error))
        })
    }

    pub(super) fn send(&self, report: &Report) -> Result<(), String> {
        (self.send)(report)
    }

    pub(super) fn busy(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.busy)
    }

    fn of(send: impl Fn(&Report) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { send: Box::new(send), busy: Arc::default() }
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping").finish_non_exhaustive()
    }
}
