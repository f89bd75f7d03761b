//! How long things took of late: quantiles that can be merged, of a day or two.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::sketch::Sketch;
use crate::base::time::{Timestamp, between};

/// After so long what came before the time before is forgotten.
const TURN: Duration = Duration::from_secs(86_400);
/// What is kept coarsely is off by so much, as a part of itself: the quarter of the room.
const COARSE: f64 = 0.04;

/// How long something took: how often and for how long in all since it is known, and quantiles of the last one to two days, exact to
/// one part in a hundred; those of steps to five.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Durations {
    count: u64,
    /// In seconds.
    sum: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    turned: Option<Timestamp>,
    #[serde(skip_serializing_if = "is_empty")]
    now: Sketch,
    #[serde(skip_serializing_if = "is_empty")]
    before: Sketch,
}

fn is_empty(sketch: &Sketch) -> bool {
    sketch.count() == 0
}

impl Durations {
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts one that ended at `at`.
    pub fn add(&mut self, took: Duration, at: Timestamp) {
        self.turn(at);
        let seconds = took.as_secs_f64();
        if self.now.add(seconds) {
            self.count = self.count.saturating_add(1);
            self.sum += seconds;
        }
    }

    /// As [`add`](Self::add), in a quarter of the room.
    pub(super) fn add_coarsely(&mut self, took: Duration, at: Timestamp) {
        let seconds = took.as_secs_f64();
        let (count, sum) = (self.count, self.sum);
        let width = (1.0 + COARSE).ln() * 2.0;
        let rounded = if seconds > 0.0 { ((seconds.ln() / width).round() * width).exp() } else { 0.0 };
        self.add(Duration::try_from_secs_f64(rounded).unwrap_or(took), at);
        (self.count, self.sum) = (count.saturating_add(1), sum + seconds);
    }

    fn turn(&mut self, at: Timestamp) {
        let turned = *self.turned.get_or_insert(at);
        let age = between(turned, at);
        if age < TURN {
            return;
        }
        let now = std::mem::take(&mut self.now);
        self.before = if age < TURN * 2 { now } else { Sketch::default() };
        self.turned = Some(at);
    }

    pub(super) fn forget_older(&mut self) {
        self.before = Sketch::default();
    }

    /// How many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How long they took together, in seconds.
    #[must_use]
    pub const fn sum_seconds(&self) -> f64 {
        self.sum
    }

    /// The duration that a share of `q` of those of late is at most; `None` if there are none.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let mut all = self.before.clone();
        all.merge(&self.now);
        all.quantile(q).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// Takes in all of another one: of another job, or another store.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.turned = self.turned.max(other.turned);
        self.now.merge(&other.now);
        self.before.merge(&other.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH + TURN * 20_000 + Duration::from_secs(3600) * hours
    }

    #[test]
    fn quantiles_are_of_the_last_day_or_two_and_counts_of_all() {
        let mut durations = Durations::default();
        for _ in 0..100 {
            durations.add(Duration::from_secs(10), at(0));
        }
        for _ in 0..100 {
            durations.add(Duration::from_secs(1), at(30));
        }
        let near = |durations: &Durations, q, seconds: f64| {
            let found = durations.quantile(q).unwrap().as_secs_f64();
            (found / seconds - 1.0).abs() < 0.02
        };
        assert!(near(&durations, 0.5, 1.0) && near(&durations, 0.95, 10.0));
        durations.add(Duration::from_secs(1), at(60));
        assert!(near(&durations, 0.99, 1.0), "what is older than two days is forgotten");
        assert_eq!(durations.count(), 201);
        assert!((durations.sum_seconds() - 1101.0).abs() < 1e-9);
    }

    #[test]
    fn a_coarse_one_is_right_to_five_parts_in_a_hundred_and_its_sum_is_exact() {
        let mut durations = Durations::default();
        for millis in 1..=1000 {
            durations.add_coarsely(Duration::from_millis(millis), at(0));
        }
        let found = durations.quantile(0.5).unwrap().as_secs_f64();
        assert!((found / 0.5 - 1.0).abs() < 0.06, "{found}");
        assert!((durations.sum_seconds() - 500.5).abs() < 1e-9);
        assert_eq!(durations.count(), 1000);
        assert!(serde_json::to_string(&durations).unwrap().len() < 2_000);
        durations.add_coarsely(Duration::ZERO, at(0));
        assert_eq!(durations.count(), 1001);
    }

    #[test]
    fn two_that_are_merged_are_as_one() {
        let (mut one, mut two, mut both) = (Durations::default(), Durations::default(), Durations::default());
        for n in 1..=50 {
            let (short, long) = (Duration::from_millis(n), Duration::from_secs(n));
            one.add(short, at(1));
            two.add(long, at(2));
            both.add(short, at(1));
            both.add(long, at(1));
        }
        one.merge(&two);
        assert_eq!((one.count(), one.quantile(0.95)), (both.count(), both.quantile(0.95)));
    }
}
