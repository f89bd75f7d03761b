//! Looking through text that may be anything. Every function ends after one pass, and none asks for valid text.

use std::borrow::Cow;
use std::ops::Range;

use super::REDACTED;

/// A text, with pieces of it replaced from the left to the right.
pub(super) struct Edits<'a> {
    text: &'a str,
    out: String,
    copied: usize,
    changed: bool,
}

impl<'a> Edits<'a> {
    pub(super) const fn of(text: &'a str) -> Self {
        Self { text, out: String::new(), copied: 0, changed: false }
    }

    /// Puts `with` in the place of `range`, which lies behind the one before.
    pub(super) fn replace(&mut self, range: Range<usize>, with: &str) {
        if &self.text[range.clone()] == with {
            return;
        }
        self.out.push_str(&self.text[self.copied..range.start]);
        self.out.push_str(with);
        self.copied = range.end;
        self.changed = true;
    }

    /// The text as it is now; `None` if nothing was replaced.
    pub(super) fn done(mut self) -> Option<String> {
        self.changed.then(|| {
            self.out.push_str(&self.text[self.copied..]);
            self.out
        })
    }
}

/// The first byte from `from` on that is meant. Those asked for are ASCII, so the index is between two characters.
pub(super) fn find(text: &str, from: usize, is: impl Fn(u8) -> bool) -> Option<usize> {
    let rest = text.as_bytes().get(from..)?;
    rest.iter().position(|byte| is(*byte)).map(|at| from + at)
}

/// Where the white space that begins at `from` ends.
pub(super) fn skip_space(text: &str, from: usize) -> usize {
    find(text, from, |byte| !byte.is_ascii_whitespace()).unwrap_or(text.len())
}

/// What the string that opens at `open` contains, up to its end or that of the text.
pub(super) fn string(text: &str, open: usize) -> Range<usize> {
    let (bytes, start) = (text.as_bytes(), open + 1);
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return start..at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    start..text.len()
}

/// Where the JSON value that begins at `from` ends, or would if the text did not end before.
pub(super) fn value_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = (string(text, at).end + 1).min(text.len()),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b'}' | b']' | b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// What a JSON string says.
pub(super) fn unescaped(content: &str) -> Cow<'_, str> {
    if !content.contains('\\') {
        return Cow::Borrowed(content);
    }
    let mut said = Vec::<u16>::with_capacity(content.len());
    let mut rest = content.chars();
    let mut unit = [0; 2];
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next() {
                Some('u') => {
                    let digits = rest.as_str().get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
                    if let Some(code) = digits {
                        said.push(code);
                        rest = rest.as_str()[4..].chars();
                    }
                    continue;
                }
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            c => c,
        };
        said.extend_from_slice(c.encode_utf16(&mut unit));
    }
    Cow::Owned(String::from_utf16_lossy(&said))
}

/// `text` as the content of a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// What a name or value of a form or a query says: `%41` is `A`, `+` is a space.
pub(super) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut said = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = |ahead: usize| bytes.get(at + ahead).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                said.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
                continue;
            }
            (b'+', ..) => said.push(b' '),
            _ => said.push(*byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&said).into_owned())
}

/// Whether it can be the body of a form: pairs without any white space, quotes, braces or an address as its first name.
pub(super) fn is_form(text: &str) -> bool {
    let text = text.trim_ascii_end();
    let strange = |byte: u8| {
        byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'{' | b'}' | b'\\')
    };
    let name = text.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.contains([':', '/', '?', '#'])) && find(text, 0, strange).is_none()
}

/// Whether a name outside of quotes may contain it.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'-' | b'.' | b'%' | b'+')
}

/// What an address in other text ends before.
pub(super) const fn ends_address(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>')
}

/// The colon or equals sign behind a name that ends at `end`, past what may close the name.
pub(super) fn separator(text: &str, end: usize) -> Option<usize> {
    let closes = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\' | b']' | b' ' | b'\t');
    let at = find(text, end, |byte| !closes(byte))?;
    matches!(text.as_bytes()[at], b':' | b'=').then_some(at)
}

/// Where a value ends that stands in text of any kind, in no quotes and no brackets.
#[derive(Clone, Copy)]
pub(super) enum Ends {
    /// Where a JSON value does.
    Json,
    /// With the line.
    Line,
    /// With the line, or before the next pair of a form.
    Pair,
    /// Before white space, quotes or the next pair.
    Word,
}

impl Ends {
    /// How the value of the name at `name` ends whose separator is at `separator`.
    pub(super) fn of(text: &str, name: Range<usize>, separator: usize) -> Self {
        if text[name.end..separator].contains(['"', '\'']) {
            Self::Json
        } else if text.as_bytes().get(separator) == Some(&b':') {
            Self::Line
        } else if text[..name.start].trim_ascii_start().is_empty() || text[..name.start].ends_with('&') {
            // A form whose values were not encoded.
            Self::Pair
        } else {
            Self::Word
        }
    }
}

/// The value behind the separator at `separator`: in its quotes or brackets, else up to where it `ends`.
pub(super) fn loose_value(text: &str, ends: Ends, separator: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let start =
        find(text, separator + 1, |byte| !matches!(byte, b' ' | b'\t' | b'>' | b'=')).unwrap_or(text.len());
    if text[start..].starts_with(REDACTED) {
        return start..start + REDACTED.len();
    }
    let quote = find(text, start, |byte| byte != b'\\').unwrap_or(text.len());
    match bytes.get(quote) {
        Some(mark @ (b'"' | b'\'')) => {
            // The same quote, escaped no more often than the one that opened.
            let escapes = quote - start;
            let mut run = 0_usize;
            let mut at = quote + 1;
            while let Some(byte) = bytes.get(at) {
                if byte == mark && run <= escapes {
                    return quote + 1..at - run;
                }
                run = if *byte == b'\\' { run + 1 } else { 0 };
                at += 1;
            }
            (quote + 1).min(text.len())..text.len()
        }
        Some(b'{' | b'[') if quote == start => start..value_end(text, start),
        _ => {
            let line = |byte: u8| matches!(byte, b'\n' | b'\r');
            let end = match ends {
                Ends::Json => Some(value_end(text, start)),
                Ends::Line => find(text, start, line),
                Ends::Pair => find(text, start, |byte| byte == b'&' || line(byte)),
                Ends::Word => find(text, start, |byte| byte == b'&' || ends_address(byte)),
            };
            let end = end.unwrap_or(text.len());
            if &text[start..end] == "null" { start..start } else { start..end }
        }
    }
}
