//! One integration binary: what crosses modules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; in helpers, which carry no #[test], the lints do not see that they are tests"
)]

#[cfg(feature = "testing")]
mod alerts;
#[cfg(feature = "backup")]
mod backup;
mod baseline;
#[cfg(all(feature = "testing", feature = "tokio"))]
mod calls;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod checklist;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "testing")]
mod conformance;
#[cfg(feature = "testing")]
mod credential;
mod documents;
#[cfg(feature = "testing")]
mod durable;
#[cfg(all(feature = "cli", feature = "testing"))]
mod events;
mod examples;
#[cfg(feature = "testing")]
mod exchanges;
#[cfg(feature = "testing")]
mod forward;
mod gate;
mod heartbeat;
#[cfg(all(feature = "testing", feature = "reqwest", feature = "tokio"))]
mod hostile;
mod intent;
#[cfg(feature = "testing")]
mod isolate;
#[cfg(feature = "testing")]
mod jobs;
mod layering;
#[cfg(all(feature = "tower", feature = "testing"))]
mod layers;
#[cfg(all(feature = "layout", unix))]
mod layout;
#[cfg(feature = "testing")]
mod ledger;
#[cfg(feature = "lines")]
mod lines;
mod manifest;
#[cfg(feature = "testing")]
mod once;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod operator;
#[path = "../support/pairs.rs"]
mod pairs;
#[cfg(all(feature = "store", unix))]
mod parsers;
#[cfg(feature = "store")]
mod payloads;
#[cfg(all(feature = "postgres", feature = "testing"))]
#[path = "../support/postgres.rs"]
mod pg;
#[cfg(all(feature = "postgres", feature = "testing"))]
mod postgres;
mod queue;
#[cfg(feature = "testing")]
mod readiness;
mod reasons;
mod schedule;
mod similarity;
#[cfg(feature = "testing")]
mod snapshots;
mod source;
#[cfg(all(feature = "sqlite", feature = "testing"))]
mod sqlite;
#[cfg(all(feature = "process", unix))]
mod supervise;
#[cfg(all(feature = "systemd", unix))]
mod systemd;
#[cfg(feature = "testing")]
mod timer;
#[cfg(feature = "testing")]
mod trend;
#[cfg(feature = "testing")]
mod views;
mod window;
#[cfg(feature = "testing")]
mod worker;
#[cfg(feature = "testing")]
mod world;
