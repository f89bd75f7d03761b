//! A dead service is left alone, then probed with care. Simulated time.

use std::time::Duration;

use unattended::breaker::{Admit, Machine, Outcome, Policy};
use unattended::fault::Class;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};

fn main() -> Result<(), unattended::breaker::Error> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let policy = Policy::cron().open_jitter(0);
    let mut breaker = Machine::new(policy, 7, sim.now())?;
    for (minute, works) in [(0, false), (1, false), (2, false), (3, true), (8, true), (9, true)] {
        sim.advance(Duration::from_secs(minute * 60).saturating_sub(sim.elapsed()));
        match breaker.admit(sim.now()) {
            Admit::Refuse { why, .. } => println!("minute {minute}: refused: {why}"),
            Admit::Allow { permit, why } => {
                let outcome = if works { Outcome::Success } else { Outcome::Failure(Class::Transient) };
                let moved = breaker.settle(permit, outcome, sim.now());
                println!("minute {minute}: allowed ({why}), then: {moved}");
            }
        }
    }
    Ok(())
}
