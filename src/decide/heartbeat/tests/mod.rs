//! The state machine under simulated time.

mod random;
mod rules;
mod saved;

use std::time::Duration;

use super::*;
use crate::base::explain::Explain;
use crate::base::time::{Moment, Now, Timestamp};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` seconds after the beginning of the story.
fn at(n: u64) -> Now {
    let start = Now { moment: Moment::ZERO, wall: "2026-11-22T00:00:00Z".parse().unwrap() };
    start.after(secs(n))
}

fn second_of(at_: Timestamp) -> u64 {
    u64::try_from(at_.signed_duration_since(at(0).wall).num_seconds()).unwrap_or(0)
}

fn heart(builder: Builder) -> Heart {
    Heart::new(builder.build().unwrap(), at(0))
}

fn hourly() -> Builder {
    Policy::every(secs(3600))
}

/// Looks each `step` seconds from after `from` up to `to`; what was told, and when.
fn watch(heart: &mut Heart, from: u64, to: u64, step: u64) -> Vec<(u64, &'static str)> {
    let looks = (from..=to).step_by(usize::try_from(step).unwrap()).skip(1);
    looks.filter_map(|n| heart.tick(at(n).into(), |_| None).map(|event| (n, event.code()))).collect()
}

fn code(event: Option<Event>) -> &'static str {
    event.map_or("", |event| event.code())
}
