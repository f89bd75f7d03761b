//! The only floor that waits, spawns or changes the world.

#[cfg(feature = "store")]
mod env;
#[cfg(feature = "store")]
pub mod job;
#[cfg(feature = "store")]
mod keeper;
#[cfg(feature = "store")]
pub mod pipeline;
#[cfg(feature = "store")]
mod runlog;
