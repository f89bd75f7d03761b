//! The state machine: starts and ends in, decisions out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, later, millis, nanos};
use crate::decide::restart::evidence::{EXITS_MAX, Evidence, Past};
use crate::decide::restart::exit::{Class, Exit, How};
use crate::decide::restart::policy::{Error, Policy, Restart};
use crate::decide::restart::reason::{Decision, Escalating, Recycling, Restarting, Start, Stopping, Waiting};

/// Room before the origin of the monotonic clock, for what happened before this process: 100 years.
const ROOM: u64 = 100 * 366 * 86_400 * 1_000_000_000;

/// An instant on one line: the monotonic clock, with room before its origin.
pub(super) const fn line(now: Now) -> u64 {
    now.moment.as_nanos().saturating_add(ROOM)
}

const fn moment(line: u64) -> Moment {
    Moment::from_nanos(line.saturating_sub(ROOM))
}

/// What is remembered of something that is supervised: the window of its failures, its delays, its last ends.
///
/// Not `Clone`: two copies would draw the same delays, and each count half of the failures.
#[derive(Debug)]
pub struct State {
    pub(super) policy: Policy,
    pub(super) rng: Rng,
    /// Failures within the window, at most `failures_max`, the oldest first.
    pub(super) failures: VecDeque<u64>,
    /// How many delays were drawn since the last stable uptime, and the last of them.
    pub(super) step: u32,
    pub(super) last_delay: Duration,
    /// How often the last error came in a row, each time quickly.
    pub(super) same: u32,
    pub(super) started: Option<u64>,
    pub(super) runs: u64,
    /// When it may be begun again.
    pub(super) pending: Option<u64>,
    pub(super) escalated: Option<(u64, Escalating)>,
    pub(super) past: VecDeque<Past>,
    pub(super) starts_total: u64,
    pub(super) failures_total: u64,
}

impl State {
    /// Of something that was never started. The delays are drawn from `seed` ([`entropy`](crate::base::rng::entropy) where
    /// it is not to be repeated).
    ///
    /// # Errors
    /// As [`Policy::check`].
    pub fn new(policy: Policy, seed: u64) -> Result<Self, Error> {
        policy.check()?;
        Ok(Self {
            policy,
            rng: Rng::seeded(seed),
            failures: VecDeque::new(),
            step: 0,
            last_delay: Duration::ZERO,
            same: 0,
            started: None,
            runs: 0,
            pending: None,
            escalated: None,
            past: VecDeque::new(),
            starts_total: 0,
            failures_total: 0,
        })
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether something that is not running may be begun. A delay goes on over a restart of the supervisor; and an escalation
    /// stands for as long as the window is, or until it is [cleared](Self::clear), so that whoever restarts the supervisor does not
    /// undo what it has found.
    pub fn begin(&mut self, now: Now) -> Start {
        let at = line(now);
        // Of a run whose end an earlier supervisor did not live to see.
        self.started = None;
        if let Some((when, why)) = self.escalated {
            let age = Duration::from_nanos(at.saturating_sub(when));
            if age <= self.policy.window {
                let until = later(now.wall, self.policy.window.saturating_sub(age));
                return Start::Escalated { evidence: Box::new(self.evidence()), why, until };
            }
            self.clear();
        }
        match self.pending.filter(|pending| *pending > at) {
            Some(pending) => {
                let left = Duration::from_nanos(pending - at);
                Start::At { at: moment(pending), why: Waiting { left } }
            }
            None => Start::Now,
        }
    }

    /// It was started.
    pub fn started(&mut self, now: Now) {
        self.started = Some(line(now));
        self.pending = None;
        self.runs = 0;
        self.starts_total = self.starts_total.saturating_add(1);
    }

    /// It has done so much more, for [`Policy::recycle_after_runs`].
    pub const fn ran(&mut self, runs: u64) {
        self.runs = self.runs.saturating_add(runs);
    }

    /// It has ended: what now?
    pub fn on_exit(&mut self, now: Now, exit: Exit) -> Decision {
        let at = line(now);
        let up = self.started.map(|started| Duration::from_nanos(at.saturating_sub(started)));
        let uptime = exit.uptime.or(up).unwrap_or_default();
        let (how, class) = (exit.how, self.policy.class_of(exit.how));
        self.started = None;
        self.pending = None;
        self.runs = 0;
        if uptime >= self.policy.stable_after.max(self.last_delay.saturating_mul(2)) {
            self.step = 0;
            self.last_delay = Duration::ZERO;
        }
        self.remember(now, exit, class, uptime);
        match (class, self.policy.restart) {
            (Class::Failure, Restart::Always | Restart::OnFailure) => self.failed(now),
            (Class::Failure, Restart::Never) => Decision::Stop { why: Stopping::Never { how } },
            (Class::Permanent, _) => Decision::Stop { why: Stopping::Permanent { how } },
            (Class::Success, Restart::Always) => {
                let delay = self.policy.backoff.ceiling(0);
                self.again(at, delay, Restarting::Clean { delay })
            }
            (Class::Success, Restart::OnFailure | Restart::Never) => {
                Decision::Stop { why: Stopping::Well { how } }
            }
            (Class::Recycled, _) => {
                // What is too large as soon as it is up would else be begun afresh without end and without rest.
                let stable = uptime >= self.policy.stable_after;
                let delay = if stable { Duration::ZERO } else { self.delay() };
                self.again(at, delay, Restarting::Recycled { delay })
            }
        }
    }

    /// It hangs and could not be stopped within `grace`; its end was told before, or never comes. It is not begun beside itself.
    pub fn unstoppable(&mut self, now: Now, grace: Duration) -> Decision {
        self.pending = None;
        self.escalate(now, Escalating::Unstoppable { grace_ms: millis(grace) })
    }

    /// Whether it is time to stop it and begin afresh; `resident` is what of it is in memory, where that is known.
    #[must_use]
    pub fn due_for_recycling(&self, now: Now, resident: Option<u64>) -> Option<Recycling> {
        let age = Duration::from_nanos(line(now).saturating_sub(self.started?));
        let of_age = self.policy.age_max.filter(|limit| age >= *limit);
        let of_runs = self.policy.runs_max.filter(|limit| self.runs >= *limit);
        let of_size = resident.zip(self.policy.resident_max).filter(|(bytes, limit)| bytes > limit);
        of_age
            .map(|limit| Recycling::Age { age, limit })
            .or_else(|| of_runs.map(|limit| Recycling::Runs { runs: self.runs, limit }))
            .or_else(|| of_size.map(|(bytes, limit)| Recycling::Resident { bytes, limit }))
    }

    /// When it will be of age, if it is running and that has a limit.
    #[must_use]
    pub fn recycle_at(&self) -> Option<Moment> {
        let limit = self.policy.age_max?;
        Some(moment(self.started?.saturating_add(nanos(limit))))
    }

    /// A person has seen to it: window, delays and an escalation are forgotten, the evidence is kept.
    pub fn clear(&mut self) {
        self.failures.clear();
        (self.step, self.last_delay, self.same) = (0, Duration::ZERO, 0);
        self.escalated = None;
        self.pending = None;
    }

    /// How many failures are in the window at `now`.
    #[must_use]
    pub fn failures(&self, now: Now) -> u32 {
        let at = line(now);
        let within = self.failures.iter().filter(|failure| self.is_within(**failure, at)).count();
        u32::try_from(within).unwrap_or(u32::MAX)
    }

    /// How often it was started, as far back as the state goes.
    #[must_use]
    pub const fn starts_total(&self) -> u64 {
        self.starts_total
    }

    /// The last end that was seen.
    #[must_use]
    pub fn last(&self) -> Option<&Past> {
        self.past.back()
    }

    /// What was seen of the last ends.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence::new(&self.past, self.policy.quick, self.starts_total, self.failures_total)
    }

