//! Why: times of one order can be compared as text, whatever program wrote them.

/// A time in ISO 8601, `2015-10-18T18:01:47.978+02:00`, kept without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    bytes: [u8; Self::BYTES_MAX],
    len: u8,
}

impl Stamp {
    /// `2015-10-18T18:01:47.123456789+02:00`
    const BYTES_MAX: usize = 35;

    const EMPTY: Self = Self { bytes: [0; Self::BYTES_MAX], len: 0 };

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Appends; what has no room is left out (the callers bound what they append).
    fn push(&mut self, bytes: &[u8]) {
        let from = usize::from(self.len);
        if let Some(room) = self.bytes.get_mut(from..from + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len = u8::try_from(from + bytes.len()).unwrap_or(self.len);
        }
    }
}

impl std::fmt::Debug for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a time at the start of `text`: `2015-10-18 18:01:47,978`, `2015-10-18T18:01:47.978Z`, `2015/10/18 18:01:47 +0200`.
/// Returns it with the number of bytes it takes.
pub(super) fn iso(text: &str) -> Option<(Stamp, usize)> {
    let bytes = text.as_bytes();
    let date = bytes.get(..10)?;
    let separator = *bytes.get(10)?;
    let dashed = date[4] == date[7] && matches!(date[4], b'-' | b'/');
    if !dashed || !matches!(separator, b' ' | b'T') || !digits(&date[..4]) {
        return None;
    }
    if !in_range(&date[5..7], 1, 12) || !in_range(&date[8..], 1, 31) {
        return None;
    }
    let time = bytes.get(11..19).filter(|time| time_of_day(time))?;
    let mut stamp = Stamp::EMPTY;
    stamp.push(&date[..4]);
    stamp.push(b"-");
    stamp.push(&date[5..7]);
    stamp.push(b"-");
    stamp.push(&date[8..]);
    stamp.push(b"T");
    stamp.push(time);
    let mut taken = 19 + push_fraction(&mut stamp, &bytes[19..])?;
    taken += push_zone(&mut stamp, &bytes[taken..]);
    ends(bytes, taken).then_some((stamp, taken))
}

/// Reads the time of Apache's error log, `Sun Dec 04 04:47:44.123456 2005`, which must be all of `text`.
pub(super) fn apache(text: &str) -> Option<Stamp> {
    let bytes = text.as_bytes();
    if bytes.get(3) != Some(&b' ') {
        return None;
    }
    let (month, day, time) = month_day_time(bytes.get(4..19)?)?;
    let mut fraction = Stamp::EMPTY;
    let taken = 19 + push_fraction(&mut fraction, &bytes[19..])?;
    let year = bytes[taken..].strip_prefix(b" ").filter(|year| year.len() == 4 && digits(year))?;
    let mut stamp = Stamp::EMPTY;
    stamp.push(year);
    stamp.push(b"-");
    stamp.push(month);
    stamp.push(b"-");
    stamp.push(&[if day[0] == b' ' { b'0' } else { day[0] }, day[1]]);
    stamp.push(b"T");
    stamp.push(time);
    stamp.push(fraction.as_str().as_bytes());
    Some(stamp)
}

/// Whether `text` begins with the 15 bytes of a syslog time, `Jun 14 15:16:01`.
pub(super) fn is_syslog(text: &str) -> bool {
    text.as_bytes().get(..15).is_some_and(|bytes| month_day_time(bytes).is_some())
}

/// `Jun 14 15:16:01` or `Jun  4 15:16:01`: the number of the month, the day, the time of day.
fn month_day_time(bytes: &[u8]) -> Option<(&'static [u8], &[u8], &[u8])> {
    let month: &[u8] = match bytes.get(..4)? {
        b"Jan " => b"01",
        b"Feb " => b"02",
        b"Mar " => b"03",
        b"Apr " => b"04",
        b"May " => b"05",
        b"Jun " => b"06",
        b"Jul " => b"07",
        b"Aug " => b"08",
        b"Sep " => b"09",
        b"Oct " => b"10",
        b"Nov " => b"11",
        b"Dec " => b"12",
        _ => return None,
    };
    let (day, time) = (bytes.get(4..6)?, bytes.get(7..15)?);
    let padded = day[0] == b' ' && matches!(day[1], b'1'..=b'9');
    let valid = (padded || in_range(day, 1, 31)) && bytes[6] == b' ' && time_of_day(time);
    valid.then_some((month, day, time))
}

/// Appends `.978` for `.978` or `,978`; returns the bytes taken, none if there are more than nine digits.
fn push_fraction(stamp: &mut Stamp, bytes: &[u8]) -> Option<usize> {
    let [b'.' | b',', rest @ ..] = bytes else { return Some(0) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match count {
        0 => Some(0),
        1..=9 => {
            stamp.push(b".");
            stamp.push(&rest[..count]);
            Some(count + 1)
        }
        _ => None,
    }
}

/// Appends the offset from UTC, if there is one; returns the bytes taken.
fn push_zone(stamp: &mut Stamp, bytes: &[u8]) -> usize {
    if bytes.first() == Some(&b'Z') {
        stamp.push(b"Z");
        return 1;
    }
    let blank = usize::from(bytes.first() == Some(&b' '));
    let zone = &bytes[blank..];
    if blank == 1 && (zone.starts_with(b"UTC") || zone.starts_with(b"GMT")) && ends(zone, 3) {
        stamp.push(b"Z");
        return 4;
    }
    let [b'+' | b'-', hour @ ..] = zone else { return 0 };
    if !hour.get(..2).is_some_and(|hour| in_range(hour, 0, 23)) {
        return 0;
    }
    let colon = usize::from(hour.get(2) == Some(&b':'));
    let minute = hour.get(2 + colon..4 + colon).filter(|minute| in_range(minute, 0, 59));
    // `-08` after a blank may as well be a number of its own.
    let taken = match minute {
        Some(_) => 5 + colon,
        None if blank == 0 => 3,
        None => return 0,
    };
    if !ends(zone, taken) {
        return 0;
    }
    stamp.push(&zone[..3]);
    stamp.push(b":");
    stamp.push(minute.unwrap_or(b"00"));
    blank + taken
}

/// Whether a word that takes `taken` bytes ends there.
fn ends(bytes: &[u8], taken: usize) -> bool {
    bytes.get(taken).is_none_or(|next| !next.is_ascii_alphanumeric() && *next < 0x80)
}

fn time_of_day(bytes: &[u8]) -> bool {
    bytes.len() == 8
        && bytes[2] == b':'
        && bytes[5] == b':'
        && in_range(&bytes[..2], 0, 23)
        && in_range(&bytes[3..5], 0, 59)
        // A leap second is 60.
        && in_range(&bytes[6..], 0, 60)
}

fn in_range(two: &[u8], min: u8, max: u8) -> bool {
    match two {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            (min..=max).contains(&((tens - b'0') * 10 + (ones - b'0')))
        }
        _ => false,
    }
}

fn digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}
