//! A job each hour, for a machine that sleeps from two to half past six: what ran, what did not, and why. Simulated time.

use std::convert::Infallible;
use std::time::Duration;

use unattended::schedule::{Policy, Schedule};
use unattended::shutdown::Shutdown;
use unattended::testing::sim::Sim;
use unattended::time::{BoxFuture, Sleep, Timestamp};
use unattended::timer::{Entry, Timer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hour = Duration::from_secs(3600);
    let (sim, shutdown) = (Sim::new(Timestamp::UNIX_EPOCH, 1), Shutdown::new());
    let report = Entry::new("report", Schedule::every(hour)?)
        .policy(Policy::new().spread(Duration::ZERO))
        .run(|_| async { Ok::<(), Infallible>(()) });
    let timer = Timer::new().entry(report).observe(|name, event| println!("{name}: {event}")).build()?;
    let machine = async {
        sim.sleep(hour * 2).await;
        sim.suspend(hour * 9 / 2);
        sim.sleep(hour).await;
        shutdown.trigger();
    };
    let service = async {
        let _summary = timer.run_on(sim.clone(), &shutdown).await;
    };
    sim.join([Box::pin(machine) as BoxFuture<'_, ()>, Box::pin(service)])?;
    Ok(())
}
