//! Whose clocks a time of day is read on, and which instant a local time is.
//!
//! A local time is not always one instant: clocks that go forward skip some, and clocks that go back show some twice. What
//! is fixed to a local time happens once all the same: at the first instant after a gap, and the first of two times.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::Timestamp;

/// Whose time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Zone {
    /// UTC.
    Utc,
    /// Always so far from UTC.
    Fixed(FixedOffset),
    /// A named zone with its history of changes, as compiled into the crate `chrono-tz` (feature `tz`).
    #[cfg(feature = "tz")]
    Named(chrono_tz::Tz),
}

/// The text names no zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("zone is {given:?}; allowed is {allowed}")]
pub struct UnknownZone {
    /// What was given.
    pub given: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Which instant a local time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resolved {
    /// The clocks show it once.
    Once(Timestamp),
    /// The clocks skip it; this is the first instant after the gap.
    Skipped(Timestamp),
    /// The clocks show it twice.
    Twice(Timestamp, Timestamp),
}

impl Resolved {
    /// The one instant at which what is fixed to that local time happens.
    #[must_use]
    pub const fn first(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Skipped(at) | Self::Twice(at, _) => at,
        }
    }
}

impl Zone {
    /// What the clocks show at an instant, with how far they are from UTC then.
    ///
    /// ```
    /// use unattended::zone::Zone;
    ///
    /// let zone: Zone = "+02:00".parse()?;
    /// let epoch = chrono::DateTime::UNIX_EPOCH;
    /// assert_eq!(zone.at(epoch).to_string(), "1970-01-01 02:00:00 +02:00");
    /// # Ok::<(), unattended::zone::UnknownZone>(())
    /// ```
    #[must_use]
    pub fn at(self, at: Timestamp) -> DateTime<FixedOffset> {
        at.with_timezone(&self.fixed_offset(at))
    }

    /// How far the clocks are from UTC at an instant; east of it is positive.
    #[must_use]
    pub fn offset(self, at: Timestamp) -> TimeDelta {
        match self {
            Self::Utc => TimeDelta::zero(),
            _ => TimeDelta::seconds(self.fixed_offset(at).local_minus_utc().into()),
        }
    }

    /// The local time at an instant. At the ends of the calendar, where there is none, that of UTC.
    #[must_use]
    pub fn local(self, at: Timestamp) -> NaiveDateTime {
        let utc = at.naive_utc();
        utc.checked_add_signed(self.offset(at)).unwrap_or(utc)
    }

    /// Which instant a local time is.
    #[must_use]
    pub fn resolve(self, local: NaiveDateTime) -> Resolved {
        let less = |offset| local.checked_sub_signed(offset).unwrap_or(local).and_utc();
        match self {
            Self::Utc => Resolved::Once(local.and_utc()),
            Self::Fixed(_) => Resolved::Once(less(self.offset(local.and_utc()))),
            #[cfg(feature = "tz")]
            Self::Named(zone) => match chrono::TimeZone::from_local_datetime(&zone, &local) {
                chrono::MappedLocalTime::Single(at) => Resolved::Once(at.to_utc()),
                chrono::MappedLocalTime::Ambiguous(first, second) => {
                    Resolved::Twice(first.to_utc(), second.to_utc())
                }
                chrono::MappedLocalTime::None => Resolved::Skipped(self.after_gap(local)),
            },
        }
    }

    /// The first instant at which the clocks show `local`, or the first after the gap in which they would.
    #[must_use]
    pub fn first(self, local: NaiveDateTime) -> Timestamp {
        self.resolve(local).first()
    }

    #[cfg_attr(
        not(feature = "tz"),
        allow(unused_variables, reason = "only a named zone changes with the time")
    )]
    fn fixed_offset(self, at: Timestamp) -> FixedOffset {
        match self {
            Self::Utc => chrono::Offset::fix(&chrono::Utc),
            Self::Fixed(offset) => offset,
            #[cfg(feature = "tz")]
            Self::Named(zone) => {
                chrono::Offset::fix(&chrono::TimeZone::offset_from_utc_datetime(&zone, &at.naive_utc()))
            }
        }
    }

    /// The first second whose local time is after `local`, which the clocks skip; searched within 16 hours, the most
    /// that any zone has ever been from UTC.
    #[cfg(feature = "tz")]
    fn after_gap(self, local: NaiveDateTime) -> Timestamp {
        let middle = local.and_utc();
        let at = |seconds| middle.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(middle);
        let (mut before, mut after) = (-16 * 3600, 16 * 3600);
        while after - before > 1 {
            let between = before + (after - before) / 2;
            if self.local(at(between)) > local {
                after = between;
            } else {
                before = between;
            }
        }
        // A gap begins and ends with a whole second; a local time within one may not.
        use chrono::SubsecRound;
        at(after).trunc_subsecs(0)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utc => f.write_str("utc"),
            Self::Fixed(offset) => offset.fmt(f),
            #[cfg(feature = "tz")]
            Self::Named(zone) => f.write_str(zone.name()),
        }
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    /// Reads `utc`, an offset such as `+02:00`, or (feature `tz`) a name such as `Europe/Berlin`.
    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::Utc);
        }
        #[cfg(feature = "tz")]
        if let Ok(zone) = text.parse() {
            return Ok(Self::Named(zone));
        }
        let allowed = if cfg!(feature = "tz") {
            "utc, an offset such as +02:00, or a name such as Europe/Berlin"
        } else {
            "utc, an offset such as +02:00, or (feature `tz`) a name such as Europe/Berlin"
        };
        text.parse()
            .map(Self::Fixed)
            .map_err(|_| UnknownZone { given: crate::base::text::shortened(text, 120), allowed })
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
