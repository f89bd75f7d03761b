//! The operator's verbs as plain functions over any store: what the command line prints, code can ask for too.

use std::sync::Arc;
use std::time::Duration;

use crate::act::credential;
use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::base::text::Rate;
use crate::base::time::{Timestamp, later};
use crate::decide::run::{self, State};
use crate::remember::runs::{self, Filter, Run, Runs, Selector};
use crate::remember::store::{PAGE_MAX, Store, StoredEvent};

/// The most events of a run that are read.
pub const HISTORY_MAX: usize = 10_000;
/// The most runs that one list, or one requeue by filter, takes.
pub const RUNS_MAX: u32 = 10_000;
/// The most bytes of a note.
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
#[derive(Clone, Debug)]
pub struct Operator {
    runs: Runs,
    actor: String,
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

/// How runs are sent round again by filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How fast they become due; `None` for all at once.
    pub rate: Option<Rate>,
}

/// How fast runs that wait for a credential are released unless told otherwise: 10 in a minute.
pub const RELEASE_RATE: Rate = Rate { count: 10, per: Duration::from_secs(60) };

/// What a person's word about a credential has done.
#[derive(Debug)]
pub struct Released {
    /// How the credential stood.
    pub cleared: credential::Cleared,
    /// The runs that waited for it, oldest first.
    pub outcomes: Vec<Outcome>,
    /// Whether there are more than [`RUNS_MAX`]: say it again for them.
    pub more: bool,
}

/// What became of one run of several.
#[derive(Debug)]
pub struct Outcome {
    /// The run as it was chosen.
    pub chosen: Run,
    /// The run as it is now, or why it was left.
    pub result: Result<Run, Error>,
}

impl Operator {
    /// The operator called `by` on `store`. Events carry the name as `operator:NAME`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the name is empty, longer than [`NAME_MAX`], or holds control characters.
    pub fn new(store: Arc<dyn Store>, by: &str) -> Result<Self, Error> {
        let by = by.trim();
        if by.is_empty() || by.len() > NAME_MAX || by.contains(char::is_control) {
            return Err(Error::Invalid {
                field: "by",
                given: format!("{by:?}"),
                allowed: format!("1 to {NAME_MAX} bytes without control characters"),
            });
        }
        Ok(Self { runs: Runs::new(store), actor: format!("operator:{by}") })
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
    /// [`runs::Error::NoSuchRun`], [`runs::Error::Ambiguous`], or when the store cannot be read.
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
        if text.is_empty() || text.len() > NOTE_MAX {
            return Err(Error::Invalid {
                field: "note",
                given: format!("{} bytes", text.len()),
                allowed: format!("1 to {NOTE_MAX} bytes"),
            });
        }
        let run = self.find(selector).await?;
        Ok(self.runs.note(run.id(), &self.actor, text).await?)
    }

