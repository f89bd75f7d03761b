//! The same job with our policies: each dependency is a [`Call`] whose state outlives the process, each task is a run of
//! a [`Job`] in the store, and the engines work side by side.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use unattended::backoff::Jitter;
use unattended::blocking::block_on;
use unattended::breaker;
use unattended::call::{self, Call, Stopped};
use unattended::canonical::Key;
use unattended::effect::Effect;
use unattended::fault::{Class, Fault};
use unattended::job::{self, Job};
use unattended::memory::Memory;
use unattended::pipeline::{Cx, Step, StepError};
use unattended::quota::{self, Quota};
use unattended::retry::{self, Attempt, Disposition, Strategy};
use unattended::run::State;
use unattended::runs::{self, Filter, Run, Runs};
use unattended::store::Store;
use unattended::testing::sim::Sim;
use unattended::time::{Timestamp, between};

use crate::tasks::{Dependency, ENGINES, Engine, Op, Task};
use crate::week::{How, Script, within};
use crate::world::{Token, Trouble, World};

/// How long an attempt may take.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(20);

/// The rules of the breakers. Without jitter, as nothing here is drawn but from the seed.
pub(crate) fn breaker() -> breaker::Policy {
    breaker::Policy::cron().open_jitter(0)
}

fn retries(next: Timestamp) -> retry::Policy {
    let plain = |strategy: Strategy| strategy.jitter(Jitter::None);
    retry::Policy::cron().transient(plain).rate_limited(plain).unknown(plain).before_next_run(next)
}

/// What a step does with a call that has stopped: the call has tried already, so nothing is tried again here, and what
/// was refused or deferred is put down until then.
fn handed_over() -> retry::Policy {
    retry::Policy::cron()
        .transient(|strategy| strategy.attempts_max(1))
        .rate_limited(|strategy| strategy.jitter(Jitter::None))
        .inline_wait_max(Duration::ZERO)
}

