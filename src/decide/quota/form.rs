//! Limits as people write them: JSON, durations in milliseconds.

use std::time::Duration;

use chrono::NaiveTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::base::zone::{UnknownZone, Zone};
use crate::decide::quota::calendar::Calendar;
use crate::decide::quota::policy::{Error, Limit, Quota};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaForm {
    limit: u32,
    period_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarForm {
    limit: u32,
    reset_at: NaiveTime,
    zone: String,
}

/// Which of them it is, is said by what it has: `period_ms`, or `reset_at`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitForm {
    limit: u32,
    period_ms: Option<u64>,
    burst: Option<u32>,
    #[serde(default)]
    strict: bool,
    reset_at: Option<NaiveTime>,
    zone: Option<String>,
}

impl Serialize for Quota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        QuotaForm {
            limit: self.limit(),
            period_ms: millis(self.period()),
            burst: Some(self.burst_max()),
            strict: self.is_strict(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        QuotaForm::deserialize(deserializer)?.quota().map_err(de::Error::custom)
    }
}

impl Serialize for Calendar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        CalendarForm { limit: self.limit(), reset_at: self.reset_at(), zone: self.zone().to_string() }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Calendar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CalendarForm::deserialize(deserializer)?.calendar().map_err(de::Error::custom)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rate(quota) => quota.serialize(serializer),
            Self::Calendar(calendar) => calendar.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = LimitForm::deserialize(deserializer)?;
        let LimitForm { limit, burst, strict, .. } = form;
        match (form.period_ms, form.reset_at, form.zone) {
            (Some(period_ms), None, None) => {
                let form = QuotaForm { limit, period_ms, burst, strict };
                form.quota().map(Self::Rate).map_err(de::Error::custom)
            }
            (None, Some(reset_at), zone) if burst.is_none() && !strict => {
                let form =
                    CalendarForm { limit, reset_at, zone: zone.unwrap_or_else(|| Zone::Utc.to_string()) };
                form.calendar().map(Self::Calendar).map_err(de::Error::custom)
            }
            _ => Err(de::Error::custom(
                "quota: a limit has either period_ms, burst and strict, or reset_at and zone",
            )),
        }
    }
}

impl QuotaForm {
    fn quota(self) -> Result<Quota, Error> {
        let quota = Quota::new(self.limit, Duration::from_millis(self.period_ms))?;
        let quota = if self.strict { quota.strict()? } else { quota };
        self.burst.map_or(Ok(quota), |burst| quota.burst(burst))
    }
}

impl CalendarForm {
    fn calendar(self) -> Result<Calendar, Error> {
        let zone: Zone = self.zone.parse().map_err(|UnknownZone { given, allowed }| Error::Field {
            field: "zone",
            given,
            allowed: allowed.to_owned(),
        })?;
        Calendar::new(self.limit, self.reset_at, zone)
    }
}
