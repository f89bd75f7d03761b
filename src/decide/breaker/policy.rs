//! The knobs: which rules trip it, how long it stays open, how it is probed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::nanos;

const CALLS_LIMIT: u32 = 1024;
const COUNT_LIMIT: u32 = 1_000_000;
const PROBES_LIMIT: u32 = 64;

/// What the breaker does with what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Refuses while open.
    #[default]
    Enforce,
    /// Refuses nothing, and says what it would have refused.
    Shadow,
    /// Refuses everything: a switch for people.
    ForcedOpen,
    /// Allows everything and scores nothing.
    Disabled,
}

/// Trips at a share of failures among the last `calls` results. The window slides by one with each result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The share that trips, 1 to 100 percent.
    pub percent: u32,
    /// How many results are remembered, 1 to 1024.
    pub calls: u32,
    /// No verdict on fewer results than this, 1 to `calls`.
    pub min: u32,
    /// Results older than this are forgotten; `None` for never.
    pub within: Option<Duration>,
}

/// Trips at a share of failures within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRate {
    /// The share that trips, 1 to 100 percent.
    pub percent: u32,
    /// The time, at least 60 ms; it slides in 60 steps.
    pub window: Duration,
    /// No verdict on fewer results than this.
    pub min: u32,
}

/// Trips at a share of slow successes among the last `calls` successes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowRate {
    /// The share that trips, 1 to 100 percent.
    pub percent: u32,
    /// How many results are remembered, 1 to 1024.
    pub calls: u32,
    /// No verdict on fewer results than this, 1 to `calls`.
    pub min: u32,
    /// A success that takes longer is slow.
    pub over: Duration,
}

/// When it opens, for how long, and how it closes. [`Policy::cron`] is the default.
///
/// | knob | [`service`](Policy::service) | [`cron`](Policy::cron) |
/// |---|---|---|
/// | trips | 50 % over 60 s (min 10), or 5 in a row | 3 in a row, or 50 % of the last 20 within 24 h (min 5) |
/// | open | 30 s x2, cap 4 min | 5 min x2, cap 40 min |
/// | probes, successes to close | 1, 2 | 1, 1 |
/// | lease of a probe | 20 s | 2 min |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) mode: Mode,
    pub(super) consecutive: Option<u32>,
    pub(super) rate: Option<Rate>,
    pub(super) time_rate: Option<TimeRate>,
    pub(super) slow_rate: Option<SlowRate>,
    pub(super) open: Duration,
    pub(super) open_factor: u32,
    pub(super) open_max: Duration,
    pub(super) open_jitter: u32,
    pub(super) probes: u32,
    pub(super) successes: u32,
    pub(super) lease: Duration,
    pub(super) healthy: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self::cron()
    }
}

impl Policy {
    /// For a job of few calls whose state is saved between runs.
    #[must_use]
    pub const fn cron() -> Self {
        let day = Some(Duration::from_secs(86_400));
        Self {
            consecutive: Some(3),
            rate: Some(Rate { percent: 50, calls: 20, min: 5, within: day }),
            lease: Duration::from_secs(120),
            open_jitter: 20,
            ..Self::never().open(Duration::from_secs(300))
        }
    }

    /// For a long-running program with much traffic.
    #[must_use]
    pub const fn service() -> Self {
        Self {
            consecutive: Some(5),
            time_rate: Some(TimeRate { percent: 50, window: Duration::from_secs(60), min: 10 }),
            successes: 2,
            lease: Duration::from_secs(20),
            open_jitter: 20,
            ..Self::never().open(Duration::from_secs(30))
        }
    }

    /// No rule, so it never trips; the start of a policy of one's own. A [block](crate::decide::breaker::Machine::block)
    /// still holds.
    #[must_use]
    pub const fn never() -> Self {
        Self {
            mode: Mode::Enforce,
            consecutive: None,
            rate: None,
            time_rate: None,
            slow_rate: None,
            open: Duration::ZERO,
            open_factor: 2,
            open_max: Duration::ZERO,
            open_jitter: 0,
            probes: 1,
            successes: 1,
            lease: Duration::from_secs(120),
            healthy: Duration::ZERO,
        }
        .open(Duration::from_secs(300))
    }

    /// Trips at `failures` in a row; `None` for no such rule.
    #[must_use]
    pub fn consecutive(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.consecutive = failures.into();
        self
    }

    /// Trips at a share of the last results; `None` for no such rule.
    #[must_use]
    pub fn rate(mut self, rate: impl Into<Option<Rate>>) -> Self {
        self.rate = rate.into();
        self
    }

    /// Trips at a share within a time; `None` for no such rule. With this rule every call needs the time.
    #[must_use]
    pub fn time_rate(mut self, rate: impl Into<Option<TimeRate>>) -> Self {
        self.time_rate = rate.into();
        self
    }

    /// Trips at a share of slow successes; `None` for no such rule. With it a probe that is slow has failed.
    #[must_use]
    pub fn slow_rate(mut self, rate: impl Into<Option<SlowRate>>) -> Self {
        self.slow_rate = rate.into();
        self
    }

    /// How long it stays open the first time. Sets `open_max` and the healthy period to 8 times that.
    #[must_use]
    pub const fn open(mut self, open: Duration) -> Self {
        self.open = open;
        self.open_max = open.saturating_mul(8);
        self.healthy = self.open_max;
        self
    }

