//! Strings and objects in canonical form.

use std::ops::Range;

use super::number;

/// Writes `text` as a JSON string with the escapes of RFC 8785, section 3.2.2.2.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\') {
        out.push_str(&rest[..at]);
        escape(out, rest.as_bytes()[at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn escape(out: &mut String, byte: u8) {
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        0x08 => out.push_str("\\b"),
        b'\t' => out.push_str("\\t"),
        b'\n' => out.push_str("\\n"),
        0x0c => out.push_str("\\f"),
        b'\r' => out.push_str("\\r"),
        _ => {
            out.push_str(if byte < 0x10 { "\\u000" } else { "\\u001" });
            out.push(char::from_digit(u32::from(byte & 0x0f), 16).unwrap_or('0'));
        }
    }
}

/// An object that is being written: its members stand in `out` in the order they came, and are put in order at the end.
#[derive(Debug)]
pub(super) struct Object {
    start: usize,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// `"name":value` in the output.
    range: Range<usize>,
}

impl Object {
    /// Opens an object.
    pub(super) fn open(out: &mut String) -> Self {
        out.push('{');
        Self { start: out.len(), members: Vec::new() }
    }

    /// Writes a member's name; its value follows.
    pub(super) fn name(&mut self, out: &mut String, name: String) {
        if !self.members.is_empty() {
            out.push(',');
        }
        let start = out.len();
        string(out, &name);
        out.push(':');
        self.members.push(Member { name, range: start..start });
    }

    /// The name whose value is being written.
    pub(super) fn current(&self) -> &str {
        self.members.last().map_or("", |member| &member.name)
    }

    /// Says that the value of the last name is written.
    pub(super) fn valued(&mut self, out: &str) {
        if let Some(member) = self.members.last_mut() {
            member.range.end = out.len();
        }
    }

    /// Orders the members and closes the object, or gives the name that stands there twice.
    pub(super) fn close(mut self, out: &mut String) -> Result<(), String> {
        let ordered = self.members.is_sorted_by(|a, b| utf16(&a.name, &b.name).is_lt());
        if !ordered {
            self.members.sort_by(|a, b| utf16(&a.name, &b.name));
            if let Some(pair) = self.members.windows(2).find(|pair| pair[0].name == pair[1].name) {
                return Err(pair[0].name.clone());
            }
            let written = out.split_off(self.start);
            for (index, member) in self.members.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let range = member.range.start - self.start..member.range.end - self.start;
                out.push_str(written.get(range).unwrap_or_default());
            }
        }
        out.push('}');
        Ok(())
    }
}

/// The order of RFC 8785: by UTF-16 code units, which differs from the order of bytes above U+D7FF.
fn utf16(a: &str, b: &str) -> std::cmp::Ordering {
    // Where all is ASCII, the order of bytes is the same.
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// Writes the separator before element `index` of an array.
pub(super) fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Writes bytes as an array of numbers, as `serde_json` does.
pub(super) fn bytes(out: &mut String, bytes: &[u8]) {
    out.push('[');
    for (index, byte) in bytes.iter().enumerate() {
        separate(out, index);
        number::push(out, byte);
    }
    out.push(']');
}
