//! Why: a million lines are a few hundred things said over and over; the counts of those are what a person reads.
//!
//! The kind of a message is the message with what varies put out of it: numbers and hexadecimal words become `#`, UUIDs
//! `<uuid>`, absolute paths `<path>`, quoted text `"*"`, `'*'` or `` `*` ``.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::format::{Level, Row};

/// How much of a message makes its kind; longer ones are cut there.
const MESSAGE_BYTES_MAX: usize = 256;

/// The name under which the kinds are counted for which there is no room.
pub(crate) const OTHER: &str = "(other)";

/// The name under which the lines without a message are counted.
pub(crate) const BLANK: &str = "(blank)";

/// How many kinds are kept unless the caller says otherwise.
pub(crate) const KINDS_MAX: usize = 10_000;

/// Counts lines by level and by kind. Holds at most the given number of kinds (of at most about 256 bytes each).
#[derive(Debug)]
pub(crate) struct Counts {
    lines: u64,
    levels: [u64; Level::ALL.len()],
    kinds: HashMap<Box<[u8]>, u64>,
    kinds_max: usize,
    other: u64,
    blank: u64,
    mask: Vec<u8>,
}

/// What was counted, to be shown or stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// All lines.
    pub(crate) lines: u64,
    /// The lines of each level that occurred, the most severe first. Lines without a level are in none.
    pub(crate) levels: Vec<(Level, u64)>,
    /// The most frequent kinds, the most frequent first; `(other)` holds those for which there was no room,
    /// `(blank)` the lines without a message.
    pub(crate) kinds: Vec<(String, u64)>,
    /// How many kinds were told apart.
    pub(crate) kinds_total: u64,
}

impl Counts {
    /// Nothing counted yet.
    pub(crate) fn new(kinds_max: usize) -> Self {
        Self {
            lines: 0,
            levels: [0; Level::ALL.len()],
            kinds: HashMap::new(),
            kinds_max,
            other: 0,
            blank: 0,
            mask: Vec::new(),
        }
    }

    /// Counts a line. A kind that was seen before costs no allocation.
    pub(crate) fn count(&mut self, row: &Row<'_>) {
        self.lines += 1;
        if let Some(level) = row.level {
            self.levels[level as usize] += 1;
        }
        if row.message.is_empty() {
            self.blank += 1;
            return;
        }
        mask(&row.message, &mut self.mask);
        if let Some(count) = self.kinds.get_mut(self.mask.as_slice()) {
            *count += 1;
        } else if self.kinds.len() < self.kinds_max {
            self.kinds.insert(self.mask.as_slice().into(), 1);
        } else {
            self.other += 1;
        }
    }

    /// The counts by level and of the `top` most frequent kinds.
    pub(crate) fn summary(&self, top: usize) -> Summary {
        let mut kinds: Vec<(&[u8], u64)> = self.kinds.iter().map(|(kind, count)| (&**kind, *count)).collect();
        let named = [(OTHER.as_bytes(), self.other), (BLANK.as_bytes(), self.blank)];
        kinds.extend(named.into_iter().filter(|(_, count)| *count > 0));
        kinds.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        let levels = Level::ALL.iter().rev().map(|level| (*level, self.levels[*level as usize]));
        Summary {
            lines: self.lines,
            levels: levels.filter(|(_, count)| *count > 0).collect(),
            kinds: kinds.into_iter().take(top).map(|(kind, count)| (text(kind), count)).collect(),
            kinds_total: self.kinds.len() as u64,
        }
    }
}

fn text(kind: &[u8]) -> String {
    String::from_utf8_lossy(kind).into_owned()
}

/// Writes the kind of `message` into `into`.
fn mask(message: &str, into: &mut Vec<u8>) {
    into.clear();
    let mut cut = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(cut) {
        cut -= 1;
    }
    let bytes = &message.as_bytes()[..cut];
    // What lies between `written` and `at` stays as it is and is copied in one piece. Only bytes that can begin something to put
    // out are stopped at; prose is passed over in one tight loop.
    let (mut written, mut at) = (0, 0);
    while let Some(passed) = bytes[at..].iter().position(|byte| CLASS[usize::from(*byte)] >= Class::Digit) {
        at += passed;
        let (range, found) = match CLASS[usize::from(bytes[at])] {
            Class::Slash => path(bytes, at),
            Class::Quote => quoted(bytes, at),
            _ => word(bytes, written, at),
        };
        at = range.end;
        let Some(found) = found else { continue };
        into.extend_from_slice(&bytes[written..range.start]);
        match found {
            Found::Name(name) => into.extend_from_slice(name),
            Found::Digits => digits(&bytes[range], into),
        }
        written = at;
    }
    into.extend_from_slice(&bytes[written..]);
    if cut < message.len() {
        into.extend_from_slice("…".as_bytes());
    }
}

