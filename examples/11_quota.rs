//! Three a minute, also for the process after this one; and a hundred until midnight. Simulated time.

use std::time::Duration;
use unattended::quota::{Admit, Calendar, Meter, Quota};
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Timestamp};

fn main() -> Result<(), unattended::quota::Error> {
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let quota = Quota::per_minute(3)?;
    let first = Meter::new(quota, sim.now());
    (0..3).for_each(|_| say(first.admit(sim.now())));
    sim.advance(Duration::from_secs(15));
    let (next, _noticed) = Meter::restore(quota, &first.snapshot("youtube", sim.now()), sim.now())?;
    say(next.admit(sim.now()));
    sim.advance(Duration::from_secs(5));
    say(next.admit(sim.now()));
    let midnight = Calendar::new(100, chrono::NaiveTime::MIN, unattended::zone::Zone::Utc)?;
    let daily = Meter::new(midnight, sim.now());
    say(daily.admit_n(99, sim.now()));
    say(daily.admit_n(2, sim.now()));
    Ok(())
}

fn say(admit: Admit) {
    match admit {
        Admit::Allow { why } => println!("yes: {why}"),
        Admit::Refuse { why, wait, .. } => println!("in {wait:?}: {why}"),
    }
}
