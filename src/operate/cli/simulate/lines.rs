//! Lines, one after another, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

/// So much is read at once.
const CHUNK: usize = 64 * 1024;

/// The lines of an input, of which each has at most so many bytes.
pub(in crate::operate::cli) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    number: u64,
    longest: usize,
}

/// What comes next.
pub(in crate::operate::cli) enum Next<'a> {
    /// A line without its end.
    Line(&'a [u8]),
    /// One that has more bytes than are read.
    TooLong,
    /// Nothing more.
    End,
}

impl<R: Read> Lines<R> {
    pub(in crate::operate::cli) fn new(input: R, longest: usize) -> Self {
        Self { input: BufReader::with_capacity(CHUNK, input), line: Vec::new(), number: 0, longest }
    }

    /// Whether the next line may have to be waited for. Then what was answered is to be handed on first: whoever writes the
    /// lines may wait for the answer to the last one.
    pub(in crate::operate::cli) fn may_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }

    /// The number of the line that was read last, from 1.
    pub(in crate::operate::cli) const fn number(&self) -> u64 {
        self.number
    }

    pub(in crate::operate::cli) fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let most = u64::try_from(self.longest).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut self.input).take(most).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(Next::End);
        }
        self.number = self.number.saturating_add(1);
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if read > self.longest {
            return Ok(Next::TooLong);
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(Next::Line(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, longest: usize) -> Vec<String> {
        let mut lines = Lines::new(text.as_bytes(), longest);
        let mut read = Vec::new();
        loop {
            match lines.next().unwrap() {
                Next::Line(line) => read.push(String::from_utf8(line.to_vec()).unwrap()),
                Next::TooLong => {
                    read.push(String::from("too long"));
                    return read;
                }
                Next::End => return read,
            }
        }
    }

    #[test]
    fn a_line_ends_with_its_end_or_with_the_input() {
        assert_eq!(all("a\nb\r\n\nc", 9), ["a", "b", "", "c"]);
        assert_eq!(all("", 9), [""; 0]);
        assert_eq!(all("123\n1234\nx", 3), ["123", "too long"]);
        assert_eq!(all("123", 3), ["123"]);
    }

    #[test]
    fn lines_are_numbered_from_one_and_those_that_are_here_are_not_waited_for() {
        let mut lines = Lines::new(&b"a\nb\n"[..], 9);
        assert!(lines.may_wait());
        assert!(matches!(lines.next().unwrap(), Next::Line(b"a")));
        assert_eq!((lines.number(), lines.may_wait()), (1, false));
        assert!(matches!(lines.next().unwrap(), Next::Line(b"b")));
        assert_eq!((lines.number(), lines.may_wait()), (2, true));
    }
}
