//! A schedule as calendar events of systemd.time(7).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{Datelike, Timelike};

use crate::act::systemd::error::Error;
use crate::act::systemd::zones::Changes;
use crate::base::text;
use crate::base::time::Timestamp;
use crate::base::zone::Zone;
use crate::decide::schedule::{Days, Fields, OfMonth, OfWeek};

const DAY: u64 = 86_400;
/// From Sunday, as the bits of a schedule are.
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const EVERY_WEEKDAY: u64 = 0b111_1111;
const EVERY_DAY: u64 = 0xffff_fffe;
/// The years of systemd's calendar.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2199;
/// The most lines that one timer says.
const LINES_MAX: usize = 64;

/// One instant.
pub(super) fn once(at: Timestamp) -> Result<Vec<String>, Error> {
    let year = u32::try_from(at.year()).unwrap_or(0);
    if at.nanosecond() != 0 || !YEARS.contains(&year) {
        let why = format!("{} is no whole second of the years 1970 to 2199", text::rfc3339(at));
        return Err(Error::cannot_say("the instant", why));
    }
    Ok(vec![at.format("%Y-%m-%d %H:%M:%S UTC").to_string()])
}

/// An interval, counted from an anchor. `None` where it is not the same each day or each week.
pub(super) fn every(period: Duration, anchor: Timestamp) -> Option<Vec<String>> {
    if period.subsec_nanos() != 0 || anchor.timestamp_subsec_nanos() != 0 {
        return None;
    }
    let seconds = period.as_secs();
    if seconds == 7 * DAY {
        let day = WEEKDAYS.get(anchor.weekday().num_days_from_sunday() as usize)?;
        return Some(vec![format!("{day} *-*-* {} UTC", anchor.format("%H:%M:%S"))]);
    }
    if seconds == 0 || !DAY.is_multiple_of(seconds) {
        return None;
    }
    let first = u64::try_from(anchor.timestamp().rem_euclid(i64::try_from(seconds).ok()?)).ok()?;
    let times = (0..DAY / seconds).map(|n| first + n * seconds);
    let lines = times_of_day(times);
    (lines.len() <= LINES_MAX).then_some(lines)
}

/// Times of a day in few lines: those of one minute and second share their hours, then hours their minutes, then seconds.
fn times_of_day(times: impl Iterator<Item = u64>) -> Vec<String> {
    let mut hours: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for time in times {
        *hours.entry((time / 60 % 60, time % 60)).or_default() |= 1 << (time / 3600);
    }
    let mut minutes: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for ((minute, second), hours) in hours {
        *minutes.entry((second, hours)).or_default() |= 1 << minute;
    }
    let mut seconds: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for ((second, hours), minutes) in minutes {
        *seconds.entry((hours, minutes)).or_default() |= 1 << second;
    }
    let line = |((hours, minutes), seconds)| format!("*-*-* {} UTC", clock(hours, minutes, seconds));
    seconds.into_iter().map(line).collect()
}

/// Local times on the clocks of a zone.
pub(super) fn local(fields: &Fields, wildcard: bool, zone: Zone) -> Result<Vec<String>, Error> {
    let (years, months) = (years(fields.years.as_deref())?, mask(fields.months, 1, 12));
    let time = clock(fields.hours, fields.minutes, fields.seconds);
    let zone = named(fields, wildcard, zone)?;
    let line = |rule: Rule| {
        let (sign, days) = match rule.from_the_end {
            // A range that is counted from the end is written as steps towards it.
            true if rule.days == 1 << 1 => ("~", String::from("01")),
            true => ("~", String::from("07/1")),
            false => ("-", mask(rule.days, 1, 31)),
        };
        format!("{}{years}-{months}{sign}{days} {time} {zone}", weekdays(rule.week))
    };
    Ok(rules(&fields.days)?.into_iter().map(line).collect())
}

/// Days that one calendar event can name.
#[derive(Clone, Copy)]
struct Rule {
    week: u64,
    days: u64,
    /// The days are counted from the last of the month, which is 1: that one alone, or the last seven.
    from_the_end: bool,
}

fn rules(days: &Days) -> Result<Vec<Rule>, Error> {
    match (&days.of_month, &days.of_week) {
        (None, None) => Ok(vec![Rule { week: EVERY_WEEKDAY, days: EVERY_DAY, from_the_end: false }]),
        (Some(days), None) => of_month(days, EVERY_WEEKDAY),
        (None, Some(names)) => Ok(of_week(names, EVERY_DAY)),
        (Some(of_days), Some(names)) if days.both => of_both(of_days, names),
        // Either is enough: each has its lines, and an instant that both name is one.
        (Some(days), Some(names)) => {
            let mut rules = of_month(days, EVERY_WEEKDAY)?;
            rules.extend(of_week(names, EVERY_DAY));
            Ok(rules)
        }
    }
}

fn of_month(days: &OfMonth, week: u64) -> Result<Vec<Rule>, Error> {
    if days.nearest != 0 || days.last_working {
        return Err(Error::cannot_say("the day", "it is the working day that is nearest to another (`W`)"));
    }
    let mut rules = Vec::new();
    if days.plain & EVERY_DAY != 0 {
        rules.push(Rule { week, days: days.plain & EVERY_DAY, from_the_end: false });
    }
    if days.last {
        rules.push(Rule { week, days: 1 << 1, from_the_end: true });
    }
    Ok(rules)
}

