//! Alerts in a store, and whom they are sent to.
//!
//! Whatever ends with a person goes through [`Alerts`]: it [`raise`](Alerts::raise)s a [`Signal`], and what is to be done with it is
//! decided by [`alert`](crate::decide::alert). The state of each identity (a job or a dependency, and a code) is one record among the
//! snapshots, `alert/ID`, written only if it is as it was read, with an event in the same commit.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use unattended::alert::{Kind, Subject};
//! use unattended::memory::Memory;
//! use unattended::notify::{Alerts, Page, Signal, SinkError};
//! use unattended::time::{Clock, System};
//!
//! let pager = Arc::new(Mutex::new(Vec::new()));
//! let sent = Arc::clone(&pager);
//! let alerts = Alerts::new(Arc::new(Memory::new()))
//!     .sink("pager", move |page: &Page| -> Result<(), SinkError> {
//!         sent.lock().unwrap().push(page.text.clone());
//!         Ok(())
//!     })
//!     .build()?;
//!
//! let now = System.now();
//! let signal = Signal::new(Subject::job("mail"), Kind::Overdue, "heartbeat.overdue", "it is silent", now.wall);
//! let _decision = alerts.raise_blocking(&signal, now)?;
//! let _decision = alerts.raise_blocking(&signal, now)?;
//! assert_eq!(alerts.send_blocking(now)?.pages, 1);
//! assert!(pager.lock().unwrap()[0].contains("it is silent"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Written before it is sent
//!
//! A page is part of the alert's record until it was sent: a process that dies in between leaves it to whoever calls
//! [`send`](Alerts::send) next. Two that do so at once send it once, since each takes the alert by a lease; one that is killed after a
//! page has left and before that is written sends it again: at least once. A sink that fails is tried again by later passes, after 30 s
//! and then after twice as long, at most an hour; the others are not held up, and what they took is not sent to them twice.
//!
//! A process without sinks leaves all pages to one that has some. All that have some should have the same: a page has been sent when
//! every sink of the process that sends it has taken it.
//!
//! # What nobody raised
//!
//! A process that is killed raises nothing. [`take_in_runs`](Alerts::take_in_runs) looks for runs that have failed for good or ask a
//! person and were not told, and raises each once, in the same commit as a mark on the run. `tick` does that, and then
//! [`send`](Alerts::send)s.

mod heard;
mod kept;
mod outbox;
mod page;
mod raise;
mod send;
mod settle;
mod signal;
mod sink;
mod taking;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use heard::{Heard, Sign};
pub use kept::Entry;
pub use page::{Page, TEST_CODE};
pub use send::Sent;
pub use signal::Signal;
#[cfg(all(feature = "process", unix))]
pub use sink::Command;
#[cfg(feature = "webhook")]
pub use sink::Webhook;
pub use sink::{File, Sink, SinkError};
pub use taking::TakenIn;

use crate::base::park::block_on;
use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::alert::{Decision, Policy, Rule, State, Subject};
use crate::remember::runs::{self, Run};
use crate::remember::store::{self, Store};
use sink::Outlet;

/// The most sinks that alerts can have.
pub const SINKS_MAX: usize = 16;

/// Why alerts could not be built, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its bounds.
    #[error("alerts: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// There is no such alert.
    #[error("there is no alert {given:?}")]
    NoSuchAlert {
        /// What was asked for.
        given: String,
    },
    /// More than one alert is meant.
    #[error("{given:?} is the end of several alerts: {}", .matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        given: String,
        /// Some of those that it may mean.
        matches: Vec<String>,
    },
    /// The alert is over.
    #[error("the alert {id} is resolved already")]
    Over {
        /// Which.
        id: String,
    },
    /// Others wrote in between, each time.
    #[error("the alert {id} was changed by somebody else each time")]
    Raced {
        /// Which.
        id: String,
    },
    /// A run cannot be read or written.
    #[error("a run of the alerts cannot be used")]
    Run(#[from] runs::Error),
    /// The store cannot be read or written.
    #[error("the store of the alerts fails")]
    Store(#[from] store::Error),
}

/// What is known of a job or a dependency for those who are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// When its dead letters are paged.
    pub rule: Rule,
    /// Who sees to it.
    pub owner: Option<String>,
    /// Where it says what to do.
    pub runbook: Option<String>,
}

/// The alerts in a store; see the [module](crate::act::notify). Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Alerts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    policy: Policy,
    outlets: Vec<Outlet>,
    about: BTreeMap<Subject, About>,
    program: String,
    /// Whose success would heal an alert, as of when that was read.
    open: Mutex<Option<(Moment, HashSet<Subject>)>>,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("policy", &self.inner.policy).finish_non_exhaustive()
    }
}

