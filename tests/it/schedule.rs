//! Schedules, from outside: against a slow implementation that walks the minutes of twenty-one years one by one.
//!
//! It knows the rules by their definitions alone. A wildcard matches an instant if the clocks show what it names then. A
//! fixed time is due at the instant at which the clocks show it, or have jumped over it, for the first time.
#![cfg(all(feature = "tz", feature = "cron"))]

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;
use unattended::schedule::Schedule;
use unattended::time::Timestamp;
use unattended::zone::Zone;

const DAY: i64 = 1440;
const QUARTER: i64 = 15;

#[test]
fn every_rule_holds_in_new_york_from_2010_to_2030() {
    // Twice a year, by an hour at 02:00.
    walk(Tz::America__New_York, 42);
}

#[test]
fn every_rule_holds_in_london_from_2010_to_2030() {
    walk(Tz::Europe__London, 42);
}

#[test]
fn every_rule_holds_on_lord_howe_island_from_2010_to_2030() {
    // By half an hour.
    walk(Tz::Australia__Lord_Howe, 42);
}

#[test]
fn every_rule_holds_in_cairo_from_2010_to_2030() {
    // At midnight; twice in some years, not at all in others.
    walk(Tz::Africa__Cairo, 24);
}

#[test]
fn every_rule_holds_in_casablanca_from_2010_to_2030() {
    // Not in Ramadan.
    walk(Tz::Africa__Casablanca, 56);
}

#[test]
fn every_rule_holds_in_apia_from_2010_to_2030() {
    // Across the date line: a day is missing.
    walk(Tz::Pacific__Apia, 23);
}

struct Rule {
    schedule: Schedule,
    wildcard: bool,
    /// Whether a minute of the day, and a day, are meant.
    time: fn(i64) -> bool,
    day: fn(NaiveDate) -> bool,
    due: Vec<i64>,
}

fn any(_: NaiveDate) -> bool {
    true
}

fn rules(zone: Tz) -> Vec<Rule> {
    let zone = Zone::Named(zone);
    let daily = |time: fn(i64) -> bool, hour: u32, minute: u32| {
        let schedule = Schedule::daily(NaiveTime::from_hms_opt(hour, minute, 0).unwrap(), zone);
        Rule { schedule, wildcard: false, time, day: any, due: Vec::new() }
    };
    let weekly = |days: &[Weekday], hour, minute, time: fn(i64) -> bool, day: fn(NaiveDate) -> bool| {
        let schedule = Schedule::weekly(days, NaiveTime::from_hms_opt(hour, minute, 0).unwrap(), zone);
        Rule { schedule: schedule.unwrap(), wildcard: false, time, day, due: Vec::new() }
    };
    let cron = |expression: &str, wildcard, time: fn(i64) -> bool, day: fn(NaiveDate) -> bool| {
        let schedule = Schedule::cron(expression, zone).unwrap();
        Rule { schedule, wildcard, time, day, due: Vec::new() }
    };
    vec![
        daily(|t| t == 0, 0, 0),
        daily(|t| t == 30, 0, 30),
        daily(|t| t == 90, 1, 30),
        daily(|t| t == 150, 2, 30),
        daily(|t| t == 180, 3, 0),
        daily(|t| t == 1439, 23, 59),
        weekly(&[Weekday::Sun], 1, 30, |t| t == 90, |day| day.weekday() == Weekday::Sun),
        weekly(
            &[Weekday::Fri, Weekday::Sat, Weekday::Sun],
            2,
            30,
            |t| t == 150,
            |day| day.weekday().num_days_from_monday() >= 4,
        ),
        cron("*/30 * * * *", true, |t| t % 30 == 0, any),
        cron("0 * * * *", true, |t| t % 60 == 0, any),
        cron("30 2 * * *", false, |t| t == 150, any),
        cron("15,45 1 * * *", false, |t| t == 75 || t == 105, any),
        cron("0 0 * * *", false, |t| t == 0, any),
        cron("*/20 0-3 * * *", true, |t| t % 20 == 0 && t < 240, any),
        cron("0 12 1 * *", false, |t| t == 720, |day| day.day() == 1),
        cron("30 1 * * 7", false, |t| t == 90, |day| day.weekday() == Weekday::Sun),
        cron(
            "0-59/10 1,2 * 3,4,10-12 *",
            false,
            |t| t % 10 == 0 && (60..180).contains(&t),
            |day| matches!(day.month(), 3 | 4 | 10..=12),
        ),
        cron(
            "45 23 L * 5",
            false,
            |t| t == 1425,
            |day| day.weekday() == Weekday::Fri || day.succ_opt().unwrap().day() == 1,
        ),
        cron(
            "*/15 2 * * 0#2",
            true,
            |t| t % 15 == 0 && t / 60 == 2,
            |day| day.weekday() == Weekday::Sun && (8..15).contains(&day.day()),
        ),
    ]
}

fn walk(zone: Tz, changes: usize) {
    let (start, end) = (minute(2010), minute(2031));
    let (locals, turns) = locals(zone, start, end);
    assert_eq!(turns.len(), changes, "changes of the clocks in {zone}");
    let mut rules = rules(zone);
    by_definition(&mut rules, start, &locals);
    for rule in &rules {
        compare(rule, start, end, &turns);
    }
    intervals(start, end);
}

