//! The policy as people write it: JSON, durations in milliseconds. An absent rule is off.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::decide::breaker::policy::{Mode, Policy, Rate, SlowRate, TimeRate};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consecutive: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_rate: Option<TimeRateForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_rate: Option<SlowRateForm>,
    open_ms: Option<u64>,
    open_factor: Option<u32>,
    open_max_ms: Option<u64>,
    open_jitter: Option<u32>,
    probes: Option<u32>,
    successes: Option<u32>,
    lease_ms: Option<u64>,
    healthy_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RateForm {
    percent: u32,
    calls: u32,
    #[serde(default = "one")]
    min: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeRateForm {
    percent: u32,
    window_ms: u64,
    #[serde(default = "one")]
    min: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowRateForm {
    percent: u32,
    calls: u32,
    #[serde(default = "one")]
    min: u32,
    over_ms: u64,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form {
            mode: (self.mode != Mode::Enforce).then_some(self.mode),
            consecutive: self.consecutive,
            rate: self.rate.map(|Rate { percent, calls, min, within }| RateForm {
                percent,
                calls,
                min,
                within_ms: within.map(millis),
            }),
            time_rate: self.time_rate.map(|TimeRate { percent, window, min }| TimeRateForm {
                percent,
                window_ms: millis(window),
                min,
            }),
            slow_rate: self.slow_rate.map(|SlowRate { percent, calls, min, over }| SlowRateForm {
                percent,
                calls,
                min,
                over_ms: millis(over),
            }),
            open_ms: Some(millis(self.open)),
            open_factor: Some(self.open_factor),
            open_max_ms: Some(millis(self.open_max)),
            open_jitter: Some(self.open_jitter),
            probes: Some(self.probes),
            successes: Some(self.successes),
            lease_ms: Some(millis(self.lease)),
            healthy_ms: Some(millis(self.healthy)),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy = Form::deserialize(deserializer)?.policy();
        policy.check().map_err(de::Error::custom)?;
        Ok(policy)
    }
}

impl Form {
    fn policy(self) -> Policy {
        let or = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
        let open = or(self.open_ms, Policy::never().open);
        let default = Policy::never().open(open);
        let open_max = or(self.open_max_ms, default.open_max);
        Policy {
            mode: self.mode.unwrap_or_default(),
            consecutive: self.consecutive,
            rate: self.rate.map(|form| Rate {
                percent: form.percent,
                calls: form.calls,
                min: form.min,
                within: form.within_ms.map(Duration::from_millis),
            }),
            time_rate: self.time_rate.map(|form| TimeRate {
                percent: form.percent,
                window: Duration::from_millis(form.window_ms),
                min: form.min,
            }),
            slow_rate: self.slow_rate.map(|form| SlowRate {
                percent: form.percent,
                calls: form.calls,
                min: form.min,
                over: Duration::from_millis(form.over_ms),
            }),
            open,
            open_factor: self.open_factor.unwrap_or(default.open_factor),
            open_max,
            open_jitter: self.open_jitter.unwrap_or(default.open_jitter),
            probes: self.probes.unwrap_or(default.probes),
            successes: self.successes.unwrap_or(default.successes),
            lease: or(self.lease_ms, default.lease),
            healthy: or(self.healthy_ms, open_max),
        }
    }
}

const fn one() -> u32 {
    1
}
