//! Batches as the arrays that `apply_set` takes, and its answers.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::base::time::{Timestamp, millis, nanos};
use crate::remember::postgres::link::Param;
use crate::remember::postgres::read::ms;
use crate::remember::postgres::rows::{self, get, instant};
use crate::remember::replay::{self, Proof, Trace};
use crate::remember::store::{
    Applied, Batch, Change, Conflict, Error, Expect, Fencing, LeaseChange, Write, Written,
};

/// The longest time in which something becomes due, so that the sum with the clock has room: ten thousand years.
const DUE_IN_MAX_MS: i64 = 315_576_000_000_000;
/// How many parameters the function has.
const PARAMS: usize = 33;

/// The call, with the schema's name still to come.
pub(super) fn call() -> String {
    let places: Vec<String> = (1..=PARAMS).map(|place| format!("${place}")).collect();
    format!("SELECT * FROM SCHEMA.apply_set({})", places.join(", "))
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Verdict {
    Applied(Applied),
    Conflict(Vec<Conflict>),
    /// Somebody else was writing to one of its records, or what stood in its way is gone: to be sent once more.
    Again,
}

/// Text that the database can hold: what tells of something loses its NULs, and what names something may have none.
pub(super) fn check(batch: &Batch) -> Result<(), Error> {
    batch.check()?;
    for write in batch.writes() {
        let (put, event) = (&write.put, write.event.as_ref());
        let set = |change: &Change<String>| match change {
            Change::Set(Some(text)) => text.contains('\0'),
            Change::Set(None) | Change::Keep => false,
        };
        let has = |text: Option<&String>| text.is_some_and(|text| text.contains('\0'));
        let fields = [
            ("owner", has(put.owner.as_ref())),
            ("body", has(put.body.as_ref())),
            ("serial_key", set(&put.serial_key)),
            ("fingerprint", set(&put.fingerprint)),
            ("event.to", has(event.map(|event| &event.to))),
            ("event.data", has(event.and_then(|event| event.data.as_ref()))),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, nul)| *nul) {
            return Err(Error::invalid(field, "a text with a NUL in it", "text without NUL"));
        }
    }
    Ok(())
}

