//! The pure state: a request for admission or an outcome, and the time, in; what to do and why out.

use std::time::Duration;

use crate::base::backoff::{Backoff, Jitter, lengthened, percent_of};
use crate::base::fault::Class;
use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, Timestamp, between, later, millis};
use crate::decide::breaker::policy::{Error, Mode, Policy};
use crate::decide::breaker::reason::{Admit, Allowing, Cause, Moved, Refusing, Standing, Unmoved};
use crate::decide::breaker::snapshot::{Restored, Snapshot};
use crate::decide::breaker::state::{Block, HalfOpen, Instant, Lease, STAGE_LAST, State};
use crate::decide::breaker::window::{At, Counted, Timed, reaches};

/// How far the open interval grows; by then any factor above 1 has reached its cap.
const LEVEL_MAX: u32 = 64;

/// A server's hint opens for at most this, so that one wrong header cannot close a dependency for a year.
const HINT_MAX: Duration = Duration::from_secs(86_400);

/// How a permitted call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// It failed. [`Class::Permanent`] and [`Class::Unauthorized`] prove that the service is alive: a success for the
    /// breaker, whatever they are for the caller.
    Failure(Class),
    /// It succeeded, but took longer than the policy's slow-call rule allows.
    Slow,
    /// Nobody knows, nobody cares: the future was dropped. It frees its slot and scores nothing.
    Abandoned,
}

/// The right to make one call. It cannot be copied; hand it back with the outcome.
#[must_use = "a permit that is not settled holds its probe until the lease ends"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    pub(super) generation: u32,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counted,
    Probe(u32),
    Unscored,
}

impl Permit {
    /// The same right once more: for a store's compare-and-set that has to be done again. Only one of the two may be
    /// settled for good.
    #[cfg(feature = "store")]
    pub(crate) const fn twin(&self) -> Self {
        Self { generation: self.generation, kind: self.kind }
    }

    /// The right to a call that is not scored: nobody could be asked.
    #[cfg(feature = "store")]
    pub(crate) const fn unscored() -> Self {
        Self { generation: 0, kind: Kind::Unscored }
    }

    /// Whether what becomes of it matters to the breaker.
    pub(crate) const fn is_scored(&self) -> bool {
        !matches!(self.kind, Kind::Unscored)
    }

    /// Whether it was given in another state than that of this number, and settling it moves nothing any more.
    pub(crate) const fn is_of_another(&self, generation: u32) -> bool {
        self.is_scored() && self.generation != generation
    }

    /// Whether it is the right to a probe.
    #[cfg(feature = "store")]
    pub(crate) const fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe(_))
    }
}

/// One breaker, pure: it reads no clock and takes no lock. [`Breaker`](crate::decide::breaker::Breaker) is the one for
/// many threads.
#[derive(Debug)]
pub struct Machine {
    pub(super) policy: Policy,
    pub(super) forced: Option<Mode>,
    pub(super) rng: Rng,
    pub(super) state: State,
    pub(super) generation: u32,
    pub(super) level: u32,
    pub(super) closed: Instant,
    pub(super) consecutive: u32,
    pub(super) rate: Option<Counted>,
    pub(super) slow: Option<Counted>,
    pub(super) timed: Option<Timed>,
    pub(super) block: Option<Block>,
}

impl Machine {
    /// A closed breaker, at `now`. `seed` decides the jitter of its open intervals.
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn new(policy: Policy, seed: u64, now: Now) -> Result<Self, Error> {
        policy.check()?;
        Ok(Self::fresh(policy, seed, now))
    }

    /// The same, of a policy that has been checked.
    pub(super) fn fresh(policy: Policy, seed: u64, now: Now) -> Self {
        Self {
            policy,
            forced: None,
            rng: Rng::seeded(seed),
            state: State::Closed,
            generation: 0,
            level: 0,
            closed: Instant::of(now),
            consecutive: 0,
            rate: policy.rate.map(|rate| Counted::new(rate.calls, rate.within)),
            slow: policy.slow_rate.map(|rate| Counted::new(rate.calls, None)),
            timed: policy.time_rate.map(|rate| Timed::new(rate.window)),
            block: None,
        }
    }

