//! The state machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::text::head;
use crate::base::time::{Now, Timestamp, between, later};
use crate::decide::heartbeat::beat::{Beat, SAID_MAX};
use crate::decide::heartbeat::policy::{GRACE_MIN, Policy};
use crate::decide::heartbeat::reason::{Event, State, Why};
use crate::decide::heartbeat::runs::Runs;
use crate::decide::heartbeat::sight::{Look, Unseen};

/// A success covers what is expected so soon after it: the clocks of two hosts are never the same.
const COVERS: Duration = Duration::from_secs(2);
/// What is said to have happened later than so much after now did not.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// A beat may come to be known so long after others that were later.
const OUT_OF_ORDER: Duration = Duration::from_secs(600);

/// The instants at which a success is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The first one.
    pub first: Timestamp,
    /// The one that follows; `None` if there is none. Then the job is overdue two graces after the first.
    pub following: Option<Timestamp>,
}

/// The heartbeat of one job: what is known of it, and what was told. About 400 bytes; see the [module](crate::decide::heartbeat).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heart {
    pub(super) policy: Policy,
    pub(super) state: State,
    pub(super) since: Timestamp,
    /// From when on a success is expected: the last one, or when it was declared or resumed.
    pub(super) anchor: Timestamp,
    pub(super) success: Option<Timestamp>,
    pub(super) failure: Option<Timestamp>,
    pub(super) start: Option<Timestamp>,
    pub(super) beat: Option<Timestamp>,
    pub(super) failures: u32,
    pub(super) successes: u32,
    pub(super) runs: Runs,
    pub(super) why: Option<Why>,
    /// The last changes of state, as far back as damping looks.
    pub(super) turns: Vec<Timestamp>,
    pub(super) restless: Option<Restless>,
    /// What a schedule said; asked for anew when the anchor moves.
    pub(super) expected: Asked,
    pub(super) unseen: Option<Unseen>,
    pub(super) wake: Wake,
}

/// Its changes are not told one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restless {
    last: Timestamp,
    untold: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Yes(Option<Expected>),
}

/// When something is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    AtOnce,
    At(Timestamp),
    Never,
}

/// When it is late, overdue, and late for no run having begun.
struct Limits {
    late: Timestamp,
    overdue: Timestamp,
    start: Option<Timestamp>,
}

/// How a job is, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The state.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// Why; `None` while it is well or new.
    pub why: Option<Why>,
    /// Its last success.
    pub last_success: Option<Timestamp>,
    /// Its last failure.
    pub last_failure: Option<Timestamp>,
    /// When anything was last heard of it.
    pub last_beat: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Runs that have begun and are not known to have ended.
    pub running: usize,
    /// Whether its state changes too often for each change to be told.
    pub unsteady: bool,
}

impl Heart {
    /// A job that is expected from `now` on.
    #[must_use]
    pub fn new(policy: Policy, now: Now) -> Self {
        let mut heart = Self::blank(policy, now.wall);
        heart.settle();
        heart
    }

    pub(super) const fn blank(policy: Policy, anchor: Timestamp) -> Self {
        Self {
            policy,
            state: State::New,
            since: anchor,
            anchor,
            success: None,
            failure: None,
            start: None,
            beat: None,
            failures: 0,
            successes: 0,
            runs: Runs(Vec::new()),
            why: None,
            turns: Vec::new(),
            restless: None,
            expected: Asked::No,
            unseen: None,
            wake: Wake::AtOnce,
        }
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Its last success.
    #[must_use]
    pub const fn last_success(&self) -> Option<Timestamp> {
        self.success
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            state: self.state,
            since: self.since,
            why: self.why.clone(),
            last_success: self.success,
            last_failure: self.failure,
            last_beat: self.beat,
            failures: self.failures,
            running: self.runs.0.len(),
            unsteady: self.restless.is_some(),
        }
    }

    /// When [`tick`](Self::tick) may next have something to say, which is in the past if it has not said it yet; `None` if
    /// only a beat can change anything.
    #[must_use]
    pub const fn next_wake(&self) -> Option<Timestamp> {
        match self.wake {
            Wake::AtOnce => Some(self.anchor),
            Wake::At(at) => Some(at),
            Wake::Never => None,
        }
    }

