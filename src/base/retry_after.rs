//! `Retry-After` (RFC 9110, 10.2.3): seconds, or an HTTP-date in any of its three forms (5.6.7).

use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Weekday};

use crate::base::time::{Timestamp, between};

/// How long the server asked us to wait, or `None` when `header` is neither seconds nor a date.
///
/// A date is measured against `response_date`, the response's own `Date` header, when there is one that can be read,
/// so that a server whose clock is wrong is still understood; otherwise against `now`. A date in the past is zero, which
/// leaves the wait to our own backoff. More digits than fit mean "very long", not zero.
///
/// ```
/// use std::time::Duration;
/// use unattended::retry::retry_after;
///
/// let now = chrono::DateTime::UNIX_EPOCH;
/// assert_eq!(retry_after(" 120 ", None, now), Some(Duration::from_secs(120)));
/// assert_eq!(retry_after("+5", None, now), None);
/// let date = Some("Sun, 06 Nov 1994 08:49:00 GMT");
/// assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", date, now), Some(Duration::from_secs(37)));
/// ```
#[must_use]
pub fn retry_after(header: &str, response_date: Option<&str>, now: Timestamp) -> Option<Duration> {
    let value = trim(header);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let then = http_date(value, now)?;
    let from = response_date.and_then(|date| http_date(trim(date), now)).unwrap_or(now);
    Some(between(from, then))
}

/// Optional white space is space and tab, nothing else.
pub(crate) fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The instant that an HTTP-date names; `now` says which century a year of two digits is in.
pub(crate) fn http_date(value: &str, now: Timestamp) -> Option<Timestamp> {
    imf_fixdate(value).or_else(|| rfc_850(value, now)).or_else(|| asctime(value))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(value: &str) -> Option<Timestamp> {
    let (weekday, rest) = value.split_once(", ")?;
    let [day, month, year, time, "GMT"] = fields(rest, ' ')? else { return None };
    instant(short_weekday(weekday)?, number(year, 4)?, month, number(day, 2)?, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`; a date that seems more than 50 years ahead is of the century before.
fn rfc_850(value: &str, now: Timestamp) -> Option<Timestamp> {
    let (weekday, rest) = value.split_once(", ")?;
    let [date, time, "GMT"] = fields(rest, ' ')? else { return None };
    let [day, month, year] = fields(date, '-')?;
    let this_year = now.year();
    let mut full = this_year - this_year.rem_euclid(100) + number(year, 2)?;
    if full > this_year + 50 {
        full -= 100;
    }
    instant(long_weekday(weekday)?, full, month, number(day, 2)?, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(value: &str) -> Option<Timestamp> {
    // The day is padded with a space, so the fields lie at fixed places.
    if value.len() != 24 || !value.is_ascii() {
        return None;
    }
    let day = value.get(8..10)?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    let blanks = [3, 7, 10, 19].iter().all(|at| value.as_bytes().get(*at) == Some(&b' '));
    let weekday = short_weekday(value.get(..3)?)?;
    blanks.then_some(())?;
    instant(weekday, number(value.get(20..)?, 4)?, value.get(4..7)?, day, value.get(11..19)?)
}

fn instant(weekday: Weekday, year: i32, month: &str, day: i32, time: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = u32::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let date = NaiveDate::from_ymd_opt(year, month, u32::try_from(day).ok()?)?;
    let [hour, minute, second] = fields(time, ':')?;
    // The grammar allows a leap second; the calendar here does not.
    let second = number(second, 2)?;
    let second = if second == 60 { 59 } else { second };
    let (hour, minute) = (u32::try_from(number(hour, 2)?).ok()?, u32::try_from(number(minute, 2)?).ok()?);
    let time: NaiveDateTime = date.and_hms_opt(hour, minute, u32::try_from(second).ok()?)?;
    (date.weekday() == weekday).then(|| time.and_utc())
}

/// Exactly `N` fields.
fn fields<const N: usize>(value: &str, separator: char) -> Option<[&str; N]> {
    let mut fields = [""; N];
    let mut parts = value.split(separator);
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// Exactly `digits` digits.
fn number(value: &str, digits: usize) -> Option<i32> {
    if value.len() != digits || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    value.parse().ok()
}

fn short_weekday(name: &str) -> Option<Weekday> {
    weekday(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], name)
}

fn long_weekday(name: &str) -> Option<Weekday> {
    weekday(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], name)
}

fn weekday(names: [&str; 7], name: &str) -> Option<Weekday> {
    let at = names.iter().position(|known| *known == name)?;
    Weekday::try_from(u8::try_from(at).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOV_1994: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn at(value: &str) -> Timestamp {
        imf_fixdate(value).unwrap()
    }

    #[test]
    fn seconds_are_digits_only_within_optional_white_space() {
        let now = at(NOV_1994);
        let seconds = |value| retry_after(value, None, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("\t 0 \t"), Some(0));
        for wrong in ["+5", "-5", "5.0", "5s", "", " ", "0x5", "1 2", "\u{661}", "5\n", "1e3"] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn too_many_digits_mean_very_long_and_not_zero() {
        let wait = retry_after("99999999999999999999999999", None, at(NOV_1994)).unwrap();
        assert!(wait > Duration::from_secs(1 << 60));
    }

    #[test]
    fn the_three_forms_of_a_date_are_the_same_instant() {
        let now = at("Sun, 06 Nov 1994 08:49:00 GMT");
        for form in [NOV_1994, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after(form, None, now), Some(Duration::from_secs(37)), "{form}");
        }
        assert_eq!(asctime("Wed Nov 16 08:49:37 1994"), Some(at("Wed, 16 Nov 1994 08:49:37 GMT")));
    }

    #[test]
    fn what_is_not_quite_a_date_is_none() {
        for wrong in [
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun Nov 06x08:49:37 1994",
            "Sun Nov  6 08:49:37 1994 ",
        ] {
            let at = http_date(wrong, at(NOV_1994));
            assert_eq!(at, None, "{wrong}");
        }
    }

    #[test]
    fn a_date_is_measured_against_the_date_of_the_response() {
        let wrong_clock = at("Sun, 06 Nov 1994 07:00:00 GMT");
        let wait = retry_after(NOV_1994, Some(" Sun, 06 Nov 1994 08:49:30 GMT "), wrong_clock);
        assert_eq!(wait, Some(Duration::from_secs(7)));
        let unreadable = retry_after(NOV_1994, Some("yesterday"), at("Sun, 06 Nov 1994 08:49:36 GMT"));
        assert_eq!(unreadable, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_date_in_the_past_leaves_the_wait_to_us() {
        assert_eq!(retry_after(NOV_1994, None, at("Mon, 07 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO));
    }

    #[test]
    fn a_year_of_two_digits_is_at_most_50_years_ahead() {
        let now = at("Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(rfc_850("Friday, 01-Jan-27 00:00:00 GMT", now).unwrap().year(), 2027);
        assert_eq!(rfc_850("Sunday, 06-Nov-94 08:49:37 GMT", now).unwrap().year(), 1994);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in ".{0,40}", date in ".{0,40}", seconds in 0i64..4_000_000_000) {
            let now = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let _wait = retry_after(&header, Some(&date), now);
            let written = now.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            prop_assert_eq!(http_date(&written, now), Some(now));
        }
    }
}
