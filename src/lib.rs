//! Automation that survives without you: small primitives that applications wire into their own jobs.
//!
//! Scripts work once; then tokens expire, services rate-limit, disks fill, a cron job fires twice, a worker dies after
//! the side effect and before its record. What is here decides what to do then, does it, remembers it across processes,
//! and says why.
//!
//! ```
//! use unattended::{fault::Fault, retry};
//!
//! let page = retry::Policy::service().run_blocking(|attempt| match attempt.number() {
//!     1 => Err(Fault::transient("http.503")),
//!     _ => Ok("the page"),
//! });
//! assert_eq!(page.unwrap(), "the page");
//! ```
//!
//! # Where to look
//!
//! | you want | look at |
//! |---|---|
//! | to try again, with the right waits and an end | [`retry`] |
//! | to leave a dead service alone | [`breaker`] |
//! | to stay below somebody's limit, a rate or so many a day | [`quota`] |
//! | a bound on the retries of all calls together | [`budget`] |
//! | retries, breaker, time-outs, and a state that outlives the process, for one dependency | [`call`] |
//! | a token that is refreshed before it ends, by one caller and one process at a time | [`credential`] |
//! | several engines side by side, none of which takes the others with it | [`isolate`] |
//! | an answer all the same when a call has failed: a value, or the last good one | `fallback` (feature `store`) |
//! | secrets kept out of what is written down | [`redact`], [`exchange`] |
//! | the most valuable work first, and none that comes too late | [`queue`] |
//! | something at its time: intervals, times of day, cron; and what was missed | [`schedule`] |
//! | something only at certain hours | [`window`] |
//! | to know whether it was one edit, a few, or a bulk change | [`files`] and [`intent`] (by the kernel's events: feature `watch`) |
//! | schedules kept by a service, or by one pass of a cron process | `timer` (feature `store`) |
//! | to do something only so often in this process | `limit` (feature `rate-limit`) |
//! | to do something once, however often it is asked for | `once`, `ledger` (feature `store`) |
//! | a job of steps that resumes where it was | `job`, `pipeline` (feature `store`) |
//! | runs from a queue, worked on by as many processes as there are | `worker` (feature `store`), [`shutdown`] |
//! | another program run, with a time-out that holds whatever it does | `command` (feature `process`) |
//! | a process, a thread or a closure kept alive, and to be told when that is no use | `supervise` (feature `process`), [`restart`] |
//! | nothing heavy begun on a machine that is busy, short of memory or of disk | [`readiness`], [`gate`], [`host`] |
//! | to be told when a job that should have succeeded by now has not | `monitor` (feature `store`), [`heartbeat`] |
//! | a service or a timer of systemd | `systemd` (feature `systemd`) |
//! | folders, and files that are dropped into one, each worked on once and none lost | `layout` (feature `layout`) |
//! | to be told when more fails than did, or is slower, and not at each failure | [`trend`], `statistics` (feature `store`) |
//! | to see and steer runs, from code or from a shell | `operator`, `cli`, and the binary `unattended` |
//! | one holder at a time | `leases` |
//! | a small state that the next process needs | `snapshots`; without a store, `snapshots::File` |
//! | a file replaced whole or not at all, a lock between processes | `file` |
//! | a big input or output outside the store, by its path and hash | `payload` |
//! | somewhere to keep all that | `memory`, `sqlite`, or a `store` of your own |
//! | keys and fingerprints that are the same everywhere | `canonical` |
//! | a week of failures in a millisecond, a hostile server, and the store's rules as a suite | `testing` |
//!
//! # How it is made
//!
//! Deciders are pure: state, input and [`time::Now`] in, a decision with its typed reason out. Drivers wait and act; they
//! take their clock as an argument, so a simulated one drives them in tests. Whatever is stored is written with a
//! precondition, and what belongs together is committed together. Nothing panics on any input, and every loop, queue and
//! buffer has a bound.
//!
//! What it is not: exactly-once (a crash between an effect and its record leaves an outcome that nobody knows; the
//! [`effect`] class decides what happens then), and no workflow server (it is a library over your own file or database).
//!
//! # Features
//!
//! `tracing` (default): decisions as structured events. `tokio`: the async drivers. `store`: what is remembered, in
//! memory; compiles no C. `sqlite`: the embedded store. `testing`: the simulated clock and the store's conformance suite.
//! `cli`: the operator's tool. `full`: all of them. They add; none changes what another does.

// A library writes where it is told to, never to the process's own streams; examples may.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod act;
mod base;
mod decide;
#[cfg(doctest)]
mod docs;
mod observe;
#[cfg(any(feature = "store", feature = "log"))]
mod operate;
#[cfg(feature = "store")]
mod remember;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(all(feature = "backup", unix))]
pub use act::backup;
#[cfg(feature = "backoff")]
pub use act::delays;
#[cfg(all(feature = "layout", unix))]
pub use act::layout;
#[cfg(feature = "rate-limit")]
pub use act::limit;
#[cfg(all(feature = "systemd", unix))]
pub use act::systemd;
#[cfg(feature = "tower")]
pub use act::tower;
pub use act::{call, credential, exchange, isolate, readiness, shutdown};
#[cfg(all(feature = "process", unix))]
pub use act::{command, supervise};
#[cfg(feature = "store")]
pub use act::{fallback, job, monitor, notify, once, pipeline, statistics, timer, worker};
#[cfg(feature = "store")]
pub use base::canonical;
pub use base::{backoff, effect, explain, fault, redact, rng, secret, text, time, zone};
pub use decide::{
    alert, baseline, breaker, budget, claim, contract, gate, heartbeat, intent, queue, quota, restart, retry,
    run, schedule, similarity, trend, window,
};
#[cfg(feature = "lines")]
pub use observe::lines;
pub use observe::{files, host};
#[cfg(all(feature = "cli", unix))]
pub use operate::cli;
#[cfg(feature = "log")]
pub use operate::log;
#[cfg(feature = "store")]
pub use operate::{doctor, metrics, operator, timeline};
#[cfg(feature = "postgres")]
pub use remember::postgres;
#[cfg(feature = "sqlite")]
pub use remember::sqlite;
#[cfg(feature = "store")]
pub use remember::{blocking, file, holds, leases, ledger, memory, payload, runs, snapshots, store};
