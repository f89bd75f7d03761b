//! Durable jobs here and in the peers, side by side in one run, and the bounds that this library is held to.
//!
//! `cargo run --release > RESULTS.md` (progress goes to standard error; about five minutes). Needs `initdb` and `postgres`
//! on the path or under `/usr/lib/postgresql`, of which it starts a throwaway cluster with fsync, or
//! `UNATTENDED_TEST_POSTGRES=postgres://…`. `TMPDIR` is the disk that is measured. With the names of sections only those
//! are run: `sqlite`, `postgres`, `grouped`, `latency`, `million`, `memory`, `processes`. It fails if a bound is missed.
//!
//! A rate is that of the best of some rounds in which the contenders take turns, since what else the machine does changes
//! from minute to minute; ratios hold better than figures. A job does nothing; 64 are in flight. For every contender the
//! clock runs from the start of its worker until its database says that all jobs are done. SQLite runs with
//! `synchronous = FULL` and PostgreSQL with fsync and `synchronous_commit = on`, for the peers too.
//!
//! The peers are used as their documentation says: apalis as in its example for PostgreSQL (batches of 100, no lock beside
//! the claim's, `parallelize(tokio::spawn)`), graphile_worker as its "throughput-oriented worker" (local queue of 100,
//! completions gathered for 5 ms) with the same 64 in flight, both over a pool of 32 connections.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

mod child;
#[path = "../../../../tests/it/forward.rs"]
mod forward;
mod ours;
#[path = "../../src/postgres.rs"]
#[allow(dead_code, reason = "the other package runs the rest of it")]
mod postgres;
mod report;
mod seed;
mod theirs;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ours::Measured;
use postgres::pg;
use report::{Report, number};
use seed::What;
use unattended::sqlite::Sqlite;
use unattended::store::Store;

const MILLION: u64 = 1_000_000;
/// How long a peer may take; what it has done by then counts.
const SPAN: Duration = Duration::from_secs(6);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = args.split_first()
        && first == "child"
    {
        return child::main(rest);
    }
    let mut report = Report::new();
    let sections: [(&str, fn(&mut Report)); 7] = [
        ("sqlite", sqlite),
        ("postgres", postgresql),
        ("grouped", grouped),
        ("latency", latency),
        ("million", million),
        ("memory", memory),
        ("processes", processes),
    ];
    let load = load();
    for (name, section) in sections {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            section(&mut report);
        }
    }
    println!("# Durable jobs, here and in the peers\n");
    println!("`cargo run --release -- {}` in `benches/peers/durable`.\n", args.join(" "));
    println!("Load of the machine ({} processors) before {load}, after {}.\n", processors(), self::load());
    println!("{}.\n", versions());
    std::process::exit(i32::from(!report.end()));
}

/// A store in a file of a folder that goes with it.
struct File {
    folder: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("queue.db")
    }

    fn open(&self) -> Arc<dyn Store> {
        open(&self.path())
    }
}

fn open(path: &Path) -> Arc<dyn Store> {
    Arc::new(Sqlite::open(path).expect("a store"))
}

fn database() -> pg::Database {
    pg::Database::new().expect("a PostgreSQL")
}

/// The faster one.
fn best(a: Option<Measured>, b: Measured) -> Option<Measured> {
    Some(a.filter(|a| a.rate >= b.rate).unwrap_or(b))
}

fn sqlite(report: &mut Report) {
    const JOBS: u64 = 30_000;
    let (mut one, mut two, mut theirs, mut theirs_off) = (None, None, 0.0_f64, 0.0_f64);
    let mut commits = f64::MAX;
    for _ in 0..2 {
        let file = File::new();
        let store = Arc::new(Sqlite::open(file.path()).expect("a store"));
        let seam: Arc<dyn Store> = Arc::<Sqlite>::clone(&store);
        ours::fill(&seam, 1, JOBS);
        let before = store.info().expect("info").commits;
        one = best(one, ours::work_off(&seam, 1, JOBS));
        commits = commits.min((store.info().expect("info").commits - before) as f64 / JOBS as f64);
        theirs = theirs.max(theirs::apalis_sqlite(20_000, SPAN, true));
        two = best(two, ours::drain(&File::new().open(), 2, JOBS));
        theirs_off = theirs_off.max(theirs::apalis_sqlite(20_000, SPAN, false));
    }
    let (Some(one), Some(two)) = (one, two) else { return };
    report.at_least("SQLite: jobs through one worker", one.rate, 10_000.0, "/s");
    report.at_least("SQLite: with a checkpoint each (two steps)", two.rate, 6_000.0, "/s");
    report.row("SQLite: apalis-sqlite, FULL", &number(theirs, "/s"));
    report.row("SQLite: apalis-sqlite, OFF, as its `setup` sets it", &number(theirs_off, "/s"));
    report.at_least("SQLite: times apalis-sqlite, FULL", one.rate / theirs, 10.0, "times");
    report.at_most("SQLite: calls of the store a job", one.calls, 2.0, "");
    report.row("SQLite: calls of the store a job of two steps", &number(two.calls, ""));
    report.at_most("SQLite: commits a job", commits, 0.1, "");
}

