//! The one future that is a worker: it looks, begins, takes in what has ended, and stops.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::act::env::Env;
use crate::act::job::Driver;
use crate::act::runlog;
use crate::act::shutdown::{Phase, Reached, Shutdown};
use crate::act::slots::Slots;
use crate::act::worker::ahead::Ahead;
use crate::act::worker::lanes::{Lane, Lanes, Open};
use crate::act::worker::look::{Claimed, Found, HandedBack, Looker};
use crate::act::worker::plan::{Load, Look, Next, Plan};
use crate::act::worker::watch::{self, Standing, Told};
use crate::act::worker::{Stopped, Summary, Worker};
use crate::base::explain::Explain;
use crate::base::fault::chain;
use crate::base::race::before;
use crate::base::rng;
use crate::base::time::{BoxFuture, Moment};
use crate::decide::run::State;
use crate::remember::runs::{Error, Runs};
use crate::remember::store::{self, Order};

/// How long what is put down at the end of the grace may take to be written.
const PUT_DOWN_MAX: Duration = Duration::from_secs(5);
/// The same after a second signal.
const AT_ONCE_MAX: Duration = Duration::from_secs(1);
/// The same for what watchers and jobs have noted, each time.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// Why runs are given back.
const ENDS: &str = "the worker that had it ends, and had not begun it";
const NO_SLOT: &str = "it was claimed ahead, and no slot became free for it in time";
const NOT_KNOWN: &str = "the worker that claimed it has no job of its kind";
/// How often it goes round before it lets others have a turn.
const ROUNDS_MAX: u32 = 64;

/// Whose run is in a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    lane: usize,
    /// It has a serial key: another one may wait for its end.
    serial: bool,
    /// When it got its slot.
    begun: Moment,
}

/// What became of a run here.
pub(super) enum Outcome {
    /// It was left in this state.
    Left(State),
    /// Somebody else has it.
    Lost,
    /// It stands as it was last committed, by a lease that is not renewed any more.
    Failed(String),
}

/// How a run's future is driven: beside the others, or as a task of a runtime.
pub(super) type Spawn = fn(BoxFuture<'static, Outcome>) -> BoxFuture<'static, Outcome>;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Running,
    /// What runs may finish until then.
    Draining(Moment),
    /// What runs is put down, until then.
    Stopping(Moment),
}

/// What is asked of the store at the moment; one thing at a time.
enum Asking {
    Look { look: Look, asked_for: usize, more_at: Option<Moment>, answer: BoxFuture<'static, Found> },
    HandBack(BoxFuture<'static, HandedBack>),
}

pub(super) struct Core<'a> {
    worker: &'a Worker,
    env: &'a Arc<dyn Env>,
    spawn: Spawn,
    shutdown: &'a Shutdown,
    /// The next phase of the shutdown.
    phase: Reached,
    brake: Shutdown,
    driver: Arc<Driver>,
    looker: Looker,
    slots: Slots<Whose, Outcome>,
    /// What was claimed, and has its place in the bounds of its job, and waits for a slot.
    ahead: Ahead<(Whose, Claimed)>,
    lanes: Lanes,
    plan: Plan,
    asking: Option<Asking>,
    timer: Option<(Moment, BoxFuture<'a, ()>)>,
    course: Course,
    summary: Summary,
    told: Told,
}

impl<'a> Core<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        env: &'a Arc<dyn Env>,
        shutdown: &'a Shutdown,
        spawn: Spawn,
    ) -> Self {
        let lanes = worker.jobs.iter().map(|entry| Lane {
            kinds: entry.job.kinds(),
            lease: entry.job.lease(),
            deaths_max: entry.job.deaths_max(),
            concurrency: entry.concurrency,
            meter: entry.meter,
            running: 0,
        });
        let store = Arc::clone(&worker.store);
        let brake = Shutdown::new();
        let runs = Runs::new(Arc::clone(&store));
        let driver = Driver::new(Arc::clone(env), runs, worker.actor.to_string()).brake(brake.clone());
        Self {
            worker,
            env,
            spawn,
            shutdown,
            phase: shutdown.reached(Phase::Draining),
            brake,
            driver: Arc::new(driver),
            looker: Looker { store, actor: Arc::clone(&worker.actor), kinds: Arc::clone(&worker.kinds) },
            slots: Slots::new(worker.concurrency),
            ahead: Ahead::new(),
            lanes: Lanes::new(lanes.collect(), worker.meter),
            plan: Plan::new(worker.pace, env.now().moment, worker.seed.unwrap_or_else(rng::entropy)),
            asking: None,
            timer: None,
            course: Course::Running,
            summary: Summary::new(),
            told: Told::default(),
        }
    }

