//! What of a heart has to survive a restart, as a small value with a version.

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;
use crate::decide::heartbeat::beat::RUNS_MAX;
use crate::decide::heartbeat::heart::{Heart, Restless};
use crate::decide::heartbeat::policy::{Error, Policy, TURNS_MAX};
use crate::decide::heartbeat::reason::{State, Why};
use crate::decide::heartbeat::runs::Runs;

const VERSION: u32 = 1;

/// A [`Heart`] as it is saved: some hundred bytes of JSON. The policy is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    v: u32,
    state: State,
    since: Timestamp,
    anchor: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    success: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beat: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_zero")]
    failures: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    successes: u32,
    #[serde(default, skip_serializing_if = "none_runs")]
    runs: Runs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    turns: Vec<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restless: Option<Restless>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

const fn none_runs(runs: &Runs) -> bool {
    runs.0.is_empty()
}

impl Heart {
    /// As it is saved.
    #[must_use]
    pub fn saved(&self) -> Saved {
        Saved {
            v: VERSION,
            state: self.state,
            since: self.since,
            anchor: self.anchor,
            success: self.success,
            failure: self.failure,
            start: self.start,
            beat: self.beat,
            failures: self.failures,
            successes: self.successes,
            runs: self.runs.clone(),
            why: self.why.clone(),
            turns: self.turns.clone(),
            restless: self.restless,
        }
    }

    /// As it was saved; by another policy it goes on by that. What was told is not told again, and what was not is.
    ///
    /// # Errors
    /// [`Error::Version`] for one of a later version, [`Error::Field`] for what no heart can have: what was saved was changed.
    pub fn restored(policy: Policy, saved: Saved) -> Result<Self, Error> {
        let Saved { v, state, since, anchor, success, failure, start, beat, .. } = saved;
        if v != VERSION {
            return Err(Error::Version { found: v, known: VERSION });
        }
        let turns_max = usize::try_from(TURNS_MAX).unwrap_or(usize::MAX);
        for (field, given, most) in
            [("runs", saved.runs.0.len(), RUNS_MAX), ("turns", saved.turns.len(), turns_max)]
        {
            if given > most {
                return Err(Error::Field {
                    field,
                    given: given.to_string(),
                    allowed: format!("at most {most}"),
                });
            }
        }
        let mut heart = Self {
            state,
            since,
            success,
            failure,
            start,
            beat,
            failures: saved.failures,
            successes: saved.successes,
            runs: saved.runs,
            why: saved.why,
            turns: saved.turns,
            restless: saved.restless,
            ..Self::blank(policy, anchor)
        };
        heart.settle();
        Ok(heart)
    }
}
