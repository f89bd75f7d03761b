//! Policies as people write them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base::text::{duration, exact, shortened, size};
use crate::decide::gate::limit::{Bound, Limit, Missing};
use crate::decide::gate::policy::{Builder, Error, LIMITS_MAX, Policy};
use crate::decide::gate::signal::{Resource, Signal, Span, Stall, whole};

/// A longer text is not read.
const TEXT_MAX: usize = 1 << 20;
const ITEM: &str = "cpu:50, mem:90/80, swap:50, load:2, psi:20, psi:io:full:avg60:10, disk:/var:10GiB, disk:/var:10%, \
                    mounted:/data, exists:/run/x, answers:db:5432, custom:name, custom:name:>5/4, dwell:30s, give_up:2h";

/// The text is no policy.
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
    /// Something that there is one of is given twice.
    #[error("{part} is given twice")]
    Twice {
        /// What.
        part: &'static str,
    },
    /// It reads, but is no policy.
    #[error(transparent)]
    Policy(#[from] Error),
}

impl FromStr for Policy {
    type Err = ParseError;

    /// Reads `cpu:50,mem:90/80,disk:/var:10GiB,mounted:/data,psi:20`: limits, apart by commas, in any order.
    ///
    /// A limit is closed above its number (`disk`: below it), and opens again below the second one, after a slash, or else below the
    /// same. `cpu`, `mem`, `swap`, `psi` and `disk:PATH:10%` are percent, `load` is per core, `disk:PATH:10GiB` is a size. `psi` may say
    /// of what (`cpu`, `memory`, `io`; else memory), how much (`some`, `full`; else some) and over which time (`avg10`, `avg60`; else
    /// avg10): `psi:io:full:avg60:10`. A `custom:NAME` has to say yes, or with `:>5/4` or `:<5/6` a number. `?` at the end passes the
    /// limit over where it cannot be read, `!` keeps the gate closed. `dwell:30s` and `give_up:2h` are those of the policy.
    ///
    /// In paths and names a comma is written `%2C`, a percent sign `%25`, a final `?` or `!` `%3F` or `%21`; a colon in a
    /// name `%3A`.
    ///
    /// ```
    /// use unattended::gate::Policy;
    ///
    /// let policy: Policy = "cpu:50, mem:75, disk:/var:10GiB/12GiB, mounted:/data, psi:20!, give_up:2h".parse()?;
    /// assert_eq!(policy.limits().len(), 5);
    /// let text = "cpu:50,mem:75,disk:/var:10GiB/12GiB,mounted:/data,psi:20!,dwell:30s,give_up:2h";
    /// assert_eq!(policy.to_string(), text);
    /// assert_eq!("cpu:80/90".parse::<Policy>().unwrap_err().to_string(),
    ///     "gate: open is 90 % for processor use, allowed is at most 80 %, at which it closes");
    /// # Ok::<(), unattended::gate::ParseError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > TEXT_MAX {
            return Err(part("the text", text, "at most a megabyte"));
        }
        let (mut builder, mut dwell, mut give_up) = (Self::builder(), None, None);
        for item in text.split(',').take(LIMITS_MAX + 3) {
            let item = item.trim();
            match item.split_once(':') {
                Some(("dwell", given)) => once("dwell", &mut dwell, given)?,
                Some(("give_up", given)) => once("give_up", &mut give_up, given)?,
                _ => builder = limit(builder, item)?,
            }
        }
        if let Some(dwell) = dwell {
            builder = builder.dwell(dwell);
        }
        Ok(builder.give_up_after(give_up).build()?)
    }
}

fn once(name: &'static str, place: &mut Option<Duration>, given: &str) -> Result<(), ParseError> {
    let read = duration(given).map_err(|invalid| part(name, given, invalid.allowed))?;
    match place.replace(read) {
        None => Ok(()),
        Some(_) => Err(ParseError::Twice { part: name }),
    }
}