    pub(super) async fn run(mut self) -> Summary {
        runlog::worker(&self.worker.name, "started", "worker.started", "");
        poll_fn(|context| self.poll(context)).await;
        for entry in self.worker.jobs.iter() {
            entry.job.flush(self.env).await;
        }
        let now = self.env.now();
        self.worker.watchers.tell(now, &self.standing(watch::Course::Stopped));
        before(async { self.env.sleep(FLUSH_MAX).await }, self.worker.watchers.flush(now)).await;
        let Summary { stopped, .. } = &self.summary;
        runlog::worker(&self.worker.name, "stopped", stopped.code(), &self.summary.to_string());
        self.summary
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS_MAX {
            self.take_in(context);
            self.begin_waiting();
            self.hear(context);
            self.heed(context);
            let now = self.env.now().moment;
            self.tell();
            if self.give_waiting_back(now) {
                continue;
            }
            if self.has_ended(now) {
                return Poll::Ready(());
            }
            let until = match self.next(now) {
                Some(Next::Look(look)) => {
                    self.begin_look(look, now);
                    continue;
                }
                Some(Next::Until(until)) => Some(until),
                None => None,
            };
            if !self.wait(until, now, context) {
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells those who watch how it stands, if it goes on or is on another course.
    fn tell(&mut self) {
        if self.worker.watchers.0.is_empty() {
            return;
        }
        let now = self.env.now();
        let course = match self.course {
            Course::Running => watch::Course::Working,
            Course::Draining(end) | Course::Stopping(end) => {
                watch::Course::Draining { left: end.since(now.moment) }
            }
        };
        let hangs = |limit| self.slots.whose().any(|whose| now.moment.since(whose.begun) > limit);
        if self.told.progress && self.worker.hangs_after.is_some_and(hangs) {
            self.told.progress = false;
        }
        if self.told.is_due(course, now.moment) {
            self.worker.watchers.tell(now, &self.standing(course));
        }
    }

    fn standing(&self, course: watch::Course) -> Standing {
        let Summary { claimed, handed_back, lost, left, errors, .. } = self.summary;
        let ended = self.summary.ended.values().sum::<u64>() + handed_back + lost + left;
        Standing { course, running: self.slots.running(), claimed, ended, errors }
    }

    /// Sees whether the end is asked for.
    fn heed(&mut self, context: &mut Context<'_>) {
        while Pin::new(&mut self.phase).poll(context).is_ready() {
            let now = self.env.now().moment;
            match self.shutdown.phase() {
                Phase::AtOnce => {
                    if !self.brake.is_triggered() {
                        self.summary.stopped = Stopped::AtOnce;
                    }
                    return self.stop(now.after(AT_ONCE_MAX));
                }
                Phase::Running | Phase::Draining => self.drain(now),
            }
            self.phase = self.shutdown.reached(Phase::AtOnce);
        }
    }

    fn drain(&mut self, now: Moment) {
        if self.course == Course::Running {
            let why = format!("{} run; they have {:?}", self.slots.running(), self.worker.grace);
            runlog::worker(&self.worker.name, "draining", "worker.draining", &why);
            self.course = Course::Draining(now.after(self.worker.grace));
        }
    }

    /// Tells what runs to stop, and gives it until `end`.
    fn stop(&mut self, end: Moment) {
        self.brake.trigger();
        self.course = Course::Stopping(match self.course {
            Course::Stopping(before) => before.min(end),
            Course::Running | Course::Draining(_) => end,
        });
    }

    /// Whether everything is over; at the end of a period, goes on to the next.
    fn has_ended(&mut self, now: Moment) -> bool {
        if self.course == Course::Running {
            return false;
        }
        if self.slots.running() == 0 && self.ahead.len() == 0 && self.asking.is_none() {
            return true;
        }
        match self.course {
            Course::Draining(end) if now >= end => {
                self.summary.stopped = Stopped::GraceOver;
                self.stop(now.after(PUT_DOWN_MAX));
                false
            }
            Course::Stopping(end) if now >= end => {
                let left = self.slots.clear().saturating_add(self.ahead.take().count());
                self.summary.left = self.summary.left.saturating_add(left as u64);
                self.asking = None;
                true
            }
            Course::Running | Course::Draining(_) | Course::Stopping(_) => false,
        }
    }

    /// What to do next; `None` if that is up to others.
    fn next(&mut self, now: Moment) -> Option<Next> {
        match self.course {
            Course::Draining(end) | Course::Stopping(end) => Some(Next::Until(end)),
            Course::Running if self.asking.is_some() => None,
            Course::Running => {
                let open = self.open(now);
                let load = Load {
                    open: open.limit,
                    more_at: open.more_at,
                    running: self.slots.running(),
                    slots: self.worker.concurrency,
                    idle: self.slots.free() > self.ahead.len(),
                    pause: self.ahead.pause(),
                };
                let next = self.plan.next(load, now);
                Some(match (next, self.ahead.until()) {
                    (Next::Until(then), Some(patience)) => Next::Until(then.min(patience)),
                    (next, _) => next,
                })
            }
        }
    }

    /// What may be claimed now.
    fn open(&self, now: Moment) -> Open {
        self.lanes.open(self.ahead.room(self.slots.free(), self.worker.concurrency), now)
    }

    fn begin_look(&mut self, look: Look, now: Moment) {
        let open = match look {
            Look::Sweep => Open::default(),
            Look::Due(_) | Look::Orphans => self.open(now),
        };
        if let Look::Due(_) = look {
            self.ahead.claim_begins();
        }
        let asked_for = open.limit;
        let (env, more_at) = (Arc::clone(self.env), open.more_at);
        let rank = look == Look::Due(Order::Rank) && self.plan.ranks(now);
        let (looker, writing) = (self.looker.clone(), (look == Look::Sweep).then(|| self.writing()));
        let asked = async move {
            let found = looker.look(look, open, rank, move || env.now()).await;
            if let Some(writing) = writing {
                writing.await;
            }
            found
        };
        self.asking = Some(Asking::Look { look, asked_for, more_at, answer: Box::pin(asked) });
    }

    /// Writes what was noted by jobs and watchers, for a bounded time: the work does not wait for their store.
    fn writing(&self) -> BoxFuture<'static, ()> {
        let (env, watchers) = (Arc::clone(self.env), self.worker.watchers.clone());
        let jobs: Vec<_> = self.worker.jobs.iter().map(|entry| Arc::clone(&entry.job)).collect();
        Box::pin(async move {
            let all = async {
                for job in &jobs {
                    job.flush_pulse(&env).await;
                }
                watchers.flush(env.now()).await;
            };
            before(async { env.sleep(FLUSH_MAX).await }, all).await;
        })
    }

    /// Waits until then; `true` if it is then.
    fn wait(&mut self, until: Option<Moment>, now: Moment, context: &mut Context<'_>) -> bool {
        let Some(until) = until else { return false };
        // One that rings too early does no harm, and need not be set again.
        if self.timer.as_ref().is_none_or(|(at, _)| *at > until) {
            self.timer = Some((until, self.env.sleep(until.since(now))));
        }
        let rung = self.timer.as_mut().is_none_or(|(_, timer)| timer.as_mut().poll(context).is_ready());
        if rung {
            self.timer = None;
        }
        rung
    }

    /// Takes in the runs that have ended.
    fn take_in(&mut self, context: &mut Context<'_>) {
        let Self { slots, ahead, lanes, plan, summary, env, worker, told, .. } = self;
        let mut read = None;
        slots.poll(context, |whose, outcome| {
            let now = *read.get_or_insert_with(|| env.now().moment);
            let waited_for = lanes.end(whose.lane);
            ahead.run_ended();
            told.progress = true;
            plan.ended(waited_for || whose.serial, now);
            match outcome {
                // It goes on elsewhere.
                Ok(Outcome::Left(State::Queued | State::Compensating)) => summary.handed_back += 1,
                Ok(Outcome::Left(state)) => *summary.ended.entry(state).or_default() += 1,
                Ok(Outcome::Lost) => summary.lost += 1,
                Ok(Outcome::Failed(why)) | Err(why) => {
                    summary.left += 1;
                    summary.errors += 1;
                    runlog::worker(&worker.name, "run_left", "worker.run_left", &why);
                }
            }
        });
    }

    /// Hears what the store has answered, and what it answers to what is asked because of that.
    fn hear(&mut self, context: &mut Context<'_>) {
        while let Some(asking) = &mut self.asking {
            match asking {
                Asking::Look { look, asked_for, more_at, answer } => {
                    let (look, asked_for, more_at) = (*look, *asked_for, *more_at);
                    let Poll::Ready(found) = answer.as_mut().poll(context) else { return };
                    self.asking = None;
                    if let Look::Due(_) = look {
                        self.ahead.claim_ends(found.claimed.len() >= asked_for);
                    }
                    self.found(look, more_at, found);
                }
                Asking::HandBack(answer) => {
                    let Poll::Ready(done) = answer.as_mut().poll(context) else { return };
                    self.asking = None;
                    self.summary.handed_back += done.back;
                    self.summary.lost += done.lost;
                    self.summary.left += done.left;
                    self.summary.errors += u64::from(done.error.is_some());
                }
            }
        }
    }

    fn found(&mut self, look: Look, more_at: Option<Moment>, found: Found) {
        let now = self.env.now().moment;
        let Found { claimed, swept, aging, error } = found;
        self.summary.swept += u64::from(swept);
        self.summary.claimed += claimed.len() as u64;
        self.summary.taken_over += claimed.iter().filter(|one| one.taken.orphan).count() as u64;
        match error {
            Some(error) => self.failed(&error, now),
            None => {
                self.told.progress = true;
                if self.plan.failures() > 0 {
                    let why = format!("it answers again, after {} failures", self.plan.failures());
                    runlog::worker(&self.worker.name, "store_back", "worker.store_back", &why);
                }
                let count = claimed.len().saturating_add(usize::try_from(swept).unwrap_or(usize::MAX));
                self.plan.found(look, count, more_at, now);
                self.plan.ranked(look, aging, now);
            }
        }
        // Also where the end was asked for while the store was asked.
        if self.course == Course::Running && !self.shutdown.is_triggered() {
            self.begin(claimed, now);
        } else if !claimed.is_empty() {
            self.give_back(claimed, ENDS);
        }
    }

    fn failed(&mut self, error: &Error, now: Moment) {
        self.summary.errors += 1;
        let wait = self.plan.failed(now);
        let why = format!("{}; it is asked again in {wait:?}", chain(error));
        runlog::worker(&self.worker.name, "store_failed", "worker.store_failed", &why);
        if let Error::Store(store::Error::Closed | store::Error::Latched { .. }) = error {
            self.summary.stopped = Stopped::StoreClosed { why: chain(error) };
            self.drain(now);
        }
    }

    fn begin(&mut self, claimed: Vec<Claimed>, now: Moment) {
        let mut not_known = Vec::new();
        for one in claimed {
            let Some(lane) = self.lanes.of(&one.taken.run.record.kind) else {
                not_known.push(one);
                continue;
            };
            let lease = self.lanes.begin(lane, now);
            let serial = one.taken.run.record.serial_key.is_some();
            let whose = Whose { lane, serial, begun: now };
            let rank = one.taken.run.record.rank;
            self.ahead.keep((whose, one), rank, lease, now);
        }
        self.begin_waiting();
        if !not_known.is_empty() {
            self.give_back(not_known, NOT_KNOWN);
        }
    }

    /// Begins what was claimed, as far as slots are free.
    fn begin_waiting(&mut self) {
        if self.ahead.len() == 0 || self.slots.free() == 0 || self.course != Course::Running {
            return;
        }
        let now = self.env.now().moment;
        while self.slots.free() > 0
            && let Some((whose, one)) = self.ahead.next(now)
        {
            let Some(entry) = self.worker.jobs.get(whose.lane) else { continue };
            let (job, driver) = (Arc::clone(&entry.job), Arc::clone(&self.driver));
            let work = async move {
                match job.drive_by(&driver, &one.taken, one.asked).await {
                    Ok(left) => left.state.map_or(Outcome::Lost, Outcome::Left),
                    Err(error) => Outcome::Failed(format!("run {}: {}", one.taken.run.id(), chain(&error))),
                }
            };
            self.slots.begin(Whose { begun: now, ..whose }, (self.spawn)(Box::pin(work)));
        }
    }

    /// Gives back what waits for a slot, where the end is near or none became free in time.
    fn give_waiting_back(&mut self, now: Moment) -> bool {
        let Some(until) = self.ahead.until() else { return false };
        if self.asking.is_some() || (self.course == Course::Running && now < until) {
            return false;
        }
        let waiting: Vec<_> = self.ahead.take().collect();
        for (whose, _) in &waiting {
            self.lanes.end(whose.lane);
        }
        let why = if self.course == Course::Running { NO_SLOT } else { ENDS };
        self.give_back(waiting.into_iter().map(|(_, one)| one).collect(), why);
        true
    }

    fn give_back(&mut self, claimed: Vec<Claimed>, why: &'static str) {
        self.asking = Some(Asking::HandBack(Box::pin(self.looker.clone().hand_back(claimed, why))));
    }
}