    /// What the open interval is multiplied by each time it opens again, 1 to 100; default 2.
    #[must_use]
    pub const fn open_factor(mut self, factor: u32) -> Self {
        self.open_factor = factor;
        self
    }

    /// The longest open interval before jitter.
    #[must_use]
    pub const fn open_max(mut self, max: Duration) -> Self {
        self.open_max = max;
        self
    }

    /// Up to this many percent are added to the open interval, 0 to 100, so that many processes do not return at once.
    #[must_use]
    pub const fn open_jitter(mut self, percent: u32) -> Self {
        self.open_jitter = percent;
        self
    }

    /// How many probes the first stage of half-open admits, 1 to 64; the next stages admit twice and four times that.
    #[must_use]
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// How many probes must succeed to close it.
    #[must_use]
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = successes;
        self
    }

    /// How long a probe may take; one that is not settled by then has failed. Twice the time-out of an attempt is good.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The open interval shrinks by one step for each such time spent Closed, never because of one good probe.
    #[must_use]
    pub const fn healthy(mut self, period: Duration) -> Self {
        self.healthy = period;
        self
    }

    /// What it does with what it finds; default [`Mode::Enforce`].
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How long a probe may take.
    #[cfg(feature = "store")]
    pub(crate) const fn probe_lease(&self) -> Duration {
        self.lease
    }

    /// The same with a longer lease, if it is shorter than `least`.
    pub(crate) fn lease_at_least(mut self, least: Duration) -> Self {
        self.lease = self.lease.max(least);
        self
    }

    /// When a success counts as slow, where a rule asks for it.
    #[must_use]
    pub const fn slow_over(&self) -> Option<Duration> {
        match self.slow_rate {
            Some(rate) => Some(rate.over),
            None => None,
        }
    }

    /// Whether the policy makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with the first knob that does not, what was given and what is allowed.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(failures) = self.consecutive {
            within("consecutive", failures, 1, COUNT_LIMIT)?;
        }
        if let Some(rate) = self.rate {
            within("rate.percent", rate.percent, 1, 100)?;
            within("rate.calls", rate.calls, 1, CALLS_LIMIT)?;
            within("rate.min", rate.min, 1, rate.calls)?;
        }
        if let Some(rate) = self.time_rate {
            within("time_rate.percent", rate.percent, 1, 100)?;
            within("time_rate.min", rate.min, 1, COUNT_LIMIT)?;
            at_least("time_rate.window", rate.window, Duration::from_millis(60))?;
        }
        if let Some(rate) = self.slow_rate {
            within("slow_rate.percent", rate.percent, 1, 100)?;
            within("slow_rate.calls", rate.calls, 1, CALLS_LIMIT)?;
            within("slow_rate.min", rate.min, 1, rate.calls)?;
        }
        within("open_factor", self.open_factor, 1, 100)?;
        within("open_jitter", self.open_jitter, 0, 100)?;
        within("probes", self.probes, 1, PROBES_LIMIT)?;
        within("successes", self.successes, 1, COUNT_LIMIT)?;
        at_least("open", self.open, Duration::from_millis(1))?;
        at_least("open_max", self.open_max, self.open)?;
        at_least("lease", self.lease, Duration::from_millis(1))?;
        at_least("healthy", self.healthy, Duration::from_millis(1))
    }

    /// A hash of everything but the mode: whether a saved window was counted under the same rules.
    pub(super) fn hash(&self) -> u64 {
        let some = |value: Option<u64>| value.map_or(u64::MAX, |value| value);
        let rate =
            self.rate.map(|r| [r.percent.into(), r.calls.into(), r.min.into(), some(r.within.map(nanos))]);
        let time = self.time_rate.map(|r| [r.percent.into(), nanos(r.window), r.min.into(), 0]);
        let slow = self.slow_rate.map(|r| [r.percent.into(), r.calls.into(), r.min.into(), nanos(r.over)]);
        let plain = [
            some(self.consecutive.map(u64::from)),
            nanos(self.open),
            self.open_factor.into(),
            nanos(self.open_max),
            self.open_jitter.into(),
            self.probes.into(),
            self.successes.into(),
            nanos(self.lease),
            nanos(self.healthy),
        ];
        let rules = [rate, time, slow].into_iter().flat_map(|rule| rule.unwrap_or([u64::MAX; 4]));
        // FNV-1a: it is stored, so it must be the same in every build.
        plain
            .into_iter()
            .chain(rules)
            .flat_map(u64::to_le_bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

/// What is wrong with a policy or with a saved breaker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("breaker policy: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// A snapshot in a format that this version does not know.
    #[error("breaker snapshot has version {found}, this program knows {known}")]
    Version {
        /// The version in the snapshot.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// A snapshot whose parts contradict each other.
    #[error("breaker snapshot is {state} but lacks {lacks}")]
    Torn {
        /// The state that it claims.
        state: &'static str,
        /// What that state cannot be without.
        lacks: &'static str,
    },
}

fn within(field: &'static str, given: u32, min: u32, max: u32) -> Result<(), Error> {
    if (min..=max).contains(&given) {
        return Ok(());
    }
    Err(Error::Field { field, given: given.to_string(), allowed: format!("{min} to {max}") })
}

fn at_least(field: &'static str, given: Duration, min: Duration) -> Result<(), Error> {
    if given >= min {
        return Ok(());
    }
    Err(Error::Field { field, given: format!("{given:?}"), allowed: format!("at least {min:?}") })
}
