//! Which part of a line is its kind.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::base::explain::Explain;
use crate::decide::baseline::Severity;
use crate::observe::lines::header::header;
use crate::observe::lines::level::severity;
use crate::observe::lines::mask::Masker;

/// How much memory a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// How long a line may be of which JSON or a pattern is read.
const LINE_MAX: usize = 64 * 1024;

/// Which part of a line is its kind.
#[derive(Clone, Debug)]
pub struct Key {
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Masked(Masker),
    FirstToken,
    Json { pointer: String, level: String },
    Capture { pattern: Regex, group: usize },
}

/// What came of a line.
#[must_use = "a line without a key is one that nobody counts"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyed {
    /// Its key was written.
    Key {
        /// How bad the line says that it is.
        severity: Severity,
        /// How many bytes of it were not read, as it was too long.
        cut: usize,
    },
    /// It has none.
    None(Unkeyed),
}

/// Why a line has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unkeyed {
    /// It is empty.
    Empty,
    /// It is no JSON, or too long for it.
    NotJson,
    /// Its JSON has not that field, or it is neither text nor a number nor a truth value.
    NoField,
    /// The pattern does not match, or the group took no part.
    NoMatch,
}

/// What was given cannot be a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No JSON pointer (RFC 6901).
    #[error("a JSON pointer is empty or begins with a slash, {given:?} does not")]
    Pointer {
        /// What was given.
        given: String,
    },
    /// No regular expression, or one that would take too much memory.
    #[error("{given:?} is no pattern that can be used")]
    Pattern {
        /// What was given.
        given: String,
        /// Why not.
        source: regex::Error,
    },
    /// The pattern has no such group.
    #[error("the pattern {given:?} has no group {group:?}")]
    Group {
        /// The pattern.
        given: String,
        /// The group, by number or name.
        group: String,
    },
}

impl Default for Key {
    fn default() -> Self {
        Self::masked(Masker::new())
    }
}

impl Key {
    /// `component|level|masked message`; the default.
    #[must_use]
    pub const fn masked(masker: Masker) -> Self {
        Self { way: Way::Masked(masker) }
    }

    /// The first word of the message, behind time, level and component. It loses half of what [`masked`](Self::masked) finds.
    #[must_use]
    pub const fn first_token() -> Self {
        Self { way: Way::FirstToken }
    }

    /// The text, number or truth value at a JSON pointer (RFC 6901), such as `/event/name`, of lines that are JSON. The severity
    /// is that of `/level`; see [`level_at`](Self::level_at).
    ///
    /// # Errors
    ///
    /// [`Error::Pointer`].
    pub fn json(pointer: &str) -> Result<Self, Error> {
        let pointer = checked(pointer)?;
        Ok(Self { way: Way::Json { pointer, level: "/level".to_owned() } })
    }

    /// Where a [JSON](Self::json) line says how bad it is; other keys are not changed.
    ///
    /// # Errors
    ///
    /// [`Error::Pointer`].
    pub fn level_at(mut self, pointer: &str) -> Result<Self, Error> {
        if let Way::Json { level, .. } = &mut self.way {
            *level = checked(pointer)?;
        }
        Ok(self)
    }

    /// A group of a regular expression, by its number or its name. The expression works on bytes and without Unicode classes, in time
    /// that is linear in the line. The severity is that of the line's header.
    ///
    /// # Errors
    ///
    /// [`Error::Pattern`] and [`Error::Group`].
    pub fn capture(pattern: &str, group: &str) -> Result<Self, Error> {
        let given = pattern.to_owned();
        let compiled = RegexBuilder::new(pattern).unicode(false).size_limit(PATTERN_BYTES_MAX).build();
        let pattern = compiled.map_err(|source| Error::Pattern { given: given.clone(), source })?;
        let named = pattern.capture_names().position(|name| name == Some(group));
        let numbered = group.parse().ok().filter(|number| *number < pattern.captures_len());
        let group = named.or(numbered).ok_or_else(|| Error::Group { given, group: group.to_owned() })?;
        Ok(Self { way: Way::Capture { pattern, group } })
    }

    /// Writes the key of `line` into `key`, in place of what was there; without one nothing is left there.
    pub fn of(&self, line: &[u8], key: &mut Vec<u8>) -> Keyed {
        key.clear();
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return Keyed::None(Unkeyed::Empty);
        }
        match &self.way {
            Way::Masked(masker) => {
                let masked = masker.mask(line, key);
                Keyed::Key { severity: masked.severity, cut: masked.cut }
            }
            Way::FirstToken => {
                let (line, cut) = bounded(line);
                let header = header(line);
                let end = header.message.iter().position(u8::is_ascii_whitespace);
                key.extend_from_slice(&header.message[..end.unwrap_or(header.message.len())]);
                Keyed::Key { severity: header.severity, cut }
            }
            Way::Json { pointer, level } => json(line, pointer, level, key),
            Way::Capture { pattern, group } => {
                let (line, cut) = bounded(line);
                let found = pattern.captures(line).and_then(|captures| captures.get(*group));
                let Some(found) = found else { return Keyed::None(Unkeyed::NoMatch) };
                key.extend_from_slice(found.as_bytes());
                Keyed::Key { severity: header(line).severity, cut }
            }
        }
    }
}

fn bounded(line: &[u8]) -> (&[u8], usize) {
    let read = line.len().min(LINE_MAX);
    (&line[..read], line.len() - read)
}

fn json(line: &[u8], pointer: &str, level: &str, key: &mut Vec<u8>) -> Keyed {
    if line.len() > LINE_MAX {
        return Keyed::None(Unkeyed::NotJson);
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) else {
        return Keyed::None(Unkeyed::NotJson);
    };
    match value.pointer(pointer) {
        Some(serde_json::Value::String(text)) => key.extend_from_slice(text.as_bytes()),
        Some(serde_json::Value::Number(number)) => key.extend_from_slice(number.to_string().as_bytes()),
        Some(serde_json::Value::Bool(truth)) => {
            key.extend_from_slice(if *truth { b"true" } else { b"false" })
        }
        _ => return Keyed::None(Unkeyed::NoField),
    }
    let word = value.pointer(level).and_then(serde_json::Value::as_str).unwrap_or_default();
    Keyed::Key { severity: severity(word.as_bytes()).unwrap_or_default(), cut: 0 }
}

fn checked(pointer: &str) -> Result<String, Error> {
    if pointer.is_empty() || pointer.starts_with('/') {
        return Ok(pointer.to_owned());
    }
    Err(Error::Pointer { given: pointer.to_owned() })
}

impl Explain for Unkeyed {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "lines.empty",
            Self::NotJson => "lines.not_json",
            Self::NoField => "lines.no_field",
            Self::NoMatch => "lines.no_match",
        }
    }
}

impl fmt::Display for Unkeyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the line is empty",
            Self::NotJson => "the line is no JSON, or too long for it",
            Self::NoField => "the line has no such field",
            Self::NoMatch => "the pattern does not match the line",
        })
    }
}
