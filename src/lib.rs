//! Automation that survives without you.

mod act;
mod base;
mod decide;
mod observe;
#[cfg(feature = "store")]
mod operate;
#[cfg(feature = "store")]
mod remember;
#[cfg(feature = "testing")]
pub mod testing;

pub use act::call;
pub use base::{backoff, effect, explain, fault, rng, time};
pub use decide::{breaker, retry};
