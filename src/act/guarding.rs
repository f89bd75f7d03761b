//! A call through a breaker: ask, make it, tell. The permit is in a guard, so a call that is dropped frees its slot.

use crate::act::classifier::{By, ByTrait, Classifier};
use crate::act::log;
use crate::base::fault::{Class, Classify, Fault};
use crate::base::rng;
use crate::base::time::{Clock, Moment, Now, System, Timestamp};
use crate::decide::breaker::{self, Admit, Breaker, Moved, Outcome, Permit, Policy, Stopped};

impl Breaker {
    /// A closed breaker for the dependency `name`.
    ///
    /// ```
    /// use unattended::breaker::{Breaker, Policy, Stopped};
    ///
    /// let youtube = Breaker::new("youtube", Policy::cron())?;
    /// let page = youtube.call_blocking(|| Ok::<_, std::io::Error>("page"));
    /// assert_eq!(page.unwrap(), "page");
    /// # Ok::<(), unattended::breaker::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn new(name: impl Into<String>, policy: Policy) -> Result<Self, breaker::Error> {
        Self::seeded(name, policy, rng::entropy(), System.now())
    }

    /// Makes the call if the breaker allows it, on this thread.
    ///
    /// # Errors
    ///
    /// [`Stopped::Refused`] when it was not made, [`Stopped::Failed`] with its error when it was.
    #[inline]
    pub fn call_blocking<T, E: Classify>(&self, op: impl FnOnce() -> Result<T, E>) -> Result<T, Stopped<E>> {
        self.on(&System).call_blocking(op)
    }

    /// Makes the call if the breaker allows it. A future that is dropped half-way scores nothing.
    ///
    /// # Errors
    ///
    /// As [`call_blocking`](Self::call_blocking).
    #[inline]
    pub async fn call<T, E, F, Fut>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Classify,
    {
        self.on(&System).call(op).await
    }

    /// Judges by `clock`, such as a simulated one.
    #[inline]
    pub const fn on<'a, K: Clock>(&'a self, clock: &'a K) -> Guarding<'a, K> {
        Guarding { breaker: self, clock, classify: ByTrait }
    }

    /// Says what an error means.
    pub const fn classify<E, F: Fn(&E) -> Fault>(&self, classify: F) -> Guarding<'_, System, By<F>> {
        Guarding { breaker: self, clock: &System, classify: By(classify) }
    }
}

/// A breaker about to guard a call: by which clock, how errors are classified.
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until it makes a call"]
pub struct Guarding<'a, K = System, C = ByTrait> {
    breaker: &'a Breaker,
    clock: &'a K,
    classify: C,
}

impl<'a, K: Clock, C> Guarding<'a, K, C> {
    /// Judges by `clock`, such as a simulated one.
    pub fn on<L: Clock>(self, clock: &'a L) -> Guarding<'a, L, C> {
        Guarding { breaker: self.breaker, clock, classify: self.classify }
    }

    /// Says what an error means.
    pub fn classify<E, F: Fn(&E) -> Fault>(self, classify: F) -> Guarding<'a, K, By<F>> {
        Guarding { breaker: self.breaker, clock: self.clock, classify: By(classify) }
    }

    /// Makes the call if the breaker allows it, on this thread.
    ///
    /// # Errors
    ///
    /// [`Stopped::Refused`] when it was not made, [`Stopped::Failed`] with its error when it was.
    #[inline]
    pub fn call_blocking<T, E>(&self, op: impl FnOnce() -> Result<T, E>) -> Result<T, Stopped<E>>
    where
        C: Classifier<E>,
    {
        let guard = Guard::admit(self.breaker, self.clock)
            .map_err(|(why, retry_at)| Stopped::Refused { why, retry_at })?;
        match op() {
            Ok(value) => {
                guard.succeeded();
                Ok(value)
            }
            Err(last) => {
                let _moved = guard.failed(&self.classify.fault(&last), self.clock.now());
                Err(Stopped::Failed { last })
            }
        }
    }

    /// Makes the call if the breaker allows it. A future that is dropped half-way scores nothing.
    ///
    /// # Errors
    ///
    /// As [`call_blocking`](Self::call_blocking).
    #[inline]
    pub async fn call<T, E, F, Fut>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
    {
        let guard = Guard::admit(self.breaker, self.clock)
            .map_err(|(why, retry_at)| Stopped::Refused { why, retry_at })?;
        match op().await {
            Ok(value) => {
                guard.succeeded();
                Ok(value)
            }
            Err(last) => {
                let _moved = guard.failed(&self.classify.fault(&last), self.clock.now());
                Err(Stopped::Failed { last })
            }
        }
    }
}

/// A permit that settles itself as abandoned when it is dropped.
pub(super) struct Guard<'a, K: Clock> {
    breaker: &'a Breaker,
    clock: &'a K,
    permit: Option<Permit>,
    began: Option<Moment>,
}

impl<'a, K: Clock> Guard<'a, K> {
    /// Asks the breaker; the clock is read only where a rule needs it.
    #[inline]
    pub(super) fn admit(breaker: &'a Breaker, clock: &'a K) -> Result<Self, (breaker::Refusing, Timestamp)> {
        let permit = match breaker.admit_fast() {
            Some(permit) => permit,
            None => match breaker.admit(clock.now()) {
                Admit::Allow { permit, .. } => permit,
                Admit::Refuse { why, retry_at } => return Err((why, retry_at)),
            },
        };
        let began = breaker.slow_over().map(|_| clock.moment());
        Ok(Self { breaker, clock, permit: Some(permit), began })
    }