fn limit(builder: Builder, item: &str) -> Result<Builder, ParseError> {
    let (body, missing) = match item.strip_suffix('?') {
        Some(body) => (body, Some(Missing::Open)),
        None => match item.strip_suffix('!') {
            Some(body) => (body, Some(Missing::Closed)),
            None => (item, None),
        },
    };
    let Some((name, rest)) = body.split_once(':') else { return Err(part("a limit", item, ITEM)) };
    let (signal, bound) = match name {
        "cpu" => (Signal::Cpu, above(percents("cpu", rest)?)),
        "mem" | "memory" => (Signal::Memory, above(percents("mem", rest)?)),
        "swap" => (Signal::Swap, above(percents("swap", rest)?)),
        "load" => (Signal::LoadPerCore, above(numbers("load", rest)?)),
        "psi" => pressure(rest)?,
        "disk" => disk(rest)?,
        "mounted" => (Signal::Mounted(path(rest)?), Bound::Yes),
        "exists" => (Signal::Exists(path(rest)?), Bound::Yes),
        "answers" | "port" => (Signal::Answers(unescaped(rest)?), Bound::Yes),
        "custom" => custom(rest)?,
        _ => return Err(part("a limit", item, ITEM)),
    };
    let builder = builder.limit(signal.clone(), bound);
    Ok(match missing {
        Some(missing) => builder.missing(signal, missing),
        None => builder,
    })
}

const fn above((close, open): (f64, f64)) -> Bound {
    Bound::Above { close, open }
}

const fn below((close, open): (f64, f64)) -> Bound {
    Bound::Below { close, open }
}

fn pressure(text: &str) -> Result<(Signal, Bound), ParseError> {
    let (mut resource, mut kind, mut span) = (None, None, None);
    let mut words = text.split(':');
    let numbers = words.next_back().unwrap_or_default();
    for word in words {
        let twice = match word {
            "cpu" => resource.replace(Resource::Cpu).is_some(),
            "mem" | "memory" => resource.replace(Resource::Memory).is_some(),
            "io" => resource.replace(Resource::Io).is_some(),
            "some" => kind.replace(Stall::Some).is_some(),
            "full" => kind.replace(Stall::Full).is_some(),
            "avg10" => span.replace(Span::Avg10).is_some(),
            "avg60" => span.replace(Span::Avg60).is_some(),
            _ => return Err(part("psi", word, "cpu, memory or io; some or full; avg10 or avg60")),
        };
        if twice {
            return Err(part("psi", text, "each of what, how much and over which time once"));
        }
    }
    let signal = Signal::Pressure {
        resource: resource.unwrap_or(Resource::Memory),
        kind: kind.unwrap_or(Stall::Some),
        span: span.unwrap_or(Span::Avg10),
    };
    Ok((signal, above(percents("psi", numbers)?)))
}

fn disk(text: &str) -> Result<(Signal, Bound), ParseError> {
    let allowed =
        "a path, a colon and a size or a percentage, such as /var:10GiB, /var:10GiB/12GiB or /var:10%";
    let (at, free) = text.rsplit_once(':').ok_or_else(|| part("disk", text, allowed))?;
    let at = path(at)?;
    if free.contains('%') {
        return Ok((Signal::DiskFreePercent(at), below(percents("disk", free)?)));
    }
    #[allow(clippy::cast_precision_loss, reason = "more than 2^53 bytes are refused")]
    let bytes = |text: &str| size(text).map(|bytes| bytes as f64).map_err(|_| part("disk", text, allowed));
    Ok((Signal::DiskFreeBytes(at), below(pair(free, bytes)?)))
}

fn custom(text: &str) -> Result<(Signal, Bound), ParseError> {
    let (name, bound) = match text.rsplit_once(':') {
        Some((name, limits)) if limits.starts_with('>') => (name, above(numbers("custom", &limits[1..])?)),
        Some((name, limits)) if limits.starts_with('<') => (name, below(numbers("custom", &limits[1..])?)),
        _ => (text, Bound::Yes),
    };
    Ok((Signal::Custom(unescaped(name)?), bound))
}

fn path(text: &str) -> Result<PathBuf, ParseError> {
    unescaped(text).map(PathBuf::from)
}

/// One threshold for both, or two.
fn pair(text: &str, read: impl Fn(&str) -> Result<f64, ParseError>) -> Result<(f64, f64), ParseError> {
    match text.split_once('/') {
        Some((close, open)) => Ok((read(close.trim())?, read(open.trim())?)),
        None => read(text.trim()).map(|both| (both, both)),
    }
}

fn numbers(name: &'static str, text: &str) -> Result<(f64, f64), ParseError> {
    pair(text, |text| text.parse().map_err(|_| part(name, text, "a number, or two with a slash between")))
}

