//! The seam between what is remembered and where: one small, dyn-compatible trait.
//!
//! A backend keeps [`Record`]s and their [`Event`]s. Every write carries a precondition ([`Expect`]), so there is no
//! blind overwrite; writes that belong together travel in one [`Batch`] and are committed together or not at all. The
//! rules of the ledger, of runs and of leases are pure functions above this seam, written and tested once.
//!
//! A backend of your own implements seven methods and runs `testing::conformance`.

mod batch;
mod error;
mod pages;
mod record;

use std::collections::HashSet;
use std::time::Duration;

pub use batch::{
    Applied, Batch, Change, Event, Expect, Fencing, LeaseChange, Put, Stamp, Write, Written, to_millis,
};
pub use error::{ApplyError, Conflict, Error};
pub(crate) use pages::Pages;
pub use record::{BatchId, Lease, Ns, Record, StoredEvent};

use crate::base::time::{BoxFuture, Timestamp};

/// The most bytes that a record's body or an event's data may have; bigger things stay outside and are referred to.
pub const BODY_MAX: usize = 64 * 1024;
/// The most bytes that a key may have.
pub const KEY_MAX: usize = 512;
/// The most writes that a batch may have.
pub const WRITES_MAX: usize = 256;
/// The most records or events that one page may have.
pub const PAGE_MAX: u32 = 1000;
/// The longest lease.
pub const LEASE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A place where records are kept.
///
/// The futures complete on any executor. Dropping one after its first poll leaves the outcome open: the write may or
/// may not happen, and sending [`Batch::again`] settles it.
pub trait Store: Send + Sync + 'static {
    /// What this backend can do and how durable it is.
    fn caps(&self) -> Caps;

    /// Who this handle is: the owner recorded with a lease that names no other. Unique for each open handle.
    fn owner(&self) -> &str;

    /// Applies all writes of `batch`, or none. The answer leaves only when the writes are as durable as
    /// [`caps`](Self::caps) says.
    ///
    /// # Errors
    /// [`ApplyError::Conflict`] with the records that stood in the way; [`ApplyError::NotApplied`] when nothing was
    /// written; [`ApplyError::Unknown`] when it cannot be known, until [`Batch::again`] is sent.
    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>>;

    /// The record under `key`, if there is one.
    ///
    /// # Errors
    /// When the backend cannot be read.
    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>>;

    /// One page of the records that match.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a page size of zero or a cursor that is not from this query's order; otherwise when the
    /// backend cannot be read.
    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>>;

    /// Up to `limit` events of one record, oldest first, those after the sequence number `after` (0 for all).
    ///
    /// # Errors
    /// When the backend cannot be read.
    fn events<'a>(
        &'a self,
        ns: Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>>;

    /// Deletes settled records and their events, and says how many records. Never one with a live lease.
    ///
    /// # Errors
    /// When the backend cannot be written.
    fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>>;

    /// Leases up to `limit` records that need attention (see [`Query::attention`]) and hands them over.
    ///
    /// A record that another claimer takes first is left out, not waited for. Of the records with one serial key at most
    /// one is handed over. Between claimers that are at it at the same time a backend need not be exact about that: the
    /// rules above the seam look again.
    ///
    /// # Errors
    /// When the backend cannot be read or written.
    fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
        Box::pin(claim_due_by_scan(self, claim))
    }
}

/// Applies `batch`, and where the outcome could not be known sends it again, up to three times: the batch's id makes
/// that safe.
///
/// # Errors
/// As [`Store::apply`]; [`ApplyError::Unknown`] only if the store stayed out of reach.
pub async fn apply_settled(store: &(impl Store + ?Sized), batch: Batch) -> Result<Applied, ApplyError> {
    const SENDINGS_MAX: u32 = 4;
    let mut again = batch.again();
    let mut outcome = store.apply(batch).await;
    for _ in 1..SENDINGS_MAX {
        if !matches!(outcome, Err(ApplyError::Unknown(_))) {
            break;
        }
        let next = again.again();
        outcome = store.apply(again).await;
        again = next;
    }
    outcome
}

/// What a backend can do. Checked by the conformance suite, shown by `store info`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// The backend's name, such as `sqlite`.
    pub name: &'static str,
    /// Whether an applied batch survives the loss of power.
    pub durable: bool,
    /// Whether several processes may have it open.
    pub multi_process: bool,
    /// Whether several hosts may have it open, with leases judged by one clock.
    pub multi_host: bool,
    /// Whether its futures complete without the caller's runtime, so that a thread may park on them anywhere.
    pub own_threads: bool,
}

impl Caps {
    /// Caps of a backend called `name` that promises nothing yet.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, durable: false, multi_process: false, multi_host: false, own_threads: false }
    }
}

/// Which records a scan returns. An empty list means any.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query {
    /// The namespace.
    pub ns: Ns,
    /// Only these states.
    pub states: Vec<String>,
    /// Only these kinds.
    pub kinds: Vec<String>,
    /// Only keys that begin so.
    pub key_prefix: Option<String>,
    /// Only keys that end so.
    pub key_suffix: Option<String>,
    /// Only records created at this instant or later.
    pub created_from: Option<Timestamp>,
    /// Only records with this serial key.
    pub serial_key: Option<String>,
    /// Only records that need attention by the store's clock, and are not paused: due and not leased, or leased by an
    /// owner whose lease is over. One whose serial key another record has that is leased, by a lease that is not over,
    /// is left out: its turn has not come.
    pub attention: bool,
    /// Only records that were (or were not) marked reviewed.
    pub reviewed: Option<bool>,
    /// The order of the answer.
    pub order: Order,
    /// The most records in a page, 1 to [`PAGE_MAX`].
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

