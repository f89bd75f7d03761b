//! The other side: five dependencies under the week's weather. It keeps a log of its own of every call, and what is told
//! about the job is computed from that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use unattended::breaker::{self, Admit, Machine, Outcome, Permit};
use unattended::fault::{Class, Classify, Fault, Reached};
use unattended::rng::Rng;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Sleep, Timestamp, between};

use crate::tasks::{Dependency, Op, Task};
use crate::weather::{Kind, Spell, Weather};

/// How long a connection stays open on which nothing comes.
const SILENCE: Duration = Duration::from_secs(30);
/// Calls of a thousand that are reset on a fair day, before the effect and after it.
const NOISE: (u64, u64) = (5, 3);

/// A token: good from the instant at which it was issued.
pub(crate) type Token = Timestamp;

/// How a call goes wrong, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("connection refused")]
    Refused,
    #[error("connection reset")]
    Reset,
    #[error("status {0}")]
    Status(u16),
    #[error("status 429")]
    TooMany { retry_after: Option<Duration> },
    #[error("the answer is no JSON")]
    WrongJson,
}

impl Classify for Trouble {
    fn fault(&self) -> Fault {
        match self {
            Self::Refused => Fault::transient("tcp.refused").reached(Reached::No),
            Self::Reset => Fault::transient("tcp.reset"),
            Self::Status(401) => Fault::new(Class::Unauthorized, "http.401").reached(Reached::No),
            Self::Status(403) => Fault::permanent("http.403").reached(Reached::Yes),
            Self::Status(422) => Fault::permanent("http.422").reached(Reached::Yes),
            Self::Status(_) => Fault::transient("http.503").reached(Reached::Yes),
            Self::TooMany { retry_after } => Fault::rate_limited(*retry_after),
            Self::WrongJson => Fault::permanent("json.wrong").reached(Reached::Yes),
        }
    }
}

/// A call as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) task: Task,
    pub(crate) op: &'static Op,
    /// Something was wrong with the dependency.
    pub(crate) down: bool,
    /// The last hint of the dependency, or a breaker that sees what it answers, forbade the call.
    pub(crate) forbidden: bool,
    /// When it was over: answered, or given up by the client.
    pub(crate) ended: Option<Timestamp>,
    /// How it went wrong; `None` with `ended` means well, or given up by the client if `given_up`.
    pub(crate) trouble: Option<Trouble>,
    pub(crate) given_up: bool,
}

