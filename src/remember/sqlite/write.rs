//! The writes of the seam, inside a transaction that has the engine's write lock.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::base::time::later;
use crate::remember::replay::{self, Proof, Trace};
use crate::remember::sqlite::read;
use crate::remember::sqlite::rows::{self, Bind, Judge, id_of};
use crate::remember::store::{
    Applied, Batch, BatchId, ClaimDue, Claimed, Conflict, Event, Expect, Fencing, LeaseChange, Ns, PAGE_MAX,
    Put, Query, Record, Stamp, Write, Written,
};

/// One transaction. It holds the store's revision until [`finish`](Self::finish).
pub(super) struct Session<'a> {
    connection: &'a Connection,
    judge: Judge<'a>,
    /// The handle that writes; `None` on a connection that belongs to none.
    owner: Option<&'a str>,
    revision: i64,
    /// The revision that is stored.
    begun: i64,
}

impl<'a> Session<'a> {
    /// Reads the revision and the clocks; the transaction must have begun.
    pub(super) fn begin(
        connection: &'a Connection,
        judge: Judge<'a>,
        owner: Option<&'a str>,
    ) -> rusqlite::Result<Self> {
        let revision = connection
            .prepare_cached("SELECT revision FROM store WHERE one = 1")?
            .query_row([], |row| row.get(0))?;
        Ok(Self { connection, judge, owner, revision, begun: revision })
    }

    /// Stores the revision; the transaction is then to be committed.
    pub(super) fn finish(self) -> rusqlite::Result<()> {
        // A group that met conflicts alone has nothing to commit.
        if self.revision == self.begun {
            return Ok(());
        }
        self.connection
            .prepare_cached("UPDATE store SET revision = ?1 WHERE one = 1")?
            .execute([self.revision])?;
        Ok(())
    }

    /// Applies a batch that has been checked, or leaves nothing of it.
    pub(super) fn apply(
        &mut self,
        batch: &Batch,
        savepoint: bool,
    ) -> rusqlite::Result<Result<Applied, Vec<Conflict>>> {
        if batch.resent()
            && let Some(applied) = self.replayed(batch)?
        {
            return Ok(Ok(applied));
        }
        // A single write that is refused has left nothing, so it needs no savepoint.
        let savepoint = savepoint || batch.writes().len() > 1;
        let revision = self.revision;
        if savepoint {
            self.run("SAVEPOINT unattended_batch")?;
        }
        let done = self.writes(batch);
        if done.is_err() && savepoint {
            // The transaction may be somebody else's, who commits it all the same.
            drop(
                self.run("ROLLBACK TO unattended_batch").and_then(|()| self.run("RELEASE unattended_batch")),
            );
        }
        let (writes, conflicts) = done?;
        if conflicts.is_empty() {
            if savepoint {
                self.run("RELEASE unattended_batch")?;
            }
            return Ok(Ok(Applied { now: self.judge.now.wall(), writes, replayed: false }));
        }
        if savepoint {
            self.run("ROLLBACK TO unattended_batch")?;
            self.run("RELEASE unattended_batch")?;
        }
        self.revision = revision;
        Ok(self.replayed(batch)?.ok_or(conflicts))
    }

    fn writes(&mut self, batch: &Batch) -> rusqlite::Result<(Vec<Written>, Vec<Conflict>)> {
        let (mut writes, mut conflicts) = (Vec::with_capacity(batch.writes().len()), Vec::new());
        for (index, write) in batch.writes().iter().enumerate() {
            match self.write(write, batch.id())? {
                Ok(written) => writes.push(written),
                Err(winner) => conflicts.push(Conflict { index, winner }),
            }
        }
        Ok((writes, conflicts))
    }