    /// Whether a call may be made now.
    pub fn admit(&mut self, now: Now) -> Admit {
        let unscored = Permit { generation: self.generation, kind: Kind::Unscored };
        match self.mode() {
            Mode::Disabled => return Admit::Allow { permit: unscored, why: Allowing::Disabled },
            Mode::ForcedOpen => {
                return Admit::Refuse {
                    why: Refusing::ForcedOpen,
                    retry_at: later(now.wall, self.policy.open),
                };
            }
            Mode::Enforce | Mode::Shadow => {}
        }
        match self.enter(Instant::of(now)) {
            Ok((permit, why)) => Admit::Allow { permit, why },
            Err((instead_of, _)) if self.mode() == Mode::Shadow => {
                let unscored = Permit { generation: self.generation, kind: Kind::Unscored };
                Admit::Allow { permit: unscored, why: Allowing::Shadow { instead_of } }
            }
            Err((why, retry_at)) => Admit::Refuse { why, retry_at },
        }
    }

    /// Takes the outcome of a permitted call.
    pub fn settle(&mut self, permit: Permit, outcome: Outcome, now: Now) -> Moved {
        self.settle_hinted(permit, outcome, None, now)
    }

    /// The same, with how long the server asked to be left alone: if this outcome opens the breaker, it opens for that
    /// long (at most a day).
    pub fn settle_hinted(
        &mut self,
        permit: Permit,
        outcome: Outcome,
        hint: Option<Duration>,
        now: Now,
    ) -> Moved {
        let Permit { generation, kind } = permit;
        if kind == Kind::Unscored || self.mode() == Mode::Disabled {
            return Moved::None { why: Unmoved::Unscored };
        }
        let now = Instant::of(now);
        if let (Kind::Probe(_), true, Some(moved)) = (&kind, generation == self.generation, self.expire(now))
        {
            return moved;
        }
        if generation != self.generation {
            return Moved::None { why: Unmoved::Stale { permit: generation, current: self.generation } };
        }
        match kind {
            Kind::Probe(id) => self.settle_probe(id, outcome, hint, now),
            Kind::Counted | Kind::Unscored => self.settle_counted(outcome, hint, now),
        }
    }

    /// The dependency asked to be left alone for `wait` (a 429 with `Retry-After`): refuses every call until then, in
    /// any state. Never shortens an earlier one. Answers until when.
    pub fn block(&mut self, wait: Duration, now: Now) -> Timestamp {
        let now = Instant::of(now);
        let until = now.after(wait);
        match self.block {
            Some(block) if block.until.at >= until.at => block.until.wall,
            _ => {
                self.block = Some(Block { set: now.wall, until });
                until.wall
            }
        }
    }

    /// Why a call at `now` would be refused, and until when; `None` if it would not. Reading this changes nothing.
    #[must_use]
    pub fn refusal(&self, now: Now) -> Option<(Refusing, Timestamp)> {
        match self.mode() {
            Mode::Disabled | Mode::Shadow => return None,
            Mode::ForcedOpen => return Some((Refusing::ForcedOpen, later(now.wall, self.policy.open))),
            Mode::Enforce => {}
        }
        let now = Instant::of(now);
        if let Some(refusal) = self.blocked(now) {
            return Some(refusal);
        }
        match &self.state {
            State::Closed => None,
            State::Open { since, open_for, cause } => still_open(*since, *open_for, *cause, now),
            State::HalfOpen(half) => match half.first_to_end() {
                Some(end) if end.at <= now.at => still_open(end, self.interval(), self.lease_expired(), now),
                _ if half.taken() < half.allowance(&self.policy) => None,
                _ => Some(probing(half, &self.policy, now)),
            },
        }
    }

