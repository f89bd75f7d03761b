//! What a worker has done, and why it ended.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::explain::Explain;
use crate::decide::run::State;

/// What a worker has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Why it ended.
    pub stopped: Stopped,
    /// How many runs it claimed.
    pub claimed: u64,
    /// How many of them it took over from workers that were gone.
    pub taken_over: u64,
    /// In which states it left the runs that it worked on: ended, or put down until later.
    pub ended: BTreeMap<State, u64>,
    /// How many it gave back because it ended: those that it had not begun, and those that it put down.
    pub handed_back: u64,
    /// How many were lost to somebody else while it worked on them.
    pub lost: u64,
    /// How many it left as they were, held until their lease ends: the store failed, or they did not end in time.
    pub left: u64,
    /// How many waits it ended whose time had come.
    pub swept: u64,
    /// How often the store failed it.
    pub errors: u64,
}

impl Summary {
    pub(super) const fn new() -> Self {
        Self {
            stopped: Stopped::Drained,
            claimed: 0,
            taken_over: 0,
            ended: BTreeMap::new(),
            handed_back: 0,
            lost: 0,
            left: 0,
            swept: 0,
            errors: 0,
        }
    }

    /// How many it left in `state`.
    #[must_use]
    pub fn ended_in(&self, state: State) -> u64 {
        self.ended.get(&state).copied().unwrap_or(0)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} claimed", self.stopped, self.claimed)?;
        for (state, count) in &self.ended {
            write!(f, ", {count} {state}")?;
        }
        let others = [
            (self.taken_over, "taken over"),
            (self.handed_back, "handed back"),
            (self.lost, "lost"),
            (self.left, "left"),
            (self.swept, "swept"),
            (self.errors, "errors"),
        ];
        others
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// It was asked to, and everything that it had begun came to its end.
    Drained,
    /// It was asked to, and what had not ended within the grace period was put down.
    GraceOver,
    /// It was asked to end at once, and what ran was put down.
    AtOnce,
    /// Its handle of the store is closed for good; a new one has to be opened.
    StoreClosed {
        /// What the store said.
        why: String,
    },
}

impl Explain for Stopped {
    fn code(&self) -> &'static str {
        match self {
            Self::Drained => "worker.drained",
            Self::GraceOver => "worker.grace_over",
            Self::AtOnce => "worker.at_once",
            Self::StoreClosed { .. } => "worker.store_closed",
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("asked to end, and all that was begun came to its end"),
            Self::GraceOver => f.write_str("asked to end, and what had not ended in time was put down"),
            Self::AtOnce => f.write_str("asked to end at once, and what ran was put down"),
            Self::StoreClosed { why } => write!(f, "the store is closed for good: {why}"),
        }
    }
}
