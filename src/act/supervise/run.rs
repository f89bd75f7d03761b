//! The supervisor at work: start, watch, decide, and again.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::act::log;
use crate::act::panics::caught;
use crate::act::shutdown::{Phase, Reached, Shutdown};
use crate::act::supervise::alive::{Looked, Watch};
use crate::act::supervise::bell::Bell;
use crate::act::supervise::builder::{Builder, Hook, Work};
use crate::act::supervise::event::{Ended, Event, Hanging};
use crate::act::supervise::health::Health;
use crate::act::supervise::keep::Keep;
use crate::act::supervise::liveness::Liveness;
use crate::act::supervise::process::{NotStarted, Process};
use crate::act::supervise::stop::Run;
use crate::act::supervise::thread::Thread;
use crate::base::time::{Clock, Moment, Now, System, Timestamp, later};
use crate::decide::restart::{self, Decision, Exit, Recycling, Restarting, Start, Stopping};

/// How soon it is looked again whether a process of an earlier supervisor has ended, at first and at most.
const BUSY_FIRST: Duration = Duration::from_millis(200);
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Keeps something running, or tells a person.
pub struct Supervisor {
    pub(super) name: String,
    pub(super) work: Work,
    pub(super) state: restart::State,
    pub(super) grace: Duration,
    pub(super) liveness: Option<Liveness>,
    pub(super) resident_every: Duration,
    pub(super) keep: Keep,
    pub(super) hook: Option<Box<Hook>>,
    pub(super) bell: Arc<Bell>,
    pub(super) health: Health,
    pub(super) stuck: Arc<AtomicUsize>,
}

