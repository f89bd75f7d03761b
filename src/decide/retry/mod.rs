//! A failure is observed; wait, hand it over, or stop, and why.
//!
//! A [`Policy`] says for each class of fault how often and how slowly to try again, and for all of them together how
//! long. A [`Run`] is one operation under a policy: [`Run::failed`] takes the time and the fault and answers with
//! [`Next`]. It reads no clock, sleeps never, and is put down ([`Run::save`]) and picked up ([`Policy::resume`]) by a
//! job that does not want to hold a process for a long wait.
//!
//! Most programs want the loop as well: [`Policy::run_blocking`] and, with the feature `tokio`, `Policy::run`.
//!
//! ```
//! use unattended::retry;
//!
//! let page = retry::Policy::service().run_blocking(|attempt| -> std::io::Result<&str> {
//!     if attempt.number() < 2 { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok("page") }
//! })?;
//! assert_eq!(page, "page");
//! # Ok::<(), retry::Stopped<std::io::Error>>(())
//! ```
//!
//! The rules, each of which has a test of its own name: the cap is applied before the jitter and is a bound; the time
//! limit counts the attempts as well as the waits, and is checked before a wait, not after it; what the server asked
//! for is never shortened, yet it escapes neither the attempts nor the deadline; an operation whose effect is
//! [`Unsafe`](crate::base::effect::Effect::Unsafe) is not repeated once it may have arrived.

mod form;
mod policy;
mod reason;
mod run;
mod stopped;
#[cfg(test)]
mod tests;

pub use crate::base::handover::HandedOver;
pub use crate::base::retry_after::retry_after;
pub use policy::{Deadline, Error, Policy, Strategy};
pub use reason::{Deferring, Disposition, Next, Stopping, Waiting};
pub use run::{Attempt, Run, Saved, seed};
pub use stopped::{Never, Stopped, Timeline, Tried};
