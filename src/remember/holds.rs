//! Switches that a person sets: what is held, until when, why and by whom.
//!
//! A hold routes around a failure without a new release. While a job is held none of its runs is begun; while a dependency is held no
//! call is made to it by whoever shares or persists its state in the store. What is refused is put down until then, with the reason
//! that the person gave, and no attempt is used up. When a hold is released, what it had put down is due at once.
//!
//! A breaker can be forced: [`Open`](Forced::Open) refuses as a hold does, and says that it is the breaker;
//! [`Closed`](Forced::Closed) lets every call in, whatever the breaker has counted. Either wins over the breaker's own state.
//!
//! Each switch is one record among the snapshots, `hold/job/NAME`, `hold/dependency/NAME`, `breaker-forced/NAME`, and each turn of
//! one is an event of it: who, what, why.
//!
//! ```
//! use std::sync::Arc;
//! use unattended::alert::Subject;
//! use unattended::blocking::block_on;
//! use unattended::holds::{Held, Holds};
//! use unattended::memory::Memory;
//! use unattended::time::{Clock, System};
//!
//! let holds = Holds::new(Arc::new(Memory::new()));
//! let (mail, now) = (Subject::dependency("mail"), System.now().wall);
//! block_on(holds.hold(&mail, &Held::new("operator:ada", "they migrate", now)))?;
//! assert_eq!(block_on(holds.check(&mail, now))?.unwrap().reason, "they migrate");
//! block_on(holds.release(&mail, "operator:ada", "they are done", now))?;
//! assert_eq!(block_on(holds.check(&mail, now))?, None);
//! # Ok::<(), unattended::store::Error>(())
//! ```

mod kept;
mod watched;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::handover::HandedOver;
use crate::base::subject::Subject;
use crate::base::text::second;
use crate::base::time::{Timestamp, later};
use crate::remember::runs::{Runs, Word};
use crate::remember::store::{Error, Store};

pub(crate) use kept::{Kept, name_of_forced, name_of_hold};
pub use watched::InForce;
pub(crate) use watched::Watched;

/// How long a reason may be, in bytes; what is longer is cut.
pub const REASON_MAX: usize = 1000;
/// How soon what is held without an end is asked for again.
pub const ASK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// That something is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Until when; without an end, until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// By whom, as events name them: `operator:NAME`.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

impl Held {
    /// Held by somebody from `at` on, without an end.
    #[must_use]
    pub fn new(by: impl Into<String>, reason: impl Into<String>, at: Timestamp) -> Self {
        Self { until: None, reason: reason.into(), by: by.into(), at }
    }

    /// The same until `until`.
    #[must_use]
    pub const fn until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// When asking again makes sense: at its end, or in a minute.
    #[must_use]
    pub fn retry_at(&self, now: Timestamp) -> Timestamp {
        self.until.unwrap_or_else(|| later(now, ASK_AGAIN))
    }
}

/// How a breaker is forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forced {
    /// Nothing is let in.
    Open,
    /// Everything is let in.
    Closed,
}

impl Forced {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What kind of switch it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// A hold.
    Hold,
    /// A breaker that is forced.
    Breaker(Forced),
}

/// A switch that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// What it is about.
    pub subject: Subject,
    /// What it does.
    pub switch: Switch,
    /// Since when, until when, why, by whom.
    pub held: Held,
}

impl Standing {
    /// That nothing is begun because of it, with when to ask again.
    #[must_use]
    pub(crate) fn handed_over(&self, now: Timestamp) -> HandedOver {
        HandedOver::new(self.code(), self.to_string(), self.held.retry_at(now))
    }
}

