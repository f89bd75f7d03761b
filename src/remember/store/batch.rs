//! What is sent to a backend: writes with preconditions, together or not at all.

use std::borrow::Cow;
use std::time::Duration;

use crate::base::time::{Timestamp, later};
use crate::remember::store::{BODY_MAX, BatchId, Error, KEY_MAX, LEASE_MAX, Lease, Ns, Record, WRITES_MAX};

/// Writes that are committed together or not at all. Not `Clone`: a second sending is [`again`](Self::again).
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    id: BatchId,
    writes: Vec<Write>,
    resent: bool,
}

impl Batch {
    /// A batch with a new id.
    #[must_use]
    pub fn new(writes: Vec<Write>) -> Self {
        Self { id: BatchId::new(), writes, resent: false }
    }

    /// A batch of one write.
    #[must_use]
    pub fn of(write: Write) -> Self {
        Self::new(vec![write])
    }

    /// The same batch under the same id, to be sent because the first sending's outcome is not known. A backend that
    /// has applied it already answers as it did then.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { id: self.id, writes: self.writes.clone(), resent: true }
    }

    /// The id, stored on the records and events that the batch writes.
    #[must_use]
    pub const fn id(&self) -> BatchId {
        self.id
    }

    /// The writes.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Adds a write that is to be committed with the others.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// The same with this write too, if there is one.
    pub(crate) fn and(mut self, write: Option<Write>) -> Self {
        self.writes.extend(write);
        self
    }

    /// Whether this is a second sending.
    #[must_use]
    pub const fn resent(&self) -> bool {
        self.resent
    }

    /// Checks every bound; a backend calls it before it does anything.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        if self.writes.is_empty() || self.writes.len() > WRITES_MAX {
            return Err(Error::invalid("batch", self.writes.len(), format!("1 to {WRITES_MAX} writes")));
        }
        for (index, write) in self.writes.iter().enumerate() {
            write.check()?;
            if self.writes[..index].iter().any(|other| other.ns == write.ns && other.key == write.key) {
                return Err(Error::invalid("batch.key", &write.key, "each key once in a batch"));
            }
        }
        Ok(())
    }
}

/// One write to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The namespace.
    pub ns: Ns,
    /// The key.
    pub key: String,
    /// What must hold for the write to happen.
    pub expect: Expect,
    /// What it changes.
    pub put: Put,
    /// The event that is stored beside it.
    pub event: Option<Event>,
}

impl Write {
    /// A write without an event.
    #[must_use]
    pub fn new(ns: Ns, key: impl Into<String>, expect: Expect, put: Put) -> Self {
        Self { ns, key: key.into(), expect, put, event: None }
    }

    /// The same write with `event` stored beside it.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }

    fn check(&self) -> Result<(), Error> {
        if self.key.is_empty() || self.key.len() > KEY_MAX || self.key.contains('\0') {
            return Err(Error::invalid("key", &self.key, format!("1 to {KEY_MAX} bytes, no NUL")));
        }
        if let Some(body) = &self.put.body
            && body.len() > BODY_MAX
        {
            return Err(Error::invalid("body", body.len(), format!("at most {BODY_MAX} bytes")));
        }
        if let Some(data) = self.event.as_ref().and_then(|event| event.data.as_deref())
            && data.len() > BODY_MAX
        {
            return Err(Error::invalid("event.data", data.len(), format!("at most {BODY_MAX} bytes")));
        }
        if let LeaseChange::For(lease) = self.put.lease
            && (lease.is_zero() || lease > LEASE_MAX)
        {
            let allowed = format!("more than 0 s, at most {} s", LEASE_MAX.as_secs());
            return Err(Error::invalid("lease", format!("{lease:?}"), allowed));
        }
        for (field, text) in [("state", &self.put.state), ("kind", &self.put.kind)] {
            if let Some(text) = text
                && (text.len() > KEY_MAX || text.contains('\0'))
            {
                return Err(Error::invalid(field, text, format!("at most {KEY_MAX} bytes, no NUL")));
            }
        }
        Ok(())
    }
}