impl Supervisor {
    /// One of this name, 1 to 100 bytes; under it the state is kept.
    #[allow(clippy::new_ret_no_self, reason = "a supervisor is built")]
    pub fn new(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    /// How what is supervised is, for who depends on it.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// What was seen until now.
    #[must_use]
    pub fn evidence(&self) -> restart::Evidence {
        self.state.evidence()
    }

    /// A person has seen to it: the failures are forgotten, also in what is persisted, and an escalation does not stand any longer.
    pub fn clear(&mut self) {
        self.state.clear();
        self.save(System.now());
    }

    /// Supervises on this thread until it ends. With the first request `shutdown` makes, what is supervised is stopped; with the
    /// second it is killed.
    ///
    /// It can be called again; an escalation that stands ends it at once.
    pub fn run_blocking(&mut self, shutdown: &Shutdown) -> Ended {
        let mut asked = Asked::new(shutdown, &self.bell);
        let mut told = None;
        let mut busy = BUSY_FIRST;
        loop {
            let now = System.now();
            if asked.phase() != Phase::Running {
                return self.shut_down(now);
            }
            match self.state.begin(now) {
                Start::Now => {}
                Start::At { at, why } => {
                    if told != Some(at) {
                        let wall = later(now.wall, why.left);
                        self.health.down(now, &why, wall);
                        self.tell(&Event::Waiting { at: wall, why });
                        told = Some(at);
                    }
                    self.bell.wait(Some(at.since(System.moment())));
                    continue;
                }
                Start::Escalated { evidence, why, .. } => {
                    return self
                        .decided(now, Decision::Escalate { evidence, why })
                        .unwrap_or(Ended::Shutdown);
                }
            }
            let run = Run::new(&self.bell, self.state.policy().runs_max());
            let decision = match self.start(&run) {
                Ok(running) => self.one(running, &run, &mut asked),
                Err(NotStarted::Failed(said)) => Some(self.exited(Exit::not_started(said))),
                Err(NotStarted::Busy { pid, since }) => {
                    self.wait_for_other(pid, since, &mut busy);
                    continue;
                }
            };
            busy = BUSY_FIRST;
            let now = System.now();
            let Some(decision) = decision else { return self.shut_down(now) };
            if let Decision::Restart { at, .. } = decision {
                told = Some(at);
            }
            if let Some(ended) = self.decided(now, decision) {
                return ended;
            }
        }
    }

    /// One run from its start to what is decided after its end; `None` after a shutdown.
    fn one(&mut self, mut running: Running, run: &Arc<Run>, asked: &mut Asked) -> Option<Decision> {
        let now = System.now();
        self.state.started(now);
        self.save(now);
        self.health.begun(run);
        let number = self.state.starts_total();
        self.tell(&Event::Started { pid: running.pid(), number });
        let over = self.watch(&mut running, run, now, asked);
        let exit = match over {
            Over::Exited(exit) => return Some(self.exited(exit)),
            Over::Shutdown => {
                drop(running.stop(self.grace, || asked.phase() == Phase::AtOnce));
                return None;
            }
            Over::Hung(why) => {
                self.tell(&Event::Hung { why });
                Exit::hung(why.silent())
            }
            Over::Recycle(why) => {
                self.tell(&Event::Recycled { why });
                Exit::recycled()
            }
        };
        let tail = running.stop(self.grace, || asked.phase() == Phase::AtOnce);
        let stopped = tail.is_some();
        let decision = self.exited(exit.stderr_tail(tail.unwrap_or_default()));
        if stopped || asked.phase() == Phase::AtOnce {
            return Some(decision);
        }
        Some(self.state.unstoppable(System.now(), self.grace))
    }

    fn start(&self, run: &Arc<Run>) -> Result<Running, NotStarted> {
        match &self.work {
            Work::Process(command) => {
                let started = Process::start(command, self.liveness.as_ref(), run)?;
                Ok(Running::Process(Box::new(started)))
            }
            Work::Thread(work) => {
                let started = Thread::start(&self.name, work, run);
                started.map(Running::Thread).map_err(|error| NotStarted::Failed(error.to_string()))
            }
        }
    }

    /// Waits for its end, and looks whether it lives and is not too old.
    fn watch(&mut self, running: &mut Running, run: &Arc<Run>, begun: Now, asked: &mut Asked) -> Over {
        let liveness = self.liveness.clone();
        let mut alive = Watch::new(liveness.as_ref(), Arc::clone(run), begun.moment, &self.stuck);
        let mut up = !alive.waits_for_ready();
        if up {
            self.health.up(begun.wall);
        }
        let weighed = self.state.policy().resident_max().is_some();
        let mut counted = 0;
        let mut weigh_at = weighed.then(|| begun.moment.after(self.resident_every));
        loop {
            if asked.phase() != Phase::Running {
                return Over::Shutdown;
            }
            let now = System.now();
            if !up && run.signs().ready {
                up = true;
                self.health.up(now.wall);
                self.tell(&Event::Ready { after: now.moment.since(begun.moment) });
            }
            let done = run.runs();
            self.state.ran(done.saturating_sub(counted));
            counted = done;
            let mut resident = None;
            if weigh_at.is_some_and(|at| now.moment >= at) {
                resident = running.resident();
                weigh_at = Some(now.moment.after(self.resident_every));
            }
            if let Some(why) = self.state.due_for_recycling(now, resident) {
                return Over::Recycle(why);
            }
            let next = match alive.look(now.moment) {
                Looked::Hung(why) => return Over::Hung(why),
                Looked::Alive { next } => next,
            };
            let next = [next, weigh_at, self.state.recycle_at()].into_iter().flatten().min();
            if let Some(exit) = running.wait(next.map(|next: Moment| next.since(System.moment()))) {
                return Over::Exited(exit);
            }
        }
    }

    fn exited(&mut self, exit: Exit) -> Decision {
        let decision = self.state.on_exit(System.now(), exit);
        if let Some(past) = self.state.last().cloned() {
            self.tell(&Event::Exited { past });
        }
        decision
    }

    /// Keeps what was decided, before it is done, and tells it.
    fn decided(&mut self, now: Now, decision: Decision) -> Option<Ended> {
        self.save(now);
        match decision {
            Decision::Restart { at, why } => {
                let at = later(now.wall, at.since(now.moment));
                self.health.down(now, &why, at);
                self.tell(&Event::Restarting { at, why });
                None
            }
            Decision::Escalate { evidence, why } => {
                self.health.escalated(now, &why);
                self.tell(&Event::Escalated { why, evidence: evidence.clone() });
                Some(Ended::Escalated { why, evidence })
            }
            Decision::Stop { why } => {
                let evidence = Box::new(self.state.evidence());
                self.health.ended(now, &why);
                self.tell(&Event::Stopped { why, evidence: evidence.clone() });
                Some(match why {
                    Stopping::Well { .. } => Ended::Well { why },
                    _ => Ended::Stopped { why, evidence },
                })
            }
        }
    }

    fn shut_down(&mut self, now: Now) -> Ended {
        self.health.ended(now, &Event::ShutDown);
        self.save(now);
        self.tell(&Event::ShutDown);
        Ended::Shutdown
    }

    /// What an earlier supervisor has started still runs: it is waited for, as its end is nobody's to hear.
    fn wait_for_other(&mut self, pid: u32, since: Timestamp, pause: &mut Duration) {
        let now = System.now();
        let event = Event::Busy { pid, since };
        self.health.down(now, &event, later(now.wall, *pause));
        if *pause == BUSY_FIRST {
            self.tell(&event);
        }
        self.bell.wait(Some(*pause));
        *pause = pause.saturating_mul(2).min(BUSY_MAX);
    }

    fn save(&mut self, now: Now) {
        if let Err(error) = self.keep.save(&self.name, &self.state.saved(now)) {
            self.tell(&Event::NotKept { error });
        }
    }

    fn tell(&mut self, event: &Event) {
        log::supervised(&self.name, event, is_trouble(event));
        if let Some(hook) = &mut self.hook {
            // Whoever listens badly does not end what is supervised.
            drop(caught(|| hook(event)));
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("name", &self.name)
            .field("state", &self.state)
            .field("liveness", &self.liveness)
            .finish_non_exhaustive()
    }
}

const fn is_trouble(event: &Event) -> bool {
    matches!(
        event,
        Event::Hung { .. }
            | Event::Busy { .. }
            | Event::Escalated { .. }
            | Event::Stopped { .. }
            | Event::NotKept { .. }
            | Event::Restarting { why: Restarting::Failed { .. }, .. }
    )
}

/// Why the watch over a run is over.
enum Over {
    Exited(Exit),
    Hung(Hanging),
    Recycle(Recycling),
    Shutdown,
}

/// What runs.
enum Running {
    Process(Box<Process>),
    Thread(Thread),
}

impl Running {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(process) => Some(process.pid()),
            Self::Thread(_) => None,
        }
    }

