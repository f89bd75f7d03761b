//! Named leases: one holder at a time, with a fencing token, freed by time when the holder dies.
//!
//! On one host a holder that died is seen at once; across hosts its lease must run out first.

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Timestamp;
use crate::remember::store::{
    ApplyError, Batch, Error, Event, Expect, LeaseChange, Ns, Put, Record, Store, Write, apply_settled,
};

/// The named leases in a store.
#[derive(Clone)]
pub struct Leases {
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases").field("store", &self.store.caps().name).finish()
    }
}

/// A lease that is held. Dropping it frees nothing: call [`Leases::release`], or let it run out.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    name: String,
    fence: u64,
}

impl Held {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fencing token: greater than that of every earlier holder.
    #[must_use]
    pub const fn fence(&self) -> u64 {
        self.fence
    }
}

/// What an attempt to take a lease found.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// The caller holds it.
    Held(Held),
    /// Somebody else holds it.
    Busy {
        /// Who.
        owner: String,
        /// Until when, unless it is renewed.
        until: Timestamp,
    },
}

/// Whether a lease is still the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// It is.
    Held,
    /// Somebody took it over.
    Lost,
}

/// How often an attempt looks again when the lease changed under it.
const ATTEMPTS_MAX: u32 = 8;

impl Leases {
    /// The named leases in `store`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Takes the lease `name` for `lease`, if nobody holds it.
    ///
    /// # Errors
    /// When the store cannot be written; [`Error::Invalid`] for a lease of zero or over 30 days.
    pub async fn take(&self, name: &str, lease: Duration) -> Result<Taken, Error> {
        let mut seen: Option<Record> = None;
        for _ in 0..ATTEMPTS_MAX {
            let expect = match &seen {
                None => Expect::Absent,
                Some(record) => match record.lease.filter(|lease| !lease.over) {
                    Some(held) => {
                        let owner = record.owner.clone().unwrap_or_default();
                        return Ok(Taken::Busy { owner, until: held.until });
                    }
                    None => Expect::LeaseOver { version: record.version },
                },
            };
            let from = seen.as_ref().map(|record| record.state.as_str());
            let event = Event::new(from, "held", self.store.owner(), "lease.taken", "nobody held it");
            let write = Write::new(Ns::LEASE, name, expect, Put::claim("held", lease)).event(event);
            match apply_settled(&*self.store, Batch::of(write)).await {
                Ok(applied) => {
                    let fence = applied.first().map_or(0, |written| written.fence);
                    return Ok(Taken::Held(Held { name: name.to_owned(), fence }));
                }
                Err(ApplyError::Conflict(conflicts)) => {
                    seen = conflicts.into_iter().next().and_then(|conflict| conflict.winner);
                }
                Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => return Err(error),
            }
        }
        let owner = seen.and_then(|record| record.owner).unwrap_or_default();
        Ok(Taken::Busy { owner, until: Timestamp::UNIX_EPOCH })
    }

    /// Makes the lease end `lease` from now.
    ///
    /// # Errors
    /// When the store cannot be written. The lease may still be held then, until it runs out.
    pub async fn renew(&self, held: &Held, lease: Duration) -> Result<Kept, Error> {
        self.write(held, Put::renew(lease), None).await
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// When the store cannot be written; the lease runs out by itself then.
    pub async fn release(&self, held: Held) -> Result<Kept, Error> {
        let put = Put { lease: LeaseChange::End, state: Some(String::from("free")), ..Put::default() };
        let event = Event::new(Some("held"), "free", self.store.owner(), "lease.released", "given back");
        self.write(&held, put, Some(event)).await
    }

    async fn write(&self, held: &Held, put: Put, event: Option<Event>) -> Result<Kept, Error> {
        let mut write = Write::new(Ns::LEASE, held.name.as_str(), Expect::Fence(held.fence), put);
        write.event = event;
        match apply_settled(&*self.store, Batch::of(write)).await {
            Ok(_) => Ok(Kept::Held),
            Err(ApplyError::Conflict(_)) => Ok(Kept::Lost),
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
        }
    }
}
