//! When something is due over a change of the clocks, and why then. No clock is read.

use std::time::Duration;

use chrono::NaiveTime;
use unattended::explain::Explain;
use unattended::schedule::Schedule;
use unattended::time::Timestamp;
use unattended::zone::Zone;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let zone: Zone = "America/New_York".parse()?;
    let half_past_two: NaiveTime = "02:30:00".parse()?;
    let spring: Timestamp = "2027-03-13T12:00:00Z".parse()?;
    let autumn: Timestamp = "2027-11-07T04:30:00Z".parse()?;
    show(&Schedule::daily(half_past_two, zone), spring);
    show(&Schedule::cron("30 1 * * *", zone)?, autumn);
    show(&Schedule::cron("*/30 1 * * *", zone)?, autumn);
    show(&Schedule::every(Duration::from_secs(86_400))?.jitter(Duration::from_secs(600), "host-1")?, spring);
    println!("{}", Schedule::cron("0 0 30 2 *", zone).err().ok_or("it never fires")?);
    Ok(())
}

fn show(schedule: &Schedule, after: Timestamp) {
    println!("{schedule}");
    for next in schedule.upcoming(after).take(3) {
        println!("  {} begins {} ({})", next.local, next.at.format("%H:%M:%S%.f UTC"), next.note.code());
    }
}
