//! A call through a breaker: ask, make it, tell. The permit is in a guard, so a call that is dropped frees its slot.

use std::time::Duration;

use crate::act::classifier::{By, ByTrait, Classifier};
use crate::act::log;
use crate::base::fault::{Class, Classify, Fault};
use crate::base::rng;
use crate::base::time::{Clock, Moment, Now, System, Timestamp};
use crate::decide::breaker::{self, Admit, Breaker, Outcome, Permit, Policy, Stopped};

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

    /// A breaker for the dependency `name` that is kept in `store` for the processes that follow: a
    /// [`Call`](crate::act::call::Call) of one attempt and no other layer. An attempt is cut after half of the policy's
    /// probe lease, after which a probe would be taken for dead.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use unattended::breaker::{Breaker, Policy};
    /// use unattended::{memory::Memory, store::Store};
    ///
    /// let store: Arc<dyn Store> = Arc::new(Memory::new());
    /// for exit_code in [1, 1, 1, 75] {
    ///     // Each of these could be a process of its own.
    ///     let youtube = Breaker::open(&store, "youtube", Policy::cron())?;
    ///     let down = || Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut));
    ///     assert_eq!(youtube.run_blocking(|_| down()).unwrap_err().exit_code(), exit_code);
    ///     youtube.flush_blocking()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    #[cfg(feature = "store")]
    pub fn open(
        store: &std::sync::Arc<dyn crate::remember::store::Store>,
        name: impl Into<String>,
        policy: Policy,
    ) -> Result<crate::act::call::Call, crate::act::call::Error> {
        use crate::base::effect::Effect;
        crate::act::call::Call::to(name)
            .retry(crate::decide::retry::Policy::once())
            .budget(None)
            .concurrency(u32::MAX)
            .attempt_timeout((policy.probe_lease() / 2).max(Duration::from_millis(1)))
            .breaker(policy)
            .effect(Effect::Unsafe)
            .persist(store)
            .build()
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
        match self.breaker.admit_fast() {
            // In Closed a permit holds no slot: one that is dropped has nothing to give back, so it needs no guard.
            Some(permit) => match op() {
                Ok(value) => {
                    self.succeeded(permit);
                    Ok(value)
                }
                Err(last) => Err(self.failed(permit, last)),
            },
            None => self.call_slowly(op),
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
        match self.breaker.admit_fast() {
            Some(permit) => match op().await {
                Ok(value) => {
                    self.succeeded(permit);
                    Ok(value)
                }
                Err(last) => Err(self.failed(permit, last)),
            },
            None => {
                let guard = self.guard()?;
                match op().await {
                    Ok(value) => {
                        guard.succeeded();
                        Ok(value)
                    }
                    Err(last) => {
                        guard.failed(&self.classify.fault(&last), self.clock.now());
                        Err(Stopped::Failed { last })
                    }
                }
            }
        }
    }

    #[cold]
    fn call_slowly<T, E>(&self, op: impl FnOnce() -> Result<T, E>) -> Result<T, Stopped<E>>
    where
        C: Classifier<E>,
    {
        let guard = self.guard()?;
        match op() {
            Ok(value) => {
                guard.succeeded();
                Ok(value)
            }
            Err(last) => {
                guard.failed(&self.classify.fault(&last), self.clock.now());
                Err(Stopped::Failed { last })
            }
        }
    }

    fn guard<E>(&self) -> Result<Guard<'a, K>, Stopped<E>> {
        Guard::admit(self.breaker, self.clock).map_err(|(why, retry_at)| Stopped::refused(why, retry_at))
    }

    #[inline]
    fn succeeded(&self, permit: Permit) {
        if let Err(permit) = self.breaker.settle_fast(permit) {
            Guard::of(self.breaker, self.clock, permit).succeeded();
        }
    }

    #[cold]
    fn failed<E>(&self, permit: Permit, last: E) -> Stopped<E>
    where
        C: Classifier<E>,
    {
        let guard = Guard::of(self.breaker, self.clock, permit);
        guard.failed(&self.classify.fault(&last), self.clock.now());
        Stopped::Failed { last }
    }
}

/// A permit that settles itself as abandoned when it is dropped.
pub(super) struct Guard<'a, K: Clock> {
    breaker: &'a Breaker,
    clock: &'a K,
    permit: Option<Permit>,
    /// When the call began, where a rule asks how long it takes.
    began: Option<Moment>,
}

impl<'a, K: Clock> Guard<'a, K> {
    #[cold]
    const fn of(breaker: &'a Breaker, clock: &'a K, permit: Permit) -> Self {
        Self { breaker, clock, permit: Some(permit), began: None }
    }

    /// Asks the breaker; the clock is read only where a rule needs it.
    pub(super) fn admit(breaker: &'a Breaker, clock: &'a K) -> Result<Self, (breaker::Refusing, Timestamp)> {
        match breaker.admit_fast() {
            Some(permit) => Ok(Self::of(breaker, clock, permit)),
            None => Self::admit_slowly(breaker, clock),
        }
    }

    #[cold]
    fn admit_slowly(breaker: &'a Breaker, clock: &'a K) -> Result<Self, (breaker::Refusing, Timestamp)> {
        let now = clock.now();
        match breaker.admit(now) {
            Admit::Allow { permit, .. } => {
                let began = breaker.slow_over().map(|_| now.moment);
                Ok(Self { breaker, clock, permit: Some(permit), began })
            }
            Admit::Refuse { why, retry_at } => Err((why, retry_at)),
        }
    }

    /// Settles a success.
    pub(super) fn succeeded(mut self) {
        let Some(permit) = self.permit.take() else { return };
        let unsettled = match self.began {
            None => self.breaker.settle_fast(permit).err(),
            Some(_) => Some(permit),
        };
        if let Some(permit) = unsettled {
            self.succeeded_slowly(permit);
        }
    }

    /// Settles a failure. A server's word on a rate limit blocks the dependency; on anything else it is how long the
    /// breaker opens, should it trip.
    #[cold]
    pub(super) fn failed(mut self, fault: &Fault, now: Now) {
        if let (Class::RateLimited, Some(wait)) = (fault.class, fault.retry_after) {
            self.breaker.block(wait, now);
        }
        if let Some(permit) = self.permit.take() {
            self.settle(permit, Outcome::Failure(fault.class), fault.retry_after, now);
        }
    }

    #[cold]
    fn succeeded_slowly(&self, permit: Permit) {
        let now = self.clock.now();
        let slow = match (self.began, self.breaker.slow_over()) {
            (Some(began), Some(over)) => now.moment.since(began) > over,
            _ => false,
        };
        self.settle(permit, if slow { Outcome::Slow } else { Outcome::Success }, None, now);
    }

    #[cold]
    fn abandoned(&self, permit: Permit) {
        self.settle(permit, Outcome::Abandoned, None, self.clock.now());
    }

    fn settle(&self, permit: Permit, outcome: Outcome, hint: Option<Duration>, now: Now) {
        log::moved(self.breaker.name(), &self.breaker.settle_hinted(permit, outcome, hint, now));
    }
}

impl<K: Clock> Drop for Guard<'_, K> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.abandoned(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

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
        assert!(
            matches!(&stopped, Stopped::Refused(refusal) if matches!(refusal.why, Refusing::Open { .. })),
            "{stopped}"
        );
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
        let Err(Stopped::Refused(refusal)) = breaker.on(&clock).call_blocking(|| Ok::<_, io::Error>(()))
        else {
            panic!("not refused");
        };
        assert_eq!(refusal.why.code(), "breaker.blocked");
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
