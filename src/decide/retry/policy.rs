//! The knobs: a strategy for each class of fault, and the limits for all of them together.

use std::time::Duration;

use crate::base::backoff::{Backoff, Jitter};
use crate::base::effect::Effect;
use crate::base::fault::Class;
use crate::base::time::{Timestamp, between};

const ATTEMPTS_LIMIT: u32 = 1000;
const FACTOR_LIMIT: u32 = 1000;

/// How often and how slowly the faults of one class are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    pub(super) attempts_max: u32,
    pub(super) backoff: Backoff,
}

impl Strategy {
    /// At most `attempts_max` failures of this class (the first try counts), waiting as `backoff` says.
    #[must_use]
    pub const fn new(attempts_max: u32, backoff: Backoff) -> Self {
        Self { attempts_max, backoff }
    }

    /// One attempt, no second.
    #[must_use]
    pub const fn once() -> Self {
        Self::new(1, Backoff::zero())
    }

    /// The failure of this class that ends the run; 1 to 1000. "Attempts" count the first try.
    #[must_use]
    pub const fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts;
        self
    }

    /// The ceiling of the first wait; at most `delay_max`.
    #[must_use]
    pub const fn delay_base(mut self, base: Duration) -> Self {
        self.backoff = self.backoff.delay_base(base);
        self
    }

    /// What the ceiling is multiplied by after each failure; 1 to 1000.
    #[must_use]
    pub const fn factor(mut self, factor: u32) -> Self {
        self.backoff = self.backoff.factor(factor);
        self
    }

    /// No wait of our own is longer. What a server asked for may be.
    #[must_use]
    pub const fn delay_max(mut self, max: Duration) -> Self {
        self.backoff = self.backoff.delay_max(max);
        self
    }

    /// No wait is shorter; at most `delay_max`.
    #[must_use]
    pub const fn delay_min(mut self, min: Duration) -> Self {
        self.backoff = self.backoff.delay_min(min);
        self
    }

    /// The jitter of the waits.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.backoff = self.backoff.jitter(jitter);
        self
    }
}

/// The instant past which no attempt may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// A wall instant that a person gave.
    At(Timestamp),
    /// When the scheduler will start this job again: that run will do the work anyway.
    BeforeNextRun(Timestamp),
}

impl Deadline {
    /// The instant itself.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        match self {
            Self::At(at) | Self::BeforeNextRun(at) => at,
        }
    }
}

/// When to try again and when to stop. [`Policy::cron`] is the default.
///
/// | knob | [`service`](Policy::service) | [`cron`](Policy::cron) |
/// |---|---|---|
/// | Transient | 4 attempts, 200 ms x2, cap 20 s | 5 attempts, 2 s x2, cap 2 min |
/// | RateLimited | 4, 1 s, cap 60 s | 6, 5 s, cap 10 min |
/// | Unauthorized | one refresh, one attempt at once | the same |
/// | Unknown | 2 attempts, about 1 s apart | 2 attempts, about 5 s apart |
/// | Permanent | stop at once | the same |
/// | `retry_after_max` | 2 min | 15 min |
/// | `elapsed_max` | 30 s | 10 min |
/// | `inline_wait_max` | 5 s | 60 s |
///
/// A run whose failures are of several classes makes in all no more attempts than the largest `attempts_max`.
///
/// Every policy decides without a panic; [`check`](Policy::check) says whether it makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) strategies: [Strategy; 5],
    pub(super) elapsed_max: Option<Duration>,
    pub(super) deadline: Option<Deadline>,
    pub(super) retry_after_max: Duration,
    pub(super) inline_wait_max: Duration,
    pub(super) attempt_min: Duration,
    pub(super) effect: Effect,
}

impl Default for Policy {
    fn default() -> Self {
        Self::cron()
    }
}

impl Policy {
    /// For a job that starts often, runs for minutes and has nobody waiting for it.
    #[must_use]
    pub const fn cron() -> Self {
        let floor = Duration::from_millis(500);
        Self {
            strategies: [
                Strategy::new(5, Backoff::new(secs(2), secs(120)).delay_min(floor)),
                Strategy::new(6, Backoff::new(secs(5), secs(600)).delay_min(floor)),
                Strategy::new(2, Backoff::zero()),
                Strategy::once(),
                about(secs(5)),
            ],
            elapsed_max: Some(secs(600)),
            deadline: None,
            retry_after_max: secs(900),
            inline_wait_max: secs(60),
            attempt_min: Duration::ZERO,
            effect: Effect::Idempotent,
        }
    }

