//! The life of a run: twelve states, one pure [`transition`], nothing else.
//!
//! The table is the code: `docs/runs.md` is generated from it, and a test walks every pair of state and event.
//! Applications may drive runs of their own with [`Machine`].
//!
//! Beside the state a run has marks that do not change it: paused, reviewed, notes, its attempt and crash counts.
//! Dead letters are a view: [`FailedPermanent`](State::FailedPermanent) or [`NeedsReview`](State::NeedsReview), and not
//! yet reviewed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; waits for its turn.
    Queued,
    /// Somebody holds its lease and works on it.
    Processing,
    /// A step put it down until something outside answers.
    WaitingExternal,
    /// Failed for now; due again at a stated time.
    FailedTransient,
    /// A person must answer a question before it goes on.
    NeedsReview,
    /// Its finished steps are being undone.
    Compensating,
    /// Done.
    Succeeded,
    /// Failed, and trying again would not help.
    FailedPermanent,
    /// Stopped on request.
    Cancelled,
    /// There was nothing to do.
    Skipped,
    /// Its time had passed before it was done.
    Expired,
    /// Its finished steps have been undone.
    Compensated,
}

impl State {
    /// Every state, live ones first.
    pub const ALL: [Self; 12] = [
        Self::Queued,
        Self::Processing,
        Self::WaitingExternal,
        Self::FailedTransient,
        Self::NeedsReview,
        Self::Compensating,
        Self::Succeeded,
        Self::FailedPermanent,
        Self::Cancelled,
        Self::Skipped,
        Self::Expired,
        Self::Compensated,
    ];

    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::WaitingExternal => "waiting_external",
            Self::FailedTransient => "failed_transient",
            Self::NeedsReview => "needs_review",
            Self::Compensating => "compensating",
            Self::Succeeded => "succeeded",
            Self::FailedPermanent => "failed_permanent",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
            Self::Compensated => "compensated",
        }
    }

    /// Whether the run has ended. A terminal run changes only by an operator's word: requeue or compensate.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued
            | Self::Processing
            | Self::WaitingExternal
            | Self::FailedTransient
            | Self::NeedsReview
            | Self::Compensating => false,
            Self::Succeeded
            | Self::FailedPermanent
            | Self::Cancelled
            | Self::Skipped
            | Self::Expired
            | Self::Compensated => true,
        }
    }

    /// Whether somebody holds the run's lease in this state.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Processing | Self::Compensating)
    }

    /// Whether a run in this state is a dead letter until a person has reviewed it.
    #[must_use]
    pub const fn is_dead_letter(self) -> bool {
        matches!(self, Self::FailedPermanent | Self::NeedsReview)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "state is {given:?}; allowed is one of queued, processing, waiting_external, failed_transient, needs_review, compensating, succeeded, failed_permanent, cancelled, skipped, expired, compensated"
)]
pub struct NoSuchState {
    /// What was given.
    pub given: String,
}

impl FromStr for State {
    type Err = NoSuchState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| NoSuchState { given: text.to_owned() })
    }
}

/// What happens to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A worker took it.
    Claim,
    /// A worker took it from one whose lease was over.
    TakeOver,
    /// A step ended, or saved how far it is.
    Checkpoint,
    /// A worker gave it back, or put it down until later.
    HandBack,
    /// Every step is done.
    Succeed,
    /// A step failed for now.
    FailForNow,
    /// A step failed for good.
    FailForGood,
    /// Only a person can say how it goes on.
    AskReview,
    /// A step waits for something outside.
    Await,
    /// What it waited for came.
    Resolve,
    /// What it waited for did not come in time.
    TimeOut,
    /// Its time passed before it was done.
    Expire,
    /// There is nothing to do.
    Skip,
    /// It was stopped on request.
    Cancel,
    /// An operator sends it round again, from its last checkpoint.
    Requeue,
    /// An operator answered the question.
    Answer,
    /// An operator says that it stays as it is.
    Dismiss,
    /// Its finished steps are to be undone.
    Compensate,
    /// They have been undone.
    Undone,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 19] = [
        Self::Claim,
        Self::TakeOver,
        Self::Checkpoint,
        Self::HandBack,
        Self::Succeed,
        Self::FailForNow,
        Self::FailForGood,
        Self::AskReview,
        Self::Await,
        Self::Resolve,
        Self::TimeOut,
        Self::Expire,
        Self::Skip,
        Self::Cancel,
        Self::Requeue,
        Self::Answer,
        Self::Dismiss,
        Self::Compensate,
        Self::Undone,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::TakeOver => "take_over",
            Self::Checkpoint => "checkpoint",
            Self::HandBack => "hand_back",
            Self::Succeed => "succeed",
            Self::FailForNow => "fail_for_now",
            Self::FailForGood => "fail_for_good",
            Self::AskReview => "ask_review",
            Self::Await => "await",
            Self::Resolve => "resolve",
            Self::TimeOut => "time_out",
            Self::Expire => "expire",
            Self::Skip => "skip",
            Self::Cancel => "cancel",
            Self::Requeue => "requeue",
            Self::Answer => "answer",
            Self::Dismiss => "dismiss",
            Self::Compensate => "compensate",
            Self::Undone => "undone",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The event cannot happen in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} cannot {event}")]
pub struct Illegal {
    /// The state.
    pub state: State,
    /// The event.
    pub event: Event,
}

