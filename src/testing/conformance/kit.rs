//! What the checks share.

use std::time::Duration;

use super::Harness;
use crate::remember::blocking::Blocking;
use crate::remember::store::{
    Applied, ApplyError, Batch, ClaimDue, Conflict, Event, Expect, Ns, Order, Put, Query, Record, Write,
    Written,
};

/// Ends the check with a sentence when a condition does not hold.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}

/// Ends the check when two values differ.
macro_rules! same {
    ($found:expr, $expected:expr, $what:expr) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if *found != *expected {
                    return Err(format!("{}: expected {expected:?}, found {found:?}", $what));
                }
            }
        }
    };
}

pub(super) use {ensure, same};

pub(super) const NS: Ns = Ns::RUN;
pub(super) const SEC: Duration = Duration::from_secs(1);
pub(super) const LEASE: Duration = Duration::from_secs(30);

pub(super) fn store(harness: &dyn Harness) -> Blocking<'_> {
    Blocking(harness.store())
}

pub(super) fn event(code: &'static str) -> Event {
    Event::new(None, "noted", "test:check", code, "a check wrote this")
}

pub(super) fn state(state: &str) -> Put {
    Put { state: Some(state.to_owned()), ..Put::nothing() }
}

pub(super) fn insert(key: &str, put: Put) -> Write {
    Write::new(NS, key, Expect::Absent, put)
}

pub(super) fn applied(result: Result<Applied, ApplyError>, what: &str) -> Result<Applied, String> {
    result.map_err(|error| format!("{what}: expected that it is applied, found: {}", full(&error)))
}

/// Sends one write that must be applied.
pub(super) fn write(harness: &dyn Harness, write: Write, what: &str) -> Result<Written, String> {
    let applied = applied(store(harness).apply(Batch::of(write)), what)?;
    ensure!(!applied.replayed, "{what}: a new batch was answered as replayed");
    applied.first().cloned().ok_or_else(|| format!("{what}: applied without an answer for its write"))
}

/// Sends a batch that must meet a conflict.
pub(super) fn conflicts(result: Result<Applied, ApplyError>, what: &str) -> Result<Vec<Conflict>, String> {
    match result {
        Err(ApplyError::Conflict(conflicts)) if !conflicts.is_empty() => Ok(conflicts),
        Err(error) => Err(format!("{what}: expected a conflict, found: {}", full(&error))),
        Ok(_) => Err(format!("{what}: expected a conflict, it was applied")),
    }
}

/// Sends one write that must meet a conflict, and checks that the winner is what stands under the key.
pub(super) fn refused(harness: &dyn Harness, write: Write, what: &str) -> Result<(), String> {
    let (ns, key) = (write.ns, write.key.clone());
    let before = get_in(harness, ns, &key)?;
    let found = conflicts(store(harness).apply(Batch::of(write)), what)?;
    same!(found.len(), 1, format!("{what}: conflicts for one write"));
    let after = get_in(harness, ns, &key)?;
    same!(after, before, format!("{what}: the record after a refused write"));
    for conflict in &found {
        same!(conflict.index, 0, format!("{what}: the index of the conflict"));
        same!(conflict.winner, before, format!("{what}: the winner"));
    }
    Ok(())
}

pub(super) fn get_in(harness: &dyn Harness, ns: Ns, key: &str) -> Result<Option<Record>, String> {
    store(harness).get(ns, key).map_err(|error| format!("get {key:?}: {}", full(&error)))
}

pub(super) fn get(harness: &dyn Harness, key: &str) -> Result<Record, String> {
    get_in(harness, NS, key)?.ok_or_else(|| format!("get {key:?}: expected a record, found none"))
}

pub(super) fn codes(harness: &dyn Harness, key: &str) -> Result<Vec<String>, String> {
    let events =
        store(harness).events(NS, key, 0, 1000).map_err(|error| format!("events: {}", full(&error)))?;
    Ok(events.into_iter().map(|stored| stored.event.code.into_owned()).collect())
}

/// The keys of all pages.
pub(super) fn keys(harness: &dyn Harness, query: &Query) -> Result<Vec<String>, String> {
    let mut keys = Vec::new();
    let mut query = query.clone();
    for _ in 0..10_000 {
        let page = store(harness).scan(query.clone()).map_err(|error| format!("scan: {}", full(&error)))?;
        let limit = query.limit as usize;
        ensure!(
            page.records.len() <= limit,
            "a page of {} records, the limit is {limit}",
            page.records.len()
        );
        keys.extend(page.records.into_iter().map(|record| record.key));
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(keys);
        }
    }
    Err(String::from("the scan did not end within 10000 pages"))
}

/// Claims in the state `processing` with the codes `due` and `orphan`.
pub(super) fn claim(limit: u32) -> ClaimDue {
    ClaimDue {
        ns: NS,
        kinds: Vec::new(),
        states: Vec::new(),
        order: Order::Rank,
        limit,
        owner: None,
        lease: LEASE,
        state: String::from("processing"),
        actor: String::from("worker:check"),
        due: (String::from("due"), String::from("it was due")),
        orphan: (String::from("orphan"), String::from("its owner is gone")),
    }
}

pub(super) fn full(error: &(dyn std::error::Error + 'static)) -> String {
    crate::base::fault::chain(error)
}
