//! What of it has to survive the supervisor, as a small value with a version.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Now, Timestamp, between, forward, nanos};
use crate::decide::restart::evidence::{EXITS_MAX, Past};
use crate::decide::restart::exit::TAIL_MAX;
use crate::decide::restart::policy::{Error, FAILURES_LIMIT, Policy};
use crate::decide::restart::reason::Escalating;
use crate::decide::restart::state::{State, line};

const VERSION: u32 = 1;

/// A [`State`] as it is saved. Instants are nanoseconds before the one at which it was saved, which is wall time. As JSON it has at most
/// about 64 KiB with the widest limits, usually 2 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    v: u32,
    saved_at: Timestamp,
    seed: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures_ns: Vec<u64>,
    #[serde(default)]
    step: u32,
    #[serde(default)]
    delay_ns: u64,
    #[serde(default)]
    same: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_ns: Option<u64>,
    #[serde(default)]
    runs: u64,
    /// After the instant of saving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    escalated: Option<Escalated>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exits: Vec<Past>,
    #[serde(default)]
    starts_total: u64,
    #[serde(default)]
    failures_total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Escalated {
    ago_ns: u64,
    why: Escalating,
}

impl Saved {
    /// When it was saved.
    #[must_use]
    pub const fn saved_at(&self) -> Timestamp {
        self.saved_at
    }
}

impl State {
    /// As it is saved.
    #[must_use]
    pub fn saved(&self, now: Now) -> Saved {
        let at = line(now);
        let ago = |when: u64| at.saturating_sub(when);
        Saved {
            v: VERSION,
            saved_at: now.wall,
            seed: self.rng.state(),
            failures_ns: self.failures.iter().map(|failure| ago(*failure)).collect(),
            step: self.step,
            delay_ns: nanos(self.last_delay),
            same: self.same,
            started_ns: self.started.map(ago),
            runs: self.runs,
            pending_ns: self.pending.map(|pending| pending.saturating_sub(at)),
            escalated: self.escalated.map(|(when, why)| Escalated { ago_ns: ago(when), why }),
            exits: self.past.iter().cloned().collect(),
            starts_total: self.starts_total,
            failures_total: self.failures_total,
        }
    }

    /// As it was saved; by another policy it goes on by that. The time since is that of the wall clock; where that has stepped back no
    /// time is taken to have passed, so no failure leaves the window too early and no delay grows.
    ///
    /// # Errors
    /// As [`Policy::check`]; [`Error::Version`] for a state of a later version, [`Error::Field`] for what no state can have: it was
    /// changed.
    pub fn restored(policy: Policy, saved: Saved, now: Now) -> Result<Self, Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        let mut state = Self::new(policy, saved.seed)?;
        let count = saved.failures_ns.len();
        if count > FAILURES_LIMIT as usize || !saved.failures_ns.is_sorted_by(|a, b| a >= b) {
            return Err(wrong("failures_ns", count, "at most 1000, the oldest first"));
        }
        if saved.exits.len() > EXITS_MAX {
            return Err(wrong("exits", saved.exits.len(), "at most 16"));
        }
        if let Some(past) = saved.exits.iter().find(|past| past.tail.len() > TAIL_MAX) {
            return Err(wrong("tail", past.tail.len(), "at most 1024 bytes"));
        }
        let since = nanos(between(saved.saved_at, forward(Some(saved.saved_at), now.wall)));
        let at = line(now);
        let then = |ago: u64| at.saturating_sub(since).saturating_sub(ago);
        // The newest, if the limit is lower now.
        let newest = saved.failures_ns.len().saturating_sub(policy.failures_max as usize);
        state.failures = saved.failures_ns.into_iter().skip(newest).map(then).collect();
        state.step = saved.step;
        state.last_delay = Duration::from_nanos(saved.delay_ns);
        state.same = saved.same;
        state.started = saved.started_ns.map(then);
        state.runs = saved.runs;
        // No delay of this policy is longer, whatever was saved.
        let (.., delay_max, _) = policy.backoff.parts();
        let left = |left: u64| left.saturating_sub(since).min(nanos(delay_max));
        state.pending = saved.pending_ns.map(|pending| at.saturating_add(left(pending)));
        state.escalated = saved.escalated.map(|escalated| (then(escalated.ago_ns), escalated.why));
        state.past = saved.exits.into();
        state.starts_total = saved.starts_total;
        state.failures_total = saved.failures_total;
        Ok(state)
    }
}

fn wrong(field: &'static str, given: usize, allowed: &str) -> Error {
    Error::Field { field, given: given.to_string(), allowed: allowed.to_owned() }
}