/// Batches, column by column.
#[derive(Default)]
pub(super) struct Columns<'a> {
    b_id: Vec<Uuid>,
    b_resent: Vec<bool>,
    batch: Vec<i32>,
    place: Vec<i32>,
    ns: Vec<i32>,
    key: Vec<&'a str>,
    expect: Vec<i32>,
    number: Vec<i64>,
    grant: Vec<bool>,
    lease: Vec<Option<i64>>,
    owner: Vec<Option<&'a str>>,
    state: Vec<Option<&'a str>>,
    kind: Vec<Option<&'a str>>,
    rank: Vec<Option<i64>>,
    set: Vec<i32>,
    serial: Vec<Option<&'a str>>,
    due: Vec<Option<i64>>,
    expires: Vec<Option<i64>>,
    reviewed: Vec<Option<i64>>,
    fingerprint: Vec<Option<&'a str>>,
    paused: Vec<Option<bool>>,
    cancelling: Vec<Option<bool>>,
    body: Vec<Option<&'a str>>,
    from: Vec<Option<Cow<'a, str>>>,
    to: Vec<Option<&'a str>>,
    actor: Vec<Option<Cow<'a, str>>>,
    attempt: Vec<Option<i64>>,
    step: Vec<Option<Cow<'a, str>>>,
    code: Vec<Option<Cow<'a, str>>>,
    why: Vec<Option<Cow<'a, str>>>,
    data: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut columns = Self::default();
        for batch in batches {
            columns.b_id.push(Uuid::from_bytes(*batch.id().as_bytes()));
            columns.b_resent.push(batch.resent());
            let number = small(columns.b_id.len());
            for (place, write) in batch.writes().iter().enumerate() {
                columns.batch.push(number);
                columns.place.push(small(place));
                columns.write(write);
                columns.event(write);
            }
        }
        columns
    }

    fn write(&mut self, write: &'a Write) {
        let put = &write.put;
        // No record has a negative number, nor is one held under the fence 0.
        let signed = |number: u64| i64::try_from(number).ok().filter(|number| *number > 0).unwrap_or(-1);
        let (expect, number) = match write.expect {
            Expect::Absent => (0, -1),
            Expect::Version(version) => (1, signed(version)),
            Expect::Fence(fence) => (2, signed(fence)),
            Expect::LeaseOver { version } => (3, signed(version)),
        };
        self.ns.push(i32::from(write.ns.number()));
        self.key.push(&write.key);
        self.expect.push(expect);
        self.number.push(number);
        self.grant.push(put.fence == Fencing::Grant);
        self.lease.push(lease_ms(put.lease));
        self.owner.push(put.owner.as_deref());
        self.state.push(put.state.as_deref());
        self.kind.push(put.kind.as_deref());
        self.rank.push(put.rank);
        let mut set = 0;
        self.serial.push(text(&put.serial_key, 1, &mut set));
        match put.due_in {
            Some(wait) => {
                set |= 2 | 32;
                self.due.push(Some(i64::try_from(millis(wait)).unwrap_or(i64::MAX).min(DUE_IN_MAX_MS)));
            }
            None => self.due.push(at(&put.due_at, 2, &mut set)),
        }
        self.expires.push(at(&put.expires_at, 4, &mut set));
        self.reviewed.push(at(&put.reviewed_at, 8, &mut set));
        self.fingerprint.push(text(&put.fingerprint, 16, &mut set));
        self.set.push(set);
        self.paused.push(put.paused);
        self.cancelling.push(put.cancelling);
        self.body.push(put.body.as_deref());
    }

    fn event(&mut self, write: &'a Write) {
        let event = write.event.as_ref();
        self.from.push(event.and_then(|event| event.from.as_deref()).map(told));
        self.to.push(event.map(|event| event.to.as_str()));
        self.actor.push(event.map(|event| told(&event.actor)));
        self.attempt.push(event.map(|event| i64::from(event.attempt)));
        self.step.push(event.and_then(|event| event.step.as_deref()).map(told));
        self.code.push(event.map(|event| told(&event.code)));
        self.why.push(event.map(|event| told(&event.why)));
        self.data.push(event.and_then(|event| event.data.as_deref()));
    }

    /// The parameters of [`call`], in its order.
    pub(super) fn params<'p>(&'p self, handle: &'p &'p str, patient: &'p bool) -> [Param<'p>; PARAMS] {
        use Type as T;
        [
            (handle, T::TEXT),
            (patient, T::BOOL),
            (&self.b_id, T::UUID_ARRAY),
            (&self.b_resent, T::BOOL_ARRAY),
            (&self.batch, T::INT4_ARRAY),
            (&self.place, T::INT4_ARRAY),
            (&self.ns, T::INT4_ARRAY),
            (&self.key, T::TEXT_ARRAY),
            (&self.expect, T::INT4_ARRAY),
            (&self.number, T::INT8_ARRAY),
            (&self.grant, T::BOOL_ARRAY),
            (&self.lease, T::INT8_ARRAY),
            (&self.owner, T::TEXT_ARRAY),
            (&self.state, T::TEXT_ARRAY),
            (&self.kind, T::TEXT_ARRAY),
            (&self.rank, T::INT8_ARRAY),
            (&self.set, T::INT4_ARRAY),
            (&self.serial, T::TEXT_ARRAY),
            (&self.due, T::INT8_ARRAY),
            (&self.expires, T::INT8_ARRAY),
            (&self.reviewed, T::INT8_ARRAY),
            (&self.fingerprint, T::TEXT_ARRAY),
            (&self.paused, T::BOOL_ARRAY),
            (&self.cancelling, T::BOOL_ARRAY),
            (&self.body, T::TEXT_ARRAY),
            (&self.from, T::TEXT_ARRAY),
            (&self.to, T::TEXT_ARRAY),
            (&self.actor, T::TEXT_ARRAY),
            (&self.attempt, T::INT8_ARRAY),
            (&self.step, T::TEXT_ARRAY),
            (&self.code, T::TEXT_ARRAY),
            (&self.why, T::TEXT_ARRAY),
            (&self.data, T::TEXT_ARRAY),
        ]
    }
}

/// What the rows say of each batch, in the order of the batches.
pub(super) fn verdicts(owner: &str, batches: &[&Batch], answer: &[Row]) -> Result<Vec<Verdict>, Error> {
    let writes: usize = batches.iter().map(|batch| batch.writes().len()).sum();
    let mut by_write: Vec<Option<&Row>> = vec![None; writes];
    for row in answer {
        let number = usize::try_from(get::<i32>(row, 0)?).unwrap_or(0);
        if let Some(place) = number.checked_sub(1).and_then(|index| by_write.get_mut(index)) {
            *place = Some(row);
        }
    }
    let mut left = by_write.as_slice();
    let mut verdicts = Vec::with_capacity(batches.len());
    for batch in batches {
        let (own, rest) = left.split_at(batch.writes().len().min(left.len()));
        left = rest;
        let own: Option<Vec<&Row>> = own.iter().copied().collect();
        let own = own.ok_or_else(|| super::error::corrupt("a write was not answered"))?;
        verdicts.push(verdict(owner, batch, &own)?);
    }
    Ok(verdicts)
}

