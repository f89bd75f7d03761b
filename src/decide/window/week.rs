//! The hours of a week as clocks show them that never change, day by day.
//!
//! Which instant a local time is never goes back as the local time goes on ([`Zone::first`](crate::base::zone::Zone)).
//! So to join, cut and order hours here is the same as to do it with the instants that they become.

use chrono::{Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Weekday};

/// Nanoseconds of a day.
pub(super) const DAY: u64 = 86_400_000_000_000;

/// Every day of the week.
pub(super) const EVERY_DAY: u8 = 0b111_1111;

/// From a time of day, in nanoseconds, to another that is later; the second may be on the day after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Hours on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// A bit a day; Monday is the lowest.
    pub(super) days: u8,
    pub(super) open: NaiveTime,
    /// Not after `open`: on the day after.
    pub(super) close: NaiveTime,
}

/// Closed at a time of each day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Daily {
    pub(super) from: NaiveTime,
    pub(super) to: NaiveTime,
    pub(super) why: String,
}

/// The hours of each day of the week: ascending, apart, within the day.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Week {
    /// With what the day before brings over midnight.
    all: [Vec<Span>; 7],
    /// Without it, where that is different: for the day after one that the clocks skip.
    own: [Option<Vec<Span>>; 7],
    always: bool,
}

impl Segment {
    pub(super) const fn wants(&self, day: Weekday) -> bool {
        self.days & (1 << day.num_days_from_monday()) != 0
    }

    pub(super) fn span(&self) -> Span {
        Span::between(self.open, self.close)
    }

    /// Whether a time of a day is within, be it of an opening of the day before.
    pub(super) fn covers(&self, day: Weekday, time: u64) -> bool {
        let span = self.span();
        self.wants(day) && span.has(time) || self.wants(day.pred()) && span.has(time.saturating_add(DAY))
    }
}

impl Daily {
    pub(super) fn covers(&self, time: u64) -> bool {
        let span = Span::between(self.from, self.to);
        span.has(time) || span.has(time.saturating_add(DAY))
    }
}

impl Span {
    fn between(from: NaiveTime, to: NaiveTime) -> Self {
        let (from, to) = (of_day(from), of_day(to));
        Self { from, to: if to > from { to } else { to.saturating_add(DAY) } }
    }

    pub(super) const fn has(self, time: u64) -> bool {
        self.from <= time && time < self.to
    }

    /// The part on the day itself.
    fn today(self) -> Self {
        Self { to: self.to.min(DAY), ..self }
    }

    /// The part on the day after; empty where there is none.
    fn tomorrow(self) -> Self {
        Self { from: self.from.saturating_sub(DAY), to: self.to.saturating_sub(DAY) }
    }
}

impl Week {
    pub(super) fn new(segments: &[Segment], dailies: &[Daily]) -> Self {
        let closed = dailies.iter().map(|daily| Span::between(daily.from, daily.to));
        let closed = joined(closed.flat_map(|span| [span.today(), span.tomorrow()]).collect());
        let (mut all, mut own) = ([const { Vec::new() }; 7], [const { None }; 7]);
        let mut gapless = true;
        let mut day = Weekday::Mon;
        for (whole, alone) in all.iter_mut().zip(&mut own) {
            let on = |day: Weekday| segments.iter().filter(move |hours| hours.wants(day)).map(Segment::span);
            let mut spans: Vec<Span> = on(day).map(Span::today).collect();
            let without = less(&joined(spans.clone()), &closed);
            spans.extend(on(day.pred()).map(Span::tomorrow));
            let joined = joined(spans);
            gapless &= joined == [Span { from: 0, to: DAY }];
            *whole = less(&joined, &closed);
            *alone = (*whole != without).then_some(without);
            day = day.succ();
        }
        if gapless {
            own = [const { None }; 7];
        }
        Self { all, own, always: gapless && closed.is_empty() }
    }

    /// Whether it is open at every time of every day.
    pub(super) const fn is_always(&self) -> bool {
        self.always
    }

    /// Whether it is open at no time of any day.
    pub(super) fn is_never(&self) -> bool {
        self.all.iter().all(Vec::is_empty)
    }

    /// The hours of a day. `skipped` is asked whether the clocks skip a day.
    pub(super) fn on(&self, date: NaiveDate, skipped: impl FnOnce(NaiveDate) -> bool) -> &[Span] {
        use chrono::Datelike;
        let day = usize::try_from(date.weekday().num_days_from_monday()).unwrap_or_default();
        match self.own.get(day) {
            Some(Some(own)) if date.pred_opt().is_some_and(skipped) => own,
            _ => self.all.get(day).map_or(&[], Vec::as_slice),
        }
    }
}

/// Nanoseconds since midnight; a leap second is the second after it.
pub(super) fn of_day(time: NaiveTime) -> u64 {
    let seconds = u64::from(time.num_seconds_from_midnight()).saturating_mul(1_000_000_000);
    seconds.saturating_add(time.nanosecond().into())
}

/// That time of a day; the end of the day is the beginning of the next. `None` after the end of the calendar.
pub(super) fn on_day(date: NaiveDate, time: u64) -> Option<NaiveDateTime> {
    let date = date.checked_add_days(Days::new(time / DAY))?;
    let (seconds, nanos) = (time % DAY / 1_000_000_000, time % 1_000_000_000);
    let (seconds, nanos) = (u32::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos).map(|time| date.and_time(time))
}

/// The same times, ascending and apart.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.from < span.to);
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => joined.push(span),
        }
    }
    joined
}

/// What of `spans` is in none of `closed`, both ascending and apart.
fn less(spans: &[Span], closed: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    for span in spans {
        let mut from = span.from;
        for closed in closed.iter().filter(|closed| closed.from < span.to && closed.to > span.from) {
            left.push(Span { from, to: closed.from });
            from = from.max(closed.to);
        }
        left.push(Span { from, to: span.to });
    }
    left.retain(|span| span.from < span.to);
    left
}
