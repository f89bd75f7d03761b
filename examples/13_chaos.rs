//! A hundred payments while answers get lost and messages come twice: how many are paid again, without a key and with one?

use std::collections::BTreeSet;

use unattended::testing::faults::{Chaos, Rates};
use unattended::testing::sim::Sim;
use unattended::{fault::Fault, retry, time::Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let rates = Rates { fail: 200, delay: 50, twice: 20, lose: 50, ..Rates::default() };
    let chaos = Chaos::seeded(7, rates, |_| Fault::transient("chaos.injected"))?.on(sim.clone());
    let (mut plain, mut keyed) = (0, BTreeSet::new());
    for invoice in 0..100 {
        retry::Policy::cron().on(&sim).seed(invoice).run_blocking(|_attempt| {
            chaos.run_blocking(|| {
                plain += 1;
                keyed.insert(format!("invoice-{invoice}"));
                Ok(())
            })
        })?;
    }
    let counts = chaos.counts();
    println!("100 invoices: {plain} payments without a key, {} with one", keyed.len());
    println!(
        "{} sent, {} failed, {} lost, {} twice",
        counts.executions, counts.failed, counts.lost, counts.twice
    );
    Ok(())
}
