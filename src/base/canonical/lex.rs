//! The words of JSON: punctuation, strings, numbers. Whoever reads JSON text here reads it with this.

use std::borrow::Cow;

use super::number::{self, Parts};
use super::{Error, Place, Position, Problem};

/// A place in a JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A problem and the byte where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) problem: Problem,
    pub(crate) offset: usize,
}

impl Flaw {
    /// The error of a flaw that was found in `text`.
    pub(crate) fn in_text(self, text: &[u8]) -> Error {
        Error { problem: self.problem, at: Place::Text(Position::in_text(text, self.offset)) }
    }
}

impl<'a> Lexer<'a> {
    /// At the byte `at` of `text`, which is the start of a character.
    pub(crate) const fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// How many bytes are behind it.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// That only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Flaw> {
        self.skip_space();
        if self.at < self.text.len() { Err(self.expected("the end of the text")) } else { Ok(()) }
    }

    /// Whether the container that `end` closes ends here; otherwise the separator before element `index` is taken.
    pub(crate) fn closes(&mut self, end: u8, index: usize) -> Result<bool, Flaw> {
        self.skip_space();
        if self.eat(end) {
            return Ok(true);
        }
        if index > 0 && !self.eat(b',') {
            return Err(self.expected(if end == b']' { "`,` or `]`" } else { "`,` or `}`" }));
        }
        Ok(false)
    }

    /// A member's name, decoded, and the colon behind it.
    pub(crate) fn name(&mut self) -> Result<Cow<'a, str>, Flaw> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return Err(self.expected("a member's name"));
        }
        let name = self.string()?;
        self.skip_space();
        if self.eat(b':') { Ok(name) } else { Err(self.expected("`:`")) }
    }

    /// The number that begins here.
    pub(super) fn number(&mut self) -> Result<Parts<'a>, Flaw> {
        let parts = number::split(&self.text[self.at..]).map_err(|broken| Flaw {
            problem: Problem::Syntax { expected: "a digit" },
            offset: self.at + broken,
        })?;
        self.at += parts.text.len();
        Ok(parts)
    }

    /// The number that begins here, as it stands.
    pub(crate) fn digits(&mut self) -> Result<&'a str, Flaw> {
        self.number().map(|parts| parts.text)
    }

    /// The word, which must stand here.
    pub(crate) fn word(&mut self, word: &'static str) -> Result<(), Flaw> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// The string that begins here, decoded.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Flaw> {
        self.at += 1;
        let mut decoded = Cow::Borrowed("");
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\');
            let plain = plain.unwrap_or(rest.len());
            decoded += &rest[..plain];
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => decoded.to_mut().push(self.escape()?),
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("`\"`")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Flaw> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.peek() else { return Err(self.expected("an escape")) };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b't' => '\t',
            b'n' => '\n',
            b'f' => '\u{c}',
            b'r' => '\r',
            b'u' => return self.code_point(start),
            _ => {
                self.at -= 1;
                return Err(self.expected("an escape"));
            }
        })
    }

    /// The character of `\uXXXX` or of a pair of them; `start` is its first backslash.
    fn code_point(&mut self, start: usize) -> Result<char, Flaw> {
        let first = self.hex4()?;
        let mut units = [first, 0];
        let mut count = 1;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            units[1] = self.hex4()?;
            count = 2;
        }
        match char::decode_utf16(units.into_iter().take(count)).next() {
            Some(Ok(c)) => Ok(c),
            _ => Err(Flaw { problem: Problem::LoneSurrogate { unit: first }, offset: start }),
        }
    }

    fn hex4(&mut self) -> Result<u16, Flaw> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit.and_then(|digit| u16::try_from(digit).ok()) else {
                return Err(self.expected("four hexadecimal digits"));
            };
            unit = (unit << 4) | digit;
            self.at += 1;
        }
        Ok(unit)
    }

    pub(crate) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `byte`, if it is what stands here.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// What stands here.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// That `problem` is here.
    pub(crate) const fn flaw(&self, problem: Problem) -> Flaw {
        Flaw { problem, offset: self.at }
    }

    /// That something else was expected here.
    pub(crate) const fn expected(&self, expected: &'static str) -> Flaw {
        self.flaw(Problem::Syntax { expected })
    }
}
