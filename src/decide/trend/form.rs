//! Policies as people write them: JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::decide::trend::policy::{Builder, Policy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    learn_min: u32,
    learn_max: u32,
    threshold: f64,
    recover: f64,
    factor: f64,
    add: f64,
    bad_max: Option<f64>,
}

impl Default for Form {
    fn default() -> Self {
        Policy::default().into()
    }
}

impl From<Policy> for Form {
    fn from(policy: Policy) -> Self {
        let Policy { learn_min, learn_max, threshold, recover, factor, add, bad_max } = policy;
        Self { learn_min, learn_max, threshold, recover, factor, add, bad_max }
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Form { learn_min, learn_max, threshold, recover, factor, add, bad_max } =
            Form::deserialize(deserializer)?;
        Builder(Self { learn_min, learn_max, threshold, recover, factor, add, bad_max })
            .build()
            .map_err(de::Error::custom)
    }
}
