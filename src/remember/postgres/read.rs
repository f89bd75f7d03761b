//! The reads of the seam, as statements.

use tokio_postgres::types::{ToSql, Type};

use crate::base::time::Timestamp;
use crate::remember::cursor::Mark;
use crate::remember::postgres::error::Failed;
use crate::remember::postgres::link::{Link, Param};
use crate::remember::postgres::rows::{self, COLUMNS, EVENT_COLUMNS, get, ids_of};
use crate::remember::store::{
    Error, Ns, Order, PAGE_MAX, PAST_THE_QUEUE, Page, Prune, Query, Record, StoredEvent, to_millis,
};

pub(super) async fn look(link: &Link, ns: Ns, key: &str) -> Result<Option<Record>, Error> {
    let sql = format!(
        "SELECT {}, SCHEMA.millis(SCHEMA.clock()) FROM SCHEMA.record AS r WHERE ns = $1 AND key = $2",
        columns()
    );
    let ns = i32::from(ns.number());
    let params: [Param<'_>; 2] = [(&ns, Type::INT4), (&key, Type::TEXT)];
    let found = link.read("cannot read a record", &link.sql(&sql), &params).await?;
    found.first().map(|row| Ok(rows::record(row, 0, get(row, NOW)?)?.1)).transpose()
}

pub(super) async fn events(
    link: &Link,
    ns: Ns,
    key: &str,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>, Error> {
    let Ok(after) = i64::try_from(after) else { return Ok(Vec::new()) };
    if key.contains('\0') {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM SCHEMA.event
         WHERE record_id = (SELECT id FROM SCHEMA.record WHERE ns = $1 AND key = $2) AND seq > $3 ORDER BY seq LIMIT $4"
    );
    let (ns, limit) = (i32::from(ns.number()), i64::from(limit.min(PAGE_MAX)));
    let params: [Param<'_>; 4] =
        [(&ns, Type::INT4), (&key, Type::TEXT), (&after, Type::INT8), (&limit, Type::INT8)];
    let found = link.read("cannot read events", &link.sql(&sql), &params).await?;
    found.iter().map(rows::event).collect()
}

/// One page. `after` is what the query's cursor says.
pub(super) async fn scan(link: &Link, query: &Query, after: Option<Mark>) -> Result<Page, Error> {
    let select = Select::of(query, after);
    let sql = link.sql(&select.text(query));
    let params: Vec<Param<'_>> =
        select.binds.iter().map(|(value, kind)| (&**value as _, kind.clone())).collect();
    let found = link.read("cannot scan", &sql, &params).await?;
    let mut records =
        found.iter().map(|row| rows::record(row, 0, get(row, NOW)?)).collect::<Result<Vec<_>, Error>>()?;
    let limit = query.limit as usize;
    let last = records.get(limit.saturating_sub(1)).filter(|_| records.len() > limit);
    let next = last.map(|(id, record)| Mark::of(id.unsigned_abs(), record).write(query.order));
    records.truncate(limit);
    Ok(Page { records: records.into_iter().map(|(_, record)| record).collect(), next })
}

/// Deletes what is settled and old, past what others are writing to.
pub(super) async fn prune(link: &Link, prune: &Prune) -> Result<u64, Error> {
    let _place = link.place().await?;
    let sql = "WITH c AS MATERIALIZED (SELECT SCHEMA.millis(SCHEMA.clock()) AS now),
         gone AS MATERIALIZED (SELECT r.id FROM SCHEMA.record AS r WHERE r.id BETWEEN $1 AND $2 AND r.state = ANY ($3)
            AND (r.updated_at < $4 OR r.expires_at <= (SELECT now FROM c))
            AND (r.lease_until IS NULL OR r.lease_until <= (SELECT now FROM c))
            ORDER BY r.id LIMIT $5 FOR UPDATE OF r SKIP LOCKED),
         deleted AS (DELETE FROM SCHEMA.record AS r USING gone WHERE r.id = gone.id RETURNING 1)
         SELECT count(*) FROM deleted";
    let ((low, high), before, limit) =
        (ids_of(prune.ns), prune.updated_before.timestamp_millis(), i64::from(prune.limit));
    let params: [Param<'_>; 5] = [
        (&low, Type::INT8),
        (&high, Type::INT8),
        (&prune.states, Type::TEXT_ARRAY),
        (&before, Type::INT8),
        (&limit, Type::INT8),
    ];
    let deleted = link.ask("cannot prune", &link.sql(sql), &params).await.map_err(Failed::into_error)?;
    deleted.first().map_or(Ok(0), |row| rows::number(row, 0))
}

/// The column of the store's present instant, after those of a record.
const NOW: usize = COLUMNS.len() - 1;

/// The columns of a record of table `r`.
fn columns() -> String {
    let names: Vec<String> = COLUMNS.iter().take(NOW).map(|name| format!("r.{name}")).collect();
    names.join(", ")
}

/// A statement that is being put together.
struct Select {
    conditions: String,
    binds: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Select {
    fn of(query: &Query, after: Option<Mark>) -> Self {
        let mut select = Self { conditions: String::from("true"), binds: Vec::new() };
        if query.attention || query.key_prefix.is_some() || query.serial_key.is_some() {
            select.and("r.ns = ?", [(Box::new(i32::from(query.ns.number())), Type::INT4)]);
        } else {
            let (low, high) = ids_of(query.ns);
            select.and("r.id BETWEEN ? AND ?", [int(low), int(high)]);
        }
        if !query.states.is_empty() {
            select.and("r.state = ANY (?)", [(Box::new(query.states.clone()), Type::TEXT_ARRAY)]);
        }
        if !query.kinds.is_empty() {
            select.and("r.kind = ANY (?)", [(Box::new(query.kinds.clone()), Type::TEXT_ARRAY)]);
        }
        if let Some(prefix) = &query.key_prefix {
            select.and("starts_with(r.key, ?)", [text(prefix)]);
        }
        if let Some(suffix) = query.key_suffix.as_deref().filter(|suffix| !suffix.is_empty()) {
            select.and("right(r.key, length(?)) = ?", [text(suffix), text(suffix)]);
        }
        if let Some(from) = query.created_from {
            // Stored instants are cut to the millisecond, so one within a millisecond begins with the next.
            let cut = from.timestamp_millis();
            let from = if to_millis(from) == from { cut } else { cut.saturating_add(1) };
            select.and("r.created_at >= ?", [int(from)]);
        }
        if let Some(key) = &query.serial_key {
            select.and("r.serial_key = ?", [text(key)]);
        }
        if let Some(reviewed) = query.reviewed {
            select.and(if reviewed { "r.reviewed_at IS NOT NULL" } else { "r.reviewed_at IS NULL" }, []);
        }
        if let Some(mark) = after {
            select.after(query.order, mark);
        }
        // One more than the page tells whether there is another. It is the last bind.
        select.binds.push(int(i64::from(query.limit) + 1));
        select
    }

    fn after(&mut self, order: Order, mark: Mark) {
        let id = || int(i64::try_from(mark.id).unwrap_or(i64::MAX));
        let rank = || int(mark.rank);
        match (order, mark.due_ms) {
            (Order::Newest, _) => self.and("r.id < ?", [id()]),
            (Order::Oldest, _) => self.and("r.id > ?", [id()]),
            (Order::Rank, None) => self.and(
                "(r.rank < ? OR (r.rank = ? AND (r.due_at IS NOT NULL OR r.id > ?)))",
                [rank(), rank(), id()],
            ),
            (Order::Rank, Some(due)) => self.and(
                "(r.rank < ? OR (r.rank = ? AND (r.due_at > ? OR (r.due_at = ? AND r.id > ?))))",
                [rank(), rank(), int(due), int(due), id()],
            ),
        }
    }

    /// Adds a condition; each question mark stands for the next value.
    fn and<const N: usize>(&mut self, condition: &str, binds: [(Box<dyn ToSql + Sync + Send>, Type); N]) {
        self.conditions += " AND ";
        let mut parts = condition.split('?');
        self.conditions += parts.next().unwrap_or_default();
        for (bind, part) in binds.into_iter().zip(parts) {
            self.binds.push(bind);
            self.conditions += &format!("${}{part}", self.binds.len());
        }
    }

    fn text(&self, query: &Query) -> String {
        let (columns, limit, conditions) = (columns(), self.binds.len(), &self.conditions);
        let order = match (query.order, query.attention) {
            (Order::Newest, false) => "r.id DESC",
            (Order::Oldest, false) => "r.id",
            // The sum is what the index on those that are due has.
            (Order::Newest, true) => "r.id + 0 DESC",
            (Order::Oldest, true) => "r.id + 0",
            (Order::Rank, _) => "r.rank DESC, r.due_at NULLS FIRST, r.id",
        };
        let clock = "WITH c AS MATERIALIZED (SELECT SCHEMA.millis(SCHEMA.clock()) AS now)";
        let half = |condition: &str| {
            format!(
                "(SELECT {columns}, (SELECT now FROM c) FROM SCHEMA.record AS r WHERE {conditions}{condition}
                  ORDER BY {order} LIMIT ${limit})"
            )
        };
        if !query.attention {
            return format!("{clock} {}", half(""));
        }
        // Two halves, since each has an index of its own.
        let turn = "(r.serial_key IS NULL OR NOT EXISTS (SELECT 1 FROM SCHEMA.record AS o
             WHERE o.ns = r.ns AND o.serial_key = r.serial_key AND o.id <> r.id AND o.leased
                 AND o.lease_until > (SELECT now FROM c)))";
        let past = if query.passes_the_queue_by() { format!(" AND {PAST_THE_QUEUE}") } else { String::new() };
        let due = half(&format!(
            "{past} AND r.due_at IS NOT NULL AND NOT r.leased AND r.due_at <= (SELECT now FROM c) AND NOT r.paused AND {turn}"
        ));
        let orphaned = half(&format!(
            " AND r.leased AND r.lease_until <= (SELECT now FROM c) AND NOT r.paused AND {turn}"
        ));
        format!("{clock} SELECT * FROM ({due} UNION ALL {orphaned}) AS r ORDER BY {order} LIMIT ${limit}")
    }
}

fn int(number: i64) -> (Box<dyn ToSql + Sync + Send>, Type) {
    (Box::new(number), Type::INT8)
}

fn text(text: &str) -> (Box<dyn ToSql + Sync + Send>, Type) {
    (Box::new(text.to_owned()), Type::TEXT)
}

/// Milliseconds of an instant that is there.
pub(super) fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.timestamp_millis())
}