/// Goes through the minutes and notes what is due at each.
fn by_definition(rules: &mut [Rule], start: i64, locals: &[i64]) {
    // Which rules ask for a minute of the day, so that most minutes ask nothing more.
    let mut asking = vec![Vec::new(); index(DAY)];
    for (place, rule) in rules.iter().enumerate() {
        for minute in (0..DAY).filter(|minute| (rule.time)(*minute)) {
            asking[index(minute)].push(place);
        }
    }
    let mut shown = locals[0] - 1;
    for (now, local) in (start..).zip(locals.iter().copied()) {
        let asked = &asking[index(local % DAY)];
        if asked.is_empty() && local == shown + 1 {
            shown = local;
            continue;
        }
        for place in asked {
            if rules[*place].wildcard && (rules[*place].day)(date(local)) {
                rules[*place].due.push(now);
            }
        }
        // What the clocks show, or have passed over, for the first time.
        for new in shown + 1..=local {
            for place in &asking[index(new % DAY)] {
                let rule = &mut rules[*place];
                if !rule.wildcard && rule.due.last() != Some(&now) && (rule.day)(date(new)) {
                    rule.due.push(now);
                }
            }
        }
        shown = shown.max(local);
    }
}

fn compare(rule: &Rule, start: i64, end: i64, turns: &[i64]) {
    let schedule = &rule.schedule;
    // One after another: all of them, or of those that are due all the time a year, and the days around each change.
    let whole = vec![(start, end)];
    let some =
        || turns.iter().map(|turn| (turn - 3 * DAY, turn + 3 * DAY)).chain([(minute(2011), minute(2012))]);
    for (from, to) in if rule.due.len() > 50_000 { some().collect() } else { whole } {
        let upcoming = schedule.upcoming(instant(from) - TimeDelta::nanoseconds(1));
        let mut upcoming = upcoming.map(|next| next.nominal).take_while(|next| *next < instant(to));
        let place = |minute| rule.due.partition_point(|due| *due < minute);
        for due in &rule.due[place(from)..place(to)] {
            assert_eq!(upcoming.next(), Some(instant(*due)), "{schedule}");
        }
        assert_eq!(upcoming.next(), None, "{schedule}: not due any more");
    }
    // From anywhere: what was, and what comes. Around each change closely, and here and there.
    let near = turns.iter().flat_map(|turn| (turn - 200..turn + 200).step_by(11));
    let asked: BTreeSet<i64> = near.chain((start..end).step_by(60_013)).collect();
    for now in asked {
        let place = rule.due.partition_point(|due| *due <= now);
        let at = instant(now) + TimeDelta::milliseconds(now % 1000);
        if let Some(due) = place.checked_sub(1).map(|place| rule.due[place]) {
            let last = schedule.last_until(at).unwrap();
            assert_eq!(last.nominal, instant(due), "{schedule}: the last until {at}");
        }
        if let Some(due) = rule.due.get(place) {
            let next = schedule.next_after(at).unwrap();
            assert_eq!(next.nominal, instant(*due), "{schedule}: the next after {at}");
        }
    }
}

/// Real time, counted from an anchor: no zone has a part in it.
fn intervals(start: i64, end: i64) {
    let anchor = start + 12_345;
    let schedule = Schedule::every(Duration::from_secs(90 * 60)).unwrap().anchored(instant(anchor)).unwrap();
    let mut upcoming = schedule.upcoming(instant(start - 1));
    for due in (start..end).filter(|now| (now - anchor) % 90 == 0) {
        assert_eq!(upcoming.next().unwrap().nominal, instant(due));
    }
}

/// What the clocks show at each minute, in minutes since 1970, read from the time zone database for each quarter of an
/// hour; and the minutes at which they were changed.
fn locals(zone: Tz, start: i64, end: i64) -> (Vec<i64>, Vec<i64>) {
    let offset = |second: i64| {
        let utc = Timestamp::from_timestamp(second, 0).unwrap().naive_utc();
        i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
    };
    let (mut locals, mut turns) = (Vec::with_capacity(index(end - start)), Vec::new());
    let mut before = offset(start * 60);
    for quarter in (start..end).step_by(index(QUARTER)) {
        let now = offset(quarter * 60);
        if now != before {
            // All of them are on a quarter of an hour, so nothing between two readings is missed.
            assert_eq!(offset(quarter * 60 - 1), before, "{zone} at {}", instant(quarter));
            turns.push(quarter);
        }
        assert_eq!(now % 60, 0, "whole minutes");
        locals.extend((quarter..quarter + QUARTER).map(|minute| minute + now / 60));
        before = now;
    }
    (locals, turns)
}

fn minute(year: i32) -> i64 {
    NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_time(NaiveTime::MIN).and_utc().timestamp() / 60
}

fn instant(minute: i64) -> Timestamp {
    Timestamp::from_timestamp(minute * 60, 0).unwrap()
}

fn date(local: i64) -> NaiveDate {
    Timestamp::from_timestamp(local * 60, 0).unwrap().date_naive()
}

fn index(minutes: i64) -> usize {
    usize::try_from(minutes).unwrap()
}
