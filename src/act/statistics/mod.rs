//! How jobs and dependencies do over time, kept in the store, with a trend for each thing that can become worse.
//!
//! One failure is told by its run. That the share of failures has risen is told once, here: by [`trend`](crate::decide::trend), for
//! failures, retries, dead letters and durations, of each job and of each dependency.
//!
//! What has ended is noted in memory and written now and then: what was noted since then is lost when the process is killed. Each write
//! is made on top of what others have written, by compare-and-set, so that all processes and hosts on a store keep one statistics. An
//! alert is in the same commit as the state that remembers it, as an event of the record, before anybody is told: who dies between the
//! two has told nobody, and the event stands; nobody is told twice.
//!
//! ```
//! use std::sync::Arc;
//! use unattended::effect::Effect;
//! use unattended::job::Job;
//! use unattended::memory::Memory;
//! use unattended::pipeline::{Step, StepError};
//! use unattended::statistics::{Statistics, Stream, Subject};
//!
//! let store: Arc<dyn unattended::store::Store> = Arc::new(Memory::new());
//! let statistics = Statistics::new(Arc::clone(&store))
//!     .tell(|raised| println!("{raised}"))
//!     .build();
//! let job = Job::new("publish")
//!     .step(Step::blocking("read", Effect::Pure, |cx| match cx.input::<u64>()? {
//!         id if id > 60 => Err(StepError::permanent("feed.gone", "no feed")),
//!         id => Ok(id),
//!     }))
//!     .statistics(&statistics)
//!     .build()?;
//! for id in 0..70u64 {
//!     job.run_once_blocking(&store, &id)?;
//! }
//! let publish = statistics.read_blocking(&Subject::job("publish"))?.unwrap();
//! assert_eq!((publish.counts.ended, publish.counts.failed), (70, 9));
//! assert!(publish.open_since(Stream::Failed).is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod durations;
mod kept;
mod note;
mod raised;
#[cfg(test)]
mod tests;
mod write;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use durations::Durations;
pub use kept::{Counts, Report};
pub use note::{Ended, Stream, Subject};
pub use raised::{Raised, What};

use crate::base::park::block_on;
use crate::base::time::Now;
use crate::decide::trend;
use crate::remember::snapshots::Snapshots;
use crate::remember::store::{self, Store};
use note::{Happened, Pending};
pub(in crate::act) use write::{STORE_WAIT, not_written};

/// Why statistics could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Others wrote in between, sixteen times in a row.
    #[error("the statistics of {subject} were changed by somebody else each time")]
    Raced {
        /// Of what.
        subject: Subject,
    },
    /// The store cannot be read or written.
    #[error("the store of the statistics fails")]
    Store(#[from] store::Error),
}

/// What hears of trends.
type Tell = Arc<dyn Fn(&Raised) + Send + Sync>;

/// How jobs and dependencies do over time, in one store; see the [module](crate::act::statistics). Cheap to clone: all clones are
/// one.
#[derive(Clone)]
pub struct Statistics {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    snapshots: Snapshots,
    policy: trend::Policy,
    every: Duration,
    batch: usize,
    tell: Option<Tell>,
    pending: Mutex<Pending>,
    /// One write at a time, so that what was noted is counted in its order.
    writing: AtomicBool,
}

impl std::fmt::Debug for Statistics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statistics").field("snapshots", &self.inner.snapshots).finish_non_exhaustive()
    }
}

