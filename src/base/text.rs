//! What people write and read: durations, sizes, instants, rates, and text that is safe to show on a terminal.
//!
//! Durations are written `90s`, `5m`, `12h`, `7d`, `1h30m`; sizes `512MiB`; rates `1/s`, `60/min`; instants as RFC 3339
//! or as a duration ago.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{NaiveTime, Timelike, Weekday};

use crate::base::time::{Timestamp, between};

/// The longest duration that is taken: a hundred years.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// A text is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no {what}; allowed is {allowed}")]
pub struct Invalid {
    /// What it should be.
    pub what: &'static str,
    /// What was given.
    pub given: String,
    /// What is allowed.
    pub allowed: &'static str,
}

const DURATION: &str =
    "whole numbers with ms, s, m, h, d or w, such as 90s, 5m, 12h, 7d or 1h30m, up to 100 years";

/// Units of a duration in milliseconds, largest first.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The duration that `text` writes: numbers with units, added up.
///
/// ```
/// use std::time::Duration;
/// use unattended::text;
///
/// assert_eq!(text::duration("90s"), Ok(Duration::from_secs(90)));
/// assert_eq!(text::duration("1h30m"), Ok(Duration::from_secs(5400)));
/// assert!(text::duration("90").is_err(), "90 of what?");
/// ```
///
/// # Errors
/// Anything else, and more than [`DURATION_MAX`].
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let invalid = || Invalid { what: "duration", given: shortened(text, 60), allowed: DURATION };
    let mut rest = text.trim();
    let mut sum = 0u64;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split(after, |c| !c.is_ascii_alphabetic());
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        sum = number.checked_mul(*millis).and_then(|part| sum.checked_add(part)).ok_or_else(invalid)?;
        rest = after;
    }
    let sum = Duration::from_millis(sum);
    if sum > DURATION_MAX { Err(invalid()) } else { Ok(sum) }
}

/// A duration as [`duration`] reads it, to the millisecond: `1h30m`.
#[must_use]
pub fn exact(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    // Weeks are read, and written as days, which people count in.
    for (name, millis) in UNITS.into_iter().skip(1) {
        let count = rest / millis;
        rest %= millis;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    if text.is_empty() { String::from("0s") } else { text }
}

/// A duration for a glance: its two largest units, or seconds with a digit behind the point.
///
/// ```
/// use std::time::Duration;
/// use unattended::text;
///
/// assert_eq!(text::about(Duration::from_millis(1420)), "1.4 s");
/// assert_eq!(text::about(Duration::from_secs(125)), "2 min 5 s");
/// ```
#[must_use]
pub fn about(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis < 100 {
        return format!("{millis} ms");
    }
    // Rounded first, so that 59.96 s is not "60.0 s".
    let tenths = millis.saturating_add(50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = millis.saturating_add(500) / 1000;
    let two = |large: u64, large_name: &str, small: u64, small_name: &str| match small {
        0 => format!("{large} {large_name}"),
        _ => format!("{large} {large_name} {small} {small_name}"),
    };
    match seconds {
        0..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// How far `at` is from `now`, in one unit: `3 min ago`, `in 2 h`, `just now`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let one = |far: Duration| {
        let seconds = far.as_secs();
        match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min", seconds / 60),
            3600..172_800 => format!("{} h", seconds / 3600),
            _ => format!("{} d", seconds / 86_400),
        }
    };
    let (ago, ahead) = (between(at, now), between(now, at));
    if ago.as_secs() > 0 {
        format!("{} ago", one(ago))
    } else if ahead.as_secs() > 0 {
        format!("in {}", one(ahead))
    } else {
        String::from("just now")
    }
}

/// The instant that `text` writes: RFC 3339, or a duration before `now`.
///
/// # Errors
/// Anything else; an instant before the calendar begins.
pub fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Invalid> {
    let invalid = || Invalid {
        what: "instant",
        given: shortened(text, 60),
        allowed: "RFC 3339 such as 2026-11-22T01:02:03Z, or a duration ago such as 12h",
    };
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(at.to_utc());
    }
    let ago = duration(text).map_err(|_| invalid())?;
    chrono::TimeDelta::from_std(ago).ok().and_then(|ago| now.checked_sub_signed(ago)).ok_or_else(invalid)
}

