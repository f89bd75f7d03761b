//! Lines of a stream, one at a time, in bounded memory.

use std::io::{self, Read};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How many bytes of a line are kept; the rest of it is left out.
const LINE_MAX: usize = 64 * 1024;

/// Takes a stream apart into lines. What it reads from is given at each call, so that it holds nothing open.
pub(super) struct Lines {
    chunk: Vec<u8>,
    begin: usize,
    end: usize,
    line: Vec<u8>,
    begun: bool,
    /// Lines so far.
    pub(super) count: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
}

impl Lines {
    pub(super) fn new() -> Self {
        let chunk = vec![0; CHUNK];
        Self { chunk, begin: 0, end: 0, line: Vec::new(), begun: false, count: 0, bytes: 0 }
    }

    /// The next line, without its line feed; the last one too if none ends it.
    pub(super) fn next(&mut self, from: &mut dyn Read) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        loop {
            if self.begin == self.end {
                self.end = read(from, &mut self.chunk)?;
                (self.begin, self.bytes) = (0, self.bytes + self.end as u64);
                if self.end == 0 {
                    let last = std::mem::take(&mut self.begun);
                    self.count += u64::from(last);
                    return Ok(last.then_some(self.line.as_slice()));
                }
            }
            let rest = self.chunk.get(self.begin..self.end).unwrap_or_default();
            let found = memchr::memchr(b'\n', rest);
            let part = rest.get(..found.unwrap_or(rest.len())).unwrap_or_default();
            let room = LINE_MAX.saturating_sub(self.line.len()).min(part.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or_default());
            match found {
                Some(at) => {
                    self.begin += at + 1;
                    self.begun = false;
                    self.count += 1;
                    return Ok(Some(&self.line));
                }
                None => {
                    self.begin = self.end;
                    self.begun = true;
                }
            }
        }
    }
}

fn read(from: &mut dyn Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_apart_and_a_long_line_cut() {
        let long = "x".repeat(200_000);
        let text = format!("one\n\n{long}\nlast");
        let (mut lines, mut from, mut seen) = (Lines::new(), text.as_bytes(), Vec::new());
        while let Some(line) = lines.next(&mut from).unwrap() {
            seen.push(line.to_vec());
        }
        assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [3, 0, LINE_MAX, 4]);
        assert_eq!((lines.count, lines.bytes), (4, text.len() as u64));
        assert!(lines.next(&mut from).unwrap().is_none());
    }
}
