//! When a person is told of something, when again, and when it is over.
//!
//! An [`Alert`] is the state of one identity: a job or a dependency, and the code of what is wrong with it. What happens goes in as
//! [`occurred`](Alert::occurred), what is well again as [`healthy`](Alert::healthy), what a person says as [`ack`](Alert::ack), and
//! time as [`pass`](Alert::pass). Out comes a [`Decision`].
//!
//! | state | it is |
//! |---|---|
//! | [`Open`](State::Open) | it goes wrong, and nobody has said that he sees to it |
//! | [`Acknowledged`](State::Acknowledged) | somebody sees to it: it is not paged until then, or not at all |
//! | [`Resolved`](State::Resolved) | it is over; what happens next opens it again, and is a new page |
//!
//! # How often
//!
//! One page for each identity. While it goes on it is paged again, first after [`again_after`](Builder::again_after), then after twice
//! as long each time, at most [`again_max`](Builder::again_max). What happens in between is counted, and the next page says how often.
//! What happened while it was acknowledged is told when the acknowledgement ends.
//!
//! It is over when nothing has happened for [`healthy_for`](Builder::healthy_for), and, where something says so when it is well again
//! ([`Kind::expects_sign`]), that was said since. The end is told once, if the alert was.
//!
//! Whether something is paged at all is the [`Rule`] of the job: by default a dead letter alone is recorded and listed, and its
//! trend pages; what needs a person pages always, except under [`Rule::Never`].
//!
//! # All together
//!
//! [`Limit`] counts the pages of all identities: 20 in an hour unless told otherwise. What is above is held back for one digest.
//!
//! ```
//! use std::time::Duration;
//! use unattended::alert::{Alert, Decision, Kind, Policy, Rule};
//!
//! let policy = Policy::default();
//! let start = chrono::DateTime::UNIX_EPOCH;
//! let minute = |n: u64| start + Duration::from_secs(60 * n);
//! let mut alert = Alert::new(Kind::Overdue);
//! assert!(matches!(alert.occurred(&policy, Rule::Trend, minute(0), minute(0)), Decision::Page(_)));
//! assert!(matches!(alert.occurred(&policy, Rule::Trend, minute(30), minute(30)), Decision::Suppressed(_)));
//! assert!(matches!(alert.occurred(&policy, Rule::Trend, minute(61), minute(61)), Decision::Page(_)));
//! // It succeeds again, and nothing has happened for a quarter of an hour.
//! alert.healthy(minute(62));
//! assert!(matches!(alert.pass(&policy, Rule::Trend, minute(76)), Decision::Resolved(_)));
//! ```
//!
//! # Clocks
//!
//! All instants are wall time, for an alert has to survive the process. A clock that has stepped back is taken to stand still until it
//! is where it was; what is more than a day ahead was said by a clock that was wrong, and is not believed. Neither makes a page more.

mod form;
mod limit;
mod machine;
mod policy;
mod reason;
mod saved;
#[cfg(test)]
mod tests;

pub use crate::base::subject::{NoSubject, Subject};
pub use limit::{Admit, Limit, SavedLimit};
pub use machine::{Acked, Alert, Kind, Rule, State};
pub use policy::{Builder, Error, PAGES_MAX, Policy};
pub use reason::{Decision, Paging, Recording, Resolving, Suppressing};
pub use saved::Saved;