    /// Leases what needs attention. Under the write lock nobody can come between the look and the claim.
    pub(super) fn claim_due(&mut self, claim: &ClaimDue) -> rusqlite::Result<Vec<Claimed>> {
        let page = read::scan(self.connection, &self.judge, &attention(claim), None)?;
        let (mut claimed, mut serial) = (Vec::with_capacity(page.records.len()), HashSet::new());
        for record in page.records {
            if record.serial_key.as_ref().is_some_and(|key| !serial.insert(key.clone())) {
                continue;
            }
            let orphan = record.lease.is_some();
            let (code, why) = if orphan { &claim.orphan } else { &claim.due };
            let event =
                Event::new(Some(&record.state), &claim.state, &claim.actor, code.clone(), why.clone());
            let put = Put { owner: claim.owner.clone(), ..Put::claim(&claim.state, claim.lease) };
            let batch = BatchId::new();
            let expect = Expect::Version(record.version);
            let write = Write::new(record.ns, record.key.as_str(), expect, put.clone()).event(event);
            if let Ok(written) = self.write(&write, batch)? {
                let (from, key) = (record.state.clone(), record.key.clone());
                let owner = self.owner.unwrap_or_default();
                let stamp = Stamp { version: written.version, now: self.judge.now.wall(), batch, owner };
                let record = put.onto(claim.ns, &key, Some(record), &stamp);
                claimed.push(Claimed { record, from, orphan });
            }
        }
        Ok(claimed)
    }

    /// Deletes the records that are still at these versions: since nobody has written them, no lease began either.
    pub(super) fn prune(&self, found: &[(i64, i64)]) -> rusqlite::Result<u64> {
        let mut statement =
            self.connection.prepare_cached("DELETE FROM record WHERE id = ?1 AND version = ?2")?;
        found.iter().try_fold(0, |gone, found| Ok(gone + statement.execute(*found)? as u64))
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// One write, or the record that stands in its way.
    fn write(&mut self, write: &Write, batch: BatchId) -> rusqlite::Result<Result<Written, Option<Record>>> {
        let version = self.revision.saturating_add(1);
        let done = match write.expect {
            Expect::Absent => self.insert(write, version, batch)?,
            expect => self.update(write, expect, version, batch)?,
        };
        let Some((id, written)) = done else {
            let winner = read::get(self.connection, &self.judge, write.ns, &write.key)?;
            return Ok(Err(winner.map(|(_, record)| record)));
        };
        self.revision = version;
        if let Some(event) = &write.event {
            self.event(id, &written, batch, event)?;
        }
        Ok(Ok(written))
    }

    fn insert(
        &self,
        write: &Write,
        version: i64,
        batch: BatchId,
    ) -> rusqlite::Result<Option<(i64, Written)>> {
        let owner = self.owner.unwrap_or_default();
        let stamp = Stamp { version: version.unsigned_abs(), now: self.judge.now.wall(), batch, owner };
        let record = write.put.clone().onto(write.ns, &write.key, None, &stamp);
        let (boot, ends, holder) = match write.put.lease {
            LeaseChange::For(lease) => {
                let ends = self.judge.now.lease_ends(lease).boot_ms;
                (Bind::text(self.judge.clocks.boot()), Bind::Int(ends), Bind::maybe(self.owner))
            }
            LeaseChange::Keep | LeaseChange::End => (Bind::Null, Bind::Null, Bind::Null),
        };
        let id = id_of(write.ns, version);
        let now = self.judge.now.wall_ms;
        let binds = [
            Bind::Int(id),
            Bind::Int(i64::from(write.ns.number())),
            Bind::text(&record.key),
            Bind::Int(version),
            Bind::Int(signed(record.fence)),
            Bind::text(&record.state),
            Bind::text(&record.kind),
            Bind::Int(record.rank),
            Bind::maybe(record.serial_key.as_deref()),
            Bind::maybe(record.owner.as_deref()),
            holder,
            boot,
            ends,
            Bind::at(record.lease.map(|lease| lease.until)),
            Bind::at(record.due_at),
            Bind::at(record.expires_at),
            Bind::Int(record.paused.into()),
            Bind::Int(record.cancelling.into()),
            Bind::at(record.reviewed_at),
            Bind::maybe(record.fingerprint.as_deref()),
            Bind::Blob(batch.as_bytes()),
            Bind::text(&record.body),
            Bind::Int(now),
            Bind::Int(now),
        ];
        let sql = "INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
                   ON CONFLICT (ns, key) DO NOTHING";
        let changed = self.connection.prepare_cached(sql)?.execute(params_from_iter(&binds))?;
        Ok((changed == 1).then(|| (id, Written::of(&record))))
    }

    fn update(
        &self,
        write: &Write,
        expect: Expect,
        version: i64,
        batch: BatchId,
    ) -> rusqlite::Result<Option<(i64, Written)>> {
        let done = self.update_where(write, expect, version, batch)?;
        // The statement knows the clock; whether the holder has died is asked only when that did not suffice.
        if let (None, Expect::LeaseOver { version: expected }) = (&done, expect)
            && let Some((_, record)) = read::get(self.connection, &self.judge, write.ns, &write.key)?
            && expect.holds(Some(&record))
        {
            return self.update_where(write, Expect::Version(expected), version, batch);
        }
        Ok(done)
    }

    fn update_where(
        &self,
        write: &Write,
        expect: Expect,
        version: i64,
        batch: BatchId,
    ) -> rusqlite::Result<Option<(i64, Written)>> {
        let mut update = Update::new();
        update.set("version", Bind::Int(version));
        update.set("batch", Bind::Blob(batch.as_bytes()));
        update.set("updated_at", Bind::Int(self.judge.now.wall_ms));
        self.lease_and_fence(&mut update, &write.put, version);
        update.fields(&write.put);
        if let Some(wait) = write.put.due_in {
            update.set("due_at", Bind::at(Some(later(self.judge.now.wall(), wait))));
        }
        update.sql += " WHERE ns = ? AND key = ?";
        update.binds.extend([Bind::Int(i64::from(write.ns.number())), Bind::text(&write.key)]);
        let number = |number: u64| i64::try_from(number).ok().filter(|number| *number > 0).map(Bind::Int);
        match expect {
            Expect::Absent => return Ok(None),
            Expect::Version(expected) => {
                let Some(expected) = number(expected) else { return Ok(None) };
                update.and(" AND version = ?", [expected]);
            }
            Expect::Fence(expected) => {
                let Some(expected) = number(expected) else { return Ok(None) };
                update.and(" AND fence = ?", [expected]);
            }
            Expect::LeaseOver { version: expected } => {
                let Some(expected) = number(expected) else { return Ok(None) };
                let (boot, now) = (Bind::text(self.judge.clocks.boot()), Bind::Int(self.judge.now.boot_ms));
                update.and(
                    " AND version = ? AND (lease_ends IS NULL OR lease_boot <> ? OR lease_ends <= ?)",
                    [expected, boot, now],
                );
            }
        }
        update.sql +=
            " RETURNING id, fence, owner, holder, lease_boot, lease_ends, lease_until, paused, cancelling";
        let mut statement = self.connection.prepare_cached(&update.sql)?;
        let written = |row: &rusqlite::Row<'_>| {
            let written = Written {
                version: version.unsigned_abs(),
                fence: rows::number(row, 1)?,
                owner: row.get(2)?,
                lease: self.judge.lease(row, 3, 4, 5, 6)?,
                paused: row.get(7)?,
                cancelling: row.get(8)?,
            };
            Ok((row.get(0)?, written))
        };
        statement.query_row(params_from_iter(&update.binds), written).optional()
    }

