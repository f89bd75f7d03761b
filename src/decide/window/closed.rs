//! What is closed by date or by instant, as instants.

use chrono::{NaiveDate, NaiveTime};

use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::decide::window::Window;

/// Closed from `from` on, and open again at `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// The end of those that adjoin it too.
    pub(super) until: Timestamp,
    pub(super) why: String,
}

impl Closed {
    /// A whole local day; empty where the clocks skip it.
    pub(super) fn day(zone: Zone, day: NaiveDate, why: String) -> Self {
        let from = zone.first(day.and_time(NaiveTime::MIN));
        let to = day.succ_opt().map_or(Timestamp::MAX_UTC, |next| zone.first(next.and_time(NaiveTime::MIN)));
        Self::between(from, to, why)
    }

    pub(super) const fn between(from: Timestamp, to: Timestamp, why: String) -> Self {
        Self { from, to, until: to, why }
    }

    /// In order and apart: of two that overlap the one that begins first keeps its end.
    pub(super) fn ordered(mut all: Vec<Self>) -> Vec<Self> {
        all.sort_by_key(|closed| (closed.from, closed.to));
        let mut reached = Timestamp::MIN_UTC;
        for closed in &mut all {
            closed.from = closed.from.max(reached);
            reached = reached.max(closed.to);
        }
        all.retain(|closed| closed.from < closed.to);
        let mut next: Option<(Timestamp, Timestamp)> = None;
        for closed in all.iter_mut().rev() {
            closed.until = next.filter(|(from, _)| *from == closed.to).map_or(closed.to, |(_, until)| until);
            next = Some((closed.from, closed.until));
        }
        all
    }
}

impl Window {
    /// What is closed at an instant by date or by span.
    pub(super) fn closed_at(&self, at: Timestamp) -> Option<&Closed> {
        let all = &self.inner.closed;
        let begun = all.partition_point(|closed| closed.from <= at);
        // What is closed to the end of the calendar is closed at its end too.
        all.get(begun.checked_sub(1)?).filter(|closed| closed.to > at || closed.to == Timestamp::MAX_UTC)
    }

    /// When the next such span begins.
    pub(super) fn next_closed(&self, at: Timestamp) -> Option<Timestamp> {
        let all = &self.inner.closed;
        all.get(all.partition_point(|closed| closed.from <= at)).map(|closed| closed.from)
    }
}
