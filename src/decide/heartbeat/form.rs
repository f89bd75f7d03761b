//! Policies as people write them, and as they are kept beside what they judge: JSON.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::decide::heartbeat::policy::{Builder, Policy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tick: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_min: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress_lease: Option<u64>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    failures: u32,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    recovery: u32,
    /// Absent: as by default; null: all is told.
    #[serde(default = "usual", skip_serializing_if = "is_usual")]
    unsteady: Option<(u32, u64)>,
}

const fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_one(count: &u32) -> bool {
    *count == 1
}

fn usual() -> Option<(u32, u64)> {
    Policy::scheduled().0.unsteady.map(|(changes, span)| (changes, millis(span)))
}

fn is_usual(unsteady: &Option<(u32, u64)>) -> bool {
    *unsteady == usual()
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tick = (self.tick != Self::scheduled().0.tick).then(|| millis(self.tick));
        Form {
            every: self.every.map(millis),
            tick,
            grace: self.grace.map(millis),
            start_max: self.start_max.map(millis),
            run_max: self.run_max.map(millis),
            run_min: self.run_min.map(millis),
            progress_lease: self.progress_lease.map(millis),
            failures: self.failures,
            recovery: self.recovery,
            unsteady: self.unsteady.map(|(changes, span)| (changes, millis(span))),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(deserializer)?;
        let span = |millis: Option<u64>| millis.map(Duration::from_millis);
        let plain = Self::scheduled().0;
        let policy = Self {
            every: span(form.every),
            tick: span(form.tick).unwrap_or(plain.tick),
            grace: span(form.grace),
            start_max: span(form.start_max),
            run_max: span(form.run_max),
            run_min: span(form.run_min),
            progress_lease: span(form.progress_lease),
            failures: form.failures,
            recovery: form.recovery,
            unsteady: form.unsteady.map(|(changes, span)| (changes, Duration::from_millis(span))),
        };
        Builder(policy).build().map_err(de::Error::custom)
    }
}
