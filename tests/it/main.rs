//! One integration binary: what crosses modules.

#[cfg(feature = "testing")]
mod conformance;
