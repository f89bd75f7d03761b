//! Who watches: heartbeats in a store, what is judged of them, and what is told.
//!
//! A [`Monitor`] knows which jobs are declared and when each is expected to succeed ([`heartbeat`](crate::decide::heartbeat)). Their
//! beats come from wherever they run: a [`Pulse`] notes in memory and is written now and then, [`beat`](Monitor::beat) writes at once.
//! A [`check`](Monitor::check), by a cron process or a service that makes one each minute, takes in what has come, judges what has not,
//! asks the probes and systemd's timers, and gives one [`Report`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use unattended::heartbeat::{Beat, Policy};
//! use unattended::memory::Memory;
//! use unattended::monitor::{Answer, Monitor};
//! use unattended::time::{Clock, System};
//!
//! let store: Arc<dyn unattended::store::Store> = Arc::new(Memory::new());
//! let hour = Duration::from_secs(3600);
//! let monitor = Monitor::new(store, "office")
//!     .expect("backup", Policy::every(24 * hour).run_max(2 * hour))
//!     .expect("mail", Policy::every(hour))
//!     .probe("shop", Duration::from_secs(5), || Answer::Ok)
//!     .on_event(|raised| println!("{raised}"))
//!     .build()?;
//!
//! let now = System.now();
//! monitor.beat_blocking("backup", now, Beat::succeeded())?;
//! let report = monitor.check_blocking(now)?;
//! assert_eq!(report.exit_code(), 0);
//!
//! // Two hours later nothing was heard of the mail.
//! let report = monitor.check_blocking(now.after(2 * hour))?;
//! assert_eq!(report.exit_code(), 0, "nobody looked in between: it is given a chance");
//! let report = monitor.check_blocking(now.after(3 * hour))?;
//! assert_eq!(report.exit_code(), 2);
//! assert!(report.to_string().contains("mail"), "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Told once
//!
//! Each heartbeat is one record, `heartbeat/MONITOR/JOB` among the snapshots, written when it changes and only if it is still as it was
//! read; an event is in the same commit as the state that remembers it. So a monitor that is killed, restarted, or runs twice tells each
//! change once: [`on_event`](Builder::on_event) is called by whoever has written it. Who dies between the two has told nobody, and the
//! event stands in the store. A check in which nothing has changed writes nothing, but for when was last looked, at most once a
//! [`tick`](Builder::tick).
//!
//! # What the monitor could not see
//!
//! What came while it was away is in the store and read first. What fell due meanwhile is judged a grace later, and the report says
//! from when to when nobody looked. Before a job is called late or overdue its runs in the same store are looked at: one that has
//! succeeded is a beat, though nobody sent it.
//!
//! # Who watches the watcher
//!
//! A monitor that is dead says nothing either. After each check that was complete a [`Ping`] goes out, to whoever misses it: a file whose
//! age somebody looks at, or a closure. With a client of HTTP and a service that waits for it, such as healthchecks.io:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use unattended::monitor::{Monitor, Ping};
//! # struct Client; impl Client { fn get(&self, _: &str) -> Result<(), std::io::Error> { Ok(()) } }
//! # let store: Arc<dyn unattended::store::Store> = Arc::new(unattended::memory::Memory::new());
//! # let client = Client;
//! let monitor = Monitor::new(store, "office")
//!     .ping(Ping::call(move |_report| client.get("https://hc-ping.com/UUID")))
//!     .ping(Ping::file("/run/office/monitor.alive"))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There is none where the store could not be read.

mod asked;
mod build;
mod check;
mod kept;
mod living;
mod machine;
mod note;
mod ping;
mod raised;
mod report;
mod sight;
mod timers;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use asked::{Answer, ProbeStatus, Service, Turned};
pub use build::{Builder, JOBS_MAX, NAME_MAX};
pub use living::Living;
#[cfg(all(feature = "process", unix))]
pub use machine::Systemctl;
pub(in crate::act) use note::Beside;
pub use note::Pulse;
pub use ping::Ping;
pub use raised::{Raised, What};
pub use report::{Entry, Finding, Level, Report};
pub use timers::{NoTimers, TimerUnit, Timers, parse_timers};

use crate::base::park::block_on;
use crate::base::time::Now;
use crate::decide::heartbeat::{self, Beat};
use crate::remember::store::{self, Store};
use build::Inner;

