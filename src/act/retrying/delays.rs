//! Adapters for the crate `backoff`, both ways, for programs that have it already.
//!
//! [`Retrying::delays`] lets any `backoff::backoff::Backoff` say how long to wait, while attempts, deadline and what a
//! server asked for stay as the policy says: the crate itself lets a `retry_after` escape its time limit, for ever.
//! [`Retrying::as_backoff`] gives the waits of a policy to code that takes a `Backoff`.
//!
//! ```
//! use backoff::backoff::Constant;
//! use std::time::Duration;
//! use unattended::{fault::Fault, retry::Policy, time::System};
//!
//! let policy = Policy::service();
//! let page = policy.on(&System).delays(Constant::new(Duration::from_millis(1))).run_blocking(|attempt| {
//!     if attempt.number() < 3 { Err(Fault::transient("http.503")) } else { Ok("page") }
//! });
//! assert_eq!(page.unwrap(), "page");
//! ```

use std::fmt;
use std::time::Duration;

use backoff::backoff::Backoff;

use crate::act::classifier::{Classifier, Reject};
use crate::act::retrying::{End, Episode, Retrying};
use crate::base::fault::{Class, Fault};
use crate::base::rng;
#[cfg(feature = "tokio")]
use crate::base::time::Sleep;
use crate::base::time::{Clock, SleepBlocking};
use crate::decide::retry::{self, Attempt, Next, Run, Stopped};

impl<'a, K: Clock, C, R> Retrying<'a, K, C, R> {
    /// Waits as long as `delays` says, instead of the policy's own backoff.
    ///
    /// All else is as before: the attempts, the time, the deadline, and what a server asks for, which is waited for
    /// where it is longer. Where `delays` says no more, that is the end too.
    pub const fn delays<B: Backoff>(self, delays: B) -> Delaying<'a, B, K, C, R> {
        Delaying { retrying: self, delays }
    }

    /// The waits of the policy for faults of `class`, as a `Backoff`: none any more once the attempts or the time are
    /// spent, or a wait is longer than a process is held for.
    ///
    /// A program that gives its own `retry_after` to the crate's loop is not asked for by it: that loop takes such a wait
    /// without asking the `Backoff`, so it counts as no attempt here. [`delays`](Self::delays) does not have that gap.
    pub fn as_backoff(&self, class: Class) -> Waits<'a, K> {
        let (policy, clock) = (self.policy, self.clock);
        let seed = self.seed.unwrap_or_else(|| retry::seed(rng::entropy(), ""));
        Waits { policy, clock, class, seed, run: policy.start(clock.now(), seed) }
    }
}

/// A policy about to run, with its delays from elsewhere.
#[must_use = "it does nothing until it is run"]
pub struct Delaying<'a, B, K, C, R> {
    retrying: Retrying<'a, K, C, R>,
    delays: B,
}

