//! A second, slow implementation: it walks through the minutes and keeps whether it is inside.
//!
//! It opens when the clocks first reach or pass the time at which a wanted day opens, and closes when they first reach
//! or pass the time at which that closes. It knows the crate `chrono-tz` and nothing of what it is held against.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Offset, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use unattended::window::{Builder, Error, Window};
use unattended::zone::Zone;

const DAY: i64 = 1440;
const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// A window, in minutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    /// Days as bits from Monday on; from; to.
    pub(crate) hours: Vec<(u8, i64, i64)>,
    pub(crate) daily: Vec<(i64, i64)>,
    /// Days since 1970.
    pub(crate) dates: Vec<i64>,
    /// Minutes since 1970, UTC.
    pub(crate) spans: Vec<(i64, i64)>,
}

/// What the clocks pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    /// Local minutes since 1970.
    local: i64,
    opens: i32,
    shuts: i32,
    /// The day that must have been, if it matters.
    day: Option<i64>,
}

/// From which minute on it was open or not, first the state at the beginning.
pub(crate) type Changes = Vec<(i64, bool)>;

impl Spec {
    pub(crate) fn window(&self, zone: Tz) -> Result<Window, Error> {
        let mut builder: Builder = Window::new(Zone::Named(zone));
        for (days, open, close) in &self.hours {
            let days: Vec<Weekday> =
                (0..7).filter(|day| days & (1 << day) != 0).map(|day| WEEK[day]).collect();
            builder = builder.hours_on(&days, time(*open), time(*close));
        }
        for (from, to) in &self.daily {
            builder = builder.closed_daily(time(*from), time(*to), "daily");
        }
        for day in &self.dates {
            builder = builder.closed_on(date(*day), "date");
        }
        for (from, to) in &self.spans {
            builder = builder.closed_between(at(*from), at(*to), "span");
        }
        builder.build()
    }

    /// Which minutes of a week have hours, and which of those are not closed each day.
    fn week(&self) -> [Vec<bool>; 2] {
        let mut open = vec![false; 7 * 1440];
        for day in 0..7 {
            for (days, from, to) in &self.hours {
                for minute in *from..ended(*from, *to) {
                    open[usize::try_from((day * DAY + minute) % (7 * DAY)).unwrap()] |=
                        days & (1 << day) != 0;
                }
            }
        }
        let mut left = open.clone();
        for day in 0..7 {
            for (from, to) in &self.daily {
                (*from..ended(*from, *to)).for_each(|minute| {
                    left[usize::try_from((day * DAY + minute) % (7 * DAY)).unwrap()] = false
                });
            }
        }
        [open, left]
    }

    pub(crate) fn never_opens(&self) -> bool {
        self.week()[1].iter().all(|open| !open)
    }

    fn events(&self, days: std::ops::RangeInclusive<i64>) -> Vec<Event> {
        // Hours without a gap are no hours of a day.
        let gapless = self.week()[0].iter().all(|open| *open);
        let mut events = Vec::new();
        for day in days {
            let mut add = |opens, shuts, from: i64, to: i64, must: Option<i64>| {
                let start = day * DAY;
                events.push(Event { local: start + from, opens, shuts, day: must });
                events.push(Event { local: start + to, opens: -opens, shuts: -shuts, day: must });
            };
            for (days, from, to) in &self.hours {
                // 1 January 1970 was a Thursday.
                if days & (1 << (day + 3).rem_euclid(7)) != 0 {
                    add(1, 0, *from, ended(*from, *to), (!gapless).then_some(day));
                }
            }
            for (from, to) in &self.daily {
                add(0, 1, *from, ended(*from, *to), None);
            }
            if self.dates.contains(&day) {
                add(0, 1, 0, DAY, None);
            }
        }
        events.sort_unstable();
        events
    }
}

/// Goes from one minute to another, and tells for each window when it changed, and when the clocks did.
pub(crate) fn walk(zone: Tz, specs: &[Spec], from: i64, to: i64) -> (Vec<Changes>, Vec<i64>) {
    let days = from / DAY - 4..=to / DAY + 4;
    let mut been: Vec<bool> = days.clone().map(|day| day < from / DAY).collect();
    let first_day = *days.start();
    let events: Vec<Vec<Event>> = specs.iter().map(|spec| spec.events(days.clone())).collect();
    let mut walkers = vec![(0_usize, 0_i32, 0_i32); specs.len()];
    let mut changes: Vec<Changes> = vec![Vec::new(); specs.len()];
    let (mut offset, mut next, mut clocks) = (offset_at(zone, from * 60), i64::MIN, Vec::new());
    for minute in from..to {
        if minute % 15 == 0 {
            let before = offset;
            offset = checked(zone, minute, before);
            clocks.extend((before != offset).then_some(minute));
        }
        let local = minute + offset;
        been[usize::try_from(local.div_euclid(DAY) - first_day).unwrap()] = true;
        let spans = specs.iter().any(|spec| !spec.spans.is_empty());
        if local < next && !spans {
            continue;
        }
        next = i64::MAX;
        for (index, spec) in specs.iter().enumerate() {
            let (place, opens, shuts) = &mut walkers[index];
            while let Some(event) = events[index].get(*place).filter(|event| event.local <= local) {
                if event.day.is_none_or(|day| been[usize::try_from(day - first_day).unwrap()]) {
                    *opens += event.opens;
                    *shuts += event.shuts;
                }
                *place += 1;
            }
            next = next.min(events[index].get(*place).map_or(i64::MAX, |event| event.local));
            let spans = spec.spans.iter().any(|(from, to)| (*from..*to).contains(&minute));
            let open = *opens > 0 && *shuts == 0 && !spans;
            if changes[index].last().is_none_or(|(_, last)| *last != open) {
                changes[index].push((minute, open));
            }
        }
    }
    (changes, clocks)
}

/// How far the clocks are from UTC from this minute on; they change on a quarter of an hour, or not at all.
fn checked(zone: Tz, minute: i64, before: i64) -> i64 {
    let offset = offset_at(zone, minute * 60);
    if offset != before {
        assert_eq!(offset_at(zone, minute * 60 - 1), before, "{zone} changes within a quarter of an hour");
    }
    offset
}

fn offset_at(zone: Tz, second: i64) -> i64 {
    let utc = DateTime::<Utc>::from_timestamp(second, 0).unwrap().naive_utc();
    let seconds = i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc());
    assert_eq!(seconds % 60, 0, "{zone}");
    seconds / 60
}

const fn ended(from: i64, to: i64) -> i64 {
    if to > from { to } else { to + DAY }
}

pub(crate) fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(minute * 60, 0).unwrap()
}

pub(crate) fn minute_of(date: &str) -> i64 {
    date.parse::<NaiveDate>().unwrap().and_time(NaiveTime::MIN).and_utc().timestamp() / 60
}

fn date(day: i64) -> NaiveDate {
    NaiveDate::default().checked_add_days(Days::new(u64::try_from(day).unwrap())).unwrap()
}

fn time(minute: i64) -> NaiveTime {
    NaiveTime::from_num_seconds_from_midnight_opt(u32::try_from(minute * 60).unwrap(), 0).unwrap()
}
