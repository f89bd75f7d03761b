//! Why: a log is read line by line without ever being held whole, and every line boundary is a place to resume from.
//!
//! A line ends at `\n` or `\r\n`; a lone `\r` belongs to its line. The last line needs no terminator, and a terminator at the end of
//! the file begins no further line: a file that is only `\n` is one blank line, a file of no bytes has no line.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};

/// The longest line that is handed out unless the caller says otherwise, in bytes without the terminator.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// How much is asked of the source at once, and the size of the buffer as long as the lines fit into it.
const READ_BYTES: usize = 128 * 1024;

/// A line boundary: the line that comes next, and where its first byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The bytes before that line.
    pub(crate) offset: u64,
    /// Its number; the first line of a file is 1.
    pub(crate) line_no: u64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { offset: 0, line_no: 1 }
    }
}

/// One line with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its number; the first line of a file is 1.
    pub(crate) number: u64,
    /// Where its first byte is.
    pub(crate) offset: u64,
    /// What it says, without its terminator.
    pub(crate) text: Text<'a>,
}

/// What a line says, or why it cannot be read as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    /// Text.
    Valid(&'a str),
    /// Not UTF-8; `column` counts bytes from 1 and is the first byte that is wrong.
    NotUtf8 {
        /// The line as it stands.
        bytes: &'a [u8],
        /// The first byte that is wrong, from 1.
        column: usize,
    },
    /// Longer than the bound; it was counted and let go.
    TooLong {
        /// Its length without the terminator.
        bytes: u64,
    },
}

/// Reads lines from any source with a buffer of at most the line bound plus its terminator (and at least 128 KiB).
#[derive(Debug)]
pub(crate) struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// The current line begins here, unless a part of it was let go already.
    start: usize,
    /// Up to here no newline was found.
    scanned: usize,
    /// The bytes read end here.
    end: usize,
    /// The bytes of the current line that were let go because it is too long.
    dropped: u64,
    /// Whether the last byte let go was `\r`, which belongs to the terminator if `\n` follows.
    dropped_cr: bool,
    ended: bool,
    line_bytes_max: usize,
    cursor: Cursor,
}

impl<R: Read> Lines<R> {
    /// Reads from the first byte of a file.
    pub(crate) fn new(source: R, line_bytes_max: usize) -> Self {
        Self::at(source, Cursor::default(), line_bytes_max)
    }

    /// Reads from a source that stands at `cursor` already.
    pub(crate) fn at(source: R, cursor: Cursor, line_bytes_max: usize) -> Self {
        Self {
            source,
            buffer: vec![0; READ_BYTES],
            start: 0,
            scanned: 0,
            end: 0,
            dropped: 0,
            dropped_cr: false,
            ended: false,
            line_bytes_max,
            cursor,
        }
    }