    /// For a long-running program with somebody waiting for the answer.
    #[must_use]
    pub const fn service() -> Self {
        let floor = Duration::from_millis(20);
        Self {
            strategies: [
                Strategy::new(4, Backoff::new(Duration::from_millis(200), secs(20)).delay_min(floor)),
                Strategy::new(4, Backoff::new(secs(1), secs(60)).delay_min(floor)),
                Strategy::new(2, Backoff::zero()),
                Strategy::once(),
                about(secs(1)),
            ],
            elapsed_max: Some(secs(30)),
            deadline: None,
            retry_after_max: secs(120),
            inline_wait_max: secs(5),
            attempt_min: Duration::ZERO,
            effect: Effect::Idempotent,
        }
    }

    /// One attempt, whatever happens.
    #[must_use]
    pub const fn once() -> Self {
        let mut policy = Self::service();
        policy.strategies = [Strategy::once(); 5];
        policy.elapsed_max = None;
        policy
    }

    /// Replaces the strategy of `class`. `Unauthorized` takes at most 2 attempts and `Permanent` exactly 1.
    #[must_use]
    pub const fn strategy(mut self, class: Class, strategy: Strategy) -> Self {
        self.strategies[index(class)] = strategy;
        self
    }

    /// Changes the strategy of [`Class::Transient`].
    ///
    /// ```
    /// use unattended::retry::Policy;
    /// let policy = Policy::cron().transient(|strategy| strategy.attempts_max(3));
    /// assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn transient(self, change: impl FnOnce(Strategy) -> Strategy) -> Self {
        let strategy = change(self.of(Class::Transient));
        self.strategy(Class::Transient, strategy)
    }

    /// Changes the strategy of [`Class::RateLimited`].
    #[must_use]
    pub fn rate_limited(self, change: impl FnOnce(Strategy) -> Strategy) -> Self {
        let strategy = change(self.of(Class::RateLimited));
        self.strategy(Class::RateLimited, strategy)
    }

    /// Changes the strategy of [`Class::Unknown`].
    #[must_use]
    pub fn unknown(self, change: impl FnOnce(Strategy) -> Strategy) -> Self {
        let strategy = change(self.of(Class::Unknown));
        self.strategy(Class::Unknown, strategy)
    }

    /// The time for all attempts and waits together; `None` for no limit. An attempt must fit in before a wait is
    /// begun, and each attempt is told what is left.
    #[must_use]
    pub fn elapsed_max(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.elapsed_max = limit.into();
        self
    }

    /// No further attempt starts after the wall instant `at`.
    #[must_use]
    pub const fn deadline(mut self, at: Timestamp) -> Self {
        self.deadline = Some(Deadline::At(at));
        self
    }

    /// No further attempt starts after `at`, when the scheduler starts this job again.
    #[must_use]
    pub const fn before_next_run(mut self, at: Timestamp) -> Self {
        self.deadline = Some(Deadline::BeforeNextRun(at));
        self
    }

    /// The longest wait that is taken from a server; a longer one is deferred, never cut short.
    #[must_use]
    pub const fn retry_after_max(mut self, limit: Duration) -> Self {
        self.retry_after_max = limit;
        self
    }

    /// The longest wait for which a process is held; a longer one is deferred.
    #[must_use]
    pub const fn inline_wait_max(mut self, limit: Duration) -> Self {
        self.inline_wait_max = limit;
        self
    }

    /// What an attempt needs at least: a wait that leaves less than this before the limit is not begun. Default zero.
    #[must_use]
    pub const fn attempt_min(mut self, least: Duration) -> Self {
        self.attempt_min = least;
        self
    }

    /// What running the operation twice does to the world. Default [`Effect::Idempotent`]; with [`Effect::Unsafe`] a
    /// failure that may have arrived is not retried.
    #[must_use]
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Whether the policy makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the first knob that does not, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        for class in Class::ALL {
            let Strategy { attempts_max, backoff } = self.of(class);
            let (base, factor, min, max, _) = backoff.parts();
            let limit = match class {
                Class::Unauthorized => 2,
                Class::Permanent => 1,
                Class::Transient | Class::RateLimited | Class::Unknown => ATTEMPTS_LIMIT,
            };
            within("attempts_max", class, attempts_max, limit)?;
            within("factor", class, factor, FACTOR_LIMIT)?;
            at_most("delay_base", class, base, max)?;
            at_most("delay_min", class, min, max)?;
        }
        match self.elapsed_max {
            Some(limit) if limit < self.attempt_min => Err(Error::Field {
                field: "attempt_min".into(),
                given: format!("{:?}", self.attempt_min),
                allowed: format!("at most elapsed_max, {limit:?}"),
            }),
            _ => Ok(()),
        }
    }

    /// How often it tries at most, whatever the fault.
    #[must_use]
    pub fn attempts_most(&self) -> u32 {
        self.strategies.iter().map(|strategy| strategy.attempts_max).max().unwrap_or(1)
    }

    /// For how long it waits at most between the first attempt and the last: up to its limit, or as long as its delays add
    /// up to. The attempts themselves are not in it.
    #[must_use]
    pub fn elapsed_most(&self) -> Duration {
        let waits = self.strategies.iter().map(|strategy| {
            let (_, _, _, max, _) = strategy.backoff.parts();
            max.max(self.retry_after_max.min(self.inline_wait_max))
                .saturating_mul(strategy.attempts_max.saturating_sub(1))
        });
        let waits = waits.max().unwrap_or_default();
        self.elapsed_max.map_or(waits, |limit| limit.min(waits))
    }

    /// Whether the time matters to it at all.
    #[inline]
    pub(crate) const fn is_timed(&self) -> bool {
        self.elapsed_max.is_some() || self.deadline.is_some()
    }

    /// Whether the wall time does.
    #[inline]
    pub(crate) const fn needs_wall(&self) -> bool {
        self.deadline.is_some()
    }

    /// The deadline's instant, if there is one.
    pub(crate) fn deadline_at(&self) -> Option<Timestamp> {
        self.deadline.map(Deadline::at)
    }

    /// The longest wait for which a process is held.
    pub(crate) const fn patience(&self) -> Duration {
        self.inline_wait_max
    }

    /// What is left once `spent` is spent, at `wall`, where it is known; `None` for no limit.
    #[inline]
    pub(crate) fn left(&self, spent: Duration, wall: Option<Timestamp>) -> Option<Duration> {
        let left = self.elapsed_max.map(|limit| limit.saturating_sub(spent));
        let (Some(deadline), Some(wall)) = (self.deadline, wall) else { return left };
        let until = between(wall, deadline.at());
        Some(left.map_or(until, |left| left.min(until)))
    }

    /// The smaller of the limit there is and `limit`.
    pub(crate) fn elapsed_at_most(mut self, limit: Duration) -> Self {
        self.elapsed_max = Some(self.elapsed_max.map_or(limit, |own| own.min(limit)));
        self
    }

    pub(super) const fn of(&self, class: Class) -> Strategy {
        self.strategies[index(class)]
    }

    /// The bound over all classes.
    pub(super) fn attempts_max_in_all(&self) -> u32 {
        self.strategies.iter().map(|strategy| strategy.attempts_max).max().unwrap_or(1).max(1)
    }
}

