//! A monitor is described, and checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::monitor::asked::{Ask, Asked, memory};
use crate::act::monitor::check::{Known, Plan};
use crate::act::monitor::note::Pending;
use crate::act::monitor::ping::Ping;
use crate::act::monitor::raised::{Raised, What};
use crate::act::monitor::timers::{TIMERS_TIMEOUT, Timers};
use crate::act::monitor::{Answer, Error, Monitor};
use crate::base::text;
use crate::base::time::Timestamp;
use crate::decide::heartbeat::{self, Expected, Policy};
use crate::decide::schedule::Schedule;
use crate::remember::store::Store;

/// The most bytes of the name of a job or a probe.
pub const NAME_MAX: usize = 200;
/// The most jobs that a monitor declares.
pub const JOBS_MAX: usize = 100_000;
/// Of the monitor's own name, since it stands in each key.
const OWN_NAME_MAX: usize = 100;
const ASKED_MAX: usize = 256;
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const MEMORY_TIMEOUT: Duration = Duration::from_secs(5);

/// What hears of what has changed.
pub(super) type OnEvent = Arc<dyn Fn(&Raised) + Send + Sync>;

/// What a monitor is.
pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) name: String,
    pub(super) jobs: BTreeMap<String, Declared>,
    pub(super) asked: Vec<Asked>,
    /// The timers of systemd that run jobs.
    pub(super) units: BTreeMap<String, String>,
    pub(super) pings: Vec<Arc<Ping>>,
    pub(super) tick: Duration,
    pub(super) every: Duration,
    pub(super) batch: usize,
    pub(super) undeclared_max: usize,
    pub(super) on_event: Option<OnEvent>,
    pub(super) tell_late: bool,
    /// Whether what others declared is judged too.
    pub(super) adopts: bool,
    pub(super) pending: Mutex<Pending>,
    /// One write at a time, so that beats are taken in in their order.
    pub(super) writing: AtomicBool,
    /// What the last check read, so that what has not changed is not read again.
    pub(super) known: Mutex<HashMap<String, Known>>,
}

/// A job that is declared.
#[derive(Clone)]
pub(super) struct Declared {
    pub(super) policy: Policy,
    schedule: Option<Schedule>,
    /// The schedule as it stands in the store.
    pub(super) plan: Option<Plan>,
}

impl Declared {
    /// As others have declared it; `None` where nothing says when it is expected.
    pub(super) fn by_others(known: &Known) -> Option<Self> {
        let policy = known.policy?;
        let schedule = known.plan.as_ref().and_then(Plan::schedule);
        let plan = known.plan.clone();
        (policy.interval().is_some() != schedule.is_some()).then_some(Self { policy, schedule, plan })
    }

    /// Whether what stands in the store says the same.
    pub(super) fn stands(&self, known: &Known) -> bool {
        known.policy == Some(self.policy) && (cfg!(not(feature = "cron")) || known.plan == self.plan)
    }

    /// What is expected after an instant, by the schedule.
    pub(super) fn expected(&self, after: Timestamp) -> Option<Expected> {
        let schedule = self.schedule.as_ref()?;
        let first = schedule.next_after(after)?;
        let following = schedule.next_after(first.nominal).map(|following| following.at);
        Some(Expected { first: first.at, following })
    }
}

