//! The answer: its JSON is a public contract, key by key.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::base::text::rfc3339;
use crate::base::time::Timestamp;

/// An instant, in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(self.0))
    }
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    pub(super) well: bool,
    pub(super) heartbeats: Vec<Heartbeat>,
    pub(super) breakers: Vec<Breaker>,
    pub(super) holds: Vec<Hold>,
    pub(super) alerts: Vec<Alert>,
    pub(super) queue: Queue,
    pub(super) dead_letters: u64,
    pub(super) budgets: Vec<Limit>,
    pub(super) quotas: Vec<Limit>,
    pub(super) windows: Vec<Window>,
    pub(super) next: Vec<Next>,
    pub(super) undeclared: Vec<Undeclared>,
    pub(super) never: Vec<Never>,
}

#[derive(Debug, Serialize)]
pub(super) struct Heartbeat {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) since: Option<At>,
    pub(super) last_success: Option<At>,
    pub(super) every_ms: Option<u64>,
    pub(super) schedule: Option<String>,
    pub(super) code: &'static str,
    pub(super) why: String,
    pub(super) declared: bool,
    pub(super) monitor: String,
    /// 0 well, 1 to be looked at, 2 in trouble.
    #[serde(skip)]
    pub(super) level: u8,
    /// Whether anything was ever heard of it.
    #[serde(skip)]
    pub(super) heard: bool,
    /// Whether one of the newest runs is of it.
    #[serde(skip)]
    pub(super) ran: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Breaker {
    pub(super) dependency: String,
    pub(super) state: &'static str,
    pub(super) since: Option<At>,
    pub(super) until: Option<At>,
    pub(super) code: String,
    pub(super) why: String,
    /// How it is forced by a person, if it is.
    pub(super) forced: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Hold {
    /// `job:NAME` or `dependency:NAME`.
    pub(super) subject: String,
    pub(super) until: Option<At>,
    pub(super) reason: String,
    pub(super) by: String,
    pub(super) at: At,
    pub(super) code: &'static str,
    pub(super) why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Alert {
    pub(super) id: String,
    pub(super) subject: String,
    pub(super) state: &'static str,
    pub(super) kind: &'static str,
    pub(super) code: String,
    pub(super) why: String,
    pub(super) count: u64,
    pub(super) since: Option<At>,
    pub(super) last: Option<At>,
    pub(super) owner: Option<String>,
    pub(super) runbook: Option<String>,
    pub(super) unsent: bool,
    pub(super) next: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Queue {
    #[serde(flatten)]
    pub(super) states: BTreeMap<&'static str, u64>,
    pub(super) due: u64,
    pub(super) oldest_ms: Option<u64>,
    pub(super) cut: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) dependency: String,
    /// How much of it is used, where that is counted.
    pub(super) used: Option<u32>,
    /// When nothing of it is used any more, if nothing more is.
    pub(super) full_at: Option<At>,
}

#[derive(Debug, Serialize)]
pub(super) struct Window {
    pub(super) job: String,
    pub(super) state: &'static str,
    pub(super) opens: Option<At>,
    pub(super) runs: u64,
    pub(super) code: String,
    pub(super) why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Next {
    pub(super) job: String,
    pub(super) at: At,
    pub(super) local: String,
    pub(super) note: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Undeclared {
    pub(super) name: String,
    pub(super) last: Option<At>,
}

#[derive(Debug, Serialize)]
pub(super) struct Never {
    pub(super) name: String,
    pub(super) since: Option<At>,
}

impl Answer {
    /// Whether nothing is overdue or open.
    pub(super) fn is_well(&self) -> bool {
        let down = |beat: &&Heartbeat| beat.level == 2;
        !self.heartbeats.iter().any(|beat| down(&beat))
            && !self.alerts.iter().any(|alert| alert.state == "open")
    }
}
