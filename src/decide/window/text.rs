//! Windows as people write them.

use std::fmt;
use std::str::FromStr;

use chrono::{NaiveTime, Weekday};

use crate::base::text::{shortened, time_of_day};
use crate::base::zone::{UnknownZone, Zone};
use crate::decide::window::week::{EVERY_DAY, Segment};
use crate::decide::window::{Builder, Error, Window};

/// How much of what was given is said in an error.
const GIVEN_MAX: usize = 120;

/// The text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A part does not read as what it should be.
    #[error("{part} is {given:?}; allowed is {allowed}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What stands there.
        given: String,
        /// What may.
        allowed: &'static str,
    },
    /// The zone is not known.
    #[error("the zone of a window")]
    Zone(#[from] UnknownZone),
    /// Two zones.
    #[error("the zone is given twice: {first} and {second}")]
    TwoZones {
        /// The one.
        first: Zone,
        /// The other.
        second: Zone,
    },
    /// It reads, but is no window.
    #[error(transparent)]
    Window(#[from] Error),
}

impl FromStr for Window {
    type Err = ParseError;

    /// Reads `09:00-22:00 Mon-Fri Europe/Paris`: hours, then days, then a zone.
    ///
    /// Hours are `HH:MM` or `HH:MM:SS`; an end that is not after the beginning is on the day after, `24:00` is the end of the
    /// day. Days are the English names or their first three letters, as lists and ranges (`Mon,Wed-Fri`), and ranges may go
    /// over the end of the week (`Fri-Mon`); without any it is each day. The zone is as [`Zone`] reads it; without one it is
    /// `utc`. Several hours stand beside each other with `;` (`09:00-12:00 Mon-Fri; 10:00-14:00 Sat Europe/Paris`), and the
    /// zone, wherever it stands, is that of all.
    ///
    /// ```
    /// use unattended::window::Window;
    ///
    /// let window: Window = "22:00-06:00 fri-sun; 09:00-12:00 +02:00".parse()?;
    /// assert_eq!(window.to_string(), "22:00-06:00 Fri-Sun; 09:00-12:00 +02:00");
    /// # Ok::<(), unattended::window::ParseError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (mut segments, mut zone) = (Vec::new(), None);
        for part in text.split(';') {
            segments.push(segment(part, &mut zone)?);
        }
        let builder = Builder::new(zone.unwrap_or(Zone::Utc));
        Ok(segments.into_iter().fold(builder, Builder::segment).build()?)
    }
}

impl fmt::Display for Window {
    /// The hours and the zone, as [`FromStr`] reads them; what is closed is not in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sign = "";
        for hours in &self.inner.segments {
            write!(f, "{sign}{}-", time_of_day(hours.open))?;
            if hours.close == NaiveTime::MIN {
                f.write_str("24:00")?
            } else {
                write!(f, "{}", time_of_day(hours.close))?
            }
            days(f, hours.days)?;
            sign = "; ";
        }
        write!(f, " {}", self.inner.zone)
    }
}

fn segment(text: &str, zone: &mut Option<Zone>) -> Result<Segment, ParseError> {
    let mut words = text.split_whitespace();
    let given = words.next().unwrap_or_default();
    let wrong = || ParseError::Part {
        part: "hours",
        given: shortened(given, GIVEN_MAX),
        allowed: "from-to, each HH:MM or HH:MM:SS, such as 09:00-22:00",
    };
    let (open, close) = given.split_once('-').ok_or_else(wrong)?;
    let open = time(open).ok_or_else(wrong)?;
    let close = if close == "24:00" { NaiveTime::MIN } else { time(close).ok_or_else(wrong)? };
    let mut days = None;
    for word in words {
        match weekdays(word) {
            Some(read) if days.is_none() => days = Some(read),
            Some(_) => {
                let allowed = "one list of days, such as Mon,Wed-Fri";
                return Err(ParseError::Part { part: "days", given: shortened(word, GIVEN_MAX), allowed });
            }
            None => {
                let second = word.parse()?;
                if let Some(first) = zone.replace(second).filter(|first| *first != second) {
                    return Err(ParseError::TwoZones { first, second });
                }
            }
        }
    }
    Ok(Segment { days: days.unwrap_or(EVERY_DAY), open, close })
}

fn time(text: &str) -> Option<NaiveTime> {
    // Two digits each: what is shorter would leave it open whether 9:5 is five past nine.
    let bytes = text.as_bytes();
    let seconds = bytes.len() == 5 || (bytes.get(5) == Some(&b':') && bytes.len() >= 8);
    if bytes.get(2) != Some(&b':') || !seconds {
        return None;
    }
    NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S%.f")).ok()
}

/// A list of days and ranges of them; `None` if it is none.
fn weekdays(text: &str) -> Option<u8> {
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last): (Weekday, Weekday) = (first.parse().ok()?, last.parse().ok()?);
        days |= 1 << day.num_days_from_monday();
        for _ in 0..6 {
            if day == last {
                break;
            }
            day = day.succ();
            days |= 1 << day.num_days_from_monday();
        }
    }
    Some(days)
}

/// The days as ranges from Monday on; nothing if it is each day.
fn days(f: &mut fmt::Formatter<'_>, days: u8) -> fmt::Result {
    const WEEK: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
    if days == EVERY_DAY {
        return Ok(());
    }
    let ranges = WEEK.chunk_by(|one, next| wants(days, *one) && wants(days, *next));
    let mut sign = ' ';
    for range in ranges.filter(|range| range.iter().all(|day| wants(days, *day))) {
        match range {
            [one] => write!(f, "{sign}{one}")?,
            [first, .., last] => write!(f, "{sign}{first}-{last}")?,
            [] => {}
        }
        sign = ',';
    }
    Ok(())
}

const fn wants(days: u8, day: Weekday) -> bool {
    days & (1 << day.num_days_from_monday()) != 0
}
