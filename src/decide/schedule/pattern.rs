//! Local times on the clocks of a zone: which instants they are.

use std::fmt;

use chrono::{NaiveDateTime, NaiveTime, TimeDelta, Weekday};

#[cfg(feature = "cron")]
use crate::base::text;
use crate::base::text::{time_of_day, weekday};
use crate::base::time::Timestamp;
use crate::base::zone::{Resolved, Zone};
use crate::decide::schedule::fields::Fields;
use crate::decide::schedule::form::{END, START};
use crate::decide::schedule::occurrence::Note;

const SECOND: TimeDelta = TimeDelta::seconds(1);
/// Longer than any repeated stretch of local time: clocks have gone back by at most a day, at the date line. And shorter
/// than the time from one change to the next, in every zone of the database since 1900.
const REPEATED_MAX: TimeDelta = TimeDelta::hours(25);
/// One is right and another leaves an overlap; the rest is for zones that nobody has heard of.
const TRIES: usize = 64;

/// Local times, and how a person said them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) fields: Fields,
    /// Each real instant whose local time matches is meant; else each local time is, once.
    pub(super) wildcard: bool,
    pub(super) said: Said,
}

/// How a person said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Daily(NaiveTime),
    /// From Monday, each at most once.
    Weekly(Vec<Weekday>, NaiveTime),
    #[cfg(feature = "cron")]
    Cron {
        expression: String,
        described: String,
    },
}

#[cfg(all(feature = "cron", feature = "store"))]
impl Said {
    /// The cron expression that says the same.
    pub(super) fn as_cron(&self) -> String {
        use chrono::Timelike as _;
        let clock = |at: &NaiveTime| format!("{} {} {}", at.second(), at.minute(), at.hour());
        match self {
            Self::Daily(at) => format!("{} * * *", clock(at)),
            Self::Weekly(days, at) => {
                let days: Vec<String> = days.iter().map(|day| day.number_from_monday().to_string()).collect();
                format!("{} * * {}", clock(at), days.join(","))
            }
            Self::Cron { expression, .. } => expression.clone(),
        }
    }
}

impl Pattern {
    /// The first occurrence after `at`.
    pub(super) fn next_after(&self, at: Timestamp, zone: Zone) -> Option<(Timestamp, Note)> {
        if self.wildcard {
            let next = self.instant_from(whole(at) + SECOND, zone)?;
            Some((next, Note::Normal))
        } else {
            self.fixed_after(at, zone)
        }
    }

    /// The last occurrence that is not after `at`.
    pub(super) fn last_until(&self, at: Timestamp, zone: Zone) -> Option<(Timestamp, Note)> {
        let at = whole(at);
        if self.wildcard {
            return Some((self.instant_until(at, zone)?, Note::Normal));
        }
        let local = zone.local(at);
        // What is wanted in a repeated hour has all been in its first pass.
        let passed = repeated_until(zone, at, local).map_or(local, |end| end - SECOND);
        Some(self.occurrence(self.fields.until(passed)?, zone))
    }

    fn fixed_after(&self, at: Timestamp, zone: Zone) -> Option<(Timestamp, Note)> {
        let second = whole(at);
        let local = zone.local(second);
        let mut from = local + SECOND;
        for _ in 0..TRIES {
            let wanted = self.fields.from(from)?;
            let occurrence = self.occurrence(wanted, zone);
            if occurrence.0 > at {
                return Some(occurrence);
            }
            // The second pass of a repeated hour: on with what follows it.
            from = repeated_until(zone, second, local).map_or(from, |end| end.max(from));
            from = from.max(wanted + SECOND);
        }
        None
    }

    /// The one instant at which what is wanted at a local time happens.
    fn occurrence(&self, wanted: NaiveDateTime, zone: Zone) -> (Timestamp, Note) {
        match zone.resolve(wanted) {
            Resolved::Once(at) => (at, Note::Normal),
            Resolved::Twice(at, _) => (at, Note::FirstOfOverlap),
            Resolved::Skipped(at) if self.fields.matches(zone.local(at)) => (at, Note::Normal),
            Resolved::Skipped(at) => {
                // From either side it is the first of the gap.
                let gap = zone.local(at - SECOND) + SECOND;
                (at, Note::MovedOutOfGap { wanted: self.fields.from(gap).unwrap_or(wanted) })
            }
        }
    }

