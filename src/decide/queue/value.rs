//! What it is worth to have the work done, so long after it was submitted. It never rises, by construction.
//!
//! These are the time/utility functions of Jensen, Locke and Tokuda ("A time-driven scheduling model for real-time operating
//! systems", RTSS 1985), less those that rise: since a worth never rises, one that was computed earlier is an upper bound.

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::nanos;
use crate::decide::queue::error::Error;

const WORTH_MAX: f64 = 1e12;
const STEPS_MAX: usize = 64;
const MICRO: u64 = 1000;
/// A hundred years, so that nanoseconds fit into 64 bits and microseconds into the mantissa of a number in JSON.
const TIME_MAX: Duration = Duration::from_secs(36_500 * 86_400);
/// A task is taken to last at least this long: without it the shortest would be worth infinitely much a second.
const TICK: Duration = Duration::from_millis(1);

/// What it is worth to have the work done, so long after it was submitted; it never rises.
///
/// A worth is 0 to 10^12, in any unit that all tasks of a queue share. Times are kept to the microsecond and are at most 100
/// years. As JSON, with times in milliseconds: `{"step":5}`, `{"linear":{"v":5,"from":0,"to":500}}`,
/// `{"half_life":{"v":5,"h":100,"floor":1}}`, `{"steps":[[0,5],[100,1]]}`; what is read is checked by the same bounds.
///
/// ```
/// use std::time::Duration;
/// use unattended::queue::Value;
///
/// let fading = Value::linear(8.0, Duration::from_secs(10), Duration::from_secs(20))?;
/// assert_eq!(fading.after(Duration::from_secs(10)), 8.0);
/// assert_eq!(fading.after(Duration::from_secs(15)), 4.0);
/// assert_eq!(fading.after(Duration::from_secs(20)), 0.0);
///
/// let rising = [(Duration::ZERO, 1.0), (Duration::from_secs(1), 2.0)];
/// assert!(Value::steps(rising).is_err());
/// # Ok::<(), unattended::queue::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Value(pub(super) Shape);

/// Times in nanoseconds after submission.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Step(f64),
    Linear { v: f64, from: u64, to: u64 },
    HalfLife { v: f64, h: u64, floor: f64 },
    Steps(Arc<[(u64, f64)]>),
}

impl Default for Value {
    /// [`Value::ONE`].
    fn default() -> Self {
        Self::ONE
    }
}

impl Value {
    /// Worth 1 until the deadline: what a task is worth of which nothing else is said.
    pub const ONE: Self = Self(Shape::Step(1.0));

    /// Worth `v` until the deadline, however late.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] if `v` is not 0 to 10^12.
    pub fn step(v: f64) -> Result<Self, Error> {
        Ok(Self(Shape::Step(worth("value", v, WORTH_MAX)?)))
    }

    /// Worth `v` until `from`, from there on less in a straight line, and nothing from `to` on.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] if `v` is not 0 to 10^12, `to` is more than 100 years or not later than `from`.
    pub fn linear(v: f64, from: Duration, to: Duration) -> Result<Self, Error> {
        let (from_nanos, to_nanos) = (time("from", from)?, time("to", to)?);
        if from_nanos >= to_nanos {
            return Err(Error::time("to", to, format!("more than from, which is {from:?}")));
        }
        Ok(Self(Shape::Linear { v: worth("value", v, WORTH_MAX)?, from: from_nanos, to: to_nanos }))
    }

    /// Worth `v` when it is submitted, and half as much after each `half_life`.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] if `v` is not 0 to 10^12, or `half_life` not a microsecond to 100 years.
    pub fn half_life(v: f64, half_life: Duration) -> Result<Self, Error> {
        let h = time("half_life", half_life)?;
        if h == 0 {
            return Err(Error::time("half_life", half_life, "at least 1µs"));
        }
        Ok(Self(Shape::HalfLife { v: worth("value", v, WORTH_MAX)?, h, floor: 0.0 }))
    }

    /// At least worth `floor`, however late: for a value with a [half-life](Self::half_life).
    ///
    /// # Errors
    ///
    /// [`Error::Field`] if `floor` is not 0 to what it is worth at first, or the value has no half-life.
    pub fn floor(self, floor: f64) -> Result<Self, Error> {
        match self.0 {
            Shape::HalfLife { v, h, .. } => {
                Ok(Self(Shape::HalfLife { v, h, floor: worth("floor", floor, v)? }))
            }
            _ => Err(Error::field("floor", floor, "none, for a value without a half-life")),
        }
    }

