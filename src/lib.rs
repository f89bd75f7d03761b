//! Automation that survives without you.

mod act;
mod base;
mod decide;
#[cfg(doctest)]
mod docs;
mod observe;
#[cfg(feature = "store")]
mod operate;
#[cfg(feature = "store")]
mod remember;
#[cfg(feature = "testing")]
pub mod testing;

pub use act::call;
#[cfg(feature = "store")]
pub use act::{job, once, pipeline};
#[cfg(feature = "store")]
pub use base::canonical;
pub use base::{backoff, effect, explain, fault, rng, text, time};
pub use decide::{breaker, claim, retry, run};
#[cfg(feature = "cli")]
pub use operate::cli;
#[cfg(feature = "store")]
pub use operate::{operator, timeline};
#[cfg(feature = "sqlite")]
pub use remember::sqlite;
#[cfg(feature = "store")]
pub use remember::{blocking, leases, ledger, memory, runs, snapshots, store};
