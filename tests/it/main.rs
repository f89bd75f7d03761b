//! One integration binary: what crosses modules.

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "testing")]
mod conformance;
mod documents;
#[cfg(feature = "testing")]
mod jobs;
mod layering;
mod manifest;
mod reasons;
mod source;
