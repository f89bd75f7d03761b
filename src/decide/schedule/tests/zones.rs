//! Changes of the clocks.

use super::*;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn daily(at: &str, name: &str) -> Schedule {
    Schedule::daily(time(at), zone(name))
}

#[test]
fn a_fixed_time_in_a_gap_runs_at_the_first_instant_after_it() {
    let schedule = daily("02:30:00", "America/New_York");
    let next: Vec<_> = schedule.upcoming(utc("2026-03-07T12:00:00Z")).take(2).collect();
    assert_eq!(next[0].local.to_string(), "2026-03-08 03:00:00 -04:00");
    let wanted = "2026-03-08T02:30:00".parse().unwrap();
    assert_eq!(next[0].note, Note::MovedOutOfGap { wanted });
    assert_eq!(
        (next[1].local.to_string().as_str(), next[1].note),
        ("2026-03-09 02:30:00 -04:00", Note::Normal)
    );
    assert_eq!(schedule.last_until(utc("2026-03-08T07:00:00Z")).unwrap(), next[0]);
    assert_eq!(
        schedule.last_until(utc("2026-03-08T06:59:59Z")).unwrap().nominal,
        utc("2026-03-07T07:30:00Z")
    );
}

#[test]
fn a_fixed_time_in_an_overlap_runs_once_the_first() {
    let schedule = daily("01:30:00", "America/New_York");
    let next: Vec<_> = schedule.upcoming(utc("2026-10-31T12:00:00Z")).take(2).collect();
    assert_eq!((next[0].nominal, next[0].note), (utc("2026-11-01T05:30:00Z"), Note::FirstOfOverlap));
    assert_eq!((next[1].nominal, next[1].note), (utc("2026-11-02T06:30:00Z"), Note::Normal));
    // Asked in the second pass, before and after the second 01:30.
    for asked in ["2026-11-01T06:10:00Z", "2026-11-01T06:30:00Z", "2026-11-01T06:50:00Z"] {
        assert_eq!(schedule.next_after(utc(asked)).unwrap(), next[1]);
        assert_eq!(schedule.last_until(utc(asked)).unwrap(), next[0]);
    }
}

#[test]
fn a_gap_over_midnight_moves_what_is_at_midnight() {
    // Cairo goes from 00:00 to 01:00 on Friday, 25 April 2025.
    for at in ["00:00:00", "00:30:00", "01:00:00"] {
        let next = daily(at, "Africa/Cairo").next_after(utc("2025-04-24T20:00:00Z")).unwrap();
        assert_eq!(next.local.to_string(), "2025-04-25 01:00:00 +03:00");
        assert_eq!(next.note == Note::Normal, at == "01:00:00");
    }
}

#[test]
fn a_day_that_does_not_exist_runs_with_the_next_one_or_at_its_beginning() {
    // Apia had no 30 December 2011. At midnight two days begin at once, and that is one occurrence.
    let midnight = daily("00:00:00", "Pacific/Apia");
    let after = "2011-12-29T00:00:00Z";
    let expected = ["2011-12-29 00:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2012-01-01 00:00:00 +14:00"];
    assert_eq!(locals(&midnight, "2011-12-28T12:00:00Z", 3), expected);
    assert!(midnight.upcoming(utc(after)).take(3).all(|next| next.note == Note::Normal));
    // A later time of that day runs when it would be over.
    let noon = daily("12:00:00", "Pacific/Apia");
    let expected = ["2011-12-29 12:00:00 -10:00", "2011-12-31 00:00:00 +14:00", "2011-12-31 12:00:00 +14:00"];
    assert_eq!(locals(&noon, after, 3), expected);
}

#[test]
fn intervals_do_not_see_the_clocks() {
    for hours in [1, 24] {
        let next: Vec<_> = every(hours * 3600).upcoming(utc("2026-03-07T00:00:00Z")).take(50).collect();
        let step = chrono::TimeDelta::hours(i64::try_from(hours).unwrap());
        assert!(next.windows(2).all(|pair| pair[1].nominal - pair[0].nominal == step));
    }
}

#[cfg(feature = "cron")]
mod expressions {
    use super::*;

    fn cron_in(expression: &str, name: &str) -> Schedule {
        Schedule::cron(expression, zone(name)).unwrap()
    }

    fn instants(schedule: &Schedule, after: &str, until: &str) -> Vec<String> {
        let next = schedule.upcoming(utc(after)).take_while(|next| next.nominal <= utc(until));
        next.map(|next| next.nominal.format("%H:%M").to_string()).collect()
    }