/// What is written in place of a range.
enum Found {
    Name(&'static [u8]),
    /// The range itself with each run of digits as one `#`.
    Digits,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Class {
    Plain,
    Letter,
    // From here on the bytes that are stopped at.
    Digit,
    Slash,
    Quote,
}

/// The class of each byte; one look-up a byte is what keeps this below the price of a hash.
const CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'/' => Class::Slash,
            b'"' | b'\'' | b'`' => Class::Quote,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| matches!(CLASS[usize::from(*byte)], Class::Letter | Class::Digit))
}

/// The word around the digit at `digit`, not before `from`, and what it becomes; or the UUID that it is a part of.
fn word(bytes: &[u8], from: usize, digit: usize) -> (Range<usize>, Option<Found>) {
    let back = bytes[from..digit].iter().rev().take_while(|byte| is_word(Some(byte))).count();
    let ahead = bytes[digit..].iter().take_while(|byte| is_word(Some(byte))).count();
    let range = digit - back..digit + ahead;
    let word = &bytes[range.clone()];
    if !word.strip_prefix(b"0x").unwrap_or(word).iter().all(u8::is_ascii_hexdigit) {
        return (range, Some(Found::Digits));
    }
    // The groups of a UUID that come before its first digit were passed over.
    let group = matches!(word.len(), 4 | 8 | 12);
    for before in [0, 9, 14, 19, 24] {
        let start = range.start.checked_sub(before).filter(|start| group && *start >= from);
        if let Some(start) = start.filter(|start| is_uuid(&bytes[*start..])) {
            return (start..start + UUID_BYTES, Some(Found::Name(b"<uuid>")));
        }
    }
    (range, Some(Found::Name(b"#")))
}

const UUID_BYTES: usize = 36;

/// Whether a UUID in its usual form, `8-4-4-4-12` hexadecimal digits, begins here.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.get(..UUID_BYTES).is_some_and(|uuid| {
        uuid.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    }) && !is_word(bytes.get(UUID_BYTES))
}

/// A path from the root, or the part of a URL after its scheme. `and/or` is none.
fn path(bytes: &[u8], from: usize) -> (Range<usize>, Option<Found>) {
    let before = from.checked_sub(1).and_then(|before| bytes.get(before));
    if is_word(before) || matches!(before, Some(b'.' | b'/' | b'<')) {
        return (from..from + 1, None);
    }
    let part = |byte: &u8| {
        is_word(Some(byte)) || matches!(byte, b'/' | b'.' | b'-' | b'+' | b'@' | b'%' | b'~' | b':' | b'=')
    };
    let mut end = from + bytes[from..].iter().take_while(|byte| part(byte)).count();
    while end > from && matches!(bytes[end - 1], b'.' | b':') {
        end -= 1;
    }
    if end - from < 2 { (from..from + 1, None) } else { (from..end, Some(Found::Name(b"<path>"))) }
}

/// What stands between two quotes of one kind. An apostrophe inside a word opens nothing, and a key of JSON is what makes the
/// kind of an object.
fn quoted(bytes: &[u8], from: usize) -> (Range<usize>, Option<Found>) {
    let quote = bytes[from];
    let inside = quote != b'"' && from.checked_sub(1).is_some_and(|before| is_word(bytes.get(before)));
    let close = bytes[from + 1..].iter().position(|byte| *byte == quote).filter(|_| !inside);
    let Some(close) = close else { return (from..from + 1, None) };
    let end = from + close + 2;
    let found = match quote {
        b'"' if bytes.get(end) == Some(&b':') => Found::Digits,
        b'"' => Found::Name(b"\"*\""),
        b'`' => Found::Name(b"`*`"),
        _ => Found::Name(b"'*'"),
    };
    (from..end, Some(found))
}

