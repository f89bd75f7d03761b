//! The first week of a real automation, twice under the same hostile days: as it is written first, and with our policies.
//!
//! `cargo run --features full --example hostile_api -- [--seed N] [--week | --now]`
//!
//! The first part is a simulated week (`--week` for it alone): five engines work through 3 to 5 calls for each task,
//! against dependencies that refuse, throttle, hang, lose answers and revoke tokens as the seed says. All numbers are
//! computed from the log of the other side. The same seed prints the same. The second part (`--now`) meets a real server
//! on loopback in real time for some seconds, and shows how a call is cut that meets silence.

mod naive;
mod now;
mod ours;
mod report;
mod tasks;
#[cfg(test)]
mod tests;
mod weather;
mod week;
mod world;

use std::error::Error;
use std::io::{self, Write};

/// The seed of the week that is told unless another is asked for; a week like most.
const SEED: u64 = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut seed, mut week, mut now) = (SEED, true, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => seed = arguments.next().ok_or("--seed needs a number")?.parse()?,
            "--week" => now = false,
            "--now" => week = false,
            other => return Err(format!("{other}? allowed are --seed N, --week and --now").into()),
        }
    }
    let mut out = io::stdout().lock();
    if week {
        report::both(seed)?.print(&mut out, seed)?;
    }
    if now {
        now::print(&mut out)?;
    }
    Ok(out.flush()?)
}
