//! How often something may happen in this process, in all and for each key.
//!
//! The rule is GCRA (ITU-T I.371), by the crate governor: `limit` in a `period`, evenly, and a `burst` of them at once
//! after a rest. Time is given by the caller, so a limit runs on simulated time; a moment before the last one that was
//! given counts as that. What is counted dies with the process.
//!
//! ```
//! use std::time::Duration;
//! use unattended::limit::{Admit, Rate};
//! use unattended::time::Moment;
//!
//! let rate = Rate::per_second(2)?;
//! let now = Moment::ZERO;
//! assert_eq!(rate.admit(now), Admit::Allow);
//! assert_eq!(rate.admit(now), Admit::Allow);
//! let Admit::Refuse { wait, .. } = rate.admit(now) else { panic!("three in no time") };
//! assert_eq!(wait, Duration::from_millis(500));
//! assert_eq!(rate.admit(now.after(wait)), Admit::Allow);
//! # Ok::<(), unattended::limit::Error>(())
//! ```

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};

use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::Moment;

/// The longest period, and the longest rest after which a full burst is allowed again: a year.
pub const PERIOD_MAX: Duration = Duration::from_secs(366 * 86_400);

/// How many keys are kept unless told otherwise.
pub const KEYS_MAX: usize = 10_000;

/// Half of the clock's range: room for what is added to a moment.
const MOMENT_MAX: u64 = u64::MAX / 2;

type Direct = RateLimiter<NotKeyed, InMemoryState, Given, NoOpMiddleware<Nanos>>;
type Keyed = RateLimiter<Box<str>, Keys, Given, NoOpMiddleware<Nanos>>;

/// Whether it may happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is refused must not happen"]
pub enum Admit {
    /// It may, and is counted.
    Allow,
    /// It may not, and is not counted.
    Refuse {
        /// How long until asking again makes sense.
        wait: Duration,
        /// Why not.
        why: Refusing,
    },
}

/// Why it may not happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// As many as are allowed have happened.
    Spent {
        /// How many are allowed in a period.
        limit: u32,
        /// The period.
        period: Duration,
        /// How many are allowed at once.
        burst: u32,
    },
    /// More at once than are ever allowed at once: waiting does not help.
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// How many are allowed at once.
        burst: u32,
    },
    /// As many keys as are kept are all in use, and this is another.
    KeysFull {
        /// How many are kept.
        keys_max: usize,
    },
}

/// A limit that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rate limit: {field} is {given}, allowed is {allowed}")]
#[non_exhaustive]
pub struct Error {
    /// Which knob.
    pub field: &'static str,
    /// What it is.
    pub given: String,
    /// What it may be.
    pub allowed: &'static str,
}

/// So many in a time, checked and ready for the engine.
#[derive(Clone, Copy, Debug)]
struct Rule {
    limit: u32,
    period: Duration,
    burst: NonZeroU32,
    quota: Quota,
}

impl Rule {
    fn new(limit: u32, period: Duration, burst: u32) -> Result<Self, Error> {
        let error =
            |field, given: &dyn fmt::Debug, allowed| Error { field, given: format!("{given:?}"), allowed };
        let Some(count) = NonZeroU32::new(limit) else { return Err(error("limit", &limit, "at least 1")) };
        let Some(at_once) = NonZeroU32::new(burst) else { return Err(error("burst", &burst, "at least 1")) };
        if period.is_zero() || period > PERIOD_MAX {
            return Err(error("period", &period, "more than zero, at most 366 days"));
        }
        let interval = period / count.get();
        if interval.is_zero() {
            return Err(error("limit", &limit, "at most one in each nanosecond"));
        }
        if interval.checked_mul(burst).is_none_or(|rest| rest > PERIOD_MAX) {
            return Err(error("burst", &burst, "what is allowed in 366 days"));
        }
        let Some(quota) = Quota::with_period(interval) else {
            return Err(error("period", &period, "more than zero, at most 366 days"));
        };
        Ok(Self { limit, period, burst: at_once, quota: quota.allow_burst(at_once) })
    }

    const fn refuse(&self, wait: Duration) -> Admit {
        let why = Refusing::Spent { limit: self.limit, period: self.period, burst: self.burst.get() };
        Admit::Refuse { wait, why }
    }

    const fn too_many(&self, asked: u32) -> Admit {
        // Never, as far as a timer can tell.
        let why = Refusing::TooMany { asked, burst: self.burst.get() };
        Admit::Refuse { wait: PERIOD_MAX, why }
    }
}

/// A limit for all together. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Rate {
    rule: Rule,
    given: Given,
    limiter: Arc<Direct>,
}

impl Rate {
    /// `limit` in a `period`, evenly, and at most `burst` at once after a rest.
    ///
    /// # Errors
    ///
    /// [`Error`] for a zero, a period over 366 days, more than one in a nanosecond, and a burst that takes longer than
    /// 366 days to be allowed again.
    pub fn new(limit: u32, period: Duration, burst: u32) -> Result<Self, Error> {
        let (rule, given) = (Rule::new(limit, period, burst)?, Given::default());
        let limiter = Arc::new(RateLimiter::direct_with_clock(rule.quota, given.clone()));
        Ok(Self { rule, given, limiter })
    }

