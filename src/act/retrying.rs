//! The loop around a retry policy: try, ask the policy, wait, try again. Twice, once for threads and once for futures;
//! the decisions are the same.

use std::time::Duration;

use crate::act::classifier::{By, ByTrait, Classifier, Keep, Reject, RejectBy};
use crate::act::log;
use crate::base::explain::Explain;
use crate::base::fault::{Classify, Fault};
use crate::base::rng;
#[cfg(feature = "tokio")]
use crate::base::time::Sleep;
use crate::base::time::{Clock, Moment, Now, SleepBlocking, System, Timestamp};
use crate::decide::retry::{
    self, Attempt, Deferring, Disposition, Next, Policy, Run, Stopped, Stopping, Timeline, Tried, Waiting,
};

impl Policy {
    /// Runs `op` until it succeeds or the policy says stop, waiting on this thread.
    ///
    /// What an error means comes from its [`Classify`]; for a type that has none, say it with
    /// [`classify`](Self::classify).
    ///
    /// # Errors
    ///
    /// [`Stopped::Failed`] with the last error, or [`Stopped::Deferred`] when the wait is too long to hold a process.
    #[inline]
    pub fn run_blocking<T, E, F>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        E: Classify,
    {
        self.on(&System).run_blocking(op)
    }

    /// Runs `op` until it succeeds or the policy says stop, waiting on tokio's timer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::sync::Arc;
    /// use unattended::retry;
    ///
    /// let (policy, url) = (retry::Policy::cron(), Arc::new("https://example.org"));
    /// let task = tokio::spawn(async move {
    ///     policy.run(|_attempt| { let url = url.clone(); async move { Ok::<_, std::io::Error>(url.len()) } }).await
    /// });
    /// assert_eq!(task.await.unwrap().unwrap(), 19);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run_blocking`](Self::run_blocking).
    #[cfg(feature = "tokio")]
    #[inline]
    pub async fn run<T, E, F, Fut>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Classify,
    {
        self.on(&System).run(op).await
    }

    /// Runs on `clock`, such as a simulated one.
    #[inline]
    pub const fn on<'a, K: Clock>(&'a self, clock: &'a K) -> Retrying<'a, K> {
        Retrying { policy: self, clock, classify: ByTrait, reject: Keep, seed: None }
    }

    /// Says what an error means.
    ///
    /// ```
    /// use unattended::{fault::Fault, retry};
    ///
    /// let parsed = retry::Policy::service()
    ///     .classify(|_: &std::num::ParseIntError| Fault::permanent("input.not_a_number"))
    ///     .run_blocking(|_attempt| "seven".parse::<u32>());
    /// assert_eq!(parsed.unwrap_err().code(), "retry.permanent");
    /// ```
    pub const fn classify<E, F: Fn(&E) -> Fault>(&self, classify: F) -> Retrying<'_, System, By<F>> {
        Retrying { policy: self, clock: &System, classify: By(classify), reject: Keep, seed: None }
    }
}

/// A policy about to run: on which clock, how errors are classified, which `Ok` values are failures.
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing until it is run"]
pub struct Retrying<'a, K = System, C = ByTrait, R = Keep> {
    policy: &'a Policy,
    clock: &'a K,
    classify: C,
    reject: R,
    seed: Option<u64>,
}

impl<'a, K: Clock, C, R> Retrying<'a, K, C, R> {
    /// Runs on `clock`, such as a simulated one.
    pub fn on<L: Clock>(self, clock: &'a L) -> Retrying<'a, L, C, R> {
        let Self { policy, classify, reject, seed, .. } = self;
        Retrying { policy, clock, classify, reject, seed }
    }

    /// Says what an error means.
    pub fn classify<E, F: Fn(&E) -> Fault>(self, classify: F) -> Retrying<'a, K, By<F>, R> {
        let Self { policy, clock, reject, seed, .. } = self;
        Retrying { policy, clock, classify: By(classify), reject, seed }
    }