    const fn is_within(&self, failure: u64, at: u64) -> bool {
        at.saturating_sub(failure) <= nanos(self.policy.window)
    }

    fn failed(&mut self, now: Now) -> Decision {
        let at = line(now);
        while self.failures.front().is_some_and(|failure| !self.is_within(*failure, at)) {
            self.failures.pop_front();
        }
        self.failures.push_back(at);
        let (limit, window) = (self.policy.failures_max, self.policy.window);
        let failures = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        // After an escalation it may go on, and fail: the ring stays as long as its limit.
        if failures > limit {
            self.failures.pop_front();
        }
        if failures >= limit {
            let (failures, window_ms) = (failures.min(limit), millis(window));
            return self.escalate(now, Escalating::WindowFull { failures, limit, window_ms });
        }
        if let Some(limit) = self.policy.same_max.filter(|limit| self.same >= *limit) {
            let (times, quick_ms) = (self.same, millis(self.policy.quick));
            return self.escalate(now, Escalating::SameError { times, limit, quick_ms });
        }
        let how = self.past.back().map_or(How::Failed, |past| past.how);
        let delay = self.delay();
        self.again(at, delay, Restarting::Failed { how, failures, limit, window, delay })
    }

    fn escalate(&mut self, now: Now, why: Escalating) -> Decision {
        self.escalated = Some((line(now), why));
        Decision::Escalate { evidence: Box::new(self.evidence()), why }
    }

    fn again(&mut self, at: u64, delay: Duration, why: Restarting) -> Decision {
        let pending = at.saturating_add(nanos(delay));
        self.pending = Some(pending);
        Decision::Restart { at: moment(pending), why }
    }

    fn delay(&mut self) -> Duration {
        self.last_delay = self.policy.backoff.delay(self.step, self.last_delay, &mut self.rng);
        self.step = self.step.saturating_add(1);
        self.last_delay
    }

    /// Keeps the end as evidence, and counts whether it is the same error again.
    fn remember(&mut self, now: Now, exit: Exit, class: Class, uptime: Duration) {
        let fingerprint = exit.fingerprint();
        let quick = class == Class::Failure && uptime <= self.policy.quick;
        let again = self.past.back().is_some_and(|past| past.fingerprint == fingerprint);
        self.same = match (quick, again) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => self.same.saturating_add(1),
        };
        if matches!(class, Class::Failure | Class::Permanent) {
            self.failures_total = self.failures_total.saturating_add(1);
        }
        if self.past.len() >= EXITS_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            at: now.wall,
            how: exit.how,
            class,
            uptime,
            fingerprint,
            tail: exit.tail,
        });
    }
}
