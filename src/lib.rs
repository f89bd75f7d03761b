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

pub use base::{effect, explain, fault, rng, time};

#[cfg(feature = "sqlite")]
pub use remember::sqlite;
#[cfg(feature = "store")]
pub use remember::{blocking, memory, store};
