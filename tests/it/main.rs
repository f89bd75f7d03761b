//! One integration binary: what crosses modules.

#[cfg(feature = "testing")]
mod conformance;
mod documents;
#[cfg(feature = "testing")]
mod jobs;
mod layering;
mod manifest;
mod reasons;
mod source;
