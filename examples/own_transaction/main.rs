//! Rows and the record of their loading in one transaction of your own: either both stand or neither, and a second
//! delivery of the same file loads nothing.
//!
//! The job loads invoices into a table beside the store's, in chunks, each committed with the cursor that says how far
//! it is. The first process dies between two chunks; the second goes on behind the last row that stands.
//!
//! ```sh
//! cargo run --all-features --example own_transaction
//! cargo run --all-features --example own_transaction -- --store postgres://localhost/jobs
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::NoTls;
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::job::{Builder, Job, Report};
use unattended::pipeline::{Cx, Progress, Step, StepError};
use unattended::postgres::Postgres;
use unattended::sqlite::{self, Sqlite};
use unattended::store::Store;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How many rows are loaded in one transaction: others wait for it, so it is kept short.
const CHUNK: usize = 4;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Invoice {
    number: i64,
    cents: i64,
}

/// What one chunk loads, and what is to be said of it.
struct Chunk {
    rows: Vec<Invoice>,
    progress: Progress,
    last: bool,
}

/// The next chunk behind the cursor. The last one also completes the run's key: from then on the work counts as done.
fn next(cx: &Cx) -> Result<Option<Chunk>, StepError> {
    let all: Vec<Invoice> = cx.input()?;
    let begun = cx.cursor::<usize>()?.unwrap_or(0);
    let rows: Vec<Invoice> = all.iter().skip(begun).take(CHUNK).cloned().collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let end = begun + rows.len();
    let last = end == all.len();
    let progress = if last { cx.completion(&end, &end)? } else { cx.progress(&end)? };
    Ok(Some(Chunk { rows, progress, last }))
}

/// The process dies here, the first time: a chunk is committed, and the next has not begun.
fn die_once(cx: &Cx, chunk: &Chunk) -> Result<(), StepError> {
    if cx.fence() > 0 && !chunk.last && std::env::var_os("OWN_TRANSACTION_DIES").is_some() {
        std::process::abort();
    }
    Ok(())
}

fn job() -> Builder {
    Job::new("invoices")
        .lease(Duration::from_secs(3))
        .key(|invoices: &Vec<Invoice>| Key::new("books", "file", invoices.len()))
}

/// SQLite: the table is in the store's own file.
fn on_sqlite(store: &Arc<Sqlite>) -> Outcome<Job> {
    let file = Arc::clone(store);
    let load = Step::blocking("load", Effect::Idempotent, move |cx| {
        while let Some(chunk) = next(cx)? {
            let applied = file.transaction(|tx| -> Outcome<_> {
                // First, so that a lost lease is known before anything is loaded.
                let applied = sqlite::apply_in(tx, chunk.progress.batch())?;
                for row in &chunk.rows {
                    tx.execute("INSERT INTO invoice VALUES (?1, ?2)", (row.number, row.cents))?;
                }
                Ok(applied)
            });
            let applied = applied.map_err(|error| StepError::transient("load.failed", error.to_string()))?;
            die_once(cx, &chunk)?;
            cx.committed(chunk.progress, &applied);
        }
        cx.cursor::<usize>()
    });
    Ok(job().step(load).build()?)
}

/// PostgreSQL: the table is in the store's database, on a connection of the caller's own.
fn on_postgres(store: &Arc<Postgres>, url: &str) -> Outcome<Job> {
    let (store, url) = (Arc::clone(store), url.to_owned());
    let load = Step::new("load", Effect::Idempotent, move |cx| {
        let (store, url) = (Arc::clone(&store), url.clone());
        async move {
            let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            while let Some(chunk) = next(&cx)? {
                let tx = client.transaction().await?;
                let applied = store.apply_in(&tx, chunk.progress.batch()).await?;
                for row in &chunk.rows {
                    tx.execute("INSERT INTO invoice VALUES ($1, $2)", &[&row.number, &row.cents]).await?;
                }
                tx.commit().await?;
                die_once(&cx, &chunk)?;
                cx.committed(chunk.progress, &applied);
            }
            cx.cursor::<usize>()
        }
    });
    Ok(job().step(load).build()?)
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS invoice (number BIGINT PRIMARY KEY, cents BIGINT NOT NULL)";

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let place = match (args.next().as_deref(), args.next()) {
        (None, _) => None,
        (Some("--store"), Some(place)) => Some(place),
        _ => return Err("give --store PATH or --store postgres://…, or nothing".into()),
    };
    let dies = std::env::var_os("OWN_TRANSACTION_DIES").is_some();
    let folder = tempfile::tempdir()?;
    let place = place.unwrap_or_else(|| folder.path().join("jobs.db").display().to_string());
    if !dies {
        // The first process, which dies in the middle.
        let mut first = std::process::Command::new(std::env::current_exe()?);
        first.args(["--store", &place]).env("OWN_TRANSACTION_DIES", "1");
        let status = first.status()?;
        println!("the first process ended well: {}", status.success());
    }
    let invoices: Vec<Invoice> = (1..=10).map(|number| Invoice { number, cents: 100 * number }).collect();
    if place.starts_with("postgres") {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(work_on_postgres(&place, &invoices, dies))
    } else {
        let store = Arc::new(Sqlite::open(&place)?);
        store.transaction(|tx| -> Outcome<_> { Ok(tx.execute_batch(TABLE)?) })?;
        let job = on_sqlite(&store)?;
        let count = || -> Outcome<i64> {
            let connection = sqlite::connect_like(&store)?;
            Ok(connection.query_row("SELECT count(*) FROM invoice", [], |row| row.get(0))?)
        };
        let dynamic: Arc<dyn Store> = Arc::clone(&store) as _;
        if !dies {
            println!("rows that stand: {}", count()?);
        }
        for _ in 0..2 {
            let report = job.run_once_blocking(&dynamic, &invoices)?;
            tell(&report, count()?);
        }
        Ok(())
    }
}

async fn work_on_postgres(url: &str, invoices: &Vec<Invoice>, dies: bool) -> Outcome<()> {
    let store = Arc::new(Postgres::connect(url).await?);
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(TABLE).await?;
    let job = on_postgres(&store, url)?;
    let count = async || -> Outcome<i64> {
        Ok(client.query_one("SELECT count(*) FROM invoice", &[]).await?.get::<_, i64>(0))
    };
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as _;
    if !dies {
        println!("rows that stand: {}", count().await?);
    }
    // Nobody sees a process on another host die: its lease ends by the database's clock.
    let mut report = job.run_once(&dynamic, invoices).await?;
    while report.exit_code() == 75 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        report = job.run_once(&dynamic, invoices).await?;
    }
    tell(&report, count().await?);
    tell(&job.run_once(&dynamic, invoices).await?, count().await?);
    Ok(())
}

fn tell(report: &Report, rows: i64) {
    let worked_off = report.worked_off.len();
    let state = report.run.as_ref().map_or("none", |run| run.state().as_str());
    println!("{state}; worked off before: {worked_off}; {}; rows that stand: {rows}", report.verdict);
}
