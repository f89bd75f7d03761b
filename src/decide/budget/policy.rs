//! The knobs: how many retries there are at most, how they come back, what each costs.

use std::time::Duration;

use crate::base::bucket::Rate;
use crate::base::fault::{Class, Fault};
use crate::base::time::nanos;

const TOKENS_LIMIT: u32 = 1_000_000;
const RATIO_LIMIT: u32 = 1000;
/// Nanoseconds of which one token's time is made, so that a thousandth of a token, and a percent, is a whole number.
const GRAIN: u64 = 1000;
const PERIOD_MIN: Duration = Duration::from_millis(1);
const PERIOD_MAX: Duration = Duration::from_secs(366 * 86_400);

/// How many retries a dependency may be burdened with. [`Policy::cron`] is the default.
///
/// A retry costs a token, or what its fault's class is weighed at; tokens come back with time and with successes.
///
/// | knob | [`service`](Policy::service) | [`cron`](Policy::cron) |
/// |---|---|---|
/// | tokens at most | 50 | 20 |
/// | come back with time | 3 in a second | 20 in an hour |
/// | come back with each success | 0.2 | none |
/// | a retry costs | 1; rate limited 0.5; after a time-out 2 | the same |
///
/// The weights are those of the AWS SDKs in kind (a time-out has cost the other side more than a refusal), the share of
/// successes is Finagle's 20 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) tokens_max: u32,
    pub(super) refill: u32,
    pub(super) refill_period: Duration,
    pub(super) success_ratio: u32,
    pub(super) costs: Costs,
}

/// What a retry costs, in thousandths of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Costs {
    pub(super) transient: u32,
    pub(super) rate_limited: u32,
    pub(super) unauthorized: u32,
    pub(super) permanent: u32,
    pub(super) unknown: u32,
    pub(super) timed_out: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self::cron()
    }
}

impl Policy {
    /// For a job of few calls whose state is saved between runs: 20 retries an hour.
    #[must_use]
    pub const fn cron() -> Self {
        let costs = Costs {
            transient: 1000,
            rate_limited: 500,
            unauthorized: 1000,
            permanent: 1000,
            unknown: 1000,
            timed_out: 2000,
        };
        Self { tokens_max: 20, refill: 20, refill_period: Duration::from_secs(3600), success_ratio: 0, costs }
    }

    /// For a long-running program with much traffic: 3 retries a second and one for each five successes; what 10 seconds
    /// of silence bring back, and some more, at once.
    #[must_use]
    pub const fn service() -> Self {
        Self::cron().tokens_max(50).refill(3, Duration::from_secs(1)).success_ratio(20)
    }

    /// How many tokens there are at most, 1 to 1,000,000; as many are there at the start.
    #[must_use]
    pub const fn tokens_max(mut self, tokens: u32) -> Self {
        self.tokens_max = tokens;
        self
    }

    /// How many tokens come back in each period, evenly: at least 1, for a budget that nothing fills would stay spent,
    /// and at most one a microsecond; the period is 1 ms to 366 days. One token's time is rounded up to a microsecond.
    #[must_use]
    pub const fn refill(mut self, tokens: u32, period: Duration) -> Self {
        self.refill = tokens;
        self.refill_period = period;
        self
    }

    /// Which share of a token each success brings back, in percent, 0 to 1000. With 0 a success costs nothing.
    #[must_use]
    pub const fn success_ratio(mut self, percent: u32) -> Self {
        self.success_ratio = percent;
        self
    }

    /// What a retry after a fault of `class` costs, in thousandths of a token, 0 to all of them.
    #[must_use]
    pub const fn cost_of(mut self, class: Class, thousandths: u32) -> Self {
        match class {
            Class::Transient => self.costs.transient = thousandths,
            Class::RateLimited => self.costs.rate_limited = thousandths,
            Class::Unauthorized => self.costs.unauthorized = thousandths,
            Class::Permanent => self.costs.permanent = thousandths,
            Class::Unknown => self.costs.unknown = thousandths,
        }
        self
    }

    /// What a retry after a [time-out](Fault::is_timeout) costs, whatever its class, in thousandths of a token.
    #[must_use]
    pub const fn cost_of_timeout(mut self, thousandths: u32) -> Self {
        self.costs.timed_out = thousandths;
        self
    }

    /// What a retry after `fault` costs, in thousandths of a token.
    #[must_use]
    pub fn cost(&self, fault: &Fault) -> u32 {
        match fault.class {
            _ if fault.is_timeout() => self.costs.timed_out,
            Class::Transient => self.costs.transient,
            Class::RateLimited => self.costs.rate_limited,
            Class::Unauthorized => self.costs.unauthorized,
            Class::Permanent => self.costs.permanent,
            Class::Unknown => self.costs.unknown,
        }
    }

    /// Whether the policy makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the first knob that does not, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        self.rate().map(|_| ())
    }

    /// The bucket of this policy, if it makes sense.
    pub(super) fn rate(&self) -> Result<Rate, Error> {
        within("tokens_max", self.tokens_max, 1, TOKENS_LIMIT)?;
        if !(PERIOD_MIN..=PERIOD_MAX).contains(&self.refill_period) {
            let (given, allowed) =
                (format!("{:?}", self.refill_period), format!("{PERIOD_MIN:?} to {PERIOD_MAX:?}"));
            return Err(Error::Field { field: "refill_period", given, allowed });
        }
        let period = nanos(self.refill_period);
        within("refill", self.refill, 1, u32::try_from(period / GRAIN).unwrap_or(u32::MAX))?;
        within("success_ratio", self.success_ratio, 0, RATIO_LIMIT)?;
        let all = self.tokens_max.saturating_mul(1000);
        for (field, cost) in [
            ("cost.transient", self.costs.transient),
            ("cost.rate_limited", self.costs.rate_limited),
            ("cost.unauthorized", self.costs.unauthorized),
            ("cost.permanent", self.costs.permanent),
            ("cost.unknown", self.costs.unknown),
            ("cost.timed_out", self.costs.timed_out),
        ] {
            within(field, cost, 0, all)?;
        }
        let interval = period.div_ceil(u64::from(self.refill)).div_ceil(GRAIN) * GRAIN;
        Rate::new(interval, self.tokens_max).ok_or_else(|| Error::Field {
            field: "refill_period",
            given: format!("{:?}", self.refill_period),
            allowed: "what fills the budget within 100 years".to_owned(),
        })
    }

    /// What a success brings back, in nanoseconds of `rate`.
    pub(super) fn deposit(&self, rate: Rate) -> u64 {
        rate.interval().saturating_mul(u64::from(self.success_ratio)) / 100
    }
}

/// What is wrong with a policy or with a saved budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("budget policy: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A snapshot in a format that this version does not know.
    #[error("budget snapshot has version {found}, this program knows {known}")]
    Version {
        /// The version in the snapshot.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
}

fn within(field: &'static str, given: u32, min: u32, max: u32) -> Result<(), Error> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(Error::Field { field, given: given.to_string(), allowed: format!("{min} to {max}") })
}
