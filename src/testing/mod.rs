//! What users test their own jobs and backends with.

pub mod conformance;
pub mod faults;
pub mod sim;
