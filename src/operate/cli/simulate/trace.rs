//! A trace: JSON lines in, a decision a line out, in virtual time.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::time::{Moment, Now, Timestamp, between, later, nanos};
use crate::operate::cli::Io;
use crate::operate::cli::failure::{Exit, Failure, Stop};
use crate::operate::cli::print::{Paint, plain};
use crate::operate::cli::session::Session;
use crate::operate::cli::simulate::lines::{Lines, Next};
use crate::operate::cli::simulate::lists::lists;

/// A longer line is not read.
const LINE_MAX: usize = 1 << 20;
const MILLI: u64 = 1_000_000;
/// A hundred years.
const MILLIS_MAX: u64 = 36_525 * 86_400_000;
const ALLOWED: &str = "milliseconds from 0 to 100 years";

/// A time of a trace, in nanoseconds from its zero; written in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(u64);

impl At {
    /// Where every trace begins.
    pub(super) const ZERO: Self = Self(0);

    pub(super) const fn span(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    pub(super) const fn moment(self) -> Moment {
        Moment::from_nanos(self.0)
    }

    /// Both clocks at that time: the wall clock begins in 1970.
    pub(super) fn now(self) -> Now {
        Now { moment: self.moment(), wall: later(Timestamp::UNIX_EPOCH, self.span()) }
    }

    pub(super) const fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

/// Whole milliseconds, rounded up: what may be done then may not be done before.
pub(super) fn up(span: Duration) -> u64 {
    nanos(span).div_ceil(MILLI)
}

/// An instant of the wall clock, as the trace counts.
pub(super) fn instant(at: Timestamp) -> u64 {
    up(between(Timestamp::UNIX_EPOCH, at))
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(MILLI) {
            return serializer.serialize_u64(self.0 / MILLI);
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "microseconds of a hundred years fit into the mantissa"
        )]
        serializer.serialize_f64((self.0 / 1000) as f64 / 1000.0)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 % MILLI / 1000;
        write!(f, "{}", self.0 / MILLI)?;
        if micros > 0 { write!(f, ".{micros:03}") } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Millis;

        impl de::Visitor<'_> for Millis {
            type Value = At;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ALLOWED)
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<At, E> {
                if millis > MILLIS_MAX {
                    return Err(E::invalid_value(de::Unexpected::Unsigned(millis), &self));
                }
                Ok(At(millis.saturating_mul(MILLI)))
            }

            fn visit_f64<E: de::Error>(self, millis: f64) -> Result<At, E> {
                let micros = (millis * 1000.0).round();
                #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
                if !(0.0..=(MILLIS_MAX * 1000) as f64).contains(&micros) {
                    return Err(E::invalid_value(de::Unexpected::Float(millis), &self));
                }
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
                Ok(At((micros as u64).saturating_mul(1000)))
            }
        }

        deserializer.deserialize_any(Millis)
    }
}

/// A line of a trace, which has a time.
pub(super) trait Timed {
    fn at(&self) -> At;
}

/// What is driven over a trace.
pub(super) trait Decider {
    type Line<'a>: Deserialize<'a> + Timed;

    /// Takes a line in and answers it. Lines come in the order of their times.
    fn take(&mut self, line: Self::Line<'_>, answers: &mut Answers<'_>) -> Result<(), Wrong>;

    /// There are no more.
    fn end(&mut self, _answers: &mut Answers<'_>) -> Result<(), Wrong> {
        Ok(())
    }
}

/// Why a trace is not gone on with.
pub(super) enum Wrong {
    /// The line makes no sense.
    Line(String),
    /// The answer cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// An answer, as an object and as a line for people.
pub(super) trait Answer: Serialize {
    fn told(&self) -> Told<'_>;
}

/// An answer for people.
pub(super) struct Told<'a> {
    /// When, if it is at a time.
    pub(super) at: Option<At>,
    /// What it is about: the name of a call or of a task.
    pub(super) about: &'a str,
    pub(super) decision: &'a str,
    /// Whether it is good or bad news; neither for most.
    pub(super) good: Option<bool>,
    /// Numbers beside it.
    pub(super) beside: String,
    pub(super) why: &'a str,
}

/// Where answers go.
pub(super) struct Answers<'a> {
    out: &'a mut dyn Write,
    json: bool,
    paint: Paint,
    line: Vec<u8>,
}

