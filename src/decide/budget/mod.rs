//! How many retries a dependency may be burdened with: a token bucket, so that retries do not add to what broke it.
//!
//! Each call has its own bound of attempts; a hundred calls that fail together have a hundred of them. The budget is the
//! bound of all together. A retry pays for its fault's class (a time-out more, a "not so fast" less), time brings tokens
//! back, and so do successes. It is asked before the wait.
//!
//! ```
//! use unattended::budget::{Admit, Budget, Policy};
//! use unattended::fault::Fault;
//! use unattended::time::{Clock, System};
//!
//! let now = System.now();
//! let budget = Budget::new(Policy::cron().tokens_max(2))?;
//! assert!(matches!(budget.admit(&Fault::transient("io.timed_out"), now), Admit::Allow { .. }));
//! match budget.admit(&Fault::transient("http.503"), now) {
//!     Admit::Refuse { why, wait, .. } => {
//!         assert_eq!(wait.as_secs(), 180);
//!         assert_eq!(why.to_string(), "the retry would cost 1, 0 of 2 are left, 20 come back in 3600s");
//!     }
//!     Admit::Allow { .. } => unreachable!(),
//! }
//! # Ok::<(), unattended::budget::Error>(())
//! ```
//!
//! **After a restart.** [`Budget::snapshot`] is a small value that holds wall time, and [`Budget::restore`] clamps what the
//! wall clock says to what is possible. **Between processes.** [`Snapshot::spend`] is the same decision on what is shared.
//!
//! Sources: Finagle's `RetryBudget` (a floor and a share of the successes), the AWS SDKs' retry quota (a time-out is dearer).

mod form;
mod policy;
mod reason;
mod shared;
mod snapshot;
#[cfg(test)]
mod tests;

pub use policy::{Error, Policy};
pub use reason::{Admit, Allowing, Refusing, Restoring};
pub use shared::Budget;
pub use snapshot::{Restored, Snapshot, Spend};