/// Why a monitor could not be built, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its bounds.
    #[error("monitor: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// The policy of a job is not possible.
    #[error("the job {job}")]
    Policy {
        /// Which job.
        job: String,
        /// What is wrong with it.
        source: heartbeat::Error,
    },
    /// Heartbeats of so many jobs that nobody declared are kept already.
    #[error(
        "nobody declared {job}, and the heartbeats of {kept} undeclared jobs are kept already, at most {allowed}"
    )]
    TooManyUndeclared {
        /// Which job.
        job: String,
        /// How many there are.
        kept: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// Others wrote in between, sixteen times in a row.
    #[error("the heartbeat of {job} was changed by somebody else each time")]
    Raced {
        /// Which.
        job: String,
    },
    /// The store cannot be read or written.
    #[error("the store of the monitor fails")]
    Store(#[from] store::Error),
}

impl Error {
    fn field(field: &'static str, given: impl ToString, allowed: impl Into<String>) -> Self {
        Self::Field { field, given: given.to_string(), allowed: allowed.into() }
    }
}

/// Watches jobs by their heartbeats; see the [module](crate::act::monitor). Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Monitor {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Monitor {
    /// A monitor called `name` in `store`. Those of one name share what they know, also on several hosts; they should declare the
    /// same jobs.
    #[allow(clippy::new_ret_no_self, reason = "it begins with its builder, as statistics do")]
    pub fn new(store: Arc<dyn Store>, name: impl Into<String>) -> Builder {
        Builder::new(store, name.into())
    }

    /// The names of the monitors whose heartbeats are in `store`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn names(store: &Arc<dyn Store>) -> Result<BTreeSet<String>, Error> {
        Ok(kept::monitors(&**store).await?)
    }

    /// Whether somebody has said when a job is expected: here, or beside its heartbeat in the store.
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub async fn is_declared(&self, name: &str) -> Result<bool, Error> {
        let stored = self.inner.load(name).await?.0.is_some_and(|known| known.policy.is_some());
        Ok(stored || self.inner.jobs.contains_key(name))
    }

    /// How a job stands by what is written, without being judged; `None` if it is not known, or forgotten.
    ///
    /// # Errors
    /// When the store cannot be read; [`Corrupt`](store::Error::Corrupt) if what stands there is no heartbeat.
    pub async fn status(&self, name: &str) -> Result<Option<heartbeat::Status>, Error> {
        Ok(self.inner.load(name).await?.0.map(|known| known.heart.status()))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the job called `name` beats with.
    ///
    /// # Errors
    /// [`Error::Field`] for a name that is not 1 to 200 bytes long, or has a NUL in it.
    pub fn pulse(&self, name: impl Into<String>) -> Result<Pulse, Error> {
        let name = build::job_name(name.into())?;
        Ok(Pulse { inner: Arc::clone(&self.inner), name: name.into() })
    }

    /// Writes at once what was heard of a job at `now`. One that nobody declared is kept and reported.
    ///
    /// # Errors
    /// [`Error::Field`] for a name that is none, [`Error::TooManyUndeclared`]. When the store cannot be read or written the beat is
    /// kept in memory for the next [`flush`](Self::flush).
    pub async fn beat(&self, name: &str, now: Now, beat: Beat) -> Result<(), Error> {
        self.beat_at_once(name, now, beat).await
    }

    /// As [`beat`](Self::beat), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn beat_blocking(&self, name: &str, now: Now, beat: Beat) -> Result<(), Error> {
        block_on(self.beat(name, now, beat))
    }

    /// Whether what was noted is to be written: there is enough, or the first is old enough.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        let pending = self.inner.pending();
        pending.len() >= self.inner.batch
            || pending.oldest().is_some_and(|oldest| now.moment.since(oldest) >= self.inner.every)
    }

    /// How many beats were dropped because they could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.inner.pending().lost()
    }

    /// Writes what was noted, and tells what has changed by it. While another thread or task is at it this does nothing.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was noted is kept for the next time.
    /// [`Corrupt`](store::Error::Corrupt) if what stands there of a job is no heartbeat, [`Error::Raced`] and
    /// [`Error::TooManyUndeclared`]; the other jobs are written all the same.
    pub async fn flush(&self) -> Result<(), Error> {
        self.write().await.map(drop)
    }

    /// As [`flush`](Self::flush), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn flush_blocking(&self) -> Result<(), Error> {
        block_on(self.flush())
    }

    /// Takes in what has come, judges what has not, asks probes and timers, tells what has changed, and pings. Where nothing is declared
    /// here, it reports what others judged.
    ///
    /// Probes have threads of their own and real time-outs; the future completes on any executor.
    ///
    /// # Errors
    /// When the store cannot be read or written: then nobody knows, and there is no ping. What is wrong with one job is in the report.
    pub async fn check(&self, now: Now) -> Result<Report, Error> {
        self.check_all(now).await
    }

    /// As [`check`](Self::check), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn check_blocking(&self, now: Now) -> Result<Report, Error> {
        block_on(self.check(now))
    }

    /// How the jobs stand at `now`: as [`check`](Self::check), but nothing is written or told, no probe is asked, and what fell due
    /// while nobody looked gets no second chance. For who only wants to look.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn peek(&self, now: Now) -> Result<Report, Error> {
        self.standing(now).await
    }

    /// As [`peek`](Self::peek), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn peek_blocking(&self, now: Now) -> Result<Report, Error> {
        block_on(self.peek(now))
    }

    /// Forgets a job that is no longer declared: it is not reported any more, until it beats again. False if it is not known.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn forget(&self, name: &str) -> Result<bool, Error> {
        self.forget_job(name).await
    }
}
