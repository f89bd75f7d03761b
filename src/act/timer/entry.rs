//! Puts a timer together, and refuses what could not work.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::job::{Job, Terms};
use crate::act::timer::work::{Submission, Work, occasion_key};
use crate::act::timer::{Event, Observer, Occasion, Timer};
use crate::base::time::Timestamp;
use crate::decide::schedule::{self, Policy, Schedule, Ticker};
use crate::decide::window::Window;
use crate::remember::store::Store;

/// The most entries of one timer.
const ENTRIES_MAX: usize = 1000;

/// A schedule, and what is done each time.
pub struct Entry {
    name: Arc<str>,
    schedule: Schedule,
    policy: Policy,
    window: Option<Window>,
    since: Option<Timestamp>,
    work: Option<Work>,
    terms: Option<TermsOf>,
}

type TermsOf = Arc<dyn Fn(&Occasion) -> Terms + Send + Sync>;

impl Entry {
    /// Begins an entry. Its name is the one under which its state is saved, and which its events have.
    pub fn new(name: impl Into<String>, schedule: Schedule) -> Self {
        let name: String = name.into();
        Self {
            name: name.into(),
            schedule,
            policy: Policy::new(),
            window: None,
            since: None,
            work: None,
            terms: None,
        }
    }

    /// What becomes of missed occurrences, and of those that overlap. Default: [`Policy::new`].
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Begins only while the window is open. What becomes due while it is closed counts as missed: when it opens, the
    /// policy says what becomes of it.
    #[must_use]
    pub fn during(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// Occurrences after this instant count, the first time that the entry is seen. Default: those after that.
    #[must_use]
    pub const fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }

    /// Does `work` each time. Replaced by its successor, or at the end of the grace, the future is dropped.
    #[must_use]
    pub fn run<F, Fut, E>(mut self, work: F) -> Self
    where
        F: Fn(Occasion) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.work = Some(Work::future(work));
        self
    }

    /// Does `work`, which blocks its thread, each time. It is asked to stop by [`Occasion::stop`]; a successor that is to
    /// replace it waits for its end.
    #[must_use]
    pub fn run_blocking<F, E>(mut self, work: F) -> Self
    where
        F: Fn(Occasion) -> Result<(), E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.work = Some(Work::blocking(work));
        self
    }

    /// Submits a run of `job` each time, for a worker; a [pass](Timer::pass_blocking) works it off itself. Needs
    /// [`Builder::saved_in`].
    ///
    /// A job without a key of its own gets one of the entry's name and the occurrence's nominal time, so that two
    /// processes, or one that dies between the submission and its note of it, submit it once. The run before counts as under
    /// way until it has ended or waits for a person; one that is replaced, until its worker has stopped.
    #[must_use]
    pub fn job<I, F>(mut self, job: Job, input: F) -> Self
    where
        I: Serialize,
        F: Fn(&Occasion) -> I + Send + Sync + 'static,
    {
        let input = move |occasion: &Occasion| {
            serde_json::value::to_raw_value(&input(occasion)).map_err(|error| error.to_string())
        };
        let submission = Submission { job, input: Arc::new(input) };
        self.work = Some(Work::Job(Arc::new(submission)));
        self
    }

    /// On what terms the runs of a [job](Self::job) are submitted: until when they are worth doing, for example.
    #[must_use]
    pub fn terms(mut self, terms: impl Fn(&Occasion) -> Terms + Send + Sync + 'static) -> Self {
        self.terms = Some(Arc::new(terms));
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn named(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) const fn overlap(&self) -> schedule::Overlap {
        self.policy.what_overlaps()
    }

    pub(super) const fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    pub(super) const fn work(&self) -> Option<&Work> {
        self.work.as_ref()
    }

    pub(super) fn terms_of(&self, occasion: &Occasion) -> Terms {
        self.terms.as_ref().map(|terms| terms(occasion)).unwrap_or_default()
    }

    pub(super) fn ticker(&self, now: Timestamp) -> Result<Ticker, schedule::Error> {
        let ticker = Ticker::new(&*self.name, self.schedule.clone(), self.policy, self.since.unwrap_or(now))?;
        Ok(ticker.trusting(self.since.unwrap_or(Timestamp::MIN_UTC)))
    }

    pub(super) fn restored(
        &self,
        saved: &schedule::Snapshot,
        now: Timestamp,
    ) -> Result<(Ticker, Vec<schedule::Noticed>), schedule::Error> {
        let since = self.since.unwrap_or(Timestamp::MIN_UTC);
        Ticker::restore_trusting(self.schedule.clone(), self.policy, saved, since, now)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("schedule", &self.schedule.to_string())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A timer that is being put together.
#[must_use = "a timer is not built until build() is called"]
pub struct Builder {
    entries: Vec<Entry>,
    store: Option<Arc<dyn Store>>,
    grace: Duration,
    observe: Option<Observer>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), store: None, grace: Duration::from_secs(30), observe: None }
    }

    /// Adds an entry.
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Remembers in `store` which occurrences were run, for the next process and for others that run the same entries now.
    /// Without it what is missed while no process runs is not known.
    pub fn saved_in(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// How long what runs may go on when an end is asked for. Default: 30 s.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Is told what happens, with the entry's name. It must not block.
    pub fn observe(mut self, observe: impl Fn(&str, &Event) + Send + Sync + 'static) -> Self {
        self.observe = Some(Arc::new(observe));
        self
    }

    /// The timer.
    ///
    /// # Errors
    /// [`BuildError`] with the field, what was given and what is allowed.
    pub fn build(self) -> Result<Timer, BuildError> {
        if self.entries.is_empty() || self.entries.len() > ENTRIES_MAX {
            return Err(invalid("entries", self.entries.len(), format!("1 to {ENTRIES_MAX}")));
        }
        let mut names = HashSet::new();
        for entry in &self.entries {
            entry
                .ticker(Timestamp::UNIX_EPOCH)
                .map_err(|source| BuildError::Schedule { of: entry.name().to_owned(), source })?;
            if entry.name().contains(char::is_control)
                || occasion_key(&entry.name, Timestamp::MAX_UTC).is_err()
            {
                let allowed = "a name without control characters that fits a key";
                return Err(invalid("entry.name", format!("{:?}", entry.name()), allowed));
            }
            if !names.insert(entry.name()) {
                return Err(invalid("entry.name", entry.name(), "each name once"));
            }
            match &entry.work {
                None => {
                    return Err(invalid(
                        "entry.work",
                        "none",
                        format!("run, run_blocking or job, for {}", entry.name()),
                    ));
                }
                Some(Work::Job(_)) if self.store.is_none() => {
                    return Err(invalid(
                        "saved_in",
                        "none",
                        format!("a store, as {} submits a job", entry.name()),
                    ));
                }
                Some(_) => {}
            }
        }
        let entries = self.entries.into_iter().map(Arc::new).collect();
        Ok(Timer { entries, store: self.store, grace: self.grace, observe: self.observe })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// The timer could not work as it was put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A field is outside its bounds.
    #[error("{field} is {given}; allowed is {allowed}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// The schedule of an entry cannot work.
    #[error("the schedule of {of}")]
    Schedule {
        /// The entry.
        of: String,
        /// What is wrong with it.
        #[source]
        source: schedule::Error,
    },
}

fn invalid(field: &'static str, given: impl ToString, allowed: impl ToString) -> BuildError {
    BuildError::Invalid { field, given: given.to_string(), allowed: allowed.to_string() }
}
