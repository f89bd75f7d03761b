//! One page for each cause, again while it goes on, and one when it is over; all on a clock of the example's own.

use std::sync::Arc;
use std::time::Duration;

use unattended::alert::{Kind, Subject};
use unattended::memory::Memory;
use unattended::notify::{Alerts, Page, Sign, Signal, SinkError};
use unattended::time::{Moment, Now};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pager = |page: &Page| -> Result<(), SinkError> {
        println!("{} ({} times) {}\n", page.state, page.count, page.text);
        Ok(())
    };
    let alerts = Alerts::new(Arc::new(Memory::new())).sink("pager", pager).build()?;
    let (start, mail) =
        (Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH }, Subject::job("mail"));
    for minute in 0..120 {
        let now = start.after(Duration::from_secs(60 * minute));
        if minute < 62 {
            let full = Signal::new(mail.clone(), Kind::Fatal, "disk.full", "no space left", now.wall);
            let _decision = alerts.raise_blocking(&full, now)?;
        } else if minute == 62 {
            alerts.healthy_blocking(&mail, Sign::Success, now)?;
        }
        alerts.send_blocking(now)?;
    }
    Ok(())
}
