//! How many pages go out, of all identities together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Timestamp, forward, later};
use crate::decide::alert::policy::{Error, PAGES_MAX, Policy};

const VERSION: u32 = 1;
/// How long what is held back is gathered before the digest goes out.
const GATHER: Duration = Duration::from_secs(60);

/// The pages of all identities, and what of them is held back for one digest.
///
/// As many pages as the policy allows go out within its span. What is above is held back and told in one digest, a minute after the
/// first that was, so that it tells of the whole storm; then again a span later, if more was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// When pages went out, oldest first; no more than the policy allows.
    sent: Vec<Timestamp>,
    /// Since when something is held back.
    held_since: Option<Timestamp>,
    digest_at: Option<Timestamp>,
}

/// What becomes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Admit {
    /// It goes out.
    Send,
    /// It is told in the next digest.
    Digest {
        /// How many went out.
        sent: u32,
        /// Within how long.
        per: Duration,
    },
}

/// A [`Limit`] as it is saved: at most some tens of kilobytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedLimit {
    v: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sent: Vec<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest_at: Option<Timestamp>,
}

impl Limit {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more is to go out.
    pub fn admit(&mut self, policy: &Policy, wall: Timestamp) -> Admit {
        let now = self.forget(policy, wall);
        let allowed = usize::try_from(policy.pages).unwrap_or(usize::MAX);
        if self.sent.len() < allowed {
            self.sent.push(now);
            return Admit::Send;
        }
        self.held_since.get_or_insert(now);
        Admit::Digest { sent: u32::try_from(self.sent.len()).unwrap_or(u32::MAX), per: policy.per }
    }

    /// When the next digest is to go out; `None` while nothing is held back.
    #[must_use]
    pub fn digest_due(&self, policy: &Policy) -> Option<Timestamp> {
        let gathered = later(self.held_since?, GATHER.min(policy.per));
        Some(self.digest_at.map_or(gathered, |last| gathered.max(later(last, policy.per))))
    }

    /// The digest went out, with all that was held back.
    pub fn digested(&mut self, wall: Timestamp) {
        self.held_since = None;
        self.digest_at = Some(forward(self.digest_at, wall));
    }

    /// As it is saved.
    #[must_use]
    pub fn saved(&self) -> SavedLimit {
        let Self { sent, held_since, digest_at } = self.clone();
        SavedLimit { v: VERSION, sent, held_since, digest_at }
    }

    /// As it was saved.
    ///
    /// # Errors
    /// [`Error::Version`] for one of a later version, [`Error::Field`] for what no limit can have: what was saved was changed.
    pub fn restored(saved: SavedLimit) -> Result<Self, Error> {
        let SavedLimit { v, mut sent, held_since, digest_at } = saved;
        if v != VERSION {
            return Err(Error::Version { found: v, known: VERSION });
        }
        let most = usize::try_from(PAGES_MAX).unwrap_or(usize::MAX);
        if sent.len() > most {
            let (given, allowed) = (sent.len().to_string(), format!("at most {most}"));
            return Err(Error::Field { field: "sent", given, allowed });
        }
        sent.sort_unstable();
        Ok(Self { sent, held_since, digest_at })
    }

    /// Forgets what is no longer counted; the clock, as it is taken to be.
    fn forget(&mut self, policy: &Policy, wall: Timestamp) -> Timestamp {
        let now = forward(self.sent.last().copied(), wall);
        // What a clock said that was far ahead is taken to have been said now.
        for at in self.sent.iter_mut().chain(&mut self.held_since).chain(&mut self.digest_at) {
            *at = (*at).min(now);
        }
        self.sent.retain(|at| later(*at, policy.per) > now);
        now
    }
}
