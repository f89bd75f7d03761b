//! Values as people write them: JSON, times in milliseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::decide::queue::error::Error;
use crate::decide::queue::value::{Shape, Value};

const NANOS_OF_A_MILLISECOND: u64 = 1_000_000;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    Step(Number),
    Linear(Linear),
    HalfLife(HalfLife),
    Steps(Vec<(Number, Number)>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Linear {
    v: Number,
    #[serde(default)]
    from: Number,
    to: Number,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HalfLife {
    v: Number,
    h: Number,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<Number>,
}

/// A number that is written as a person writes it: `5`, not `5.0`.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(transparent)]
struct Number(f64);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Shape::Step(v) => Form::Step(Number(*v)),
            Shape::Linear { v, from, to } => {
                Form::Linear(Linear { v: Number(*v), from: Number::millis(*from), to: Number::millis(*to) })
            }
            Shape::HalfLife { v, h, floor } => Form::HalfLife(HalfLife {
                v: Number(*v),
                h: Number::millis(*h),
                floor: (*floor > 0.0).then_some(Number(*floor)),
            }),
            Shape::Steps(steps) => {
                Form::Steps(steps.iter().map(|(at, v)| (Number::millis(*at), Number(*v))).collect())
            }
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Form::deserialize(deserializer)?.value().map_err(de::Error::custom)
    }
}

impl Form {
    fn value(self) -> Result<Value, Error> {
        match self {
            Self::Step(v) => Value::step(v.0),
            Self::Linear(Linear { v, from, to }) => Value::linear(v.0, from.time("from")?, to.time("to")?),
            Self::HalfLife(HalfLife { v, h, floor }) => {
                let value = Value::half_life(v.0, h.time("h")?)?;
                let Some(floor) = floor else { return Ok(value) };
                value.floor(floor.0)
            }
            Self::Steps(steps) => {
                let steps: Result<Vec<_>, Error> =
                    steps.into_iter().take(65).map(|(at, v)| Ok((at.time("steps")?, v.0))).collect();
                Value::steps(steps?)
            }
        }
    }
}

impl Number {
    #[allow(clippy::cast_precision_loss, reason = "microseconds of a hundred years fit into the mantissa")]
    fn millis(nanos: u64) -> Self {
        Self((nanos / 1000) as f64 / 1000.0)
    }

    fn time(self, field: &'static str) -> Result<Duration, Error> {
        // Through whole microseconds, so that what was written is read as what it was.
        let micros = (self.0 * 1000.0).round();
        if !(0.0..1e16).contains(&micros) {
            return Err(Error::field(field, self.0, "0 ms to 100 years"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let micros = micros as u64;
        let millis = micros / 1000;
        let rest = micros % 1000 * (NANOS_OF_A_MILLISECOND / 1000);
        Ok(Duration::from_millis(millis) + Duration::from_nanos(rest))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && (0.0..9e15).contains(&self.0) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole")]
            return serializer.serialize_u64(self.0 as u64);
        }
        serializer.serialize_f64(self.0)
    }
}