/// Alerts that are being described.
#[must_use = "it does nothing until it is built"]
pub struct Builder {
    store: Arc<dyn Store>,
    policy: Policy,
    sinks: Vec<(String, Arc<dyn Sink>)>,
    timeout: Duration,
    about: BTreeMap<Subject, About>,
    program: String,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Builder {
    /// How often a person is told; default [`Policy::default`].
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where pages go; at most 16, each with a name of its own.
    pub fn sink(mut self, name: impl Into<String>, sink: impl Sink) -> Self {
        self.sinks.push((name.into(), Arc::new(sink)));
        self
    }

    /// How long a sink may take for a page, 1 ms to 10 min; default 30 s. One that takes longer is taken to have failed, and is not
    /// asked again while it still hangs. Those that come with the library have shorter time-outs of their own.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What is known of the job called `name`.
    pub fn job(mut self, name: impl Into<String>, about: About) -> Self {
        self.about.insert(Subject::job(name), about);
        self
    }

    /// What is known of the dependency called `name`.
    pub fn dependency(mut self, name: impl Into<String>, about: About) -> Self {
        self.about.insert(Subject::dependency(name), about);
        self
    }

    /// What is typed before a verb in the command that a page ends with; default `unattended`.
    pub fn program(mut self, program: &str) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// Checks it. Reads nothing yet.
    ///
    /// # Errors
    /// [`Error::Field`] for what is out of its bounds.
    pub fn build(self) -> Result<Alerts, Error> {
        let field =
            |field, given: String, allowed: &str| Error::Field { field, given, allowed: allowed.into() };
        if self.sinks.len() > SINKS_MAX {
            return Err(field("sinks", self.sinks.len().to_string(), "at most 16"));
        }
        if self.timeout < Duration::from_millis(1) || self.timeout > Duration::from_secs(600) {
            return Err(field("timeout", format!("{:?}", self.timeout), "1 ms to 10 min"));
        }
        let mut names = HashSet::new();
        for (name, _) in &self.sinks {
            if name.is_empty() || name.len() > 100 || !names.insert(name.clone()) {
                return Err(field("sink", format!("{name:?}"), "a name of its own of 1 to 100 bytes"));
            }
        }
        let outlets =
            self.sinks.into_iter().map(|(name, sink)| Outlet::new(name, sink, self.timeout)).collect();
        let Self { store, policy, about, program, .. } = Self { sinks: Vec::new(), ..self };
        Ok(Alerts {
            inner: Arc::new(Inner { store, policy, outlets, about, program, open: Mutex::default() }),
        })
    }
}

/// Which alerts a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these states; empty means any.
    pub states: Vec<State>,
    /// Only those of this job.
    pub job: Option<String>,
}

impl Filter {
    /// Those that are not over.
    #[must_use]
    pub fn open() -> Self {
        Self { states: vec![State::Open, State::Acknowledged], job: None }
    }
}

impl Alerts {
    /// Alerts in `store`.
    #[allow(clippy::new_ret_no_self, reason = "it begins with its builder, as statistics do")]
    pub fn new(store: Arc<dyn Store>) -> Builder {
        Builder {
            store,
            policy: Policy::default(),
            sinks: Vec::new(),
            timeout: Duration::from_secs(30),
            about: BTreeMap::new(),
            program: String::from("unattended"),
        }
    }

    /// Whether there is anybody to send to.
    #[must_use]
    pub fn has_sinks(&self) -> bool {
        !self.inner.outlets.is_empty()
    }

    /// Something has happened that may end with a person: it is written, and what is to be done is decided. Sends nothing yet.
    ///
    /// # Errors
    /// When the store cannot be read or written; [`Error::Raced`].
    pub async fn raise(&self, signal: &Signal, now: Now) -> Result<Decision, Error> {
        self.raise_with(signal, None, now).await
    }

    /// As [`raise`](Self::raise), of something that stands: it happens once, until it is over.
    ///
    /// # Errors
    /// As there.
    pub async fn stands(&self, signal: &Signal, now: Now) -> Result<Decision, Error> {
        self.raise_standing(signal, now).await
    }

    /// Something is well again. How many alerts that concerned; they are over after a [healthy
    /// time](crate::decide::alert::Builder::healthy_for).
    ///
    /// # Errors
    /// As [`raise`](Self::raise).
    pub async fn healthy(&self, subject: &Subject, sign: Sign<'_>, now: Now) -> Result<usize, Error> {
        self.well(subject, sign, now).await
    }

