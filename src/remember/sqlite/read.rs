//! The reads of the seam, as statements.

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::remember::cursor::{Mark, by_rank};
use crate::remember::sqlite::rows::{self, Bind, COLUMNS, EVENT_COLUMNS, Judge, ids_of};
use crate::remember::store::{Ns, Order, PAGE_MAX, PAST_THE_QUEUE, Page, Prune, Query, Record, StoredEvent};

/// The most holders whose life one scan for attention looks into.
const HOLDERS_MAX: usize = 512;

pub(super) fn get(
    connection: &Connection,
    judge: &Judge<'_>,
    ns: Ns,
    key: &str,
) -> rusqlite::Result<Option<(i64, Record)>> {
    let sql = format!("SELECT {COLUMNS} FROM record WHERE ns = ?1 AND key = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row((i64::from(ns.number()), key), |row| rows::record(row, judge)).optional()
}

pub(super) fn events(
    connection: &Connection,
    ns: Ns,
    key: &str,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM event WHERE record_id = (SELECT id FROM record WHERE ns = ?1 AND key = ?2)
         AND seq > ?3 ORDER BY seq LIMIT ?4"
    );
    let Ok(after) = i64::try_from(after) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(&sql)?;
    let binds = (i64::from(ns.number()), key, after, i64::from(limit.min(PAGE_MAX)));
    statement.query_map(binds, rows::event)?.collect()
}

/// One page. `after` is what the query's cursor says.
pub(super) fn scan(
    connection: &Connection,
    judge: &Judge<'_>,
    query: &Query,
    after: Option<Mark>,
) -> rusqlite::Result<Page> {
    let mut found = Vec::new();
    if query.attention {
        // Two statements, since each has an index of its own; both are in order, and so is what is made of them.
        let dead = dead_holders(connection, judge, query.ns)?;
        let due = Select::of(query, after).due(judge).in_its_turn(judge, &dead);
        found.extend(due.run(connection, judge)?);
        let orphaned = Select::of(query, after).orphaned(judge, &dead).in_its_turn(judge, &dead);
        found.extend(orphaned.run(connection, judge)?);
        match query.order {
            Order::Oldest => found.sort_by_key(|(id, _)| *id),
            Order::Newest => found.sort_by_key(|(id, _)| std::cmp::Reverse(*id)),
            Order::Rank => {
                found.sort_by_key(|(id, record)| by_rank(unsigned(*id), record.rank, record.due_at))
            }
        }
    } else {
        let floor = floor(connection, query)?;
        found = match listed(connection, judge, query, (after, floor))? {
            Some(listed) => listed,
            None => Select::of(query, after).above(floor).run(connection, judge)?,
        };
    }
    let limit = query.limit as usize;
    let last = found.get(limit.saturating_sub(1)).filter(|_| found.len() > limit);
    let next = last.map(|(id, record)| Mark::of(unsigned(*id), record).write(query.order));
    found.truncate(limit);
    Ok(Page { records: found.into_iter().map(|(_, record)| record).collect(), next })
}

/// The states that most runs are in: an index on those would cost every run something, and finds nothing faster.
const COMMON: [&str; 4] = ["queued", "processing", "succeeded", "failed_transient"];

/// Runs of a job, or in a state that few are in, by an index of their own; `None` where there is none for the query.
fn listed(
    connection: &Connection,
    judge: &Judge<'_>,
    query: &Query,
    (after, floor): (Option<Mark>, Option<i64>),
) -> rusqlite::Result<Option<Vec<(i64, Record)>>> {
    let plain = query.key_prefix.is_none() && query.key_suffix.is_none() && query.serial_key.is_none();
    let rare = !query.states.is_empty() && query.states.iter().all(|state| !COMMON.contains(&state.as_str()));
    if query.ns != Ns::RUN || !plain || query.order == Order::Rank || (query.kinds.is_empty() && !rare) {
        return Ok(None);
    }
    let mut found = Vec::new();
    let parts: Vec<Query> = if rare {
        query.states.iter().map(|state| Query { states: vec![state.clone()], ..query.clone() }).collect()
    } else {
        // A store that was made before these indexes has none of them, and is read as it was.
        let Ok(mut there) = connection.prepare_cached(KIND_IS_THERE) else { return Ok(None) };
        let mut parts = Vec::new();
        for kind in &query.kinds {
            if there.exists([kind])? {
                parts.push(Query { kinds: vec![kind.clone()], ..query.clone() });
            }
        }
        parts
    };
    for part in &parts {
        let via = if rare { Via::State } else { Via::Kind };
        let Some(some) = Select::of(part, after).above(floor).by(via).try_run(connection, judge)? else {
            return Ok(None);
        };
        found.extend(some);
    }
    match query.order {
        Order::Oldest => found.sort_by_key(|(id, _)| *id),
        _ => found.sort_by_key(|(id, _)| std::cmp::Reverse(*id)),
    }
    Ok(Some(found))
}

