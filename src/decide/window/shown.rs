//! From what the clocks show to instants, and back.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use crate::base::time::Timestamp;
use crate::base::zone::Resolved;
use crate::decide::window::Window;
use crate::decide::window::week::{DAY, Span, of_day, on_day};

/// Hours come again within two weeks, or never: one to be skipped by the clocks, and one after it.
const DAYS_MAX: usize = 32;
/// How many hours in a row the clocks may skip before what follows is not looked for.
const GAPS_MAX: usize = 32;

impl Window {
    /// The latest local time that the clocks have shown at an instant: what they show, but while they show an hour for
    /// the second time the end of that hour. A local time has been reached if it is not after this one.
    pub(super) fn shown(&self, at: Timestamp) -> NaiveDateTime {
        let zone = self.inner.zone;
        let local = zone.local(at);
        let Resolved::Twice(first, second) = zone.resolve(local) else { return local };
        if at < second {
            return local;
        }
        // The end of what is shown twice is a whole second, and no further off than the clocks went back.
        let whole = local.with_nanosecond(0).unwrap_or(local);
        let moved = |seconds| whole.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(local);
        let (mut reached, mut ahead) = (0, (second - first).num_seconds() + 1);
        while ahead - reached > 1 {
            let between = reached + (ahead - reached) / 2;
            if zone.first(moved(between)) <= at {
                reached = between;
            } else {
                ahead = between;
            }
        }
        moved(ahead).checked_sub_signed(TimeDelta::nanoseconds(1)).unwrap_or(local).max(local)
    }

    /// Whether a local time is within the hours.
    pub(super) fn has_hours(&self, local: NaiveDateTime) -> bool {
        let time = time_of(local);
        let spans = self.spans(local.date());
        spans.get(following(spans, time)).is_some_and(|span| span.from <= time)
    }

    /// The first instant from `at` on that is within the hours.
    pub(super) fn hours_from(&self, mut at: Timestamp) -> Option<Timestamp> {
        let mut local = self.shown(at);
        for _ in 0..GAPS_MAX {
            if self.has_hours(local) {
                return Some(at);
            }
            match self.inner.zone.resolve(self.next_hours(local)?) {
                // What was skipped may have been all of it.
                Resolved::Skipped(after) => (at, local) = (after, self.inner.zone.local(after)),
                // At the end of the calendar there may be no such instant.
                reached => return Some(reached.first()).filter(|first| *first > at),
            }
        }
        None
    }

    /// The first instant after the hours in which `local` is; `None` if they never end.
    pub(super) fn hours_end(&self, mut local: NaiveDateTime) -> Option<Timestamp> {
        if self.inner.week.is_always() {
            return None;
        }
        for _ in 0..GAPS_MAX {
            match self.inner.zone.resolve(self.end_of_hours(local)?) {
                // The clocks may skip the time at which it is closed.
                Resolved::Skipped(after) if self.has_hours(self.inner.zone.local(after)) => {
                    local = self.inner.zone.local(after);
                }
                reached => return Some(reached.first()),
            }
        }
        None
    }

    /// The local time after `local`, which is outside the hours, at which they begin.
    fn next_hours(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let (mut date, mut time) = (local.date(), time_of(local));
        for _ in 0..DAYS_MAX {
            let spans = self.spans(date);
            if let Some(span) = spans.get(following(spans, time)) {
                return on_day(date, span.from);
            }
            (date, time) = (date.succ_opt()?, 0);
        }
        None
    }

    /// The local time at which the hours end in which `local` is, over as many midnights as they adjoin.
    fn end_of_hours(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        let (mut date, mut time) = (local.date(), time_of(local));
        for _ in 0..DAYS_MAX {
            let spans = self.spans(date);
            match spans.get(following(spans, time)).filter(|span| span.from <= time) {
                Some(span) if span.to < DAY => return on_day(date, span.to),
                Some(_) => (date, time) = (date.succ_opt()?, 0),
                None => return on_day(date, time),
            }
        }
        None
    }

    fn spans(&self, date: NaiveDate) -> &[Span] {
        self.inner.week.on(date, |day| self.is_skipped(day))
    }

    /// Whether the clocks skip a whole day.
    fn is_skipped(&self, day: NaiveDate) -> bool {
        let zone = self.inner.zone;
        let noon = day.and_time(NaiveTime::MIN).with_hour(12).unwrap_or_default();
        let Resolved::Skipped(after) = zone.resolve(noon) else { return false };
        let before = after.checked_sub_signed(TimeDelta::seconds(1)).unwrap_or(after);
        zone.local(before).date() < day && zone.local(after).date() > day
    }
}

/// A time of day, in nanoseconds; a leap second is still of its day.
pub(super) fn time_of(local: NaiveDateTime) -> u64 {
    of_day(local.time()).min(DAY - 1)
}

/// The place of the first that has not ended by then.
fn following(spans: &[Span], time: u64) -> usize {
    spans.partition_point(|span| span.to <= time)
}