/// What must hold for a write to happen. There is no "whatever is there".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing stands under the key.
    Absent,
    /// The record is at this version.
    Version(u64),
    /// The record was granted by this fence and by none since. Holds past the lease's end, until a takeover.
    Fence(u64),
    /// The record is at this version, and its lease is over by the store's clock (or it has none).
    LeaseOver {
        /// The version.
        version: u64,
    },
}

impl Expect {
    /// Whether it holds for what stands under the key; `current.lease.over` must be the store's present judgement.
    #[must_use]
    pub fn holds(self, current: Option<&Record>) -> bool {
        match (self, current) {
            (Self::Absent, None) => true,
            (Self::Absent, Some(_)) | (_, None) => false,
            (Self::Version(version), Some(record)) => record.version == version,
            (Self::Fence(fence), Some(record)) => fence != 0 && record.fence == fence,
            (Self::LeaseOver { version }, Some(record)) => record.version == version && !record.leased(),
        }
    }
}

/// Leave a field as it is, or set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// This value, which may be `None`.
    Set(Option<T>),
}

impl<T> Change<T> {
    /// Set to `value`.
    pub const fn to(value: T) -> Self {
        Self::Set(Some(value))
    }

    /// Set to nothing.
    pub const CLEAR: Self = Self::Set(None);

    fn apply(self, field: &mut Option<T>) {
        if let Self::Set(value) = self {
            *field = value;
        }
    }
}

/// What happens to the fence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fencing {
    /// It stays.
    #[default]
    Keep,
    /// It becomes this write's revision: every earlier holder is shut out.
    Grant,
}

/// What happens to the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaseChange {
    /// It stays.
    #[default]
    Keep,
    /// It ends this long after the store's now.
    For(Duration),
    /// There is none any more.
    End,
}

/// What a write changes: every field says keep or set, so that a holder's checkpoint never undoes an operator's pause.
///
/// On a key where nothing stood, what is kept is empty: no text, rank 0, body `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Put {
    /// The fence.
    pub fence: Fencing,
    /// The lease.
    pub lease: LeaseChange,
    /// Who holds the lease; `None` with [`LeaseChange::For`] and [`Fencing::Grant`] means the handle's own
    /// [`Store::owner`](super::Store::owner), else it stays.
    pub owner: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// The kind.
    pub kind: Option<String>,
    /// The rank.
    pub rank: Option<i64>,
    /// The serial key.
    pub serial_key: Change<String>,
    /// When it next needs attention. Stored to the millisecond.
    pub due_at: Change<Timestamp>,
    /// It needs attention this long after the store's now, whatever `due_at` says: what is to happen after a while does
    /// not depend on the clock of whoever writes it.
    pub due_in: Option<Duration>,
    /// When it may be forgotten. Stored to the millisecond.
    pub expires_at: Change<Timestamp>,
    /// Whether it is paused.
    pub paused: Option<bool>,
    /// Whether its holder is asked to stop.
    pub cancelling: Option<bool>,
    /// When it was reviewed. Stored to the millisecond.
    pub reviewed_at: Change<Timestamp>,
    /// The payload's fingerprint.
    pub fingerprint: Change<String>,
    /// JSON text.
    pub body: Option<String>,
}

impl Put {
    /// Changes nothing: for a write that only stores an event.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Takes the record: a new fence, a lease, a state; it is not due while it is held.
    #[must_use]
    pub fn claim(state: &str, lease: Duration) -> Self {
        Self {
            fence: Fencing::Grant,
            lease: LeaseChange::For(lease),
            state: Some(state.to_owned()),
            due_at: Change::CLEAR,
            ..Self::default()
        }
    }

    /// Makes the lease longer, and changes nothing else.
    #[must_use]
    pub fn renew(lease: Duration) -> Self {
        Self { lease: LeaseChange::For(lease), ..Self::default() }
    }
}

