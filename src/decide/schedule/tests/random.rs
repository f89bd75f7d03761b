//! What holds for every schedule.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn zones() -> impl Strategy<Value = Zone> {
    let names = [
        "utc",
        "+05:30",
        "-11:00",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Cairo",
    ];
    select(names.iter().filter_map(|name| name.parse().ok()).collect::<Vec<Zone>>())
}

fn times() -> impl Strategy<Value = NaiveTime> {
    (0..24_u32, select(vec![0, 15, 30, 59])).prop_map(|(h, m)| NaiveTime::from_hms_opt(h, m, 0).unwrap())
}

#[cfg(feature = "cron")]
fn crons() -> impl Strategy<Value = Schedule> {
    let minutes = select(vec!["*", "*/7", "0", "30", "15,45", "0-59/20"]);
    let hours = select(vec!["*", "*/2", "0", "1", "2", "0-3", "23"]);
    let days = select(vec!["*", "1", "31", "L", "8-14", "15W"]);
    let months = select(vec!["*", "3", "10-12", "2"]);
    let weekdays = select(vec!["*", "0", "1-5", "0#2", "5L"]);
    (minutes, hours, days, months, weekdays, zones())
        .prop_filter_map("never fires", |(mi, h, d, mo, w, zone)| {
            Schedule::cron(&format!("{mi} {h} {d} {mo} {w}"), zone).ok()
        })
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let intervals = (1_u64..200_000, 0..4_000_000_000_i64).prop_map(|(seconds, anchor)| {
        every(seconds).anchored(Timestamp::from_timestamp(anchor, 0).unwrap()).unwrap()
    });
    let weekdays = prop::collection::vec((0_u8..7).prop_map(|day| Weekday::try_from(day).unwrap()), 1..4);
    let weekly =
        (weekdays, times(), zones()).prop_map(|(days, at, zone)| Schedule::weekly(&days, at, zone).unwrap());
    let daily = (times(), zones()).prop_map(|(at, zone)| Schedule::daily(at, zone));
    #[cfg(feature = "cron")]
    return prop_oneof![1 => intervals, 2 => daily, 2 => weekly, 4 => crons()];
    #[cfg(not(feature = "cron"))]
    return prop_oneof![intervals, daily, weekly];
}

/// 2005 to 2036; often near a change of the clocks.
fn instants() -> impl Strategy<Value = Timestamp> {
    let turns = [
        "2026-03-08T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2011-12-30T10:00:00Z",
        "2025-04-24T22:00:00Z",
        "2026-10-03T15:30:00Z",
        "2027-04-03T15:00:00Z",
    ];
    let near = (select(turns.to_vec()), -30 * 3_600_000..30 * 3_600_000_i64)
        .prop_map(|(turn, millis)| utc(turn) + chrono::TimeDelta::milliseconds(millis));
    prop_oneof![
        near,
        (1_104_537_600_000..2_082_758_400_000_i64)
            .prop_map(|at| Timestamp::from_timestamp_millis(at).unwrap())
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nominal_times_rise_strictly(schedule in schedules(), at in instants()) {
        let mut after = at;
        for next in schedule.upcoming(at).take(8) {
            prop_assert!(next.nominal > after, "{schedule}: {next:?} after {after}");
            after = next.nominal;
        }
    }

    #[test]
    fn the_last_until_is_the_inverse_of_the_next_after(schedule in schedules(), at in instants()) {
        let Some(next) = schedule.next_after(at) else { return Ok(()) };
        prop_assert_eq!(schedule.last_until(next.nominal), Some(next), "{}", schedule);
        let before = next.nominal - chrono::TimeDelta::milliseconds(1);
        if let Some(last) = schedule.last_until(before) {
            prop_assert!(last.nominal <= at, "{schedule}: {last:?} lies between {at} and {next:?}");
            prop_assert_eq!(schedule.next_after(last.nominal), Some(next), "{}", schedule);
        }
    }

    #[test]
    fn a_count_is_that_of_the_enumeration(schedule in schedules(), at in instants(), hours in 0..400_i64) {
        let until = at + chrono::TimeDelta::hours(hours);
        let number = schedule.upcoming(at).take_while(|next| next.nominal <= until).take(500).count() as u64;
        prop_assume!(number < 500);
        prop_assert_eq!(schedule.count(at, until), Count { number, exact: true });
    }

    #[test]
    fn jitter_moves_what_begins_and_not_what_is_meant(schedule in schedules(), at in instants(), job in ".{0,12}") {
        let max = schedule.period_min().unwrap_or(Duration::from_secs(60)).saturating_sub(Duration::from_millis(1));
        let late = schedule.clone().jitter(max, &job).unwrap();
        let pairs = schedule.upcoming(at).zip(late.upcoming(at)).take(4);
        for (plain, late) in pairs {
            prop_assert_eq!(plain.nominal, late.nominal);
            prop_assert!(late.at >= late.nominal && late.at - late.nominal < chrono::TimeDelta::from_std(max).unwrap().max(chrono::TimeDelta::milliseconds(1)));
        }
    }
}