/// A policy that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("retry policy: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob, such as `transient.delay_min`.
        field: String,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A saved run in a format that this version does not know.
    #[error("saved retry run has version {found}, this program knows {known}")]
    Version {
        /// The version in the saved value.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
}

fn within(knob: &str, class: Class, given: u32, limit: u32) -> Result<(), Error> {
    if (1..=limit).contains(&given) {
        return Ok(());
    }
    Err(Error::Field {
        field: format!("{class}.{knob}"),
        given: given.to_string(),
        allowed: if limit == 1 { "1".into() } else { format!("1 to {limit}") },
    })
}

fn at_most(knob: &str, class: Class, given: Duration, max: Duration) -> Result<(), Error> {
    if given <= max {
        return Ok(());
    }
    Err(Error::Field {
        field: format!("{class}.{knob}"),
        given: format!("{given:?}"),
        allowed: format!("at most delay_max, {max:?}"),
    })
}

/// Two attempts, half to one and a half of `wait` apart.
const fn about(wait: Duration) -> Strategy {
    let (half, most) =
        (Duration::from_millis(half_millis(wait)), Duration::from_millis(half_millis(wait) * 3));
    Strategy::new(2, Backoff::new(most, most).delay_min(half))
}

/// Half of `wait`, in milliseconds.
const fn half_millis(wait: Duration) -> u64 {
    wait.as_secs().saturating_mul(500)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn index(class: Class) -> usize {
    match class {
        Class::Transient => 0,
        Class::RateLimited => 1,
        Class::Unauthorized => 2,
        Class::Permanent => 3,
        Class::Unknown => 4,
    }
}