impl Entry {
    pub(crate) fn took(&self) -> Duration {
        self.ended.map_or(Duration::ZERO, |ended| between(self.at, ended))
    }
}

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) weather: Weather,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    log: Vec<Entry>,
    /// How often each effect took place.
    effects: BTreeMap<(Task, &'static str), u32>,
    /// Idempotency keys whose effect took place.
    keys: BTreeSet<(String, &'static str)>,
    /// For each dependency, a breaker that sees everything that it answers, to whomever.
    watches: [Machine; 5],
    /// What is still to be done, as it stands in the inbox.
    inbox: BTreeSet<Task>,
}

/// What is going to happen to a call.
enum Fate {
    Answer { after: Duration },
    Fail { after: Duration, trouble: Trouble, applied: bool },
}

impl World {
    pub(crate) fn new(seed: u64, policy: breaker::Policy) -> Result<Arc<Self>, breaker::Error> {
        let weather = Weather::seeded(seed);
        let sim = Sim::new(weather.start, seed);
        let watch = |on: Dependency| Machine::new(policy, on.index() as u64, sim.now());
        let [feed, media, transcoder, upload, notifier] = Dependency::ALL.map(watch);
        let watches = [feed?, media?, transcoder?, upload?, notifier?];
        let inbox = weather.arrivals.keys().copied().collect();
        let (rng, log) = (sim.rng(), Vec::new());
        let state = State { rng, log, effects: BTreeMap::new(), keys: BTreeSet::new(), watches, inbox };
        Ok(Arc::new(Self { sim, weather, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.sim.now().wall
    }

    /// The tasks of an engine that have arrived and that nobody has taken out of the inbox.
    pub(crate) fn inbox(&self, engine: usize) -> Vec<Task> {
        let (state, now) = (self.state(), self.now());
        let of_engine = Task { engine, number: 0 }..=Task { engine, number: u32::MAX };
        let arrived = |task: &&Task| self.weather.arrivals.get(task).is_some_and(|at| *at <= now);
        // Their numbers are in the order in which they arrive.
        state.inbox.range(of_engine).take_while(arrived).copied().collect()
    }

    pub(crate) fn take(&self, task: Task) {
        self.state().inbox.remove(&task);
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        self.state().log.clone()
    }

    pub(crate) fn effects(&self) -> BTreeMap<(Task, &'static str), u32> {
        self.state().effects.clone()
    }

    /// Whether every effect of the task took place.
    pub(crate) fn done(&self, task: Task) -> bool {
        let state = self.state();
        let mut effects = task.engine().ops.iter().filter(|op| op.changes);
        effects.all(|op| state.effects.contains_key(&(task, op.name)))
    }

    /// A new token of the upload API.
    pub(crate) async fn login(&self) -> Token {
        self.sim.sleep(Duration::from_millis(300)).await;
        self.now()
    }

    /// One call. It may take for ever; a client that drops it has given it up.
    pub(crate) async fn call(
        &self,
        op: &'static Op,
        task: Task,
        key: Option<String>,
        token: Option<Token>,
    ) -> Result<(), Trouble> {
        let mut open = self.begin(op, task);
        let fate = self.fate(op, task, token);
        let (after, applied) = match &fate {
            Fate::Answer { after } => (*after, true),
            Fate::Fail { after, applied, .. } => (*after, *applied),
        };
        if applied && op.changes {
            self.apply(op, task, key);
        }
        self.sim.sleep(after).await;
        let answer = match fate {
            Fate::Answer { .. } => Ok(()),
            Fate::Fail { trouble, .. } => Err(trouble),
        };
        open.end(Some(answer.clone()));
        answer
    }

    fn begin(&self, op: &'static Op, task: Task) -> Open<'_> {
        let now = self.sim.now();
        let down = self.weather.over(op.on, now.wall).is_some();
        let mut state = self.state();
        let permit = match state.watches[op.on.index()].admit(now) {
            Admit::Allow { permit, .. } => Some(permit),
            Admit::Refuse { .. } => None,
        };
        let forbidden = permit.is_none();
        let index = state.log.len();
        let (at, ended, trouble) = (now.wall, None, None);
        state.log.push(Entry { at, task, op, down, forbidden, ended, trouble, given_up: false });
        Open { world: self, index, on: op.on, permit }
    }

    fn apply(&self, op: &'static Op, task: Task, key: Option<String>) {
        let mut state = self.state();
        // Whoever sends the same key again gets the same answer, and nothing happens twice.
        if key.is_none_or(|key| state.keys.insert((key, op.name))) {
            *state.effects.entry((task, op.name)).or_default() += 1;
        }
    }

    fn fate(&self, op: &Op, task: Task, token: Option<Token>) -> Fate {
        let now = self.now();
        let mut state = self.state();
        let fail = |after, trouble, applied| Fate::Fail { after, trouble, applied };
        let usual = Duration::from_millis(200 + state.rng.up_to(800));
        if let Some(spell) = self.weather.over(op.on, now)
            && state.rng.up_to(99) < spell.percent
        {
            return bad(spell, op.on, usual, now, &mut state.rng);
        }
        if op.on == Dependency::Upload && !token.is_some_and(|issued| self.weather.honours(issued, now)) {
            return fail(usual, Trouble::Status(401), false);
        }
        if self.weather.refuses(task, op.name) {
            return fail(usual, Trouble::Status(422), false);
        }
        match state.rng.up_to(999) {
            drawn if drawn < NOISE.0 => fail(usual, Trouble::Reset, false),
            drawn if drawn < NOISE.0 + NOISE.1 => fail(usual, Trouble::Reset, true),
            _ => Fate::Answer { after: usual },
        }
    }
}

/// What a spell does to a call that meets it.
fn bad(spell: Spell, on: Dependency, usual: Duration, now: Timestamp, rng: &mut Rng) -> Fate {
    let fail = |after, trouble, applied| Fate::Fail { after, trouble, applied };
    match spell.kind {
        Kind::Outage => fail(Duration::from_millis(5), Trouble::Refused, false),
        Kind::Errors => fail(usual, Trouble::Status(503), false),
        Kind::Throttled => {
            // Whole seconds, rounded up, as the header has them; counted from when the answer is there.
            let left = between(now, spell.until).saturating_sub(usual);
            let retry_after = Some(Duration::from_secs(left.as_secs() + 1));
            fail(usual, Trouble::TooMany { retry_after }, false)
        }
        // This one says 403 when it means "too much".
        Kind::ThrottledVaguely if on == Dependency::Feed => fail(usual, Trouble::Status(403), false),
        Kind::ThrottledVaguely => fail(usual, Trouble::TooMany { retry_after: None }, false),
        Kind::Silence => fail(SILENCE, Trouble::Reset, false),
        Kind::LostAnswers => fail(usual, Trouble::Reset, true),
        Kind::WrongJson => fail(usual, Trouble::WrongJson, true),
        Kind::Drip => Fate::Answer { after: Duration::from_secs(300 + rng.up_to(900)) },
    }
}

/// A call that is under way.
struct Open<'a> {
    world: &'a World,
    index: usize,
    on: Dependency,
    permit: Option<Permit>,
}

impl Open<'_> {
    /// It was answered, or (`None`) the client has gone.
    fn end(&mut self, answer: Option<Result<(), Trouble>>) {
        let now = self.world.sim.now();
        let mut state = self.world.state();
        let Some(entry) = state.log.get_mut(self.index).filter(|entry| entry.ended.is_none()) else { return };
        entry.ended = Some(now.wall);
        entry.given_up = answer.is_none();
        let fault = match answer {
            Some(Ok(())) => None,
            Some(Err(trouble)) => {
                entry.trouble = Some(trouble.clone());
                Some(meant(self.on, &trouble))
            }
            None => Some(Fault::transient("client.gone")),
        };
        let watch = &mut state.watches[self.on.index()];
        let hint = fault.as_ref().and_then(|fault| fault.retry_after);
        if let (Some(Class::RateLimited), Some(wait)) = (fault.as_ref().map(|fault| fault.class), hint) {
            watch.block(wait, now);
        }
        let Some(permit) = self.permit.take() else { return };
        let outcome = fault.map_or(Outcome::Success, |fault| Outcome::Failure(fault.class));
        let _moved = watch.settle_hinted(permit, outcome, hint, now);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// What the dependency means by it.
fn meant(on: Dependency, trouble: &Trouble) -> Fault {
    match (on, trouble) {
        (Dependency::Feed, Trouble::Status(403)) => Fault::rate_limited(None),
        _ => trouble.fault(),
    }
}