    /// Sends the run round again from its last checkpoint, due at `at`.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if its state has no such move; as [`find`](Self::find); when the store cannot be written.
    pub async fn requeue(&self, run: &Run, at: Timestamp) -> Result<Run, Error> {
        // Judged here too: the refusal can then say what would be possible.
        if run::transition(run.state(), run::Event::Requeue).is_err() {
            return Err(Error::not_possible(run.id(), run.state(), run::Event::Requeue));
        }
        match self.runs.requeue(run.id(), &self.actor, at).await {
            Ok(run) => Ok(run),
            Err(runs::Error::Illegal(illegal)) => {
                Err(Error::not_possible(run.id(), illegal.state, illegal.event))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends `chosen` round again one after the other, in the order given, the first due at `at`, the others spread
    /// over time as `spread` says. A run that has moved meanwhile is left, with the reason.
    ///
    /// # Errors
    /// When the store fails; what was sent before stays sent. Refusals are in the [`Outcome`]s.
    pub async fn requeue_each(
        &self,
        chosen: Vec<Run>,
        at: Timestamp,
        spread: Spread,
    ) -> Result<Vec<Outcome>, Error> {
        let (mut outcomes, mut sent) = (Vec::with_capacity(chosen.len()), 0u64);
        for run in chosen {
            let due = spread.rate.map_or(at, |rate| later(at, rate.offset(sent)));
            let result = self.requeue(&run, due).await;
            match result {
                Ok(_) => sent = sent.saturating_add(1),
                Err(Error::Runs(runs::Error::Store(error))) => return Err(runs::Error::Store(error).into()),
                Err(_) => {}
            }
            outcomes.push(Outcome { chosen: run, result });
        }
        Ok(outcomes)
    }

    /// A person has seen to the credential `name`: it may be refreshed again, and the runs that wait for it are queued,
    /// oldest first, the first due at `at`, the others after it at `rate` ([`RELEASE_RATE`] is a good one): whoever waited
    /// for long does not all come at once.
    ///
    /// A run that has moved meanwhile is left, with the reason.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was released before stays released, and saying it again goes on.
    pub async fn credential_ok(&self, name: &str, at: Timestamp, rate: Rate) -> Result<Released, Error> {
        let token = credential::token_of(name);
        // Before the list: whoever parks after this word is refused that and tries again.
        let cleared =
            credential::ok(self.runs.store(), name, &self.actor).await.map_err(runs::Error::Store)?;
        let filter = Filter {
            states: vec![State::WaitingExternal],
            waits_for: Some(token.clone()),
            ..Filter::default()
        };
        let mut waiting = self.list(&filter, RUNS_MAX).await?;
        let more = waiting.len() >= RUNS_MAX as usize;
        waiting.reverse();
        let why = format!("{} has seen to credential {name}", self.actor);
        let reason = runs::Reason::new("credential.ok", why);
        let (mut outcomes, mut sent) = (Vec::with_capacity(waiting.len()), 0u64);
        for run in waiting {
            let due = later(at, rate.offset(sent));
            let result = match self.runs.release(run.id(), &token, &self.actor, due, &reason).await {
                Ok(Some(run)) => {
                    sent = sent.saturating_add(1);
                    Ok(run)
                }
                Ok(None) => Err(Error::not_possible(run.id(), run.state(), run::Event::Resolve)),
                Err(runs::Error::Store(error)) => return Err(runs::Error::Store(error).into()),
                Err(error) => Err(error.into()),
            };
            outcomes.push(Outcome { chosen: run, result });
        }
        Ok(Released { cleared, outcomes, more })
    }

    /// The runs that a requeue by `filter` takes, oldest first: only those whose state can be sent round again.
    ///
    /// Without a state in the filter, runs in review are left out: each of those waits for an answer of its own, and
    /// some for one about an effect that may have taken place.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if the filter names a state that cannot be sent round again; when the store cannot be
    /// read.
    pub async fn requeueable(&self, filter: &Filter, limit: u32) -> Result<Vec<Run>, Error> {
        let mut filter = filter.clone();
        if let Some(state) =
            filter.states.iter().find(|state| !possible_from(run::Event::Requeue).contains(state))
        {
            return Err(Error::not_possible("that the filter names", *state, run::Event::Requeue));
        }
        if filter.states.is_empty() {
            filter.states = possible_from(run::Event::Requeue);
            filter.states.retain(|state| *state != State::NeedsReview);
        }
        let mut runs = self.list(&filter, limit).await?;
        runs.reverse();
        Ok(runs)
    }
}

/// The states from which `event` is possible.
#[must_use]
pub fn possible_from(event: run::Event) -> Vec<State> {
    State::ALL.into_iter().filter(|state| run::transition(*state, event).is_ok()).collect()
}

/// A verb could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A run could not be read or moved.
    #[error(transparent)]
    Runs(#[from] runs::Error),
    /// The verb is not for a run in this state.
    #[error("run {id} is {state}; {event} takes a run that is {}", one_of(.allowed))]
    NotPossible {
        /// The run.
        id: String,
        /// Its state.
        state: State,
        /// What was to happen to it.
        event: run::Event,
        /// The states in which it can.
        allowed: Vec<State>,
    },
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
}

impl Error {
    fn not_possible(id: &str, state: State, event: run::Event) -> Self {
        Self::NotPossible { id: id.to_owned(), state, event, allowed: possible_from(event) }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Runs(error) => error.fault(),
            Self::NotPossible { .. } => permanent("run.illegal"),
            Self::Invalid { .. } => permanent("operator.invalid"),
        }
    }
}

fn one_of(states: &[State]) -> String {
    match states {
        [] => String::from("in no state at all"),
        [one] => one.to_string(),
        [head @ .., last] => {
            let head: Vec<_> = head.iter().map(|state| state.as_str()).collect();
            format!("{} or {last}", head.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