    /// Whether [`tick`](Self::tick) has anything to judge at this look. Where it has not, it changes nothing.
    #[must_use]
    pub fn is_due(&self, look: &Look) -> bool {
        let waits = match self.wake {
            Wake::Never => true,
            Wake::At(at) => look.now.wall < at,
            Wake::AtOnce => false,
        };
        !waits || self.unseen != look.unseen || self.is_ahead(look.now.wall)
    }

    /// Takes in what was heard at `now`, which may be a while ago. Silence is not judged here but by [`tick`](Self::tick).
    ///
    /// A failure that is up to 10 minutes older than the last success, and a success that is so much older than the last failure,
    /// came late and change no state; what is older than that was said by a clock that has been set back since, and counts.
    pub fn observe(&mut self, now: Now, beat: Beat) -> Option<Event> {
        let at = now.wall;
        self.beat = self.beat.max(Some(at));
        let event = match beat {
            Beat::Started { run } => {
                self.start = self.start.max(Some(at));
                self.runs.begin(&run, at);
                None
            }
            Beat::Progress { run } => {
                self.start = self.start.or(Some(at));
                self.runs.progress(&run, at);
                None
            }
            Beat::Succeeded { run } => {
                let began = self.runs.end(&run);
                match self.too_fast(&run, began, at) {
                    Some(why) => self.failed(at, |_, _| why),
                    None => self.succeeded(at),
                }
            }
            Beat::Failed { run, why } => {
                self.runs.end(&run);
                let said = head(&why, SAID_MAX).to_owned();
                self.failed(at, |in_a_row, limit| Why::Failed { in_a_row, limit, said })
            }
            Beat::PutDown { run } => {
                self.runs.put_down(&run, later(at, COVERS));
                None
            }
            Beat::Paused => self.paused(at),
            Beat::Resumed => self.resumed(at),
        };
        self.settle();
        event
    }

    /// It beat before anybody expected anything of it, and is expected from `at` on.
    #[cfg_attr(not(feature = "store"), allow(dead_code, reason = "a monitor asks for it"))]
    pub(crate) fn expect_from(&mut self, at: Timestamp) {
        if at > self.anchor {
            (self.anchor, self.expected) = (at, Asked::No);
        }
        self.settle();
    }

    /// Judges what has not been heard of. `expected` is asked for the instants of the schedule that are after a given one, where
    /// the policy is [`scheduled`](Policy::scheduled) and they are not known yet; `None`: there are no more.
    ///
    /// There is at most one event a tick: what failed goes before what is silent.
    pub fn tick(
        &mut self,
        look: Look,
        expected: impl FnOnce(Timestamp) -> Option<Expected>,
    ) -> Option<Event> {
        if !self.is_due(&look) {
            return None;
        }
        let now = look.now.wall;
        if self.is_ahead(now) {
            self.mend(now);
        }
        self.unseen = look.unseen;
        if self.policy.every.is_none() && self.expected == Asked::No && self.state != State::Paused {
            self.expected = Asked::Yes(expected(later(self.anchor, COVERS)));
        }
        let event = if self.state == State::Paused { None } else { self.judge(now) };
        self.settle();
        event
    }

    fn judge(&mut self, now: Timestamp) -> Option<Event> {
        let (unseen, policy, mut failed) = (self.unseen, self.policy, None);
        let grace = policy.grace();
        let held = |due: Timestamp| unseen.map_or(due, |unseen| unseen.held(due, grace));
        while let Some(why) = self.runs.expired(&policy, now, held) {
            // Each of them counts; the first is told.
            let event = self.failed(now, |_, _| why);
            failed = failed.or(event);
        }
        if failed.is_some() {
            return failed;
        }
        if let Some(Limits { late, overdue, start }) = self.limits() {
            let last = self.success;
            // Whoever is given a chance to be late is not dead meanwhile.
            if self.state < State::Overdue && now >= held(overdue).max(held(late)) {
                return self.turn(now, State::Overdue, Why::Overdue { last, late, due: overdue });
            }
            if self.state < State::Late && now >= held(late) {
                return self.turn(now, State::Late, Why::Late { last, due: late });
            }
            if let Some(due) = start.filter(|start| self.state < State::Late && now >= held(*start)) {
                return self.turn(now, State::Late, Why::NotStarted { last, due });
            }
        }
        let span = self.quiet(now)?;
        let untold = self.restless.take().map_or(0, |restless| restless.untold);
        self.turns.clear();
        Some(Event { at: now, from: self.state, to: self.state, why: Why::Steady { span, untold } })
    }

