//! A day of a cron job that runs every 15 minutes against a service that is down for six hours: how many calls does the
//! breaker spare? Simulated time: it takes milliseconds.

use std::time::Duration;

use unattended::breaker::{Admit, Machine, Outcome, Policy};
use unattended::fault::Class;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};

fn main() -> Result<(), unattended::breaker::Error> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let mut breaker = Machine::new(Policy::cron(), 7, sim.now())?;
    let (mut calls, mut wasted, mut spared) = (0, 0, 0);
    for _ in 0..96 {
        let down = (8..14).contains(&(sim.elapsed().as_secs() / 3600));
        match breaker.admit(sim.now()) {
            Admit::Refuse { .. } => spared += 1,
            Admit::Allow { permit, .. } => {
                (calls, wasted) = (calls + 1, wasted + u32::from(down));
                let outcome = if down { Outcome::Failure(Class::Transient) } else { Outcome::Success };
                let _moved = breaker.settle(permit, outcome, sim.now());
            }
        }
        sim.advance(Duration::from_secs(15 * 60));
    }
    println!("{calls} calls, {wasted} of them on a dead service, {spared} spared");
    Ok(())
}
