//! Waiting until it is time to begin.
//!
//! A [`Gate`] is a policy, what it has seen, and a way to look at the machine. It is asked before something heavy is begun, or waited
//! on, and gives up in time.
//!
//! ```no_run
//! use std::time::Duration;
//! use unattended::gate::{Decision, Policy};
//! use unattended::readiness;
//!
//! let gate = readiness::Gate::new(Policy::calm());
//! match gate.wait_blocking(Duration::from_secs(60)) {
//!     Decision::Open { .. } => { /* begin */ }
//!     Decision::Closed(closed) => eprintln!("not now: {closed}"),
//!     Decision::GivenUp(given_up) => eprintln!("not today: {given_up}"),
//! }
//! ```
//!
//! [`Gate::ask`] answers at once; [`Gate::ready`] is the same for a step of a job: a closed gate is an error that `?` hands on and that puts
//! the run down until it is worth asking again, with its attempt given back.
//!
//! **One sampler for all.** Gates that have the same [`Shared`] look at the machine together: what one has read is good for
//! the others for a second. Nothing runs while nobody asks.

mod gate;
mod shared;
#[cfg(test)]
mod tests;

pub use gate::Gate;
pub use shared::{Shared, Source};
