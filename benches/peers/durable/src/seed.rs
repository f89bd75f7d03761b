//! Long queues and long histories: real records, copied inside the database.

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Executor, Row};
use std::path::Path;

use crate::ours::runtime;
use crate::postgres::pg;

const RUN: i64 = 1;
const LEDGER: i64 = 2;

/// Which record is copied.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The first run, whatever its state, with its events. Keys in the order of time, as those of runs are.
    Runs,
    /// The first ledger entry. Keys as hashes are.
    Ledger,
}

impl What {
    const fn ns(self) -> i64 {
        match self {
            Self::Runs => RUN,
            Self::Ledger => LEDGER,
        }
    }
}

/// Copies in an SQLite file that nobody has open.
pub fn sqlite(path: &Path, what: What, count: u64) {
    let ns = what.ns();
    let key = match what {
        What::Runs => "substr(key, 1, 24) || printf('%012x', n)",
        What::Ledger => "'billing/invoice/' || lower(hex(randomblob(8)))",
    };
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}),
         first AS (SELECT * FROM record WHERE ns = {ns} ORDER BY id LIMIT 1)"
    );
    runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(path).synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("a pool");
        let base: i64 = pool.fetch_one("SELECT revision FROM store").await.expect("the revision").get(0);
        let sql = format!(
            "BEGIN;
             {numbers} INSERT INTO record SELECT ({ns} << 47) | ({base} + n), ns, {key}, version, fence, state, kind, rank,
                 serial_key, NULL, NULL, NULL, NULL, NULL, due_at, expires_at, paused, cancelling, reviewed_at,
                 fingerprint, batch, body, created_at, updated_at FROM first, numbers;
             {numbers} INSERT INTO event SELECT ({ns} << 47) | ({base} + n), seq, e.at, e.fence, e.batch, from_state,
                 to_state, actor, attempt, step, code, why, data
                 FROM first, numbers JOIN event AS e ON e.record_id = first.id;
             UPDATE store SET revision = {base} + {count} + 1;
             COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.expect("copied");
        pool.close().await;
    });
}

/// Copies in a PostgreSQL schema.
pub fn postgres(database: &pg::Database, what: What, count: u64) {
    let ns = what.ns();
    let key = match what {
        What::Runs => "substr(key, 1, 24) || lpad(to_hex(n), 12, '0')",
        What::Ledger => "'billing/invoice/' || substr(md5(n::text), 1, 16)",
    };
    let base: i64 = database.value("SELECT last_value FROM SCHEMA.record_id").parse().expect("a number");
    let first = format!("(SELECT * FROM SCHEMA.record WHERE ns = {ns} ORDER BY id LIMIT 1) AS f");
    database.run(&format!(
        "BEGIN;
         INSERT INTO SCHEMA.record (id, ns, key, version, fence, state, kind, rank, serial_key, due_at, expires_at, paused,
             cancelling, reviewed_at, fingerprint, batch, body, created_at, updated_at)
         SELECT ({ns}::bigint << 47) | ({base} + n), ns, {key}, version, fence, state, kind, rank, serial_key, due_at,
             expires_at, paused, cancelling, reviewed_at, fingerprint, batch, body, created_at, updated_at
         FROM {first}, generate_series(1, {count}) AS n;
         INSERT INTO SCHEMA.event SELECT ({ns}::bigint << 47) | ({base} + n), e.seq, e.at, e.fence, e.batch, e.from_state,
             e.to_state, e.actor, e.attempt, e.step, e.code, e.why, e.data
         FROM {first}, generate_series(1, {count}) AS n, SCHEMA.event AS e WHERE e.record_id = f.id;
         SELECT setval('SCHEMA.record_id', {base} + {count} + 1);
         COMMIT"
    ));
    settle(database);
}

/// What the server's own upkeep would have done by the time.
pub fn settle(database: &pg::Database) {
    for sql in ["VACUUM (ANALYZE) SCHEMA.record", "VACUUM (ANALYZE) SCHEMA.event", "CHECKPOINT"] {
        database.run(sql);
    }
}
