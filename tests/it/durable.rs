//! Durable work held to what it promises: runs, jobs that die in the middle, stores that fail, and random days of all of
//! it together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

mod between;
mod clocks;
mod crashes;
mod fan_out;
mod faults;
mod inputs;
mod random;
mod runs;
mod site;
mod undo;
mod waits;
