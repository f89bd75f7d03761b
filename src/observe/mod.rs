//! Reads the world into what the deciders take in; decides nothing.

pub mod files;
pub mod host;
#[cfg(feature = "lines")]
pub mod lines;
