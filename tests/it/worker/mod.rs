//! Workers on the store in memory, under simulated time: what is begun when, what never happens at the same time, and how
//! a worker ends.

mod ahead;
mod ends;
mod faces;
mod order;
mod pulses;
mod trouble;
mod watched;
mod worth;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unattended::blocking::block_on;
use unattended::effect::Effect;
use unattended::job::{Builder as JobBuilder, Job, Terms};
use unattended::pipeline::Step;
use unattended::run::State;
use unattended::runs::Submitted;
use unattended::shutdown::Shutdown;
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Sleep};
use unattended::worker::{Builder, Summary, Worker};

use crate::world::World;

/// When the work on an input began and ended, in milliseconds of simulated time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    input: String,
    begun: u128,
    ended: Option<u128>,
}

/// What was worked on, in the order in which it began.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Span>>>);

impl Log {
    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }

    /// Notes that the work on an input begins.
    fn begin(&self, input: String, sim: &Sim) {
        self.0.lock().unwrap().push(Span { input, begun: sim.elapsed().as_millis(), ended: None });
    }

    fn inputs(&self) -> Vec<String> {
        self.spans().into_iter().map(|span| span.input).collect()
    }

    /// A step that takes so long.
    fn step(&self, sim: &Sim, effect: Effect, takes: Duration) -> Step {
        let (log, sim) = (self.clone(), sim.clone());
        Step::new("work", effect, move |cx| {
            let (log, sim) = (log.clone(), sim.clone());
            async move {
                let span = Span { input: cx.input()?, begun: sim.elapsed().as_millis(), ended: None };
                let at = {
                    let mut spans = log.0.lock().unwrap();
                    spans.push(span);
                    spans.len() - 1
                };
                sim.sleep(takes).await;
                log.0.lock().unwrap()[at].ended = Some(sim.elapsed().as_millis());
                Ok(())
            }
        })
    }

    /// The most of those whose input begins so that were worked on at the same time.
    fn at_once(&self, prefix: &str) -> usize {
        let spans: Vec<_> = self.spans().into_iter().filter(|span| span.input.starts_with(prefix)).collect();
        let during = |at: u128| {
            let runs = |span: &&Span| span.begun <= at && span.ended.is_none_or(|ended| at < ended);
            spans.iter().filter(runs).count()
        };
        spans.iter().map(|span| during(span.begun)).max().unwrap_or(0)
    }
}

fn job(name: &str, step: Step) -> Job {
    of(name, step).build().unwrap()
}

fn of(name: &str, step: Step) -> JobBuilder {
    Job::new(name).step(step).lease(crate::world::LEASE)
}

/// Queues a run of `input`, and gives its id.
fn queue(world: &World, job: &Job, input: &str) -> String {
    queue_on(world, job, input, &Terms::default())
}

fn queue_on(world: &World, job: &Job, input: &str, terms: &Terms) -> String {
    let input = input.to_owned();
    match block_on(job.submit_on(&world.sim, &world.store, &input, terms)).unwrap() {
        Submitted::Created(run) => run.id().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn worker(store: &Arc<dyn Store>, job: Job) -> Builder {
    Worker::new(Arc::clone(store)).job(job).seed(7)
}

/// Runs `workers` for so long, then asks them to end and waits for that.
fn run_for(world: &World, span: Duration, workers: &[&Worker]) -> Vec<Summary> {
    let shutdown = Shutdown::new();
    let (sim, asked) = (&world.sim, shutdown.clone());
    let timer: BoxFuture<'_, Option<Summary>> = Box::pin(async move {
        sim.sleep(span).await;
        asked.trigger();
        None
    });
    let mut all = vec![timer];
    for &worker in workers {
        all.push(Box::pin(run_one(worker, sim.clone(), shutdown.clone())));
    }
    world.sim.join(all).unwrap().into_iter().flatten().collect()
}

async fn run_one(worker: &Worker, sim: Sim, shutdown: Shutdown) -> Option<Summary> {
    Some(worker.run_on(sim, &shutdown).await)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn states(world: &World) -> Vec<State> {
    let mut states: Vec<_> = world.all().iter().map(|run| run.state()).collect();
    states.sort();
    states
}

/// A store that counts its calls, and answers none while it is down.
struct Counted {
    inner: Arc<dyn Store>,
    calls: AtomicU64,
    down: std::sync::atomic::AtomicBool,
}

impl Counted {
    fn new(inner: &Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), calls: AtomicU64::new(0), down: false.into() })
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn ask(&self) -> Result<&dyn Store, unattended::store::Error> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            let source = "the server is away".into();
            return Err(unattended::store::Error::Backend { action: "cannot connect", source });
        }
        Ok(&*self.inner)
    }
}

impl Store for Counted {
    crate::forward::forward!(caps owner prune => (inner));

    fn apply(
        &self,
        batch: unattended::store::Batch,
    ) -> BoxFuture<'_, Result<unattended::store::Applied, unattended::store::ApplyError>> {
        Box::pin(async move { self.ask()?.apply(batch).await })
    }
    fn get<'a>(
        &'a self,
        ns: unattended::store::Ns,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<unattended::store::Record>, unattended::store::Error>> {
        Box::pin(async move { self.ask()?.get(ns, key).await })
    }
    fn scan(
        &self,
        query: unattended::store::Query,
    ) -> BoxFuture<'_, Result<unattended::store::Page, unattended::store::Error>> {
        Box::pin(async move { self.ask()?.scan(query).await })
    }
    fn events<'a>(
        &'a self,
        ns: unattended::store::Ns,
        key: &'a str,
        after: u64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<unattended::store::StoredEvent>, unattended::store::Error>> {
        Box::pin(async move { self.ask()?.events(ns, key, after, limit).await })
    }
    fn claim_due(
        &self,
        claim: unattended::store::ClaimDue,
    ) -> BoxFuture<'_, Result<Vec<unattended::store::Claimed>, unattended::store::Error>> {
        Box::pin(async move { self.ask()?.claim_due(claim).await })
    }
}
