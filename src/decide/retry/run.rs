//! One operation under a policy: what has been tried, and what comes next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::backoff::{Jitter, lengthened, percent_of};
use crate::base::effect::Effect;
use crate::base::fault::{Class, Fault, Reached, Severity};
use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, Timestamp, later, millis};
use crate::decide::retry::policy::{Deadline, Error, Policy, index};
use crate::decide::retry::reason::{Deferring, Disposition, Next, Stopping, Waiting};

/// What [`Attempt::remaining`] says when nothing limits it: a year. A number that every timer can add to its clock.
const UNLIMITED: Duration = Duration::from_secs(365 * 86_400);

/// On a server's word the jitter is upwards: a tenth of it, at most this.
const SERVER_JITTER_MAX: Duration = Duration::from_secs(5);

/// The newest format of [`Saved`].
const VERSION: u32 = 1;

/// One try, as it is handed to the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    remaining: Duration,
    /// When it began, if there is a limit and the clock was read.
    began: Option<Moment>,
    refresh: bool,
}

impl Attempt {
    /// The first try is 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// What is left for this attempt, as of its start: pass it on as the time-out of the request. A year when nothing
    /// limits it.
    #[must_use]
    pub const fn remaining(&self) -> Duration {
        self.remaining
    }

    /// When that time ends, on the clock that drives the loop; `None` when nothing limits it.
    #[must_use]
    pub const fn deadline(&self) -> Option<Moment> {
        match self.began {
            Some(began) => Some(began.after(self.remaining)),
            None => None,
        }
    }

    /// Whether the credential must be refreshed first: the attempt before was answered with "unauthorized".
    #[must_use]
    pub const fn refresh(&self) -> bool {
        self.refresh
    }

    /// The first attempt under `policy`. The clocks are `None` where the policy does not ask for them.
    #[inline]
    pub(crate) fn first(policy: &Policy, moment: Option<Moment>, wall: Option<Timestamp>) -> Self {
        Self::first_after(policy, Duration::ZERO, moment, wall)
    }

    /// The same, after `spent` was spent on waiting for it.
    #[inline]
    pub(crate) fn first_after(
        policy: &Policy,
        spent: Duration,
        moment: Option<Moment>,
        wall: Option<Timestamp>,
    ) -> Self {
        Self::new(1, policy.left(spent, wall), moment, false)
    }

    /// The same attempt with at most `limit` of time.
    pub(crate) fn at_most(mut self, limit: Duration, now: Moment) -> Self {
        if limit < self.remaining {
            self.remaining = limit;
            self.began = Some(now);
        }
        self
    }

    #[inline]
    fn new(number: u32, left: Option<Duration>, now: Option<Moment>, refresh: bool) -> Self {
        match left {
            Some(left) => Self { number, remaining: left.min(UNLIMITED), began: now, refresh },
            None => Self { number, remaining: UNLIMITED, began: None, refresh },
        }
    }
}

/// One operation under a policy.
///
/// ```
/// use unattended::{fault::Fault, retry::{Next, Policy}, time::{Clock, System}};
///
/// let policy = Policy::service();
/// let mut run = policy.start(System.now(), 42);
/// let next = run.failed(System.now(), &Fault::transient("http.503"));
/// assert!(matches!(next, Next::Wait { attempt: 2, .. }));
/// ```
#[derive(Debug)]
pub struct Run<'p> {
    policy: &'p Policy,
    rng: Rng,
    started: Moment,
    held: Duration,
    attempts: u32,
    failures: [u32; 5],
    previous: [Duration; 5],
    refresh: bool,
}

/// A run as it is put down: plain data of a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The format.
    v: u32,
    /// Attempts made.
    attempts: u32,
    /// Failures of each class, in the order of [`Class::ALL`].
    failures: [u32; 5],
    /// The last wait of each class, in milliseconds.
    previous_ms: [u64; 5],
    /// Time spent in attempts and waits, in milliseconds. The time while it lay in the store does not count.
    held_ms: u64,
    /// Whether the next attempt begins with a refresh.
    refresh: bool,
}

