//! Five engines side by side: a failure, a panic or a hang in one never stops or delays the others, and the report says
//! what became of each. Simulated time.

#![allow(clippy::panic, reason = "an engine panics here, to show that the others do not mind")]

use std::time::Duration;

use unattended::fault::{Fault, Severity};
use unattended::isolate::Group;
use unattended::testing::sim::Sim;
use unattended::time::{Sleep, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What a panic says is in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let sim = Sim::new(Timestamp::UNIX_EPOCH, 1);
    let group = Group::futures("morning")
        .timeout_each(Duration::from_secs(60))
        .engine("mail", || async {
            sim.sleep(Duration::from_secs(2)).await;
            Ok::<_, Fault>(12)
        })
        .engine("calendar", || async { Err(Fault::transient("http.503")) })
        .engine("stocks", || async { Err(Fault::permanent("http.404").severity(Severity::Degraded)) })
        .engine("weather", || async { panic!("no such city") as Result<u32, Fault> })
        .engine("news", std::future::pending::<Result<u32, Fault>>);
    let report = sim.block_on(group.run(&sim))?;
    println!("{report}\nexit code {}", report.exit_code());
    Ok(())
}
