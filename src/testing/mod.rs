//! What users test their own jobs and backends with.

pub mod conformance;
pub mod faults;
mod idempotent;
pub mod sim;

pub use idempotent::{Effects, assert_idempotent};
