//! What was read.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::text::{shortened, shown};
use crate::base::time::nanos;
use crate::decide::gate::signal::Signal;

/// More of why something cannot be read is not kept.
const WHY_MAX: usize = 200;

/// What a signal said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reading {
    /// A number, in the unit of its signal.
    Number(f64),
    /// Yes or no.
    Is(bool),
    /// It takes two looks, and this was the first: it will be known after this long.
    Measuring(#[serde(with = "as_nanos")] std::time::Duration),
    /// It cannot be read, and why.
    Missing(String),
}

impl Reading {
    /// It cannot be read, for this reason.
    #[must_use]
    pub fn missing(why: impl fmt::Display) -> Self {
        Self::Missing(shortened(&shown(&why.to_string()), WHY_MAX))
    }
}

impl From<f64> for Reading {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Reading {
    fn from(is: bool) -> Self {
        Self::Is(is)
    }
}

impl<T: Into<Self>> From<Option<T>> for Reading {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(|| Self::missing("nothing was said"), Into::into)
    }
}

impl<T: Into<Self>, E: fmt::Display> From<Result<T, E>> for Reading {
    fn from(value: Result<T, E>) -> Self {
        value.map_or_else(Self::missing, Into::into)
    }
}

/// What the machine was doing at one instant, as far as somebody asked.
///
/// ```
/// use unattended::gate::{Reading, Sample, Signal};
///
/// let sample = Sample::new().with(Signal::Cpu, 12.5).with(Signal::Mounted("/data".into()), true);
/// assert_eq!(sample.get(&Signal::Cpu), Some(&Reading::Number(12.5)));
/// assert_eq!(sample.get(&Signal::Memory), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    readings: Vec<(Signal, Reading)>,
}

impl Sample {
    /// One that holds nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { readings: Vec::new() }
    }

    /// The same with a reading; what it held of that signal is replaced.
    #[must_use]
    pub fn with(mut self, signal: Signal, reading: impl Into<Reading>) -> Self {
        self.set(signal, reading.into());
        self
    }

    /// Takes a reading in; what it held of that signal is replaced.
    pub fn set(&mut self, signal: Signal, reading: Reading) {
        match self.readings.iter_mut().find(|(held, _)| *held == signal) {
            Some((_, held)) => *held = reading,
            None => self.readings.push((signal, reading)),
        }
    }

    /// What a signal said, if it was asked.
    #[must_use]
    pub fn get(&self, signal: &Signal) -> Option<&Reading> {
        self.readings.iter().find_map(|(held, reading)| (held == signal).then_some(reading))
    }

    /// All that was read, in the order in which it was.
    pub fn iter(&self) -> impl Iterator<Item = (&Signal, &Reading)> {
        self.readings.iter().map(|(signal, reading)| (signal, reading))
    }
}

/// Durations in whole nanoseconds: a saved gate goes on exactly where it was.
pub(super) mod as_nanos {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::decide::gate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(super::nanos(*duration))
    }

    pub(in crate::decide::gate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}
