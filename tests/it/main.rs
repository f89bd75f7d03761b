//! One integration binary: what crosses modules.

#[cfg(feature = "testing")]
mod conformance;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod sqlite;