/// The first id of the runs that were created since an instant: what lies before it need not be read. The clock may have
/// been set, so it need not be the one that was created first.
fn floor(connection: &Connection, query: &Query) -> rusqlite::Result<Option<i64>> {
    let Some(from) = query.created_from.filter(|_| query.ns == Ns::RUN) else { return Ok(None) };
    let sql = "SELECT min(id) FROM record INDEXED BY record_created WHERE ns = 1 AND created_at >= ?";
    let Ok(mut statement) = connection.prepare_cached(sql) else { return Ok(None) };
    let first = statement.query_row([from.timestamp_millis()], |row| row.get::<_, Option<i64>>(0))?;
    Ok(Some(first.unwrap_or(i64::MAX)))
}

const KIND_IS_THERE: &str = "SELECT 1 FROM record INDEXED BY record_kind WHERE ns = 1 AND kind = ? LIMIT 1";

/// The index that a list of runs goes by. Its condition stands in the statement word for word, or it would not be taken.
#[derive(Clone, Copy)]
enum Via {
    Kind,
    State,
}

impl Via {
    const fn index(self) -> &'static str {
        match self {
            Self::Kind => " INDEXED BY record_kind",
            Self::State => " INDEXED BY record_rare",
        }
    }
}

/// Ids and versions of what a prune may delete.
pub(super) fn prunable(
    connection: &Connection,
    judge: &Judge<'_>,
    prune: &Prune,
) -> rusqlite::Result<Vec<(i64, i64)>> {
    let (low, high) = ids_of(prune.ns);
    let mut select = Select { sql: String::new(), binds: vec![Bind::Int(low), Bind::Int(high)] };
    select.sql += "SELECT id, version, holder, lease_boot, lease_ends, lease_until FROM record
                   WHERE id BETWEEN ? AND ? AND ";
    if prune.states.is_empty() {
        select.sql += "0";
    } else {
        select.list("state", &prune.states);
    }
    select.sql += " AND (updated_at < ? OR expires_at <= ?) ORDER BY id";
    select.binds.push(Bind::at(Some(prune.updated_before)));
    select.binds.push(Bind::Int(judge.now.wall_ms));
    let mut statement = connection.prepare(&select.sql)?;
    let mut rows = statement.query(params_from_iter(&select.binds))?;
    let mut found = Vec::new();
    while found.len() < prune.limit as usize
        && let Some(row) = rows.next()?
    {
        if judge.lease(row, 2, 3, 4, 5)?.is_none_or(|lease| lease.over) {
            found.push((row.get(0)?, row.get(1)?));
        }
    }
    Ok(found)
}

/// The holders of leases whose time is not up, and who are gone.
fn dead_holders(connection: &Connection, judge: &Judge<'_>, ns: Ns) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT DISTINCT holder FROM record INDEXED BY record_leased
               WHERE ns = ?1 AND lease_ends IS NOT NULL AND holder IS NOT NULL LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(HOLDERS_MAX).unwrap_or(i64::MAX);
    let holders = statement.query_map((i64::from(ns.number()), limit), |row| row.get::<_, String>(0))?;
    holders.filter(|name| name.as_ref().map_or(true, |name| judge.is_dead(name))).collect()
}

/// A statement that is being put together.
struct Select<'a> {
    sql: String,
    binds: Vec<Bind<'a>>,
}

