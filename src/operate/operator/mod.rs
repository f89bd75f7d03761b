//! The operator's verbs as plain functions over any store: what the command line prints, code can ask for too.

mod error;
mod keep;
mod replay;
mod several;
mod steer;
mod switches;
mod waiting;

use std::fmt;
use std::sync::Arc;

pub use error::Error;
pub use replay::Mode;
pub use several::{Counts, Outcome, Spread};
pub use waiting::{RELEASE_RATE, Released, Waiting};

use crate::base::time::{Clock, System, Timestamp};
pub use crate::remember::runs::{Answer, Pruned, Replayed, Resolved, Retention, Verb, answers, table};
use crate::remember::runs::{Filter, Run, Runs, Selector, Word};
use crate::remember::store::{PAGE_MAX, Store, StoredEvent};

/// The most events of a run that are read.
pub const HISTORY_MAX: usize = 10_000;
/// The most runs that one list, or one requeue by filter, takes.
pub const RUNS_MAX: u32 = 10_000;
/// The most bytes of a note, and of the reason that is given with any other verb.
pub const NOTE_MAX: usize = 8 * 1024;
/// The most bytes of an operator's name.
pub const NAME_MAX: usize = 128;

/// The verbs of one operator on one store.
///
/// ```
/// use std::sync::Arc;
/// use unattended::{blocking::block_on, memory::Memory, operator::Operator, runs::Filter};
///
/// let operator = Operator::new(Arc::new(Memory::new()), "ada")?;
/// assert!(block_on(operator.list(&Filter::default(), 10))?.is_empty());
/// # Ok::<(), unattended::operator::Error>(())
/// ```
#[derive(Clone)]
pub struct Operator {
    runs: Runs,
    actor: String,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("runs", &self.runs)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// What an operator, or a worker, wrote beside a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// One run with what happened to it.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The run.
    pub run: Run,
    /// Its events, oldest first, at most [`HISTORY_MAX`].
    pub history: Vec<StoredEvent>,
    /// Whether there are more events than were read.
    pub cut: bool,
}

impl Operator {
    /// The operator called `by` on `store`. Events carry the name as `operator:NAME`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the name is empty, longer than [`NAME_MAX`], or holds control characters.
    pub fn new(store: Arc<dyn Store>, by: &str) -> Result<Self, Error> {
        let by = by.trim();
        if by.is_empty() || by.len() > NAME_MAX || by.contains(char::is_control) {
            let allowed = format!("1 to {NAME_MAX} bytes without control characters");
            return Err(Error::invalid("by", format!("{by:?}"), allowed));
        }
        Ok(Self { runs: Runs::new(store), actor: format!("operator:{by}"), clock: Arc::new(System) })
    }

    /// The same operator on another clock: for tests. What becomes due by a word is due by this clock; leases are judged
    /// by the store.
    #[must_use]
    pub fn on(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The actor that this operator's events name.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The runs that it works on.
    #[must_use]
    pub const fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Up to `limit` runs that match, newest first; at most [`RUNS_MAX`]. A run that this release cannot read is left
    /// out; `store check` names it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Run>, Error> {
        let wanted = limit.min(RUNS_MAX) as usize;
        let (mut found, mut cursor) = (Vec::new(), None);
        while found.len() < wanted {
            let left = u32::try_from(wanted - found.len()).unwrap_or(PAGE_MAX);
            let (page, next) = self.runs.list(filter, left.min(PAGE_MAX), cursor).await?;
            found.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The run that a person meant.
    ///
    /// # Errors
    /// [`NoSuchRun`](crate::remember::runs::Error::NoSuchRun), [`Ambiguous`](crate::remember::runs::Error::Ambiguous), or when the store cannot be read.
    pub async fn find(&self, selector: &Selector) -> Result<Run, Error> {
        Ok(self.runs.find(selector).await?)
    }

    /// The run that a person meant, with its history.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn show(&self, selector: &Selector) -> Result<Whole, Error> {
        let run = self.find(selector).await?;
        let mut history: Vec<StoredEvent> = Vec::new();
        loop {
            let after = history.last().map_or(0, |event| event.seq);
            let left = HISTORY_MAX.saturating_sub(history.len()).saturating_add(1);
            let limit = u32::try_from(left).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let page = self.runs.history(run.id(), after, limit).await?;
            let last = page.len() < limit as usize;
            history.extend(page);
            if last || history.len() > HISTORY_MAX {
                break;
            }
        }
        let cut = history.len() > HISTORY_MAX;
        history.truncate(HISTORY_MAX);
        Ok(Whole { run, history, cut })
    }

    /// Writes `text` beside the run; its state stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty text or one longer than [`NOTE_MAX`]; as [`find`](Self::find); when the store
    /// cannot be written.
    pub async fn note(&self, selector: &Selector, text: &str) -> Result<Run, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::invalid("note", "empty", format!("1 to {NOTE_MAX} bytes")));
        }
        bounded("note", text)?;
        let run = self.find(selector).await?;
        Ok(self.runs.note(run.id(), &self.actor, text).await?)
    }

    /// The notes beside a run, oldest first: those of its first [`HISTORY_MAX`] events.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn notes(&self, selector: &Selector) -> Result<Vec<Note>, Error> {
        let history = self.show(selector).await?.history;
        let notes = history.into_iter().filter(|stored| stored.event.code == "run.note");
        Ok(notes
            .map(|stored| Note { at: stored.at, by: stored.event.actor, text: stored.event.why })
            .collect())
    }

    /// This operator's word, said now.
    fn word<'a>(&'a self, why: &'a str) -> Result<Word<'a>, Error> {
        self.word_at(why, self.clock.now().wall)
    }

    fn word_at<'a>(&'a self, why: &'a str, at: Timestamp) -> Result<Word<'a>, Error> {
        bounded("why", why)?;
        Ok(Word { by: &self.actor, why: why.trim(), at })
    }
}

fn bounded(field: &'static str, text: &str) -> Result<(), Error> {
    if text.len() <= NOTE_MAX {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{} bytes", text.len()), format!("at most {NOTE_MAX} bytes")))
}

#[cfg(test)]
mod tests;
