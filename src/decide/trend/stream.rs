//! One stream of yes and no.

use serde::{Deserialize, Serialize};

use crate::base::stats::wilson_lower;
use crate::base::time::{Now, Timestamp, forward};
use crate::decide::trend::policy::{Policy, Z};
use crate::decide::trend::reason::{Alert, Cause, Observed, Power, Recovered};

/// How many were seen, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) of: u64,
    pub(super) bad: u64,
}

impl Tally {
    pub(super) const fn add(&mut self, bad: bool) {
        self.of = self.of.saturating_add(1);
        self.bad = self.bad.saturating_add(bad as u64);
    }

    pub(super) const fn merge(&mut self, other: Self) {
        self.of = self.of.saturating_add(other.of);
        self.bad = self.bad.saturating_add(other.bad);
    }
}

/// An alert that stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) since: Timestamp,
    pub(super) cause: Cause,
    pub(super) tally: Tally,
    /// The sum the other way round.
    pub(super) back: f64,
}

/// One stream of yes and no: learns which share is usual, and says when it has risen; see the
/// [module](crate::decide::trend).
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    pub(super) policy: Policy,
    /// Whether it learns by itself; a [`Measure`](super::Measure) says what is usual instead.
    pub(super) learns: bool,
    pub(super) usual: Tally,
    pub(super) score: f64,
    /// What came since the sum left zero: part of what is usual once it is zero again.
    pub(super) doubt: Tally,
    /// When it left zero.
    pub(super) since: Option<Timestamp>,
    pub(super) open: Option<Open>,
    /// The latest instant that was seen.
    pub(super) last: Option<Timestamp>,
}

impl Trend {
    /// A stream of which nothing is known.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        let (usual, doubt) = (Tally { of: 0, bad: 0 }, Tally { of: 0, bad: 0 });
        Self { policy, learns: true, usual, score: 0.0, doubt, since: None, open: None, last: None }
    }

    /// One of which it is said what is usual.
    pub(super) const fn told(policy: Policy) -> Self {
        Self { learns: false, ..Self::new(policy) }
    }

    /// Takes one observation in. A wall clock that steps back is taken to stand still, unless it says more than a day less: then
    /// the clock that was ahead was wrong.
    pub fn observe(&mut self, bad: bool, now: Now) -> Observed {
        let at = forward(self.last, now.wall);
        self.last = Some(at);
        if self.open.is_some() {
            return self.observe_open(bad, at);
        }
        if self.is_learning() {
            return self.learn(bad, at);
        }
        let (good_step, bad_step) = self.steps();
        if self.doubt.of == 0 {
            self.since = Some(at);
        }
        self.doubt.add(bad);
        self.score += if bad { bad_step } else { good_step };
        if self.score <= 0.0 {
            self.settle();
        } else if self.score >= self.policy.threshold {
            return Observed::Alert(self.alert(Cause::Worse, at));
        }
        Observed::Steady { score: self.score, threshold: self.policy.threshold }
    }

    /// Forgets what was learned, and an alert that stands: what comes from now on is what is usual.
    pub fn relearn(&mut self) {
        *self = Self { learns: self.learns, last: self.last, ..Self::new(self.policy) };
    }

    /// Whether an alert stands, and since when.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        self.open.map(|open| open.since)
    }

    /// How many were learned from, and how many of them were bad.
    #[must_use]
    pub const fn learned(&self) -> (u64, u64) {
        (self.usual.of, self.usual.bad)
    }

    /// The sum: 0 while all is well, [`threshold`](super::Builder::threshold) for an alert.
    #[must_use]
    pub const fn score(&self) -> f64 {
        self.score
    }

    /// What it can find with what it has learned so far; none while it is learning.
    #[must_use]
    pub fn power(&self) -> Option<Power> {
        (!self.is_learning()).then(|| self.power_now())
    }

    /// Whether nothing is in doubt.
    pub(super) const fn is_calm(&self) -> bool {
        self.doubt.of == 0 && self.open.is_none()
    }

    fn is_learning(&self) -> bool {
        self.learns && self.usual.of < u64::from(self.policy.learn_min)
    }

    fn learn(&mut self, bad: bool, at: Timestamp) -> Observed {
        if self.usual.of == 0 {
            self.since = Some(at);
        }
        self.usual.add(bad);
        let share = wilson_lower(self.usual.bad, self.usual.of, Z);
        if self.policy.bad_max.is_some_and(|most| share > most) {
            return Observed::Alert(self.alert(Cause::BadFromTheStart, at));
        }
        if !self.is_learning() {
            self.since = None;
        }
        Observed::Learning { seen: self.usual.of, needed: self.policy.learn_min }
    }

    /// The sum is zero: what came since it was above was chance.
    fn settle(&mut self) {
        self.score = 0.0;
        self.since = None;
        let came = std::mem::take(&mut self.doubt);
        if self.learns && self.usual.of < u64::from(self.policy.learn_max) {
            self.usual.merge(came);
        }
    }

    fn alert(&mut self, cause: Cause, at: Timestamp) -> Alert {
        let (usual, worse) = self.shares();
        let seen = if cause == Cause::Worse { self.doubt } else { self.usual };
        let before = if cause == Cause::Worse { self.usual } else { Tally::default() };
        let alert = Alert {
            cause,
            at,
            since: self.since.unwrap_or(at),
            of: seen.of,
            bad: seen.bad,
            usual_of: before.of,
            usual_bad: before.bad,
            usual,
            worse,
            score: self.score,
            threshold: self.policy.threshold,
            power: self.power_now(),
        };
        if cause == Cause::BadFromTheStart {
            // Nothing of this is usual.
            self.usual = Tally::default();
        }
        self.open = Some(Open { since: at, cause, tally: Tally::default(), back: 0.0 });
        (self.score, self.doubt, self.since) = (0.0, Tally::default(), None);
        alert
    }

    fn observe_open(&mut self, bad: bool, at: Timestamp) -> Observed {
        let (good_step, bad_step) = self.steps();
        let Some(open) = &mut self.open else {
            return Observed::Steady { score: self.score, threshold: self.policy.threshold };
        };
        open.tally.add(bad);
        open.back = (open.back - if bad { bad_step } else { good_step }).max(0.0);
        let Open { since, tally: Tally { of, bad }, back, .. } = *open;
        if back < self.policy.recover {
            return Observed::Open { since, of, bad };
        }
        self.open = None;
        Observed::Recovered(Recovered { at, since, of, bad })
    }

    fn shares(&self) -> (f64, f64) {
        if self.is_learning() || self.open.is_some_and(|open| open.cause == Cause::BadFromTheStart) {
            self.policy.assumed()
        } else {
            self.policy.shares(self.usual.bad, self.usual.of)
        }
    }

    /// By how much a good one changes the sum, and a bad one.
    fn steps(&self) -> (f64, f64) {
        let (usual, worse) = self.shares();
        (((1.0 - worse) / (1.0 - usual)).ln(), (worse / usual).ln())
    }

    fn power_now(&self) -> Power {
        let (good, bad) = self.steps();
        let threshold = self.policy.threshold;
        // Wald's identity: the sum drifts to the threshold, and passes it by half a step.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion saturates")]
        let after = |share: f64| {
            let drift = share * bad + (1.0 - share) * good;
            (drift > 1e-3).then(|| ((threshold + bad / 2.0) / drift).ceil() as u32)
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a conversion saturates")]
        let false_one_in = threshold.exp() as u32;
        Power { ten_percent: after(0.1), thirty_percent: after(0.3), all: after(1.0), false_one_in }
    }
}
