//! Claims a second on a throwaway PostgreSQL cluster with fsync: a statement for each claim on 16 connections, against
//! the store, which lets claims that wait at the same time share a statement and a commit.
//!
//! A claim is a record and its event; every tenth finds its key taken and is told by whom. `-- postgres [seconds]`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;
use unattended::store::{ApplyError, Batch, Event, Expect, Ns, Put, Store, Write};

#[path = "../../../tests/support/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest of it")]
pub(crate) mod pg;

/// The claim of one connection without grouping: the bare statement on the same tables, prepared once.
const SINGLE: &str = "WITH made AS (
    INSERT INTO SCHEMA.record (id, ns, key, version, fence, state, kind, rank, owner, lease_until, paused, cancelling, batch,
        body, created_at, updated_at)
    SELECT (1::bigint << 47) | nextval('SCHEMA.record_id'), 1, $1, v, v, 'processing', '', 0, 'bench', now + 30000, false,
        false, $2, '{}', now, now
    FROM (SELECT nextval('SCHEMA.revision') AS v, SCHEMA.millis(SCHEMA.clock()) AS now) AS n
    ON CONFLICT (ns, key) DO NOTHING RETURNING *),
 told AS (INSERT INTO SCHEMA.event (record_id, seq, at, fence, batch, to_state, actor, attempt, code, why)
    SELECT id, version, created_at, fence, batch, state, 'worker:bench', 0, 'claimed', 'nobody had it' FROM made)
 SELECT version, fence, owner, state, body FROM made
 UNION ALL SELECT version, fence, owner, state, body FROM SCHEMA.record WHERE ns = 1 AND key = $1";

pub fn run() {
    let seconds =
        std::env::args().skip_while(|arg| arg != "postgres").nth(1).and_then(|text| text.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(4));
    println!("claims a second, {} s each", span.as_secs());
    for connections in [1, 16] {
        let Some(database) = pg::Database::new() else { return };
        drop(database.open());
        println!(
            "one statement each, {connections:>3} connections: {:>7.0}",
            single(&database, connections, span)
        );
    }
    for callers in [1, 16, 64, 256] {
        let Some(database) = pg::Database::new() else { return };
        let (rate, group) = grouped(&database, callers, span);
        println!("the store,       {callers:>3} callers:     {rate:>7.0}   ({group:.1} in a commit)");
    }
}

/// Every tenth key is one that was used before.
fn key(count: u64, caller: usize) -> String {
    let count = if count % 10 == 9 { count - 5 } else { count };
    format!("{:016x}-{caller}", (count.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ caller as u64)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) fn single(database: &pg::Database, connections: usize, span: Duration) -> f64 {
    let sql = SINGLE.replace("SCHEMA", &database.schema);
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    runtime().block_on(async {
        let mut tasks = Vec::new();
        for caller in 0..connections {
            let (sql, url, done) = (sql.clone(), database.url.clone(), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
                tokio::spawn(connection);
                let statement = client.prepare(&sql).await.expect("a statement");
                let mut count = 0;
                while begun.elapsed() < span {
                    let batch = unattended::store::BatchId::new();
                    let batch = uuid::Uuid::from_bytes(*batch.as_bytes());
                    let rows =
                        client.query(&statement, &[&key(count, caller), &batch]).await.expect("an answer");
                    assert!(!rows.is_empty());
                    count += 1;
                }
                done.fetch_add(count, Ordering::Relaxed);
            }));
        }
        for task in tasks {
            task.await.expect("a caller");
        }
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

pub(crate) fn grouped(database: &pg::Database, callers: usize, span: Duration) -> (f64, f64) {
    let store = Arc::new(database.open());
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let info = runtime().block_on(async {
        let mut tasks = Vec::new();
        for caller in 0..callers {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let mut count = 0;
                while begun.elapsed() < span {
                    let event = Event::new(None, "processing", "worker:bench", "claimed", "nobody had it");
                    let put = Put::claim("processing", Duration::from_secs(30));
                    let claim = Write::new(Ns::RUN, key(count, caller), Expect::Absent, put).event(event);
                    match store.apply(Batch::of(claim)).await {
                        Ok(_) | Err(ApplyError::Conflict(_)) => {}
                        Err(error) => panic!("{}", unattended::fault::chain(&error)),
                    }
                    count += 1;
                }
                done.fetch_add(count, Ordering::Relaxed);
            }));
        }
        for task in tasks {
            task.await.expect("a caller");
        }
        store.info().await.expect("info")
    });
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    (rate, info.batches as f64 / info.commits.max(1) as f64)
}
