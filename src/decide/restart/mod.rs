//! Whether what has ended is begun again, and when; or a person is told.
//!
//! A restart that knows nothing hides a defect until it is an outage: a worker that dies at each start is started for ever, and nobody
//! looks. [`State::on_exit`] takes each end and answers with one of three: begin it again at this moment, stop because that is right,
//! or tell a person, with the evidence. It waits for nothing and starts nothing; `supervise` does that.
//!
//! - The limit is a true sliding window of failures: so many within so long, wherever the window begins. Ends that are no
//!   failures are not counted.
//! - The delay between two tries grows, is drawn by chance, and begins anew only after an uptime that deserves it.
//! - A permanent end (an exit code that says that the configuration is wrong) is not tried again at all.
//! - The same error several times in a row, each within moments of its start, is told early: more tries would show nothing new.
//! - A limit that the delays make unreachable is refused when the policy is checked.
//! - Recycling, before age or memory make trouble, is no failure.
//!
//! All of it is a small value ([`State::saved`]), so a supervisor that is killed does not forget the window.
//!
//! ```
//! use std::time::Duration;
//! use unattended::restart::{Decision, Exit, Policy, State};
//! use unattended::time::{Moment, Now};
//!
//! let policy = Policy::default().failures_max(3, Duration::from_secs(300));
//! let mut state = State::new(policy, 7)?;
//! let mut now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
//! for failure in 1..=3 {
//!     state.started(now);
//!     now = now.after(Duration::from_secs(30));
//!     match state.on_exit(now, Exit::code(1).stderr_tail("cannot reach 10.0.0.7")) {
//!         Decision::Restart { at, .. } => now = now.after(at.since(now.moment)),
//!         Decision::Escalate { evidence, why } => {
//!             assert_eq!(failure, 3);
//!             assert_eq!(why.to_string(), "3 failures within 5m, 3 are too many");
//!             assert_eq!(evidence.exits.len(), 3);
//!         }
//!         Decision::Stop { why } => unreachable!("{why}"),
//!     }
//! }
//! # Ok::<(), unattended::restart::Error>(())
//! ```

mod evidence;
mod exit;
mod policy;
mod reason;
mod saved;
mod state;

#[cfg(test)]
mod tests;

pub use evidence::{Counted, EXITS_MAX, Evidence, Past, Pattern};
pub use exit::{Class, Exit, How, TAIL_MAX};
pub use policy::{Error, Policy, Restart};
pub use reason::{Decision, Escalating, Recycling, Restarting, Start, Stopping, Waiting};
pub use saved::Saved;
pub use state::State;