/// A decision, with its reason.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) at: Timestamp,
    pub(crate) task: Task,
    pub(crate) op: &'static str,
    pub(crate) code: &'static str,
    pub(crate) why: String,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("a call that cannot be meant")]
    Call(#[from] call::Error),
    #[error("a quota that cannot be meant")]
    Quota(#[from] quota::Error),
    #[error("a job that cannot be meant")]
    Job(#[from] job::BuildError),
    #[error("the work could not go on")]
    Work(#[from] job::Error),
}

/// What is on disk: the store, and, for the story, what was decided.
pub(crate) struct Ours {
    disk: Memory,
    dead: BTreeSet<Task>,
    decisions: Arc<Mutex<Vec<Decision>>>,
}

impl Ours {
    pub(crate) fn new(world: &World) -> Self {
        let disk = Memory::on(Arc::new(world.sim.clone()));
        Self { disk, dead: BTreeSet::new(), decisions: Arc::default() }
    }

    pub(crate) fn decisions(&self) -> Vec<Decision> {
        held(&self.decisions).clone()
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.disk.second())
    }

    /// The dead letters as a person finds them: in the store.
    pub(crate) fn found_dead(&self) -> Result<BTreeSet<Task>, runs::Error> {
        let filter = Filter { states: vec![State::FailedPermanent, State::NeedsReview], ..Filter::default() };
        let (runs, _) = block_on(Runs::new(self.store()).list(&filter, 10_000, None))?;
        Ok(runs.iter().filter_map(dead_letter).collect())
    }

    fn process(&mut self, world: &Arc<World>, kill_after: Duration, next: Timestamp) -> Result<How, Error> {
        let tools = Arc::new(Tools::build(world, &self.store(), &self.decisions, next)?);
        let jobs = ENGINES.iter().map(|engine| job(engine, &tools)).collect::<Result<Vec<_>, _>>()?;
        // Side by side: what one engine waits for delays no other.
        let work = jobs
            .iter()
            .enumerate()
            .map(|(engine, job)| within(&world.sim, kill_after, tools.engine(engine, job)));
        let ended = match world.sim.join(work) {
            Ok(ended) => ended,
            Err(stuck) => return Ok(How::Crashed(stuck.to_string())),
        };
        let mut how = How::Normally;
        for engine in ended {
            match engine {
                Some(runs) => self.dead.extend(runs?.iter().filter_map(dead_letter)),
                None => how = How::Killed,
            }
        }
        tools.flush();
        Ok(how)
    }
}

impl Script for Ours {
    fn run(&mut self, world: &Arc<World>, kill_after: Duration, next: Timestamp) -> How {
        let how = self.process(world, kill_after, next);
        how.unwrap_or_else(|error| How::Crashed(unattended::fault::chain(&error)))
    }

    fn morning(&mut self, _world: &Arc<World>) -> bool {
        false
    }

    fn given_up(&self) -> BTreeSet<Task> {
        self.dead.clone()
    }
}

/// What one process works with.
struct Tools {
    world: Arc<World>,
    store: Arc<dyn Store>,
    calls: Vec<Call<call::ByTrait, Sim>>,
    token: Mutex<Option<Token>>,
    decisions: Arc<Mutex<Vec<Decision>>>,
}

impl Tools {
    fn build(
        world: &Arc<World>,
        store: &Arc<dyn Store>,
        decisions: &Arc<Mutex<Vec<Decision>>>,
        next: Timestamp,
    ) -> Result<Self, Error> {
        let mut calls = Vec::new();
        for dependency in Dependency::ALL {
            let mut call = Call::to(dependency.name())
                .cron()
                .retry(retries(next))
                .breaker(breaker())
                .attempt_timeout(ATTEMPT)
                .effect(Effect::Idempotent)
                .persist(store)
                .on(world.sim.clone());
            match dependency {
                // It says "forbidden" and means "too much".
                Dependency::Feed => call = call.class_of("http.403", Class::RateLimited),
                Dependency::Upload => call = call.quota(Quota::per_minute(60)?),
                Dependency::Media | Dependency::Transcoder | Dependency::Notifier => {}
            }
            calls.push(call.build()?);
        }
        let (world, store, decisions) = (Arc::clone(world), Arc::clone(store), Arc::clone(decisions));
        Ok(Self { world, store, calls, token: Mutex::default(), decisions })
    }

    /// One engine: first what was put down before, then what is in the inbox.
    async fn engine(&self, engine: usize, job: &Job) -> Result<Vec<Run>, job::Error> {
        let mut runs = job.work_off_on(self.world.sim.clone(), &self.store).await?;
        for task in self.world.inbox(engine) {
            let report = job.run_once_on(self.world.sim.clone(), &self.store, &task).await?;
            // Its run is in the store by now, whatever becomes of it.
            self.world.take(task);
            runs.extend(report.worked_off.into_iter().chain(report.run));
        }
        Ok(runs)
    }

    async fn step(&self, cx: &Cx, op: &'static Op) -> Result<(), StepError> {
        let (task, key) = (cx.input::<Task>()?, cx.key());
        let call = &self.calls[op.on.index()];
        let called = call.of_step(cx).run(|attempt| self.attempt(op, task, key.clone(), attempt)).await;
        let Err(stopped) = called else { return Ok(()) };
        let (at, code) = (self.world.now(), stopped.code());
        let why = match stopped.last() {
            Some(last) => format!("{stopped}; the last failure: {last}"),
            None => stopped.to_string(),
        };
        held(&self.decisions).push(Decision { at, task, op: op.name, code, why });
        Err(put_off(&stopped, at))
    }

    async fn attempt(
        &self,
        op: &'static Op,
        task: Task,
        key: Option<String>,
        attempt: Attempt,
    ) -> Result<(), Trouble> {
        let token = match op.on {
            Dependency::Upload => Some(self.token(attempt.refresh()).await),
            _ => None,
        };
        self.world.call(op, task, key, token).await
    }

    /// The token, or a new one after it was refused.
    async fn token(&self, refused: bool) -> Token {
        let kept = *held(&self.token);
        if let Some(token) = kept.filter(|_| !refused) {
            return token;
        }
        let token = self.world.login().await;
        *held(&self.token) = Some(token);
        token
    }

    /// The last thing that a process does: what was counted is there for the next.
    fn flush(&self) {
        for call in &self.calls {
            // Not kept is told in the log; the next process then knows less.
            let _kept = self.world.sim.block_on(call.flush());
        }
    }
}

/// An engine as a job: its calls are the steps, a task's own number is the key.
fn job(engine: &'static Engine, tools: &Arc<Tools>) -> Result<Job, job::BuildError> {
    let mut builder = Job::new(engine.name)
        .key(|task: &Task| Key::new("hostile_api", task.engine().name, task.number))
        .lease(Duration::from_secs(120))
        // An outage of hours is no reason to give a task up.
        .attempts_max(1000)
        .backlog_max(1000);
    for op in engine.ops {
        let (tools, effect) = (Arc::clone(tools), if op.changes { Effect::Idempotent } else { Effect::Pure });
        let work = move |cx: Cx| {
            let tools = Arc::clone(&tools);
            async move { tools.step(&cx, op).await }
        };
        builder = builder.step(Step::new(op.name, effect, work).retry(handed_over()));
    }
    builder.build()
}

/// What a call that has stopped means for its run: to be put down until then, to be given up, or a dead letter.
fn put_off(stopped: &Stopped<Trouble>, now: Timestamp) -> StepError {
    let fault = match stopped {
        Stopped::Refused { retry_at, .. } => Fault::rate_limited(Some(between(now, *retry_at))),
        Stopped::Deferred { until, .. } => Fault::rate_limited(Some(between(now, *until))),
        Stopped::Failed { disposition: Disposition::GiveUp, .. } => Fault::transient("call.gave_up"),
        Stopped::Failed { .. } => Fault::permanent("call.failed"),
    };
    StepError::new(fault, stopped.to_string())
}

/// The task of a run that is a dead letter.
fn dead_letter(run: &Run) -> Option<Task> {
    run.is_dead_letter().then(|| serde_json::from_str(run.body.input.get()).ok()).flatten()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
