//! Whether the machine is calm enough to begin.
//!
//! A [`Gate`] is asked with a [`Sample`] of what the machine is doing, and answers whether heavy work may begin now; if not, which
//! [`Signal`] is in the way, with which value and against which limit, since when, and when it is worth asking again. Reading the
//! machine is [`host`](crate::host)'s work, waiting is [`readiness`](crate::readiness)'s; here it is only decided.
//!
//! ```
//! use std::time::Duration;
//! use unattended::gate::{Decision, Gate, Policy, Sample, Signal};
//! use unattended::time::{Clock, System};
//!
//! // Memory above 90 % closes it; it opens again when memory was below 80 % for 30 s.
//! let policy = Policy::builder().above(Signal::Memory, 90.0, 80.0).dwell(Duration::from_secs(30)).build()?;
//! let mut gate = Gate::new(policy);
//! let now = System.now();
//! match gate.evaluate(&Sample::new().with(Signal::Memory, 93.1), now) {
//!     Decision::Closed(closed) => {
//!         assert_eq!(closed.to_string(), "memory use is 93.1 %, above 90 %");
//!         assert!(closed.retry_at > now.wall);
//!     }
//!     decision => unreachable!("{decision:?}"),
//! }
//! # Ok::<(), unattended::gate::Error>(())
//! ```
//!
//! **Two thresholds and a dwell.** A limit closes the gate where its signal is beyond `close`, at once. It opens again only when every
//! signal was on the good side of its `open` for the whole dwell (30 s by default), so whatever the signals do it is never opened
//! sooner than a dwell after it was closed. What lies between the two thresholds leaves the gate as it is. Where both are the same, a
//! value at it is on the bad side. A new gate is open until a sample closes it, since a cron job that asks once has no time to dwell.
//! What was between two questions nobody knows: the dwell is judged by the samples that there were.
//!
//! **What cannot be read** is never taken for zero. Each limit says what that means, [`Missing::Closed`] or [`Missing::Open`]. By
//! default only pressure that cannot be read is passed over, since many kernels have none; anything else that cannot be read
//! keeps the gate closed and says so.
//!
//! **Giving up.** Load that never goes down must not be waited for without end: [`Builder::give_up_after`] counts from the first answer
//! that was not [`Decision::Open`], and [`Gate::evaluate_by`] takes an instant. It is answered until the gate opens after all.
//!
//! **As text** a policy is `cpu:50,mem:75,disk:/var:10GiB,mounted:/data,psi:20`; see [`Policy::from_str`](Policy#impl-FromStr-for-Policy).
//!
//! **After a restart.** [`Gate::saved`] is a small value; [`Gate::restored`] checks it. So a job that is started every few minutes has
//! the same dwell and the same give-up as one that stays.

mod limit;
mod machine;
mod policy;
mod reason;
mod sample;
mod saved;
mod signal;
#[cfg(test)]
mod tests;
mod text;

pub use limit::{Bound, Limit, Missing};
pub use machine::Gate;
pub use policy::{Builder, Error, Policy};
pub use reason::{Closed, Decision, GaveUp, GivenUp, Opened, Why};
pub use sample::{Reading, Sample};
pub use saved::Saved;
pub use signal::{Resource, Signal, Span, Stall};
pub use text::ParseError;