    /// The state as it was left; an interval that is over is noticed by the next [`admit`](Self::admit).
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.state {
            State::Closed => Standing::Closed,
            State::Open { .. } => Standing::Open,
            State::HalfOpen(_) => Standing::HalfOpen,
        }
    }

    /// How often the state has changed. A permit is of the generation in which it was given.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The mode: what a person has set, else the policy's.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.forced.unwrap_or(self.policy.mode)
    }

    /// Sets the mode by hand, over the policy's; `None` gives it back to the policy. It is saved.
    pub const fn force(&mut self, mode: Option<Mode>) {
        self.forced = mode;
    }

    /// Closes it by hand and lifts any block; what was learned about how long to stay open is forgotten.
    pub fn close(&mut self, now: Now) {
        self.block = None;
        self.level = 0;
        self.turn_closed(Instant::of(now));
    }

    /// Takes over what `snapshot` holds, with this policy.
    pub(crate) fn adopt(&mut self, snapshot: &Snapshot, now: Now) -> Result<Restored, Error> {
        let seed = self.rng.next_u64();
        let (machine, restored) = Self::restore(self.policy, snapshot, seed, now)?;
        *self = machine;
        Ok(restored)
    }

    /// A success of which only the instant is known: enough while Closed, where a success never moves anything.
    pub(super) fn succeeded_at(&mut self, permit: Permit, at: Moment) -> Result<(), Permit> {
        let plain = permit.kind == Kind::Counted && permit.generation == self.generation;
        if !plain || self.mode() == Mode::Disabled || !matches!(self.state, State::Closed) {
            return Err(permit);
        }
        self.good(1, At::try_from(at.as_nanos()).unwrap_or(At::MAX));
        Ok(())
    }

    /// Successes of another process, at about `now`: they count in the windows, yet end no row of failures, because
    /// nobody knows which came first.
    #[cfg(feature = "store")]
    pub(crate) fn credit(&mut self, count: u32, now: Now) {
        let consecutive = self.consecutive;
        if count > 0 && matches!(self.state, State::Closed) {
            self.good(count, Instant::of(now).at);
            self.consecutive = consecutive;
        }
    }

    /// Generation, block and state.
    #[cfg(feature = "store")]
    pub(crate) fn mark(&self) -> (u32, Option<Timestamp>, Standing) {
        (self.generation, self.block.map(|block| block.until.wall), self.standing())
    }

    /// Successes that many, of this generation, without their times. Only while no rule asks for the time.
    pub(super) fn successes(&mut self, count: u32) {
        if count > 0 && matches!(self.state, State::Closed) {
            self.good(count, 0);
        }
    }

    /// How many successes in a row until one more changes nothing; `None` outside of Closed.
    pub(super) fn until_clean(&self) -> Option<usize> {
        matches!(self.state, State::Closed).then(|| {
            let rate = self.rate.as_ref().map_or(0, Counted::until_clean);
            let slow = self.slow.as_ref().map_or(0, Counted::until_clean);
            rate.max(slow).max(usize::from(self.consecutive > 0))
        })
    }

    /// Whether a rule needs the time of every call, or how long it took.
    pub(super) fn needs_time(&self) -> bool {
        self.timed.is_some() || self.slow.is_some() || self.rate.as_ref().is_some_and(Counted::is_timed)
    }

    fn enter(&mut self, now: Instant) -> Result<(Permit, Allowing), (Refusing, Timestamp)> {
        if let Some(refusal) = self.blocked(now) {
            return Err(refusal);
        }
        self.block = None;
        let _noticed = self.expire(now);
        if let State::Open { since, open_for, cause } = self.state {
            if let Some(refusal) = still_open(since, open_for, cause, now) {
                return Err(refusal);
            }
            self.generation = self.generation.wrapping_add(1);
            self.state = State::HalfOpen(HalfOpen::new());
        }
        let generation = self.generation;
        let State::HalfOpen(half) = &mut self.state else {
            return Ok((Permit { generation, kind: Kind::Counted }, Allowing::Closed));
        };
        let (number, of) = (half.taken().saturating_add(1), half.allowance(&self.policy));
        if number <= of {
            let id = half.next_id;
            half.next_id = id.wrapping_add(1);
            half.leases.push(Lease { id, until: now.after(self.policy.lease) });
            return Ok((Permit { generation, kind: Kind::Probe(id) }, Allowing::Probe { number, of }));
        }
        Err(probing(half, &self.policy, now))
    }

    /// A lease that has ended counts as a failure at the instant at which it ended, whoever looks, and whenever.
    fn expire(&mut self, now: Instant) -> Option<Moved> {
        let State::HalfOpen(half) = &self.state else { return None };
        let end = half.first_to_end().filter(|end| end.at <= now.at)?;
        Some(self.reopen(self.lease_expired(), None, end))
    }

    fn settle_probe(&mut self, id: u32, outcome: Outcome, hint: Option<Duration>, now: Instant) -> Moved {
        let needed = self.policy.successes;
        let State::HalfOpen(half) = &mut self.state else {
            return Moved::None { why: Unmoved::Abandoned };
        };
        half.leases.retain(|lease| lease.id != id);
        let cause = match outcome {
            Outcome::Abandoned => return Moved::None { why: Unmoved::Abandoned },
            Outcome::Slow if self.policy.slow_rate.is_some() => Cause::ProbeSlow,
            Outcome::Failure(Class::Unknown) if !half.undecided => {
                // No category yet: it proves nothing either way, once.
                half.undecided = true;
                return Moved::None { why: Unmoved::Probing { passed: half.passed, needed } };
            }
            Outcome::Failure(class) if !is_alive(class) => Cause::ProbeFailed { class },
            Outcome::Success | Outcome::Slow | Outcome::Failure(_) => {
                half.passed = half.passed.saturating_add(1);
                half.passed_in_stage = half.passed_in_stage.saturating_add(1);
                if half.passed_in_stage >= half.allowance(&self.policy) {
                    half.stage = half.stage.saturating_add(1).min(STAGE_LAST);
                    half.passed_in_stage = 0;
                }
                let passed = half.passed;
                if passed < needed {
                    return Moved::None { why: Unmoved::Probing { passed, needed } };
                }
                self.turn_closed(now);
                return Moved::Close { passed, needed };
            }
        };
        self.reopen(cause, hint, now)
    }

    fn settle_counted(&mut self, outcome: Outcome, hint: Option<Duration>, now: Instant) -> Moved {
        let cause = match outcome {
            Outcome::Abandoned => return Moved::None { why: Unmoved::Abandoned },
            Outcome::Failure(class) if !is_alive(class) => self.bad(now.at),
            Outcome::Slow if self.policy.slow_rate.is_some() => self.slow(now.at),
            Outcome::Success | Outcome::Slow | Outcome::Failure(_) => {
                self.good(1, now.at);
                None
            }
        };
        let Some(why) = cause else {
            return Moved::None { why: Unmoved::Counted { consecutive: self.consecutive } };
        };
        // Only a healthy period makes the interval shrink, by one step each.
        let periods = now.since(self.closed).as_nanos() / self.policy.healthy.as_nanos().max(1);
        self.level = self.level.saturating_sub(u32::try_from(periods).unwrap_or(u32::MAX));
        let (open_for, retry_at) = self.turn_open(why, hint, now);
        Moved::Trip { why, open_for, retry_at }
    }

    fn good(&mut self, count: u32, at: At) {
        self.consecutive = 0;
        for window in [&mut self.rate, &mut self.slow].into_iter().flatten() {
            window.push_good(at, count);
        }
        if let Some(timed) = &mut self.timed {
            timed.add(at, count, 0);
        }
    }

    /// A failure is counted; which rule trips, if any. The rules are looked at on failures only.
    fn bad(&mut self, at: At) -> Option<Cause> {
        self.consecutive = self.consecutive.saturating_add(1);
        let mut cause = None;
        if let (Some(timed), Some(rule)) = (&mut self.timed, self.policy.time_rate) {
            timed.push(at, true);
            let (failures, calls) = timed.totals(at);
            if reaches(failures, calls, rule.percent, rule.min) {
                let window_ms = millis(rule.window);
                cause = Some(Cause::TimeRate { failures, calls, percent: rule.percent, window_ms });
            }
        }
        if let (Some(window), Some(rule)) = (&mut self.rate, self.policy.rate) {
            window.push(at, true);
            let (failures, calls) = window.totals(at);
            if reaches(failures, calls, rule.percent, rule.min) {
                cause = Some(Cause::Rate { failures, calls, percent: rule.percent });
            }
        }
        match self.policy.consecutive {
            Some(limit) if self.consecutive >= limit => {
                Some(Cause::Consecutive { failures: self.consecutive, limit })
            }
            _ => cause,
        }
    }

    /// A slow success is counted; whether that rule trips.
    fn slow(&mut self, at: At) -> Option<Cause> {
        self.consecutive = 0;
        if let Some(window) = &mut self.rate {
            window.push(at, false);
        }
        if let Some(timed) = &mut self.timed {
            timed.push(at, false);
        }
        let (Some(window), Some(rule)) = (&mut self.slow, self.policy.slow_rate) else { return None };
        window.push(at, true);
        let (slow, calls) = window.totals(at);
        reaches(slow, calls, rule.percent, rule.min).then_some(Cause::SlowRate {
            slow,
            calls,
            percent: rule.percent,
        })
    }

    fn reopen(&mut self, why: Cause, hint: Option<Duration>, at: Instant) -> Moved {
        let (open_for, retry_at) = self.turn_open(why, hint, at);
        Moved::Reopen { why, open_for, retry_at }
    }

    fn turn_open(&mut self, cause: Cause, hint: Option<Duration>, since: Instant) -> (Duration, Timestamp) {
        let base = hint.map_or_else(|| self.interval(), |hint| hint.min(HINT_MAX));
        let open_for = lengthened(base, percent_of(base, self.policy.open_jitter), &mut self.rng);
        self.level = self.level.saturating_add(1).min(LEVEL_MAX);
        self.turn(State::Open { since, open_for, cause });
        (open_for, later(since.wall, open_for))
    }

    fn turn_closed(&mut self, now: Instant) {
        self.closed = now;
        self.turn(State::Closed);
    }

    /// Every change of state begins a generation, with nothing counted.
    fn turn(&mut self, state: State) {
        self.state = state;
        self.generation = self.generation.wrapping_add(1);
        self.forget();
    }

    pub(super) fn forget(&mut self) {
        self.consecutive = 0;
        for window in [&mut self.rate, &mut self.slow].into_iter().flatten() {
            window.clear();
        }
        if let Some(timed) = &mut self.timed {
            timed.clear();
        }
    }

    /// How long it opens the next time, before jitter.
    fn interval(&self) -> Duration {
        Backoff::new(self.policy.open, self.policy.open_max)
            .factor(self.policy.open_factor)
            .jitter(Jitter::None)
            .ceiling(self.level)
    }

    fn lease_expired(&self) -> Cause {
        Cause::LeaseExpired { lease_ms: millis(self.policy.lease) }
    }

    fn blocked(&self, now: Instant) -> Option<(Refusing, Timestamp)> {
        let until = self.block?.until;
        (now.at < until.at).then(|| (Refusing::Blocked { remaining: until.since(now) }, until.wall))
    }
}

fn probing(half: &HalfOpen, policy: &Policy, now: Instant) -> (Refusing, Timestamp) {
    let needed = policy.successes;
    let why = Refusing::Probing { in_flight: half.in_flight(), passed: half.passed, needed };
    (why, half.first_to_end().unwrap_or(now).wall)
}

fn still_open(
    since: Instant,
    open_for: Duration,
    cause: Cause,
    now: Instant,
) -> Option<(Refusing, Timestamp)> {
    let end = since.after(open_for);
    (now.at < end.at).then(|| {
        let remaining = end.since(now);
        (Refusing::Open { cause, open_for, remaining }, end.wall)
    })
}

/// Whether a fault of that class proves that the service is alive.
const fn is_alive(class: Class) -> bool {
    match class {
        Class::Permanent | Class::Unauthorized => true,
        Class::Transient | Class::RateLimited | Class::Unknown => false,
    }
}

/// How long until the wall instant `to`, at most `limit`.
pub(super) fn until_at_most(from: Timestamp, to: Timestamp, limit: Duration) -> Duration {
    between(from, to).min(limit)
}
