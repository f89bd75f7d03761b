//! Faults on purpose: around any operation ([`Chaos`]), or from a server that misbehaves ([`Hostile`]).
//!
//! Both are scripted or seeded, and both keep a log, so that a test compares what was done to it with what it did about
//! it. The same seed gives the same story.

mod chaos;
mod hostile;

pub use chaos::{Act, Chaos, Counts, Error, Injected, Rates};
pub use hostile::{Hostile, Reply, Request};
