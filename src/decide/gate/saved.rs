//! What of a gate has to survive a restart, as a small value with a version.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;
use crate::decide::gate::machine::{Cause, Gate, Last, State};
use crate::decide::gate::policy::{Error, Policy};
use crate::decide::gate::sample::as_nanos;
use crate::decide::gate::{Bound, Reading};

const VERSION: u32 = 1;

/// A [`Gate`] as it is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait: Option<Wait>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<Shut>,
}

/// Since when and for how long it has not been open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wait {
    since: Timestamp,
    #[serde(with = "as_nanos")]
    ns: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shut {
    by: Cause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calm: Option<Calm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Calm {
    #[serde(with = "as_nanos")]
    ns: Duration,
}

impl Gate {
    /// As it is saved: under a kilobyte of JSON, but for long paths.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let State { closed, since, waited, calm, last } = self.state.clone();
        Saved {
            v: VERSION,
            at: last.map(|last| match last {
                Last::Here(now) => now.wall,
                Last::Elsewhere(wall) => wall,
            }),
            wait: since.map(|since| Wait { since, ns: waited }),
            closed: closed.map(|by| Shut { by, calm: calm.map(|ns| Calm { ns }) }),
        }
    }

    /// As it was saved; by another policy it goes on by that. The time in between counts by the wall clock, and not at all where that
    /// has gone back.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for one of a later version, [`Error::Field`] for what no gate can have: what was saved was changed.
    pub fn restored(policy: Policy, saved: &Saved) -> Result<Self, Error> {
        let Saved { v, at, wait, closed } = saved.clone();
        if v != VERSION {
            return Err(Error::Version { found: v, known: VERSION });
        }
        if at.is_none() && wait.is_some() {
            return Err(Error::field("at", "missing", "when it was asked last"));
        }
        if closed.is_some() && wait.is_none() {
            return Err(Error::field("wait", "missing", "since when it is closed"));
        }
        let waited = wait.as_ref().map_or(Duration::ZERO, |wait| wait.ns);
        if let Some(Shut { by, calm }) = &closed {
            if let Some(Calm { ns }) = calm
                && *ns > waited
            {
                let allowed = format!("at most the {waited:?} since it was open");
                return Err(Error::field("calm", format!("{ns:?}"), allowed));
            }
            let fits = match (&by.value, by.limit) {
                (Reading::Number(_), Bound::Above { .. } | Bound::Below { .. }) => true,
                (Reading::Is(is), Bound::Yes) => !is,
                (Reading::Missing(_), _) => true,
                _ => false,
            };
            if !fits {
                let allowed = "a value that closes it";
                return Err(Error::field("closed", format!("{:?} by {:?}", by.value, by.limit), allowed));
            }
        }
        let (closed, calm) = closed.map_or((None, None), |Shut { by, calm }| (Some(by), calm));
        let state = State {
            closed,
            since: wait.map(|wait| wait.since),
            waited,
            calm: calm.map(|calm| calm.ns),
            last: at.map(Last::Elsewhere),
        };
        Ok(Self { policy, state })
    }
}
