//! The rules, each by its name.

use std::time::Duration;

use chrono::{NaiveDateTime, NaiveTime, Weekday};

use super::*;
use crate::base::explain::Explain;
use crate::base::time::Timestamp;
use crate::base::zone::Zone;

#[cfg(feature = "cron")]
mod crons;
mod random;
#[cfg(feature = "tz")]
mod zones;

fn utc(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn time(text: &str) -> NaiveTime {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn every(seconds: u64) -> Schedule {
    Schedule::every(secs(seconds)).unwrap()
}

#[cfg(feature = "cron")]
fn cron(expression: &str) -> Schedule {
    Schedule::cron(expression, Zone::Utc).unwrap()
}

/// The local times of the next `n`.
fn locals(schedule: &Schedule, after: &str, n: usize) -> Vec<String> {
    schedule.upcoming(utc(after)).take(n).map(|next| next.local.to_string()).collect()
}

fn field(result: Result<Schedule, Error>) -> &'static str {
    match result {
        Err(Error::Field { field, .. } | Error::Cron { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn intervals_are_counted_from_the_epoch() {
    let next = every(7200).next_after(utc("2027-01-15T10:00:00Z")).unwrap();
    assert_eq!(next.nominal, utc("2027-01-15T12:00:00Z"));
    assert_eq!((next.at, next.note), (next.nominal, Note::Normal));
    let last = every(7200).last_until(utc("1969-12-31T23:59:59.999Z")).unwrap();
    assert_eq!(last.nominal, utc("1969-12-31T22:00:00Z"));
}

#[test]
fn anchored_intervals_never_drift() {
    let anchor = utc("2027-01-15T10:00:00.250Z");
    let schedule = Schedule::every(Duration::from_millis(5_400_001)).unwrap().anchored(anchor).unwrap();
    let mut after = anchor;
    for n in 1..=5000_i64 {
        // It is asked late, and never at the same distance.
        let late = chrono::TimeDelta::milliseconds(n * 7919 % 5_400_000);
        let next = schedule.next_after(after).unwrap();
        assert_eq!(next.nominal, anchor + chrono::TimeDelta::milliseconds(n * 5_400_001));
        after = next.nominal + late;
    }
    assert_eq!(schedule.next_after(anchor - chrono::TimeDelta::nanoseconds(1)).unwrap().nominal, anchor);
    let far = schedule.clone().anchored(Timestamp::MAX_UTC).unwrap();
    assert!(far.next_after(anchor).unwrap().nominal - anchor <= chrono::TimeDelta::milliseconds(5_400_001));
    assert_eq!(field(Schedule::daily(time("09:00:00"), Zone::Utc).anchored(anchor)), "anchor");
}

#[test]
fn a_period_outside_its_bounds_is_refused() {
    for bad in
        [Duration::ZERO, Duration::from_millis(999), Duration::from_nanos(1_000_000_001), Duration::MAX]
    {
        assert_eq!(field(Schedule::every(bad)), "period", "{bad:?}");
    }
    assert!(Schedule::every(secs(3660 * 86_400)).is_ok());
    let told = Schedule::every(Duration::ZERO).unwrap_err().to_string();
    assert_eq!(told, "schedule: period is 0ns, allowed is 1 s to 3660 days, in whole milliseconds");
}

#[test]
fn daily_is_at_the_time_of_day_of_its_zone() {
    let schedule = Schedule::daily(time("09:30:00"), "+02:00".parse().unwrap());
    assert_eq!(
        schedule.next_after(utc("2027-01-15T07:29:59Z")).unwrap().nominal,
        utc("2027-01-15T07:30:00Z")
    );
    assert_eq!(
        schedule.next_after(utc("2027-01-15T07:30:00Z")).unwrap().nominal,
        utc("2027-01-16T07:30:00Z")
    );
    assert_eq!(
        schedule.last_until(utc("2027-01-15T07:30:00Z")).unwrap().nominal,
        utc("2027-01-15T07:30:00Z")
    );
    assert_eq!(
        schedule.last_until(utc("2027-01-15T07:29:59Z")).unwrap().nominal,
        utc("2027-01-14T07:30:00Z")
    );
    assert_eq!(schedule.period_after(utc("2027-01-15T07:30:00Z")), Some(secs(86_400)));
    // Parts of a second are left out, those of a leap second too.
    let leap = NaiveTime::from_hms_nano_opt(23, 59, 59, 1_500_000_000).unwrap();
    let leap = Schedule::daily(leap, Zone::Utc);
    assert_eq!(leap, Schedule::daily(time("23:59:59"), Zone::Utc));
    assert_eq!(leap.to_string(), "each day at 23:59:59 in utc");
}

#[test]
fn weekly_is_on_the_days_that_are_named() {
    let days = [Weekday::Sun, Weekday::Mon, Weekday::Thu, Weekday::Mon];
    let schedule = Schedule::weekly(&days, time("09:00:00"), Zone::Utc).unwrap();
    assert_eq!(schedule.explain(), "each Monday, Thursday and Sunday at 09:00 in utc");
    let next = locals(&schedule, "2027-01-14T09:00:00Z", 4);
    assert_eq!(next, ["17", "18", "21", "24"].map(|day| format!("2027-01-{day} 09:00:00 +00:00")));
    assert_eq!(schedule.period_min(), Some(secs(86_400)));
    let other = Schedule::weekly(&[Weekday::Mon, Weekday::Thu, Weekday::Sun], time("09:00:00"), Zone::Utc);
    assert_eq!(other.unwrap(), schedule);
    assert_eq!(field(Schedule::weekly(&[], time("09:00:00"), Zone::Utc)), "days");
}

#[test]
fn once_is_never_again() {
    let at = utc("2027-01-15T10:00:00.5Z");
    let schedule = Schedule::once(at);
    assert_eq!(schedule.next_after(utc("2027-01-15T10:00:00Z")).unwrap().nominal, at);
    assert_eq!(schedule.next_after(at), None);
    assert_eq!(schedule.last_until(at).unwrap().nominal, at);
    assert_eq!(schedule.last_until(utc("2027-01-15T10:00:00Z")), None);
    assert_eq!(schedule.upcoming(Timestamp::MIN_UTC).count(), 1);
    assert_eq!(schedule.count(Timestamp::MIN_UTC, at), Count { number: 1, exact: true });
    assert_eq!(schedule.count(at, Timestamp::MAX_UTC), Count { number: 0, exact: true });
    assert_eq!((schedule.period_min(), schedule.period_after(at)), (None, None));
    assert_eq!(schedule.to_string(), "once at 2027-01-15 10:00:00 UTC");
}

#[test]
fn jitter_depends_on_the_machine_and_the_job_alone() {
    let nominal = every(3600);
    let one = nominal.clone().jitter(secs(600), "host-1/report").unwrap();
    // Stored by others: the same in each release.
    let offset = Duration::from_millis(343_825);
    assert_eq!(one.to_string(), "every 1h; begins 5m43s825ms later, by a jitter of less than 10m");
    for (with, without) in
        one.upcoming(Timestamp::UNIX_EPOCH).zip(nominal.upcoming(Timestamp::UNIX_EPOCH)).take(100)
    {
        assert_eq!(with.nominal, without.nominal);
        assert_eq!((with.at - with.nominal).to_std(), Ok(offset));
    }
    assert_eq!(nominal.clone().jitter(secs(600), "host-1/report").unwrap(), one);
    assert_ne!(nominal.jitter(secs(600), "host-2/report").unwrap(), one);
}

#[test]
fn jitter_is_spread_evenly_below_its_bound() {
    let mut tenths = [0_u32; 10];
    for n in 0..10_000 {
        let schedule = every(3600).jitter(secs(600), &format!("host-{n}")).unwrap();
        let first = schedule.next_after(Timestamp::UNIX_EPOCH).unwrap();
        let offset = (first.at - first.nominal).num_milliseconds();
        tenths[usize::try_from(offset / 60_000).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|count| (850..=1150).contains(count)), "{tenths:?}");
    let none = every(3600).jitter(Duration::ZERO, "host").unwrap().next_after(Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(none.at, none.nominal);
}

#[test]
fn jitter_is_less_than_the_shortest_period() {
    assert_eq!(field(every(60).jitter(secs(60), "host")), "jitter");
    assert!(every(60).jitter(Duration::from_millis(59_999), "host").is_ok());
    let told = every(60).jitter(secs(61), "host").unwrap_err().to_string();
    assert_eq!(told, "schedule: jitter is 1m1s, allowed is less than 1m, the shortest period");
    let two = Schedule::weekly(&[Weekday::Fri, Weekday::Sun], time("09:00:00"), Zone::Utc).unwrap();
    assert!(two.clone().jitter(secs(2 * 86_400 - 1), "host").is_ok());
    assert_eq!(field(two.jitter(secs(2 * 86_400), "host")), "jitter");
    assert!(Schedule::once(Timestamp::UNIX_EPOCH).jitter(secs(86_400), "host").is_ok());
    assert_eq!(field(Schedule::once(Timestamp::UNIX_EPOCH).jitter(Duration::MAX, "host")), "jitter");
}

#[test]
fn a_count_is_exact_for_intervals_and_bounded_for_the_rest() {
    let (from, to) = (utc("2027-01-15T00:00:00Z"), utc("2027-01-16T00:00:00Z"));
    assert_eq!(every(60).count(from, to), Count { number: 1440, exact: true });
    assert_eq!(every(60).count(to, from), Count { number: 0, exact: true });
    let all = every(1).count(Timestamp::MIN_UTC, Timestamp::MAX_UTC);
    assert!(all.exact && all.number == u64::try_from((form::END - form::START).num_seconds()).unwrap());
    let daily = Schedule::daily(time("09:00:00"), Zone::Utc);
    assert_eq!(daily.count(from, to), Count { number: 1, exact: true });
    assert_eq!(daily.count(to, from), Count { number: 0, exact: true });
    let all = daily.count(from, Timestamp::MAX_UTC);
    assert_eq!(all, Count { number: 10_000, exact: false });
    assert_eq!(all.to_string(), "at least 10000");
    let just = daily.next_after(from).unwrap().nominal + chrono::TimeDelta::days(9_999);
    assert_eq!(daily.count(from, just), Count { number: 10_000, exact: true });
}

#[test]
fn the_ends_of_the_calendar_do_not_panic() {
    let mut schedules = vec![every(1), every(3660 * 86_400), every(60).anchored(Timestamp::MIN_UTC).unwrap()];
    schedules.extend([every(60).anchored(Timestamp::MAX_UTC).unwrap(), Schedule::once(Timestamp::MAX_UTC)]);
    for zone in ["utc", "-11:00", "+14:00", "+23:59:59", "Pacific/Apia", "America/New_York"] {
        let Ok(zone) = zone.parse() else { continue };
        schedules.push(Schedule::daily(time("23:59:59"), zone));
        schedules.push(Schedule::weekly(&[Weekday::Sun], NaiveTime::MIN, zone).unwrap());
        #[cfg(feature = "cron")]
        for expression in
            ["* * * * * *", "*/5 * * * *", "0 0 29 2 *", "0 0 1 1 * * 1,5000", "* 59 23 31 12 * 2027"]
        {
            schedules.push(Schedule::cron(expression, zone).unwrap());
        }
    }
    for schedule in schedules {
        for at in [Timestamp::MIN_UTC, form::START, Timestamp::UNIX_EPOCH, form::END, Timestamp::MAX_UTC] {
            let (next, last) = (schedule.next_after(at), schedule.last_until(at));
            assert!(next.is_none_or(|next| next.nominal > at && next.at >= next.nominal), "{schedule}");
            assert!(last.is_none_or(|last| last.nominal <= at), "{schedule}");
            let _ = (schedule.period_after(at), schedule.count(at, at), schedule.upcoming(at).nth(2));
        }
        assert!(schedule.next_after(Timestamp::MIN_UTC).is_some(), "{schedule}");
        assert!(schedule.last_until(Timestamp::MAX_UTC).is_some(), "{schedule}");
        let late = schedule.jitter(Duration::from_millis(900), "host").unwrap();
        assert!(late.last_until(Timestamp::MAX_UTC).is_some_and(|last| last.at >= last.nominal));
    }
    assert_eq!(every(1).next_after(Timestamp::MAX_UTC), None);
}

#[test]
fn notes_say_what_the_clocks_did() {
    let wanted: NaiveDateTime = "2027-03-28T02:30:00".parse().unwrap();
    let moved = Note::MovedOutOfGap { wanted };
    assert_eq!(
        moved.to_string(),
        "the clocks skip 2027-03-28 02:30:00; this is the first instant after the gap"
    );
    let codes = [Note::Normal, moved, Note::FirstOfOverlap].map(|note| note.code());
    assert_eq!(codes, ["schedule.normal", "schedule.moved_out_of_gap", "schedule.first_of_overlap"]);
}