    fn lease_and_fence<'b>(&'b self, update: &mut Update<'b>, put: &'b Put, version: i64) {
        if put.fence == Fencing::Grant {
            update.set("fence", Bind::Int(version));
        }
        match put.lease {
            LeaseChange::Keep => {}
            LeaseChange::End => {
                update.sql += ", holder = NULL, lease_boot = NULL, lease_ends = NULL, lease_until = NULL";
            }
            LeaseChange::For(lease) => {
                let ends = self.judge.now.lease_ends(lease);
                update.set("lease_boot", Bind::text(self.judge.clocks.boot()));
                update.set("lease_ends", Bind::Int(ends.boot_ms));
                update.set("lease_until", Bind::Int(ends.wall_ms));
                match (self.owner, put.fence) {
                    (Some(owner), _) => update.set("holder", Bind::text(owner)),
                    // Whoever held it before is not the one who holds it now.
                    (None, Fencing::Grant) => update.set("holder", Bind::Null),
                    (None, Fencing::Keep) => {}
                }
            }
        }
        if let Some(owner) = &put.owner {
            update.set("owner", Bind::text(owner));
        } else if put.fence == Fencing::Grant && matches!(put.lease, LeaseChange::For(_)) {
            update.set("owner", Bind::text(self.owner.unwrap_or_default()));
        }
    }

    fn event(&self, id: i64, written: &Written, batch: BatchId, event: &Event) -> rusqlite::Result<()> {
        let binds = [
            Bind::Int(id),
            Bind::Int(signed(written.version)),
            Bind::Int(self.judge.now.wall_ms),
            Bind::Int(signed(written.fence)),
            Bind::Blob(batch.as_bytes()),
            Bind::maybe(event.from.as_deref()),
            Bind::text(&event.to),
            Bind::text(&event.actor),
            Bind::Int(event.attempt.into()),
            Bind::maybe(event.step.as_deref()),
            Bind::text(&event.code),
            Bind::text(&event.why),
            Bind::maybe(event.data.as_deref()),
        ];
        let sql = "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)";
        self.connection.prepare_cached(sql)?.execute(params_from_iter(&binds)).map(drop)
    }

    fn replayed(&self, batch: &Batch) -> rusqlite::Result<Option<Applied>> {
        let mut traces = Vec::with_capacity(batch.writes().len());
        for write in batch.writes() {
            traces.push(self.trace(write.ns, &write.key, batch.id())?);
        }
        Ok(replay::answer(batch, &traces))
    }

    fn trace(&self, ns: Ns, key: &str, batch: BatchId) -> rusqlite::Result<Trace> {
        let Some((id, record)) = read::get(self.connection, &self.judge, ns, key)? else {
            return Ok(Trace::default());
        };
        if record.batch == batch {
            let proof = Proof { version: record.version, fence: record.fence, at: record.updated_at };
            return Ok(Trace { current: Some(record), proof: Some(proof) });
        }
        let sql =
            "SELECT seq, fence, at FROM event WHERE record_id = ?1 AND batch = ?2 ORDER BY seq DESC LIMIT 1";
        let proof = |row: &rusqlite::Row<'_>| {
            Ok(Proof {
                version: rows::number(row, 0)?,
                fence: rows::number(row, 1)?,
                at: rows::instant(row, 2)?,
            })
        };
        let binds = [Bind::Int(id), Bind::Blob(batch.as_bytes())];
        let proof =
            self.connection.prepare_cached(sql)?.query_row(params_from_iter(&binds), proof).optional()?;
        Ok(Trace { current: Some(record), proof })
    }
}

