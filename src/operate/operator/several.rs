//! The same word about many runs: chosen by filter, one after the other, spread over time.

use crate::base::text::Rate;
use crate::base::time::{Timestamp, later};
use crate::decide::run::State;
use crate::operate::operator::{Error, Mode, Operator, RUNS_MAX};
use crate::remember::runs::{self, Filter, Replayed, Run, Verb};
use crate::remember::store::PAGE_MAX;

/// How work that becomes due by one word about many runs is spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How fast they become due; `None` for all at once.
    pub rate: Option<Rate>,
}

/// What became of one run of several.
#[derive(Debug)]
pub struct Outcome {
    /// The run as it was chosen.
    pub chosen: Run,
    /// The run as it is now (of a replay: the new one), or why it was left.
    pub result: Result<Run, Error>,
}

/// How many of several runs were moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// So many.
    pub done: usize,
    /// So many were left where they are.
    pub left: usize,
}

impl Counts {
    /// The counts of these.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let done = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
        Self { done, left: outcomes.len() - done }
    }
}

impl Operator {
    /// The runs that a word by `filter` is about, at most `limit` and [`RUNS_MAX`], oldest first: what
    /// [`each`](Self::each) would take, and what a dry run shows.
    ///
    /// Without a state in the filter it takes those of which the word is usually said: of a requeue what failed, of a
    /// cancel or a pause what is not held up by a person, of a replay what failed, was cancelled or has expired. Runs in
    /// review are left out unless named or dismissed: each of those waits for an answer of its own, and some for one
    /// about an effect that may have taken place. What has the mark already that is to be set is left out.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if the filter names a state of which the word cannot be said; [`Error::Invalid`] for a word
    /// that is for one run; when the store cannot be read.
    pub async fn choose(&self, verb: Verb, filter: &Filter, limit: u32) -> Result<Vec<Run>, Error> {
        check(verb)?;
        let mut filter = filter.clone();
        if let Some(state) = filter.states.iter().find(|state| !verb.takes(**state)) {
            return Err(Error::not_possible("that the filter names", *state, verb));
        }
        if filter.states.is_empty() {
            filter.states = usual(verb);
        }
        if verb == Verb::MarkReviewed && filter.reviewed.is_none() {
            filter.reviewed = Some(false);
        }
        let wanted = limit.min(RUNS_MAX) as usize;
        let (mut chosen, mut cursor) = (Vec::new(), None);
        while chosen.len() < wanted {
            let left = u32::try_from(wanted - chosen.len()).unwrap_or(PAGE_MAX);
            let (page, next) = self.runs.list(&filter, left.min(PAGE_MAX), cursor).await?;
            chosen.extend(page.into_iter().filter(|run| !has_it(verb, run)));
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        chosen.reverse();
        Ok(chosen)
    }

    /// Says `verb` of each of `chosen`, in the order given: requeue, cancel, pause, resume, dismiss, compensate,
    /// mark_reviewed, rerun or force. What becomes due by it is due from now on, spread over time as `spread` says. A run
    /// that has moved meanwhile is left, with the reason, and takes no turn.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`RUNS_MAX`] runs, for a word that is for one run, for too long a reason, or for
    /// a force without one; when the store fails, and what was moved before stays moved. Refusals are in the [`Outcome`]s.
    pub async fn each(
        &self,
        chosen: Vec<Run>,
        verb: Verb,
        why: &str,
        spread: Spread,
    ) -> Result<Vec<Outcome>, Error> {
        self.each_from(chosen, verb, why, self.clock.now().wall, spread).await
    }

    /// Sends `chosen` round again one after the other, in the order given, the first due at `at`, the others spread
    /// over time as `spread` says. A run that has moved meanwhile is left, with the reason.
    ///
    /// # Errors
    /// As [`each`](Self::each).
    pub async fn requeue_each(
        &self,
        chosen: Vec<Run>,
        at: Timestamp,
        spread: Spread,
    ) -> Result<Vec<Outcome>, Error> {
        self.each_from(chosen, Verb::Requeue, "", at, spread).await
    }

    /// The runs that a requeue by `filter` takes: [`choose`](Self::choose) of [`Verb::Requeue`].
    ///
    /// # Errors
    /// As there.
    pub async fn requeueable(&self, filter: &Filter, limit: u32) -> Result<Vec<Run>, Error> {
        self.choose(Verb::Requeue, filter, limit).await
    }

    async fn each_from(
        &self,
        chosen: Vec<Run>,
        verb: Verb,
        why: &str,
        at: Timestamp,
        spread: Spread,
    ) -> Result<Vec<Outcome>, Error> {
        check(verb)?;
        self.word(why)?;
        if verb == Verb::Force && why.trim().is_empty() {
            return Err(Error::invalid(
                "why",
                "empty",
                "a reason why the work is right to be done once more",
            ));
        }
        if chosen.len() > RUNS_MAX as usize {
            return Err(Error::invalid(
                "runs",
                chosen.len().to_string(),
                format!("at most {RUNS_MAX} at once"),
            ));
        }
        let (mut outcomes, mut sent) = (Vec::with_capacity(chosen.len()), 0u64);
        for run in chosen {
            let due = spread.rate.map_or(at, |rate| later(at, rate.offset(sent)));
            let result = self.say(&run, verb, why, due).await;
            match result {
                Ok(_) => sent = sent.saturating_add(1),
                Err(Error::Runs(runs::Error::Store(error))) => return Err(runs::Error::Store(error).into()),
                Err(_) => {}
            }
            outcomes.push(Outcome { chosen: run, result });
        }
        Ok(outcomes)
    }

    async fn say(&self, run: &Run, verb: Verb, why: &str, due: Timestamp) -> Result<Run, Error> {
        let mode = match verb {
            Verb::MarkReviewed => return self.mark_reviewed(run, why).await,
            Verb::Dismiss => return self.dismiss(run, why).await,
            Verb::Cancel => return self.cancel(run, why).await,
            Verb::Pause => return self.pause(run, why).await,
            Verb::Resume => return self.resume(run, why).await,
            Verb::Compensate => {
                return Ok(self.runs.compensate(run, self.word_at(why, due)?).await?);
            }
            Verb::Rerun => Mode::Rerun,
            Verb::Force => Mode::Force { reason: why.to_owned() },
            _ => Mode::Resume,
        };
        let said = if verb == Verb::Force { "" } else { why };
        match self.replay_at(run, &mode, said, due).await? {
            Replayed::Resumed(run) | Replayed::Created(run) => Ok(*run),
            Replayed::Duplicate { key, run: by, .. } => {
                Err(Error::DoneBefore { id: run.id().to_owned(), key, by })
            }
        }
    }
}

/// Refuses words that say something of one run alone.
fn check(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Note | Verb::Review | Verb::Resolve => Err(Error::invalid(
            "verb",
            verb.as_str(),
            "requeue, cancel, pause, resume, dismiss, compensate, mark_reviewed, rerun or force",
        )),
        _ => Ok(()),
    }
}

/// The states of which the word is said unless others are named.
fn usual(verb: Verb) -> Vec<State> {
    match verb {
        Verb::Requeue => vec![State::FailedTransient, State::FailedPermanent],
        Verb::Cancel | Verb::Pause => {
            vec![State::Queued, State::Processing, State::WaitingExternal, State::FailedTransient]
        }
        Verb::MarkReviewed => vec![State::FailedPermanent, State::NeedsReview],
        Verb::Compensate => vec![State::FailedPermanent],
        Verb::Rerun | Verb::Force => vec![State::FailedPermanent, State::Cancelled, State::Expired],
        verb => verb.states(),
    }
}

/// Whether the mark is set already that the word would set.
const fn has_it(verb: Verb, run: &Run) -> bool {
    match verb {
        Verb::Cancel => run.record.cancelling,
        Verb::Pause => run.record.paused,
        Verb::Resume => !run.record.paused,
        _ => false,
    }
}
