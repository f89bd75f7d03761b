//! What must hold between processes: real ones, that are stopped and killed.
//!
//! Each test starts this binary again as its children; what a child does is chosen by `UNATTENDED_CHILD`.
#![cfg(all(feature = "sqlite", unix))]
#![allow(
    clippy::disallowed_methods,
    reason = "what is tested here happens in real time: waits, stops and kills of processes"
)]

mod children;
mod disk;
mod fair;
mod kill;
mod kit;

/// Not a test: what a child process runs.
#[test]
fn child() {
    children::run();
}
