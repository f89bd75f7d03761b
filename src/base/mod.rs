//! The ground floor: no policy, no I/O. It imports nothing from the crate.

pub mod backoff;
pub(crate) mod bucket;
pub mod effect;
pub mod explain;
pub mod fault;
pub(crate) mod park;
pub mod redact;
pub(crate) mod retry_after;
pub mod rng;
pub mod text;
pub mod time;

#[cfg(feature = "store")]
pub mod canonical;
