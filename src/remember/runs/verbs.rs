//! What a person can say about a run, and in which states.

use std::fmt;

use crate::decide::run::{self, State};

/// A verb of an operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Write something beside it.
    Note,
    /// It was looked at: no longer a dead letter.
    MarkReviewed,
    /// Send it round again from its last checkpoint.
    Requeue,
    /// Answer what it asks.
    Review,
    /// It stays as it is.
    Dismiss,
    /// Have what it did undone.
    Compensate,
    /// Stop it.
    Cancel,
    /// Put it aside.
    Pause,
    /// Take it up again.
    Resume,
    /// Give it what it waits for.
    Resolve,
    /// Do the same work in a new run, unless the ledger says that it is done.
    Rerun,
    /// Do the same work in a new run, whatever the ledger says.
    Force,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 12] = [
        Self::Note,
        Self::MarkReviewed,
        Self::Requeue,
        Self::Review,
        Self::Dismiss,
        Self::Compensate,
        Self::Cancel,
        Self::Pause,
        Self::Resume,
        Self::Resolve,
        Self::Rerun,
        Self::Force,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::MarkReviewed => "mark_reviewed",
            Self::Requeue => "requeue",
            Self::Review => "review",
            Self::Dismiss => "dismiss",
            Self::Compensate => "compensate",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Resolve => "resolve",
            Self::Rerun => "rerun",
            Self::Force => "force",
        }
    }

    /// What it does to a run's state; none where it leaves it, or makes another run.
    #[must_use]
    pub const fn event(self) -> Option<run::Event> {
        match self {
            Self::Requeue => Some(run::Event::Requeue),
            Self::Review => Some(run::Event::Answer),
            Self::Dismiss => Some(run::Event::Dismiss),
            Self::Compensate => Some(run::Event::Compensate),
            Self::Cancel => Some(run::Event::Cancel),
            Self::Resolve => Some(run::Event::Resolve),
            Self::Note | Self::MarkReviewed | Self::Pause | Self::Resume | Self::Rerun | Self::Force => None,
        }
    }

    /// Whether it can be said of a run in this state, by the table of [`run::transition`].
    ///
    /// ```
    /// use unattended::{run::State, runs::Verb};
    ///
    /// assert!(Verb::Requeue.takes(State::FailedPermanent));
    /// assert!(!Verb::Requeue.takes(State::Processing));
    /// ```
    #[must_use]
    pub fn takes(self, state: State) -> bool {
        match (self, self.event()) {
            // A run that is held fails by itself, or asks.
            (Self::Compensate, _) if state.is_held() => false,
            (_, Some(event)) => run::transition(state, event).is_ok(),
            (Self::Pause | Self::Resume, None) => !state.is_terminal(),
            (Self::Rerun | Self::Force, None) => state.is_terminal(),
            (_, None) => true,
        }
    }

    /// The states in which it can be said.
    #[must_use]
    pub fn states(self) -> Vec<State> {
        State::ALL.into_iter().filter(|state| self.takes(*state)).collect()
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which verb takes a run in which state, and what state it has then, as Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| verb | takes a run that is | which then is |\n|---|---|---|\n");
    for verb in Verb::ALL {
        let states = verb.states();
        let from = if states.len() == State::ALL.len() {
            String::from("in any state")
        } else {
            states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
        };
        let mut after: Vec<&str> = Vec::new();
        for state in &states {
            let to = verb.event().and_then(|event| run::transition(*state, event).ok());
            after.extend(to.map(State::as_str).filter(|to| !after.contains(to)));
        }
        let to = match verb {
            Verb::Rerun | Verb::Force => String::from("as it was; a new run is queued"),
            _ if after.is_empty() => String::from("as it was"),
            _ => after.join(", "),
        };
        text.push_str(&format!("| {verb} | {from} | {to} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_table_is_the_code() {
        let docs = include_str!("../../../docs/operator.md");
        assert!(docs.contains(&table()), "docs/operator.md is not the code; the table is:\n{}", table());
    }
}
