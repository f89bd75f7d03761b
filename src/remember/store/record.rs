//! What a backend keeps: records and their events.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;
use crate::remember::store::Event;

/// A namespace: what kind of thing a record is. Stored as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ns(u16);

impl Ns {
    /// Runs of jobs.
    pub const RUN: Self = Self(1);
    /// Entries of the idempotency ledger.
    pub const LEDGER: Self = Self(2);
    /// Small saved states: breakers, budgets, baselines.
    pub const SNAPSHOT: Self = Self(3);
    /// Named leases.
    pub const LEASE: Self = Self(4);
    /// What runs wait for outside, by its token.
    pub const WAIT: Self = Self(5);

    /// The first number for an application's own namespaces.
    pub const CUSTOM_MIN: u16 = 1000;

    /// A namespace of an application's own; `None` below [`CUSTOM_MIN`](Self::CUSTOM_MIN).
    #[must_use]
    pub const fn custom(number: u16) -> Option<Self> {
        if number < Self::CUSTOM_MIN { None } else { Some(Self(number)) }
    }

    /// The namespace that was stored as `number`.
    #[must_use]
    pub const fn from_stored(number: u16) -> Self {
        Self(number)
    }

    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Ns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::RUN => f.write_str("run"),
            Self::LEDGER => f.write_str("ledger"),
            Self::SNAPSHOT => f.write_str("snapshot"),
            Self::LEASE => f.write_str("lease"),
            Self::WAIT => f.write_str("wait"),
            Self(number) => write!(f, "ns{number}"),
        }
    }
}

/// The identity of a batch: the same id sent twice is applied once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(uuid::Uuid);

impl BatchId {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// The id that was stored as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// The bytes that are stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl Default for BatchId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lease, as it was when the record was read. The store's clock judges it, at each write again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When it ends, on the wall clock; for people, never for a decision.
    pub until: Timestamp,
    /// Whether it was over when the record was read: its time had passed, or its owner was known to be dead.
    pub over: bool,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// What kind of thing it is.
    pub ns: Ns,
    /// Its name within the namespace.
    pub key: String,
    /// The store-wide revision of the write that made it so. Never given twice, also after a prune.
    pub version: u64,
    /// The revision of the claim that last granted it; 0 if none ever did.
    pub fence: u64,
    /// Its state, a stable word.
    pub state: String,
    /// Its kind, such as the job's name.
    pub kind: String,
    /// How urgent it is: higher first.
    pub rank: i64,
    /// Records with the same serial key are not to run at the same time.
    pub serial_key: Option<String>,
    /// Who holds, or last held, the lease.
    pub owner: Option<String>,
    /// The lease, if it is held.
    pub lease: Option<Lease>,
    /// When it next needs attention, if it does.
    pub due_at: Option<Timestamp>,
    /// When it may be forgotten.
    pub expires_at: Option<Timestamp>,
    /// Whether a person has put it aside for now.
    pub paused: bool,
    /// Whether its holder has been asked to stop.
    pub cancelling: bool,
    /// When a person marked it reviewed.
    pub reviewed_at: Option<Timestamp>,
    /// The fingerprint of its payload.
    pub fingerprint: Option<String>,
    /// The batch that wrote it last.
    pub batch: BatchId,
    /// JSON text of at most [`BODY_MAX`](super::BODY_MAX) bytes.
    pub body: String,
    /// When it was first written, by the store's wall clock.
    pub created_at: Timestamp,
    /// When it was last written, by the store's wall clock.
    pub updated_at: Timestamp,
}

impl Record {
    /// A record that holds nothing yet; a backend fills it in.
    #[must_use]
    pub fn blank(ns: Ns, key: impl Into<String>, batch: BatchId, at: Timestamp) -> Self {
        Self {
            ns,
            key: key.into(),
            version: 0,
            fence: 0,
            state: String::new(),
            kind: String::new(),
            rank: 0,
            serial_key: None,
            owner: None,
            lease: None,
            due_at: None,
            expires_at: None,
            paused: false,
            cancelling: false,
            reviewed_at: None,
            fingerprint: None,
            batch,
            body: String::from("{}"),
            created_at: at,
            updated_at: at,
        }
    }

    /// Whether somebody held it when it was read.
    #[must_use]
    pub fn leased(&self) -> bool {
        self.lease.is_some_and(|lease| !lease.over)
    }
}

/// An event, as it was stored beside its record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// The version that the write gave the record; ascending, with gaps.
    pub seq: u64,
    /// When, by the store's wall clock.
    pub at: Timestamp,
    /// The fence that the record had after the write.
    pub fence: u64,
    /// The batch that wrote it.
    pub batch: BatchId,
    /// What was written.
    pub event: Event,
}

impl StoredEvent {
    /// Puts an event together that a backend has read.
    #[must_use]
    pub const fn new(seq: u64, at: Timestamp, fence: u64, batch: BatchId, event: Event) -> Self {
        Self { seq, at, fence, batch, event }
    }
}
