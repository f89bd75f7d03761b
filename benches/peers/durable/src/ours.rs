//! This library's side: jobs, how their queue is filled, and a worker that goes through it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use unattended::effect::Effect;
use unattended::job::{Job, Terms};
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::shutdown::Shutdown;
use unattended::store::{Batch, ClaimDue, Claimed, Error, Event, Expect, Ns, Put, Store, Write};
use unattended::time::BoxFuture;
use unattended::worker::{Summary, Worker};

use crate::forward::forward;

/// How many runs are in flight.
pub const IN_FLIGHT: usize = 64;
const SUBMITTERS: usize = 128;

/// What every contender runs on.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A job of `steps` steps that do nothing; the last step of the last of `all` jobs ends the worker. Between two steps
/// stands a checkpoint.
pub fn nothing(steps: u32, all: u64, shutdown: &Shutdown) -> Job {
    let done = Arc::new(AtomicU64::new(0));
    let mut job = Job::new("nothing");
    for step in 1..=steps {
        let (done, shutdown) = (Arc::clone(&done), shutdown.clone());
        let last = step == steps;
        job = job.step(Step::new(format!("step-{step}"), Effect::Pure, move |_| {
            if last && done.fetch_add(1, Ordering::Relaxed) + 1 == all {
                shutdown.trigger();
            }
            async { Ok(()) }
        }));
    }
    job.build().expect("a good job")
}

/// Queues so many jobs.
pub fn fill(store: &Arc<dyn Store>, steps: u32, jobs: u64) {
    let job = Arc::new(nothing(steps, 0, &Shutdown::new()));
    runtime().block_on(submit(store, job, jobs));
}

async fn submit(store: &Arc<dyn Store>, job: Arc<Job>, jobs: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..SUBMITTERS {
        let (store, job, next) = (Arc::clone(store), Arc::clone(&job), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < jobs {
                drop(job.submit(&store, "payload", &Terms::default()).await.expect("submitted"));
            }
        }));
    }
    for task in tasks {
        task.await.expect("a submitter");
    }
}

/// What going through a queue took.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Jobs a second, from the first look at the queue until everything is committed.
    pub rate: f64,
    /// Calls of the store for each job.
    pub calls: f64,
}

/// Fills the queue and lets a worker go through it.
pub fn drain(store: &Arc<dyn Store>, steps: u32, jobs: u64) -> Measured {
    fill(store, steps, jobs);
    work_off(store, steps, jobs)
}

/// Lets a worker go through a queue of `jobs`.
pub fn work_off(store: &Arc<dyn Store>, steps: u32, jobs: u64) -> Measured {
    let counted = Arc::new(Counted::new(Arc::clone(store)));
    let shutdown = Shutdown::new();
    let worker = worker(Arc::<Counted>::clone(&counted), nothing(steps, jobs, &shutdown));
    let begun = Instant::now();
    let summary = runtime().block_on(worker.run(&shutdown));
    let took = begun.elapsed();
    assert_eq!(succeeded(&summary), jobs, "{summary}");
    let calls = counted.calls.load(Ordering::Relaxed) as f64 / jobs as f64;
    Measured { rate: jobs as f64 / took.as_secs_f64(), calls }
}

pub fn worker(store: Arc<dyn Store>, job: Job) -> Worker {
    Worker::new(store).job(job).concurrency(IN_FLIGHT).build().expect("a good worker")
}

pub fn succeeded(summary: &Summary) -> u64 {
    summary.ended_in(State::Succeeded)
}

/// How long it takes until what comes in is begun.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// A call of `claim_due`, 99 of 100.
    pub claim: Duration,
    /// From the call of `submit` to the first step, half of them and 99 of 100.
    pub begun: [Duration; 2],
    /// Jobs a second that came in.
    pub rate: f64,
}