impl Query {
    /// Everything in `ns`, newest first, 100 a page.
    #[must_use]
    pub const fn all(ns: Ns) -> Self {
        Self {
            ns,
            states: Vec::new(),
            kinds: Vec::new(),
            key_prefix: None,
            key_suffix: None,
            created_from: None,
            serial_key: None,
            attention: false,
            reviewed: None,
            order: Order::Newest,
            limit: 100,
            cursor: None,
        }
    }

    /// Whether the parts that need no clock match: what a backend may filter with after it has read a record.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let any = |list: &[String], given: &str| list.is_empty() || list.iter().any(|one| one == given);
        record.ns == self.ns
            && any(&self.states, &record.state)
            && any(&self.kinds, &record.kind)
            && self.key_prefix.as_deref().is_none_or(|prefix| record.key.starts_with(prefix))
            && self.key_suffix.as_deref().is_none_or(|suffix| record.key.ends_with(suffix))
            && self.created_from.is_none_or(|from| record.created_at >= from)
            && self.serial_key.as_deref().is_none_or(|key| record.serial_key.as_deref() == Some(key))
            && self.reviewed.is_none_or(|reviewed| record.reviewed_at.is_some() == reviewed)
    }

    /// Whether it asks for states of which few are ever due, so that an index can leave the queue out.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn passes_the_queue_by(&self) -> bool {
        let queue = ["queued", "failed_transient"];
        !self.states.is_empty() && !self.states.iter().any(|state| queue.contains(&state.as_str()))
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit outside 1 to [`PAGE_MAX`].
    pub fn check(&self) -> Result<(), Error> {
        if self.limit == 0 || self.limit > PAGE_MAX {
            return Err(Error::invalid("limit", self.limit, format!("1 to {PAGE_MAX}")));
        }
        Ok(())
    }
}

/// What such a query says beside its states, word for word as the index that leaves the queue out.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const PAST_THE_QUEUE: &str = "state <> 'queued' AND state <> 'failed_transient'";

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Last created first.
    Newest,
    /// First created first.
    Oldest,
    /// Highest rank first, then earliest due, then first created.
    Rank,
}

/// Where a page ended; opaque, and good only for the same query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(pub String);

/// One page of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where to go on; `None` when this was the last page.
    pub next: Option<Cursor>,
}

/// What to delete: records of `ns` in one of `states` that are unchanged since `updated_before`, or past the time at
/// which they may be forgotten. A record with a live lease stays, and so does one in a state that was not named: what has
/// expired before it was done is moved to a settled state first, never deleted unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// The namespace.
    pub ns: Ns,
    /// The states that may go; an empty list means none.
    pub states: Vec<String>,
    /// Only records unchanged since then.
    pub updated_before: Timestamp,
    /// The most records to delete in one call, so that other writers get their turn.
    pub limit: u32,
}

/// Which records to lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimDue {
    /// The namespace.
    pub ns: Ns,
    /// Only these kinds; empty means any.
    pub kinds: Vec<String>,
    /// Only these states; empty means any.
    pub states: Vec<String>,
    /// Which of the records that need attention come first.
    pub order: Order,
    /// The most records to claim.
    pub limit: u32,
    /// Who claims; `None` for the handle's own [`Store::owner`].
    pub owner: Option<String>,
    /// For how long.
    pub lease: Duration,
    /// The state that a claimed record takes.
    pub state: String,
    /// The actor of the event that says so.
    pub actor: String,
    /// The event's reason, as its stable word and its sentence, for a record that was due.
    pub due: (String, String),
    /// The same for a record whose owner is gone.
    pub orphan: (String, String),
}

/// A record that was leased to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The record as it is now, with its new fence.
    pub record: Record,
    /// The state that it had before.
    pub from: String,
    /// Whether it was taken over from an owner whose lease was over.
    pub orphan: bool,
}

async fn claim_due_by_scan<S: Store + ?Sized>(store: &S, claim: ClaimDue) -> Result<Vec<Claimed>, Error> {
    let query = Query {
        states: claim.states.clone(),
        kinds: claim.kinds.clone(),
        attention: true,
        order: claim.order,
        limit: claim.limit.clamp(1, PAGE_MAX),
        ..Query::all(claim.ns)
    };
    let (mut claimed, mut serial) = (Vec::new(), HashSet::new());
    for record in store.scan(query).await?.records {
        if record.serial_key.as_ref().is_some_and(|key| !serial.insert(key.clone())) {
            continue;
        }
        let orphan = record.lease.is_some();
        let (expect, (code, why)) = if orphan {
            (Expect::LeaseOver { version: record.version }, &claim.orphan)
        } else {
            (Expect::Version(record.version), &claim.due)
        };
        let event = Event::new(Some(&record.state), &claim.state, &claim.actor, code.clone(), why.clone());
        let put = Put { owner: claim.owner.clone(), ..Put::claim(&claim.state, claim.lease) };
        let batch = Batch::of(Write::new(record.ns, record.key.as_str(), expect, put.clone()).event(event));
        let id = batch.id();
        match store.apply(batch).await {
            Ok(applied) => {
                let Some(written) = applied.first() else { continue };
                let from = record.state.clone();
                let key = record.key.clone();
                let stamp =
                    Stamp { version: written.version, now: applied.now, batch: id, owner: store.owner() };
                let record = put.onto(claim.ns, &key, Some(record), &stamp);
                claimed.push(Claimed { record, from, orphan });
            }
            Err(ApplyError::Conflict(_)) => {}
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => return Err(error),
        }
    }
    Ok(claimed)
}