impl<'a, B: Backoff, K: Clock, C, R> Delaying<'a, B, K, C, R> {
    /// Runs `op` until it succeeds or the policy or its delays say stop, waiting on this thread.
    ///
    /// # Errors
    ///
    /// As [`Retrying::run_blocking`].
    pub fn run_blocking<T, E, F>(mut self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
        R: Reject<T, E>,
        K: SleepBlocking,
    {
        let (mut episode, mut attempt) = self.begin();
        loop {
            let last = match self.retrying.judge(op(attempt)) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match self.failed(&mut episode, &last) {
                Ok(delay) => self.retrying.clock.sleep_blocking(delay),
                Err(end) => return Err(end.with(last, episode.timeline)),
            }
            attempt = match episode.begin(self.retrying.clock.now()) {
                Ok(attempt) => attempt,
                Err(end) => return Err(end.with(last, episode.timeline)),
            };
        }
    }

    /// The same, waiting on the clock's timer.
    ///
    /// # Errors
    ///
    /// As [`Retrying::run`].
    #[cfg(feature = "tokio")]
    pub async fn run<T, E, F, Fut>(mut self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
        R: Reject<T, E>,
        K: Sleep,
    {
        let (mut episode, mut attempt) = self.begin();
        loop {
            let last = match self.retrying.judge(op(attempt).await) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match self.failed(&mut episode, &last) {
                Ok(delay) => self.retrying.clock.sleep(delay).await,
                Err(end) => return Err(end.with(last, episode.timeline)),
            }
            attempt = match episode.begin(self.retrying.clock.now()) {
                Ok(attempt) => attempt,
                Err(end) => return Err(end.with(last, episode.timeline)),
            };
        }
    }

    fn begin(&mut self) -> (Episode<'a>, Attempt) {
        self.delays.reset();
        let now = self.retrying.clock.now();
        let episode = self.retrying.episode(Some(now.moment));
        (episode, Attempt::first(self.retrying.policy, Some(now.moment), Some(now.wall)))
    }

    fn failed<E>(&mut self, episode: &mut Episode<'_>, last: &E) -> Result<Duration, End>
    where
        C: Classifier<E>,
    {
        let fault = self.retrying.classify.fault(last);
        let delays = &mut self.delays;
        let now = self.retrying.clock.now();
        episode.decided(now, &fault, |run| run.failed_by(now, &fault, || delays.next_backoff()))
    }
}

/// The waits of a policy as a `Backoff`.
pub struct Waits<'a, K> {
    policy: &'a retry::Policy,
    clock: &'a K,
    class: Class,
    seed: u64,
    run: Run<'a>,
}

impl<K: Clock> Backoff for Waits<'_, K> {
    fn reset(&mut self) {
        // Another stream than before: the same waits again would meet those who failed at the same time.
        self.seed = retry::seed(self.seed, "again");
        self.run = self.policy.start(self.clock.now(), self.seed);
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        match self.run.failed(self.clock.now(), &Fault::new(self.class, "fault.of_backoff")) {
            Next::Wait { delay, .. } => Some(delay),
            Next::Defer { .. } | Next::Stop { .. } => None,
        }
    }
}

impl<B, K, C, R> fmt::Debug for Delaying<'_, B, K, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delaying").field("policy", self.retrying.policy).finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for Waits<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits").field("class", &self.class).field("run", &self.run).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use backoff::ExponentialBackoff;
    use backoff::backoff::{Constant, Stop};

    use super::*;
    use crate::act::testing::SimClock;
    use crate::base::effect::Effect;
    use crate::decide::retry::{Policy, Stopping};

    const SECOND: Duration = Duration::from_secs(1);

    fn busy(retry_after: u64) -> Fault {
        Fault::rate_limited(Some(Duration::from_secs(retry_after)))
    }

    #[test]
    fn a_foreign_backoff_says_how_long_and_the_policy_how_often() {
        let (clock, policy) = (SimClock::default(), Policy::cron());
        let delays = Constant::new(3 * SECOND);
        let stopped =
            policy.on(&clock).delays(delays).run_blocking(|_| Err::<(), _>(Fault::transient("http.503")));
        let stopped = stopped.unwrap_err();
        assert_eq!((stopped.code(), stopped.attempts().count()), ("retry.attempts_spent", 5));
        let waits: Vec<_> = stopped.attempts().iter().filter_map(|tried| tried.delay).collect();
        assert_eq!(waits, [3 * SECOND; 4]);
    }

    #[test]
    fn a_retry_after_escapes_neither_the_attempts_nor_the_time() {
        // In the crate's own loop each of these is waited for without a look at any limit.
        let (clock, policy) =
            (SimClock::default(), Policy::cron().inline_wait_max(Duration::from_secs(3600)));
        let mut tries = 0;
        let stopped = policy.on(&clock).delays(ExponentialBackoff::default()).run_blocking(|_| {
            tries += 1;
            assert!(tries < 100, "it goes on for ever");
            Err::<(), _>(busy(1))
        });
        assert_eq!((stopped.unwrap_err().code(), tries), ("retry.attempts_spent", 6));
        let stopped =
            policy.on(&clock).delays(Constant::new(SECOND)).run_blocking(|_| Err::<(), _>(busy(250)));
        let stopped = stopped.unwrap_err();
        assert_eq!((stopped.code(), stopped.attempts().count()), ("retry.server_out_of_time", 3));
        let waits: Vec<_> = stopped.attempts().iter().filter_map(|tried| tried.delay).collect();
        assert!(waits.iter().all(|wait| *wait >= Duration::from_secs(250)), "never shortened: {waits:?}");
    }

