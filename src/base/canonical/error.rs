//! What has no canonical form, and where.

use std::fmt;

use super::{BYTES_MAX, DEPTH_MAX, INTEGER_DIGITS_MAX};

/// A value or a text without a canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} {at}")]
pub struct Error {
    /// What is wrong.
    pub problem: Problem,
    /// Where it is.
    pub at: Place,
}

/// Why something has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not JSON.
    #[error("expected {expected}")]
    Syntax {
        /// What would have been right.
        expected: &'static str,
    },
    /// The text is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A `\u` escape names half of a surrogate pair without the other half.
    #[error("lone surrogate \\u{unit:04x}")]
    LoneSurrogate {
        /// The code unit.
        unit: u16,
    },
    /// One object has two members of this name.
    #[error("duplicate key {key:?}")]
    DuplicateKey {
        /// The name, cut after 64 characters.
        key: String,
    },
    /// A map's key that has no form as a string.
    #[error("a map key must be text, an integer, a boolean or a unit variant, not {given}")]
    KeyNotText {
        /// What it is.
        given: &'static str,
    },
    /// NaN or an infinity.
    #[error("{given} is not a number in JSON")]
    NotFinite {
        /// `NaN`, `inf` or `-inf`.
        given: &'static str,
    },
    /// A number with a fraction that no `f64` comes near.
    #[error("number beyond the range of a 64-bit float")]
    OutOfRange,
    /// An integer with more than [`INTEGER_DIGITS_MAX`] digits.
    #[error("integer of {digits} digits, at most {INTEGER_DIGITS_MAX} are allowed")]
    IntegerTooLong {
        /// How many digits it has.
        digits: u64,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Longer than [`BYTES_MAX`].
    #[error("canonical text longer than {BYTES_MAX} bytes")]
    TooLong,
    /// The value's own `Serialize` or `Display` refused.
    #[error("{message}")]
    Refused {
        /// What it said.
        message: String,
    },
}

/// Where in a value or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In a typed value, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)); empty for the whole value.
    Value {
        /// The pointer; each of its names is cut after 64 characters.
        pointer: String,
    },
    /// In a text.
    Text(Position),
    /// In a text that is embedded in a typed value (`serde_json::value::RawValue`).
    Embedded {
        /// The pointer to the text.
        pointer: String,
        /// The position in the text.
        position: Position,
    },
}

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Bytes before it.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in bytes, from 1.
    pub column: usize,
}

impl Position {
    pub(crate) fn in_text(text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        Self { offset, line, column: 1 + before.len() - line_start }
    }
}

impl Error {
    /// At the root of a typed value; the containers around it add their names with [`under`](Self::under).
    pub(super) const fn here(problem: Problem) -> Self {
        Self { problem, at: Place::Value { pointer: String::new() } }
    }

    /// The same error, seen from the container that holds the value as `name`.
    pub(super) fn under(mut self, name: &str) -> Self {
        self.at = match self.at {
            Place::Value { pointer } => Place::Value { pointer: prefixed(name, &pointer) },
            Place::Embedded { pointer, position } => {
                Place::Embedded { pointer: prefixed(name, &pointer), position }
            }
            Place::Text(position) => Place::Embedded { pointer: prefixed(name, ""), position },
        };
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { pointer } => write!(f, "at {pointer:?}"),
            Self::Text(position) => write!(f, "at {position}"),
            Self::Embedded { pointer, position } => write!(f, "at {pointer:?}, {position}"),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {} (byte {})", self.line, self.column, self.offset)
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        use fmt::Write as _;
        let mut text = String::new();
        // `to_string` panics when a Display implementation fails; what it wrote until then is kept.
        if write!(text, "{message}").is_err() {
            text.push_str(" (its Display failed)");
        }
        Self::here(Problem::Refused { message: text })
    }
}

/// A name as it is quoted in errors: a key may be a megabyte long.
pub(super) fn short(name: &str) -> String {
    const CHARS_MAX: usize = 64;
    match name.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn prefixed(name: &str, pointer: &str) -> String {
    format!("/{}{pointer}", short(name).replace('~', "~0").replace('/', "~1"))
}
