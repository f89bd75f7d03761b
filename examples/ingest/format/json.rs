//! Why: services log objects, one a line, with a handful of names for the same four things.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{At, Level, Row, Stamp, stamp};

/// An object that has a time, a level or a message. What has no column of its own (other keys, values of unexpected
/// types) is kept as an object at the end of the message.
pub(super) fn split(line: &str) -> Option<Row<'_>> {
    if !line.starts_with('{') {
        return None;
    }
    let mut object: Object<'_> = serde_json::from_str(line).ok()?;
    object.settle_event();
    let Object { at, level, component, message, rest, .. } = object;
    if at.is_none() && level.is_none() && message.is_none() {
        return None;
    }
    let message = match (message, rest) {
        (Some(message), None) => message,
        (Some(message), Some(rest)) if message.is_empty() => Cow::Owned(rest + "}"),
        (Some(message), Some(rest)) => Cow::Owned(format!("{message} {rest}}}")),
        (None, rest) => Cow::Owned(rest.map_or_else(String::new, |rest| rest + "}")),
    };
    Some(Row { at, level, component, head: "", message })
}

#[derive(Default)]
struct Object<'a> {
    at: Option<At<'a>>,
    level: Option<Level>,
    component: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    /// What happened, in JSON: the message where there is no other.
    event: Option<&'a str>,
    /// The other keys, an object without its closing brace.
    rest: Option<String>,
}

impl<'a> Object<'a> {
    fn take(&mut self, key: &str, raw: &'a str) {
        let taken = match key {
            "time" | "ts" | "timestamp" | "@timestamp" | "datetime" => fill(&mut self.at, || at(raw)),
            "level" | "severity" | "lvl" | "levelname" | "log.level" => fill(&mut self.level, || level(raw)),
            "component" | "logger" | "target" | "module" | "name" | "logger_name" | "log.logger" => {
                fill(&mut self.component, || string(raw))
            }
            "msg" | "message" => fill(&mut self.message, || string(raw)),
            "event" => fill(&mut self.event, || Some(raw)),
            _ => false,
        };
        if !taken {
            self.keep(key, raw);
        }
    }

    fn settle_event(&mut self) {
        if let Some(raw) = self.event.take()
            && !fill(&mut self.message, || string(raw))
        {
            self.keep("event", raw);
        }
    }

    /// Keeps what has no column.
    fn keep(&mut self, key: &str, raw: &str) {
        let separator = if self.rest.is_some() { "," } else { "{" };
        let rest = self.rest.get_or_insert_default();
        rest.push_str(separator);
        // A string always has a JSON form.
        rest.push_str(&serde_json::to_string(key).unwrap_or_default());
        rest.push(':');
        rest.push_str(raw);
    }
}

/// Fills an empty slot; the second of two keys for one thing stays with the rest.
fn fill<T>(slot: &mut Option<T>, value: impl FnOnce() -> Option<T>) -> bool {
    if slot.is_none() {
        *slot = value();
        return slot.is_some();
    }
    false
}

fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// A word, or a number as bunyan and pino have it.
fn level(raw: &str) -> Option<Level> {
    match string(raw) {
        Some(word) => Level::of(&word),
        None => Some(match raw {
            "10" => Level::Trace,
            "20" => Level::Debug,
            "30" => Level::Info,
            "40" => Level::Warning,
            "50" => Level::Error,
            "60" => Level::Critical,
            _ => return None,
        }),
    }
}

/// A text, or the time since 1970 in seconds (with or without a fraction) or in milliseconds.
fn at(raw: &str) -> Option<At<'_>> {
    let Some(text) = string(raw) else { return since_1970(raw).map(At::Iso) };
    match stamp::iso(&text) {
        Some((stamp, taken)) if taken == text.len() => Some(At::Iso(stamp)),
        _ => Some(At::Given(text)),
    }
}

fn since_1970(raw: &str) -> Option<Stamp> {
    // 1e11 seconds are the year 5138, 1e11 milliseconds are March 1973.
    const MILLIS_MIN: i64 = 100_000_000_000;
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, ""));
    let whole: i64 = whole.parse().ok()?;
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = if whole >= MILLIS_MIN {
        chrono::DateTime::from_timestamp_millis(whole).filter(|_| fraction.is_empty())?
    } else {
        let nanos = format!("{fraction:0<9}").parse().ok()?;
        chrono::DateTime::from_timestamp(whole, nanos).filter(|_| whole >= 0)?
    };
    let text = time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    stamp::iso(&text).map(|(stamp, _)| stamp)
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object<'de>, M::Error> {
        let mut object = Object::default();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            object.take(&key, value.get());
        }
        Ok(object)
    }
}

/// A key that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