    /// Says which `Ok` values are failures all the same, by giving the error that they stand for; it is classified as
    /// any other.
    ///
    /// ```
    /// use std::io::{Error, ErrorKind};
    /// use unattended::{retry, time::System};
    ///
    /// let policy = retry::Policy::service();
    /// let page = policy
    ///     .on(&System)
    ///     .reject(|page: &String| page.is_empty().then(|| Error::from(ErrorKind::InvalidData)))
    ///     .run_blocking(|_attempt| Ok::<_, Error>(String::new()));
    /// assert_eq!(page.unwrap_err().code(), "retry.permanent");
    /// ```
    pub fn reject<T, E, F: Fn(&T) -> Option<E>>(self, reject: F) -> Retrying<'a, K, C, RejectBy<F>> {
        let Self { policy, clock, classify, seed, .. } = self;
        Retrying { policy, clock, classify, reject: RejectBy(reject), seed }
    }

    /// Fixes the seed of the jitter; the default is the machine's randomness, asked for at the first failure.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Runs `op` until it succeeds or the policy says stop, waiting on this thread.
    ///
    /// # Errors
    ///
    /// [`Stopped::Failed`] with the last error, or [`Stopped::Deferred`] when the wait is too long to hold a process.
    #[inline]
    pub fn run_blocking<T, E, F>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
        R: Reject<T, E>,
        K: SleepBlocking,
    {
        let (began, wall) = self.read();
        match self.judge(op(Attempt::first(self.policy, began, wall))) {
            Ok(value) => Ok(value),
            Err(error) => self.again_blocking(op, error, began),
        }
    }

    /// Runs `op` until it succeeds or the policy says stop, waiting on the clock's timer.
    ///
    /// # Errors
    ///
    /// As [`run_blocking`](Self::run_blocking).
    #[cfg(feature = "tokio")]
    #[inline]
    pub async fn run<T, E, F, Fut>(&self, mut op: F) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
        R: Reject<T, E>,
        K: Sleep,
    {
        let (began, wall) = self.read();
        match self.judge(op(Attempt::first(self.policy, began, wall)).await) {
            Ok(value) => Ok(value),
            // Boxed, so that the future of an operation that succeeds at once stays small.
            Err(error) => Box::pin(self.again(op, error, began)).await,
        }
    }

    #[cold]
    fn again_blocking<T, E, F>(&self, mut op: F, mut last: E, began: Option<Moment>) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
        R: Reject<T, E>,
        K: SleepBlocking,
    {
        let mut episode = self.episode(began);
        loop {
            let delay = match episode.failed(self.clock.now(), &self.classify.fault(&last)) {
                Ok(delay) => delay,
                Err(end) => return Err(end.with(last, episode.timeline)),
            };
            self.clock.sleep_blocking(delay);
            let attempt = match episode.begin(self.clock.now()) {
                Ok(attempt) => attempt,
                Err(end) => return Err(end.with(last, episode.timeline)),
            };
            last = match self.judge(op(attempt)) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
        }
    }

    #[cfg(feature = "tokio")]
    async fn again<T, E, F, Fut>(
        &self,
        mut op: F,
        mut last: E,
        began: Option<Moment>,
    ) -> Result<T, Stopped<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
        R: Reject<T, E>,
        K: Sleep,
    {
        let mut episode = self.episode(began);
        loop {
            let delay = match episode.failed(self.clock.now(), &self.classify.fault(&last)) {
                Ok(delay) => delay,
                Err(end) => return Err(end.with(last, episode.timeline)),
            };
            self.clock.sleep(delay).await;
            let attempt = match episode.begin(self.clock.now()) {
                Ok(attempt) => attempt,
                Err(end) => return Err(end.with(last, episode.timeline)),
            };
            last = match self.judge(op(attempt).await) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
        }
    }

    /// The clocks, as far as the policy asks for them: a reading costs more than all the rest of a success.
    #[inline]
    fn read(&self) -> (Option<Moment>, Option<Timestamp>) {
        if self.policy.needs_wall() {
            let now = self.clock.now();
            (Some(now.moment), Some(now.wall))
        } else if self.policy.is_timed() {
            (Some(self.clock.moment()), None)
        } else {
            (None, None)
        }
    }

    #[inline]
    fn judge<T, E>(&self, result: Result<T, E>) -> Result<T, E>
    where
        R: Reject<T, E>,
    {
        let value = result?;
        match self.reject.reject(&value) {
            Some(error) => Err(error),
            None => Ok(value),
        }
    }

    fn episode(&self, began: Option<Moment>) -> Episode<'a> {
        let seed = self.seed.unwrap_or_else(|| retry::seed(rng::entropy(), ""));
        Episode::new(self.policy, log::Who::default(), began, self.clock, seed)
    }
}

