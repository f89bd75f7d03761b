//! Not now: closed by one signal, opened by all of them after a while, given up in time.

use std::time::Duration;
use unattended::explain::Explain;
use unattended::gate::{Decision, Gate, Policy, Sample, Signal};
use unattended::time::{Moment, Now};

const SECOND: [u64; 7] = [0, 60, 65, 75, 105, 200, 500];
const MEMORY: [f64; 7] = [71.0, 93.1, 88.0, 79.0, 61.0, 97.0, 97.0];
const PRESSURE: [f64; 7] = [0.0, 4.0, 27.5, 2.0, 0.0, 60.0, 60.0];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy: Policy = "mem:90/80, disk:/var:10GiB, psi:20/10, dwell:30s, give_up:5m".parse()?;
    println!("{policy}");
    let mut gate = Gate::new(policy);
    let start = Now { moment: Moment::ZERO, wall: "2026-11-22T02:00:00Z".parse()? };
    for ((second, memory), pressure) in SECOND.into_iter().zip(MEMORY).zip(PRESSURE) {
        let sample = Sample::new()
            .with(Signal::Memory, memory)
            .with(Signal::memory_pressure(), pressure)
            .with(Signal::DiskFreeBytes("/var".into()), 64e9);
        let decision = gate.evaluate(&sample, start.after(Duration::from_secs(second)));
        println!("{second:>3} s {:<13} {decision}", decision.code());
        if let Decision::Closed(closed) = &decision {
            println!("      ask again at {}", closed.retry_at.time());
        }
    }
    Ok(())
}