/// A monitor that is being described.
#[must_use = "it does nothing until it is built"]
pub struct Builder {
    store: Arc<dyn Store>,
    name: String,
    jobs: Vec<(String, heartbeat::Builder, Option<Schedule>)>,
    asked: Vec<Asked>,
    units: BTreeMap<String, String>,
    pings: Vec<Arc<Ping>>,
    tick: Duration,
    every: Duration,
    batch: usize,
    undeclared_max: usize,
    on_event: Option<OnEvent>,
    tell_late: bool,
    adopts: bool,
    memory: Option<f64>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("jobs", &self.jobs.len())
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) const fn new(store: Arc<dyn Store>, name: String) -> Self {
        Self {
            store,
            name,
            jobs: Vec::new(),
            asked: Vec::new(),
            units: BTreeMap::new(),
            pings: Vec::new(),
            tick: Duration::from_secs(60),
            every: Duration::from_secs(30),
            batch: 64,
            undeclared_max: 64,
            on_event: None,
            tell_late: false,
            adopts: false,
            memory: None,
        }
    }

    /// Declares a job by its interval. At most 100,000 jobs, with names of 1 to 200 bytes.
    pub fn expect(mut self, name: impl Into<String>, policy: heartbeat::Builder) -> Self {
        self.jobs.push((name.into(), policy, None));
        self
    }

    /// Declares a job by its schedule, with a policy that is [`scheduled`](Policy::scheduled).
    pub fn expect_schedule(
        mut self,
        name: impl Into<String>,
        schedule: Schedule,
        policy: heartbeat::Builder,
    ) -> Self {
        self.jobs.push((name.into(), policy, Some(schedule)));
        self
    }

    /// Asks at each check whether an external service answers. It has `timeout` to do so, 1 ms to 10 min, on a thread of its own;
    /// one that hangs for longer is down, and is not asked again before it has come back. At most 256.
    pub fn probe(
        mut self,
        name: impl Into<String>,
        timeout: Duration,
        probe: impl Fn() -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.asked.push(Asked::new(name.into(), timeout, Ask::Probe(Arc::new(probe))));
        self
    }

    /// Asks at each check how much of the memory is used, in percent; down from `percent` on. A probe called `memory`, with 5 s.
    pub fn memory_below(
        mut self,
        percent: f64,
        used: impl Fn() -> Result<f64, String> + Send + Sync + 'static,
    ) -> Self {
        self.memory = Some(percent);
        self.probe("memory", MEMORY_TIMEOUT, move || memory(percent, used()))
    }

    /// Where systemd's list of timers comes from, for the jobs that are [run by one](Self::on_timer); asked at each check, with 10 s.
    pub fn timers(mut self, source: impl Timers) -> Self {
        self.asked.retain(|asked| !matches!(asked.ask, Ask::Timers(_)));
        self.asked.push(Asked::new(String::from("timers"), TIMERS_TIMEOUT, Ask::Timers(Arc::new(source))));
        self
    }

    /// The job is run by this timer of systemd, such as `backup.timer`: it is reported if it is not scheduled there.
    pub fn on_timer(mut self, job: impl Into<String>, unit: impl Into<String>) -> Self {
        self.units.insert(job.into(), unit.into());
        self
    }

    /// How often a check is made, 1 s to 1 day; default 60 s. More than three of them without a check, and the report says that
    /// nobody looked. No job may have a shorter interval.
    pub const fn tick(mut self, every: Duration) -> Self {
        self.tick = every;
        self
    }

    /// After how long what was noted is to be written; default 30 s.
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Or after how many; default 64, at least 1.
    pub const fn batch(mut self, batch: usize) -> Self {
        self.batch = if batch == 0 { 1 } else { batch };
        self
    }

    /// Heartbeats of about so many jobs that nobody declared are kept, up to 1000; default 64.
    pub const fn undeclared_max(mut self, jobs: usize) -> Self {
        self.undeclared_max = jobs;
        self
    }

    /// Who is told of what has changed, once that is written. It is called by whoever writes, so it should not take long.
    pub fn on_event(mut self, tell: impl Fn(&Raised) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(tell));
        self
    }

    /// Tells also that a success is late, and that it came after all: [hints](heartbeat::Event::is_hint), which otherwise stand in the
    /// report alone. That no run was begun in time is always told.
    pub const fn tell_late(mut self) -> Self {
        self.tell_late = true;
        self
    }

    /// Judges also the jobs that other processes declared, by the policy that stands beside each of them in the store, and by its
    /// schedule where that is a time of day or a cron expression (feature `cron`). So it is enough that a job's own process declares
    /// it. What is declared nowhere any more is missed until it is [forgotten](Monitor::forget). A job may have a shorter interval than
    /// the [tick](Self::tick) then: it is judged when somebody looks.
    pub const fn adopt(mut self) -> Self {
        self.adopts = true;
        self
    }

    /// Goes out after each check that was complete. At most 16.
    pub fn ping(mut self, ping: Ping) -> Self {
        self.pings.push(Arc::new(ping));
        self
    }

    /// Checks it. Reads nothing yet.
    ///
    /// # Errors
    /// [`Error::Field`] with what is out of its bounds, [`Error::Policy`] with the job whose policy is not possible.
    pub fn build(self) -> Result<Monitor, Error> {
        let Self { store, name, asked, units, pings, tick, every, batch, undeclared_max, .. } = self;
        let (on_event, tell_late, adopts) = (self.on_event, self.tell_late, self.adopts);
        let plain = |c: char| c != '/' && !c.is_control();
        if !(1..=OWN_NAME_MAX).contains(&name.len()) || !name.chars().all(plain) {
            let allowed = format!("1 to {OWN_NAME_MAX} bytes, no slash and no control characters");
            return Err(Error::field("name", shown(&name), allowed));
        }
        if let Some(percent) = self.memory.filter(|percent| !(1.0..=100.0).contains(percent)) {
            return Err(Error::field("memory_below", percent, "1 to 100 percent"));
        }
        for (field, given, most) in [
            ("jobs", self.jobs.len(), JOBS_MAX),
            ("probes", asked.len(), ASKED_MAX),
            ("pings", pings.len(), 16),
            ("undeclared_max", undeclared_max, 1000),
        ] {
            if given > most {
                return Err(Error::field(field, given, format!("at most {most}")));
            }
        }
        let mut jobs = BTreeMap::new();
        for (job, policy, schedule) in self.jobs {
            let job = job_name(job)?;
            let every = policy.interval().filter(|every| adopts && *every < tick);
            let declared = declared(&job, policy.tick(every.unwrap_or(tick)), schedule)?;
            if jobs.insert(job.clone(), declared).is_some() {
                return Err(Error::field("job", job, "each name once"));
            }
        }
        for (at, one) in asked.iter().enumerate() {
            job_name(one.name.clone())?;
            if asked[..at].iter().any(|other| other.name == one.name) {
                return Err(Error::field("probe", &one.name, "each name once"));
            }
            if !(Duration::from_millis(1)..=TIMEOUT_MAX).contains(&one.timeout) {
                return Err(Error::field("timeout", text::exact(one.timeout), "1ms to 10m"));
            }
        }
        if let Some(job) = units.keys().find(|job| !jobs.contains_key(*job)) {
            return Err(Error::field("on_timer", job, "a job that is declared"));
        }
        let (pending, writing, known) = (Mutex::default(), AtomicBool::new(false), Mutex::default());
        let inner = Inner {
            store,
            name,
            jobs,
            asked,
            units,
            pings,
            tick,
            every,
            batch,
            undeclared_max,
            on_event,
            tell_late,
            adopts,
            pending,
            writing,
            known,
        };
        Ok(Monitor { inner: Arc::new(inner) })
    }
}

