//! Retries pay out of one budget for each dependency, time-outs twice; successes and time bring it back. Simulated time.

use std::time::Duration;

use unattended::budget::{Admit, Budget, Policy};
use unattended::fault::Fault;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};

fn main() -> Result<(), unattended::budget::Error> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let budget = Budget::new(Policy::service().tokens_max(3).refill(1, Duration::from_secs(10)))?;
    let say = |fault: Fault| match budget.admit(&fault, sim.now()) {
        Admit::Allow { why } => println!("{fault}: retry, {why}"),
        Admit::Refuse { why, wait, .. } => println!("{fault}: not for {wait:?}, {why}"),
    };
    say(Fault::transient("io.timed_out"));
    say(Fault::rate_limited(None));
    say(Fault::transient("http.503"));
    (0..3).for_each(|_| budget.succeeded(sim.moment()));
    say(Fault::transient("http.503"));
    sim.advance(Duration::from_secs(20));
    say(Fault::transient("http.504"));
    Ok(())
}
