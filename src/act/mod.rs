//! The floor that waits, spawns and changes the world. What to do is decided below; here it is done.

#[cfg(all(feature = "backup", unix))]
pub mod backup;
pub mod call;
#[cfg(all(feature = "process", unix))]
pub mod command;
pub mod credential;
pub mod exchange;
#[cfg(feature = "store")]
pub mod fallback;
pub mod isolate;
#[cfg(feature = "store")]
pub mod job;
#[cfg(all(feature = "layout", unix))]
pub mod layout;
#[cfg(feature = "rate-limit")]
pub mod limit;
#[cfg(feature = "store")]
pub mod monitor;
#[cfg(feature = "store")]
pub mod notify;
#[cfg(feature = "store")]
pub mod once;
#[cfg(feature = "store")]
pub mod pipeline;
pub mod readiness;
pub mod shutdown;
#[cfg(feature = "store")]
pub mod statistics;
#[cfg(all(feature = "process", unix))]
pub mod supervise;
#[cfg(all(feature = "systemd", unix))]
pub mod systemd;
#[cfg(feature = "store")]
pub mod timer;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "store")]
pub mod worker;

#[cfg(feature = "backoff")]
pub use retrying::delays;

mod accounts;
mod classifier;
#[cfg(feature = "store")]
mod env;
mod guarding;
#[cfg(feature = "store")]
mod keeper;
mod log;
mod panics;
#[cfg(feature = "store")]
mod pool;
mod retrying;
#[cfg(feature = "store")]
mod runlog;
#[cfg(feature = "store")]
mod slots;
#[cfg(all(feature = "store", feature = "tokio"))]
mod tasks;
#[cfg(test)]
mod testing;
#[cfg(feature = "store")]
mod threads;