fn declared(job: &str, policy: heartbeat::Builder, schedule: Option<Schedule>) -> Result<Declared, Error> {
    let policy = policy.build().map_err(|source| Error::Policy { job: job.to_owned(), source })?;
    match (policy.interval(), &schedule) {
        (Some(_), Some(_)) => {
            Err(Error::field("policy", "one with an interval", "a scheduled one, where there is a schedule"))
        }
        (None, None) => {
            Err(Error::field("policy", "a scheduled one", "one with an interval, where there is no schedule"))
        }
        _ => {
            let plan = schedule.as_ref().and_then(Plan::of);
            Ok(Declared { policy, schedule, plan })
        }
    }
}

pub(super) fn job_name(name: String) -> Result<String, Error> {
    if (1..=NAME_MAX).contains(&name.len()) && !name.contains('\0') {
        return Ok(name);
    }
    Err(Error::field("job", shown(&name), format!("1 to {NAME_MAX} bytes, no NUL")))
}

fn shown(name: &str) -> String {
    format!("{:?} ({} bytes)", text::shortened(name, 40), name.len())
}

impl Inner {
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told of the events of a job.
    pub(super) fn told(&self, job: &str, events: impl IntoIterator<Item = heartbeat::Event>) -> Vec<Raised> {
        let events = events.into_iter().filter(|event| self.tell_late || !event.is_hint());
        events.map(|event| self.raised(job, What::Job(event))).collect()
    }

    pub(super) fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
