//! The tool `unattended` as people and scripts meet it: the real binary, on real stores.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    reason = "all of it is a test, and it happens in real time"
)]

mod alerts;
mod backup;
mod disk;
mod doctor;
mod exec;
mod kit;
mod operating;
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
#[path = "../support/postgres.rs"]
mod pg;
mod plumbing;
mod runs;
mod shop;
mod shop_live;
mod simulate;
mod status;
mod watch;