    /// Settles a success.
    #[inline]
    pub(super) fn succeeded(mut self) -> Option<Moved> {
        let permit = self.permit.take()?;
        if self.began.is_none() {
            match self.breaker.settle_fast(permit) {
                Ok(()) => None,
                Err(permit) => Some(self.settle(permit, Outcome::Success, None, self.clock.now())),
            }
        } else {
            Some(self.succeeded_measured(permit))
        }
    }

    /// Settles a failure. A server's word on a rate limit blocks the dependency; on anything else it is how long the
    /// breaker opens, should it trip.
    pub(super) fn failed(mut self, fault: &Fault, now: Now) -> Option<Moved> {
        let permit = self.permit.take()?;
        if let (Class::RateLimited, Some(wait)) = (fault.class, fault.retry_after) {
            self.breaker.block(wait, now);
        }
        Some(self.settle(permit, Outcome::Failure(fault.class), fault.retry_after, now))
    }

    #[cold]
    fn succeeded_measured(&self, permit: Permit) -> Moved {
        let now = self.clock.now();
        let slow = match (self.began, self.breaker.slow_over()) {
            (Some(began), Some(over)) => now.moment.since(began) > over,
            _ => false,
        };
        self.settle(permit, if slow { Outcome::Slow } else { Outcome::Success }, None, now)
    }

    fn settle(&self, permit: Permit, outcome: Outcome, hint: Option<std::time::Duration>, now: Now) -> Moved {
        let moved = self.breaker.settle_hinted(permit, outcome, hint, now);
        if moved.is_transition() {
            log::moved(self.breaker.name(), moved.as_str(), &moved);
        }
        moved
    }
}

impl<K: Clock> Drop for Guard<'_, K> {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            let _moved = self.settle(permit, Outcome::Abandoned, None, self.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::act::testing::SimClock;
    use crate::base::explain::Explain;
    use crate::decide::breaker::{Refusing, SlowRate, Standing};

    fn breaker(policy: Policy, clock: &SimClock) -> Breaker {
        Breaker::seeded("youtube", policy, 1, clock.now()).unwrap()
    }

    fn down() -> Result<(), io::Error> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    #[test]
    fn an_open_breaker_makes_no_call() {
        let clock = SimClock::default();
        let breaker = breaker(Policy::cron(), &clock);
        let mut calls = 0;
        for _ in 0..10 {
            let _result = breaker.on(&clock).call_blocking(|| {
                calls += 1;
                down()
            });
        }
        assert_eq!(calls, 3);
        let stopped = breaker.on(&clock).call_blocking(down).unwrap_err();
        assert!(matches!(&stopped, Stopped::Refused { why: Refusing::Open { .. }, .. }), "{stopped}");
        clock.advance(Duration::from_secs(360));
        assert!(breaker.on(&clock).call_blocking(|| Ok::<_, io::Error>(())).is_ok());
        assert_eq!(breaker.standing(), Standing::Closed);
    }

    #[test]
    fn a_slow_success_is_measured_where_a_rule_asks_for_it() {
        let clock = SimClock::default();
        let rule = SlowRate { percent: 100, calls: 2, min: 2, over: Duration::from_secs(1) };
        let breaker = breaker(Policy::never().slow_rate(rule), &clock);
        for _ in 0..2 {
            let _ok = breaker.on(&clock).call_blocking(|| {
                clock.advance(Duration::from_secs(2));
                Ok::<_, io::Error>(())
            });
        }
        assert_eq!(breaker.standing(), Standing::Open);
    }

    #[test]
    fn a_rate_limit_with_a_hint_blocks_the_dependency() {
        let clock = SimClock::default();
        let breaker = breaker(Policy::cron(), &clock);
        let fault = Fault::rate_limited(Some(Duration::from_secs(90)));
        let _failed = breaker.on(&clock).call_blocking(|| Err::<(), _>(fault));
        let Err(Stopped::Refused { why, .. }) = breaker.on(&clock).call_blocking(|| Ok::<_, io::Error>(()))
        else {
            panic!("not refused");
        };
        assert_eq!(why.code(), "breaker.blocked");
    }

    #[test]
    fn a_call_that_panics_or_is_dropped_frees_its_probe() {
        let clock = SimClock::default();
        let breaker = breaker(Policy::cron(), &clock);
        for _ in 0..3 {
            let _failed = breaker.on(&clock).call_blocking(down);
        }
        clock.advance(Duration::from_secs(360));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _never =
                breaker.on(&clock).call_blocking(|| -> Result<(), io::Error> { panic!("in the call") });
        }));
        assert!(panicked.is_err());
        let guarding = breaker.on(&clock);
        let mut dropped = Box::pin(guarding.call(std::future::pending::<Result<(), io::Error>>));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        assert!(breaker.refusal(clock.now()).is_some(), "the probe is out");
        drop(dropped);
        assert!(breaker.on(&clock).call_blocking(|| Ok::<_, io::Error>(())).is_ok());
    }
}
