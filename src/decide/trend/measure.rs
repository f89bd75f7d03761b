//! A stream of numbers of which more is worse.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::sketch::Sketch;
use crate::base::time::Now;
use crate::decide::trend::policy::Policy;
use crate::decide::trend::reason::Observed;
use crate::decide::trend::stream::{Tally, Trend};

/// Widths of a bin: a tenth, so that a job that takes equally long each time is not told for a few percent.
const MARGIN: i32 = 5;

/// A stream of numbers of which more is worse, such as durations: says when they have become greater than they were.
///
/// It learns their median and 95th percentile, then watches with two [`Trend`]s which share is above each by a tenth. The limits are fixed
/// when [`learn_min`](super::Builder::learn_min) were seen, and again each time that those that turned out to be usual have
/// doubled, until there are [`learn_max`](super::Builder::learn_max). Quantiles are exact to one part in a hundred, in at most 512
/// counters each for what is usual and what is in doubt.
///
/// ```
/// use unattended::time::{Clock, System};
/// use unattended::trend::{Measure, Measured, Policy};
///
/// let mut durations = Measure::new(Policy::default());
/// for run in 0..500 {
///     let _usual = durations.observe(1.0 + f64::from(run % 10) / 10.0, System.now());
/// }
/// let twice = (1..100).find(|run| {
///     durations.observe(2.0 + f64::from(run % 10) / 5.0, System.now()).alert().is_some()
/// });
/// assert!(twice < Some(20), "{twice:?}");
/// assert!(matches!(durations.observe(f64::NAN, System.now()), Measured::Ignored { .. }));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    pub(super) policy: Policy,
    pub(super) seen: Sketch,
    /// What came while one of the two was in doubt.
    pub(super) doubt: Sketch,
    pub(super) limits: Option<Limits>,
    /// How many had been seen when the limits were fixed.
    pub(super) fixed_at: u64,
    pub(super) median: Trend,
    pub(super) tail: Trend,
}

/// What is usual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Half of them are below this by a tenth.
    pub median: f64,
    /// 95 of 100 are.
    pub p95: f64,
}

/// What one more number changes.
#[must_use = "an alert is told once"]
#[allow(clippy::large_enum_variant, reason = "it is made, matched and gone")]
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// It is negative, infinite or no number, and was not counted.
    Ignored {
        /// What was given.
        given: f64,
    },
    /// Too little is known to judge it.
    Learning {
        /// How many were learned from.
        seen: u64,
        /// How many there have to be.
        needed: u32,
    },
    /// It was judged.
    Judged {
        /// By what.
        limits: Limits,
        /// Whether more than half are above the median by now.
        median: Observed,
        /// Whether more than one in twenty are above the 95th percentile by now.
        tail: Observed,
    },
}

impl Measured {
    /// The alert, if there is one: that of the median if both rise at once.
    #[must_use]
    pub fn alert(&self) -> Option<&super::Alert> {
        let Self::Judged { median, tail, .. } = self else { return None };
        [median, tail].into_iter().find_map(|one| match one {
            Observed::Alert(alert) => Some(alert),
            _ => None,
        })
    }
}

impl Explain for Measured {
    fn code(&self) -> &'static str {
        match self {
            Self::Ignored { .. } => "trend.no_number",
            Self::Learning { .. } => "trend.learning",
            Self::Judged { median: Observed::Steady { .. }, tail, .. } => tail.code(),
            Self::Judged { median, .. } => median.code(),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored { given } => {
                write!(f, "{given} is no number that can be compared, and was not counted")
            }
            Self::Learning { seen, needed } => {
                write!(f, "{seen} were learned from, nothing is judged before {needed}")
            }
            Self::Judged { limits, median, tail } => write!(
                f,
                "above the median of {:.3}: {median}; above the p95 of {:.3}: {tail}",
                limits.median, limits.p95
            ),
        }
    }
}

impl Measure {
    /// Numbers of which nothing is known.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let told = Trend::told(Self::told_by(policy));
        let (seen, doubt) = (Sketch::default(), Sketch::default());
        Self { policy, seen, doubt, limits: None, fixed_at: 0, median: told.clone(), tail: told }
    }

    /// Takes one in. Negative ones, infinities and what is no number are answered as [`Measured::Ignored`].
    pub fn observe(&mut self, value: f64, now: Now) -> Measured {
        if !value.is_finite() || value < 0.0 {
            return Measured::Ignored { given: value };
        }
        let Some(limits) = self.limits else {
            // It is a number.
            let _taken = self.seen.add(value);
            self.fix();
            return Measured::Learning { seen: self.seen.count(), needed: self.policy.learn_min };
        };
        let median = self.median.observe(value > limits.median, now);
        let tail = self.tail.observe(value > limits.p95, now);
        self.keep(value, [&median, &tail].into_iter().any(|one| matches!(one, Observed::Alert(_))));
        Measured::Judged { limits, median, tail }
    }

    /// What is usual, once enough was seen.
    #[must_use]
    pub const fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// The number that a share of `q` of those learned from is at most.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.seen.quantile(q)
    }

    /// How many were learned from.
    #[must_use]
    pub fn learned(&self) -> u64 {
        self.seen.count()
    }

    /// Which share is above the median.
    #[must_use]
    pub const fn median(&self) -> &Trend {
        &self.median
    }

    /// Which share is above the 95th percentile.
    #[must_use]
    pub const fn tail(&self) -> &Trend {
        &self.tail
    }

    /// Forgets what was learned, and alerts that stand.
    pub fn relearn(&mut self) {
        *self = Self::new(self.policy);
    }

    pub(super) const fn told_by(policy: Policy) -> Policy {
        Policy { bad_max: None, ..policy }
    }

    /// Learns from what turned out to be usual.
    fn keep(&mut self, value: f64, alert: bool) {
        if self.seen.count() >= u64::from(self.policy.learn_max) {
            return;
        }
        if alert || self.median.open.is_some() || self.tail.open.is_some() {
            self.doubt = Sketch::default();
            return;
        }
        let _taken = self.doubt.add(value);
        if self.median.is_calm() && self.tail.is_calm() {
            self.seen.merge(&std::mem::take(&mut self.doubt));
            self.fix();
        }
    }

    /// Fixes the limits when enough was seen, and again when that has doubled.
    fn fix(&mut self) {
        let seen = self.seen.count();
        let due = match self.fixed_at {
            0 => seen >= u64::from(self.policy.learn_min),
            before => seen >= before.saturating_mul(2) || seen >= u64::from(self.policy.learn_max),
        };
        if !due {
            return;
        }
        let limit = |q| self.seen.limit(q, MARGIN);
        let (Some((median, above_median)), Some((p95, above_p95))) = (limit(0.5), limit(0.95)) else {
            return;
        };
        // Beyond the greatest number there is nothing that JSON could say.
        let (median, p95) = (median.min(f64::MAX), p95.min(f64::MAX));
        self.limits = Some(Limits { median, p95 });
        self.fixed_at = seen;
        // By what was seen, not by what a quantile is said to be: of equal numbers none is above their median.
        self.median.usual = Tally { of: seen, bad: above_median };
        self.tail.usual = Tally { of: seen, bad: above_p95 };
    }
}
