//! What is kept of a stream: its beginning and its end.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;

/// The beginning and the end of what was written to a stream. `Display` is [`text`](Self::text).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// How it began.
    pub head: Vec<u8>,
    /// How it ended, beyond the beginning.
    pub tail: Vec<u8>,
    /// How many bytes were written in all.
    pub bytes: u64,
}

impl Captured {
    /// How many bytes between the beginning and the end were not kept.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let kept = u64::try_from(self.head.len().saturating_add(self.tail.len())).unwrap_or(u64::MAX);
        self.bytes.saturating_sub(kept)
    }

    /// Whether all of it is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left_out() == 0
    }

    /// As text. What is no UTF-8 becomes U+FFFD, and where something was left out a line says how much.
    ///
    /// ```
    /// use unattended::command::Command;
    ///
    /// let said = Command::new("sh").args(["-c", "seq 1 1000"]).output_max(16).run_blocking()?;
    /// assert_eq!(said.stdout.text(), "1\n2\n3\n4\n… 3877 bytes left out …\n99\n1000\n");
    /// # Ok::<(), unattended::command::Error>(())
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// The last line that is not empty, at most `max` characters of it.
    pub(super) fn last_line(&self, max: usize) -> String {
        let end = if self.tail.is_empty() { &self.head } else { &self.tail };
        let text = String::from_utf8_lossy(end);
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        line.chars().filter(|c| !c.is_control()).take(max).collect()
    }
}

impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_whole() && !self.tail.is_empty() {
            // A character may lie across the seam.
            return f.write_str(&String::from_utf8_lossy(&[&*self.head, &*self.tail].concat()));
        }
        let head: Cow<'_, str> = String::from_utf8_lossy(&self.head);
        f.write_str(&head)?;
        if !self.is_whole() {
            let line = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
            writeln!(f, "{line}… {} bytes left out …", self.left_out())?;
        }
        f.write_str(&String::from_utf8_lossy(&self.tail))
    }
}

/// A stream as it is being read: so much of its beginning, and a ring with its end.
#[derive(Debug)]
pub(super) struct Keeping {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    pub(super) bytes: u64,
}

impl Keeping {
    /// Keeps at most `max` bytes, half of them from the beginning.
    pub(super) const fn of(max: usize) -> Self {
        let tail_max = max / 2;
        Self { head: Vec::new(), head_max: max - tail_max, tail: VecDeque::new(), tail_max, bytes: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let room = self.head_max.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(self.tail_max)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.tail_max);
        drop(self.tail.drain(..over.min(self.tail.len())));
        self.tail.extend(rest);
    }

    /// What is kept until now.
    pub(super) fn captured(&self) -> Captured {
        let (first, second) = self.tail.as_slices();
        Captured { head: self.head.clone(), tail: [first, second].concat(), bytes: self.bytes }
    }

    /// What is kept, without a copy of it.
    pub(super) fn take(&mut self) -> Captured {
        let tail = Vec::from(std::mem::take(&mut self.tail));
        Captured { head: std::mem::take(&mut self.head), tail, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::{Rng, entropy};

    #[test]
    fn the_beginning_and_the_end_are_kept_whatever_comes_between() {
        let mut rng = Rng::seeded(entropy());
        for _ in 0..500 {
            let max = usize::try_from(rng.up_to(40)).unwrap();
            let all: Vec<u8> = (0..rng.up_to(200)).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut keeping = Keeping::of(max);
            let mut rest = &*all;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(usize::try_from(rng.up_to(60)).unwrap().min(rest.len()));
                keeping.push(now);
                rest = later;
            }
            let captured = keeping.captured();
            assert!(captured.head.len() + captured.tail.len() <= max);
            assert_eq!((captured.head.len() + captured.tail.len()).min(all.len()), max.min(all.len()));
            assert!(all.starts_with(&captured.head) && all.ends_with(&captured.tail));
            assert_eq!(captured.left_out(), u64::try_from(all.len().saturating_sub(max)).unwrap());
            assert_eq!(keeping.take(), captured);
        }
    }

    #[test]
    fn what_was_left_out_is_said_and_what_is_whole_is_whole() {
        let mut keeping = Keeping::of(8);
        keeping.push("añb€".as_bytes());
        assert_eq!(keeping.captured().text(), "añb€");
        keeping.push(b"0123456789");
        assert_eq!(keeping.captured().text(), "añb\n… 9 bytes left out …\n6789");
        assert_eq!(keeping.captured().last_line(3), "678");
    }
}