impl Policy {
    /// A run that began at `now`. `seed` decides its jitter; [`seed`](crate::decide::retry::seed) mixes one.
    #[must_use]
    pub const fn start(&self, now: Now, seed: u64) -> Run<'_> {
        self.start_at(now.moment, seed)
    }

    /// The same, where the wall time is not at hand.
    pub(crate) const fn start_at(&self, started: Moment, seed: u64) -> Run<'_> {
        Run {
            policy: self,
            rng: Rng::seeded(seed),
            started,
            held: Duration::ZERO,
            attempts: 0,
            failures: [0; 5],
            previous: [Duration::ZERO; 5],
            refresh: false,
        }
    }

    /// Picks a run up where it was put down. Attempts and time spent count on; the time in between does not.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] when it was saved by a newer program.
    pub fn resume(&self, saved: &Saved, now: Now, seed: u64) -> Result<Run<'_>, Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        Ok(Run {
            held: Duration::from_millis(saved.held_ms),
            attempts: saved.attempts,
            failures: saved.failures,
            previous: saved.previous_ms.map(Duration::from_millis),
            refresh: saved.refresh,
            ..self.start(now, seed)
        })
    }
}

impl Run<'_> {
    /// Observes a failed attempt and decides what comes next.
    pub fn failed(&mut self, now: Now, fault: &Fault) -> Next {
        match self.observed(fault) {
            Some(stop) => stop,
            None => self.waits(now, fault, None),
        }
    }

    /// The same, where `delay` says how long to wait instead of the policy's own backoff; it is asked only where there
    /// is something to wait for. `None` is the end. All limits hold as ever, and so does what a server asked for.
    pub fn failed_by(&mut self, now: Now, fault: &Fault, delay: impl FnOnce() -> Option<Duration>) -> Next {
        if let Some(stop) = self.observed(fault) {
            return stop;
        }
        if fault.class == Class::Unauthorized {
            return self.waits(now, fault, None);
        }
        match delay() {
            Some(delay) => self.waits(now, fault, Some(delay)),
            None => {
                let why = Stopping::DelaysEnded { attempts: self.attempts };
                Next::Stop { why, disposition: disposition(why, fault) }
            }
        }
    }

    /// Counts the failure, and says whether it is the last.
    fn observed(&mut self, fault: &Fault) -> Option<Next> {
        self.attempts = self.attempts.saturating_add(1);
        let failures = &mut self.failures[index(fault.class)];
        *failures = failures.saturating_add(1);
        let why = self.ended(fault)?;
        Some(Next::Stop { why, disposition: disposition(why, fault) })
    }

    fn waits(&mut self, now: Now, fault: &Fault, given: Option<Duration>) -> Next {
        let (delay, why) = self.wait(fault, given);
        if let Some(instead) = self.instead(now, delay, why, fault) {
            return instead;
        }
        if !matches!(why, Waiting::Refresh) {
            self.previous[index(fault.class)] = delay;
        }
        self.refresh = matches!(why, Waiting::Refresh);
        if delay > self.policy.inline_wait_max {
            let why = Deferring::TooLongToHold { delay, limit: self.policy.inline_wait_max };
            return Next::Defer { until: later(now.wall, delay), why };
        }
        Next::Wait { delay, attempt: self.attempts.saturating_add(1), why }
    }

    /// The attempt that starts at `now`, once the wait is over.
    ///
    /// # Errors
    ///
    /// [`Stopping::OutOfTime`] or [`Stopping::PastDeadline`] when the wait took longer than it should have and the
    /// limit has passed.
    pub fn begin(&mut self, now: Now) -> Result<Attempt, Stopping> {
        if self.attempts > 0 {
            self.in_time(now, Duration::ZERO)?;
        }
        let refresh = std::mem::take(&mut self.refresh);
        Ok(Attempt::new(self.attempts.saturating_add(1), self.left(now), Some(now.moment), refresh))
    }

    /// Attempts made so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the next attempt begins with a refresh of the credential.
    pub(crate) const fn refreshes(&self) -> bool {
        self.refresh
    }

    /// Puts the run down.
    #[must_use]
    pub fn save(&self, now: Now) -> Saved {
        Saved {
            v: VERSION,
            attempts: self.attempts,
            failures: self.failures,
            previous_ms: self.previous.map(millis),
            held_ms: millis(self.elapsed(now)),
            refresh: self.refresh,
        }
    }

    /// Whether there is no further attempt, whatever the time.
    fn ended(&self, fault: &Fault) -> Option<Stopping> {
        let class = fault.class;
        if fault.severity == Severity::Fatal {
            return Some(Stopping::Fatal { class });
        }
        if class == Class::Permanent {
            return Some(Stopping::Permanent);
        }
        if self.policy.effect == Effect::Unsafe && fault.reached != Reached::No {
            return Some(Stopping::MayHaveArrived { reached: fault.reached });
        }
        let (failures, limit) = (self.failures[index(class)], self.policy.of(class).attempts_max);
        if class == Class::Unauthorized && failures >= 2 {
            return Some(Stopping::UnauthorizedAgain);
        }
        if failures >= limit {
            return Some(Stopping::AttemptsSpent { class, failures, limit });
        }
        let limit = self.policy.attempts_max_in_all();
        (self.attempts >= limit).then_some(Stopping::AttemptsSpentInAll { attempts: self.attempts, limit })
    }

    /// How long until the next attempt, were there no limits.
    fn wait(&mut self, fault: &Fault, given: Option<Duration>) -> (Duration, Waiting) {
        if fault.class == Class::Unauthorized {
            return (Duration::ZERO, Waiting::Refresh);
        }
        let at = index(fault.class);
        let (strategy, failures) = (self.policy.of(fault.class), self.failures[at]);
        let step = failures.saturating_sub(1);
        let own = given.unwrap_or_else(|| strategy.backoff.delay(step, self.previous[at], &mut self.rng));
        match fault.retry_after {
            Some(asked) if asked > own => {
                let extra = match strategy.backoff.parts().4 {
                    Jitter::None => Duration::ZERO,
                    Jitter::Full | Jitter::Equal | Jitter::Decorrelated => {
                        percent_of(asked, 10).min(SERVER_JITTER_MAX)
                    }
                };
                (lengthened(asked, extra, &mut self.rng), Waiting::Server { asked, own })
            }
            _ => {
                let ceiling = given.unwrap_or_else(|| strategy.backoff.ceiling(step));
                let (class, limit) = (fault.class, strategy.attempts_max);
                (own, Waiting::Backoff { class, failures, limit, ceiling })
            }
        }
    }

    /// What comes instead of a wait that is too long: a hand-over or the end, never a shorter wait.
    fn instead(&self, now: Now, delay: Duration, why: Waiting, fault: &Fault) -> Option<Next> {
        let defer = |why| Some(Next::Defer { until: later(now.wall, delay), why });
        match (self.in_time(now, delay), why) {
            (Err(Stopping::OutOfTime { elapsed, limit, .. }), Waiting::Server { asked, .. }) => {
                defer(Deferring::ServerOutOfTime { asked, elapsed, limit })
            }
            // Whoever runs next would only be told to wait again: the work is put off to when it makes sense.
            (
                Err(Stopping::PastDeadline { deadline: Deadline::BeforeNextRun(next_run), .. }),
                Waiting::Server { asked, .. },
            ) => defer(Deferring::ServerPastNextRun { asked, next_run }),
            (Err(why), _) => Some(Next::Stop { why, disposition: disposition(why, fault) }),
            (Ok(()), Waiting::Server { asked, .. }) if asked > self.policy.retry_after_max => {
                defer(Deferring::ServerTooLong { asked, limit: self.policy.retry_after_max })
            }
            (Ok(()), _) => None,
        }
    }

    /// Whether the instant at which the attempt would start is before the deadline and within the time.
    fn in_time(&self, now: Now, delay: Duration) -> Result<(), Stopping> {
        let attempt_min = self.policy.attempt_min;
        if let Some(deadline) = self.policy.deadline {
            let would_be = later(now.wall, delay);
            if later(would_be, attempt_min) > deadline.at() {
                return Err(Stopping::PastDeadline { deadline, would_be });
            }
        }
        match self.policy.elapsed_max {
            Some(limit) => {
                let elapsed = self.elapsed(now);
                if elapsed.saturating_add(delay).saturating_add(attempt_min) > limit {
                    return Err(Stopping::OutOfTime { elapsed, delay, attempt_min, limit });
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn elapsed(&self, now: Now) -> Duration {
        self.held.saturating_add(now.moment.since(self.started))
    }

    fn left(&self, now: Now) -> Option<Duration> {
        self.policy.left(self.elapsed(now), Some(now.wall))
    }
}

/// A seed for one run: the machine's randomness, and the run's own name so that two runs never share a stream.
///
/// ```
/// assert_ne!(unattended::retry::seed(7, "run-1"), unattended::retry::seed(7, "run-2"));
/// ```
#[must_use]
pub fn seed(entropy: u64, run_id: &str) -> u64 {
    // FNV-1a, then one step of the generator to spread it.
    let hash = run_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::seeded(entropy ^ hash).next_u64()
}

/// Where the work goes when its strategy has ended.
fn disposition(why: Stopping, fault: &Fault) -> Disposition {
    match (why, fault.severity) {
        (Stopping::Fatal { .. }, _) => Disposition::Alert,
        (_, Severity::Degraded) => Disposition::GiveUp,
        (Stopping::Permanent | Stopping::UnauthorizedAgain | Stopping::MayHaveArrived { .. }, _) => {
            Disposition::DeadLetter
        }
        _ if fault.class == Class::Unknown => Disposition::DeadLetter,
        _ => Disposition::GiveUp,
    }
}
