//! What stands under a key in a store, and the writes that change it.

use serde::{Deserialize, Serialize};

use crate::base::canonical::{Fingerprint, Key};
use crate::base::fault::Class;
use crate::base::time::Timestamp;
use crate::decide::claim::{self, Status};
use crate::remember::runs::Json;
use crate::remember::store::{Change, Event, Expect, Fencing, LeaseChange, Ns, Put, Record, Write};

/// The body of an entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::remember) struct Body {
    /// The format of this value.
    pub(in crate::remember) v: u32,
    /// The run that works, or worked, under the key; none where an application claims it directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::remember) run: Option<String>,
    /// Counts the forced replays of the key, from 1.
    pub(in crate::remember) generation: u32,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::remember) outcome: Option<Outcome>,
}

impl Body {
    pub(in crate::remember) const fn open(run: Option<String>, generation: u32) -> Self {
        Self { v: 1, run, generation, outcome: None }
    }

    pub(in crate::remember) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How work under a key ended: what a second delivery is given instead of doing it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It was done; this is what it gave.
    Succeeded {
        /// The result, as JSON text.
        result: Json,
    },
    /// It failed for good.
    Failed {
        /// The fault's class.
        class: Class,
        /// The fault's stable word.
        code: String,
        /// What the error and its sources said.
        why: String,
    },
    /// Nobody knows whether it was done; a person is asked.
    NeedsReview {
        /// Why nobody knows.
        why: String,
    },
}

impl Outcome {
    pub(in crate::remember) const fn status(&self) -> Status {
        match self {
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed { .. } => Status::Failed,
            Self::NeedsReview { .. } => Status::NeedsReview,
        }
    }
}

/// An entry, read.
#[derive(Clone, Debug)]
pub(in crate::remember) struct Entry {
    pub(in crate::remember) record: Record,
    pub(in crate::remember) body: Body,
    pub(in crate::remember) status: Status,
}

impl Entry {
    /// `None` if the record is not one that this release understands.
    pub(in crate::remember) fn from_record(record: Record) -> Option<Self> {
        let status = Status::from_word(&record.state)?;
        let body = serde_json::from_str(&record.body).ok()?;
        Some(Self { record, body, status })
    }

    pub(in crate::remember) fn judge(&self, fingerprint: &str, now: Timestamp) -> claim::Decision {
        let lease = self.record.lease.filter(|lease| !lease.over);
        let entry = claim::Entry {
            status: self.status,
            fingerprint: self.record.fingerprint.as_deref().unwrap_or_default(),
            leased_until: lease.map(|lease| lease.until),
            expires_at: self.record.expires_at,
        };
        claim::claim(Some(entry), fingerprint, now)
    }
}

/// The write that opens an entry for whoever claims it.
pub(in crate::remember) fn opening(
    key: &Key,
    expect: Expect,
    fingerprint: &Fingerprint,
    body: &Body,
    event: Event,
) -> Write {
    let put = Put {
        fence: Fencing::Grant,
        state: Some(Status::Claimed.as_str().to_owned()),
        kind: Some(key.kind().into_owned()),
        fingerprint: Change::to(fingerprint.to_string()),
        expires_at: Change::CLEAR,
        body: Some(body.text()),
        ..Put::default()
    };
    Write::new(Ns::LEDGER, key.as_str(), expect, put).event(event)
}

/// The write that settles an entry.
pub(in crate::remember) fn settling(
    key: &str,
    expect: Expect,
    body: &Body,
    status: Status,
    expires_at: Option<Timestamp>,
    event: Event,
) -> Write {
    let put = Put {
        lease: LeaseChange::End,
        state: Some(status.as_str().to_owned()),
        expires_at: Change::Set(expires_at),
        body: Some(body.text()),
        ..Put::default()
    };
    Write::new(Ns::LEDGER, key, expect, put).event(event)
}
