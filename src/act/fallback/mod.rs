//! What is answered when an operation has failed: a value, what a closure makes of the failure, or the last known good
//! answer, with its age.
//!
//! A [`Fallback`] is a chain of sources, asked in their order. An [`Answer`] says whether it is fresh, and if not, where
//! it came from and because of what. Where no source has anything, the failure itself is given back.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use unattended::fallback::{Answer, Because, Fallback, LastGood};
//! use unattended::{memory::Memory, snapshots::Snapshots};
//!
//! let snapshots = Snapshots::new(Arc::new(Memory::new()));
//! let rates = Fallback::last_good(LastGood::new(&snapshots, "rates").age_max(Duration::from_secs(86_400))).or_value(1.0);
//! let because = |error: &std::io::Error| Because::of_fault(error);
//!
//! let good = rates.settle_blocking_as(Ok(1.08), because)?;
//! assert_eq!(good, Answer::Fresh(1.08));
//! let down = Err(std::io::ErrorKind::TimedOut.into());
//! let fallen = rates.settle_blocking_as(down, because)?;
//! assert_eq!((fallen.origin().map(|origin| origin.as_str()), *fallen.value()), (Some("last_good"), 1.08));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use crate::act::log;
use crate::base::explain::Explain;
use crate::base::fault::Classify;
use crate::base::text;
use crate::base::time::{Clock, System};
use crate::remember::blocking::block_on;

mod last_good;
mod over;
#[cfg(test)]
mod tests;

use last_good::Keeping;
pub use last_good::LastGood;
pub use over::Over;

/// Sources of an answer, asked in their order when the operation has failed. Share it by reference or in an `Arc`.
pub struct Fallback<T, K = System> {
    sources: Vec<Source<T>>,
    clock: K,
}

enum Source<T> {
    Value(Box<dyn Fn() -> T + Send + Sync>),
    Closure(Box<Making<T>>),
    LastGood(Box<dyn Keeping<T>>),
}

type Making<T> = dyn Fn(&Because) -> Option<T> + Send + Sync;

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The operation has succeeded, and gave this.
    Fresh(T),
    /// It has failed, and this stands in.
    Fallen {
        /// What stands in.
        value: T,
        /// Where it came from.
        from: Origin,
        /// The failure.
        because: Because,
        /// Sources that were asked before and had nothing.
        passed: Vec<Passing>,
    },
}

/// Where an answer came from that is not fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// It is the value that was given beforehand.
    Value,
    /// A closure made it of the failure.
    Closure,
    /// It is the last known good one.
    LastGood {
        /// How long ago it was good; zero when the wall clock has been set back to before that.
        age: Duration,
        /// By how much that instant lies in the future, when the wall clock has been set back.
        ahead: Option<Duration>,
    },
}

/// Why a source had nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passing {
    /// The closure has no answer to this failure.
    GaveNone,
    /// Nothing was ever kept.
    NoneKept {
        /// Under which name.
        name: String,
    },
    /// What was kept is too old.
    TooOld {
        /// How old it is.
        age: Duration,
        /// How old it may be.
        age_max: Duration,
    },
    /// What was kept cannot be read.
    Unreadable {
        /// What the store said, or what is wrong with the value.
        error: String,
    },
}

/// A failure in the terms of a fallback: its stable word and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because {
    /// The stable word.
    pub code: Cow<'static, str>,
    /// The sentence.
    pub why: String,
}

impl Because {
    /// What a reason says, such as a [`retry::Stopped`](crate::decide::retry::Stopped).
    pub fn of(reason: &impl Explain) -> Self {
        Self { code: Cow::Borrowed(reason.code()), why: reason.to_string() }
    }

    /// What an error means and says.
    pub fn of_fault(error: &(impl Classify + Display)) -> Self {
        Self { code: error.fault().code, why: error.to_string() }
    }
}