/// As much of the beginning of `text` as fits into `bytes`, without a torn character.
pub(crate) fn head(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

const SIZE: &str = "a whole number with B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, such as 512MiB";

/// Units of a size in bytes, binary ones first.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// The bytes that `text` writes.
///
/// # Errors
/// Anything but a whole number with a unit, and more bytes than a `u64` counts.
pub fn size(text: &str) -> Result<u64, Invalid> {
    let invalid = || Invalid { what: "size", given: shortened(text, 60), allowed: SIZE };
    let (number, unit) = split(text.trim(), |c| !c.is_ascii_digit());
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(invalid)?;
    number.checked_mul(*bytes).ok_or_else(invalid)
}

/// Bytes for a glance: `512 B`, `1.5 MiB`.
#[must_use]
pub fn about_size(bytes: u64) -> String {
    // Rounding up to 1024 of one unit would be better said as 1.0 of the next: hence the limit a little below.
    for (name, unit) in SIZES.into_iter().take(4) {
        let tenths = u128::from(bytes) * 10 + u128::from(unit) / 2;
        let tenths = tenths / u128::from(unit);
        if tenths >= 10 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// So many in a time: `1/s`, `60/min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

impl Rate {
    /// How long after the first the `index`-th (from 0) may come.
    #[must_use]
    pub fn offset(self, index: u64) -> Duration {
        let nanos = self.per.as_nanos().saturating_mul(u128::from(index)) / u128::from(self.count.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The rate that `text` writes.
///
/// # Errors
/// Anything but a whole number above 0, a slash and one of s, min, h, d.
pub fn rate(text: &str) -> Result<Rate, Invalid> {
    let invalid = || Invalid {
        what: "rate",
        given: shortened(text, 60),
        allowed: "a whole number above 0, a slash and s, min, h or d, such as 1/s or 60/min",
    };
    let (count, per) = text.trim().split_once('/').ok_or_else(invalid)?;
    let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(invalid)?;
    let seconds = match per {
        "s" => 1,
        "min" | "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(invalid()),
    };
    Ok(Rate { count, per: Duration::from_secs(seconds) })
}

/// `text` for a terminal: control characters, and those that turn the direction of writing, are written as escapes.
///
/// What an error message carries comes from anywhere; it must not move the cursor or hide what stands beside it.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    if !text.contains(hides) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hides(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// `text`, cut to at most `chars` characters, the last of them an ellipsis if it was cut.
#[must_use]
pub fn shortened(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

/// An instant in UTC to the second, as it is written for people: `2026-11-22 01:02:03`.
#[must_use]
pub fn second(at: Timestamp) -> impl fmt::Display {
    at.format("%Y-%m-%d %H:%M:%S")
}

/// A time of day as people write it: without seconds where there are none.
pub(crate) fn time_of_day(at: NaiveTime) -> impl fmt::Display {
    at.format(match (at.second(), at.nanosecond()) {
        (0, 0) => "%H:%M",
        (_, 0) => "%H:%M:%S",
        _ => "%H:%M:%S%.f",
    })
}

/// A day of the week by its whole name.
pub(crate) const fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

/// An instant as it is written for programs: RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn split(text: &str, at: impl FnMut(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn durations_are_read() {
        let read = |text| duration(text).map(|d| d.as_millis());
        assert_eq!(read("90s"), Ok(90_000));
        assert_eq!(read("5m"), Ok(300_000));
        assert_eq!(read("12h"), Ok(43_200_000));
        assert_eq!(read("7d"), Ok(604_800_000));
        assert_eq!(read("1w"), read("7d"));
        assert_eq!(read("1h30m250ms"), Ok(5_400_250));
        assert_eq!(read(" 0s "), Ok(0));
        for wrong in
            ["", " ", "90", "s", "1.5h", "-5m", "5 m", "5M", "1h30", "5µs", "１s", "99999999999999999999s"]
        {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        assert!(duration("18446744073709551615ms").is_err(), "beyond the bound");
        assert!(duration("18446744073709551615ms1s").is_err(), "the sum must not overflow");
    }

    #[test]
    fn durations_at_a_glance() {
        let shown = |ms| about(Duration::from_millis(ms));
        assert_eq!(shown(0), "0 ms");
        assert_eq!(shown(99), "99 ms");
        assert_eq!(shown(100), "0.1 s");
        assert_eq!(shown(1449), "1.4 s");
        assert_eq!(shown(59_940), "59.9 s");
        assert_eq!(shown(59_960), "1 min", "never 60.0 s");
        assert_eq!(shown(3_599_700), "1 h", "never 60 min");
        assert_eq!(shown(90_000), "1 min 30 s");
        assert_eq!(shown(5_400_000), "1 h 30 min");
        assert_eq!(shown(90_000_000), "1 d 1 h");
        assert!(!about(Duration::MAX).is_empty());
    }

    #[test]
    fn instants_are_absolute_or_ago() {
        let now = at("2026-11-22T12:00:00Z");
        assert_eq!(instant("2026-11-22T13:00:00+01:00", now), Ok(now));
        assert_eq!(instant("12h", now), Ok(at("2026-11-22T00:00:00Z")));
        assert!(instant("yesterday", now).is_err());
        assert!(instant("1h", Timestamp::MIN_UTC).is_err(), "before the calendar");
        assert_eq!(relative(at("2026-11-22T11:57:00Z"), now), "3 min ago");
        assert_eq!(relative(at("2026-11-22T14:00:00Z"), now), "in 2 h");
        assert_eq!(relative(now, now), "just now");
        assert_eq!(relative(at("2026-11-12T12:00:00Z"), now), "10 d ago");
    }

    #[test]
    fn sizes() {
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(size("10 GiB"), Ok(10 << 30));
        assert_eq!(size("5kB"), Ok(5000));
        for wrong in ["", "5", "MiB", "1.5GiB", "-1B", "18446744073709551615KiB"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(about_size(0), "0 B");
        assert_eq!(about_size(512), "512 B");
        assert_eq!(about_size(3 << 19), "1.5 MiB");
        assert_eq!(about_size(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn rates_spread_evenly() {
        let sixty = rate("60/min").unwrap();
        assert_eq!(sixty.offset(0), Duration::ZERO);
        assert_eq!(sixty.offset(90), Duration::from_secs(90));
        assert_eq!(rate("3/s").unwrap().offset(3), Duration::from_secs(1), "no rounding adds up");
        for wrong in ["", "1", "0/s", "-1/s", "1/fortnight", "/s", "1/"] {
            assert!(rate(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_moves_the_cursor_is_written_out() {
        assert_eq!(shown("a\x1b[2Jb\nc\u{202e}d"), r"a\u{1b}[2Jb\nc\u{202e}d");
        assert!(matches!(shown("naïve – ok"), Cow::Borrowed(_)));
        assert_eq!(shortened("äöüß", 3), "äö…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ms in 0..=u64::try_from(DURATION_MAX.as_millis()).unwrap()) {
            let duration_given = Duration::from_millis(ms);
            prop_assert_eq!(duration(&exact(duration_given)), Ok(duration_given));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let now = Timestamp::UNIX_EPOCH;
            drop((duration(&text), size(&text), rate(&text), instant(&text, now)));
            prop_assert!(shortened(&text, 5).chars().count() <= 5);
        }
    }
}
