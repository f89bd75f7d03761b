//! Policies as people write them: JSON, durations in milliseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::decide::alert::policy::{Builder, Policy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    again_after_ms: u64,
    again_max_ms: u64,
    healthy_for_ms: u64,
    pages: u32,
    per_ms: u64,
}

impl Default for Form {
    fn default() -> Self {
        Policy::default().into()
    }
}

impl From<Policy> for Form {
    fn from(policy: Policy) -> Self {
        let Policy { again_after, again_max, healthy_for, pages, per } = policy;
        Self {
            again_after_ms: millis(again_after),
            again_max_ms: millis(again_max),
            healthy_for_ms: millis(healthy_for),
            pages,
            per_ms: millis(per),
        }
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        Builder(Self {
            again_after: Duration::from_millis(form.again_after_ms),
            again_max: Duration::from_millis(form.again_max_ms),
            healthy_for: Duration::from_millis(form.healthy_for_ms),
            pages: form.pages,
            per: Duration::from_millis(form.per_ms),
        })
        .build()
        .map_err(de::Error::custom)
    }
}
