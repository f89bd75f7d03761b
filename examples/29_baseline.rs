//! What is rare, once there is enough evidence to say so.

use std::time::Duration;
use unattended::baseline::{Baseline, Outcome, Policy, Severity};
use unattended::time::{Moment, Now};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    let mut baseline = Baseline::new(Policy::new().rare_rate(0.01), 7, now)?;
    let steps = ["read", "check", "send"];
    for n in 0..1000 {
        let key = if n == 100 || n == 900 { "disk full" } else { steps[n % 3] };
        let outcome = baseline.observe(key, Severity::Error, now);
        if let (Outcome::Quiet(why), "disk full") = (outcome, key) {
            println!("event {n}: {why}");
        }
        now = now.after(Duration::from_secs(1));
        while let Some(finding) = baseline.take(now) {
            println!("event {n}: {finding}");
        }
    }
    println!("{}", baseline.evidence());
    let saved = baseline.save(now);
    let (mut baseline, _) =
        Baseline::restore(Policy::new().rare_rate(0.01), saved, now.after(Duration::from_secs(600)))?;
    if let Outcome::Quiet(why) = baseline.observe("disk full", Severity::Error, now) {
        println!("the next process: {why}");
    }
    Ok(())
}