fn postgresql(report: &mut Report) {
    const JOBS: u64 = 30_000;
    let (mut one, mut commits) = (None, f64::MAX);
    let [mut graphile, mut apalis] = [0.0_f64; 2];
    for round in 0..3 {
        let database = database();
        let (measured, used) = drained(&database, JOBS);
        eprintln!("round {round}: ours {:.0}", measured.rate);
        (one, commits) = (best(one, measured), commits.min(used));
        database.run("drop schema SCHEMA cascade");
        let schema = format!("graphile_{round}");
        graphile = graphile.max(theirs::graphile(&database.url, &schema, JOBS as u32, SPAN));
        eprintln!("round {round}: graphile_worker {graphile:.0}");
        apalis = apalis.max(theirs::apalis_postgres(&database.url, JOBS as u32, SPAN));
        eprintln!("round {round}: apalis-postgres {apalis:.0}");
    }
    let Some(one) = one else { return };
    report.at_least("PostgreSQL: jobs through one worker", one.rate, 10_000.0, "/s");
    report.row("PostgreSQL: graphile_worker", &number(graphile, "/s"));
    report.at_least("PostgreSQL: times graphile_worker", one.rate / graphile, 1.5, "times");
    report.row("PostgreSQL: apalis-postgres", &number(apalis, "/s"));
    report.at_least("PostgreSQL: times apalis-postgres", one.rate / apalis, 1.0, "times");
    report.at_most("PostgreSQL: calls of the store a job", one.calls, 2.0, "");
    report.at_most("PostgreSQL: commits a job (`xact_commit`)", commits, 0.1, "");
}

/// A queue of `jobs`, worked off; and the commits a job that the server counted meanwhile, those of reads too.
fn drained(database: &pg::Database, jobs: u64) -> (Measured, f64) {
    let store: Arc<dyn Store> = Arc::new(database.open());
    ours::fill(&store, 1, jobs);
    drop(store);
    database.run("CHECKPOINT");
    let store: Arc<dyn Store> = Arc::new(database.open());
    let before = commits(database);
    let measured = ours::work_off(&store, 1, jobs);
    drop(store);
    (measured, (commits(database) - before) / jobs as f64)
}

fn commits(database: &pg::Database) -> f64 {
    // A server's process tells what it has done at its end, or a second after.
    std::thread::sleep(Duration::from_millis(1300));
    let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    database.value(sql).parse().expect("a number")
}

fn grouped(report: &mut Report) {
    let span = Duration::from_secs(3);
    let (mut single, mut together) = (0.0_f64, 0.0_f64);
    for _ in 0..2 {
        let database = database();
        drop(database.open());
        single = single.max(postgres::single(&database, 16, span));
        database.run("drop schema SCHEMA cascade; CHECKPOINT");
        let database = self::database();
        together = together.max(postgres::grouped(&database, 64, span).0);
        database.run("drop schema SCHEMA cascade; CHECKPOINT");
    }
    report.row("PostgreSQL: claims, a statement each, 16 connections", &number(single, "/s"));
    report.row("PostgreSQL: claims of 64 callers, grouped", &number(together, "/s"));
    report.at_least("PostgreSQL: grouped against single", together / single, 2.0, "times");
}