fn digits(word: &[u8], into: &mut Vec<u8>) {
    let mut in_number = false;
    for &byte in word {
        let digit = byte.is_ascii_digit();
        if !digit {
            into.push(byte);
        } else if !in_number {
            into.push(b'#');
        }
        in_number = digit;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(message: &str) -> String {
        let mut into = b"left over".to_vec();
        mask(message, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn what_varies_is_put_out() {
        for (message, expected) in [
            ("check pass; user unknown", "check pass; user unknown"),
            ("Found child 6725 in slot 10", "Found child # in slot #"),
            ("rhost=218.188.2.4 uid=0", "rhost=#.#.#.# uid=#"),
            ("session 0x14f05578bd8000f, timeout of 10000ms", "session #, timeout of #ms"),
            ("commit 89abcdef01 by ada", "commit # by ada"),
            ("a deed, a face, a cafe", "a deed, a face, a cafe"),
            ("appattempt_1445144423722_0020_000001 libc6", "appattempt_#_#_# libc#"),
            ("id abcdefab-cd3f-abcd-efab-cdefabcdefab done", "id <uuid> done"),
            (
                "id abcdefab-cdef-abcd-efab-cdefabcdefabc done",
                "id abcdefab-cdef-abcd-efab-cdefabcdefabc done",
            ),
            ("ok /etc/httpd/conf/workers2.properties.", "ok <path>."),
            ("/a/b:12: no such file, and/or a device / disk", "<path>: no such file, and/or a device / disk"),
            ("GET http://example.org/a?b=1", "GET http:<path>?b=#"),
            (r#"user "bob" said 'hi' to `x`"#, r#"user "*" said '*' to `*`"#),
            ("id 12345678-cdef-abcd-efab-cdefabcdefab done", "id <uuid> done"),
            ("id abcdefab-cdef-abcd-ef1b-cdefabcdefab done", "id <uuid> done"),
            ("id abcdefab-cdef-abcd-efab-cdefabcdefa4", "id <uuid>"),
            (r#""a"5ab1-x "b2":7"#, r##""*"#-x "b#":#"##),
            (r#"done {"code":128,"why":"a"}"#, r#"done {"code":#,"why":"*"}"#),
            ("it doesn't, and can't", "it doesn't, and can't"),
            (r#"an "open quote"#, r#"an "open quote"#),
            ("größe 12 für „ß3“", "größe # für „ß#“"),
            ("", ""),
        ] {
            assert_eq!(kind(message), expected, "{message}");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(kind(&"ä".repeat(200)), "ä".repeat(128) + "…");
        assert_eq!(kind(&("a".to_owned() + &"ä".repeat(200))), "a".to_owned() + &"ä".repeat(127) + "…");
    }

    fn count(counts: &mut Counts, level: Option<Level>, message: &str) {
        counts.count(&Row { level, ..Row::whole(message) });
    }

    #[test]
    fn the_most_frequent_come_first_and_equals_in_their_order() {
        let mut counts = Counts::new(KINDS_MAX);
        for message in ["b 1", "c 1", "a 1", "c 2", "b 2", "d"] {
            count(&mut counts, None, message);
        }
        count(&mut counts, Some(Level::Error), "e");
        let summary = counts.summary(3);
        assert_eq!(summary.kinds, [("b #".to_owned(), 2), ("c #".to_owned(), 2), ("a #".to_owned(), 1)]);
        assert_eq!((summary.lines, summary.kinds_total), (7, 5));
        assert_eq!(summary.levels, [(Level::Error, 1)]);
    }

    #[test]
    fn a_line_without_a_message_is_blank_and_takes_no_room() {
        let mut counts = Counts::new(1);
        for message in ["", "a", ""] {
            count(&mut counts, None, message);
        }
        let summary = counts.summary(10);
        assert_eq!(summary.kinds, [("(blank)".to_owned(), 2), ("a".to_owned(), 1)]);
        assert_eq!((summary.lines, summary.kinds_total), (3, 1));
    }

    #[test]
    fn beyond_the_bound_new_kinds_are_counted_as_other_and_known_ones_exactly() {
        let mut counts = Counts::new(2);
        for message in ["a", "b", "c", "d", "a", "c", "b", "b"] {
            count(&mut counts, None, message);
        }
        let expected = [("(other)".to_owned(), 3), ("b".to_owned(), 3), ("a".to_owned(), 2)];
        assert_eq!(counts.summary(10).kinds, expected);
        assert_eq!(counts.kinds.len(), 2);
    }

    proptest! {
        #[test]
        fn every_line_is_in_one_count_and_numbers_make_no_difference(
            messages in proptest::collection::vec(r#"[a-c /"'`0-9é-]{0,40}|\PC{0,80}"#, 0..12), bound in 0_usize..8,
        ) {
            let mut counts = Counts::new(bound);
            for message in &messages {
                count(&mut counts, None, message);
                prop_assert!(kind(message).len() <= message.len().max(1) * 6);
            }
            let summary = counts.summary(usize::MAX);
            prop_assert_eq!(summary.lines, messages.len() as u64);
            prop_assert_eq!(summary.kinds.iter().map(|(_, count)| count).sum::<u64>(), messages.len() as u64);
        }

        #[test]
        fn a_kind_is_a_kind_of_its_own(message in "[a-z =:,.#*0-9]{0,60}") {
            let once = kind(&message);
            prop_assert_eq!(kind(&once), once.clone());
            prop_assert!(!once.bytes().any(|byte| byte.is_ascii_digit()));
        }
    }
}