/// Statistics that are being described.
#[must_use = "it does nothing until it is built"]
pub struct Builder {
    store: Arc<dyn Store>,
    policy: trend::Policy,
    every: Duration,
    batch: usize,
    tell: Option<Tell>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Builder {
    /// When a share has risen; default [`trend::Policy::default`].
    pub const fn policy(mut self, policy: trend::Policy) -> Self {
        self.policy = policy;
        self
    }

    /// After how long what was noted is written, at the next end of something; default 30 s.
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Or after how many; default 64, at least 1.
    pub const fn batch(mut self, batch: usize) -> Self {
        self.batch = if batch == 0 { 1 } else { batch };
        self
    }

    /// Who is told of a trend that has become worse, and of one that has recovered, once that is written. It is called by whoever
    /// writes, so it should not take long. Without it an event and a log line tell.
    pub fn tell(mut self, tell: impl Fn(&Raised) + Send + Sync + 'static) -> Self {
        self.tell = Some(Arc::new(tell));
        self
    }

    /// The statistics. Reads nothing yet.
    #[must_use]
    pub fn build(self) -> Statistics {
        let Self { store, policy, every, batch, tell } = self;
        let (pending, writing) = (Mutex::default(), AtomicBool::new(false));
        let snapshots = Snapshots::new(Arc::clone(&store));
        Statistics {
            inner: Arc::new(Inner { store, snapshots, policy, every, batch, tell, pending, writing }),
        }
    }
}

impl Statistics {
    /// Statistics in `store`.
    #[allow(clippy::new_ret_no_self, reason = "it begins with its builder, as every policy here does")]
    pub fn new(store: Arc<dyn Store>) -> Builder {
        let (policy, every) = (trend::Policy::default(), Duration::from_secs(30));
        Builder { store, policy, every, batch: 64, tell: None }
    }

    /// Notes how something has ended; jobs and calls that were given these statistics do it by themselves. What was noted last of more
    /// than 4,096 that could not be written is kept, the others are counted as [lost](Self::lost).
    pub fn note(&self, subject: &Subject, ended: Ended, now: Now) {
        self.pending().push(subject, Happened::Ended(ended), now);
    }

    /// Notes that something was asked for once more that had been done.
    pub fn duplicate(&self, subject: &Subject, now: Now) {
        self.pending().push(subject, Happened::Duplicate, now);
    }

    /// Notes that something was not done now, for the reason with this code, and that nothing was tried. Of one subject 64 codes are
    /// told apart; what is refused by more of them is counted together, as `other`.
    pub fn refused(&self, subject: &Subject, code: impl Into<String>, now: Now) {
        self.pending().push(subject, Happened::Refused(code.into()), now);
    }

    /// Notes that somebody else took over what was worked on here.
    pub fn lease_lost(&self, subject: &Subject, now: Now) {
        self.pending().push(subject, Happened::LeaseLost, now);
    }

    /// Notes how long a step took. Of one subject 16 steps are told apart; others are not kept.
    pub fn step(&self, subject: &Subject, step: impl Into<String>, took: Duration, now: Now) {
        self.pending().push(subject, Happened::Step(step.into(), took), now);
    }

    /// Whether what was noted is to be written: there are enough, or the first is old enough.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        let pending = self.pending();
        pending.len() >= self.inner.batch
            || pending.oldest().is_some_and(|oldest| now.moment.since(oldest) >= self.inner.every)
    }

    /// How many of those noted were dropped because they could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.pending().lost()
    }

    /// Writes what was noted, and tells of the trends that have moved by it. While another thread or task is at it this does
    /// nothing.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was noted is kept for the next time. Where the store did not say whether it has
    /// written, it may be counted twice. [`Corrupt`](store::Error::Corrupt) if what stands there of a subject is no statistics, and
    /// [`Error::Raced`]; the other subjects are written all the same.
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

    /// How it did, as far as it is written; `None` if nothing is.
    ///
    /// # Errors
    /// When the store cannot be read; [`Corrupt`](store::Error::Corrupt) if what stands there is no statistics.
    pub async fn read(&self, subject: &Subject) -> Result<Option<Report>, Error> {
        Ok(self.load(subject).await?.map(|(report, _)| report))
    }

    /// As [`read`](Self::read), blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn read_blocking(&self, subject: &Subject) -> Result<Option<Report>, Error> {
        block_on(self.read(subject))
    }

    /// How everything did that is known, jobs first, by name; up to 10,000. What cannot be read is left out, and counted beside it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read_all(&self) -> Result<(Vec<Report>, u64), Error> {
        self.load_all().await
    }

    /// Forgets what was learned of a subject, and alerts that stand: what comes from now on is what is usual. The counts stay.
    /// False if nothing is known of it.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn relearn(&self, subject: &Subject) -> Result<bool, Error> {
        self.begin_anew(subject).await
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