    /// Takes in what others have heard: a monitor, statistics.
    ///
    /// # Errors
    /// As [`raise`](Self::raise).
    pub async fn hear(&self, heard: &Heard, now: Now) -> Result<(), Error> {
        self.take_in(heard, now).await
    }

    /// Raises each run that failed for good or asks a person, was not reviewed, and was not raised before; and sees which alerts are
    /// over since their run or their job is well. Several processes may do so at once.
    ///
    /// Looks at some thousand runs at most; where there are more the next call goes on.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn take_in_runs(&self, now: Now) -> Result<TakenIn, Error> {
        self.look_through_runs(now).await
    }

    /// Raises this run, if it failed for good or asks a person and was not raised before.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn take_in_run(&self, run: &Run, now: Now) -> Result<Option<Decision>, Error> {
        self.raise_run(run, now).await
    }

    /// Sees what is over or to be told again, and sends what was not sent.
    ///
    /// # Errors
    /// When the store cannot be read or written. That a sink fails is no error: it is in the answer, and tried again later.
    pub async fn send(&self, now: Now) -> Result<Sent, Error> {
        self.settle(now).await?;
        self.send_all(now).await
    }

    /// Sends a test page to each sink at once, and gives what each said. Writes nothing.
    pub async fn test(&self, now: Now) -> Vec<(String, Result<(), SinkError>)> {
        self.send_test(now).await
    }

    /// Up to `limit` alerts, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Entry>, Error> {
        self.entries(filter, limit).await
    }

    /// The alert that a person meant: by its id, a unique end of it of at least four letters, or its subject
    /// (`job:backup`) where only one of that is not over.
    ///
    /// # Errors
    /// [`Error::NoSuchAlert`], [`Error::Ambiguous`], or when the store cannot be read.
    pub async fn find(&self, given: &str) -> Result<Entry, Error> {
        self.find_entry(given).await
    }

    /// Somebody (`by`: `operator:NAME`) sees to it, until `until` or until it is over: it is not paged meanwhile.
    ///
    /// # Errors
    /// As [`find`](Self::find); [`Error::Over`] for one that is resolved; when the store cannot be written.
    pub async fn ack(
        &self,
        given: &str,
        until: Option<Timestamp>,
        by: &str,
        now: Now,
    ) -> Result<Entry, Error> {
        self.acknowledge(given, until, by, now).await
    }
}

/// The same, blocking the thread.
impl Alerts {
    /// As [`raise`](Self::raise).
    ///
    /// # Errors
    /// As there.
    pub fn raise_blocking(&self, signal: &Signal, now: Now) -> Result<Decision, Error> {
        block_on(self.raise(signal, now))
    }

    /// As [`stands`](Self::stands).
    ///
    /// # Errors
    /// As there.
    pub fn stands_blocking(&self, signal: &Signal, now: Now) -> Result<Decision, Error> {
        block_on(self.stands(signal, now))
    }

    /// As [`healthy`](Self::healthy).
    ///
    /// # Errors
    /// As there.
    pub fn healthy_blocking(&self, subject: &Subject, sign: Sign<'_>, now: Now) -> Result<usize, Error> {
        block_on(self.healthy(subject, sign, now))
    }

    /// As [`hear`](Self::hear).
    ///
    /// # Errors
    /// As there.
    pub fn hear_blocking(&self, heard: &Heard, now: Now) -> Result<(), Error> {
        block_on(self.hear(heard, now))
    }

    /// As [`take_in_runs`](Self::take_in_runs).
    ///
    /// # Errors
    /// As there.
    pub fn take_in_runs_blocking(&self, now: Now) -> Result<TakenIn, Error> {
        block_on(self.take_in_runs(now))
    }

    /// As [`send`](Self::send).
    ///
    /// # Errors
    /// As there.
    pub fn send_blocking(&self, now: Now) -> Result<Sent, Error> {
        block_on(self.send(now))
    }

    /// As [`test`](Self::test).
    pub fn test_blocking(&self, now: Now) -> Vec<(String, Result<(), SinkError>)> {
        block_on(self.test(now))
    }

    /// As [`list`](Self::list).
    ///
    /// # Errors
    /// As there.
    pub fn list_blocking(&self, filter: &Filter, limit: u32) -> Result<Vec<Entry>, Error> {
        block_on(self.list(filter, limit))
    }

    /// As [`ack`](Self::ack).
    ///
    /// # Errors
    /// As there.
    pub fn ack_blocking(
        &self,
        given: &str,
        until: Option<Timestamp>,
        by: &str,
        now: Now,
    ) -> Result<Entry, Error> {
        block_on(self.ack(given, until, by, now))
    }
}
