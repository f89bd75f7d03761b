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

#[cfg(feature = "store")]
pub use base::canonical;
pub use base::{effect, explain, fault, rng, text, time};
pub use decide::{claim, run};

#[cfg(feature = "store")]
pub use remember::{blocking, leases, ledger, memory, runs, snapshots, store};

#[cfg(feature = "cli")]
pub use operate::cli;
#[cfg(feature = "store")]
pub use operate::{operator, timeline};
