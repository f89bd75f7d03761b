//! A dead-man switch: what should have succeeded by now, and has not.
//!
//! A job that fails says so. One that is no longer started says nothing, and nobody misses it. A [`Heart`] knows how often a job
//! is expected to succeed ([`Policy`]), takes in its [`Beat`]s, and gives an [`Event`] when its state changes, once each:
//!
//! | state | it is |
//! |---|---|
//! | [`New`](State::New) | declared, and was never seen to succeed |
//! | [`Up`](State::Up) | well |
//! | [`Late`](State::Late) | past its time, or not begun in time |
//! | [`Overdue`](State::Overdue) | silent for twice its interval: taken for dead |
//! | [`Failing`](State::Failing) | told to have failed, or its run takes too long, stands still, or was too fast to be true |
//! | [`Paused`](State::Paused) | put aside by a person |
//!
//! Only a success makes it well again: not a start, not progress, and not a failure, which ends a silence but not the trouble.
//!
//! # When
//!
//! By an interval ([`Policy::every`]): late when the last success is one interval ago, overdue when it is two (if the interval is
//! under a minute: one and 60 s). By a schedule ([`Policy::scheduled`]) the expected instants come in as input
//! ([`Expected`]): late at the first one after the last success and a grace, overdue at the one that follows. A success covers
//! every instant up to it and for 2 s after it, since clocks of two hosts are never the same. Instants are UTC, so a change of
//! the clocks moves nothing: whoever computed them knew it.
//!
//! A job that was never seen counts from when it was declared, one that was resumed from then.
//!
//! # What the monitor itself could not see
//!
//! Silence is judged by [`tick`](Heart::tick), which is called now and then with a [`Look`]. [`Sight`] makes it: it knows when
//! was last looked, and says when the monitor itself was away. What fell due while nobody looked is judged a grace after somebody
//! does again, so a machine that was down for a night does not accuse every job in its first second. What was noted meanwhile is to
//! be [observed](Heart::observe) before the tick.
//!
//! ```
//! use std::time::Duration;
//! use unattended::heartbeat::{Beat, Heart, Policy, State};
//! use unattended::time::{Moment, Now};
//!
//! let hour = Duration::from_secs(3600);
//! let declared = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
//! let mut backup = Heart::new(Policy::every(hour).build()?, declared);
//! backup.observe(declared.after(hour / 2), Beat::succeeded());
//!
//! // It is never heard of again.
//! let told: Vec<_> = (31..600)
//!     .filter_map(|minute| backup.tick(declared.after(minute * hour / 60).into(), |_| None))
//!     .map(|event| (event.to, event.at.to_string()))
//!     .collect();
//! assert_eq!(told, [
//!     (State::Late, "1970-01-01 01:30:00 UTC".to_owned()),
//!     (State::Overdue, "1970-01-01 02:30:00 UTC".to_owned()),
//! ]);
//! # Ok::<(), unattended::heartbeat::Error>(())
//! ```
//!
//! # Clocks
//!
//! All instants are wall time, for they have to survive the process. A clock that went back is no reason to be silent: what is
//! said to have happened more than a minute after now is taken to have happened now, so that a deadline is at most one interval late. A
//! state that was told stays until a success, whatever the clock says; so nothing is told twice.

mod beat;
mod form;
mod heart;
mod policy;
mod reason;
mod runs;
mod saved;
mod sight;
#[cfg(test)]
mod tests;

pub use beat::{Beat, RUN_MAX, RUNS_MAX, SAID_MAX};
pub use heart::{Expected, Heart, Status};
pub use policy::{Builder, Error, Policy};
pub use reason::{Event, State, Why};
pub use saved::Saved;
pub use sight::{Look, Noticed, SavedSight, Sight, Unseen};
