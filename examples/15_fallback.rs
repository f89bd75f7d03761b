//! When the service is down, the last good answer stands in, with its age; once that is too old, a value does.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use unattended::fallback::{Fallback, LastGood};
use unattended::testing::sim::Sim;
use unattended::{call::Call, effect::Effect, memory::Memory, retry, snapshots::Snapshots, time};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::new(time::Timestamp::UNIX_EPOCH, 1);
    let rates =
        Call::to("rates").retry(retry::Policy::once()).effect(Effect::Pure).on(sim.clone()).build()?;
    let last =
        LastGood::new(&Snapshots::new(Arc::new(Memory::new())), "rates").age_max(Duration::from_secs(86_400));
    let fallback = Fallback::last_good(last).or_value(1.0).on(sim.clone());
    for (day, is_down) in [(0, false), (1, true), (2, true)] {
        let answer = fallback.over(&rates).run_blocking(|_attempt| {
            if is_down { Err(ErrorKind::TimedOut.into()) } else { Ok::<_, Error>(1.08) }
        })?;
        let from = answer.origin().map_or_else(|| "it is fresh".into(), |origin| origin.to_string());
        println!("day {day}: {}, for {from}", answer.value());
        sim.advance(Duration::from_secs(20 * 3600));
    }
    Ok(())
}
