//! Claims a second through the SQLite store, beside what SQLite itself can do with the same rows, schema and settings.
//!
//! `cargo bench --bench ledger --features full`. A claim writes one record and one event and is on the disk before it
//! is answered. The floor is bare rusqlite, one transaction each, on one thread, measured in the same rounds, since the
//! disk's speed changes from minute to minute: ratios hold, absolute figures only orient. Set
//! `UNATTENDED_BENCH_DIR` to a folder on the disk to be measured; the default is this package's `target`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a measurement prints, reads the clock, and stops at the first failure"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use rusqlite::{Connection, params};
use unattended::blocking::Blocking;
use unattended::sqlite::Sqlite;
use unattended::store::{Batch, Event, Expect, Ns, Put, Store, Write};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Keys as hashes are: spread over the whole index.
fn key() -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("billing/invoice/{number:016x}")
}

const BODY: &str = r#"{"fingerprint":"jcs1:sha256:6b86b273ff34fce19d6b804eff5a3f57","attempt":1}"#;

fn claim() -> Batch {
    let put =
        Put { body: Some(BODY.into()), kind: Some("invoice".into()), ..Put::claim("processing", LEASE) };
    let event = Event::new(None, "processing", "worker:1", "ledger.claimed", "nobody had it");
    Batch::of(Write::new(Ns::LEDGER, key(), Expect::Absent, put).event(event))
}

const LEASE: Duration = Duration::from_secs(30);

/// Bare rusqlite on a file that the store has made.
struct Floor {
    connection: Connection,
    revision: i64,
}

impl Floor {
    fn open(path: &Path) -> Self {
        drop(Sqlite::open(path).unwrap());
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = 1000;",
            )
            .unwrap();
        Self { connection, revision: 0 }
    }

    /// One claim in a transaction of its own.
    fn claim(&mut self) {
        self.claims(1);
    }

    fn claims(&mut self, count: usize) {
        let run = |sql: &str| self.connection.prepare_cached(sql).unwrap().execute([]).unwrap();
        run("BEGIN IMMEDIATE");
        for _ in 0..count {
            self.insert();
        }
        let sql = "UPDATE store SET revision = ?1 WHERE one = 1";
        self.connection.prepare_cached(sql).unwrap().execute([self.revision]).unwrap();
        self.connection.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
    }

    fn insert(&mut self) {
        self.revision += 1;
        let (id, now, key) = ((2_i64 << 47) | self.revision, 1_767_225_600_000_i64, key());
        let (boot, batch) = ("7904b245-650e-4658-ad51-ae58678c90be time:[4026531834]", [7_u8; 16]);
        let holder = "sqlite:12345:0193a0c8-0000-7000-8000-000000000000";
        let sql = "INSERT INTO record VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
                   ON CONFLICT (ns, key) DO NOTHING";
        self.connection
            .prepare_cached(sql)
            .unwrap()
            .execute(params![
                id,
                2_i64,
                key,
                self.revision,
                self.revision,
                "processing",
                "invoice",
                0_i64,
                None::<String>,
                holder,
                holder,
                boot,
                86_400_000_i64,
                now,
                None::<i64>,
                None::<i64>,
                0_i64,
                0_i64,
                None::<i64>,
                None::<String>,
                batch,
                BODY,
                now,
                now
            ])
            .unwrap();
        let sql = "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)";
        self.connection
            .prepare_cached(sql)
            .unwrap()
            .execute(params![
                id,
                self.revision,
                now,
                self.revision,
                batch,
                None::<String>,
                "processing",
                "worker:1",
                0_i64,
                None::<String>,
                "ledger.claimed",
                "nobody had it",
                None::<String>
            ])
            .unwrap();
    }
}