/// Submits `rate` jobs a second, evenly, to a worker of the same process that looks each `poll` when it has found nothing.
pub fn latency(store: &Arc<dyn Store>, rate: f64, span: Duration, poll: Duration) -> Latency {
    const TICK: Duration = Duration::from_millis(5);
    let counted = Arc::new(Counted::new(Arc::clone(store)));
    let waits = Arc::new(Mutex::new(Vec::new()));
    let (shutdown, start) = (Shutdown::new(), Instant::now());
    let step = {
        let waits = Arc::clone(&waits);
        Step::new("begun", Effect::Pure, move |cx| {
            let sent = cx.input::<u64>().expect("an instant");
            let wait = start.elapsed().saturating_sub(Duration::from_micros(sent));
            waits.lock().expect("the waits").push(wait);
            async { Ok(()) }
        })
    };
    let job = || Job::new("timed").step(step.clone()).build().expect("a good job");
    let worker = Worker::new(Arc::<Counted>::clone(&counted) as Arc<dyn Store>).job(job());
    let worker = worker.concurrency(IN_FLIGHT).poll(poll).build().expect("a good worker");
    let (job, store) = (Arc::new(job()), Arc::clone(store));
    let sent = runtime().block_on(async {
        let submitting = {
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                let (mut sent, mut tasks) = (0_u64, tokio::task::JoinSet::new());
                let mut ticks = tokio::time::interval(TICK);
                while start.elapsed() < span {
                    ticks.tick().await;
                    let due = (start.elapsed().as_secs_f64() * rate) as u64;
                    for _ in sent..due {
                        let (job, store) = (Arc::clone(&job), Arc::clone(&store));
                        tasks.spawn(async move {
                            let now = start.elapsed().as_micros() as u64;
                            drop(job.submit(&store, &now, &Terms::default()).await.expect("submitted"));
                        });
                    }
                    sent = due;
                    while tasks.try_join_next().is_some() {}
                }
                while tasks.join_next().await.is_some() {}
                shutdown.trigger();
                sent
            })
        };
        worker.run(&shutdown).await;
        submitting.await.expect("the submitter")
    });
    let mut waits = std::mem::take(&mut *waits.lock().expect("the waits"));
    let claim = percentile(&mut counted.claims.lock().expect("the claims"), 99);
    Latency {
        claim,
        begun: [percentile(&mut waits, 50), percentile(&mut waits, 99)],
        rate: sent as f64 / span.as_secs_f64(),
    }
}

fn percentile(all: &mut [Duration], percent: usize) -> Duration {
    all.sort_unstable();
    all.get(all.len() * percent / 100).or(all.last()).copied().unwrap_or_default()
}

/// Claims a second in the ledger, by keys as hashes are, from 64 callers.
pub fn ledger_claims(store: &Arc<dyn Store>, salt: u64, span: Duration) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    runtime().block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..IN_FLIGHT {
            let (store, done) = (Arc::clone(store), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                while begun.elapsed() < span {
                    let count = done.fetch_add(1, Ordering::Relaxed) + salt;
                    store.apply(Batch::of(ledger_claim(count))).await.expect("claimed");
                }
            }));
        }
        for task in tasks {
            task.await.expect("a caller");
        }
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn ledger_claim(count: u64) -> Write {
    let key = format!("billing/invoice/{:016x}", count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let body = r#"{"fingerprint":"jcs1:sha256:6b86b273ff34fce19d6b804eff5a3f57","attempt":1}"#;
    let claim = Put::claim("processing", Duration::from_secs(30));
    let put = Put { body: Some(body.into()), kind: Some("invoice".into()), ..claim };
    let event = Event::new(None, "processing", "worker:1", "ledger.claimed", "nobody had it");
    Write::new(Ns::LEDGER, key, Expect::Absent, put).event(event)
}

/// One finished run and one ledger entry, to be copied.
pub fn templates(store: &Arc<dyn Store>) {
    drain(store, 1, 1);
    runtime().block_on(store.apply(Batch::of(ledger_claim(u64::MAX / 2)))).expect("claimed");
}

/// A store that counts what is asked of it, and how long claims take.
pub struct Counted {
    inner: Arc<dyn Store>,
    calls: AtomicU64,
    claims: Mutex<Vec<Duration>>,
}

impl Counted {
    fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, calls: AtomicU64::new(0), claims: Mutex::default() }
    }

    fn inner(&self) -> &dyn Store {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &*self.inner
    }
}

impl Store for Counted {
    forward!(caps owner => (inner));
    forward!(apply get scan events prune => (inner()));

    fn claim_due(&self, claim: ClaimDue) -> BoxFuture<'_, Result<Vec<Claimed>, Error>> {
        let begun = Instant::now();
        let claimed = self.inner().claim_due(claim);
        Box::pin(async move {
            let claimed = claimed.await;
            self.claims.lock().expect("the claims").push(begun.elapsed());
            claimed
        })
    }
}
