//! Twenty years in zones whose clocks change in six ways, and random windows around such changes.

use std::time::Duration;

use chrono_tz::Tz;
use proptest::prelude::*;
use unattended::time::between;
use unattended::window::{Error, Fits, State, Window};

use super::walker::{Changes, Spec, at, minute_of, walk};

const EVERY_DAY: u8 = 0b111_1111;
const DAY: i64 = 1440;

const fn hours(days: u8, from: (i64, i64), to: (i64, i64)) -> (u8, i64, i64) {
    (days, from.0 * 60 + from.1, to.0 * 60 + to.1)
}

fn specs() -> Vec<Spec> {
    let alone = |hours| Spec { hours: vec![hours], ..Spec::default() };
    let midnight = vec![(23 * 60 + 55, 5)];
    let dates = (0..200).map(|n| minute_of("2010-01-01") / DAY + 37 * n).collect();
    vec![
        alone(hours(0b001_1111, (9, 0), (22, 0))),
        alone(hours(EVERY_DAY, (22, 0), (6, 0))),
        alone(hours(EVERY_DAY, (2, 0), (3, 0))),
        alone(hours(EVERY_DAY, (1, 0), (2, 0))),
        alone(hours(EVERY_DAY, (1, 30), (2, 30))),
        alone(hours(EVERY_DAY, (0, 0), (0, 30))),
        alone(hours(0b100_0000, (23, 30), (0, 30))),
        Spec { daily: midnight.clone(), ..alone(hours(EVERY_DAY, (22, 0), (6, 0))) },
        Spec { dates, daily: midnight, ..alone(hours(0b101_1111, (0, 0), (0, 0))) },
    ]
}

fn agrees_for_twenty_years(zone: Tz) {
    let (from, to) = (minute_of("2010-01-01"), minute_of("2031-01-01"));
    let specs = specs();
    let (all, clocks) = walk(zone, &specs, from, to);
    assert!(clocks.len() >= 20, "{zone}: {clocks:?}");
    // All around each change of the clocks, and here and there else.
    let around = clocks.iter().flat_map(|minute| (-9..=9).map(move |n| minute + 15 * n + n % 2));
    let sampled: Vec<i64> = around.chain((from..to).step_by(40_009)).collect();
    for (spec, changes) in specs.iter().zip(all) {
        assert!(changes.len() > 1000, "{zone} {spec:?}: {}", changes.len());
        agrees(zone, spec, &spec.window(zone).unwrap(), &changes, &sampled, to);
    }
}

/// At each change, a minute before one in five, and at the sampled minutes.
fn agrees(zone: Tz, spec: &Spec, window: &Window, changes: &Changes, sampled: &[i64], to: i64) {
    let told = |minute| format!("{zone} {spec:?} at {}: {:?}", at(minute), window.state(at(minute)));
    let agrees_at = |minute: i64| {
        let next = changes.partition_point(|(since, _)| *since <= minute);
        let (_, open) = changes[next - 1];
        let next = changes.get(next).map(|(since, _)| at(*since));
        let (answer, closed) = match window.state(at(minute)) {
            State::Open { closes } => (closes, false),
            State::Closed { opens, .. } => (opens, true),
        };
        assert_eq!(!closed, open, "{}", told(minute));
        match next {
            Some(next) => assert_eq!(answer, Some(next), "{}", told(minute)),
            // Beyond the walk nothing is known but that it is beyond.
            None => assert!(answer.map_or(!closed, |answer| answer >= at(to)), "{}", told(minute)),
        }
        (open, next)
    };
    for (index, (since, _)) in changes.iter().enumerate() {
        let (open, next) = agrees_at(*since);
        if index % 5 == 0
            && let Some(next) = next
        {
            agrees_at(next.timestamp() / 60 - 1);
            let opens = if open { at(*since) } else { next };
            assert_eq!(window.next_open(at(*since)), Some(opens), "{}", told(*since));
        }
    }
    for minute in sampled {
        agrees_at(*minute);
    }
}

#[test]
fn in_new_york_it_is_open_when_a_walker_through_the_minutes_is_inside() {
    agrees_for_twenty_years(Tz::America__New_York);
}

#[test]
fn in_london_it_is_open_when_a_walker_through_the_minutes_is_inside() {
    agrees_for_twenty_years(Tz::Europe__London);
}

/// Half an hour of summer time.
#[test]
fn on_lord_howe_it_is_open_when_a_walker_through_the_minutes_is_inside() {
    agrees_for_twenty_years(Tz::Australia__Lord_Howe);
}

/// The clocks change at midnight.
#[test]
fn in_cairo_it_is_open_when_a_walker_through_the_minutes_is_inside() {
    agrees_for_twenty_years(Tz::Africa__Cairo);
}