    /// `limit` a second, all of them at once after a second's rest.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_second(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(1), limit)
    }

    /// `limit` a minute, all of them at once after a minute's rest.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn per_minute(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(60), limit)
    }

    /// Whether one may happen at `now`.
    pub fn admit(&self, now: Moment) -> Admit {
        let now = self.given.set(now);
        self.limiter.check().map_or_else(|until| self.rule.refuse(wait(&until, now)), |()| Admit::Allow)
    }

    /// Whether `weight` may happen at `now`, all of them or none. None at all always may.
    pub fn admit_n(&self, weight: u32, now: Moment) -> Admit {
        let Some(weight) = NonZeroU32::new(weight) else { return Admit::Allow };
        // Asked here: governor multiplies before it compares.
        if weight > self.rule.burst {
            return self.rule.too_many(weight.get());
        }
        let now = self.given.set(now);
        match self.limiter.check_n(weight) {
            Ok(Ok(())) => Admit::Allow,
            Ok(Err(until)) => self.rule.refuse(wait(&until, now)),
            Err(_over) => self.rule.too_many(weight.get()),
        }
    }
}

/// A limit for each key: an account, a host. Cheap to clone; clones count together.
///
/// At most 10,000 keys are kept unless told otherwise. At that bound those that have had their rest are forgotten, for
/// they are as good as new; where none has, another key is refused until one may have.
#[derive(Clone)]
pub struct KeyedRate {
    rule: Rule,
    given: Given,
    limiter: Arc<Keyed>,
    keys: Keys,
    keys_max: usize,
    /// Held while one is admitted, so that the bound on the keys is one: until when none of them has had its rest.
    full_until: Arc<Mutex<u64>>,
}

impl KeyedRate {
    /// `limit` in a `period` for each key, evenly, and at most `burst` at once after a rest.
    ///
    /// # Errors
    ///
    /// As [`Rate::new`].
    pub fn new(limit: u32, period: Duration, burst: u32) -> Result<Self, Error> {
        let (rule, given) = (Rule::new(limit, period, burst)?, Given::default());
        let keys = Keys::default();
        let limiter = Arc::new(RateLimiter::new(rule.quota, keys.clone(), given.clone()));
        Ok(Self { rule, given, limiter, keys, keys_max: KEYS_MAX, full_until: Arc::default() })
    }

    /// `limit` a second for each key, all of them at once after a second's rest.
    ///
    /// # Errors
    ///
    /// As [`Rate::new`].
    pub fn per_second(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(1), limit)
    }

    /// `limit` a minute for each key, all of them at once after a minute's rest.
    ///
    /// # Errors
    ///
    /// As [`Rate::new`].
    pub fn per_minute(limit: u32) -> Result<Self, Error> {
        Self::new(limit, Duration::from_secs(60), limit)
    }

    /// How many keys are kept; default 10,000. Zero counts as 1.
    #[must_use]
    pub const fn keys_max(mut self, keys: usize) -> Self {
        self.keys_max = if keys == 0 { 1 } else { keys };
        self
    }

    /// How many keys are kept at present.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.lock().len()
    }

    /// Whether one may happen for `key` at `now`.
    pub fn admit(&self, key: &str, now: Moment) -> Admit {
        let now = self.given.set(now);
        let mut full_until = self.full_until.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rested) = self.keys.full_until(key, self.keys_max, now, &mut full_until) {
            let why = Refusing::KeysFull { keys_max: self.keys_max };
            return Admit::Refuse { wait: Duration::from_nanos(rested.saturating_sub(now.as_u64())), why };
        }
        let checked = self.limiter.check_key(&Box::from(key));
        checked.map_or_else(|until| self.rule.refuse(wait(&until, now)), |()| Admit::Allow)
    }
}

/// The states of the keys: for each the instant at which it has had its rest, as governor counts it.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<HashMap<Box<str>, u64>>>);

impl Keys {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When there is no room for `key`: when there may be. `known` is what the last look found, so that a flood of new
    /// keys does not look through all of them each time.
    fn full_until(&self, key: &str, keys_max: usize, now: Nanos, known: &mut u64) -> Option<u64> {
        let mut keys = self.lock();
        if keys.len() < keys_max || keys.contains_key(key) {
            return None;
        }
        if now.as_u64() >= *known {
            keys.retain(|_, rested| *rested > now.as_u64());
            *known = if keys.len() < keys_max { 0 } else { keys.values().copied().min().unwrap_or_default() };
        }
        (keys.len() >= keys_max).then_some(*known)
    }
}

impl StateStore for Keys {
    type Key = Box<str>;

    fn measure_and_replace<T, F, E>(&self, key: &Box<str>, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut keys = self.lock();
        let known = keys.get_mut(key);
        let (decision, rested) = f(known.as_deref().copied().map(Nanos::from))?;
        match known {
            Some(known) => *known = rested.as_u64(),
            None => drop(keys.insert(key.clone(), rested.as_u64())),
        }
        Ok(decision)
    }
}

/// A clock that says the last moment that was given to it.
#[derive(Clone, Debug, Default)]
struct Given(Arc<AtomicU64>);

impl Given {
    /// Moves it to `now`, never back, and says what it is then.
    fn set(&self, now: Moment) -> Nanos {
        let now = now.as_nanos().min(MOMENT_MAX);
        Nanos::from(self.0.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

impl clock::Clock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.load(Ordering::Relaxed))
    }
}

fn wait(until: &NotUntil<Nanos>, now: Nanos) -> Duration {
    until.wait_time_from(now)
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::Spent { .. } => "limit.spent",
            Self::TooMany { .. } => "limit.too_many",
            Self::KeysFull { .. } => "limit.keys_full",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spent { limit, period, burst } => {
                write!(
                    f,
                    "{limit} in {} are allowed, {burst} of them at once, and so many have happened",
                    text::exact(*period)
                )
            }
            Self::TooMany { asked, burst } => {
                write!(f, "{asked} were asked for at once, and never more than {burst} are allowed")
            }
            Self::KeysFull { keys_max } => {
                write!(f, "all of {keys_max} keys are in use, and this is another")
            }
        }
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rate").field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRate")
            .field("rule", &self.rule)
            .field("keys_max", &self.keys_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
