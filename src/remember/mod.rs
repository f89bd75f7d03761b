//! What is remembered: one narrow seam for backends, and structs with the field's meanings on top of it.

pub mod file;
pub mod holds;
pub mod leases;
pub mod ledger;
pub mod payload;
pub mod runs;
pub mod snapshots;
pub mod store;

mod cursor;
mod replay;

pub mod blocking;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
