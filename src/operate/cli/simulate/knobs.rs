//! The policies that the library has no JSON of, as it is written for `simulate`: the builders' fields, durations in
//! milliseconds.

use std::time::Duration;

use serde::Deserialize;

use crate::base::backoff::{Backoff, Jitter};
use crate::decide::queue::{self, Order};
use crate::decide::{heartbeat, restart};

fn span(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A policy of restarts.
#[derive(Deserialize)]
#[serde(try_from = "RestartForm")]
pub(super) struct Restarts(pub(super) restart::Policy);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartForm {
    failures_max: Option<u32>,
    window_ms: Option<u64>,
    backoff: Option<BackoffForm>,
    stable_after_ms: Option<u64>,
    /// Absent: as by default; null: no such limit.
    #[serde(default, deserialize_with = "given")]
    same_max: Option<Option<u32>>,
    quick_ms: Option<u64>,
    restart: Option<RestartWord>,
    permanent: Option<Vec<u8>>,
    success: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackoffForm {
    base_ms: Option<u64>,
    factor: Option<u32>,
    max_ms: Option<u64>,
    min_ms: Option<u64>,
    jitter: Option<Jitter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RestartWord {
    Always,
    OnFailure,
    Never,
}

/// What is there, null too.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<RestartForm> for Restarts {
    type Error = restart::Error;

    fn try_from(form: RestartForm) -> Result<Self, restart::Error> {
        let mut policy = restart::Policy::new();
        if form.failures_max.is_some() || form.window_ms.is_some() {
            let window = form.window_ms.map_or(Duration::from_secs(600), span);
            policy = policy.failures_max(form.failures_max.unwrap_or(5), window);
        }
        if let Some(form) = form.backoff {
            let base = form.base_ms.map_or(Duration::from_secs(1), span);
            let max = form.max_ms.map_or_else(|| Duration::from_secs(60).max(base), span);
            let backoff = Backoff::new(base, max)
                .factor(form.factor.unwrap_or(2))
                .delay_min(form.min_ms.map_or(Duration::ZERO, span))
                .jitter(form.jitter.unwrap_or_default());
            policy = policy.backoff(backoff);
        }
        if let Some(stable) = form.stable_after_ms {
            policy = policy.stable_after(span(stable));
        }
        policy = match form.same_max {
            Some(Some(times)) => policy.same_max(times),
            Some(None) => policy.same_unlimited(),
            None => policy,
        };
        if let Some(quick) = form.quick_ms {
            policy = policy.quick(span(quick));
        }
        if let Some(word) = form.restart {
            policy = policy.restart(match word {
                RestartWord::Always => restart::Restart::Always,
                RestartWord::OnFailure => restart::Restart::OnFailure,
                RestartWord::Never => restart::Restart::Never,
            });
        }
        if let Some(codes) = form.permanent {
            policy = policy.permanent(&codes);
        }
        if let Some(codes) = form.success {
            policy = policy.success(&codes);
        }
        policy.build().map(Self)
    }
}

/// A policy of a heartbeat.
#[derive(Deserialize)]
#[serde(try_from = "HeartForm")]
pub(super) struct Hearts(pub(super) heartbeat::Policy);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeartForm {
    #[serde(alias = "every")]
    every_ms: u64,
    #[serde(alias = "tick")]
    tick_ms: Option<u64>,
    #[serde(alias = "grace")]
    grace_ms: Option<u64>,
    failures: Option<u32>,
    recovery: Option<u32>,
    /// Absent: as by default; null: every change is told.
    #[serde(default, deserialize_with = "given")]
    unsteady: Option<Option<Unsteady>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsteady {
    changes: u32,
    span_ms: u64,
}

impl Hearts {
    /// What is expected each hour.
    pub(super) fn hourly() -> Option<Self> {
        heartbeat::Policy::every(Duration::from_secs(3600)).build().ok().map(Self)
    }
}

impl TryFrom<HeartForm> for Hearts {
    type Error = heartbeat::Error;

    fn try_from(form: HeartForm) -> Result<Self, heartbeat::Error> {
        let mut builder = heartbeat::Policy::every(span(form.every_ms));
        // One that comes more often is looked for as often.
        let usual = span(form.every_ms).clamp(Duration::from_secs(1), Duration::from_secs(60));
        let tick = form.tick_ms.map_or(usual, span);
        builder = builder.tick(tick);
        if let Some(grace) = form.grace_ms {
            builder = builder.grace(span(grace));
        }
        if let Some(failures) = form.failures {
            builder = builder.failures(failures);
        }
        if let Some(recovery) = form.recovery {
            builder = builder.recovery(recovery);
        }
        builder = match form.unsteady {
            Some(Some(Unsteady { changes, span_ms })) => builder.unsteady(changes, span(span_ms)),
            Some(None) => builder.tell_all(),
            None => builder,
        };
        builder.build().map(Self)
    }
}

/// How a queue is to be.
#[derive(Deserialize)]
#[serde(try_from = "QueueForm")]
pub(super) struct Queues(pub(super) queue::Builder);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueForm {
    order: Option<OrderWord>,
    capacity: Option<usize>,
    oldest_every: Option<u32>,
}

/// An order, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(super) enum OrderWord {
    /// What is worth most for each second that it takes
    Density,
    /// What arrived first
    Fifo,
    /// What has the earliest deadline
    Edf,
    /// That, and by worth once something expires
    EdfUntilOverload,
}

impl From<OrderWord> for Order {
    fn from(word: OrderWord) -> Self {
        match word {
            OrderWord::Density => Self::Density,
            OrderWord::Fifo => Self::Fifo,
            OrderWord::Edf => Self::Edf,
            OrderWord::EdfUntilOverload => Self::EdfUntilOverload,
        }
    }
}

impl TryFrom<QueueForm> for Queues {
    type Error = queue::Error;

    fn try_from(form: QueueForm) -> Result<Self, queue::Error> {
        let mut builder = queue::Queue::builder();
        if let Some(order) = form.order {
            builder = builder.order(order.into());
        }
        if let Some(capacity) = form.capacity {
            builder = builder.capacity(capacity);
        }
        if let Some(every) = form.oldest_every {
            builder = builder.oldest_every(every);
        }
        // Whether it can be is known once one is made.
        builder.build::<()>(super::trace::At::ZERO.now()).map(|_| Self(builder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_by_default() {
        let restarts: Restarts = serde_json::from_str("{}").unwrap();
        assert_eq!(restarts.0, restart::Policy::new());
        let hearts: Hearts = serde_json::from_str(r#"{"every_ms":3600000}"#).unwrap();
        assert_eq!(hearts.0, Hearts::hourly().unwrap().0);
        let queues: Queues = serde_json::from_str("{}").unwrap();
        assert_eq!(queues.0, queue::Queue::builder());
    }

    #[test]
    fn what_is_said_is_what_the_builder_would_make() {
        let text = r#"{"failures_max":3,"window_ms":300000,"backoff":{"base_ms":2000,"max_ms":8000,"factor":3,
            "min_ms":100,"jitter":"none"},"stable_after_ms":30000,"same_max":null,"quick_ms":500,"restart":"always",
            "permanent":[7],"success":[0,75]}"#;
        let restarts: Restarts = serde_json::from_str(text).unwrap();
        let backoff =
            Backoff::new(span(2000), span(8000)).factor(3).delay_min(span(100)).jitter(Jitter::None);
        let meant = restart::Policy::new()
            .failures_max(3, span(300_000))
            .backoff(backoff)
            .stable_after(span(30_000))
            .same_unlimited()
            .quick(span(500))
            .restart(restart::Restart::Always)
            .permanent(&[7])
            .success(&[0, 75]);
        assert_eq!(restarts.0, meant);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let restarts = serde_json::from_str::<Restarts>(r#"{"failures_max":0}"#).err().unwrap();
        assert!(restarts.to_string().contains("failures_max is 0"), "{restarts}");
        assert!(serde_json::from_str::<Queues>(r#"{"capacity":0}"#).is_err());
        assert!(serde_json::from_str::<Queues>(r#"{"order":"random"}"#).is_err());
        assert!(serde_json::from_str::<Hearts>("{}").is_err(), "how often is it expected?");
        assert!(serde_json::from_str::<Hearts>(r#"{"every_ms":1}"#).is_err());
        assert!(serde_json::from_str::<Restarts>(r#"{"window":5}"#).is_err(), "unknown");
    }
}
