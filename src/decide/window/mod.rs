//! When something may happen: opening hours, and times at which there are none.
//!
//! A [`Window`] is asked at an instant and answers with one: until when it is open, or when it opens and why not now.
//!
//! ```
//! use unattended::window::{State, Window};
//!
//! let window: Window = "09:00-22:00 Mon-Fri +02:00".parse()?;
//! let friday_night = "2026-07-31T21:00:00Z".parse()?;
//! match window.state(friday_night) {
//!     State::Closed { opens: Some(opens), why } => {
//!         assert_eq!(opens.to_string(), "2026-08-03 07:00:00 UTC");
//!         assert_eq!(why.to_string(), "the hours of Friday have ended at 22:00");
//!     }
//!     state => unreachable!("{state:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Hours are instants.** An opening begins at the first instant at which the clocks of its zone show its time, and ends
//! at the first at which they show the end of it; a local time that a change of the clocks skips is the first instant
//! after the gap, one that occurs twice the first of the two. So 02:00-03:00 has no length on the night on which the
//! clocks go from 02:00 to 03:00, and 01:00-02:00 is two hours long on the night on which they go back from 02:00 to 01:00.
//! An opening has its beginning and not its end: `[open, close)`.
//!
//! **Across midnight** belongs to the day on which it opens: Friday's 22:00-06:00 ends on Saturday morning, though
//! Saturday may be no day of it. A day that the clocks skip altogether (30 December 2011 in Samoa) has no opening,
//! not even one that would end on the day after. Openings that adjoin or overlap are one. Hours that leave no gap in a
//! week are always open.
//!
//! **What is closed beats what is open**: a [day](Builder::closed_on), a [span of time](Builder::closed_between), a
//! [time of day](Builder::closed_daily), such as the minutes around the midnight at which somebody's quota resets.

mod build;
mod closed;
mod fit;
mod reason;
mod shown;
#[cfg(test)]
mod tests;
mod text;
mod week;

use std::sync::Arc;

pub use build::{Builder, Error};
pub use reason::{Fits, State, Why};
pub use text::ParseError;

use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::decide::window::closed::Closed;
use crate::decide::window::week::{Daily, Segment, Week};

/// When something may happen. Cheap to clone; made by [`Window::new`] or read from text such as
/// `09:00-22:00 Mon-Fri Europe/Paris`.
///
/// ```
/// use chrono::{NaiveTime, Weekday};
/// use unattended::window::{State, Window};
/// use unattended::zone::Zone;
///
/// let at = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
/// let window = Window::new(Zone::Utc)
///     .hours(at(9, 0), at(22, 0))
///     .hours_on(&[Weekday::Sat], at(22, 0), at(2, 0))
///     .closed_daily(at(23, 55), at(0, 5), "the quota resets at midnight")
///     .build()?;
/// let saturday = "2026-08-01T23:58:00Z".parse()?;
/// let State::Closed { opens, why } = window.state(saturday) else { unreachable!() };
/// assert_eq!(opens, Some("2026-08-02T00:05:00Z".parse()?));
/// assert_eq!(why.to_string(), "closed: the quota resets at midnight");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    zone: Zone,
    segments: Vec<Segment>,
    dailies: Vec<Daily>,
    must_finish_inside: bool,
    /// The hours less the daily times that are closed, day by day.
    week: Week,
    /// Days and spans that are closed, as instants: ascending and apart.
    closed: Vec<Closed>,
}

impl Window {
    /// A window by the clocks of `zone`; it needs [hours](Builder::hours).
    #[allow(clippy::new_ret_no_self, reason = "a window that never opens is an error, so it is built first")]
    pub fn new(zone: Zone) -> Builder {
        Builder::new(zone)
    }

    /// Whether it is open at an instant, until when, or when it opens and why not now.
    pub fn state(&self, at: Timestamp) -> State {
        if let Some(closed) = self.closed_at(at) {
            return State::Closed {
                opens: self.opens(closed.until),
                why: Why::Blackout { why: closed.why.clone() },
            };
        }
        let shown = self.shown(at);
        if !self.has_hours(shown) {
            return State::Closed { opens: self.opens(at), why: self.outside(at, shown) };
        }
        let closes = self.hours_end(shown);
        let closed = self.next_closed(at);
        // At the end of the calendar there may be no instant after this one.
        State::Open { closes: closes.into_iter().chain(closed).min().filter(|closes| *closes > at) }
    }

    /// When it is open next: `at` itself if it is open then, `None` only at the end of the calendar.
    #[must_use]
    pub fn next_open(&self, at: Timestamp) -> Option<Timestamp> {
        self.opens(at)
    }

    /// Whose clocks its hours are read on.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.inner.zone
    }

    /// Whether what begins in it must also end in it; see [`Builder::must_finish_inside`].
    #[must_use]
    pub fn must_finish_inside(&self) -> bool {
        self.inner.must_finish_inside
    }

    /// The first instant from `at` on at which there are hours and nothing is closed. Each turn passes what is closed
    /// without a break.
    fn opens(&self, mut at: Timestamp) -> Option<Timestamp> {
        for _ in 0..=self.inner.closed.len() {
            at = self.hours_from(at)?;
            match self.closed_at(at) {
                Some(closed) => at = closed.until,
                None => return Some(at),
            }
        }
        None
    }
}