fn percents(name: &'static str, text: &str) -> Result<(f64, f64), ParseError> {
    pair(text, |text| {
        let number = text.strip_suffix('%').unwrap_or(text).trim_end();
        number.parse().map_err(|_| part(name, text, "percent as a number, or two with a slash between"))
    })
}

fn part(part: &'static str, given: &str, allowed: &'static str) -> ParseError {
    ParseError::Part { part, given: shortened(given, 120), allowed }
}

/// What has a meaning of its own between commas. A colon has none: what follows the last one is the number.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, c) in text.char_indices() {
        let edge = (at == 0 || at == last) && c.is_whitespace();
        if matches!(c, ',' | '%') || (at == last && matches!(c, '?' | '!')) || edge {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn unescaped(text: &str) -> Result<String, ParseError> {
    let allowed = "% only before two hexadecimal digits, as in %2C for a comma";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| part("an escape", text, allowed))?);
        rest = after.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| part("an escape", text, allowed))
}

impl fmt::Display for Policy {
    /// As it is read, nothing left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for limit in &self.limits {
            write_limit(f, limit)?;
            f.write_str(",")?;
        }
        write!(f, "dwell:{}", exact(self.dwell))?;
        match self.give_up_after {
            Some(after) => write!(f, ",give_up:{}", exact(after)),
            None => Ok(()),
        }
    }
}

fn write_limit(f: &mut fmt::Formatter<'_>, limit: &Limit) -> fmt::Result {
    let plain = |number: f64| number.to_string();
    let percent = |number: f64| format!("{number}%");
    let path = |path: &std::path::Path| escaped(&path.to_string_lossy());
    match &limit.signal {
        Signal::Cpu => write!(f, "cpu:{}", thresholds(limit.bound, plain))?,
        Signal::Memory => write!(f, "mem:{}", thresholds(limit.bound, plain))?,
        Signal::Swap => write!(f, "swap:{}", thresholds(limit.bound, plain))?,
        Signal::LoadPerCore => write!(f, "load:{}", thresholds(limit.bound, plain))?,
        Signal::Pressure { resource, kind, span } => {
            f.write_str(match resource {
                Resource::Cpu => "psi:cpu:",
                Resource::Memory => "psi:",
                Resource::Io => "psi:io:",
            })?;
            f.write_str(if *kind == Stall::Full { "full:" } else { "" })?;
            f.write_str(if *span == Span::Avg60 { "avg60:" } else { "" })?;
            f.write_str(&thresholds(limit.bound, plain))?;
        }
        Signal::DiskFreeBytes(at) => write!(f, "disk:{}:{}", path(at), thresholds(limit.bound, bytes))?,
        Signal::DiskFreePercent(at) => write!(f, "disk:{}:{}", path(at), thresholds(limit.bound, percent))?,
        Signal::Mounted(at) => write!(f, "mounted:{}", path(at))?,
        Signal::Exists(at) => write!(f, "exists:{}", path(at))?,
        Signal::Answers(address) => write!(f, "answers:{}", escaped(address))?,
        Signal::Custom(name) => {
            // Without its colons, since what follows one may be a number.
            write!(f, "custom:{}", escaped(name).replace(':', "%3A"))?;
            match limit.bound {
                Bound::Above { .. } => write!(f, ":>{}", thresholds(limit.bound, plain))?,
                Bound::Below { .. } => write!(f, ":<{}", thresholds(limit.bound, plain))?,
                Bound::Yes => {}
            }
        }
    }
    let default = Limit::new(limit.signal.clone(), limit.bound).missing;
    f.write_str(match limit.missing {
        missing if missing == default => "",
        Missing::Open => "?",
        Missing::Closed => "!",
    })
}

fn thresholds(bound: Bound, write: impl Fn(f64) -> String) -> String {
    match bound {
        Bound::Above { close, open } | Bound::Below { close, open } if close == open => write(close),
        Bound::Above { close, open } | Bound::Below { close, open } => {
            format!("{}/{}", write(close), write(open))
        }
        Bound::Yes => String::new(),
    }
}

/// In the largest binary unit that loses nothing.
fn bytes(number: f64) -> String {
    let bytes = whole(number);
    for (unit, name) in [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
}

impl Serialize for Policy {
    /// As its text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
