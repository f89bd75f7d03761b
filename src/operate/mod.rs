//! People: what an operator asks and answers, as plain functions and as a command line.

#[cfg(all(feature = "cli", unix))]
pub mod cli;
#[cfg(feature = "store")]
pub mod doctor;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "store")]
pub mod metrics;
#[cfg(feature = "store")]
pub mod operator;
#[cfg(feature = "store")]
pub mod timeline;
