//! One of two copies may work; the other is told who does and until when. Simulated time.

use std::sync::Arc;
use std::time::Duration;

use unattended::leases::{Kept, Leases, Taken};
use unattended::{blocking::block_on, memory::Memory, testing::sim::Sim, time::Timestamp};

fn main() -> Result<(), unattended::store::Error> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let leases = Leases::new(Arc::new(Memory::on(Arc::new(sim.clone()))));
    let minute = Duration::from_secs(60);
    let Taken::Held(first) = block_on(leases.take("nightly", minute))? else { return Ok(()) };
    println!("first holds it: {}", first.fence() > 0);
    if let Taken::Busy { until, .. } = block_on(leases.take("nightly", minute))? {
        println!("second is told: busy until {until}");
    }
    sim.advance(minute);
    let Taken::Held(second) = block_on(leases.take("nightly", minute))? else { return Ok(()) };
    println!("a minute later the second has a greater token: {}", second.fence() > first.fence());
    println!("the first learns that it lost: {}", block_on(leases.renew(&first, minute))? == Kept::Lost);
    Ok(())
}