    /// When it is late and overdue; `None` where nothing is expected.
    fn limits(&self) -> Option<Limits> {
        let grace = self.policy.grace();
        let begun = self.start.is_some_and(|start| start > self.anchor) || !self.runs.0.is_empty();
        let start = |from: Timestamp| self.policy.start_max.filter(|_| !begun).map(|max| later(from, max));
        let Some(every) = self.policy.every else {
            let Asked::Yes(Some(Expected { first, following })) = self.expected else { return None };
            let grace = following.map_or(grace, |following| grace.min(between(first, following) / 2));
            let late = later(first, grace);
            let overdue = following.unwrap_or_else(|| later(late, grace)).max(later(late, GRACE_MIN));
            return Some(Limits { late, overdue, start: start(first) });
        };
        let late = later(self.anchor, every);
        Some(Limits { late, overdue: later(late, grace), start: start(self.anchor) })
    }

    fn too_fast(&self, run: &str, began: Option<Timestamp>, at: Timestamp) -> Option<Why> {
        // A clock that went back meanwhile says nothing about how long it took.
        let (began, limit) = (began.filter(|began| *began <= at)?, self.policy.run_min?);
        let took = between(began, at);
        let run = head(run, super::RUN_MAX).to_owned();
        (took < limit).then_some(Why::TooFast { run, took, limit })
    }

    fn succeeded(&mut self, at: Timestamp) -> Option<Event> {
        let late_news = came_late(at, self.failure);
        let first = self.anchor;
        self.success = self.success.max(Some(at));
        if at > self.anchor {
            self.anchor = at;
            self.expected = Asked::No;
        }
        if late_news {
            return None;
        }
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        let needed = if self.state.is_down() { self.policy.recovery } else { 1 };
        match self.state {
            State::Paused | State::Up => None,
            State::New => self.turn(at, State::Up, Why::FirstSuccess { since: first }),
            _ if self.successes < needed => None,
            State::Late if self.why.as_ref().is_some_and(Why::is_hint) => {
                self.turn(at, State::Up, Why::CameLate { since: self.since, at })
            }
            from => self.turn(at, State::Up, Why::Recovered { from, since: self.since, at }),
        }
    }