    #[test]
    fn wildcards_run_every_real_instant_of_a_repeated_hour() {
        // The first pass of 01:00 to 02:00 begins at 05:00 UTC.
        let schedule = cron_in("*/30 * * * *", "America/New_York");
        let all = instants(&schedule, "2026-11-01T04:30:00Z", "2026-11-01T07:00:00Z");
        assert_eq!(all, ["05:00", "05:30", "06:00", "06:30", "07:00"]);
        assert!(schedule.upcoming(utc("2026-11-01T04:30:00Z")).take(5).all(|next| next.note == Note::Normal));
        let some = cron_in("*/20 1 * * *", "America/New_York");
        let all = instants(&some, "2026-11-01T04:30:00Z", "2026-11-01T12:00:00Z");
        assert_eq!(all, ["05:00", "05:20", "05:40", "06:00", "06:20", "06:40"]);
        // The hour is the wildcard.
        let hourly = cron_in("15 * * * *", "America/New_York");
        assert_eq!(instants(&hourly, "2026-11-01T04:30:00Z", "2026-11-01T07:00:00Z"), ["05:15", "06:15"]);
    }

    #[test]
    fn a_second_pass_is_found_when_the_next_match_of_the_first_is_far() {
        // In the first pass 01:00 has been when it is asked at 01:10; the next local match is tomorrow's.
        let schedule = cron_in("0-5 */24 1 11 *", "America/New_York");
        assert_eq!(
            schedule.next_after(utc("2026-11-01T04:06:00Z")).unwrap().nominal.to_string(),
            "2027-11-01 04:00:00 UTC"
        );
        let schedule = cron_in("*/60 1 * * *", "America/New_York");
        let next = schedule.next_after(utc("2026-11-01T05:10:00Z")).unwrap();
        assert_eq!(next.nominal, utc("2026-11-01T06:00:00Z"));
        let last = schedule.last_until(utc("2026-11-02T05:59:59Z")).unwrap();
        assert_eq!(last, next);
        assert_eq!(
            schedule.last_until(utc("2026-11-01T05:59:59Z")).unwrap().nominal,
            utc("2026-11-01T05:00:00Z")
        );
    }

    #[test]
    fn what_a_gap_skips_is_not_made_up_for_by_a_wildcard() {
        let schedule = cron_in("*/20 1-3 * * *", "America/New_York");
        let all = instants(&schedule, "2026-03-08T05:00:00Z", "2026-03-08T12:00:00Z");
        assert_eq!(all, ["06:00", "06:20", "06:40", "07:00", "07:20", "07:40"]);
        let only = cron_in("*/20 2 8 3 *", "America/New_York");
        assert_eq!(locals(&only, "2026-01-01T00:00:00Z", 1), ["2027-03-08 02:00:00 -05:00"]);
        assert_eq!(
            only.last_until(utc("2026-06-01T00:00:00Z")).unwrap().local.to_string(),
            "2025-03-08 02:40:00 -05:00"
        );
    }

    #[test]
    fn several_fixed_times_of_one_gap_are_one_occurrence() {
        let schedule = cron_in("15,45 2 * * *", "America/New_York");
        let expected =
            ["2026-03-07 02:45:00 -05:00", "2026-03-08 03:00:00 -04:00", "2026-03-09 02:15:00 -04:00"];
        assert_eq!(locals(&schedule, "2026-03-07T07:30:00Z", 3), expected);
        let at = utc("2026-03-08T07:00:00Z");
        let wanted = "2026-03-08T02:15:00".parse().unwrap();
        assert_eq!(schedule.last_until(at).unwrap().note, Note::MovedOutOfGap { wanted });
        assert_eq!(schedule.last_until(at), schedule.next_after(at - chrono::TimeDelta::minutes(20)));
        // One that belongs there is not told as moved.
        let hourly = cron_in("0 2,3 * * *", "America/New_York");
        assert_eq!(hourly.last_until(at).unwrap().note, Note::Normal);
    }

    #[test]
    fn a_wildcard_that_is_always_in_the_gap_ends() {
        // The second Sunday of March from 02:00 to 03:00 does not exist.
        let schedule = cron_in("* 2 * 3 SUN#2", "America/New_York");
        let last = schedule.last_until(utc("2090-01-01T00:00:00Z")).unwrap();
        assert!(last.nominal < utc("2007-01-01T00:00:00Z"), "{last:?}");
        let next = schedule.next_after(utc("2027-01-01T00:00:00Z"));
        assert!(next.is_none_or(|next| next.nominal > utc("2090-01-01T00:00:00Z")), "{next:?}");
    }
}