impl<T: Send + 'static> Fallback<T> {
    /// `value` itself.
    #[must_use]
    pub fn value(value: T) -> Self
    where
        T: Clone + Sync,
    {
        Self::empty().or_value(value)
    }

    /// What `make` makes of the failure; `None` when it has no answer to it.
    #[must_use]
    pub fn with(make: impl Fn(&Because) -> Option<T> + Send + Sync + 'static) -> Self {
        Self::empty().or_with(make)
    }

    /// The last answer that was good; each good one that is [settled](Self::settle) is kept.
    #[must_use]
    pub fn last_good(last: LastGood) -> Self
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        Self::empty().or_last_good(last)
    }

    const fn empty() -> Self {
        Self { sources: Vec::new(), clock: System }
    }
}

impl<T: Send + 'static, K: Clock> Fallback<T, K> {
    /// And where there is nothing, `value` itself.
    #[must_use]
    pub fn or_value(self, value: T) -> Self
    where
        T: Clone + Sync,
    {
        self.or(Source::Value(Box::new(move || value.clone())))
    }

    /// And where there is nothing, what `make` makes of the failure; `None` when it has no answer to it.
    #[must_use]
    pub fn or_with(self, make: impl Fn(&Because) -> Option<T> + Send + Sync + 'static) -> Self {
        self.or(Source::Closure(Box::new(make)))
    }

    /// And where there is nothing, the last answer that was good.
    #[must_use]
    pub fn or_last_good(self, last: LastGood) -> Self
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        self.or(Source::LastGood(Box::new(last)))
    }

    fn or(mut self, source: Source<T>) -> Self {
        self.sources.push(source);
        self
    }

    /// Judges ages by `clock`, such as a simulated one.
    #[must_use]
    pub fn on<L: Clock>(self, clock: L) -> Fallback<T, L> {
        Fallback { sources: self.sources, clock }
    }

    /// Keeps a good answer, and finds one that stands in for a failure.
    ///
    /// That a good answer could not be kept is no failure: it is logged, and told by [`not_kept`](Self::not_kept).
    ///
    /// # Errors
    ///
    /// The failure itself, when no source has an answer.
    pub async fn settle<E: Explain>(&self, result: Result<T, E>) -> Result<Answer<T>, E> {
        self.settle_as(result, Because::of).await
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn settle_blocking<E: Explain>(&self, result: Result<T, E>) -> Result<Answer<T>, E> {
        block_on(self.settle(result))
    }

    /// The same for an error that is no reason by itself; `because` puts it into words.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub async fn settle_as<E>(
        &self,
        result: Result<T, E>,
        because: impl FnOnce(&E) -> Because,
    ) -> Result<Answer<T>, E> {
        let error = match result {
            Ok(value) => {
                self.keep(&value).await;
                return Ok(Answer::Fresh(value));
            }
            Err(error) => error,
        };
        let because = because(&error);
        match self.find(&because).await {
            Ok((value, from, passed)) => {
                log::fallen(&because.code, &from);
                Ok(Answer::Fallen { value, from, because, passed })
            }
            Err(passed) => {
                passed.iter().for_each(|why| log::fallen(&because.code, why));
                Err(error)
            }
        }
    }

    /// The same, blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    pub fn settle_blocking_as<E>(
        &self,
        result: Result<T, E>,
        because: impl FnOnce(&E) -> Because,
    ) -> Result<Answer<T>, E> {
        block_on(self.settle_as(result, because))
    }

    /// Why the last good answer could not be kept, if it could not.
    #[must_use]
    pub fn not_kept(&self) -> Option<String> {
        self.sources.iter().find_map(|source| match source {
            Source::LastGood(last) => last.not_kept(),
            Source::Value(_) | Source::Closure(_) => None,
        })
    }

    /// The value is looked at before the future is made, so it need not be shared with another thread.
    fn keep(&self, value: &T) -> impl Future<Output = ()> + Send {
        let now = self.clock.now().wall;
        let keeping = self.sources.iter().filter_map(|source| match source {
            Source::LastGood(last) => Some(last.keep(value, now)),
            Source::Value(_) | Source::Closure(_) => None,
        });
        let keeping: Vec<_> = keeping.collect();
        async move {
            for keep in keeping {
                keep.await;
            }
        }
    }

    async fn find(&self, because: &Because) -> Result<(T, Origin, Vec<Passing>), Vec<Passing>> {
        let mut passed = Vec::new();
        for source in &self.sources {
            let found = match source {
                Source::Value(value) => Ok((value(), Origin::Value)),
                Source::Closure(make) => {
                    make(because).map(|value| (value, Origin::Closure)).ok_or(Passing::GaveNone)
                }
                Source::LastGood(last) => last.load(self.clock.now().wall).await,
            };
            match found {
                Ok((value, origin)) => return Ok((value, origin, passed)),
                Err(why) => passed.push(why),
            }
        }
        Err(passed)
    }
}