fn verdict(owner: &str, batch: &Batch, answer: &[&Row]) -> Result<Verdict, Error> {
    let words = answer.iter().map(|row| get::<i32>(row, 1)).collect::<Result<Vec<_>, Error>>()?;
    if words.iter().all(|word| *word == 1) {
        let writes = batch.writes().iter().zip(answer).map(|(write, row)| written(owner, write, row));
        let now = answer.first().map_or(Ok(0), |row| get::<i64>(row, 2))?;
        let applied =
            Applied { now: instant(now)?, writes: writes.collect::<Result<_, Error>>()?, replayed: false };
        return Ok(Verdict::Applied(applied));
    }
    if words.contains(&2) {
        return Ok(Verdict::Again);
    }
    let traces = answer.iter().map(|row| trace(row)).collect::<Result<Vec<_>, Error>>()?;
    if let Some(applied) = replay::answer(batch, &traces) {
        return Ok(Verdict::Applied(applied));
    }
    let lost = batch.writes().iter().zip(traces).enumerate();
    let lost = lost.filter(|(_, (write, trace))| !write.expect.holds(trace.current.as_ref()));
    let lost: Vec<Conflict> =
        lost.map(|(index, (_, trace))| Conflict { index, winner: trace.current }).collect();
    Ok(if lost.is_empty() { Verdict::Again } else { Verdict::Conflict(lost) })
}

/// The place of the record's columns in an answer.
const RECORD: usize = 6;

fn trace(row: &Row) -> Result<Trace, Error> {
    if get::<Option<i64>>(row, RECORD)?.is_none() {
        return Ok(Trace::default());
    }
    let proof = match get::<Option<i64>>(row, 3)? {
        None => None,
        Some(_) => Some(Proof {
            version: rows::number(row, 3)?,
            fence: rows::number(row, 4)?,
            at: instant(get(row, 5)?)?,
        }),
    };
    let (_, record) = rows::record(row, RECORD, get(row, 2)?)?;
    Ok(Trace { current: Some(record), proof })
}

fn written(owner: &str, write: &Write, row: &Row) -> Result<Written, Error> {
    let now: i64 = get(row, 2)?;
    let version = rows::number(row, RECORD + 3)?;
    if write.expect != Expect::Absent {
        return Ok(Written {
            version,
            fence: rows::number(row, RECORD + 4)?,
            owner: get(row, RECORD + 9)?,
            lease: rows::lease(row, RECORD + 10, now)?,
            paused: get(row, RECORD + 13)?,
            cancelling: get(row, RECORD + 14)?,
        });
    }
    // What was inserted is known here already.
    let put = &write.put;
    let grant = put.fence == Fencing::Grant;
    let until = match lease_ms(put.lease) {
        None | Some(0) => None,
        Some(lease) => Some(instant(now.saturating_add(lease))?),
    };
    let own = || (grant && until.is_some()).then(|| owner.to_owned());
    Ok(Written {
        version,
        fence: if grant { version } else { 0 },
        owner: put.owner.clone().or_else(own),
        lease: until.map(|until| crate::remember::store::Lease { until, over: false }),
        paused: put.paused.unwrap_or_default(),
        cancelling: put.cancelling.unwrap_or_default(),
    })
}

/// A lease as the function takes it; a part of a millisecond counts as a whole one.
pub(super) fn lease_ms(change: LeaseChange) -> Option<i64> {
    match change {
        LeaseChange::Keep => None,
        LeaseChange::End => Some(0),
        LeaseChange::For(lease) => Some(i64::try_from(nanos(lease).div_ceil(1_000_000)).unwrap_or(i64::MAX)),
    }
}

fn text<'a>(change: &'a Change<String>, bit: i32, set: &mut i32) -> Option<&'a str> {
    let Change::Set(value) = change else { return None };
    *set |= bit;
    value.as_deref()
}

fn at(change: &Change<Timestamp>, bit: i32, set: &mut i32) -> Option<i64> {
    let Change::Set(value) = change else { return None };
    *set |= bit;
    ms(*value)
}

/// What tells of something: the database knows no NUL, and an error's text may have one.
pub(super) fn told(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
