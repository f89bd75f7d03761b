//! The policy as people write it: JSON, durations in milliseconds. An absent knob is the default, an epoch of `null` is none.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::decide::baseline::policy::Policy;
use crate::decide::baseline::severity::Severity;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    rare_below: u32,
    rare_rate: f64,
    missing_mass_max: f64,
    alert_from: Severity,
    storm_kinds: u32,
    storm_events: u32,
    hold_ms: u64,
    realert_after_ms: u64,
    realert_max_ms: u64,
    healthy_below: u32,
    healthy_after_ms: u64,
    alerts_burst: u32,
    alerts_each_ms: u64,
    open_max: u32,
    epoch_ms: Option<u64>,
    epoch_events: Option<u64>,
    stale_after_ms: u64,
    kinds_max: u32,
    distinct_max: u64,
}

impl Default for Form {
    fn default() -> Self {
        Self::of(&Policy::new())
    }
}

impl Form {
    fn of(policy: &Policy) -> Self {
        Self {
            rare_below: policy.rare_below,
            rare_rate: policy.rare_rate,
            missing_mass_max: policy.missing_mass_max,
            alert_from: policy.alert_from,
            storm_kinds: policy.storm_kinds,
            storm_events: policy.storm_events,
            hold_ms: millis(policy.hold),
            realert_after_ms: millis(policy.realert_after),
            realert_max_ms: millis(policy.realert_max),
            healthy_below: policy.healthy_below,
            healthy_after_ms: millis(policy.healthy_after),
            alerts_burst: policy.alerts_burst,
            alerts_each_ms: millis(policy.alerts_each),
            open_max: policy.open_max,
            epoch_ms: policy.epoch.map(millis),
            epoch_events: policy.epoch_events,
            stale_after_ms: millis(policy.stale_after),
            kinds_max: policy.kinds_max,
            distinct_max: policy.distinct_max,
        }
    }

    fn policy(self) -> Policy {
        let ms = Duration::from_millis;
        Policy::new()
            .rare_below(self.rare_below)
            .rare_rate(self.rare_rate)
            .missing_mass_max(self.missing_mass_max)
            .alert_from(self.alert_from)
            .storm(self.storm_kinds, self.storm_events)
            .hold(ms(self.hold_ms))
            .realert(ms(self.realert_after_ms), ms(self.realert_max_ms))
            .healthy(self.healthy_below, ms(self.healthy_after_ms))
            .alerts_max(self.alerts_burst, ms(self.alerts_each_ms))
            .open_max(self.open_max)
            .epoch(self.epoch_ms.map(ms))
            .epoch_events(self.epoch_events)
            .stale_after(ms(self.stale_after_ms))
            .kinds_max(self.kinds_max)
            .distinct_max(self.distinct_max)
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy = Form::deserialize(deserializer)?.policy();
        policy.check().map_err(de::Error::custom)?;
        Ok(policy)
    }
}