/// The state after `event`.
///
/// # Errors
/// [`Illegal`] when the event cannot happen in this state; nothing changes then.
///
/// ```
/// use unattended::run::{Event, State, transition};
///
/// assert_eq!(transition(State::Queued, Event::Claim), Ok(State::Processing));
/// assert!(transition(State::Succeeded, Event::Claim).is_err());
/// ```
pub const fn transition(state: State, event: Event) -> Result<State, Illegal> {
    use Event as E;
    use State as S;
    let after = match (state, event) {
        (S::Queued | S::FailedTransient, E::Claim) => S::Processing,
        (S::Processing, E::TakeOver | E::Checkpoint) => S::Processing,
        (S::Compensating, E::TakeOver | E::Checkpoint) => S::Compensating,
        (S::Processing, E::HandBack) => S::Queued,
        // Put down in between: what is left of the undoing is due later.
        (S::Compensating, E::HandBack) => S::Compensating,
        (S::Processing, E::Succeed) => S::Succeeded,
        (S::Processing, E::FailForNow) => S::FailedTransient,
        (S::Processing, E::FailForGood) => S::FailedPermanent,
        (S::Processing | S::WaitingExternal | S::Compensating, E::AskReview) => S::NeedsReview,
        (S::Processing, E::Await) => S::WaitingExternal,
        (S::WaitingExternal, E::Resolve) => S::Queued,
        (S::WaitingExternal, E::TimeOut) => S::FailedTransient,
        (S::Queued | S::FailedTransient | S::WaitingExternal, E::Expire) => S::Expired,
        (S::Queued | S::Processing, E::Skip) => S::Skipped,
        (
            S::Queued
            | S::Processing
            | S::WaitingExternal
            | S::FailedTransient
            | S::NeedsReview
            | S::Compensating,
            E::Cancel,
        ) => S::Cancelled,
        (S::FailedTransient | S::NeedsReview | S::FailedPermanent, E::Requeue) => S::Queued,
        (S::NeedsReview | S::FailedPermanent, E::Answer) => S::Queued,
        (S::NeedsReview, E::Dismiss) => S::FailedPermanent,
        (S::Processing | S::NeedsReview | S::FailedPermanent, E::Compensate) => S::Compensating,
        (S::Compensating, E::Undone) => S::Compensated,
        _ => return Err(Illegal { state, event }),
    };
    Ok(after)
}

/// A run's state that moves only along the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Machine {
    state: State,
}

impl Machine {
    /// A run that was just accepted.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Queued }
    }

    /// A run that was stored in `state`.
    #[must_use]
    pub const fn at(state: State) -> Self {
        Self { state }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(self) -> State {
        self.state
    }

    /// Moves it, and gives the new state.
    ///
    /// # Errors
    /// [`Illegal`] when the event cannot happen; the state stays.
    pub fn apply(&mut self, event: Event) -> Result<State, Illegal> {
        self.state = transition(self.state, event)?;
        Ok(self.state)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// The table as Markdown: a row a state, what each event makes of it.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| from | event | to |\n|---|---|---|\n");
    for state in State::ALL {
        for event in Event::ALL {
            if let Ok(after) = transition(state, event) {
                text.push_str(&format!("| {state} | {event} | {after} |\n"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_what_the_table_says() {
        let mut legal = 0;
        for state in State::ALL {
            for event in Event::ALL {
                match transition(state, event) {
                    Ok(_) => legal += 1,
                    Err(illegal) => assert_eq!(illegal, Illegal { state, event }),
                }
            }
        }
        assert_eq!(legal, 38, "a changed table is a changed promise: docs/runs.md and the changelog say so");
    }

    #[test]
    fn a_terminal_state_moves_only_by_an_operators_word() {
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            for event in Event::ALL {
                if transition(state, event).is_ok() {
                    assert_eq!(state, State::FailedPermanent);
                    assert!(matches!(event, Event::Requeue | Event::Answer | Event::Compensate));
                }
            }
        }
    }

    #[test]
    fn every_state_can_be_reached_and_every_live_one_can_end() {
        for target in State::ALL {
            assert!(reachable(State::Queued).contains(&target), "{target} is never reached");
        }
        for live in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            assert!(reachable(live).iter().any(|state| state.is_terminal()), "{live} never ends");
        }
    }

    fn reachable(from: State) -> Vec<State> {
        let mut seen = vec![from];
        let mut next = 0;
        while let Some(&state) = seen.get(next) {
            next += 1;
            for event in Event::ALL {
                if let Ok(after) = transition(state, event)
                    && !seen.contains(&after)
                {
                    seen.push(after);
                }
            }
        }
        seen
    }

    #[test]
    fn words_go_round() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        assert!("done".parse::<State>().is_err());
    }

    #[test]
    fn the_documented_table_is_the_code() {
        let docs = include_str!("../../docs/runs.md");
        assert!(docs.contains(&table()), "docs/runs.md is not the code; the table is:\n{}", table());
    }

    #[test]
    fn a_machine_keeps_its_state_on_an_illegal_event() {
        let mut run = Machine::new();
        assert!(run.apply(Event::Succeed).is_err());
        assert_eq!(run.state(), State::Queued);
        assert_eq!(run.apply(Event::Claim), Ok(State::Processing));
    }
}