    fn failed(&mut self, at: Timestamp, why: impl FnOnce(u32, u32) -> Why) -> Option<Event> {
        let late_news = came_late(at, self.success);
        self.failure = self.failure.max(Some(at));
        if late_news {
            return None;
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.policy.failures || matches!(self.state, State::Failing | State::Paused) {
            return None;
        }
        self.turn(at, State::Failing, why(self.failures, self.policy.failures))
    }

    fn paused(&mut self, at: Timestamp) -> Option<Event> {
        if self.state == State::Paused {
            return None;
        }
        self.put_aside(at, State::Paused, Why::Paused)
    }

    fn resumed(&mut self, at: Timestamp) -> Option<Event> {
        if self.state != State::Paused {
            return None;
        }
        (self.anchor, self.expected) = (at, Asked::No);
        (self.failures, self.successes) = (0, 0);
        // Nobody looked after what ran then; one that still runs says so.
        self.runs = Runs::default();
        let to = if self.success.is_some() { State::Up } else { State::New };
        self.put_aside(at, to, Why::Resumed)
    }

    /// What a person does is told, and ends what was restless.
    fn put_aside(&mut self, at: Timestamp, to: State, why: Why) -> Option<Event> {
        self.turns.clear();
        self.restless = None;
        let from = std::mem::replace(&mut self.state, to);
        self.since = at;
        self.why = (to == State::Paused).then(|| why.clone());
        Some(Event { at, from, to, why })
    }

    fn turn(&mut self, at: Timestamp, to: State, why: Why) -> Option<Event> {
        let from = std::mem::replace(&mut self.state, to);
        self.since = at;
        self.successes = 0;
        self.why = (to != State::Up).then(|| why.clone());
        let told = Event { at, from, to, why };
        if told.is_hint() {
            return self.restless.is_none().then_some(told);
        }
        if self.quiet(at).is_some() {
            self.restless = None;
            self.turns.clear();
        }
        let Some((changes, span)) = self.policy.unsteady else { return Some(told) };
        if let Some(restless) = &mut self.restless {
            restless.last = restless.last.max(at);
            restless.untold = restless.untold.saturating_add(1);
            return None;
        }
        self.turns.retain(|turn| later(*turn, span) > at);
        self.turns.push(at);
        let most = usize::try_from(changes).unwrap_or(usize::MAX);
        if self.turns.len() < most {
            return Some(told);
        }
        self.turns.clear();
        self.restless = Some(Restless { last: at, untold: 0 });
        Some(Event { why: Why::Unsteady { changes, span }, ..told })
    }

    /// For how long nothing has changed, if it was restless and is not any more.
    fn quiet(&self, at: Timestamp) -> Option<Duration> {
        let restless = self.restless?;
        let span = self.policy.unsteady.map_or(Duration::ZERO, |(_, span)| span);
        (at >= later(restless.last, span)).then_some(span)
    }

    fn is_ahead(&self, now: Timestamp) -> bool {
        self.newest() > later(now, AHEAD_MAX)
    }

    fn newest(&self) -> Timestamp {
        let known = [self.success, self.failure, self.start, self.beat, self.runs.newest()];
        let restless = self.restless.map(|restless| restless.last);
        let turned = self.turns.last().copied();
        known.into_iter().chain([restless, turned]).flatten().fold(self.anchor.max(self.since), Ord::max)
    }

    /// The clock was ahead: what is said to be after `now` is taken to be now.
    fn mend(&mut self, now: Timestamp) {
        if self.anchor > now {
            self.expected = Asked::No;
        }
        for at in [&mut self.since, &mut self.anchor].into_iter().chain(&mut self.turns) {
            *at = (*at).min(now);
        }
        for at in [&mut self.success, &mut self.failure, &mut self.start, &mut self.beat] {
            *at = at.map(|at| at.min(now));
        }
        self.runs.mend(now);
        if let Some(restless) = &mut self.restless {
            restless.last = restless.last.min(now);
        }
    }

    /// Works out when something is to be judged next.
    pub(super) fn settle(&mut self) {
        self.wake = self.next();
    }

    fn next(&self) -> Wake {
        if self.state == State::Paused {
            return Wake::Never;
        }
        if self.policy.every.is_none() && self.expected == Asked::No {
            return Wake::AtOnce;
        }
        let grace = self.policy.grace();
        // What is due earlier may be held for longer, so each is held before they are compared.
        let held = |due: Timestamp| self.unseen.map_or(due, |unseen| unseen.held(due, grace));
        let limits = self.limits().filter(|_| self.state < State::Overdue);
        let silent = limits.map(|limits| {
            let sooner = (self.state < State::Late).then_some([Some(limits.late), limits.start]);
            let all = sooner.into_iter().flatten().flatten().map(held);
            all.fold(held(limits.overdue).max(held(limits.late)), Ord::min)
        });
        let span = self.policy.unsteady.map_or(Duration::ZERO, |(_, span)| span);
        let quiet = self.restless.map(|restless| later(restless.last, span));
        let due = [silent, self.runs.due(&self.policy, held), quiet].into_iter().flatten().min();
        due.map_or(Wake::Never, Wake::At)
    }
}

/// Whether a beat of `at` is older than the last one to the contrary because it came late.
fn came_late(at: Timestamp, contrary: Option<Timestamp>) -> bool {
    contrary.is_some_and(|contrary| contrary > at && between(at, contrary) <= OUT_OF_ORDER)
}
