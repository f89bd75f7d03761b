//! So many in a period, or so many until midnight: one integer, which can be saved.
//!
//! [`Quota`] is a rate (the generic cell rate algorithm), [`Calendar`] a count that starts anew at a time of day; a
//! [`Meter`] counts against either, for many threads and without a lock.
//!
//! ```
//! use unattended::quota::{Admit, Meter, Quota};
//! use unattended::time::{Clock, System};
//!
//! let now = System.now();
//! let meter = Meter::new(Quota::per_minute(60)?.burst(2)?, now);
//! assert!(matches!(meter.admit_n(2, now), Admit::Allow { .. }));
//! match meter.admit(now) {
//!     Admit::Refuse { why, wait, .. } => {
//!         assert_eq!(wait.as_secs(), 1);
//!         assert_eq!(why.to_string(), "1 asked for, 0 of 2 are left, 60 come back in 60s");
//!     }
//!     Admit::Allow { .. } => unreachable!(),
//! }
//! # Ok::<(), unattended::quota::Error>(())
//! ```
//!
//! **For those who wait.** [`Meter::reserve`] takes a place in the future now, if it is near enough, so that those who
//! wait have an order. [`Meter::reserve_fast`] is the same without the wall clock.
//!
//! **After a restart.** [`Meter::snapshot`] is a small value that holds wall time; [`Meter::restore`] clamps what the wall
//! clock says to what is possible, and tells what it had to clamp.
//!
//! **Between processes.** [`Snapshot::take_block`] moves tokens from a shared snapshot into a [`Block`] of one process. A
//! block decays as the shared count recovers, so the bound of the quota holds for all of them together.

mod block;
mod calendar;
mod count;
mod form;
mod meter;
mod policy;
mod reason;
mod snapshot;
#[cfg(test)]
mod tests;

pub use block::{Block, TakeBlock};
pub use calendar::Calendar;
pub use meter::{Meter, Taken};
pub use policy::{Error, Limit, Quota};
pub use reason::{Admit, Allowing, Refusing, Reserve, Restoring};
pub use snapshot::{Restored, Snapshot};
