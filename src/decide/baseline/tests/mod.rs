//! The rules, one test each.

mod backtests;
mod memory;
mod random;
mod restored;
mod states;
mod suppressed;
mod units;

use std::time::Duration;

use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::baseline::{Baseline, Finding, Outcome, Policy, Quiet, Severity, State};

/// A simulated clock and a baseline on it.
struct World {
    now: Now,
    baseline: Baseline,
}

impl World {
    fn new(policy: Policy) -> Self {
        let now = start();
        Self { now, baseline: Baseline::new(policy, 42, now).unwrap() }
    }

    /// Ten kinds in turn until it is active.
    fn active(policy: Policy) -> Self {
        let mut world = Self::new(policy);
        for n in 0..policy.evidence() + 200 {
            world.known(n);
        }
        assert_eq!(world.baseline.state(), State::Active, "{}", world.baseline.evidence());
        world
    }

    fn known(&mut self, n: u64) {
        let outcome = self.see(&format!("step {}", n % 10));
        assert!(
            matches!(outcome, Outcome::Quiet(Quiet::Known { .. } | Quiet::Learning { .. })),
            "{outcome:?}"
        );
    }

    fn see(&mut self, key: &str) -> Outcome {
        self.baseline.observe(key, Severity::Error, self.now)
    }

    fn wait(&mut self, by: Duration) {
        self.now = self.now.after(by);
    }

    fn told(&mut self) -> Vec<Finding> {
        std::iter::from_fn(|| self.baseline.take(self.now)).collect()
    }

    /// What is told once nothing is held back any more.
    fn told_after_hold(&mut self) -> Vec<Finding> {
        self.wait(Duration::from_secs(10));
        self.told()
    }
}

/// A small one: 630 events of evidence.
fn small() -> Policy {
    Policy::new().rare_rate(0.01)
}

fn start() -> Now {
    Now { moment: Moment::from_nanos(5_000_000_000), wall: wall(0) }
}

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_780_000_000 + seconds, 0).unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);