/// A run with what was tried, as the drivers need it. It exists only once something has failed.
pub(super) struct Episode<'p> {
    run: Run<'p>,
    pub(super) timeline: Timeline,
    who: log::Who<'p>,
    began: Option<Moment>,
}

impl<'p> Episode<'p> {
    pub(super) fn new(
        policy: &'p Policy,
        who: log::Who<'p>,
        began: Option<Moment>,
        clock: &impl Clock,
        seed: u64,
    ) -> Self {
        let started = began.unwrap_or_else(|| clock.moment());
        Self { run: policy.start_at(started, seed), timeline: Timeline::default(), who, began }
    }

    /// Records the failure and decides: how long to wait, or how it ends.
    pub(super) fn failed(&mut self, now: Now, fault: &Fault) -> Result<Duration, End> {
        self.decided(now, fault, |run| run.failed(now, fault))
    }

    /// The same, where `decide` asks the run.
    fn decided(
        &mut self,
        now: Now,
        fault: &Fault,
        decide: impl FnOnce(&mut Run<'p>) -> Next,
    ) -> Result<Duration, End> {
        let wait = self.judged(now, fault, None, decide)?;
        Ok(self.waits(wait))
    }

    /// The same for an attempt that took longer than it was given, by `overrun`. Others may have a word before the wait
    /// [begins](Self::waits).
    pub(super) fn failed_late(
        &mut self,
        now: Now,
        fault: &Fault,
        overrun: Option<Duration>,
    ) -> Result<Wait, End> {
        self.judged(now, fault, overrun, |run| run.failed(now, fault))
    }

    /// The wait begins.
    pub(super) fn waits(&mut self, Wait { delay, attempt, why }: Wait) -> Duration {
        log::waiting(self.who, attempt, delay, &why);
        self.timeline.waited(delay);
        delay
    }

    fn judged(
        &mut self,
        now: Now,
        fault: &Fault,
        overrun: Option<Duration>,
        decide: impl FnOnce(&mut Run<'p>) -> Next,
    ) -> Result<Wait, End> {
        let duration = self.began.map(|began| now.moment.since(began));
        let mut tried = Tried::new(self.run.attempts().saturating_add(1), fault, duration);
        tried.overrun = overrun;
        log::failed(self.who, &tried);
        self.timeline.push(tried);
        match decide(&mut self.run) {
            Next::Wait { delay, attempt, why } => Ok(Wait { delay, attempt, why }),
            Next::Defer { until, why } => {
                log::ended(self.who, "deferred", Some(until), &why);
                Err(End::Defer { until, why })
            }
            Next::Stop { why, disposition } => {
                log::ended(self.who, disposition.as_str(), None, &why);
                Err(End::Stop { why, disposition })
            }
        }
    }

    /// When the attempt that is about to fail began.
    pub(super) const fn began_at(&mut self, began: Moment) {
        self.began = Some(began);
    }

    /// Whether the next attempt begins with a refresh of the credential.
    pub(super) const fn refreshes(&self) -> bool {
        self.run.refreshes()
    }

    /// The next attempt, unless the wait took so long that there is no time for it.
    pub(super) fn begin(&mut self, now: Now) -> Result<Attempt, End> {
        self.began = Some(now.moment);
        self.run.begin(now).map_err(|why| {
            log::ended(self.who, "give_up", None, &why);
            End::Stop { why, disposition: Disposition::GiveUp }
        })
    }
}

/// A wait that is decided, and has not begun.
pub(super) struct Wait {
    pub(super) delay: Duration,
    attempt: u32,
    why: Waiting,
}

/// How an episode ends, before it is joined with the last error.
pub(super) enum End {
    Stop { why: Stopping, disposition: Disposition },
    Defer { until: Timestamp, why: Deferring },
}

impl End {
    pub(super) fn with<L, W: Explain>(self, last: L, attempts: Timeline) -> Stopped<L, W> {
        match self {
            Self::Stop { why, disposition } => Stopped::Failed { last, why, disposition, attempts },
            Self::Defer { until, why } => Stopped::deferred(until, why, last, attempts),
        }
    }
}

#[cfg(feature = "backoff")]
pub mod delays;
#[cfg(test)]
mod tests;
