//! The scanner: JSON text to its canonical form, without a tree in between.

use super::error::short;
use super::write::{self, Object};
use super::{BYTES_MAX, DEPTH_MAX, Error, Place, Position, Problem, number};

/// The canonical form of a whole text.
pub(super) fn canonical(json: &[u8]) -> Result<String, Error> {
    let mut out = String::with_capacity(json.len().min(BYTES_MAX));
    append(&mut out, json, 0)?;
    Ok(out)
}

/// Appends the canonical form of a whole text that stands `depth` levels deep.
pub(super) fn append(out: &mut String, json: &[u8], depth: usize) -> Result<(), Error> {
    let fail = |problem, offset| {
        let position = Position::in_text(json, offset);
        Error { problem, at: Place::Text(position) }
    };
    let text = std::str::from_utf8(json).map_err(|e| fail(Problem::NotUtf8, e.valid_up_to()))?;
    let mut scanner = Scanner { text, at: 0, depth, out };
    scanner.document().map_err(|fault| fail(fault.problem, fault.offset))
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    out: &'a mut String,
}

/// A problem and the byte where it is.
struct Flaw {
    problem: Problem,
    offset: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Flaw> {
        self.value()?;
        self.skip_space();
        if self.at < self.text.len() { Err(self.expected("the end of the text")) } else { Ok(()) }
    }

    fn value(&mut self) -> Result<(), Flaw> {
        self.skip_space();
        if self.out.len() > BYTES_MAX {
            return Err(self.flaw(Problem::TooLong));
        }
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => {
                let text = self.string()?;
                write::string(self.out, &text);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Flaw>) -> Result<(), Flaw> {
        if self.depth == DEPTH_MAX {
            return Err(self.flaw(Problem::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Flaw> {
        self.out.push('[');
        let mut index = 0;
        while !self.closes(b']', index)? {
            write::separate(self.out, index);
            self.value()?;
            index += 1;
        }
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self) -> Result<(), Flaw> {
        let start = self.at - 1;
        let mut object = Object::open(self.out);
        let mut index = 0;
        while !self.closes(b'}', index)? {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a member's name"));
            }
            let name = self.string()?;
            object.name(self.out, name);
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.expected("`:`"));
            }
            self.value()?;
            object.valued(self.out);
            index += 1;
        }
        object.close(self.out).map_err(|name| {
            let problem = Problem::DuplicateKey { key: short(&name) };
            Flaw { problem, offset: start }
        })
    }

    /// Whether the container ends here; otherwise the separator before element `index` is taken.
    fn closes(&mut self, end: u8, index: usize) -> Result<bool, Flaw> {
        self.skip_space();
        if self.eat(end) {
            return Ok(true);
        }
        if index > 0 && !self.eat(b',') {
            return Err(self.expected(if end == b']' { "`,` or `]`" } else { "`,` or `}`" }));
        }
        Ok(false)
    }

    fn number(&mut self) -> Result<(), Flaw> {
        let parts = number::split(&self.text[self.at..]).map_err(|broken| Flaw {
            problem: Problem::Syntax { expected: "a digit" },
            offset: self.at + broken,
        })?;
        number::write_text(self.out, &parts).map_err(|problem| Flaw { problem, offset: self.at })?;
        self.at += parts.text.len();
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Flaw> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        self.out.push_str(word);
        Ok(())
    }

    /// The string that begins here, decoded.
    fn string(&mut self) -> Result<String, Flaw> {
        self.at += 1;
        let mut decoded = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\');
            let plain = plain.unwrap_or(rest.len());
            decoded.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => decoded.push(self.escape()?),
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

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    const fn flaw(&self, problem: Problem) -> Flaw {
        Flaw { problem, offset: self.at }
    }

    const fn expected(&self, expected: &'static str) -> Flaw {
        self.flaw(Problem::Syntax { expected })
    }
}
