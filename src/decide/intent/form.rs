//! The policy as people write it: JSON, durations in milliseconds, what is absent is as in [`Policy::default`].

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::decide::intent::policy::Policy;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    quiet_ms: Option<u64>,
    longest_wait_ms: Option<u64>,
    bulk_from: Option<usize>,
    roots_max: Option<usize>,
    announced_max_ms: Option<u64>,
    attributes: Option<bool>,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Form {
            quiet_ms: Some(millis(self.quiet)),
            longest_wait_ms: Some(millis(self.longest_wait)),
            bulk_from: Some(self.bulk_from),
            roots_max: Some(self.roots_max),
            announced_max_ms: Some(millis(self.announced_max)),
            attributes: Some(self.attributes),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (form, default) = (Form::deserialize(deserializer)?, Self::default());
        let policy = Self {
            quiet: form.quiet_ms.map_or(default.quiet, Duration::from_millis),
            longest_wait: form.longest_wait_ms.map_or(default.longest_wait, Duration::from_millis),
            bulk_from: form.bulk_from.unwrap_or(default.bulk_from),
            roots_max: form.roots_max.unwrap_or(default.roots_max),
            announced_max: form.announced_max_ms.map_or(default.announced_max, Duration::from_millis),
            attributes: form.attributes.unwrap_or(default.attributes),
        };
        policy.check().map_err(de::Error::custom)?;
        Ok(policy)
    }
}
