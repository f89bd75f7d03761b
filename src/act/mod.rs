//! The floor that waits, spawns and changes the world. What to do is decided below; here it is done.

pub mod call;
pub mod credential;
#[cfg(feature = "store")]
pub mod job;
#[cfg(feature = "store")]
pub mod once;
#[cfg(feature = "store")]
pub mod pipeline;

mod classifier;
#[cfg(feature = "store")]
mod env;
mod guarding;
#[cfg(feature = "store")]
mod keeper;
mod log;
mod retrying;
#[cfg(feature = "store")]
mod runlog;
#[cfg(test)]
mod testing;
