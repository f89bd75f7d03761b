//! A worker that is kept running, until what it shows is a defect: then a person is told, with the evidence.

use std::time::Duration;
use unattended::backoff::Backoff;
use unattended::command::Command;
use unattended::restart::Policy;
use unattended::shutdown::Shutdown;
use unattended::supervise::{Ended, Event, Supervisor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let worker = Command::new("sh").args(["-c", "echo no route to 10.0.0.$$ >&2; exit 1"]);
    let policy = Policy::new().backoff(Backoff::zero()).quick(Duration::from_secs(20));
    let mut supervisor = Supervisor::new("worker")
        .process(worker)
        .policy(policy)
        .on_event(|event| match event {
            Event::Exited { past } => println!("ended: {}", past.fingerprint),
            Event::Restarting { why, .. } => println!("  {why}"),
            _ => {}
        })
        .build()?;
    if let Ended::Escalated { why, evidence } = supervisor.run_blocking(&Shutdown::new()) {
        println!("a person is told: {why}");
        println!("  {evidence}");
    }
    let slow = Backoff::new(Duration::from_secs(5), Duration::from_secs(5));
    let unreachable = policy.failures_max(5, Duration::from_secs(10)).backoff(slow);
    println!("{}", unreachable.check().err().ok_or("it is reachable")?);
    Ok(())
}
