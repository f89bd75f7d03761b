//! Between rows and records.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::base::time::Timestamp;
use crate::remember::postgres::error::corrupt;
use crate::remember::store::{BatchId, Error, Event, Lease, Ns, Record, StoredEvent};

/// The columns of a record, in the order in which [`record`] reads them.
pub(super) const COLUMNS: [&str; 22] = [
    "id",
    "ns",
    "key",
    "version",
    "fence",
    "state",
    "kind",
    "rank",
    "serial_key",
    "owner",
    "lease_until",
    "due_at",
    "expires_at",
    "paused",
    "cancelling",
    "reviewed_at",
    "fingerprint",
    "batch",
    "body",
    "created_at",
    "updated_at",
    "now",
];

/// The columns of an event, in the order in which [`event`] reads them.
pub(super) const EVENT_COLUMNS: &str =
    "seq, at, fence, batch, from_state, to_state, actor, attempt, step, code, why, data";

/// The bits of a record's id that tell it from others of its namespace.
pub(super) const ID_BITS: u32 = 47;

/// The record that begins in column `from`, and its id; its lease is judged at `now`.
pub(super) fn record(row: &Row, from: usize, now: i64) -> Result<(i64, Record), Error> {
    let ns = u16::try_from(get::<i32>(row, from + 1)?).map_err(corrupt)?;
    let created = instant(get(row, from + 19)?)?;
    let mut record =
        Record::blank(Ns::from_stored(ns), get::<String>(row, from + 2)?, batch(row, from + 17)?, created);
    record.version = number(row, from + 3)?;
    record.fence = number(row, from + 4)?;
    record.state = get(row, from + 5)?;
    record.kind = get(row, from + 6)?;
    record.rank = get(row, from + 7)?;
    record.serial_key = get(row, from + 8)?;
    record.owner = get(row, from + 9)?;
    record.lease = lease(row, from + 10, now)?;
    record.due_at = maybe_instant(row, from + 11)?;
    record.expires_at = maybe_instant(row, from + 12)?;
    record.paused = get(row, from + 13)?;
    record.cancelling = get(row, from + 14)?;
    record.reviewed_at = maybe_instant(row, from + 15)?;
    record.fingerprint = get(row, from + 16)?;
    record.body = get(row, from + 18)?;
    record.updated_at = instant(get(row, from + 20)?)?;
    Ok((get(row, from)?, record))
}

/// Reads an event from a row of [`EVENT_COLUMNS`].
pub(super) fn event(row: &Row) -> Result<StoredEvent, Error> {
    let event = Event {
        from: get(row, 4)?,
        to: get(row, 5)?,
        actor: get(row, 6)?,
        attempt: u32::try_from(get::<i64>(row, 7)?).map_err(corrupt)?,
        step: get(row, 8)?,
        code: Cow::Owned(get(row, 9)?),
        why: get(row, 10)?,
        data: get(row, 11)?,
    };
    Ok(StoredEvent::new(number(row, 0)?, instant(get(row, 1)?)?, number(row, 2)?, batch(row, 3)?, event))
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Error> {
    row.try_get(column).map_err(corrupt)
}

pub(super) fn number(row: &Row, column: usize) -> Result<u64, Error> {
    u64::try_from(get::<i64>(row, column)?).map_err(corrupt)
}

pub(super) fn lease(row: &Row, column: usize, now: i64) -> Result<Option<Lease>, Error> {
    let Some(until) = get::<Option<i64>>(row, column)? else { return Ok(None) };
    Ok(Some(Lease { until: instant(until)?, over: until <= now }))
}

pub(super) fn instant(ms: i64) -> Result<Timestamp, Error> {
    Timestamp::from_timestamp_millis(ms).ok_or_else(|| corrupt(format!("no instant is {ms} ms after 1970")))
}

/// The ids of a namespace.
pub(super) const fn ids_of(ns: Ns) -> (i64, i64) {
    let low = (ns.number() as i64) << ID_BITS;
    (low, low | ((1 << ID_BITS) - 1))
}

fn maybe_instant(row: &Row, column: usize) -> Result<Option<Timestamp>, Error> {
    get::<Option<i64>>(row, column)?.map(instant).transpose()
}

fn batch(row: &Row, column: usize) -> Result<BatchId, Error> {
    Ok(BatchId::from_bytes(*get::<Uuid>(row, column)?.as_bytes()))
}
