//! Jobs a second through one worker process on SQLite, what that costs the store, and the memory that it takes.
//!
//! `cargo bench --bench worker --features full`. A job of no work is claimed, run and completed: two events and two
//! commits on the disk, which it shares with the others that are in flight. Set `UNATTENDED_BENCH_DIR` to a folder on the
//! disk to be measured (default: this package's `target`) and `UNATTENDED_BENCH_JOBS` to another number of jobs, `UNATTENDED_BENCH_FACE` to one of Runtime, OneFuture and Threads. Under
//! `cargo test` it runs a few jobs of each.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a measurement prints, reads the clock, and stops at the first failure"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::shutdown::Shutdown;
use unattended::sqlite::Sqlite;
use unattended::store::Store;
use unattended::worker::{Summary, Worker};

#[path = "../tests/it/forward.rs"]
mod forward;

/// How many runs are in flight.
const IN_FLIGHT: usize = 64;

/// How the worker is driven.
#[derive(Clone, Copy, Debug)]
enum Face {
    Runtime,
    OneFuture,
    Threads,
}

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let given = std::env::var("UNATTENDED_BENCH_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    let only = std::env::var("UNATTENDED_BENCH_FACE").ok();
    let jobs: u64 = given.unwrap_or(if test { 200 } else { 60_000 });
    let rounds = if test { 1 } else { 3 };
    println!("{jobs} jobs, {IN_FLIGHT} in flight; the best of {rounds} rounds");
    for steps in [1, 2] {
        let faces = [Face::Runtime, Face::OneFuture, Face::Threads].into_iter();
        for face in faces.filter(|face| only.as_ref().is_none_or(|only| format!("{face:?}") == *only)) {
            let best =
                (0..rounds).map(|_| measure(face, steps, jobs)).max_by(|a, b| a.rate.total_cmp(&b.rate));
            let Measured { rate, calls, commits, writer, all } = best.unwrap();
            println!(
                "{steps} step(s), {face:?}: {rate:.0} jobs/s; a job: {calls:.3} store calls, {commits:.4} commits, \
                 {writer:.0} us of the writer, {all:.0} us in all"
            );
        }
    }
    memory(if test { 1000 } else { 100_000 });
}

struct Measured {
    rate: f64,
    calls: f64,
    commits: f64,
    /// Microseconds of the store's writing thread, and of all threads, for each job.
    writer: f64,
    all: f64,
}

fn folder() -> tempfile::TempDir {
    let base = std::env::var_os("UNATTENDED_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    std::fs::create_dir_all(&base).unwrap();
    tempfile::tempdir_in(base).unwrap()
}

fn job(steps: u32, done: &Arc<AtomicU64>, all: u64, shutdown: &Shutdown) -> Job {
    let mut job = Job::new("nothing");
    for step in 1..=steps {
        let (done, shutdown) = (Arc::clone(done), shutdown.clone());
        let last = step == steps;
        job = job.step(Step::new(format!("step-{step}"), Effect::Pure, move |_| {
            let ends = last && done.fetch_add(1, Ordering::Relaxed) + 1 == all;
            if ends {
                shutdown.trigger();
            }
            async { Ok(()) }
        }));
    }
    job.build().unwrap()
}

fn fill(store: &Arc<dyn Store>, job: &Job, jobs: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < jobs {
                    drop(job.submit_blocking(store, "payload", &Terms::default()).unwrap());
                }
            });
        }
    });
}

fn measure(face: Face, steps: u32, jobs: u64) -> Measured {
    let folder = folder();
    let path = folder.path().join("queue.db");
    let (done, shutdown) = (Arc::new(AtomicU64::new(0)), Shutdown::new());
    let job = job(steps, &done, jobs, &shutdown);
    let filling: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
    fill(&filling, &job, jobs);
    drop(filling);
    let sqlite = Arc::new(Sqlite::open(&path).unwrap());
    let counted = Arc::new(Counted { inner: Arc::clone(&sqlite), calls: AtomicU64::new(0) });
    let store: Arc<dyn Store> = Arc::<Counted>::clone(&counted);
    let worker = Worker::new(store).job(job).concurrency(IN_FLIGHT).build().unwrap();
    let (begun, before) = (Instant::now(), cpu_ms());
    let summary = run(face, &worker, &shutdown);
    let (took, after) = (begun.elapsed(), cpu_ms());
    assert_eq!(summary.ended_in(State::Succeeded), jobs, "{summary}");
    Measured {
        rate: jobs as f64 / took.as_secs_f64(),
        calls: counted.calls.load(Ordering::Relaxed) as f64 / jobs as f64,
        commits: sqlite.info().unwrap().commits as f64 / jobs as f64,
        writer: (after.0 - before.0) * 1000.0 / jobs as f64,
        all: (after.1 - before.1) * 1000.0 / jobs as f64,
    }
}

fn run(face: Face, worker: &Worker, shutdown: &Shutdown) -> Summary {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    match face {
        Face::Runtime => runtime().block_on(worker.run(shutdown)),
        Face::OneFuture => runtime().block_on(worker.run_on(unattended::time::System, shutdown)),
        Face::Threads => worker.run_blocking(shutdown),
    }
}

/// Milliseconds on the processors: of the threads that write stores, and of all of this process. Zero where `/proc` does
/// not say.
fn cpu_ms() -> (f64, f64) {
    let spent = |path: PathBuf| -> Option<(String, f64)> {
        let text = std::fs::read_to_string(path).ok()?;
        let (name, rest) = text.split_once('(')?.1.rsplit_once(") ")?;
        let mut ticks = rest.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
        // A hundred ticks a second, on every Linux that is met.
        Some((name.to_owned(), (ticks.next()? + ticks.next()?) * 10.0))
    };
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let writing = threads.filter_map(|thread| spent(thread.path().join("stat")));
    let writing = writing.filter(|(name, _)| name.starts_with("unattended-writ")).map(|(_, ms)| ms).sum();
    (writing, spent(PathBuf::from("/proc/self/stat")).map_or(0.0, |(_, ms)| ms))
}

/// What this process holds while a worker goes through a long queue.
fn memory(jobs: u64) {
    let folder = folder();
    let (done, shutdown) = (Arc::new(AtomicU64::new(0)), Shutdown::new());
    let job = job(1, &done, jobs, &shutdown);
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path().join("queue.db")).unwrap());
    fill(&store, &job, jobs);
    let worker = Worker::new(store).job(job).concurrency(IN_FLIGHT).build().unwrap();
    let watched = std::thread::scope(|scope| {
        let working = scope.spawn(|| run(Face::Runtime, &worker, &shutdown));
        let mut most = 0;
        while !working.is_finished() {
            most = most.max(resident_kib().unwrap_or(0));
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(working.join().unwrap().ended_in(State::Succeeded), jobs);
        most
    });
    println!("{jobs} queued runs: {:.1} MiB resident at most", watched as f64 / 1024.0);
    assert!(watched < 100 * 1024, "more than 100 MiB");
}

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// A store that counts what is asked of it.
struct Counted {
    inner: Arc<Sqlite>,
    calls: AtomicU64,
}

impl Counted {
    fn inner(&self) -> &Sqlite {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.inner
    }
}

impl Store for Counted {
    forward::forward!(caps owner => (inner));
    forward::forward!(apply get scan events prune claim_due => (inner()));
}
