//! Whole numbers, and others.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};

use super::invalid;
use crate::decide::contract::build::Error;

/// A whole number. By default any, of up to 1024 digits.
#[derive(Clone, Debug, Default)]
pub struct Integer {
    least: Option<i128>,
    most: Option<i128>,
}

impl Integer {
    /// Which it may be.
    #[must_use]
    pub fn within(mut self, range: impl RangeBounds<i128>) -> Self {
        self.least = match range.start_bound() {
            Bound::Included(least) => Some(*least),
            Bound::Excluded(below) => Some(below.saturating_add(1)),
            Bound::Unbounded => None,
        };
        self.most = match range.end_bound() {
            Bound::Included(most) => Some(*most),
            Bound::Excluded(above) => Some(above.saturating_sub(1)),
            Bound::Unbounded => None,
        };
        self
    }

    /// Whether the number is among those.
    pub(in crate::decide::contract) fn has(&self, value: Whole) -> bool {
        match value {
            Whole::Is(value) => {
                self.least.is_none_or(|least| least <= value) && self.most.is_none_or(|most| value <= most)
            }
            Whole::Above => self.most.is_none(),
            Whole::Below => self.least.is_none(),
        }
    }

    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        match (self.least, self.most) {
            (Some(least), Some(most)) if least > most => {
                Err(invalid(path, "within", format!("{least} to {most}"), "a least that is at most the most"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")?;
        match (self.least, self.most) {
            (None, None) => Ok(()),
            (Some(least), None) => write!(f, ", at least {least}"),
            (None, Some(most)) => write!(f, ", at most {most}"),
            (Some(least), Some(most)) => write!(f, " from {least} to {most}"),
        }
    }
}

/// A whole number as an `i128`, or on which side of all of those it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decide::contract) enum Whole {
    Is(i128),
    Above,
    Below,
}

impl Whole {
    /// The number that `text`, a number of JSON, writes; `None` if it has a fraction.
    pub(in crate::decide::contract) fn of(text: &str) -> Option<Self> {
        if let Ok(value) = text.parse() {
            return Some(Self::Is(value));
        }
        let negative = text.starts_with('-');
        let size = text.trim_start_matches('-');
        let (mantissa, exponent) = size.split_once(['e', 'E']).unwrap_or((size, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Some(Self::Is(0));
        }
        let significant = significant.trim_end_matches('0');
        // How many zeros stand behind the significant digits: below zero, and there is a fraction.
        let dropped = digits.len() - digits.trim_end_matches('0').len();
        let zeros = i64::try_from(dropped).ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let zeros = zeros.saturating_add(bounded(exponent));
        let zeros = usize::try_from(zeros).ok()?;
        let beyond = if negative { Self::Below } else { Self::Above };
        if significant.len().saturating_add(zeros) > 39 {
            return Some(beyond);
        }
        let sign = if negative { "-" } else { "" };
        Some(format!("{sign}{significant}{}", "0".repeat(zeros)).parse().map_or(beyond, Self::Is))
    }
}

/// An exponent; beyond a million there is no difference.
fn bounded(exponent: &str) -> i64 {
    const MOST: i64 = 1_000_000;
    let digits = exponent.trim_start_matches(['+', '-']);
    let size = match digits.trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().unwrap_or(MOST).min(MOST),
    };
    if exponent.starts_with('-') { -size } else { size }
}

/// A number. By default any that an `f64` can hold.
#[derive(Clone, Debug)]
pub struct Number {
    least: Bound<f64>,
    most: Bound<f64>,
}

impl Default for Number {
    fn default() -> Self {
        Self { least: Bound::Unbounded, most: Bound::Unbounded }
    }
}

impl Number {
    /// Which it may be.
    #[must_use]
    pub fn within(mut self, range: impl RangeBounds<f64>) -> Self {
        self.least = range.start_bound().cloned();
        self.most = range.end_bound().cloned();
        self
    }

    /// Whether the number that `text`, a number of JSON, writes is among those.
    pub(in crate::decide::contract) fn has(&self, text: &str) -> bool {
        let Ok(value) = text.parse::<f64>() else { return false };
        // So small that it would become zero.
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let vanishes = value == 0.0 && mantissa.contains(|c: char| matches!(c, '1'..='9'));
        value.is_finite() && !vanishes && (self.least, self.most).contains(&value)
    }

    pub(super) fn check(&self, path: &str) -> Result<(), Error> {
        let end = |bound| match bound {
            Bound::Included(end) | Bound::Excluded(end) => Some(end),
            Bound::Unbounded => None,
        };
        let (least, most) = (end(self.least), end(self.most));
        if [least, most].into_iter().flatten().any(|end| !end.is_finite()) {
            return Err(invalid(path, "within", self, "ends that are finite numbers"));
        }
        let open = matches!(self.most, Bound::Excluded(_)) || matches!(self.least, Bound::Excluded(_));
        let fits = match (least, most) {
            (Some(least), Some(most)) => match least.partial_cmp(&most) {
                Some(Ordering::Less) => true,
                Some(Ordering::Equal) => !open,
                Some(Ordering::Greater) | None => false,
            },
            _ => true,
        };
        if fits { Ok(()) } else { Err(invalid(path, "within", self, "a least that is at most the most")) }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")?;
        match self.least {
            Bound::Included(least) => write!(f, ", at least {least}")?,
            Bound::Excluded(least) => write!(f, ", above {least}")?,
            Bound::Unbounded => {}
        }
        match self.most {
            Bound::Included(most) => write!(f, ", at most {most}"),
            Bound::Excluded(most) => write!(f, ", below {most}"),
            Bound::Unbounded => Ok(()),
        }
    }
}
