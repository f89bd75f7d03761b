//! Cron expressions.

use chrono::{Datelike, NaiveDate};
use proptest::prelude::*;

use super::*;

fn read(expression: &str) -> Result<Schedule, Error> {
    Schedule::cron(expression, Zone::Utc)
}

fn days(expression: &str, after: &str, n: usize) -> Vec<String> {
    cron(expression).upcoming(utc(after)).take(n).map(|next| next.local.format("%m-%d").to_string()).collect()
}

#[test]
fn monday_is_1_and_sunday_is_0_and_7() {
    // 18 January 2027 is a Monday.
    let week = "2027-01-17T12:00:00Z";
    assert_eq!(days("0 9 * * 1", week, 1), ["01-18"]);
    assert_eq!(days("0 9 * * 6", week, 1), ["01-23"]);
    for sunday in ["0", "7", "SUN", "sun", "6-7", "SAT-SUN"] {
        let next = cron(&format!("0 9 * * {sunday}")).last_until(utc("2027-01-25T00:00:00Z")).unwrap();
        assert_eq!(next.local.weekday(), Weekday::Sun, "{sunday}");
    }
}

#[test]
fn where_both_fields_for_days_are_restricted_one_is_enough() {
    let after = "2027-01-01T12:00:00Z";
    assert_eq!(days("0 0 13 * 5", after, 5), ["01-08", "01-13", "01-15", "01-22", "01-29"]);
    assert_eq!(days("0 0 13 * +5", after, 1), ["08-13"]);
    assert_eq!(days("0 0 13 * *", after, 2), ["01-13", "02-13"]);
    assert_eq!(days("0 0 ? * FRI", after, 2), ["01-08", "01-15"]);
}

#[test]
fn the_fields_for_seconds_and_the_year_may_be_left_out() {
    let after = utc("2027-01-15T10:00:00Z");
    let at =
        |expression: &str| read(expression).unwrap().next_after(after).map(|next| next.nominal.to_string());
    assert_eq!(at("1 10 * * *").as_deref(), Some("2027-01-15 10:01:00 UTC"));
    assert_eq!(at("30 1 10 * * *").as_deref(), Some("2027-01-15 10:01:30 UTC"));
    assert_eq!(at("30 1 10 * * * 2030").as_deref(), Some("2030-01-01 10:01:30 UTC"));
    assert_eq!(at("0 0 0 1 1 * 2020-2026"), None);
    let over = read("0 0 0 1 1 * 2020-2026").unwrap().last_until(after).unwrap();
    assert_eq!(over.nominal, utc("2026-01-01T00:00:00Z"));
}

#[test]
fn an_expression_that_never_fires_is_an_error_where_it_is_read() {
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 0 29 2 * 2027", "0 0 31W 2 *"] {
        let expected = Error::NeverFires { expression: never.to_owned() };
        match read(never) {
            Err(error) => assert_eq!(error, expected),
            Ok(schedule) => panic!("{schedule}"),
        }
    }
    for rare in ["0 0 29 2 *", "0 0 29 2 +MON", "0 0 0 29 2 * 2028", "0 0 0 1 1 * 1970", "0 0 31 */2 +7"] {
        assert!(read(rare).is_ok(), "{rare}");
    }
    // The years that 100 divides have no leap day: eight years on.
    assert_eq!(locals(&cron("0 0 29 2 *"), "2096-03-01T00:00:00Z", 1), ["2104-02-29 00:00:00 +00:00"]);
}

