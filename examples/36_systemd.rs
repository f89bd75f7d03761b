//! What systemd is told, and the units of a job that runs each quarter of an hour.

use std::time::Duration;
use unattended::schedule::{Policy, Schedule};
use unattended::systemd::{Notifier, Service, Timer, Told, Watchdog, lint};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Started by hand nobody listens, and nothing needs a case of its own for that.
    let notifier = Notifier::from_env();
    let watchdog = Watchdog::from_env(&notifier)?;
    notifier.ready()?;
    for item in 1..=3 {
        notifier.status(&format!("{item} of 3 reports"))?;
        if let Some(watchdog) = &watchdog {
            watchdog.progressed();
        }
    }
    println!("told: {}", notifier.stopping()? == Told::Sent);

    let schedule = Schedule::every(Duration::from_secs(900))?;
    let timer = Timer::of(&schedule, &Policy::new())?;
    let units = Service::new("reports", ["/usr/bin/reports", "--all of", "100%"]).timer(timer).build()?;
    print!("{}", units.timer.map(|timer| timer.text).unwrap_or_default());
    // systemd's own limit, 5 starts in 10 s, is never reached with a delay of 5 s: it restarts for ever.
    for finding in lint("[Service]\nExecStart=/usr/bin/reports\nRestart=on-failure\nRestartSec=5\n") {
        println!("{finding}");
    }
    Ok(())
}