/// What is told about a write, stored beside the record in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The state before, if there was one.
    pub from: Option<String>,
    /// The state after.
    pub to: String,
    /// Who did it: `worker:…`, `operator:…`.
    pub actor: String,
    /// The attempt that it belongs to; 0 if none.
    pub attempt: u32,
    /// The step that it belongs to.
    pub step: Option<String>,
    /// The reason's stable word.
    pub code: Cow<'static, str>,
    /// The reason's sentence.
    pub why: String,
    /// More, as JSON text of at most [`BODY_MAX`] bytes.
    pub data: Option<String>,
}

impl Event {
    /// An event without an attempt, a step or data.
    #[must_use]
    pub fn new(
        from: Option<&str>,
        to: &str,
        actor: &str,
        code: impl Into<Cow<'static, str>>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            from: from.map(str::to_owned),
            to: to.to_owned(),
            actor: actor.to_owned(),
            attempt: 0,
            step: None,
            code: code.into(),
            why: why.into(),
            data: None,
        }
    }
}

/// A batch was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The store's wall clock at the write.
    pub now: Timestamp,
    /// What became of each write, in the order of the batch.
    pub writes: Vec<Written>,
    /// Whether an earlier sending of the same batch had already done it.
    pub replayed: bool,
}

impl Applied {
    /// What became of the first write: all that a batch of one write asks for.
    #[must_use]
    pub fn first(&self) -> Option<&Written> {
        self.writes.first()
    }
}

/// What the store decided about one written record, and what others may have changed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The revision of this write.
    pub version: u64,
    /// The fence that the record has now.
    pub fence: u64,
    /// Who holds the lease, or held it last.
    pub owner: Option<String>,
    /// The lease that the record has now.
    pub lease: Option<Lease>,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// Whether an operator has asked its holder to stop.
    pub cancelling: bool,
}

impl Written {
    /// What is to be told about `record`.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            version: record.version,
            fence: record.fence,
            owner: record.owner.clone(),
            lease: record.lease,
            paused: record.paused,
            cancelling: record.cancelling,
        }
    }
}

/// What a backend adds to a write: the parts that only the store can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The new store-wide revision.
    pub version: u64,
    /// The store's wall clock, to the millisecond.
    pub now: Timestamp,
    /// The batch.
    pub batch: BatchId,
    /// The handle's own [`Store::owner`](super::Store::owner).
    pub owner: &'a str,
}

impl Put {
    /// The record that this write makes of `current`: the one rule for every backend that keeps whole records.
    #[must_use]
    pub fn onto(self, ns: Ns, key: &str, current: Option<Record>, stamp: &Stamp<'_>) -> Record {
        let mut record = current.unwrap_or_else(|| Record::blank(ns, key, stamp.batch, stamp.now));
        let grant = self.fence == Fencing::Grant;
        record.version = stamp.version;
        record.batch = stamp.batch;
        record.updated_at = stamp.now;
        if grant {
            record.fence = stamp.version;
        }
        match self.lease {
            LeaseChange::Keep => {}
            LeaseChange::End => record.lease = None,
            LeaseChange::For(lease) => {
                record.lease = Some(Lease { until: to_millis(later(stamp.now, lease)), over: false });
            }
        }
        if self.owner.is_some() {
            record.owner = self.owner;
        } else if grant && matches!(self.lease, LeaseChange::For(_)) {
            record.owner = Some(stamp.owner.to_owned());
        }
        set(&mut record.state, self.state);
        set(&mut record.kind, self.kind);
        set(&mut record.rank, self.rank);
        set(&mut record.paused, self.paused);
        set(&mut record.cancelling, self.cancelling);
        set(&mut record.body, self.body);
        self.serial_key.apply(&mut record.serial_key);
        match self.due_in {
            Some(wait) => record.due_at = Some(later(stamp.now, wait)),
            None => self.due_at.apply(&mut record.due_at),
        }
        self.expires_at.apply(&mut record.expires_at);
        self.reviewed_at.apply(&mut record.reviewed_at);
        self.fingerprint.apply(&mut record.fingerprint);
        for at in [&mut record.due_at, &mut record.expires_at, &mut record.reviewed_at] {
            *at = at.map(to_millis);
        }
        record
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// The instant cut to the millisecond: the precision of every stored instant.
#[must_use]
pub fn to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}
