//! Puts a window together, and refuses one that never opens.

use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime, Weekday};

use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::decide::window::closed::Closed;
use crate::decide::window::week::{Daily, EVERY_DAY, Segment, Week};
use crate::decide::window::{Inner, Window};

/// The most hours that a window may have.
const HOURS_MAX: usize = 64;
/// The most days, spans and times of day that it may be closed at.
const CLOSED_MAX: usize = 1024;

/// A window that is being put together.
#[must_use = "a window is not built until build() is called"]
#[derive(Clone, Debug)]
pub struct Builder {
    zone: Zone,
    segments: Vec<Segment>,
    dailies: Vec<Daily>,
    days: Vec<(NaiveDate, String)>,
    spans: Vec<Closed>,
    must_finish_inside: bool,
}

impl Builder {
    pub(super) const fn new(zone: Zone) -> Self {
        Self {
            zone,
            segments: Vec::new(),
            dailies: Vec::new(),
            days: Vec::new(),
            spans: Vec::new(),
            must_finish_inside: false,
        }
    }

    /// Open on each day from `open` to `close`. A `close` that is not after `open` is on the day after, so the same time
    /// twice is 24 hours. At most 64 hours in all.
    pub fn hours(self, open: NaiveTime, close: NaiveTime) -> Self {
        self.segment(Segment { days: EVERY_DAY, open, close })
    }

    /// The same on some days of the week: those on which it opens.
    pub fn hours_on(self, days: &[Weekday], open: NaiveTime, close: NaiveTime) -> Self {
        let days = days.iter().fold(0, |days, day| days | 1_u8 << day.num_days_from_monday());
        self.segment(Segment { days, open, close })
    }

    pub(super) fn segment(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// Closed on a whole day by the clocks of the zone, from its midnight to the next, whatever opened the day before.
    /// At most 1024 days, spans and times of day in all.
    pub fn closed_on(mut self, day: NaiveDate, why: impl Into<String>) -> Self {
        self.days.push((day, why.into()));
        self
    }

    /// Closed from an instant on, and open again at another, which is after it.
    pub fn closed_between(mut self, from: Timestamp, to: Timestamp, why: impl Into<String>) -> Self {
        self.spans.push(Closed::between(from, to, why.into()));
        self
    }

    /// Closed on each day from one time to another; one that is before the first is on the day after. A local time
    /// that a change of the clocks skips or repeats counts as it does for hours.
    pub fn closed_daily(mut self, from: NaiveTime, to: NaiveTime, why: impl Into<String>) -> Self {
        self.dailies.push(Daily { from, to, why: why.into() });
        self
    }

    /// What begins in the window must also be known to end in it: a step of a job with this window begins only where its
    /// time-out has room.
    pub const fn must_finish_inside(mut self) -> Self {
        self.must_finish_inside = true;
        self
    }

    /// The window.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for hours on no day, for a span or time of day that ends when it begins, and for more than there
    /// may be; [`Error::NoHours`] without hours; [`Error::NeverOpens`] where what is closed leaves nothing of the hours.
    pub fn build(self) -> Result<Window, Error> {
        self.check()?;
        let week = Week::new(&self.segments, &self.dailies);
        if week.is_never() {
            return Err(Error::NeverOpens);
        }
        let days = self.days.into_iter().map(|(day, why)| Closed::day(self.zone, day, why));
        let inner = Inner {
            zone: self.zone,
            segments: self.segments,
            dailies: self.dailies,
            must_finish_inside: self.must_finish_inside,
            week,
            closed: Closed::ordered(self.spans.into_iter().chain(days).collect()),
        };
        let window = Window { inner: Arc::new(inner) };
        match window.next_open(Timestamp::MIN_UTC) {
            Some(_) => Ok(window),
            None => Err(Error::NeverOpens),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.segments.is_empty() {
            return Err(Error::NoHours);
        }
        if self.segments.len() > HOURS_MAX {
            return Err(field("hours", self.segments.len(), &format!("1 to {HOURS_MAX}")));
        }
        if self.segments.iter().any(|hours| hours.days == 0) {
            return Err(field("hours_on.days", "none", "1 to 7 days of the week"));
        }
        let closed = self.dailies.len() + self.days.len() + self.spans.len();
        if closed > CLOSED_MAX {
            return Err(field("closed", closed, &format!("at most {CLOSED_MAX}")));
        }
        if let Some(span) = self.spans.iter().find(|span| span.from >= span.to) {
            let given = format!("{} to {}", span.from, span.to);
            return Err(field("closed_between", given, "from an instant to a later one"));
        }
        if let Some(daily) = self.dailies.iter().find(|daily| daily.from == daily.to) {
            let given = format!("{} to {}", daily.from, daily.to);
            return Err(field("closed_daily", given, "from a time of day to another"));
        }
        Ok(())
    }
}

/// Why there is no such window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A knob out of its range.
    #[error("window: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// No hours were given: it would never open. One that is closed only at times has the hours 00:00 to 00:00.
    #[error("window: no hours are given, so it never opens; 00:00 to 00:00 is the whole day")]
    NoHours,
    /// What is closed leaves nothing of the hours.
    #[error("window: what is closed leaves nothing of the hours, so it never opens")]
    NeverOpens,
}

fn field(field: &'static str, given: impl ToString, allowed: &str) -> Error {
    Error::Field { field, given: given.to_string(), allowed: allowed.to_owned() }
}
