//! What must hold between processes: real ones, that are stopped and killed.
//!
//! Each test starts this binary again as its children; what a child does is chosen by `UNATTENDED_CHILD`.
#![cfg(all(feature = "sqlite", unix))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    reason = "all of it is a test, also what its children run, and it happens in real time"
)]

mod children;
#[cfg(feature = "process")]
mod command;
mod credential;
mod disk;
mod fair;
mod files;
mod kill;
mod kit;
#[cfg(feature = "layout")]
mod layout;
mod matrix;
#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
#[path = "../support/postgres.rs"]
mod pg;
mod shared;
#[cfg(feature = "process")]
mod supervise;
#[cfg(all(feature = "signals", feature = "tokio"))]
mod workers;

/// Not a test: what a child process runs.
#[test]
fn child() {
    children::run();
}
