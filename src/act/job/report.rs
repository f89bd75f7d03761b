//! What one call did, and with what a cron process ends for it.

use crate::base::canonical::Key;
use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::decide::claim::Settled;
use crate::decide::run::State;
use crate::remember::runs::Run;

/// What one call did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run of the input, as it stands now; `None` only for [`Verdict::Conflict`] and [`Verdict::Duplicate`] with a
    /// run that is gone.
    pub run: Option<Run>,
    /// What became of the input.
    pub verdict: Verdict,
    /// The runs of the same job that were worked off first, as they stand now.
    pub worked_off: Vec<Run>,
}

/// What became of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It was worked on; the run's state says how that ended.
    Ran,
    /// The same work was done, or had failed for good, before; nothing was done now.
    Duplicate(Settled),
    /// Somebody else works on it.
    Busy {
        /// Until when, unless the lease is renewed.
        until: Timestamp,
    },
    /// Not now: it failed for now, waits for its turn or for a window, and is due again later.
    Deferred {
        /// When.
        until: Timestamp,
    },
    /// It waits for something outside.
    Waiting {
        /// The token.
        on: String,
        /// Until when at most.
        until: Option<Timestamp>,
    },
    /// A person is asked about it, or has put it aside.
    WithAPerson,
    /// The same key was used before with another payload; nothing was done.
    Conflict {
        /// The key.
        key: Key,
        /// The fingerprint that the key was used with.
        stored: String,
        /// The fingerprint that was given.
        given: String,
    },
}

impl Verdict {
    /// Whether the same work had been settled before.
    #[must_use]
    pub const fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate(_))
    }
}

impl Explain for Verdict {
    fn code(&self) -> &'static str {
        match self {
            Self::Ran => "job.ran",
            Self::Duplicate(_) => "job.duplicate",
            Self::Busy { .. } => "job.busy",
            Self::Deferred { .. } => "job.deferred",
            Self::Waiting { .. } => "job.waiting",
            Self::WithAPerson => "job.with_a_person",
            Self::Conflict { .. } => "job.conflict",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ran => f.write_str("it was worked on"),
            Self::Duplicate(Settled::Succeeded) => f.write_str("the same work was done before"),
            Self::Duplicate(Settled::Failed) => f.write_str("the same work failed for good before"),
            Self::Duplicate(Settled::NeedsReview) => f.write_str("a person is asked about the same work"),
            Self::Busy { until } => write!(f, "somebody else works on it, by lease until {until}"),
            Self::Deferred { until } => write!(f, "not now: it is due again at {until}"),
            Self::Waiting { on, until: Some(until) } => write!(f, "it waits for {on}, until {until} at most"),
            Self::Waiting { on, until: None } => write!(f, "it waits for {on}"),
            Self::WithAPerson => f.write_str("a person is asked about it, or has put it aside"),
            Self::Conflict { key, .. } => write!(f, "{key} was used before with another payload"),
        }
    }
}

impl Report {
    /// What a cron process should exit with: 0 done, 1 failed or with a person, 65 same key and other payload, 75 not
    /// now.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (&self.verdict, self.run.as_ref().map(Run::state)) {
            (Verdict::Conflict { .. }, _) => 65,
            (Verdict::Busy { .. } | Verdict::Deferred { .. } | Verdict::Waiting { .. }, _) => 75,
            (Verdict::Duplicate(Settled::Succeeded), _) => 0,
            (Verdict::Duplicate(_) | Verdict::WithAPerson, _) => 1,
            (Verdict::Ran, Some(State::Succeeded | State::Skipped)) => 0,
            (Verdict::Ran, Some(State::FailedTransient | State::WaitingExternal | State::Queued)) => 75,
            (Verdict::Ran, _) => 1,
        }
    }
}
