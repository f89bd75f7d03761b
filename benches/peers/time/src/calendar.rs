//! The next occurrence of cron expressions, here and by croner, and the next opening of a window: at instants of a year in a zone
//! whose clocks change.

use std::hint::black_box;
use std::str::FromStr;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use unattended::schedule::Schedule;
use unattended::window::Window;
use unattended::zone::Zone;

use crate::report::Report;

const EXPRESSIONS: [&str; 5] = ["*/5 * * * *", "0 9 * * *", "0 9 * * 1-5", "30 2 1 * *", "0 0 29 2 *"];
const WINDOWS: [&str; 2] = ["09:00-22:00 Mon-Fri Europe/Berlin", "22:00-06:00 Europe/Berlin"];
const ROUNDS: u32 = 5;

pub fn measure(report: &mut Report) {
    let instants: Vec<DateTime<Utc>> =
        (0..8760).map(|hour| start() + TimeDelta::minutes(hour * 60 + hour % 60)).collect();
    for expression in EXPRESSIONS {
        let ours = Schedule::cron(expression, Zone::Named(Berlin)).expect("an expression");
        let theirs = croner::Cron::from_str(expression).expect("an expression");
        let next = |at: &DateTime<Utc>| ours.next_after(*at).map(|next| next.nominal);
        let croner = |at: &DateTime<Utc>| {
            let found = theirs.find_next_occurrence(&at.with_timezone(&Berlin), false);
            found.ok().map(|next| next.to_utc())
        };
        assert!(instants.iter().all(|at| next(at) == croner(at)), "they agree about {expression}");
        let (mut here, mut peer) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            here = here.min(each(&instants, next));
            peer = peer.min(each(&instants, croner));
        }
        report.at_most(&format!("the next of `{expression}` in Europe/Berlin, here"), here, 2000.0, "ns");
        report
            .row(&format!("the next of `{expression}` in Europe/Berlin, croner 4"), &format!("{peer:.0} ns"));
    }
    for hours in WINDOWS {
        let window: Window = hours.parse().expect("a window");
        let state = (0..ROUNDS).map(|_| each(&instants, |at| window.state(*at))).fold(f64::MAX, f64::min);
        let opens = (0..ROUNDS).map(|_| each(&instants, |at| window.next_open(*at))).fold(f64::MAX, f64::min);
        report.row(&format!("the state of the window {hours}"), &format!("{state:.0} ns"));
        report.row(&format!("the next opening of the window {hours}"), &format!("{opens:.0} ns"));
    }
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

/// In nanoseconds.
fn each<T>(instants: &[DateTime<Utc>], mut ask: impl FnMut(&DateTime<Utc>) -> T) -> f64 {
    let begin = Instant::now();
    for at in instants {
        black_box(ask(black_box(at)));
    }
    begin.elapsed().as_secs_f64() * 1e9 / instants.len() as f64
}
