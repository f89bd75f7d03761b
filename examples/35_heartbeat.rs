//! A dead-man switch: what should have succeeded by now, and has not.

use std::time::Duration;
use unattended::explain::Explain;
use unattended::heartbeat::{Beat, Heart, Policy};
use unattended::time::{Moment, Now};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let start = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    let policy = Policy::every(minutes(60)).run_max(minutes(20)).run_min(minutes(1)).build()?;
    let mut backup = Heart::new(policy, start);
    for minute in 0..420 {
        let now = start.after(minutes(minute));
        let heard = match minute {
            // The second run hangs. After five hours somebody mends it, and one run ends too soon to be true.
            0 | 60 | 300 | 330 => backup.observe(now, Beat::started()),
            9 | 310 => backup.observe(now, Beat::succeeded()),
            // So many seconds are no backup.
            331 => backup.observe(start.after(minutes(330) + minutes(1) / 4), Beat::succeeded()),
            _ => None,
        };
        for event in heard.into_iter().chain(backup.tick(now.into(), |_| None)) {
            println!("{}  {:<20}  {event}", now.wall.format("%H:%M"), event.code());
        }
    }
    println!("saved: {}", serde_json::to_string(&backup.saved())?);
    Ok(())
}
