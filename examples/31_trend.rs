//! One failure is not an alert, and neither are three in a row: that more fail than did is.

use std::time::Duration;
use unattended::rng::Rng;
use unattended::time::{Moment, Now};
use unattended::trend::{Observed, Policy, Trend};

fn main() {
    let mut now = Now { moment: Moment::from_nanos(0), wall: chrono::DateTime::UNIX_EPOCH };
    let (mut failures, mut rng) = (Trend::new(Policy::default()), Rng::seeded(1));
    for run in 1..=1200 {
        // Two in a hundred fail; from the thousandth run on fifteen do, and from the 1,100th on two again.
        let share = if (1000..1100).contains(&run) { 15 } else { 2 };
        match failures.observe(rng.up_to(99) < share, now) {
            Observed::Alert(alert) => println!("run {run}: {alert}"),
            Observed::Recovered(recovered) => println!("run {run}: {recovered}"),
            observed if [1, 50, 51].contains(&run) => println!("run {run}: {observed}"),
            _ => {}
        }
        now = now.after(Duration::from_secs(900));
    }
    let saved = serde_json::to_string(&failures.save()).unwrap_or_default();
    println!("saved: {saved}");
}