fn latency(report: &mut Report) {
    const JOBS: u64 = 20_000;
    let span = Duration::from_secs(4);
    for engine in ["SQLite", "PostgreSQL"] {
        let (file, server) = (File::new(), (engine == "PostgreSQL").then(database));
        let store = server.as_ref().map_or_else(|| file.open(), |database| Arc::new(database.open()));
        // Those that come in and those that are worked off share the machine: this is half of what both can do.
        let begun = std::time::Instant::now();
        ours::fill(&store, 1, JOBS);
        let filling = begun.elapsed().as_secs_f64() / JOBS as f64;
        let rate = 0.5 / (filling + 1.0 / ours::work_off(&store, 1, JOBS).rate);
        let quick = ours::latency(&store, rate, span, Duration::from_millis(5));
        let usual = ours::latency(&store, rate, span, Duration::from_secs(1));
        let said = format!("{engine}, {} jobs/s come in", number(quick.rate, ""));
        report.at_most(&format!("{said}: a claim, p99"), millis(quick.claim), 25.0, "ms");
        let what = format!("{said}: submitted until begun, polled each 5 ms, p99");
        report.at_most(&what, millis(quick.begun[1]), 25.0, "ms");
        report.row(&format!("{said}: the same, p50"), &number(millis(quick.begun[0]), "ms"));
        let [half, most] = usual.begun.map(|wait| number(millis(wait), "ms"));
        report.row(
            &format!("{engine}: the same, polled each 1 s (the default), p50 and p99"),
            &format!("{half}, {most}"),
        );
        if let Some(database) = server {
            database.run("drop schema SCHEMA cascade");
        }
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn million(report: &mut Report) {
    const JOBS: u64 = 20_000;
    const SALT: u64 = 1 << 40;
    let span = Duration::from_secs(2);
    let (small, large) = (File::new(), File::new());
    ours::templates(&large.open());
    seed::sqlite(&large.path(), What::Runs, MILLION);
    seed::sqlite(&large.path(), What::Ledger, MILLION);
    let (small, large) = (small.open(), large.open());
    let [mut jobs, mut claims] = [[0.0_f64; 2]; 2];
    for round in 0..2_u64 {
        for (at, store) in [&small, &large].into_iter().enumerate() {
            jobs[at] = jobs[at].max(ours::drain(store, 1, JOBS).rate);
            claims[at] = claims[at].max(ours::ledger_claims(store, (round + 1) * SALT, span));
        }
    }
    slower(report, "SQLite", jobs, claims);
    drop((small, large));

    let (small, large) = (database(), database());
    drop(small.open());
    ours::templates(&(Arc::new(large.open()) as Arc<dyn Store>));
    seed::postgres(&large, What::Runs, MILLION);
    seed::postgres(&large, What::Ledger, MILLION);
    let [mut jobs, mut claims] = [[0.0_f64; 2]; 2];
    for round in 0..2_u64 {
        for (at, database) in [&small, &large].into_iter().enumerate() {
            let store: Arc<dyn Store> = Arc::new(database.open());
            jobs[at] = jobs[at].max(ours::drain(&store, 1, JOBS).rate);
            claims[at] = claims[at].max(ours::ledger_claims(&store, (round + 1) * SALT, span));
        }
    }
    slower(report, "PostgreSQL", jobs, claims);
    small.run("drop schema SCHEMA cascade");
    large.run("drop schema SCHEMA cascade; CHECKPOINT");
}

fn slower(report: &mut Report, engine: &str, jobs: [f64; 2], claims: [f64; 2]) {
    let both = |[small, large]: [f64; 2]| format!("{}, {}", number(small, "/s"), number(large, "/s"));
    report.row(&format!("{engine}: jobs, empty and beside 1,000,000 finished runs"), &both(jobs));
    report.at_most(&format!("{engine}: jobs, slowed by them"), jobs[0] / jobs[1], 1.5, "times");
    report.row(&format!("{engine}: ledger claims, empty and beside 1,000,000"), &both(claims));
    report.at_most(&format!("{engine}: ledger claims, slowed by them"), claims[0] / claims[1], 2.5, "times");
}

/// A queue of `jobs`, the quick way.
fn long_queue(database: &pg::Database, jobs: u64) {
    let store: Arc<dyn Store> = Arc::new(database.open());
    queue_one(&store);
    drop(store);
    seed::postgres(database, What::Runs, jobs - 1);
}

fn queue_one(store: &Arc<dyn Store>) {
    ours::fill(store, 1, 1);
}

fn memory(report: &mut Report) {
    const JOBS: u64 = 100_000;
    let span = Duration::from_secs(60);
    let file = File::new();
    queue_one(&file.open());
    seed::sqlite(&file.path(), What::Runs, JOBS - 1);
    let path = file.path();
    let mut worker = child::start("sqlite", path.to_str().expect("a path"), "", JOBS, span);
    worker.go();
    let done = worker.end();
    report.at_most(
        "SQLite: memory of a worker with 100,000 queued runs, at most",
        done.megabytes,
        100.0,
        "MB",
    );
    report.row("SQLite: jobs in that process", &number(done.jobs / done.seconds, "/s"));

    let database = database();
    long_queue(&database, JOBS);
    let mut worker = child::start("postgres", &database.url, &database.schema, JOBS, span);
    worker.go();
    let done = worker.end();
    report.at_most(
        "PostgreSQL: memory of a worker with 100,000 queued runs, at most",
        done.megabytes,
        100.0,
        "MB",
    );
    report.row("PostgreSQL: jobs in that process", &number(done.jobs / done.seconds, "/s"));
    database.run("drop schema SCHEMA cascade; CHECKPOINT");
}

fn processes(report: &mut Report) {
    let database = database();
    long_queue(&database, 250_000);
    let mut rates = [0.0_f64; 2];
    let mut said = [String::new(), String::new()];
    for _ in 0..2 {
        for at in 0..2 {
            let (rate, what) = side_by_side(&database, at + 1, Duration::from_secs(3));
            if rate > rates[at] {
                (rates[at], said[at]) = (rate, what);
            }
            seed::settle(&database);
        }
    }
    for (at, name) in ["one worker process", "two worker processes"].into_iter().enumerate() {
        report.row(&format!("PostgreSQL: {name}"), &format!("{}; {}", number(rates[at], "/s"), said[at]));
    }
    report.row("PostgreSQL: the second worker process adds", &format!("{:.2} times", rates[1] / rates[0]));
    database.run("drop schema SCHEMA cascade");
}

/// So many worker processes for a while: jobs a second, and where the time went.
fn side_by_side(database: &pg::Database, count: usize, span: Duration) -> (f64, String) {
    const SAMPLE: &str =
        "SELECT coalesce(string_agg(coalesce(wait_event_type || ':' || wait_event, 'running'), ' '), '')
        FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()";
    let folder = database.value("SELECT current_setting('data_directory')");
    let pid = std::fs::read_to_string(Path::new(&folder).join("postmaster.pid")).unwrap_or_default();
    let pid = pid.lines().next().unwrap_or("0").to_owned();
    let mut workers: Vec<_> =
        (0..count).map(|_| child::start("postgres", &database.url, &database.schema, 0, span)).collect();
    let (server, idle) = (child::cpu_of_tree(&pid), child::idle());
    workers.iter_mut().for_each(child::Working::go);
    let mut waits: BTreeMap<String, u32> = BTreeMap::new();
    let begun = std::time::Instant::now();
    while begun.elapsed() < span {
        for wait in database.value(SAMPLE).split_whitespace() {
            *waits.entry(wait.to_owned()).or_default() += 1;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (after, server) = (child::idle(), child::cpu_of_tree(&pid) - server);
    let done: Vec<child::Done> = workers.into_iter().map(child::Working::end).collect();
    let rate: f64 = done.iter().map(|done| done.jobs / done.seconds).sum();
    let jobs: f64 = done.iter().map(|done| done.jobs).sum();
    let cpu: f64 = done.iter().map(|done| done.cpu).sum();
    let idle = (after[0] - idle[0]) / (after[1] - idle[1]) * 100.0;
    let all: u32 = waits.values().sum();
    let mut waits: Vec<_> = waits.into_iter().collect();
    waits.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let waits: Vec<String> =
        waits.iter().take(3).map(|(wait, count)| format!("{wait} {} %", count * 100 / all.max(1))).collect();
    let micros = |seconds: f64| seconds * 1e6 / jobs.max(1.0);
    let what = format!(
        "processor time a job: workers {:.0} us, server {:.0} us; processors idle {idle:.0} %; statements: {}",
        micros(cpu),
        micros(server),
        waits.join(", ")
    );
    (rate, what)
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}

fn versions() -> String {
    const NAMES: [&str; 7] = [
        "apalis",
        "apalis-sqlite",
        "apalis-postgres",
        "graphile_worker",
        "sqlx",
        "rusqlite",
        "tokio-postgres",
    ];
    let lock = include_str!("../Cargo.lock");
    let version = |name: &&str| {
        let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
        Some(format!("{name} {}", after.split('"').next()?))
    };
    let mut all: Vec<String> = NAMES.iter().filter_map(version).collect();
    let file = File::new();
    let sqlite = Sqlite::open(file.path()).and_then(|store| store.info());
    all.push(format!("SQLite {}", sqlite.map_or_else(|error| error.to_string(), |info| info.sqlite_version)));
    if let Some(database) = pg::url().map(|_| database()) {
        drop(database.open()); // waits for the server
        all.push(format!("PostgreSQL {}", database.value("SELECT current_setting('server_version')")));
    }
    all.join(", ")
}
