//! Numbers of jobs and dependencies, computed from the store: so that processes that live for a second have them too.
//!
//! [`collect`] reads what [`statistics`](crate::act::statistics), monitors, breakers and the queue have left in a store, and gives a
//! [`Report`]: [`prometheus`](Report::prometheus) writes it as text, for a textfile collector or a page that is scraped, and `publish`
//! (feature `metrics`) hands it to the facade of that name.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use unattended::memory::Memory;
//! use unattended::statistics::{Ended, Statistics, Subject};
//! use unattended::store::Store;
//! use unattended::time::{Clock, System};
//! use unattended::{blocking::block_on, metrics};
//!
//! let store: Arc<dyn Store> = Arc::new(Memory::new());
//! let statistics = Statistics::new(Arc::clone(&store)).build();
//! statistics.note(&Subject::job("publish"), Ended::ok(Duration::from_secs(2)), System.now());
//! statistics.flush_blocking()?;
//!
//! let report = block_on(metrics::collect(&store, System.now()))?;
//! let text = report.prometheus();
//! assert!(text.contains("unattended_ended_total{job=\"publish\"} 1\n"), "{text}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What there is
//!
//! | name | type | labels | meaning |
//! |---|---|---|---|
//! | `unattended_ended_total` | counter | `job` or `dependency` | runs of the job, or calls to the dependency, that have ended |
//! | `unattended_failed_total` | counter | the same | those that did not succeed |
//! | `unattended_retried_total` | counter | the same | those that took more than one attempt |
//! | `unattended_dead_lettered_total` | counter | the same | those that ended with a person |
//! | `unattended_duplicates_total` | counter | the same | asked for once more, and done already |
//! | `unattended_leases_lost_total` | counter | the same | taken over by somebody else in the middle |
//! | `unattended_refused_total` | counter | the same, `code` | not done now, and nothing tried |
//! | `unattended_ratio` | gauge | the same, `of` | `success`, `retried`, `dead_lettered` and `duplicate` as parts of all since the first |
//! | `unattended_duration_seconds` | summary | the same | how long those took that succeeded; quantiles of one to two days |
//! | `unattended_runs` | gauge | `job`, `state` | how many of the newest 10,000 runs are of the job, and in this state |
//! | `unattended_step_duration_seconds` | summary | `job`, `step` | how long a step took |
//! | `unattended_queue` | gauge | `state` | runs that have not ended, and those in review |
//! | `unattended_queue_oldest_seconds` | gauge | `state` | the age of the oldest of them |
//! | `unattended_queue_due` | gauge | | runs that could be worked on now |
//! | `unattended_dead_letters` | gauge | | runs that failed for good or are in review, and that nobody has looked at |
//! | `unattended_breaker` | gauge | `dependency`, `state` | 1 for the state that the breaker is in |
//! | `unattended_heartbeat` | gauge | `monitor`, `job`, `state` | 1 for the state that the job is in |
//! | `unattended_heartbeat_last_success_seconds` | gauge | `monitor`, `job` | when it last succeeded, in seconds since 1970 |
//! | `unattended_alerts` | gauge | `state` | alerts that are open, and those that are acknowledged |
//! | `unattended_collected_seconds` | gauge | | when all this was computed, in seconds since 1970 |
//!
//! Counters go on as long as the store keeps the statistics, which a job that is given some
//! ([`Builder::statistics`](crate::act::job::Builder::statistics)) writes; of one without them there is what its runs say. Of a queue of more than 100,000 runs so many are counted.

mod collect;
mod queue;
mod text;

use serde::Serialize;

pub use collect::{Error, collect};
#[cfg(all(feature = "cli", unix))]
pub(in crate::operate) use collect::{breakers, heartbeats};
pub(in crate::operate) use queue::{Queue, queue};

use crate::base::time::Timestamp;

/// The numbers of a store, at an instant.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// When it was made.
    pub at: Timestamp,
    /// The numbers, by their names; a family without any sample is left out.
    pub families: Vec<Family>,
}

/// Numbers of one name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name, such as `unattended_ended_total`.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The numbers.
    pub samples: Vec<Sample>,
}

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Quantiles, and how many there were and what they are together.
    Summary,
}

impl Kind {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// What comes after the family's name: `_sum` and `_count` of a summary, else nothing.
    pub suffix: &'static str,
    /// What it is of.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

impl Report {
    /// The text format of Prometheus, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
    #[must_use]
    pub fn prometheus(&self) -> String {
        text::prometheus(self)
    }

    /// The numbers of one name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }
}

/// Hands the numbers to whatever recorder the program has installed for the facade `metrics`: counters and gauges as they are;
/// of summaries the quantiles as gauges, with their sums and counts.
#[cfg(feature = "metrics")]
pub fn publish(report: &Report) {
    use ::metrics::{Label, counter, gauge};
    for family in &report.families {
        for sample in &family.samples {
            let name = format!("{}{}", family.name, sample.suffix);
            let labels: Vec<Label> =
                sample.labels.iter().map(|(name, value)| Label::new(*name, value.clone())).collect();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count; a float that is out of bounds becomes the bound"
            )]
            if family.kind == Kind::Counter || sample.suffix == "_count" {
                counter!(name, labels).absolute(sample.value as u64);
            } else {
                gauge!(name, labels).set(sample.value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
