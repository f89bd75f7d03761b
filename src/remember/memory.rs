//! The store in memory: for tests, and for programs whose work need not outlive the process.
//!
//! It keeps every rule of the seam, and is lost with the process. It holds as many records as it is given until they
//! are [pruned](Store::prune); there is no bound of its own. A scan reads all records of its namespace; one
//! for what needs attention reads only those that are due some day or leased.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::time::{BoxFuture, Clock, Moment, Now, System};
use crate::remember::cursor::{Mark, by_rank};
use crate::remember::replay::{self, Proof, Trace};
use crate::remember::store::{
    Applied, ApplyError, Batch, BatchId, Caps, Conflict, Error, LeaseChange, Ns, Order, PAGE_MAX, Page,
    Prune, Query, Record, Stamp, Store, StoredEvent, Write, Written, to_millis,
};

/// A store in memory.
///
/// A lease is judged by the clock's monotonic moment, so that a step of the wall clock moves none; the instants in the
/// records come from its wall clock. When a handle is dropped its leases are over at once, as when a process dies.
pub struct Memory {
    shared: Arc<Shared>,
    owner: String,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last version that was given.
    revision: u64,
    ids: BTreeMap<(Ns, String), u64>,
    /// By namespace and the version that created the record.
    rows: BTreeMap<(Ns, u64), Row>,
    /// What has a due time or a lease.
    live: BTreeSet<(Ns, u64)>,
    /// The owners that hold a lease here, and whose handle was dropped.
    gone: HashSet<String>,
}

struct Row {
    record: Record,
    lease_ends: Option<Moment>,
    /// The handle that gave or renewed the lease.
    holder: String,
    events: Vec<StoredEvent>,
}

impl Memory {
    /// An empty store on the machine's clocks.
    #[must_use]
    pub fn new() -> Self {
        Self::on(Arc::new(System))
    }

    /// An empty store on `clock`.
    #[must_use]
    pub fn on(clock: Arc<dyn Clock>) -> Self {
        Self::over(Arc::new(Shared { clock, state: Mutex::default() }))
    }

    /// Another handle on the same records, with an owner of its own: what a second process is to a file.
    #[must_use]
    pub fn second(&self) -> Self {
        Self::over(Arc::clone(&self.shared))
    }