/// What a claim looks for.
pub(super) fn attention(claim: &ClaimDue) -> Query {
    Query {
        states: claim.states.clone(),
        kinds: claim.kinds.clone(),
        attention: true,
        order: claim.order,
        limit: claim.limit.clamp(1, PAGE_MAX),
        ..Query::all(claim.ns)
    }
}

/// An update that names only the columns that change, so that the indexes of the others are left alone.
struct Update<'a> {
    sql: String,
    binds: Vec<Bind<'a>>,
}

impl<'a> Update<'a> {
    fn new() -> Self {
        Self { sql: String::with_capacity(512), binds: Vec::with_capacity(24) }
    }

    fn set(&mut self, column: &str, bind: Bind<'a>) {
        self.sql += if self.sql.is_empty() { "UPDATE record SET " } else { ", " };
        self.sql += column;
        self.sql += " = ?";
        self.binds.push(bind);
    }

    fn and<const N: usize>(&mut self, condition: &str, binds: [Bind<'a>; N]) {
        self.sql += condition;
        self.binds.extend(binds);
    }

    fn fields(&mut self, put: &'a Put) {
        use crate::remember::store::Change;
        for (column, text) in [("state", &put.state), ("kind", &put.kind), ("body", &put.body)] {
            if let Some(text) = text {
                self.set(column, Bind::text(text));
            }
        }
        if let Some(rank) = put.rank {
            self.set("rank", Bind::Int(rank));
        }
        for (column, flag) in [("paused", put.paused), ("cancelling", put.cancelling)] {
            if let Some(flag) = flag {
                self.set(column, Bind::Int(flag.into()));
            }
        }
        for (column, change) in [("serial_key", &put.serial_key), ("fingerprint", &put.fingerprint)] {
            if let Change::Set(text) = change {
                self.set(column, Bind::maybe(text.as_deref()));
            }
        }
        let instants =
            [("due_at", &put.due_at), ("expires_at", &put.expires_at), ("reviewed_at", &put.reviewed_at)];
        for (column, change) in instants {
            if column == "due_at" && put.due_in.is_some() {
                continue;
            }
            if let Change::Set(at) = change {
                self.set(column, Bind::at(*at));
            }
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
