//! When something is to happen: intervals, times of day, cron expressions; and what became of what was missed.
//!
//! A [`Schedule`] answers with [`Occurrence`]s: the instant that was meant, the instant with the jitter, what the clocks
//! show there, and a [`Note`] where they were changed. It keeps no state and reads no clock.
//!
//! ```
//! use chrono::NaiveTime;
//! use unattended::schedule::{Note, Schedule};
//! use unattended::zone::Zone;
//!
//! let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap_or_default();
//! # #[cfg(feature = "tz")]
//! # {
//! let schedule = Schedule::daily(half_past_two, Zone::Named(chrono_tz::Europe::Paris));
//! assert_eq!(schedule.to_string(), "each day at 02:30 in Europe/Paris");
//!
//! // On 28 March 2027 the clocks go from 02:00 to 03:00.
//! let after = "2027-03-27T12:00:00Z".parse().unwrap();
//! let [gap, ordinary] = [0, 1].map(|n| schedule.upcoming(after).nth(n).unwrap());
//! assert_eq!(gap.local.to_string(), "2027-03-28 03:00:00 +02:00");
//! assert_eq!(gap.note.to_string(), "the clocks skip 2027-03-28 02:30:00; this is the first instant after the gap");
//! assert_eq!(ordinary.local.to_string(), "2027-03-29 02:30:00 +02:00");
//! assert_eq!(ordinary.note, Note::Normal);
//! # }
//! # let _ = Schedule::daily(half_past_two, Zone::Utc);
//! ```
//!
//! # Changes of the clocks
//!
//! **A fixed time that the clocks skip** happens at the first instant after the gap; several of one gap are one
//! occurrence, and so are one that was moved and one that belongs there.
//!
//! **A fixed time that the clocks show twice** happens once, the first time.
//!
//! **A wildcard**, which is a cron expression whose minute or hour begins with `*`, happens at each real instant that
//! looks like it: in a repeated hour both times, in order, and what a gap skips is not made up for. Lists and ranges are
//! fixed times: `0 * * * *` is each hour that passes, `0 0-23 * * *` each hour that the clocks name, once. Vixie cron draws
//! the same line.
//!
//! **An interval** is real time and does not see the clocks.
//!
//! # Bounds
//!
//! Occurrences lie between June of the year 1 and June of 9998 (those of a cron expression with a field for the year
//! at most in 5000); beyond them there are none. Nothing here walks without an end: an expression that never fires is an
//! error where it is read.

#[cfg(feature = "cron")]
mod cron;
mod days;
mod due;
mod error;
mod fields;
mod form;
mod interval;
mod occurrence;
mod pattern;
mod policy;
#[cfg(test)]
mod tests;
mod ticker;

#[cfg(all(feature = "systemd", unix))]
pub(crate) use days::{Days, OfMonth, OfWeek};
pub use due::{Due, Missed, NotRun, Noticed, Running, Turn, Waiting};
pub use error::Error;
#[cfg(all(feature = "systemd", unix))]
pub(crate) use fields::Fields;
#[cfg(all(feature = "systemd", unix))]
pub(crate) use form::Parts;
pub use form::Schedule;
#[cfg(all(feature = "cli", unix))]
pub(crate) use form::{END as LAST, START as FIRST};
pub use occurrence::{Count, Note, Occurrence, Upcoming};
pub use policy::{CatchUp, Clash, Overlap, Overlapping, Policy};
pub use ticker::{Snapshot, Ticker};
