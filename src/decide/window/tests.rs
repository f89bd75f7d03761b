use std::time::Duration;

use chrono::{NaiveDate, NaiveTime, Weekday};

use super::*;
use crate::base::explain::Explain;
use crate::base::time::later;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(text: &str) -> Window {
    text.parse().unwrap()
}

fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn closes(window: &Window, instant: &str) -> Option<Timestamp> {
    match window.state(at(instant)) {
        State::Open { closes } => closes,
        closed @ State::Closed { .. } => panic!("{closed:?}"),
    }
}

fn closed(window: &Window, instant: &str) -> (Timestamp, Why) {
    match window.state(at(instant)) {
        State::Closed { opens: Some(opens), why } => (opens, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_opening_has_its_beginning_and_not_its_end() {
    let window = window("09:00-22:00");
    assert_eq!(closes(&window, "2026-07-31T09:00:00Z"), Some(at("2026-07-31T22:00:00Z")));
    assert_eq!(closed(&window, "2026-07-31T08:59:59.999Z").0, at("2026-07-31T09:00:00Z"));
    assert_eq!(closed(&window, "2026-07-31T22:00:00Z").0, at("2026-08-01T09:00:00Z"));
    assert_eq!(window.next_open(at("2026-07-31T12:00:00Z")), Some(at("2026-07-31T12:00:00Z")));
}

#[test]
fn across_midnight_belongs_to_the_day_on_which_it_opens() {
    let window = window("22:00-06:00 Fri");
    // 31 July 2026 is a Friday.
    assert_eq!(closes(&window, "2026-08-01T05:00:00Z"), Some(at("2026-08-01T06:00:00Z")));
    let (opens, why) = closed(&window, "2026-07-31T05:00:00Z");
    assert_eq!(
        (opens, why),
        (at("2026-07-31T22:00:00Z"), Why::BeforeHours { weekday: Weekday::Fri, opens: time(22, 0) })
    );
    let (opens, why) = closed(&window, "2026-08-01T06:00:00Z");
    assert_eq!((opens, why), (at("2026-08-07T22:00:00Z"), Why::NotThisDay { weekday: Weekday::Sat }));
}

#[test]
fn openings_that_adjoin_or_overlap_are_one() {
    let adjoining = window("09:00-12:00; 12:00-15:00; 14:00-18:00 Fri");
    assert_eq!(closes(&adjoining, "2026-07-31T09:00:00Z"), Some(at("2026-07-31T18:00:00Z")));
    assert_eq!(closes(&adjoining, "2026-07-30T09:00:00Z"), Some(at("2026-07-30T15:00:00Z")));
    let week = window("00:00-24:00 Mon-Fri");
    assert_eq!(closes(&week, "2026-07-27T00:00:00Z"), Some(at("2026-08-01T00:00:00Z")));
}

#[test]
fn what_nothing_closes_never_closes() {
    assert_eq!(closes(&window("00:00-24:00"), "2026-07-31T09:00:00Z"), None);
    assert_eq!(closes(&window("06:00-18:00; 17:00-07:00"), "2026-07-31T09:00:00Z"), None);
    let always = Window::new(Zone::Utc).hours(time(5, 0), time(5, 0));
    let once = always.clone().closed_on(day("2031-01-01"), "inventory").build().unwrap();
    assert_eq!(closes(&once, "2026-07-31T09:00:00Z"), Some(at("2031-01-01T00:00:00Z")));
    assert_eq!(closes(&once, "2031-01-02T00:00:00Z"), None);
    let daily = always.closed_daily(time(23, 55), time(0, 5), "the quota resets").build().unwrap();
    assert_eq!(closes(&daily, "2026-07-31T00:05:00Z"), Some(at("2026-07-31T23:55:00Z")));
}

#[test]
fn what_is_closed_beats_what_is_open() {
    let window = Window::new(Zone::Utc)
        .hours(time(9, 0), time(22, 0))
        .closed_on(day("2026-12-25"), "Christmas")
        .closed_on(day("2026-12-26"), "the day after")
        .closed_between(at("2026-12-27T08:00:00Z"), at("2026-12-27T10:00:00Z"), "maintenance")
        .closed_daily(time(12, 0), time(12, 30), "lunch")
        .build()
        .unwrap();
    let why = |why: &str| Why::Blackout { why: why.to_owned() };
    // Also before its hours: that is why it does not open when they begin.
    assert_eq!(closed(&window, "2026-12-25T08:00:00Z"), (at("2026-12-27T10:00:00Z"), why("Christmas")));
    assert_eq!(closed(&window, "2026-12-27T09:59:59Z"), (at("2026-12-27T10:00:00Z"), why("maintenance")));
    assert_eq!(closes(&window, "2026-12-27T10:00:00Z"), Some(at("2026-12-27T12:00:00Z")));
    assert_eq!(closed(&window, "2026-12-28T12:00:00Z"), (at("2026-12-28T12:30:00Z"), why("lunch")));
    assert_eq!(closes(&window, "2026-12-24T20:00:00Z"), Some(at("2026-12-24T22:00:00Z")));
}

#[test]
fn a_window_that_never_opens_is_an_error() {
    let hours = || Window::new(Zone::Utc).hours(time(9, 0), time(12, 0));
    assert_eq!(Window::new(Zone::Utc).build(), Err(Error::NoHours));
    assert_eq!(hours().closed_daily(time(8, 0), time(12, 0), "x").build(), Err(Error::NeverOpens));
    let twice =
        hours().closed_daily(time(11, 0), time(9, 30), "x").closed_daily(time(9, 30), time(11, 0), "y");
    assert_eq!(twice.build(), Err(Error::NeverOpens));
    let ever = hours().closed_between(Timestamp::MIN_UTC, Timestamp::MAX_UTC, "x");
    assert_eq!(ever.build(), Err(Error::NeverOpens));
    assert!(hours().closed_daily(time(8, 0), time(11, 59), "x").build().is_ok());
    let from_now_on =
        hours().closed_between(at("2026-07-31T00:00:00Z"), Timestamp::MAX_UTC, "x").build().unwrap();
    let State::Closed { opens: None, .. } = from_now_on.state(at("2026-08-01T10:00:00Z")) else { panic!() };
    let State::Closed { opens: None, .. } = from_now_on.state(Timestamp::MAX_UTC) else { panic!() };
}

#[test]
fn a_knob_out_of_its_range_is_named() {
    let field = |builder: Builder| match builder.build() {
        Err(Error::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let hours = || Window::new(Zone::Utc).hours(time(9, 0), time(12, 0));
    let now = at("2026-07-31T00:00:00Z");
    assert_eq!(field(hours().hours_on(&[], time(9, 0), time(12, 0))), "hours_on.days");
    assert_eq!(field((0..64).fold(hours(), |all, _| all.hours(time(1, 0), time(2, 0)))), "hours");
    assert_eq!(field(hours().closed_between(now, now, "x")), "closed_between");
    assert_eq!(field(hours().closed_daily(time(1, 0), time(1, 0), "x")), "closed_daily");
    let days = day("2026-01-01").iter_days().take(1024);
    let full = days.fold(hours(), |all, day| all.closed_on(day, "x"));
    assert_eq!(field(full.clone().closed_daily(time(9, 0), time(9, 5), "x")), "closed");
    let full = full.build().unwrap();
    assert_eq!(full.next_open(at("2026-01-01T00:00:00Z")), Some(at("2028-10-21T09:00:00Z")));
}

#[test]
fn what_must_finish_inside_is_begun_where_it_has_room() {
    let window = window("09:00-10:00; 14:00-16:00 Fri");
    let hour = Duration::from_secs(3600);
    assert_eq!(window.fits(at("2026-07-31T09:00:00Z"), hour), Fits::Yes);
    let late = at("2026-07-31T09:00:01Z");
    let why = Why::ClosesTooSoon { closes: at("2026-07-31T10:00:00Z"), needs: hour };
    assert_eq!(window.fits(late, hour), Fits::NotBefore { at: at("2026-07-31T14:00:00Z"), why });
    let why = Why::AfterHours { weekday: Weekday::Thu, closed: time(10, 0) };
    let thursday = at("2026-07-30T12:00:00Z");
    assert_eq!(window.fits(thursday, 2 * hour), Fits::NotBefore { at: at("2026-07-31T14:00:00Z"), why });
    assert_eq!(window.fits(thursday, 3 * hour), Fits::Never { longest: 2 * hour });
    assert_eq!(window.fits(Timestamp::MAX_UTC, 3 * hour), Fits::Never { longest: Duration::ZERO });
    let always = "00:00-24:00".parse::<Window>().unwrap();
    assert_eq!(always.fits(late, Duration::MAX), Fits::Yes);
}

#[test]
fn every_text_that_is_written_reads_as_the_same_window() {
    for (text, written) in [
        ("09:00-22:00 Mon-Fri +02:00", "09:00-22:00 Mon-Fri +02:00"),
        ("9:00-22:00", ""),
        ("09:00-22:00", "09:00-22:00 utc"),
        ("  22:00-06:00   sunday,WED-thu,mon  UTC ", "22:00-06:00 Mon,Wed-Thu,Sun utc"),
        ("00:00-24:00 Fri-Mon", "00:00-24:00 Mon,Fri-Sun utc"),
        ("00:00-00:00 Sat-Fri", "00:00-24:00 utc"),
        ("23:59:30-00:00:30 Sun-Sun", "23:59:30-00:00:30 Sun utc"),
        ("09:00-12:00 Mon +01:00;14:00-18:00 +01:00", "09:00-12:00 Mon +01:00; 14:00-18:00 +01:00"),
    ] {
        let read: Result<Window, _> = text.parse();
        match read {
            Ok(window) if text.contains(';') => {
                assert_eq!(window.to_string(), "09:00-12:00 Mon; 14:00-18:00 +01:00");
            }
            Ok(window) => {
                assert_eq!(window.to_string(), written, "{text}");
                assert_eq!(written.parse::<Window>().unwrap(), window);
            }
            Err(_) => assert_eq!(written, "", "{text}"),
        }
    }
}

#[test]
fn a_text_that_is_no_window_says_which_part_is_not() {
    let said = |text: &str| text.parse::<Window>().unwrap_err().to_string();
    let hours = "allowed is from-to, each HH:MM or HH:MM:SS, such as 09:00-22:00";
    assert_eq!(said(""), format!("hours is \"\"; {hours}"));
    assert_eq!(said("09:00-22:00;"), format!("hours is \"\"; {hours}"));
    assert_eq!(said("09:00-25:00"), format!("hours is \"09:00-25:00\"; {hours}"));
    assert_eq!(said("24:00-09:00"), format!("hours is \"24:00-09:00\"; {hours}"));
    assert_eq!(
        said("09:00-22:00 Mon Tue"),
        "days is \"Tue\"; allowed is one list of days, such as Mon,Wed-Fri"
    );
    assert_eq!(said("09:00-22:00 Mon-Fry"), "the zone of a window");
    let zones = "09:00-12:00 +01:00; 13:00-14:00 utc";
    assert_eq!(said(zones), "the zone is given twice: +01:00 and utc");
    for odd in [
        "9:5:30-22:00",
        "09:0:30-22:00",
        "٠٩:٠٠-٢٢:٠٠",
        "09:00-24:00-25:00",
        "24:00-24:00",
        "+9:00-22:00",
        "09:00–22:00",
    ] {
        assert!(said(odd).ends_with(hours), "{odd}: {}", said(odd));
    }
    for long in ["x".repeat(10_000_000), format!("09:00-22:00 Mon {}", "Mon,".repeat(1_000_000) + "Mon")] {
        assert!(said(&long).len() < 1000, "what is given is not said in full");
    }
    let many = vec!["09:00-12:00"; 65].join(";");
    assert_eq!(said(&many), "window: hours is 65, allowed is 1 to 64");
}

#[test]
fn nothing_breaks_at_the_ends_of_the_calendar() {
    let texts = [
        "09:00-22:00 Mon-Fri +14:00",
        "22:00-06:00 -12:00",
        "00:00-24:00",
        "23:00-01:00 Sun",
        "12:00-11:00 -23:59",
    ];
    for text in texts {
        let window = window(text);
        for back in [0, 1, 3600, 86_400, 90_000, 400 * 86_400] {
            let end = Timestamp::MAX_UTC - Duration::from_secs(back);
            let begin = later(Timestamp::MIN_UTC, Duration::from_secs(back));
            for at in [end, begin] {
                match window.state(at) {
                    State::Open { closes } => assert!(closes.is_none_or(|closes| closes > at), "{text} {at}"),
                    State::Closed { opens, why } => {
                        assert!(opens.is_none_or(|opens| opens > at), "{text} {at}");
                        assert!(!why.to_string().is_empty() && why.code().starts_with("window."));
                    }
                }
                match window.fits(at, Duration::from_secs(3600)) {
                    Fits::Yes => assert_eq!(window.next_open(at), Some(at)),
                    Fits::NotBefore { at: later, .. } => assert!(later > at, "{text} {at}"),
                    Fits::Never { longest } => assert!(longest < Duration::from_secs(3600), "{text} {at}"),
                }
            }
        }
        assert!(window.next_open(Timestamp::MIN_UTC).is_some());
    }
}

proptest::proptest! {
    #[test]
    fn what_is_written_of_any_hours_reads_as_the_same_window(
        all in proptest::collection::vec((1_u8..128, 0_u32..86_400, 0_u32..86_400, 0_u32..1_500), 1..20), east in -1439..1440_i32,
    ) {
        const WEEK: [Weekday; 7] =
            [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
        let zone = Zone::Fixed(chrono::FixedOffset::east_opt(east * 60).unwrap());
        let builder = all.into_iter().fold(Window::new(zone), |all, (days, open, close, millis)| {
            let time = |second, nanos| NaiveTime::from_num_seconds_from_midnight_opt(second, nanos).unwrap();
            let days: Vec<Weekday> = WEEK.into_iter().filter(|day| days >> day.num_days_from_monday() & 1 == 1).collect();
            all.hours_on(&days, time(open, 0), time(close, if millis < 1000 { millis * 1_000_000 } else { 0 }))
        });
        let window = builder.build().unwrap();
        let read: Window = window.to_string().parse().unwrap();
        proptest::prop_assert_eq!(read, window);
    }
}

#[cfg(feature = "tz")]
mod clocks {
    use super::*;

    #[test]
    fn hours_that_the_clocks_skip_have_no_length_and_those_shown_twice_twice_theirs() {
        let skipped = window("02:00-03:00 America/New_York");
        // 02:00 on 8 March 2026 is 03:00.
        let (opens, why) = closed(&skipped, "2026-03-08T06:30:00Z");
        assert_eq!((opens, why.code()), (at("2026-03-09T06:00:00Z"), "window.skipped"));
        assert_eq!(why.to_string(), "the clocks skip the hours of this Sunday, from 02:00 on");
        let twice = window("01:00-02:00 America/New_York");
        assert_eq!(closes(&twice, "2026-11-01T05:00:00Z"), Some(at("2026-11-01T07:00:00Z")));
        assert_eq!(closes(&twice, "2026-11-01T06:59:59Z"), Some(at("2026-11-01T07:00:00Z")));
        let half = window("01:30-02:30 America/New_York");
        assert_eq!(closes(&half, "2026-03-08T06:30:00Z"), Some(at("2026-03-08T07:00:00Z")));
        // Shown twice, open once: from the first 00:30 to the first 01:30, which comes before the clocks go back.
        let first = window("00:30-01:30 America/New_York");
        assert_eq!(closes(&first, "2026-11-01T05:29:59Z"), Some(at("2026-11-01T05:30:00Z")));
        assert_eq!(closed(&first, "2026-11-01T06:10:00Z").0, at("2026-11-02T05:30:00Z"));
    }

    #[test]
    fn a_day_that_the_clocks_skip_has_no_opening() {
        let friday = window("22:00-06:00 Fri Pacific/Apia");
        assert_eq!(closed(&friday, "2011-12-30T09:59:00Z").0, at("2012-01-06T08:00:00Z"));
        let nights = window("22:00-06:00 Pacific/Apia");
        // Thursday's ends with its midnight, after which it is Saturday.
        assert_eq!(closes(&nights, "2011-12-30T09:00:00Z"), Some(at("2011-12-30T10:00:00Z")));
        assert_eq!(closed(&nights, "2011-12-30T10:00:00Z").0, at("2011-12-31T08:00:00Z"));
        let always = window("00:00-24:00 Pacific/Apia");
        assert_eq!(closes(&always, "2011-12-30T09:00:00Z"), None);
        assert_eq!(closes(&window("22:00-22:00 Pacific/Apia"), "2011-12-30T09:00:00Z"), None);
    }

    #[test]
    fn a_closed_day_is_as_long_as_the_clocks_make_it() {
        let zone: Zone = "America/New_York".parse().unwrap();
        let window = Window::new(zone)
            .hours(time(0, 0), time(0, 0))
            .closed_on(day("2026-11-01"), "a long day")
            .build()
            .unwrap();
        assert_eq!(closes(&window, "2026-10-31T12:00:00Z"), Some(at("2026-11-01T04:00:00Z")));
        assert_eq!(closed(&window, "2026-11-01T04:00:00Z").0, at("2026-11-02T05:00:00Z"));
    }
}