impl<T> Answer<T> {
    /// Whether the operation itself gave it.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh(_))
    }

    /// The value, wherever it came from.
    #[must_use]
    pub const fn value(&self) -> &T {
        match self {
            Self::Fresh(value) | Self::Fallen { value, .. } => value,
        }
    }

    /// The value, wherever it came from.
    #[must_use]
    pub fn into_value(self) -> T {
        match self {
            Self::Fresh(value) | Self::Fallen { value, .. } => value,
        }
    }

    /// Where it came from, if it is not fresh.
    #[must_use]
    pub const fn origin(&self) -> Option<Origin> {
        match self {
            Self::Fresh(_) => None,
            Self::Fallen { from, .. } => Some(*from),
        }
    }
}

impl Origin {
    /// The word for it: `value`, `closure` or `last_good`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Closure => "closure",
            Self::LastGood { .. } => "last_good",
        }
    }
}

impl Explain for Origin {
    fn code(&self) -> &'static str {
        match self {
            Self::Value => "fallback.value",
            Self::Closure => "fallback.closure",
            Self::LastGood { ahead: None, .. } => "fallback.last_good",
            Self::LastGood { ahead: Some(_), .. } => "fallback.clock_stepped_back",
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => f.write_str("the value for this case stands in"),
            Self::Closure => f.write_str("what was made of the failure stands in"),
            Self::LastGood { age, ahead: None } => {
                write!(f, "the last good answer stands in, {} old", text::about(*age))
            }
            Self::LastGood { ahead: Some(ahead), .. } => write!(
                f,
                "the last good answer stands in; it is from {} in the future, so the clock was set back, and its age counts as zero",
                text::about(*ahead)
            ),
        }
    }
}

impl Explain for Passing {
    fn code(&self) -> &'static str {
        match self {
            Self::GaveNone => "fallback.gave_none",
            Self::NoneKept { .. } => "fallback.none_kept",
            Self::TooOld { .. } => "fallback.too_old",
            Self::Unreadable { .. } => "fallback.unreadable",
        }
    }
}

impl Display for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GaveNone => f.write_str("there is no answer for this failure"),
            Self::NoneKept { name } => write!(f, "no good answer was ever kept as {name}"),
            Self::TooOld { age, age_max } => {
                let (age, age_max) = (text::about(*age), text::about(*age_max));
                write!(f, "the last good answer is {age} old, and may be {age_max} old")
            }
            Self::Unreadable { error } => write!(f, "the last good answer cannot be read: {error}"),
        }
    }
}

impl Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.why)
    }
}

impl<T, K> fmt::Debug for Fallback<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(Source::as_str).collect();
        f.debug_struct("Fallback").field("sources", &sources).finish_non_exhaustive()
    }
}

impl<T> Source<T> {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::Closure(_) => "closure",
            Self::LastGood(_) => "last_good",
        }
    }
}