impl Explain for Standing {
    fn code(&self) -> &'static str {
        match (self.switch, &self.subject) {
            (Switch::Hold, Subject::Job(_)) => "hold.job",
            (Switch::Hold, Subject::Dependency(_)) => "hold.dependency",
            (Switch::Breaker(Forced::Open), _) => "breaker.forced_open",
            (Switch::Breaker(Forced::Closed), _) => "breaker.forced_closed",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { until, reason, by, .. } = &self.held;
        match self.switch {
            Switch::Hold => write!(f, "{} is held by {by}", self.subject)?,
            Switch::Breaker(forced) => {
                write!(f, "the breaker of {} is forced {} by {by}", self.subject, forced.as_str())?;
            }
        }
        match until {
            Some(until) => write!(f, " until {}", second(*until))?,
            None => f.write_str(" until it is released")?,
        }
        if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
    }
}

/// The switches in a store. Cheap to clone.
#[derive(Clone)]
pub struct Holds {
    store: Arc<dyn Store>,
}

impl fmt::Debug for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holds").field("store", &self.store.caps().name).finish()
    }
}

impl Holds {
    /// The switches in `store`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Holds a job or a dependency; one that is held already is held anew. What was held before, if it was.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn hold(&self, subject: &Subject, held: &Held) -> Result<Option<Held>, Error> {
        self.set(subject, Switch::Hold, held).await.map(|before| before.map(|standing| standing.held))
    }

    /// Lets a job or a dependency go; what its hold had put down is due at once. What was held, if it was.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn release(
        &self,
        subject: &Subject,
        by: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<Held>, Error> {
        let before = self.clear(&name_of_hold(subject), by, why, now).await?;
        if let Some(standing) = &before {
            self.due_at_once(standing, by, now).await?;
        }
        Ok(before.map(|standing| standing.held))
    }

    /// The hold of a job or a dependency that is in force at `now`. For code that the library does not call: what is held should not
    /// be begun.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check(&self, subject: &Subject, now: Timestamp) -> Result<Option<Held>, Error> {
        let found = self.load(&name_of_hold(subject)).await?;
        Ok(found.map(|(standing, _)| standing.held).filter(|held| !held.is_over(now)))
    }

    /// As [`check`](Self::check), also of a hold whose time is over and that nobody has released.
    ///
    /// # Errors
    /// As there.
    pub async fn get(&self, subject: &Subject) -> Result<Option<Held>, Error> {
        Ok(self.load(&name_of_hold(subject)).await?.map(|(standing, _)| standing.held))
    }

    /// All switches that are in force at `now`, by their subject; at most some ten thousand.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, now: Timestamp) -> Result<Vec<Standing>, Error> {
        let mut standing = self.scan().await?;
        standing.retain(|standing| !standing.held.is_over(now));
        standing.sort_by(|a, b| a.subject.cmp(&b.subject));
        Ok(standing)
    }

    /// Forces the breaker of a dependency. How it was forced before, if it was.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn force(
        &self,
        dependency: &str,
        forced: Forced,
        held: &Held,
    ) -> Result<Option<Standing>, Error> {
        let before = self.set(&Subject::dependency(dependency), Switch::Breaker(forced), held).await?;
        if let Some(before) = before.as_ref().filter(|_| forced == Forced::Closed) {
            self.due_at_once(before, &held.by, held.at).await?;
        }
        Ok(before)
    }

    /// Lets the breaker of a dependency decide by itself again. How it was forced, if it was.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn auto(
        &self,
        dependency: &str,
        by: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<Standing>, Error> {
        let before = self.clear(&name_of_forced(dependency), by, why, now).await?;
        if let Some(standing) = &before {
            self.due_at_once(standing, by, now).await?;
        }
        Ok(before)
    }

    /// How the breaker of a dependency is forced at `now`, if it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn forced(&self, dependency: &str, now: Timestamp) -> Result<Option<Standing>, Error> {
        let found = self.load(&name_of_forced(dependency)).await?;
        Ok(found.map(|(standing, _)| standing).filter(|standing| !standing.held.is_over(now)))
    }

    /// What a switch had put down is due now.
    async fn due_at_once(&self, standing: &Standing, by: &str, at: Timestamp) -> Result<(), Error> {
        let runs = Runs::new(Arc::clone(&self.store));
        runs.let_go(standing.code(), &standing.subject, Word { by, why: "", at }).await
    }
}