    /// The boundary before the line that comes next: all lines before it were handed out.
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The source, positioned somewhere at or after the cursor.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// The next line, or `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// What the source says. Nothing is lost by it: the next call goes on where this one stopped.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let Cursor { offset, line_no } = self.cursor;
        let Some(found) = self.find()? else { return Ok(None) };
        let text = match found {
            Found::TooLong { bytes } => Text::TooLong { bytes },
            Found::Held { from, to } => {
                let bytes = &self.buffer[from..to];
                match std::str::from_utf8(bytes) {
                    Ok(text) => Text::Valid(text),
                    Err(wrong) => Text::NotUtf8 { bytes, column: wrong.valid_up_to() + 1 },
                }
            }
        };
        Ok(Some(Line { number: line_no, offset, text }))
    }

    fn find(&mut self) -> io::Result<Option<Found>> {
        loop {
            if let Some(at) = position(&self.buffer[self.scanned..self.end], b'\n') {
                return Ok(Some(self.terminated(self.scanned + at)));
            }
            self.scanned = self.end;
            if self.ended {
                return Ok(self.unterminated());
            }
            // One byte more than the bound may still be the `\r` of a line that just fits.
            if self.dropped > 0 || self.end - self.start > self.line_bytes_max.saturating_add(1) {
                self.drop_held();
            }
            self.fill()?;
        }
    }

    /// The line ends with the newline at `newline`.
    fn terminated(&mut self, newline: usize) -> Found {
        let (from, held) = (self.start, newline - self.start);
        let cr = if held > 0 { self.buffer[newline - 1] == b'\r' } else { self.dropped_cr };
        let raw = self.dropped + held as u64;
        self.pass(newline + 1, raw + 1);
        let bytes = raw - u64::from(cr);
        if bytes > self.line_bytes_max as u64 {
            return Found::TooLong { bytes };
        }
        Found::Held { from, to: newline - usize::from(cr) }
    }

    /// The file ended: what is left, if anything, is its last line.
    fn unterminated(&mut self) -> Option<Found> {
        let (from, to) = (self.start, self.end);
        let bytes = self.dropped + (to - from) as u64;
        if bytes == 0 {
            return None;
        }
        self.pass(to, bytes);
        if bytes > self.line_bytes_max as u64 {
            return Some(Found::TooLong { bytes });
        }
        Some(Found::Held { from, to })
    }

    fn pass(&mut self, next: usize, raw: u64) {
        self.start = next;
        self.scanned = next;
        self.dropped = 0;
        self.dropped_cr = false;
        self.cursor.offset = self.cursor.offset.saturating_add(raw);
        self.cursor.line_no = self.cursor.line_no.saturating_add(1);
    }

    fn drop_held(&mut self) {
        if self.end > self.start {
            self.dropped += (self.end - self.start) as u64;
            self.dropped_cr = self.buffer[self.end - 1] == b'\r';
        }
        self.start = self.end;
    }

    /// Reads once, after making room: by forgetting what was handed out, else by growing up to the bound.
    fn fill(&mut self) -> io::Result<()> {
        if self.end == self.buffer.len() || self.start == self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let grown = self.buffer.len().saturating_mul(2).min(self.line_bytes_max.saturating_add(2));
            self.buffer.resize(grown.max(self.end + 1), 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end = self.buffer.len().min(self.end + read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

impl<R: Read + Seek> Lines<R> {
    /// Goes to `cursor` and reads from there.
    ///
    /// # Errors
    ///
    /// What the source says about going there.
    pub(crate) fn resume(mut source: R, cursor: Cursor, line_bytes_max: usize) -> io::Result<Self> {
        source.seek(SeekFrom::Start(cursor.offset))?;
        Ok(Self::at(source, cursor, line_bytes_max))
    }
}

enum Found {
    Held { from: usize, to: usize },
    TooLong { bytes: u64 },
}

/// Where `byte` is first. The standard library offers its fast search for a byte only through `BufRead`.
pub(crate) fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    let mut rest = bytes;
    let passed = rest.skip_until(byte).ok()?;
    let last = passed.checked_sub(1)?;
    (bytes[last] == byte).then_some(last)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor as Memory;

    use proptest::prelude::*;

    use super::*;

    /// A source that gives at most `step` bytes at a time, and an error it recovers from at every third call.
    struct Trickle<'a> {
        bytes: &'a [u8],
        step: usize,
        calls: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) {
                let kind = [io::ErrorKind::Interrupted, io::ErrorKind::TimedOut][self.calls % 2];
                return Err(io::Error::from(kind));
            }
            let take = self.bytes.len().min(self.step).min(into.len());
            into[..take].copy_from_slice(&self.bytes[..take]);
            self.bytes = &self.bytes[take..];
            Ok(take)
        }
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Seen {
        Bytes(Vec<u8>),
        TooLong(u64),
    }

    fn all<R: Read>(mut lines: Lines<R>) -> Vec<(Cursor, Seen)> {
        let mut seen = Vec::new();
        loop {
            match lines.next_line() {
                Ok(None) => return seen,
                Ok(Some(line)) => {
                    let text = match line.text {
                        Text::Valid(text) => Seen::Bytes(text.as_bytes().to_vec()),
                        Text::NotUtf8 { bytes, .. } => Seen::Bytes(bytes.to_vec()),
                        Text::TooLong { bytes } => Seen::TooLong(bytes),
                    };
                    seen.push((Cursor { offset: line.offset, line_no: line.number }, text));
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
            }
        }
    }

    fn texts(input: &[u8]) -> Vec<String> {
        let all = all(Lines::new(input, LINE_BYTES_MAX));
        all.into_iter()
            .map(|(_, seen)| match seen {
                Seen::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
                Seen::TooLong(bytes) => format!("too long: {bytes}"),
            })
            .collect()
    }

    /// What the lines of `input` are, said in the plainest way.
    fn model(input: &[u8]) -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let last = lines.pop().unwrap();
        for line in &mut lines {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if !last.is_empty() {
            lines.push(last);
        }
        lines
    }

    #[test]
    fn terminators() {
        assert_eq!(texts(b""), [""; 0]);
        assert_eq!(texts(b"\n"), [""]);
        assert_eq!(texts(b"\r\n"), [""]);
        assert_eq!(texts(b"\n\n"), ["", ""]);
        assert_eq!(texts(b"a"), ["a"]);
        assert_eq!(texts(b"a\n"), ["a"]);
        assert_eq!(texts(b"a\r\nb\nc"), ["a", "b", "c"]);
        assert_eq!(texts(b"a\rb\r\r\nc\r"), ["a\rb\r", "c\r"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_named_with_their_column() {
        let mut lines = Lines::new(&b"fine\nab\xffc\xfe\nfine \xe2\x82\n"[..], LINE_BYTES_MAX);
        lines.next_line().unwrap();
        let second = lines.next_line().unwrap().unwrap();
        assert_eq!((second.number, second.offset), (2, 5));
        assert_eq!(second.text, Text::NotUtf8 { bytes: b"ab\xffc\xfe", column: 3 });
        let third = lines.next_line().unwrap().unwrap();
        assert_eq!(third.text, Text::NotUtf8 { bytes: b"fine \xe2\x82", column: 6 });
        assert_eq!(lines.next_line().unwrap(), None);
        assert_eq!(lines.cursor(), Cursor { offset: 19, line_no: 4 });
    }

    #[test]
    fn the_bound_is_exact_and_does_not_count_the_terminator() {
        for end in ["", "\n", "\r\n"] {
            let fits = format!("{}{end}", "x".repeat(8));
            assert_eq!(all(Lines::new(fits.as_bytes(), 8))[0].1, Seen::Bytes(vec![b'x'; 8]), "{end:?}");
            let over = format!("{}{end}", "x".repeat(9));
            assert_eq!(all(Lines::new(over.as_bytes(), 8))[0].1, Seen::TooLong(9), "{end:?}");
        }
        assert_eq!(all(Lines::new(&b"12345678\r"[..], 8))[0].1, Seen::TooLong(9));
    }

    #[test]
    fn a_line_of_half_a_gigabyte_is_counted_but_never_held() {
        let half = 512 << 20;
        let source = b"first\n".chain(io::repeat(b'x').take(half)).chain(&b"\r\nlast"[..]);
        let mut lines = Lines::new(source, LINE_BYTES_MAX);
        lines.next_line().unwrap();
        assert_eq!(lines.next_line().unwrap().unwrap().text, Text::TooLong { bytes: half });
        let last = lines.next_line().unwrap().unwrap();
        assert_eq!(last, Line { number: 3, offset: 6 + half + 2, text: Text::Valid("last") });
        assert!(lines.buffer.len() <= LINE_BYTES_MAX + 2, "{}", lines.buffer.len());
    }

    #[test]
    fn a_line_longer_than_the_first_buffer_is_still_handed_out() {
        let long = "é".repeat(READ_BYTES);
        let input = format!("a\n{long}\nb");
        assert_eq!(texts(input.as_bytes()), ["a", &long, "b"]);
    }

    fn logs() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![4 => Just(b'a'), 2 => Just(b'\n'), 2 => Just(b'\r'), 1 => any::<u8>()];
        proptest::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn lines_are_what_the_model_says(input in logs(), step in 1_usize..40, bound in 0_usize..30) {
            let seen = all(Lines::new(Trickle { bytes: &input, step, calls: 0 }, bound));
            let expected = model(&input).into_iter().map(|line| {
                if line.len() > bound { Seen::TooLong(line.len() as u64) } else { Seen::Bytes(line) }
            });
            prop_assert_eq!(seen.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }

        #[test]
        fn every_boundary_is_a_place_to_resume(input in logs(), bound in 0_usize..30) {
            let whole = all(Lines::new(&input[..], bound));
            for (done, (cursor, _)) in whole.iter().enumerate() {
                let rest = all(Lines::resume(Memory::new(&input), *cursor, bound).unwrap());
                prop_assert_eq!(&rest[..], &whole[done..]);
            }
        }

        #[test]
        fn the_cursor_ends_at_the_last_byte(input in logs(), bound in 0_usize..30) {
            let mut lines = Lines::new(&input[..], bound);
            while lines.next_line().unwrap().is_some() {}
            prop_assert_eq!(lines.cursor().offset, input.len() as u64);
        }

        #[test]
        fn a_byte_is_found_where_it_is(input in logs(), byte in any::<u8>()) {
            prop_assert_eq!(position(&input, byte), input.iter().position(|other| *other == byte));
        }
    }
}