impl Answers<'_> {
    pub(super) fn say(&mut self, answer: &impl Answer) -> io::Result<()> {
        if self.json {
            self.line.clear();
            serde_json::to_writer(&mut self.line, answer)?;
            self.line.push(b'\n');
            return self.out.write_all(&self.line);
        }
        let Told { at, about, decision, good, beside, why } = answer.told();
        let at = at.map_or_else(String::new, |at| format!("{at} ms"));
        let width = format!("{decision:<13}");
        let decision = match good {
            Some(true) => self.paint.good(width),
            Some(false) => self.paint.bad(width),
            None => width,
        };
        let about = if about.is_empty() { String::new() } else { format!("{}  ", plain(about).0) };
        let beside = if beside.is_empty() { String::new() } else { format!("{beside:<22}  ") };
        writeln!(
            self.out,
            "{}  {about}{decision}  {beside}{}",
            self.paint.dim(format!("{at:>12}")),
            plain(why).0
        )
    }
}

/// Drives `decider` over the trace on stdin.
pub(super) fn drive<D: Decider>(session: &mut Session<'_, '_>, mut decider: D) -> Result<Exit, Stop> {
    session.say_that_input_is_read()?;
    let (json, paint) = (session.json(), session.paint());
    let Io { input, out, .. } = &mut *session.io;
    let mut lines = Lines::new(&mut **input, LINE_MAX);
    let mut answers = Answers { out: &mut **out, json, paint, line: Vec::new() };
    let mut last = At::ZERO;
    loop {
        if lines.may_wait() {
            answers.out.flush()?;
        }
        let taken = match lines.next().map_err(|error| unreadable(&error))? {
            Next::End => break,
            Next::TooLong => Err(Wrong::Line(format!("it has more than {LINE_MAX} bytes"))),
            Next::Line(line) if line.iter().all(u8::is_ascii_whitespace) => Ok(()),
            Next::Line(line) => one(&mut decider, line, &mut last, &mut answers),
        };
        taken.map_err(|wrong| told(wrong, lines.number()))?;
    }
    decider.end(&mut answers).map_err(|wrong| told(wrong, lines.number()))?;
    Ok(Exit::Done)
}

fn one<D: Decider>(
    decider: &mut D,
    line: &[u8],
    last: &mut At,
    answers: &mut Answers<'_>,
) -> Result<(), Wrong> {
    if let Some(at) = lists(line).next() {
        let column = at.saturating_add(1);
        return Err(Wrong::Line(format!("it has a list, expected is an object, in column {column}")));
    }
    let line: D::Line<'_> = serde_json::from_slice(line).map_err(|error| Wrong::Line(said(&error)))?;
    let at = line.at();
    if at < *last {
        return Err(Wrong::Line(format!("t is {at}, before the {last} of a line before it")));
    }
    *last = at;
    decider.take(line, answers)
}

/// What is wrong with a line, and in which column: the line is the trace's own.
fn said(error: &serde_json::Error) -> String {
    let (text, end) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    match text.strip_suffix(&end) {
        Some(text) => format!("{text}, in column {}", error.column()),
        None => text,
    }
}

fn told(wrong: Wrong, number: u64) -> Stop {
    match wrong {
        Wrong::Line(said) => Failure::new(Exit::Failed, "trace.invalid", format!("line {number}: {said}"))
            .hint("the answers to the lines before it stand; neither it nor what follows it was looked at")
            .into(),
        Wrong::Output(error) => error.into(),
    }
}

pub(in crate::operate::cli) fn unreadable(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, "input.failed", format!("the input cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_milliseconds_or_parts_of_them() {
        let read = |text: &str| serde_json::from_str::<At>(text);
        let again = |text: &str| serde_json::to_string(&read(text).unwrap()).unwrap();
        assert_eq!(again("0"), "0");
        assert_eq!(again("1700000000123"), "1700000000123");
        assert_eq!(again("2.5"), "2.5");
        assert_eq!(again("10.0"), "10");
        for wrong in ["-1", "-0.5", "1e300", "99999999999999999", "\"1\"", "null", "[]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read("1.25").unwrap().to_string(), "1.250");
    }

    #[test]
    fn what_may_be_done_then_may_not_be_done_before() {
        assert_eq!(up(Duration::from_nanos(1)), 1);
        assert_eq!(up(Duration::from_millis(7)), 7);
        assert_eq!(instant(later(Timestamp::UNIX_EPOCH, Duration::from_micros(1500))), 2);
    }
}
