//! One integration binary: what crosses modules.

#[cfg(feature = "testing")]
mod conformance;
mod documents;
#[cfg(feature = "testing")]
mod durable;
#[cfg(feature = "testing")]
mod jobs;
mod layering;
#[cfg(feature = "testing")]
mod ledger;
mod manifest;
mod reasons;
mod source;
#[cfg(feature = "testing")]
mod world;