    fn over(shared: Arc<Shared>) -> Self {
        Self { shared, owner: format!("memory:{}", BatchId::new()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the first and the last change of a batch, so a poisoned state is whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_now(&self, batch: Batch) -> Result<Applied, ApplyError> {
        batch.check()?;
        let mut state = self.state();
        // Read after the lock was taken, so that versions and times ascend together.
        let now = self.shared.clock.now();
        if batch.resent()
            && let Some(applied) = state.replayed(&batch, now)
        {
            return Ok(applied);
        }
        let conflicts: Vec<Conflict> = batch
            .writes()
            .iter()
            .enumerate()
            .map(|(index, write)| (index, write, state.judged(write.ns, &write.key, now)))
            .filter(|(_, write, current)| !write.expect.holds(current.as_ref()))
            .map(|(index, _, winner)| Conflict { index, winner })
            .collect();
        if !conflicts.is_empty() {
            return state.replayed(&batch, now).ok_or(ApplyError::Conflict(conflicts));
        }
        let writes =
            batch.writes().iter().map(|write| state.write(write, batch.id(), now, &self.owner)).collect();
        Ok(Applied { now: to_millis(now.wall), writes, replayed: false })
    }

    fn scan_now(&self, query: &Query) -> Result<Page, Error> {
        query.check()?;
        let after = query.cursor.as_ref().map(|cursor| Mark::read(cursor, query.order)).transpose()?;
        let state = self.state();
        let now = self.shared.clock.now();
        let mut found = state.matching(query, now);
        match query.order {
            Order::Oldest => {}
            Order::Newest => found.reverse(),
            Order::Rank => found.sort_by_key(|(id, record)| by_rank(*id, record.rank, record.due_at)),
        }
        if let Some(mark) = after {
            found.retain(|(id, record)| match query.order {
                Order::Oldest => *id > mark.id,
                Order::Newest => *id < mark.id,
                Order::Rank => {
                    by_rank(*id, record.rank, record.due_at)
                        > (std::cmp::Reverse(mark.rank), mark.due_ms, mark.id)
                }
            });
        }
        let limit = query.limit as usize;
        let next = (found.len() > limit)
            .then(|| found.get(limit.saturating_sub(1)))
            .flatten()
            .map(|(id, record)| Mark::of(*id, record).write(query.order));
        found.truncate(limit);
        Ok(Page { records: found.into_iter().map(|(_, record)| record).collect(), next })
    }

    fn prune_now(&self, prune: &Prune) -> u64 {
        let mut state = self.state();
        let now = self.shared.clock.now();
        let goes = |row: &Row| {
            let record = &row.record;
            let old = record.updated_at < prune.updated_before;
            let expired = record.expires_at.is_some_and(|at| at <= now.wall);
            prune.states.contains(&record.state) && (old || expired) && !state.judge(row, now).leased()
        };
        let limit = prune.limit as usize;
        let gone: Vec<(Ns, u64)> = state
            .rows
            .range((prune.ns, 0)..=(prune.ns, u64::MAX))
            .filter(|(_, row)| goes(row))
            .map(|(id, _)| *id)
            .take(limit)
            .collect();
        for id in &gone {
            if let Some(row) = state.rows.remove(id) {
                state.ids.remove(&(prune.ns, row.record.key));
            }
            state.live.remove(id);
        }
        gone.len() as u64
    }
}

impl Store for Memory {
    fn caps(&self) -> Caps {
        Caps { own_threads: true, ..Caps::new("memory") }
    }

    fn owner(&self) -> &str {
        &self.owner
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, ApplyError>> {
        Box::pin(async move { self.apply_now(batch) })
    }

    fn get<'a>(&'a self, ns: Ns, key: &'a str) -> BoxFuture<'a, Result<Option<Record>, Error>> {
        Box::pin(async move { Ok(self.state().judged(ns, key, self.shared.clock.now())) })
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Page, Error>> {
        Box::pin(async move { self.scan_now(&query) })
    }

    fn events<'a>(
        &'a self,
        ns: Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredEvent>, Error>> {
        Box::pin(async move {
            let limit = limit.min(PAGE_MAX) as usize;
            let state = self.state();
            let events = state.row(ns, key).map_or(&[][..], |row| &row.events);
            Ok(events.iter().filter(|event| event.seq > after).take(limit).cloned().collect())
        })
    }

    fn prune(&self, prune: Prune) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move { Ok(self.prune_now(&prune)) })
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut state = self.state();
        if state.live.iter().any(|id| state.rows.get(id).is_some_and(|row| row.holder == self.owner)) {
            state.gone.insert(self.owner.clone());
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.state().rows.len();
        f.debug_struct("Memory")
            .field("owner", &self.owner)
            .field("records", &records)
            .finish_non_exhaustive()
    }
}

impl State {
    fn row(&self, ns: Ns, key: &str) -> Option<&Row> {
        let id = self.ids.get(&(ns, key.to_owned()))?;
        self.rows.get(&(ns, *id))
    }

    fn judge(&self, row: &Row, now: Now) -> Record {
        let mut record = row.record.clone();
        if let Some(lease) = &mut record.lease {
            lease.over = self.is_over(row, now);
        }
        record
    }

    fn judged(&self, ns: Ns, key: &str, now: Now) -> Option<Record> {
        self.row(ns, key).map(|row| self.judge(row, now))
    }

    fn matching(&self, query: &Query, now: Now) -> Vec<(u64, Record)> {
        let range = (query.ns, 0)..=(query.ns, u64::MAX);
        if !query.attention {
            let rows = self.rows.range(range).filter(|(_, row)| query.matches(&row.record));
            return rows.map(|((_, id), row)| (*id, self.judge(row, now))).collect();
        }
        let live = || self.live.range(range.clone()).filter_map(|id| Some((id.1, self.rows.get(id)?)));
        let held: HashSet<&str> = live()
            .filter(|(_, row)| row.record.lease.is_some() && !self.is_over(row, now))
            .filter_map(|(_, row)| row.record.serial_key.as_deref())
            .collect();
        live()
            .filter(|(_, row)| self.needs_attention(row, now) && query.matches(&row.record))
            .filter(|(_, row)| row.record.serial_key.as_deref().is_none_or(|key| !held.contains(key)))
            .map(|(id, row)| (id, self.judge(row, now)))
            .collect()
    }

    /// Due and not leased, or leased by an owner whose lease is over; and not put aside by a person.
    fn needs_attention(&self, row: &Row, now: Now) -> bool {
        let wanted = match row.record.lease {
            Some(_) => self.is_over(row, now),
            None => row.record.due_at.is_some_and(|due| due <= now.wall),
        };
        wanted && !row.record.paused
    }

    /// Whether its lease, if it has one, is over.
    fn is_over(&self, row: &Row, now: Now) -> bool {
        row.lease_ends.is_some_and(|ends| now.moment >= ends || self.gone.contains(&row.holder))
    }

    fn write(&mut self, write: &Write, batch: BatchId, now: Now, owner: &str) -> Written {
        self.revision += 1;
        let version = self.revision;
        let stamp = Stamp { version, now: to_millis(now.wall), batch, owner };
        let id = *self.ids.entry((write.ns, write.key.clone())).or_insert(version);
        let before = self.rows.remove(&(write.ns, id));
        let (record, mut lease_ends, mut holder, mut events) = match before {
            Some(row) => (Some(self.judge(&row, now)), row.lease_ends, row.holder, row.events),
            None => (None, None, String::new(), Vec::new()),
        };
        let record = write.put.clone().onto(write.ns, &write.key, record, &stamp);
        match write.put.lease {
            LeaseChange::Keep => {}
            LeaseChange::End => lease_ends = None,
            LeaseChange::For(lease) => {
                lease_ends = Some(now.moment.after(lease));
                owner.clone_into(&mut holder);
            }
        }
        if let Some(event) = &write.event {
            events.push(StoredEvent::new(version, stamp.now, record.fence, batch, event.clone()));
        }
        if record.due_at.is_some() || lease_ends.is_some() {
            self.live.insert((write.ns, id));
        } else {
            self.live.remove(&(write.ns, id));
        }
        let written = Written::of(&record);
        self.rows.insert((write.ns, id), Row { record, lease_ends, holder, events });
        written
    }

    fn replayed(&self, batch: &Batch, now: Now) -> Option<Applied> {
        let traces: Vec<Trace> = batch
            .writes()
            .iter()
            .map(|write| {
                let Some(row) = self.row(write.ns, &write.key) else { return Trace::default() };
                let record = self.judge(row, now);
                let proof = if record.batch == batch.id() {
                    Some(Proof { version: record.version, fence: record.fence, at: record.updated_at })
                } else {
                    let event = row.events.iter().rev().find(|event| event.batch == batch.id());
                    event.map(|event| Proof { version: event.seq, fence: event.fence, at: event.at })
                };
                Trace { current: Some(record), proof }
            })
            .collect();
        replay::answer(batch, &traces)
    }
}
