//! What of an alert has to survive a restart, as a small value with a version.

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;
use crate::decide::alert::machine::{Acked, Alert, Kind, State};
use crate::decide::alert::policy::Error;

const VERSION: u32 = 1;

/// An [`Alert`] as it is saved: some hundred bytes of JSON, however often it happened. The policy is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    v: u32,
    kind: Kind,
    state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    count: u64,
    untold: u64,
    paged: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paged_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    healthy_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acked: Option<Acked>,
}

impl Alert {
    /// As it is saved.
    #[must_use]
    pub fn saved(&self) -> Saved {
        Saved {
            v: VERSION,
            kind: self.kind,
            state: self.state,
            since: self.since(),
            last: self.last(),
            count: self.count,
            untold: self.untold,
            paged: self.paged,
            paged_at: self.paged_at,
            healthy_at: self.healthy_at,
            acked: self.acked,
        }
    }

    /// As it was saved. What was told is not told again before its time.
    ///
    /// # Errors
    /// [`Error::Version`] for one of a later version, [`Error::Field`] for what no alert can have: what was saved was changed.
    pub fn restored(saved: &Saved) -> Result<Self, Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        let seen = match (saved.since, saved.last) {
            (Some(since), Some(last)) => Some((since, last.max(since))),
            (None, None) if saved.state == State::Resolved => None,
            _ => {
                return Err(Error::Field {
                    field: "since",
                    given: String::from("absent"),
                    allowed: String::from("an instant, with the last one"),
                });
            }
        };
        Ok(Self {
            kind: saved.kind,
            state: saved.state,
            seen,
            count: saved.count,
            untold: saved.untold,
            paged: saved.paged,
            paged_at: saved.paged_at,
            healthy_at: saved.healthy_at,
            acked: saved.acked.filter(|_| saved.state == State::Acknowledged),
        })
    }
}