/// Four changes a year, by the moon.
#[test]
fn in_casablanca_it_is_open_when_a_walker_through_the_minutes_is_inside() {
    agrees_for_twenty_years(Tz::Africa__Casablanca);
}

/// A day that never was.
#[test]
fn in_apia_it_is_open_when_a_walker_through_the_minutes_is_inside() {
    agrees_for_twenty_years(Tz::Pacific__Apia);
}

fn zones_and_days() -> impl Strategy<Value = (Tz, i64)> {
    let changes = vec![
        (Tz::America__New_York, "2026-03-08"),
        (Tz::America__New_York, "2026-11-01"),
        (Tz::Europe__London, "2026-10-25"),
        (Tz::Australia__Lord_Howe, "2026-04-05"),
        (Tz::Australia__Lord_Howe, "2026-10-04"),
        (Tz::Africa__Cairo, "2026-04-24"),
        (Tz::Africa__Cairo, "2026-10-29"),
        (Tz::Africa__Casablanca, "2026-02-15"),
        (Tz::Africa__Casablanca, "2026-03-22"),
        (Tz::Pacific__Apia, "2011-12-30"),
        (Tz::UTC, "2026-06-01"),
    ];
    (prop::sample::select(changes), -6_i64..=2)
        .prop_map(|((zone, date), days)| (zone, minute_of(date) + days * DAY))
}

fn spec(start: i64) -> impl Strategy<Value = Spec> {
    // Quarters of an hour meet each other and the changes more often.
    let time = || prop_oneof![(0..96_i64).prop_map(|quarter| quarter * 15), 0..DAY, Just(0)];
    let days = prop_oneof![Just(EVERY_DAY), 1..=EVERY_DAY];
    let hours = prop::collection::vec((days, time(), time()), 1..=4);
    let daily = prop::collection::vec((time(), time()), 0..=2);
    let dates = prop::collection::vec((start / DAY - 1)..(start / DAY + 10), 0..=2);
    let spans = prop::collection::vec((start - DAY..start + 9 * DAY, 1..3 * DAY), 0..=2);
    (hours, daily, dates, spans).prop_map(|(hours, mut daily, dates, spans)| {
        daily.retain(|(from, to)| from != to);
        let spans = spans.into_iter().map(|(from, long)| (from, from + long)).collect();
        Spec { hours, daily, dates, spans }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_window_is_open_when_a_walker_is_inside_and_fits_what_has_room_there(
        ((zone, start), spec) in zones_and_days().prop_flat_map(|place| (Just(place), spec(place.1))),
        samples in prop::collection::vec((0..8 * DAY, 1..2 * DAY), 8),
    ) {
        let window = match spec.window(zone) {
            Ok(window) => window,
            Err(error) => {
                prop_assert_eq!(error, Error::NeverOpens);
                prop_assert!(spec.never_opens());
                return Ok(());
            }
        };
        prop_assert!(!spec.never_opens());
        let to = start + 9 * DAY;
        let (mut changes, _) = walk(zone, std::slice::from_ref(&spec), start, to);
        let changes = changes.remove(0);
        let sampled: Vec<i64> = (start..to).step_by(61).collect();
        agrees(zone, &spec, &window, &changes, &sampled, to);
        for (minute, long) in samples {
            fits_as_walked(&window, &changes, start + minute, long);
        }
    }
}

/// The first opening of the walk, from that minute on, that has room: if there is one, that is the answer.
fn fits_as_walked(window: &Window, changes: &Changes, minute: i64, long: i64) {
    let duration = Duration::from_secs(60 * u64::try_from(long).unwrap());
    let openings = changes.iter().zip(changes.iter().skip(1)).filter(|((_, open), _)| *open);
    let begun = openings.map(|((from, _), (to, _))| (minute.max(*from), *to));
    let expected = begun.filter(|(from, to)| to - from >= long).map(|(from, _)| at(from)).next();
    let last = at(changes.last().unwrap().0);
    match (window.fits(at(minute), duration), expected) {
        (Fits::Yes, Some(expected)) => assert_eq!(expected, at(minute)),
        (Fits::NotBefore { at, .. }, Some(expected)) => assert_eq!(expected, at),
        (Fits::Never { longest }, None) => assert!(longest < duration),
        // In an opening that had not ended when the walk did.
        (Fits::Yes, None) => assert!(at(minute) >= last),
        (Fits::NotBefore { at: begins, .. }, None) => {
            assert!(begins >= last && between(at(minute), begins) > Duration::ZERO);
        }
        (fits, expected) => panic!("{fits:?} {expected:?}"),
    }
}
