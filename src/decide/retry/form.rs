//! The policy as people write it: JSON, durations in milliseconds, what is absent is as in [`Policy::cron`].

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::backoff::{Backoff, Jitter};
use crate::base::effect::Effect;
use crate::base::fault::Class;
use crate::base::time::{Timestamp, millis};
use crate::decide::retry::policy::{Deadline, Policy, Strategy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    transient: Option<StrategyForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limited: Option<StrategyForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<StrategyForm>,
    /// Absent is the preset's, `null` is no limit.
    #[serde(default = "preset_elapsed")]
    elapsed_max_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_next_run: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_max_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_wait_max_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_min_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrategyForm {
    attempts_max: Option<u32>,
    delay_base_ms: Option<u64>,
    factor: Option<u32>,
    delay_max_ms: Option<u64>,
    delay_min_ms: Option<u64>,
    jitter: Option<Jitter>,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (deadline, before_next_run) = match self.deadline {
            Some(Deadline::At(at)) => (Some(at), None),
            Some(Deadline::BeforeNextRun(at)) => (None, Some(at)),
            None => (None, None),
        };
        Form {
            transient: Some(StrategyForm::of(self.of(Class::Transient))),
            rate_limited: Some(StrategyForm::of(self.of(Class::RateLimited))),
            unknown: Some(StrategyForm::of(self.of(Class::Unknown))),
            elapsed_max_ms: self.elapsed_max.map(millis),
            deadline,
            before_next_run,
            retry_after_max_ms: Some(millis(self.retry_after_max)),
            inline_wait_max_ms: Some(millis(self.inline_wait_max)),
            attempt_min_ms: Some(millis(self.attempt_min)),
            effect: Some(self.effect),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy = Form::deserialize(deserializer)?.over(Self::cron());
        policy.check().map_err(de::Error::custom)?;
        Ok(policy)
    }
}

impl Form {
    fn over(self, preset: Policy) -> Policy {
        let mut policy = preset;
        for (class, form) in [
            (Class::Transient, self.transient),
            (Class::RateLimited, self.rate_limited),
            (Class::Unknown, self.unknown),
        ] {
            if let Some(form) = form {
                policy = policy.strategy(class, form.over(policy.of(class)));
            }
        }
        policy.elapsed_max = self.elapsed_max_ms.map(Duration::from_millis);
        policy.deadline =
            self.deadline.map(Deadline::At).or_else(|| self.before_next_run.map(Deadline::BeforeNextRun));
        let or = |given: Option<u64>, preset| given.map_or(preset, Duration::from_millis);
        policy.retry_after_max = or(self.retry_after_max_ms, policy.retry_after_max);
        policy.inline_wait_max = or(self.inline_wait_max_ms, policy.inline_wait_max);
        policy.attempt_min = or(self.attempt_min_ms, policy.attempt_min);
        policy.effect = self.effect.unwrap_or(policy.effect);
        policy
    }
}

impl StrategyForm {
    fn of(strategy: Strategy) -> Self {
        let (base, factor, min, max, jitter) = strategy.backoff.parts();
        Self {
            attempts_max: Some(strategy.attempts_max),
            delay_base_ms: Some(millis(base)),
            factor: Some(factor),
            delay_max_ms: Some(millis(max)),
            delay_min_ms: Some(millis(min)),
            jitter: Some(jitter),
        }
    }

    fn over(self, preset: Strategy) -> Strategy {
        let (base, factor, min, max, jitter) = preset.backoff.parts();
        let or = |given: Option<u64>, preset| given.map_or(preset, Duration::from_millis);
        let backoff = Backoff::new(or(self.delay_base_ms, base), or(self.delay_max_ms, max))
            .delay_min(or(self.delay_min_ms, min))
            .factor(self.factor.unwrap_or(factor))
            .jitter(self.jitter.unwrap_or(jitter));
        Strategy::new(self.attempts_max.unwrap_or(preset.attempts_max), backoff)
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the field is optional: null is no limit")]
fn preset_elapsed() -> Option<u64> {
    Policy::cron().elapsed_max.map(millis)
}