impl<'a> Select<'a> {
    fn of(query: &'a Query, after: Option<Mark>) -> SelectFor<'a> {
        let (low, high) = ids_of(query.ns);
        let mut select = Self { sql: String::new(), binds: Vec::new() };
        if query.attention || query.key_prefix.is_some() {
            // The plus keeps the ids out of the choice of an index: another one is the better.
            select.and("ns = ?", [Bind::Int(i64::from(query.ns.number()))]);
        } else {
            select.and("id BETWEEN ? AND ?", [Bind::Int(low), Bind::Int(high)]);
        }
        if !query.states.is_empty() {
            select.and_list("state", &query.states);
        }
        if !query.kinds.is_empty() {
            select.and_list("kind", &query.kinds);
        }
        if let Some(prefix) = &query.key_prefix {
            select.and("key >= ?", [Bind::text(prefix)]);
            if let Some(end) = after_prefix(prefix) {
                select.and("key < ?", [Bind::Text(end.into())]);
            }
        }
        if let Some(suffix) = query.key_suffix.as_deref().filter(|suffix| !suffix.is_empty()) {
            let length = i64::try_from(suffix.chars().count()).unwrap_or(i64::MAX);
            // By the index of the keys, which is a tenth of the table.
            let ns = Bind::Int(i64::from(query.ns.number()));
            select.and(
                "id IN (SELECT id FROM record WHERE ns = ? AND substr(key, -?) = ?)",
                [ns, Bind::Int(length), Bind::text(suffix)],
            );
        }
        if let Some(from) = query.created_from {
            // Stored instants are cut to the millisecond, so one within a millisecond begins with the next.
            let cut = from.timestamp_millis();
            let whole = crate::remember::store::to_millis(from) == from;
            select.and("created_at >= ?", [Bind::Int(if whole { cut } else { cut.saturating_add(1) })]);
        }
        if let Some(key) = &query.serial_key {
            select.and("serial_key = ?", [Bind::text(key)]);
        }
        if let Some(reviewed) = query.reviewed {
            select.and(if reviewed { "reviewed_at IS NOT NULL" } else { "reviewed_at IS NULL" }, []);
        }
        if let Some(mark) = after {
            select.after(query.order, mark);
        }
        SelectFor { select, query, via: None }
    }

    fn after(&mut self, order: Order, mark: Mark) {
        let id = || Bind::Int(i64::try_from(mark.id).unwrap_or(i64::MAX));
        let rank = || Bind::Int(mark.rank);
        match (order, mark.due_ms) {
            (Order::Newest, _) => self.and("id < ?", [id()]),
            (Order::Oldest, _) => self.and("id > ?", [id()]),
            (Order::Rank, None) => self
                .and("(rank < ? OR (rank = ? AND (due_at IS NOT NULL OR id > ?)))", [rank(), rank(), id()]),
            (Order::Rank, Some(due)) => self.and(
                "(rank < ? OR (rank = ? AND (due_at > ? OR (due_at = ? AND id > ?))))",
                [rank(), rank(), Bind::Int(due), Bind::Int(due), id()],
            ),
        }
    }

    fn and<const N: usize>(&mut self, condition: &str, binds: [Bind<'a>; N]) {
        self.sql += if self.sql.is_empty() { " WHERE " } else { " AND " };
        self.sql += condition;
        self.binds.extend(binds);
    }

    fn and_list(&mut self, column: &str, items: &'a [String]) {
        self.and("", []);
        self.list(column, items);
    }

    fn list(&mut self, column: &str, items: &'a [String]) {
        self.sql += column;
        self.sql += " IN (?";
        for _ in 1..items.len() {
            self.sql += ", ?";
        }
        self.sql += ")";
        self.binds.extend(items.iter().map(|item| Bind::text(item)));
    }
}

/// A statement for a query.
struct SelectFor<'a> {
    select: Select<'a>,
    query: &'a Query,
    via: Option<Via>,
}

impl<'a> SelectFor<'a> {
    /// Only what is due, not leased and not paused.
    fn due(mut self, judge: &Judge<'_>) -> Self {
        let wall = [Bind::Int(judge.now.wall_ms)];
        self.select.and("lease_ends IS NULL AND due_at IS NOT NULL AND due_at <= ? AND paused = 0", wall);
        if self.query.passes_the_queue_by() {
            self.select.and(PAST_THE_QUEUE, []);
        }
        self
    }

    /// Only what no other holds that has the same serial key.
    fn in_its_turn(mut self, judge: &'a Judge<'_>, dead: &'a [String]) -> Self {
        let boot = [Bind::text(judge.clocks.boot()), Bind::Int(judge.now.boot_ms)];
        self.select.and(
            "(serial_key IS NULL OR NOT EXISTS (SELECT 1 FROM record AS other WHERE other.ns = record.ns
              AND other.serial_key = record.serial_key AND other.id <> record.id
              AND other.lease_ends IS NOT NULL AND other.lease_boot = ? AND other.lease_ends > ?",
            boot,
        );
        if !dead.is_empty() {
            self.select.sql += " AND (other.holder IS NULL OR NOT ";
            self.select.list("other.holder", dead);
            self.select.sql += ")";
        }
        self.select.sql += "))";
        self
    }

    /// Only what is leased by an owner whose lease is over, and not paused.
    fn orphaned(mut self, judge: &'a Judge<'_>, dead: &'a [String]) -> Self {
        let boot = [Bind::text(judge.clocks.boot()), Bind::Int(judge.now.boot_ms)];
        self.select
            .and("lease_ends IS NOT NULL AND paused = 0 AND (lease_boot <> ? OR lease_ends <= ?", boot);
        if !dead.is_empty() {
            self.select.sql += " OR ";
            self.select.list("holder", dead);
        }
        self.select.sql += ")";
        self
    }

