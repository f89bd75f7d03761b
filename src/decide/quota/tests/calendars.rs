//! Counts that start anew at a time of day.

use super::*;

fn utc(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn wall(text: &str) -> Now {
    Now { moment: Moment::from_nanos(7), wall: utc(text) }
}

fn hour(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

#[test]
fn it_starts_anew_at_its_time_of_day() {
    let calendar = Calendar::new(2, hour(17, 0), "+02:00".parse().unwrap()).unwrap();
    let meter = Meter::new(calendar, wall("2027-01-15T14:59:00Z"));
    let resets_at = utc("2027-01-15T15:00:00Z");
    let why = allowed(meter.admit_n(2, wall("2027-01-15T14:59:00Z")));
    assert_eq!(why, Allowing::Calendar { n: 2, used: 2, limit: 2, resets_at });
    let (why, wait, retry_at) = refused(meter.admit(wall("2027-01-15T14:59:30Z")));
    assert_eq!(why, Refusing::Calendar { n: 1, used: 2, limit: 2, resets_at });
    assert_eq!((wait, retry_at), (secs(30), resets_at));
    let _why = allowed(meter.admit_n(2, wall("2027-01-15T15:00:00Z")));
    assert_eq!(refused(meter.admit(wall("2027-01-15T15:00:00Z"))).2, utc("2027-01-16T15:00:00Z"));
}

#[test]
fn a_clock_that_goes_back_carries_what_was_used_and_says_so() {
    let meter = Meter::new(midnight(3), wall("2027-01-16T08:00:00Z"));
    let _why = allowed(meter.admit_n(2, wall("2027-01-16T08:00:00Z")));
    let resets_at = utc("2027-01-16T00:00:00Z");
    let why = allowed(meter.admit(wall("2027-01-15T08:00:00Z")));
    assert_eq!(why, Allowing::Carried { n: 1, used: 3, limit: 3, resets_at });
    let (why, _, retry_at) = refused(meter.admit(wall("2027-01-15T09:00:00Z")));
    assert_eq!((why.code(), retry_at), ("quota.spent_carried", resets_at));
    // Its next reset is a reset.
    let why = allowed(meter.admit_n(3, wall("2027-01-16T00:00:00Z")));
    assert_eq!(why.code(), "quota.within_calendar");
}

#[test]
fn threads_that_read_the_clock_around_a_reset_do_not_reset_it_twice() {
    let meter = Meter::new(midnight(3), wall("2027-01-15T23:59:00Z"));
    let _why = allowed(meter.admit_n(2, wall("2027-01-16T00:00:00Z")));
    let why = allowed(meter.admit(wall("2027-01-15T23:59:59.999Z")));
    assert_eq!(why.code(), "quota.within_calendar");
    let (_, _, retry_at) = refused(meter.admit(wall("2027-01-16T00:00:00Z")));
    assert_eq!(retry_at, utc("2027-01-17T00:00:00Z"));
}

#[test]
fn the_ends_of_the_calendar_do_not_panic() {
    for wall in [Timestamp::MIN_UTC, Timestamp::MAX_UTC] {
        let now = Now { moment: Moment::ZERO, wall };
        for zone in ["utc", "-11:00", "+14:00"] {
            let meter = Meter::new(Calendar::new(1, hour(23, 59), zone.parse().unwrap()).unwrap(), now);
            let _why = allowed(meter.admit(now));
            let _why = refused(meter.admit(now));
        }
    }
}

#[cfg(feature = "tz")]
mod named {
    use super::*;

    fn resets(zone: &str, reset_at: NaiveTime, from: &str) -> String {
        let calendar = Calendar::new(1, reset_at, zone.parse().unwrap()).unwrap();
        calendar.next_reset(utc(from)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    #[test]
    fn a_local_time_that_a_gap_skips_resets_at_the_first_instant_after_it() {
        // Berlin, 2027-03-28: 02:00 becomes 03:00, which is 01:00 UTC.
        let berlin = |from| resets("Europe/Berlin", hour(2, 30), from);
        assert_eq!(berlin("2027-03-27T12:00:00Z"), "2027-03-28T01:00:00Z");
        assert_eq!(berlin("2027-03-28T00:59:59Z"), "2027-03-28T01:00:00Z");
        assert_eq!(berlin("2027-03-28T01:00:00Z"), "2027-03-29T00:30:00Z");
        // Beirut, 2026-03-29: midnight itself is skipped.
        assert_eq!(resets("Asia/Beirut", hour(0, 0), "2026-03-28T12:00:00Z"), "2026-03-28T22:00:00Z");
    }

    #[test]
    fn a_local_time_that_occurs_twice_resets_at_the_first() {
        // Berlin, 2027-10-31: 03:00 becomes 02:00; 02:30 is 00:30 UTC, and again 01:30 UTC.
        let berlin = |from| resets("Europe/Berlin", hour(2, 30), from);
        assert_eq!(berlin("2027-10-30T12:00:00Z"), "2027-10-31T00:30:00Z");
        assert_eq!(berlin("2027-10-31T00:30:00Z"), "2027-11-01T01:30:00Z");
        let meter = Meter::new(
            Calendar::new(1, hour(2, 30), "Europe/Berlin".parse().unwrap()).unwrap(),
            wall("2027-10-31T00:30:00Z"),
        );
        let _why = allowed(meter.admit(wall("2027-10-31T00:30:00Z")));
        let _why = refused(meter.admit(wall("2027-10-31T01:30:00Z")));
    }

    #[test]
    fn a_day_that_was_skipped_is_no_period() {
        // Apia went from the 29th to the 31st of December 2011.
        let apia = |from| resets("Pacific/Apia", hour(0, 0), from);
        assert_eq!(apia("2011-12-29T12:00:00Z"), "2011-12-30T10:00:00Z");
        assert_eq!(apia("2011-12-30T10:00:00Z"), "2011-12-31T10:00:00Z");
    }

    #[test]
    fn resets_come_one_after_another_whatever_the_clocks_do() {
        for zone in ["Europe/Berlin", "America/New_York", "Asia/Beirut", "America/Havana", "Pacific/Apia"] {
            for reset_at in [hour(0, 0), hour(0, 30), hour(2, 30), hour(23, 30)] {
                let calendar = Calendar::new(1, reset_at, zone.parse().unwrap()).unwrap();
                let mut reset = utc("2010-12-31T12:00:00Z");
                for _ in 0..800 {
                    let (period, next) = (calendar.period(reset), calendar.next_reset(reset));
                    let span = (next - reset).num_minutes();
                    assert!((1..=25 * 60).contains(&span), "{zone} {reset_at}: {reset} to {next}");
                    let last = calendar.period(next - TimeDelta::nanoseconds(1));
                    assert_eq!(last, period, "{zone} {reset_at}: {reset}");
                    assert!(calendar.period(next).index > period.index);
                    reset = next;
                }
            }
        }
    }
}
