//! The idempotency ledger: a key is worked on once, and whoever comes again is told how it ended.
//!
//! [`Ledger`] is what applications may also implement on a system of their own; [`StoreLedger`] implements it on any
//! store. What it does *not* give is exactly-once: a crash between an effect and its record leaves an outcome that
//! nobody knows, and the effect class that the work declares (see `effect`) says what happens then.
//!
//! # After a restart
//! Everything is in the store. A claim whose holder died is taken over by the next claim of the same key: on one host
//! at once, else when its lease is over.

pub(in crate::remember) mod entry;
mod on_store;

use std::time::Duration;

pub use entry::Outcome;
pub use on_store::StoreLedger;

use crate::base::canonical::{Fingerprint, Key};
use crate::base::fault::{Class, Classify, Fault, Reached};
use crate::base::time::{BoxFuture, Timestamp};
use crate::decide::claim::LastKnown;
use crate::remember::runs::Json;
use crate::remember::store;

/// The lease of a claim unless another is given. Renewed at a third of it.
pub const LEASE: Duration = Duration::from_secs(30);

/// Proof of a claim: the key, and the number that shuts out every earlier holder. Settling the claim uses it up: what
/// comes after under the same fence is refused. A settling that failed because the store did can be tried again.
#[derive(Debug, PartialEq, Eq)]
pub struct Fence {
    key: Key,
    number: u64,
    generation: u32,
}

impl Fence {
    /// The fence that a ledger granted for `key`; for implementers.
    #[must_use]
    pub const fn granted(key: Key, number: u64) -> Self {
        Self { key, number, generation: 1 }
    }

    /// The same fence, of an entry whose key is in this generation.
    pub(in crate::remember) const fn of_generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self
    }

    /// The key that was claimed.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The number. Hand it to systems that can refuse an older one.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// What a claim is told.
#[derive(Debug)]
#[must_use]
pub enum Claim {
    /// The key is the caller's: do the work.
    Fresh(Fence),
    /// It is settled; nothing is to be done.
    Duplicate(Outcome),
    /// Somebody is at it.
    Busy {
        /// Who.
        owner: String,
        /// Until when, unless the lease is renewed.
        until: Timestamp,
    },
    /// The same key was claimed with another payload.
    Conflict {
        /// The fingerprint that is stored.
        stored: String,
        /// The fingerprint that was given.
        given: String,
    },
    /// Whoever was at it is gone, and the key is the caller's now; `claim::after_takeover` says what to do with what
    /// is known.
    TakeOver(Fence, LastKnown),
}

/// What a renewal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// When the lease ends now, by the ledger's wall clock; for people.
    pub until: Option<Timestamp>,
    /// Whether the holder is asked to stop.
    pub cancelling: bool,
}

/// Where claims are kept.
///
/// Dyn-compatible. An implementation on a foreign system is an outer guard: between its answer and the work there is no
/// common commit, so a crash there leaves what a takeover must look at.
pub trait Ledger: Send + Sync {
    /// Claims `key` for work on the payload with this fingerprint, by a lease.
    ///
    /// # Errors
    /// When the ledger cannot be reached; nothing is claimed then, or the claim is over with its lease.
    fn claim<'a>(
        &'a self,
        key: &'a Key,
        payload: &'a Fingerprint,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, Error>>;

    /// Makes the lease end `lease` from now.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody took over.
    fn renew<'a>(&'a self, fence: &'a Fence, lease: Duration) -> BoxFuture<'a, Result<Renewed, Error>>;

    /// Records that the work was done, and what it gave.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody took over; that the work was done all the same is kept as an event.
    fn complete<'a>(&'a self, fence: &'a Fence, result: Json) -> BoxFuture<'a, Result<(), Error>>;

    /// Records that the work failed for good.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody took over; the fault is kept as an event.
    fn fail<'a>(
        &'a self,
        fence: &'a Fence,
        fault: &'a Fault,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Records that nobody knows whether the work was done; every later claim is told so until a person answers.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody took over.
    fn doubt<'a>(&'a self, fence: &'a Fence, why: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Gives the key back: the work was not done and may be tried again.
    ///
    /// # Errors
    /// [`Error::Fenced`] when somebody took over.
    fn release<'a>(&'a self, fence: &'a Fence, why: &'a str) -> BoxFuture<'a, Result<(), Error>>;
}

/// A claim could not be made or settled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Somebody took the key over: what this holder does no longer counts.
    #[error("{key} was taken over: fence {fence} is old, {} stands", .stands.map_or_else(|| String::from("none"), |n| n.to_string()))]
    Fenced {
        /// The key.
        key: Key,
        /// The fence that was presented.
        fence: u64,
        /// The fence that stands; `None` if the entry is gone.
        stands: Option<u64>,
    },
    /// The entry changed under each look.
    #[error("the entry of {key} was changed by others {attempts} times in a row")]
    Contended {
        /// The key.
        key: Key,
        /// How often it was tried.
        attempts: u32,
    },
    /// The entry is not one that this release understands.
    #[error("the entry of {key} cannot be read: {detail}")]
    Unreadable {
        /// The key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Fenced { .. } => Fault::new(Class::Permanent, "ledger.fenced").reached(Reached::No),
            Self::Contended { .. } => Fault::transient("ledger.contended").reached(Reached::No),
            Self::Unreadable { .. } => Fault::new(Class::Permanent, "ledger.unreadable").reached(Reached::No),
        }
    }
}