    /// Each pair is: from when on, and worth how much. The last holds until the deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] if there are none or more than 64, the first is not at 0, the times do not rise (by a microsecond at
    /// least) or pass 100 years, a worth rises or is not 0 to 10^12.
    pub fn steps(steps: impl IntoIterator<Item = (Duration, f64)>) -> Result<Self, Error> {
        let mut checked: Vec<(u64, f64)> = Vec::new();
        for (at, v) in steps {
            if checked.len() == STEPS_MAX {
                return Err(Error::field("steps", "more", format!("1 to {STEPS_MAX}")));
            }
            let (at_nanos, v) = (time("steps", at)?, worth("steps", v, WORTH_MAX)?);
            match checked.last() {
                None if at_nanos > 0 => return Err(Error::time("steps", at, "0 for the first")),
                Some((before, _)) if at_nanos <= *before => {
                    return Err(Error::time("steps", at, "later than the step before, by 1µs at least"));
                }
                Some((_, before)) if v > *before => {
                    return Err(Error::field("steps", v, format!("at most the step before, {before}")));
                }
                _ => checked.push((at_nanos, v)),
            }
        }
        if checked.is_empty() {
            return Err(Error::field("steps", "none", format!("1 to {STEPS_MAX}")));
        }
        Ok(Self(Shape::Steps(checked.into())))
    }

    /// What it is worth if it is done `age` after it was submitted. Deadlines are the queue's affair.
    #[must_use]
    pub fn after(&self, age: Duration) -> f64 {
        self.after_nanos(nanos(age))
    }

    /// It is worth the same at all times.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        match &self.0 {
            Shape::Step(_) => true,
            Shape::Linear { v, .. } => *v == 0.0,
            Shape::HalfLife { v, floor, .. } => v == floor,
            Shape::Steps(steps) => steps.iter().all(|(_, v)| Some(*v) == steps.first().map(|first| first.1)),
        }
    }

    // Each operation here is monotone in `age` as floating point rounds it, so that the result is too.
    #[allow(clippy::cast_precision_loss, reason = "rounding is monotone")]
    pub(super) fn after_nanos(&self, age: u64) -> f64 {
        match &self.0 {
            Shape::Step(v) => *v,
            Shape::Linear { v, from, .. } if age <= *from => *v,
            Shape::Linear { v, from, to } => v * (to.saturating_sub(age) as f64 / (to - from) as f64),
            Shape::HalfLife { v, h, floor } => (v * (-(age as f64 / *h as f64)).exp2()).max(*floor),
            Shape::Steps(steps) => {
                let begun = steps.partition_point(|(at, _)| *at <= age);
                steps.get(begun.saturating_sub(1)).map_or(0.0, |(_, v)| *v)
            }
        }
    }
}

/// Worth in a second of work: what is in the order of `Order::Density`. An estimate
/// counts as a millisecond at least.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(unattended::queue::density(6.0, Duration::from_secs(2)), 3.0);
/// ```
#[must_use]
pub fn density(value_at_completion: f64, estimate: Duration) -> f64 {
    value_at_completion / estimate.max(TICK).as_secs_f64()
}

/// A density as an integer, for stores that order by one: in thousandths of a doubling, rounded to the nearest and a half
/// down, so densities that differ by less than 0.07 percent may tie. It rises with the density; 0 for a density of 1; a density of 0 (or one that is no
/// number) is -2,000,000, below all others.
///
/// ```
/// use unattended::queue::rank;
/// assert_eq!((rank(0.5), rank(1.0), rank(2.0), rank(3.0)), (-1000, 0, 1000, 1585));
/// assert_eq!(rank(0.0), -2_000_000);
/// ```
#[must_use]
pub fn rank(density: f64) -> i64 {
    const NOTHING: i64 = -2_000_000;
    if density.is_nan() || density <= 0.0 {
        return NOTHING;
    }
    #[allow(clippy::cast_possible_truncation, reason = "a conversion to an integer saturates")]
    let rank = (1000.0 * density.log2() - 0.5).ceil() as i64;
    rank.clamp(NOTHING + 1, 1_024_000)
}

fn worth(field: &'static str, given: f64, most: f64) -> Result<f64, Error> {
    if (0.0..=most).contains(&given) {
        // Without the sign of a negative zero.
        return Ok(given.abs());
    }
    Err(Error::field(field, given, format!("0 to {most}")))
}

/// In nanoseconds, whole microseconds of them.
fn time(field: &'static str, given: Duration) -> Result<u64, Error> {
    if given > TIME_MAX {
        return Err(Error::time(field, given, "at most 100 years"));
    }
    Ok(nanos(given) / MICRO * MICRO)
}