fn folder() -> tempfile::TempDir {
    let parent = std::env::var_os("UNATTENDED_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    std::fs::create_dir_all(&parent).unwrap();
    tempfile::tempdir_in(parent).unwrap()
}

/// Claims a second of the floor, `count` in a transaction, for as long as `span`.
fn bare(floor: &mut Floor, count: usize, span: Duration) -> f64 {
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < span {
        floor.claims(count);
        done += count;
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

fn tasks(runtime: &tokio::runtime::Runtime, store: &Arc<Sqlite>, callers: usize, span: Duration) -> f64 {
    let begun = Instant::now();
    let done: u64 = runtime.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    let mut done = 0;
                    while begun.elapsed() < span {
                        store.apply(claim()).await.unwrap();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    done as f64 / begun.elapsed().as_secs_f64()
}

fn threads(store: &Sqlite, callers: usize, span: Duration) -> f64 {
    let begun = Instant::now();
    let done: u64 = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = 0;
                    while begun.elapsed() < span {
                        Blocking(store).apply(claim()).unwrap();
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    done as f64 / begun.elapsed().as_secs_f64()
}

/// Commits for each claim since the last look.
fn commits_per_claim(store: &Sqlite, last: &mut (u64, u64)) -> f64 {
    let info = store.info().unwrap();
    let (batches, commits) = (info.batches - last.0, info.commits - last.1);
    *last = (info.batches, info.commits);
    commits as f64 / batches as f64
}

fn median(column: &[f64]) -> f64 {
    let mut sorted = column.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn verdict(what: &str, found: f64, bound: f64, at_most: bool) {
    let passed = if at_most { found <= bound } else { found >= bound };
    let (sign, word) = (if at_most { "<=" } else { ">=" }, if passed { "PASS" } else { "FAIL" });
    println!("{word}  {what:<44} {found:>7.3}  (bound {sign} {bound:.3})");
}

/// One caller: a claim of the floor, a blocking one and an async one in turn, so that what else the machine does hits
/// all alike. Medians of microseconds.
fn one_caller(floor: &mut Floor, store: &Sqlite, claims: usize) {
    let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut micros: [Vec<f64>; 3] = Default::default();
    let timed = |column: &mut Vec<f64>, begun: Instant| column.push(begun.elapsed().as_secs_f64() * 1e6);
    for _ in 0..claims {
        let begun = Instant::now();
        floor.claim();
        timed(&mut micros[0], begun);
        let begun = Instant::now();
        Blocking(store).apply(claim()).unwrap();
        timed(&mut micros[1], begun);
        current.block_on(async {
            let begun = Instant::now();
            store.apply(claim()).await.unwrap();
            timed(&mut micros[2], begun);
        });
    }
    let [bare, blocking, awaited] = micros.map(|column| median(&column));
    println!(
        "one caller, median of {claims}: floor {bare:.0} us, blocking {blocking:.0} us, async {awaited:.0} us"
    );
    verdict("1 caller blocking, time against the floor", blocking / bare, 1.3, true);
    verdict("1 caller async, time against the floor", awaited / bare, 1.5, true);
}

/// Many callers against the floor in the slices of time beside theirs. Each round begins with new files: with hashes
/// for keys a claim costs twice as much in a file of a million records, which would be measured along.
fn many_callers(folder: &Path, callers: usize, rounds: usize, span: Duration) {
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut columns: [Vec<f64>; 7] = Default::default();
    for round in 0..rounds {
        let mut floor = Floor::open(&folder.join(format!("floor-{callers}-{round}.db")));
        let mut groups = Floor::open(&folder.join(format!("groups-{callers}-{round}.db")));
        let store = Arc::new(Sqlite::open(folder.join(format!("store-{callers}-{round}.db"))).unwrap());
        let mut last = (0, 0);
        let before = bare(&mut floor, 1, span / 2);
        commits_per_claim(&store, &mut last);
        let tasks = tasks(&multi, &store, callers, span);
        let commits = commits_per_claim(&store, &mut last);
        let between = bare(&mut floor, 1, span / 2);
        let threads = threads(&store, callers, span);
        let after = bare(&mut floor, 1, span / 2);
        // What the engine can do when it is handed whole groups: nothing that hands over one by one is faster.
        let together = bare(&mut groups, callers, span / 2);
        let found = [
            f64::midpoint(before, between),
            tasks,
            threads,
            tasks / f64::midpoint(before, between),
            threads / f64::midpoint(between, after),
            commits,
            together,
        ];
        columns.iter_mut().zip(found).for_each(|(column, found)| column.push(found));
    }
    let [bare, tasks, threads, by_tasks, by_threads, commits, together] =
        columns.map(|column| median(&column));
    println!(
        "{callers} callers, claims a second: floor {bare:.0}, async {tasks:.0}, blocking {threads:.0}; \
         bare, {callers} in a transaction, {together:.0}"
    );
    let (rate, shared) = if callers <= 16 { (3.5, 1.0 / 8.0) } else { (5.0, 1.0 / 24.0) };
    verdict(&format!("{callers} async callers, rate against the floor"), by_tasks, rate, false);
    verdict(&format!("{callers} blocking callers, rate against the floor"), by_threads, rate, false);
    verdict(&format!("{callers} callers, commits for each claim"), commits, shared, true);
}

fn compare(quick: bool) {
    let folder = folder();
    let mut floor = Floor::open(&folder.path().join("floor.db"));
    let store = Sqlite::open(folder.path().join("store.db")).unwrap();
    let (claims, rounds, span) = if quick { (5, 1, 20) } else { (1_500, 21, 200) };
    one_caller(&mut floor, &store, claims);
    for callers in [16, 64] {
        many_callers(folder.path(), callers, rounds, Duration::from_millis(span));
    }
}

fn single(c: &mut Criterion) {
    let folder = folder();
    let mut floor = Floor::open(&folder.path().join("floor.db"));
    let store = Sqlite::open(folder.path().join("store.db")).unwrap();
    let mut group = c.benchmark_group("ledger claim, one caller");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    group.bench_function("floor", |bencher| bencher.iter(|| floor.claim()));
    group.bench_function("store", |bencher| bencher.iter(|| Blocking(&store).apply(claim()).unwrap()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().configure_from_args();
    targets = single
}

fn main() {
    // Under `cargo bench` it measures; under `cargo test --benches` and `-- --test` it only shows that it runs.
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    compare(has("--test") || !has("--bench"));
    benches();
}
