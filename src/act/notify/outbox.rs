//! A page that was not sent yet, as it stands in the record of its alert.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::text::head;
use crate::base::time::{Timestamp, between, later};

/// How soon what could not be sent is tried again: so long, then twice as long, at most [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// So many bytes of why it could not be sent are kept.
const FAILED_MAX: usize = 500;

/// What a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Says {
    /// That it goes wrong.
    Wrong,
    /// That it is over.
    Over,
}

/// A page that was not sent yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outbox {
    pub(super) says: Says,
    /// Since when it waits.
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) tried: Tried,
    /// Whether it is told in the digest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) held: bool,
    /// Why it could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
}

/// How far the sending is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tried {
    /// Whether the limit has let it go out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) admitted: bool,
    #[serde(default)]
    pub(super) tries: u32,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<Timestamp>,
    /// The sinks that have taken it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) done: Vec<String>,
}

impl Tried {
    /// Whether it may be tried now. What was put off for longer than anything ever is was put off by a clock that was wrong.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_none_or(|due| due <= now || between(now, due) > RETRY_MAX)
    }

    /// It could not be sent to everybody.
    pub(super) fn put_off(&mut self, now: Timestamp) {
        let wait = RETRY.saturating_mul(1 << self.tries.min(16)).min(RETRY_MAX);
        self.tries = self.tries.saturating_add(1);
        self.due = Some(later(now, wait));
    }
}

impl Outbox {
    pub(super) fn new(says: Says, at: Timestamp) -> Self {
        Self { says, at, tried: Tried::default(), held: false, failed: None }
    }

    pub(super) fn failed(&mut self, why: &str, now: Timestamp) {
        self.failed = Some(head(why, FAILED_MAX).to_owned());
        self.tried.put_off(now);
    }
}
