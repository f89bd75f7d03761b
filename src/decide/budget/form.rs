//! The policy as people write it: JSON, durations in milliseconds, what is absent is as in [`Policy::cron`].

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::millis;
use crate::decide::budget::policy::{Costs, Policy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    tokens_max: Option<u32>,
    refill: Option<u32>,
    refill_period_ms: Option<u64>,
    success_ratio: Option<u32>,
    cost: Option<CostForm>,
}

/// Thousandths of a token.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CostForm {
    transient: Option<u32>,
    rate_limited: Option<u32>,
    unauthorized: Option<u32>,
    permanent: Option<u32>,
    unknown: Option<u32>,
    timed_out: Option<u32>,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Costs { transient, rate_limited, unauthorized, permanent, unknown, timed_out } = self.costs;
        Form {
            tokens_max: Some(self.tokens_max),
            refill: Some(self.refill),
            refill_period_ms: Some(millis(self.refill_period)),
            success_ratio: Some(self.success_ratio),
            cost: Some(CostForm {
                transient: Some(transient),
                rate_limited: Some(rate_limited),
                unauthorized: Some(unauthorized),
                permanent: Some(permanent),
                unknown: Some(unknown),
                timed_out: Some(timed_out),
            }),
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
        let default = Policy::cron();
        let (cost, costs) = (self.cost.unwrap_or_default(), default.costs);
        Policy {
            tokens_max: self.tokens_max.unwrap_or(default.tokens_max),
            refill: self.refill.unwrap_or(default.refill),
            refill_period: self.refill_period_ms.map_or(default.refill_period, Duration::from_millis),
            success_ratio: self.success_ratio.unwrap_or(default.success_ratio),
            costs: Costs {
                transient: cost.transient.unwrap_or(costs.transient),
                rate_limited: cost.rate_limited.unwrap_or(costs.rate_limited),
                unauthorized: cost.unauthorized.unwrap_or(costs.unauthorized),
                permanent: cost.permanent.unwrap_or(costs.permanent),
                unknown: cost.unknown.unwrap_or(costs.unknown),
                timed_out: cost.timed_out.unwrap_or(costs.timed_out),
            },
        }
    }
}
