//! The peers, each with what its own documentation gives for throughput.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use futures::stream;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler,
    WorkerContext as GraphileContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::ours::runtime;

type Done = Arc<AtomicU64>;

/// What apalis's example gives: batches of 100, no lock beside the claim's, tasks in parallel.
const BATCH: usize = 100;
const CONNECTIONS: u32 = 32;

async fn nothing(_: u32, done: Data<Done>) -> Result<(), BoxDynError> {
    done.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// apalis-sqlite. `setup` sets `synchronous = OFF`, on the one connection that it is given; with `full` the worker's
/// connections have FULL, as this library's have, and else they have what a pool that went through `setup` has.
pub fn apalis_sqlite(jobs: u32, span: Duration, full: bool) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    runtime().block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("apalis.db"))
            .create_if_missing(true)
            .busy_timeout(Duration::from_secs(10));
        let first =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.expect("a pool");
        SqliteStorage::setup(&first).await.expect("set up");
        let pool = if full {
            first.close().await;
            let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
            SqlitePoolOptions::new().connect_with(options).await.expect("a pool")
        } else {
            first
        };
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&pool).await.expect("the setting");
        assert_eq!(synchronous, if full { 2 } else { 0 });
        let config = apalis_sqlite::Config::default().queue("bench").batch_size(BATCH).lock_tasks(false);
        let mut backend = SqliteStorage::<u32>::new(&pool).with_config(config);
        backend.push_stream(&mut stream::iter(0..jobs)).await.expect("pushed");
        let done = Done::default();
        let worker = WorkerBuilder::new("bench").backend(backend).data(Arc::clone(&done));
        let worker = worker.parallelize(tokio::spawn).build(nothing);
        let count = async || {
            let sql = "SELECT count(*) FROM Jobs WHERE status = 'Done'";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.expect("a count") as u64
        };
        timed(worker.run(), &done, jobs.into(), span, count).await
    })
}

/// apalis-postgres, in a queue of its own.
pub fn apalis_postgres(url: &str, jobs: u32, span: Duration) -> f64 {
    runtime().block_on(async {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.expect("a pool");
        PostgresStorage::setup(&pool).await.expect("set up");
        sqlx::query("TRUNCATE apalis.jobs").execute(&pool).await.expect("emptied");
        let config = apalis_postgres::Config::default().queue("bench").batch_size(BATCH).lock_tasks(false);
        let mut backend = PostgresStorage::<u32>::new(&pool).with_config(config);
        backend.push_stream(&mut stream::iter(0..jobs)).await.expect("pushed");
        sqlx::query("CHECKPOINT").execute(&pool).await.expect("a checkpoint");
        tokio::time::sleep(Duration::from_millis(1100)).await; // it takes what was due before this second
        let done = Done::default();
        let worker = WorkerBuilder::new(format!("bench-{}", std::process::id()));
        let worker = worker.backend(backend).data(Arc::clone(&done)).parallelize(tokio::spawn).build(nothing);
        let count = async || {
            let sql = "SELECT count(*) FROM apalis.jobs WHERE status = 'Done'";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.expect("a count") as u64
        };
        timed(worker.run(), &done, jobs.into(), span, count).await
    })
}

#[derive(Deserialize, Serialize)]
struct Nothing {
    number: u32,
}

#[derive(Clone, Debug)]
struct Counter(Done);

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "nothing";

    async fn run(self, cx: GraphileContext) -> impl IntoTaskHandlerResult {
        std::hint::black_box(self.number);
        if let Some(counter) = cx.get_ext::<Counter>() {
            counter.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<(), String>(())
    }
}

/// graphile_worker, as its "throughput-oriented worker": a local queue and completions in batches.
pub fn graphile(url: &str, schema: &str, jobs: u32, span: Duration) -> f64 {
    runtime().block_on(async {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.expect("a pool");
        let done = Done::default();
        let worker = WorkerOptions::default()
            .schema(schema)
            .concurrency(crate::ours::IN_FLIGHT)
            .poll_interval(Duration::from_millis(500))
            .complete_job_batch_delay(Duration::from_millis(5))
            .fail_job_batch_delay(Duration::from_millis(5))
            .local_queue(LocalQueueConfig::default().with_size(100).with_ttl(Duration::from_secs(60)))
            .listen_os_shutdown_signals(false)
            .add_extension(Counter(Arc::clone(&done)))
            .define_job::<Nothing>()
            .pg_pool(pool.clone())
            .init()
            .await
            .expect("a worker");
        let utils = worker.create_utils();
        let all: Vec<u32> = (0..jobs).collect();
        for some in all.chunks(1000) {
            let specs: Vec<_> = some.iter().map(|number| spec(*number)).collect();
            utils.add_raw_jobs(&specs).await.expect("added");
        }
        sqlx::query("CHECKPOINT").execute(&pool).await.expect("a checkpoint");
        let sql = format!("SELECT count(*) FROM {schema}._private_jobs");
        let count = async || {
            let left = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql.as_str())).fetch_one(&pool);
            u64::from(jobs) - left.await.expect("a count") as u64
        };
        let worker = Arc::new(worker);
        let working = Arc::clone(&worker);
        let rate = timed(async move { working.run().await }, &done, jobs.into(), span, count).await;
        // What the peer still has on its way may lock in another order.
        let sql = format!("DROP SCHEMA {schema} CASCADE");
        while sqlx::query(sqlx::AssertSqlSafe(sql.as_str())).execute(&pool).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        rate
    })
}

fn spec(number: u32) -> RawJobSpec {
    RawJobSpec {
        identifier: String::from("nothing"),
        payload: serde_json::json!({ "number": number }),
        spec: JobSpec::default(),
    }
}

/// Jobs a second, from the worker's start until the database says that all are done, or the span is over.
async fn timed<E: Send + 'static>(
    worker: impl Future<Output = Result<(), E>> + Send + 'static,
    done: &Done,
    jobs: u64,
    span: Duration,
    count: impl AsyncFn() -> u64,
) -> f64 {
    let begun = Instant::now();
    let working = tokio::spawn(worker);
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(!working.is_finished(), "the peer's worker has ended");
        let over = begun.elapsed() >= span;
        if over || done.load(Ordering::Relaxed) >= jobs {
            let (committed, took) = (count().await, begun.elapsed());
            if over || committed >= jobs {
                working.abort();
                drop(working.await);
                return committed as f64 / took.as_secs_f64();
            }
        }
    }
}