    fn wait(&mut self, limit: Option<Duration>) -> Option<Exit> {
        match self {
            Self::Process(process) => process.wait(limit),
            Self::Thread(thread) => thread.wait(limit),
        }
    }

    fn stop(&mut self, grace: Duration, at_once: impl FnMut() -> bool) -> Option<String> {
        match self {
            Self::Process(process) => process.stop(grace, at_once),
            Self::Thread(thread) => thread.stop(grace, at_once),
        }
    }

    fn resident(&self) -> Option<u64> {
        match self {
            Self::Process(process) => process.resident(),
            Self::Thread(_) => None,
        }
    }
}

/// A shutdown that rings the supervisor's bell.
struct Asked {
    draining: Reached,
    at_once: Reached,
    waker: Waker,
}

impl Asked {
    fn new(shutdown: &Shutdown, bell: &Arc<Bell>) -> Self {
        let (draining, at_once) = (shutdown.reached(Phase::Draining), shutdown.reached(Phase::AtOnce));
        Self { draining, at_once, waker: bell.waker() }
    }

    /// How urgent it is; from now on the bell is rung when that changes.
    fn phase(&mut self) -> Phase {
        let mut context = Context::from_waker(&self.waker);
        let mut is = |reached: &mut Reached| Pin::new(reached).poll(&mut context).is_ready();
        let draining = is(&mut self.draining);
        match (is(&mut self.at_once), draining) {
            (true, _) => Phase::AtOnce,
            (false, true) => Phase::Draining,
            (false, false) => Phase::Running,
        }
    }
}
