//! Between rows and records.

use std::borrow::Cow;
use std::path::Path;

use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use crate::base::time::Timestamp;
use crate::remember::sqlite::boot::{Clocks, Reading};
use crate::remember::sqlite::owner;
use crate::remember::sqlite::schema::ID_BITS;
use crate::remember::store::{BatchId, Event, Lease, Ns, Record, StoredEvent};

/// The columns of a record, in the order in which [`record`] reads them.
pub(super) const COLUMNS: &str = "id, ns, key, version, fence, state, kind, rank, serial_key, owner, holder, \
     lease_boot, lease_ends, lease_until, due_at, expires_at, paused, cancelling, reviewed_at, fingerprint, batch, \
     body, created_at, updated_at";

/// The columns of an event, in the order in which [`event`] reads them.
pub(super) const EVENT_COLUMNS: &str =
    "seq, at, fence, batch, from_state, to_state, actor, attempt, step, code, why, data";

/// A value of a statement. The engine's integers have a sign; the range of drivers differs in how they bind others.
pub(super) enum Bind<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
    Blob(&'a [u8]),
}

impl<'a> Bind<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(super) fn maybe(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    pub(super) fn at(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Null, |at| Self::Int(at.timestamp_millis()))
    }
}

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Decides at one instant whether leases are over.
pub(super) struct Judge<'a> {
    pub(super) clocks: &'a Clocks,
    pub(super) now: Reading,
    /// Where the owner files are.
    pub(super) locks: &'a Path,
}

impl<'a> Judge<'a> {
    pub(super) fn now(clocks: &'a Clocks, locks: &'a Path) -> Self {
        Self { clocks, now: clocks.read(), locks }
    }

    /// Another boot is over at once, a dead holder too, and the rest at its end on the boot-time clock.
    pub(super) fn is_over(&self, boot: &str, ends_ms: i64, holder: Option<&str>) -> bool {
        boot != self.clocks.boot()
            || ends_ms <= self.now.boot_ms
            || holder.is_some_and(|name| self.is_dead(name))
    }

    pub(super) fn is_dead(&self, holder: &str) -> bool {
        owner::is_dead(self.locks, holder)
    }

    pub(super) fn lease(
        &self,
        row: &Row<'_>,
        holder: usize,
        boot: usize,
        ends: usize,
        until: usize,
    ) -> rusqlite::Result<Option<Lease>> {
        let Some(ends_ms) = row.get::<_, Option<i64>>(ends)? else { return Ok(None) };
        let boot = row.get_ref(boot)?.as_str().map_err(rusqlite::Error::from)?;
        let holder = row.get_ref(holder)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        Ok(Some(Lease { until: instant(row, until)?, over: self.is_over(boot, ends_ms, holder) }))
    }
}

/// Reads a record and its id from a row of [`COLUMNS`].
pub(super) fn record(row: &Row<'_>, judge: &Judge<'_>) -> rusqlite::Result<(i64, Record)> {
    let ns = u16::try_from(row.get::<_, i64>(1)?).map_err(|_| FromSqlError::OutOfRange(1))?;
    let mut record =
        Record::blank(Ns::from_stored(ns), row.get::<_, String>(2)?, batch(row, 20)?, instant(row, 22)?);
    record.version = number(row, 3)?;
    record.fence = number(row, 4)?;
    record.state = row.get(5)?;
    record.kind = row.get(6)?;
    record.rank = row.get(7)?;
    record.serial_key = row.get(8)?;
    record.owner = row.get(9)?;
    record.lease = judge.lease(row, 10, 11, 12, 13)?;
    record.due_at = maybe_instant(row, 14)?;
    record.expires_at = maybe_instant(row, 15)?;
    record.paused = row.get(16)?;
    record.cancelling = row.get(17)?;
    record.reviewed_at = maybe_instant(row, 18)?;
    record.fingerprint = row.get(19)?;
    record.body = row.get(21)?;
    record.updated_at = instant(row, 23)?;
    Ok((row.get(0)?, record))
}

/// Reads an event from a row of [`EVENT_COLUMNS`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let event = Event {
        from: row.get(4)?,
        to: row.get(5)?,
        actor: row.get(6)?,
        attempt: u32::try_from(row.get::<_, i64>(7)?).map_err(|_| FromSqlError::OutOfRange(7))?,
        step: row.get(8)?,
        code: Cow::Owned(row.get(9)?),
        why: row.get(10)?,
        data: row.get(11)?,
    };
    Ok(StoredEvent::new(number(row, 0)?, instant(row, 1)?, number(row, 2)?, batch(row, 3)?, event))
}

/// The id of the record that was created in `ns` by the write of `version`.
pub(super) const fn id_of(ns: Ns, version: i64) -> i64 {
    ((ns.number() as i64) << ID_BITS) | version
}

/// The ids of a namespace.
pub(super) const fn ids_of(ns: Ns) -> (i64, i64) {
    (id_of(ns, 0), id_of(ns, (1 << ID_BITS) - 1))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(column)?;
    Ok(u64::try_from(stored).map_err(|_| FromSqlError::OutOfRange(stored))?)
}

pub(super) fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let ms: i64 = row.get(column)?;
    Ok(Timestamp::from_timestamp_millis(ms).ok_or(FromSqlError::OutOfRange(ms))?)
}

fn maybe_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(ms) => Ok(Some(Timestamp::from_timestamp_millis(ms).ok_or(FromSqlError::OutOfRange(ms))?)),
    }
}

fn batch(row: &Row<'_>, column: usize) -> rusqlite::Result<BatchId> {
    let bytes = row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?;
    let bytes = bytes.try_into().map_err(|_| FromSqlError::InvalidType)?;
    Ok(BatchId::from_bytes(bytes))
}