fn of_week(names: &OfWeek, within: u64) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut add = |week: u64, days: u64, from_the_end| {
        if week & EVERY_WEEKDAY != 0 && days & within != 0 {
            rules.push(Rule { week: week & EVERY_WEEKDAY, days: days & within, from_the_end });
        }
    };
    add(names.plain, EVERY_DAY, false);
    for (weeks, nth) in (0..).zip(names.nth) {
        // The n-th Friday is the Friday among the n-th seven days.
        add(nth, (0b1111_1110 << (7 * weeks)) & EVERY_DAY, false);
    }
    add(names.last, 0b1111_1110, true);
    rules
}

fn of_both(days: &OfMonth, names: &OfWeek) -> Result<Vec<Rule>, Error> {
    let nth = names.nth.iter().any(|week| *week != 0);
    if (days.last && nth) || (days.plain != 0 && names.last != 0) {
        return Err(Error::cannot_say(
            "the day",
            "it is counted from the end of the month and from its beginning",
        ));
    }
    let mut rules = if days.plain == 0 { Vec::new() } else { of_week(names, days.plain) };
    let week = (names.plain | names.last) & EVERY_WEEKDAY;
    rules.extend(of_month(&OfMonth { plain: 0, ..*days }, week)?);
    if rules.is_empty() {
        return Err(Error::cannot_say("the day", "no day is named by both of the fields"));
    }
    Ok(rules)
}

/// The zone as systemd names it.
///
/// systemd passes an hour that the clocks show twice once; what is meant at each real hour is said in UTC, where it is the same.
fn named(fields: &Fields, wildcard: bool, zone: Zone) -> Result<String, Error> {
    let each_hour = fields.hours == (1 << 24) - 1
        && fields.days == Days::default()
        && fields.months == 0b1_1111_1111_1110
        && fields.years.is_none();
    if wildcard && each_hour && Changes::of(zone).whole_hours {
        return Ok(String::from("UTC"));
    }
    match zone {
        Zone::Utc => Ok(String::from("UTC")),
        Zone::Fixed(offset) => {
            let east = offset.local_minus_utc();
            let hours = east / 3600;
            match (east % 3600, hours) {
                (0, 0) => Ok(String::from("UTC")),
                // In these names west is positive.
                (0, -12..=14) => Ok(format!("Etc/GMT{:+}", -hours)),
                _ => Err(Error::cannot_say("the zone", format!("{offset} has no name; whole hours have"))),
            }
        }
        #[cfg(feature = "tz")]
        Zone::Named(tz) => Ok(String::from(tz.name())),
    }
}

fn years(years: Option<&[u64]>) -> Result<String, Error> {
    let Some(words) = years else { return Ok(String::from("*")) };
    let named = |year: u32| words.get(year as usize / 64).is_some_and(|word| word >> (year % 64) & 1 == 1);
    let last = u32::try_from(words.len() * 64).unwrap_or(u32::MAX);
    if (YEARS.end() + 1..last).any(named) || !YEARS.into_iter().any(named) {
        return Err(Error::cannot_say("the year", "systemd's calendar goes from 1970 to 2199"));
    }
    Ok(runs(&YEARS.filter(|year| named(*year)).collect::<Vec<_>>(), 4))
}

fn clock(hours: u64, minutes: u64, seconds: u64) -> String {
    format!("{}:{}:{}", mask(hours, 0, 23), mask(minutes, 0, 59), mask(seconds, 0, 59))
}

/// The values of a mask between two bounds: all, each so many to the end, or a list with ranges.
fn mask(mask: u64, least: u32, most: u32) -> String {
    let values: Vec<u32> = (least..=most).filter(|value| mask >> value & 1 == 1).collect();
    if values.len() == (most - least + 1) as usize {
        return String::from("*");
    }
    if let [first, second, .., last] = *values.as_slice() {
        let step = second - first;
        let even = values.windows(2).all(|pair| pair[1] - pair[0] == step);
        if step > 1 && even && last + step > most {
            return format!("{first:02}/{step}");
        }
    }
    runs(&values, 2)
}

/// Values in order, those without a gap as a range.
fn runs(values: &[u32], width: usize) -> String {
    let parts = values.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, _, .., last] if run.len() > 2 => format!("{first:0width$}..{last:0width$}"),
        _ => run.iter().map(|value| format!("{value:0width$}")).collect::<Vec<_>>().join(","),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// With a space after it; nothing for all of them.
fn weekdays(week: u64) -> String {
    if week == EVERY_WEEKDAY {
        return String::new();
    }
    // From Monday.
    let named: Vec<usize> = (1..8).filter(|day| week >> (day % 7) & 1 == 1).collect();
    let name = |day: usize| WEEKDAYS.get(day % 7).copied().unwrap_or_default();
    let parts = named.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, _, .., last] if run.len() > 2 => format!("{}..{}", name(*first), name(*last)),
        _ => run.iter().map(|day| name(*day)).collect::<Vec<_>>().join(","),
    });
    let mut text = parts.collect::<Vec<_>>().join(",");
    text.push(' ');
    text
}