    /// The first instant, not before `from`, whose local time matches.
    ///
    /// While the clocks go evenly, the next local time is the next instant. A change within reach ends that: then it is
    /// looked at again from there. Farther away a change repeats no local time that has been, so the local time found is
    /// the next one whatever lies between.
    fn instant_from(&self, mut from: Timestamp, zone: Zone) -> Option<Timestamp> {
        while from <= END {
            let offset = zone.offset(from);
            let wanted = self.fields.from(from.naive_utc() + offset)?;
            let at = (wanted - offset).and_utc();
            let far = from + REPEATED_MAX;
            let near = at.min(far);
            if zone.offset(near) != offset {
                from = turn(zone, from, near);
            } else if at <= far {
                return Some(at);
            } else {
                match zone.resolve(wanted) {
                    Resolved::Once(at) | Resolved::Twice(at, _) => return Some(at),
                    Resolved::Skipped(after) => from = after.max(from + SECOND),
                }
            }
        }
        None
    }

    /// The last instant, not after `until`, whose local time matches: the same, backwards.
    fn instant_until(&self, mut until: Timestamp, zone: Zone) -> Option<Timestamp> {
        while until >= START {
            let offset = zone.offset(until);
            let wanted = self.fields.until(until.naive_utc() + offset)?;
            let at = (wanted - offset).and_utc();
            let far = until - REPEATED_MAX;
            let near = at.max(far);
            if zone.offset(near) != offset {
                until = turn(zone, near, until) - SECOND;
            } else if at >= far {
                return Some(at);
            } else {
                match zone.resolve(wanted) {
                    Resolved::Once(at) | Resolved::Twice(_, at) => return Some(at),
                    Resolved::Skipped(after) => until = (after - SECOND).min(until - SECOND),
                }
            }
        }
        None
    }
}

/// The second in which `at` lies.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_timestamp(at.timestamp(), 0).unwrap_or(at)
}

/// In the second pass of a repeated hour, the local time at which the first ended.
fn repeated_until(zone: Zone, at: Timestamp, local: NaiveDateTime) -> Option<NaiveDateTime> {
    match zone.resolve(local) {
        Resolved::Twice(first, second) if at >= second => {
            Some(turn(zone, first, at).naive_utc() + zone.offset(first))
        }
        _ => None,
    }
}

/// The first second after `before` whose offset is another one, where that of `after` is.
fn turn(zone: Zone, before: Timestamp, after: Timestamp) -> Timestamp {
    let offset = zone.offset(before);
    let (mut same, mut other) = (0, (after - before).num_seconds());
    let at = |seconds| before + TimeDelta::seconds(seconds);
    while other - same > 1 {
        let between = same + (other - same) / 2;
        if zone.offset(at(between)) == offset {
            same = between;
        } else {
            other = between;
        }
    }
    at(other)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily(at) => write!(f, "each day at {}", time_of_day(*at)),
            Self::Weekly(days, at) => {
                f.write_str("each ")?;
                for (place, day) in days.iter().enumerate() {
                    let between = match days.len() - place {
                        _ if place == 0 => "",
                        1 => " and ",
                        _ => ", ",
                    };
                    write!(f, "{between}{}", weekday(*day))?;
                }
                write!(f, " at {}", time_of_day(*at))
            }
            #[cfg(feature = "cron")]
            Self::Cron { expression, .. } => write!(f, "cron `{}`", text::shown(expression)),
        }
    }
}

impl Said {
    /// What it means, where that is not what was said.
    pub(super) fn meaning(&self) -> Option<&str> {
        match self {
            Self::Daily(_) | Self::Weekly(..) => None,
            #[cfg(feature = "cron")]
            Self::Cron { described, .. } => Some(described),
        }
    }
}
