//! The ground floor: no policy, no I/O. It imports nothing from the crate.

pub mod backoff;
pub mod effect;
pub mod explain;
pub mod fault;
pub mod redact;
pub mod rng;
pub mod secret;
pub(crate) mod subject;
pub mod text;
pub mod time;
pub mod zone;

pub(crate) mod bucket;
pub(crate) mod handover;
pub(crate) mod jump;
pub(crate) mod mounts;
pub(crate) mod park;
pub(crate) mod race;
pub(crate) mod retry_after;
pub(crate) mod sketch;
pub(crate) mod stats;

#[cfg(feature = "store")]
pub mod canonical;