    #[test]
    fn a_foreign_backoff_that_says_no_more_is_the_end() {
        let (clock, policy) = (SimClock::default(), Policy::cron());
        let stopped = policy.on(&clock).delays(Stop {}).run_blocking(|_| Err::<(), _>(busy(1))).unwrap_err();
        assert!(
            matches!(stopped, Stopped::Failed { why: Stopping::DelaysEnded { attempts: 1 }, .. }),
            "{stopped}"
        );
        assert_eq!(stopped.code(), "retry.delays_ended");
    }

    #[test]
    fn a_foreign_backoff_passes_neither_the_deadline_nor_the_effect() {
        let clock = SimClock::default();
        let at = clock.now().after(10 * SECOND).wall;
        let policy = Policy::cron().deadline(at);
        let failing = |_| Err::<(), _>(Fault::transient("http.503"));
        let stopped = policy.on(&clock).delays(Constant::new(4 * SECOND)).run_blocking(failing).unwrap_err();
        assert_eq!((stopped.code(), clock.elapsed()), ("retry.past_deadline", 8 * SECOND));
        let policy = Policy::cron().effect(Effect::Unsafe);
        let stopped = policy.on(&clock).delays(Constant::new(SECOND)).run_blocking(failing).unwrap_err();
        assert_eq!(stopped.code(), "retry.may_have_arrived");
        let long = Policy::cron().on(&clock).delays(Constant::new(300 * SECOND)).run_blocking(failing);
        assert_eq!(long.unwrap_err().code(), "retry.too_long_to_hold");
    }

    #[cfg(feature = "tokio")]
    #[tokio::test]
    async fn the_future_face_decides_the_same() {
        let (clock, policy) = (SimClock::default(), Policy::cron());
        let delays = Constant::new(3 * SECOND);
        let run = policy.on(&clock).delays(delays).run(|attempt| async move {
            if attempt.number() < 4 { Err(Fault::transient("http.503")) } else { Ok(attempt.number()) }
        });
        assert_eq!((run.await.unwrap(), clock.elapsed()), (4, 9 * SECOND));
    }

    #[test]
    fn a_policy_as_a_backoff_gives_its_own_waits_and_ends_where_it_does() {
        let (clock, policy) = (SimClock::default(), Policy::cron());
        let mut waits = policy.on(&clock).seed(7).as_backoff(Class::Transient);
        let first: Vec<_> = std::iter::from_fn(|| waits.next_backoff()).collect();
        assert_eq!(first.len(), 4, "five attempts: {first:?}");
        for (step, wait) in first.iter().enumerate() {
            assert!(*wait >= SECOND / 2 && *wait <= 2 * SECOND * (1 << step), "{first:?}");
        }
        assert_eq!(waits.next_backoff(), None);
        waits.reset();
        let second: Vec<_> = std::iter::from_fn(|| waits.next_backoff()).collect();
        assert_eq!(second.len(), 4);
        assert_ne!(first, second, "the jitter is another");
        waits.reset();
        clock.advance(Duration::from_secs(600));
        assert_eq!(waits.next_backoff(), None, "the time is spent");
        assert_eq!(policy.on(&clock).as_backoff(Class::Permanent).next_backoff(), None);
    }

    #[test]
    fn a_policy_as_a_backoff_drives_the_crates_own_loop() {
        let (clock, policy) = (
            SimClock::default(),
            Policy::service().transient(|s| s.delay_min(Duration::ZERO).delay_base(Duration::ZERO)),
        );
        let mut tries = 0;
        let result: Result<(), _> = backoff::retry(policy.on(&clock).as_backoff(Class::Transient), || {
            tries += 1;
            Err(backoff::Error::transient("down"))
        });
        assert!(result.is_err());
        assert_eq!(tries, 4);
    }
}