    /// Only from this id on.
    fn above(mut self, floor: Option<i64>) -> Self {
        if let Some(floor) = floor {
            self.select.and("id >= ?", [Bind::Int(floor)]);
        }
        self
    }

    /// By this index, of a list of runs.
    fn by(mut self, via: Via) -> Self {
        self.select.and("ns = 1", []);
        if matches!(via, Via::State) {
            self.select.and("state NOT IN ('queued', 'processing', 'succeeded', 'failed_transient')", []);
        }
        self.via = Some(via);
        self
    }

    /// The same as [`run`](Self::run); `None` where the index is not there.
    fn try_run(
        self,
        connection: &Connection,
        judge: &Judge<'_>,
    ) -> rusqlite::Result<Option<Vec<(i64, Record)>>> {
        let (sql, binds) = self.statement();
        let Ok(mut statement) = connection.prepare_cached(&sql) else { return Ok(None) };
        let found = statement.query_map(params_from_iter(&binds), |row| rows::record(row, judge))?;
        found.collect::<rusqlite::Result<_>>().map(Some)
    }

    fn run(self, connection: &Connection, judge: &Judge<'_>) -> rusqlite::Result<Vec<(i64, Record)>> {
        let (sql, binds) = self.statement();
        let mut statement = connection.prepare_cached(&sql)?;
        let found = statement.query_map(params_from_iter(&binds), |row| rows::record(row, judge))?;
        found.collect()
    }

    fn statement(mut self) -> (String, Vec<Bind<'a>>) {
        let order = match self.query.order {
            Order::Newest => "id DESC",
            Order::Oldest => "id",
            Order::Rank => "rank DESC, due_at, id",
        };
        // One more than the page tells whether there is another.
        self.select.binds.push(Bind::Int(i64::from(self.query.limit) + 1));
        let via = self.via.map_or("", Via::index);
        let sql = format!("SELECT {COLUMNS} FROM record{via}{} ORDER BY {order} LIMIT ?", self.select.sql);
        (sql, self.select.binds)
    }
}

/// The first text in byte order that does not begin with `prefix`, and no text between them does; `None` when every
/// text after `prefix` begins with it.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        let next = match u32::from(last) + 1 {
            0xd800 => Some('\u{e000}'),
            code => char::from_u32(code),
        };
        if let Some(next) = next {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn unsigned(id: i64) -> u64 {
    u64::try_from(id).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::remember::sqlite::boot::Clocks;
    use crate::remember::sqlite::schema;

    /// How the engine would find what is due for `query`.
    fn plan(query: &Query) -> String {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Path::new("memory"), "locks").unwrap();
        let clocks = Clocks::system();
        let judge = Judge::now(&clocks, Path::new("locks"));
        let (sql, binds) = Select::of(query, None).due(&judge).in_its_turn(&judge, &[]).statement();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = statement.query_map(params_from_iter(&binds), |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn who_looks_for_what_is_due_walks_along_an_index_and_past_a_queue_that_is_not_meant() {
        let query = |states: &[&str], order| Query {
            states: states.iter().map(|state| (*state).to_owned()).collect(),
            kinds: vec!["ingest@1".to_owned()],
            attention: true,
            order,
            ..Query::all(Ns::RUN)
        };
        let queued = ["queued", "failed_transient"];
        let held = ["processing", "compensating"];
        for (states, order, index) in [
            (&queued, Order::Rank, "record_due "),
            (&queued, Order::Oldest, "record_oldest "),
            (&held, Order::Rank, "record_due_rare "),
            (&held, Order::Oldest, "record_due_rare "),
        ] {
            let plan = plan(&query(states, order));
            assert!(plan.starts_with(&format!("SEARCH record USING INDEX {index}")), "{order:?}: {plan}");
        }
    }

    #[test]
    fn the_runs_of_a_job_and_those_in_a_rare_state_are_found_by_an_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, Path::new("memory"), "locks").unwrap();
        let of = |states: &[&str], kinds: &[&str]| Query {
            states: states.iter().map(|state| (*state).to_owned()).collect(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            ..Query::all(Ns::RUN)
        };
        let plan = |query: &Query, via: Via| {
            let (sql, binds) = Select::of(query, None).by(via).statement();
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let lines = statement.query_map(params_from_iter(&binds), |row| row.get::<_, String>(3)).unwrap();
            lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        for (query, via, index) in [
            (of(&[], &["ingest"]), Via::Kind, "record_kind (kind=?"),
            (of(&["needs_review"], &["ingest"]), Via::State, "record_rare (state=?"),
            (of(&["needs_review"], &[]), Via::State, "record_rare (state=?"),
        ] {
            let plan = plan(&query, via);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_the_next_text() {
        assert_eq!(after_prefix("a").as_deref(), Some("b"));
        assert_eq!(after_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }
}
