//! Spans of time in systemd's words: `1h 30min`.

use std::time::Duration;

use crate::act::systemd::error::Error;

/// Ten years and some days: longer than any schedule's period.
const SPAN_MAX: Duration = Duration::from_secs(3660 * 86_400);

/// The units that are written, the largest first, in microseconds.
const UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1000),
    ("us", 1),
];

/// The words that systemd.time(7) has for them, in microseconds.
const WORDS: [(&[&str], u64); 9] = [
    (&["usec", "us", "µs"], 1),
    (&["msec", "ms"], 1000),
    (&["seconds", "second", "sec", "s"], 1_000_000),
    (&["minutes", "minute", "min", "m"], 60_000_000),
    (&["hours", "hour", "hr", "h"], 3_600_000_000),
    (&["days", "day", "d"], 86_400_000_000),
    (&["weeks", "week", "w"], 604_800_000_000),
    (&["months", "month", "M"], 2_629_800_000_000),
    (&["years", "year", "y"], 31_557_600_000_000),
];

/// As systemd writes it, to the microsecond.
pub(super) fn text(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (name, micros) in UNITS {
        if rest >= micros {
            parts.push(format!("{}{name}", rest / micros));
            rest %= micros;
        }
    }
    if parts.is_empty() { String::from("0") } else { parts.join(" ") }
}

/// The same, for a span that is one: at least a microsecond, at most 3660 days.
pub(super) fn checked(field: &'static str, span: Duration) -> Result<String, Error> {
    if span.as_micros() == 0 || span > SPAN_MAX {
        return Err(Error::field(field, format!("{span:?}"), "1 µs to 3660 days"));
    }
    Ok(text(span))
}

/// What systemd reads. `None` for what it does not read, and for `infinity`.
pub(super) fn read(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut micros: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (word, after) = after.split_at(end);
        let number: u64 = number.parse().ok()?;
        let unit = match word {
            "" => 1_000_000,
            _ => WORDS.iter().find(|(words, _)| words.contains(&word))?.1,
        };
        micros = number.checked_mul(unit).and_then(|part| micros.checked_add(part))?;
        rest = after.trim_start();
    }
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_as_it_was_written() {
        for (span, expected) in [
            (Duration::from_micros(1), "1us"),
            (Duration::from_millis(1500), "1s 500ms"),
            (Duration::from_secs(90), "1min 30s"),
            (Duration::from_secs(5400), "1h 30min"),
            (Duration::from_secs(86_400 * 3), "3d"),
            (Duration::from_nanos(86_461_001_001_000), "1d 1min 1s 1ms 1us"),
        ] {
            assert_eq!(text(span), expected);
            assert_eq!(read(expected), Some(span));
        }
        assert_eq!(read("50"), Some(Duration::from_secs(50)));
        assert_eq!(read("5min 20s"), Some(Duration::from_secs(320)));
        assert_eq!(read("2 h"), Some(Duration::from_secs(7200)));
        for not in ["", "infinity", "5 fortnights", "s", "99999999999999999999", "-1"] {
            assert_eq!(read(not), None, "{not}");
        }
    }

    #[test]
    fn no_span_at_all_and_one_of_ages_are_refused() {
        assert!(checked("x", Duration::from_nanos(999)).is_err());
        assert!(checked("x", Duration::MAX).is_err());
        assert_eq!(checked("x", Duration::from_secs(1)).unwrap(), "1s");
    }
}
