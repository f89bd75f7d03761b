//! The gate itself: what it remembers, and how a sample changes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Now, Timestamp, between, later};
use crate::decide::gate::limit::{Bound, Judged, Limit, Missing};
use crate::decide::gate::policy::Policy;
use crate::decide::gate::reason::{Closed, Decision, GaveUp, GivenUp, Opened, Why};
use crate::decide::gate::sample::{Reading, Sample};
use crate::decide::gate::signal::Signal;

/// What is in the way for long is asked about less often, but at least so often.
const ASK_MAX: Duration = Duration::from_secs(60);
/// No more often than this: a moment that is not after this one would be asked about without end.
const DUE_MIN: Duration = Duration::from_millis(1);

/// A policy and what it has seen. One state for each gate; `evaluate` is the only way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    pub(super) policy: Policy,
    pub(super) state: State,
}

/// What is known between two samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// What closed it, while it is closed.
    pub(super) closed: Option<Cause>,
    /// Since when no answer was "open".
    pub(super) since: Option<Timestamp>,
    /// For how long.
    pub(super) waited: Duration,
    /// For how long everything has been good, while it is closed.
    pub(super) calm: Option<Duration>,
    pub(super) last: Option<Last>,
}

/// What closed a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cause {
    pub(super) signal: Signal,
    pub(super) value: Reading,
    pub(super) limit: Bound,
}

/// When it was asked last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Last {
    Here(Now),
    /// By a process whose monotonic clock is not this one's.
    Elsewhere(Timestamp),
}

/// What a sample says, limit by limit: the first of each kind.
#[derive(Default)]
struct Found<'a> {
    bad: Option<(&'a Limit, Reading)>,
    between: Option<(&'a Limit, Reading)>,
    measuring: Option<(&'a Limit, Duration)>,
    missing: usize,
}

impl Gate {
    /// One that has seen nothing: it is open until a sample closes it.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, state: State::default() }
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What it limits; whoever takes the sample reads these.
    pub fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.policy.limits.iter().map(Limit::signal)
    }

    /// Whether heavy work may begin, by what was read at `now`.
    ///
    /// The time since the last question is taken from the monotonic clock, after [`restored`](Self::restored) once from the wall
    /// clock; a clock that goes back stands still. What is needed and still being measured is answered with
    /// [`Why::Measuring`] and changes nothing.
    pub fn evaluate(&mut self, sample: &Sample, now: Now) -> Decision {
        self.decide(sample, now, None)
    }

    /// The same for work that is of no use if it cannot begin before `deadline`: from then on a gate that is not open is given up.
    pub fn evaluate_by(&mut self, sample: &Sample, now: Now, deadline: Timestamp) -> Decision {
        self.decide(sample, now, Some(deadline))
    }

    fn decide(&mut self, sample: &Sample, now: Now, deadline: Option<Timestamp>) -> Decision {
        let Self { policy, state } = self;
        state.pass(now);
        let found = Found::of(policy, sample);
        if let Some((limit, value)) = found.bad {
            let cause = Cause { signal: limit.signal.clone(), value, limit: limit.bound };
            let why = match cause.value {
                Reading::Missing(_) => Why::Missing,
                _ => Why::Beyond,
            };
            state.calm = None;
            state.closed = Some(cause.clone());
            return self.shut(cause, why, now, deadline);
        }
        if let (Some((limit, value)), true) = (found.between, state.closed.is_some()) {
            state.calm = None;
            let cause = Cause { signal: limit.signal.clone(), value, limit: limit.bound };
            return self.shut(cause, Why::NotYetGood, now, deadline);
        }
        if let Some((limit, due)) = found.measuring {
            let due = due.clamp(DUE_MIN, ASK_MAX);
            let cause =
                Cause { signal: limit.signal.clone(), value: Reading::Measuring(due), limit: limit.bound };
            return self.shut(cause, Why::Measuring { due }, now, deadline);
        }
        let Some(cause) = state.closed.clone() else {
            state.open();
            return Decision::Open {
                why: Opened::Calm { signals: policy.limits.len(), missing: found.missing },
            };
        };
        let (calm, dwell) = (*state.calm.get_or_insert(Duration::ZERO), policy.dwell);
        if calm < dwell {
            return self.shut(cause, Why::Dwelling { calm, dwell }, now, deadline);
        }
        let waited = state.waited;
        state.open();
        Decision::Open { why: Opened::Calmed { waited, calm } }
    }

    /// The answer while it is not open.
    fn shut(&mut self, cause: Cause, why: Why, now: Now, deadline: Option<Timestamp>) -> Decision {
        let since = *self.state.since.get_or_insert(now.wall);
        let waited = self.state.waited;
        let again = match why {
            Why::Dwelling { calm, dwell } => dwell.saturating_sub(calm),
            Why::Measuring { due } => due,
            Why::Beyond | Why::NotYetGood | Why::Missing => {
                let least = (self.policy.dwell / 6).clamp(Duration::from_secs(1), Duration::from_secs(5));
                (waited / 8).clamp(least, ASK_MAX)
            }
        };
        let Cause { signal, value, limit } = cause;
        let mut closed = Closed { signal, value, limit, since, retry_at: later(now.wall, again), why };
        let deadline_passed = deadline.filter(|deadline| now.wall >= *deadline);
        let over = self.policy.give_up_after.filter(|after| waited >= *after);
        if let Some(by) = over.map(GaveUp::After).or_else(|| deadline_passed.map(GaveUp::At)) {
            return Decision::GivenUp(GivenUp { waited, by, last: closed });
        }
        let left = self.policy.give_up_after.map(|after| later(now.wall, after.saturating_sub(waited)));
        for end in left.into_iter().chain(deadline) {
            closed.retry_at = closed.retry_at.min(end);
        }
        Decision::Closed(closed)
    }
}

impl State {
    /// Time has passed until `now`.
    fn pass(&mut self, now: Now) {
        let step = match self.last {
            None => Duration::ZERO,
            Some(Last::Here(before)) => now.moment.since(before.moment),
            Some(Last::Elsewhere(before)) => between(before, now.wall),
        };
        // Two threads may ask at once, and the one that read the clock first come second.
        if !matches!(self.last, Some(Last::Here(before)) if now.moment < before.moment) {
            self.last = Some(Last::Here(now));
        }
        if self.since.is_some() {
            self.waited = self.waited.saturating_add(step);
        }
        self.calm = self.calm.map(|calm| calm.saturating_add(step));
    }

    fn open(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }
}

impl<'a> Found<'a> {
    fn of(policy: &'a Policy, sample: &Sample) -> Self {
        let mut found = Self::default();
        for limit in &policy.limits {
            let reading = sample.get(&limit.signal);
            let value = || reading.cloned().unwrap_or(Reading::Is(false));
            match limit.judge(reading) {
                Judged::Good => {}
                Judged::Between => found.between = found.between.or_else(|| Some((limit, value()))),
                Judged::Bad => found.bad = found.bad.or_else(|| Some((limit, value()))),
                Judged::Measuring(due) => {
                    // All of them have to be known, so the last one counts.
                    let longest = found.measuring.map_or(due, |(_, other)| other.max(due));
                    let first = found.measuring.map_or(limit, |(first, _)| first);
                    found.measuring = Some((first, longest));
                }
                Judged::Missing(why) => match limit.missing {
                    Missing::Open => found.missing = found.missing.saturating_add(1),
                    Missing::Closed => {
                        found.bad = found.bad.or_else(|| Some((limit, Reading::missing(why))));
                    }
                },
            }
        }
        found
    }
}