#[test]
fn an_error_says_which_field_is_wrong() {
    for (expression, bad) in [
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 32 * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of week"),
        ("* * * * MONDAY", "day of week"),
        ("60 * * * * *", "second"),
        ("0 * * * * * 20000", "year"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("*/90 * * * *", "minute"),
        ("*/61 0 * * * *", "second"),
        ("0 1,*/25 * * *", "hour"),
        ("0 0 1-31/32 * *", "day of month"),
        ("0 0 1 */13 *", "month"),
        ("0 0 * * */8", "day of week"),
        ("@reboot", "fields"),
        ("1-0 * * * *", "minute"),
        ("\0 * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("* * * * 5#6", "day of week"),
        ("* , * * *", "hour"),
        ("* * * *", "fields"),
        ("", "fields"),
        ("@never", "fields"),
        ("1 2 3 4 5 6 7 8", "fields"),
    ] {
        assert_eq!(field(read(expression)), bad, "{expression}");
    }
    let told = read("* 24 * * *").unwrap_err().to_string();
    assert_eq!(told, r#"schedule: hour of the cron expression "* 24 * * *": number out of bounds"#);
    let told = read("* * * * MONDAY").unwrap_err().to_string();
    assert!(told.ends_with("contains illegal character 'D' in part '1DAY'"), "{told}");
    for whole in ["*/60 * * * *", "0 */24 * * *", "0 0 */31 * *", "0 0 1 */12 *", "0 0 * * */7"] {
        assert!(read(whole).is_ok(), "{whole}");
    }
    assert_eq!(field(read(&"*".repeat(10_000_000))), "length");
    let long = format!("{} * * * *", "1,".repeat(600));
    assert_eq!(field(read(&long)), "length");
}

#[test]
fn an_expression_is_said_with_its_meaning() {
    let schedule = Schedule::cron(" */5 * * * * ", "+02:00".parse().unwrap()).unwrap();
    assert_eq!(schedule.to_string(), "cron `*/5 * * * *` in +02:00: at every 5 minutes");
    let late = cron("30 9 * * 1-5").jitter(secs(60), "host").unwrap().to_string();
    assert!(late.starts_with("cron `30 9 * * 1-5` in utc: at 09:30, on Monday, "), "{late}");
    assert!(late.ends_with(" later, by a jitter of less than 1m"), "{late}");
}

#[test]
fn the_shortest_period_is_that_of_the_calendar() {
    let day = 86_400;
    for (expression, seconds) in [
        ("* * * * * *", 1),
        ("*/5 * * * *", 300),
        ("*/7 * * * *", 240),
        ("*/25 * * * *", 600),
        ("0 9,17 * * *", 8 * 3600),
        ("0 23,1 * * *", 2 * 3600),
        ("0 23,1 * * 1", 22 * 3600),
        ("0 9 * * *", day),
        ("0 9 * * 1-5", day),
        ("0 9 * * 1,4", 3 * day),
        ("0 9 1,31 * *", day),
        ("0 9 1 * *", 28 * day),
        ("0 0 29 2 *", 1461 * day),
        ("0 0 1 1 *", 365 * day),
    ] {
        assert_eq!(cron(expression).period_min(), Some(secs(seconds)), "{expression}");
    }
    assert_eq!(cron("0 0 0 1 1 * 2030").period_min(), None);
    assert_eq!(cron("0 0 9 1-2 1 * 2030").period_min(), Some(secs(day)));
}

#[test]
fn nicknames_are_read() {
    for (name, expression) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@yearly", "0 0 1 1 *"),
    ] {
        let after = utc("2027-01-15T10:30:00Z");
        assert_eq!(cron(name).next_after(after), cron(expression).next_after(after), "{name}");
    }
}

/// The rules for days, against croner's own.
#[test]
fn days_are_those_that_croner_means() {
    let of_month = ["*", "1", "31", "*/2", "1-7,28", "L", "LW", "1W", "15W,31W", "L,15W", "29W"];
    let of_week = ["*", "0", "1-5", "7", "5#2", "0#5,3#1", "5L", "1L,4", "+1", "+5#2"];
    for (month, week) in of_month.iter().flat_map(|month| of_week.map(|week| (month, week))) {
        let expression = format!("0 0 {month} * {week}");
        let theirs: croner::Cron = expression.parse().unwrap();
        let ours = cron::read(&expression).map(|pattern| pattern.fields);
        let named = |day: NaiveDate| match &ours {
            Ok(fields) => fields.matches(day.and_time(NaiveTime::MIN)),
            Err(error) => {
                assert_eq!(*error, Error::NeverFires { expression: expression.clone() });
                false
            }
        };
        let mut day = NaiveDate::from_ymd_opt(2023, 1, 1).unwrap();
        while day.year() < 2029 {
            let weekday = match day.weekday().num_days_from_sunday() {
                0 => croner::time::Weekday::Sunday,
                1 => croner::time::Weekday::Monday,
                2 => croner::time::Weekday::Tuesday,
                3 => croner::time::Weekday::Wednesday,
                4 => croner::time::Weekday::Thursday,
                5 => croner::time::Weekday::Friday,
                _ => croner::time::Weekday::Saturday,
            };
            let theirs = theirs.pattern.day_match(day.year(), day.month(), day.day(), weekday).unwrap();
            assert_eq!(named(day), theirs, "{expression} on {day}");
            day = day.succ_opt().unwrap();
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[0-9*/,#LW?+@A-Za-z. -]{0,40}|\\PC{0,20}|(([0-9*/,LW-]{1,6}) ){4,6}[0-9*]") {
        if let Ok(schedule) = read(&text) {
            let next = schedule.next_after(utc("2027-01-15T10:30:00Z"));
            prop_assert!(next.is_none_or(|next| next.nominal > utc("2027-01-15T10:30:00Z")));
        }
    }
}
