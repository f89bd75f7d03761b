//! What has changed, for people: ranges of bytes and lines. It explains a verdict and never makes one.

use std::fmt::Write as _;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::tokens::{Cuts, ends};

/// More lines than this between the common beginning and end are told as one hunk.
const LINES_MAX: usize = 20_000;

/// What has changed between two texts, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hunks {
    /// The places, at most as many as asked for.
    pub hunks: Vec<Hunk>,
    /// How many more there are.
    pub more: usize,
    /// The texts differ over too many lines to tell them apart: the one hunk is all between the common beginning and end.
    pub coarse: bool,
}

/// A place that has changed: whole lines, whose text is not in here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hunk {
    /// Bytes of the old text; empty where lines were only added.
    pub old: Range<usize>,
    /// Bytes of the new text; empty where lines were only taken away.
    pub new: Range<usize>,
    /// Lines of the old text, from 0.
    pub old_lines: Range<usize>,
    /// Lines of the new text, from 0.
    pub new_lines: Range<usize>,
}

/// What has changed between two texts by lines, at most `hunks_max` places; found by the crate `similar`.
///
/// Holds ranges only, as the text may hold what should not be in a log; [`Hunk::text`] gives it. At most 20,000 lines of
/// either text between the common beginning and end are compared.
///
/// ```
/// use unattended::similarity::hunks;
///
/// let (old, new) = (b"one\ntwo\nthree\n", b"one\n2\nthree\n");
/// let found = hunks(old, new, 10);
/// assert_eq!(found.hunks[0].old, 4..8);
/// assert_eq!(found.hunks[0].new_lines, 1..2);
/// assert_eq!(found.hunks[0].text(old, new, 1_000), "@@ -2,1 +2,1 @@\n-two\n+2\n");
/// ```
#[must_use]
pub fn hunks(old: &[u8], new: &[u8], hunks_max: usize) -> Hunks {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let (a, b) = (pieces(old, &old_lines), pieces(new, &new_lines));
    let (rest, other) = trim_lines(&a, &b);
    let before = rest.start;
    let (x, y) = (&a[rest.clone()], &b[other.clone()]);
    let coarse = x.len() > LINES_MAX || y.len() > LINES_MAX;
    let found = if coarse {
        vec![(0..x.len(), 0..y.len())]
    } else {
        let ops = capture_diff_slices(Algorithm::Myers, x, y);
        ops.iter()
            .filter(|op| !matches!(op, DiffOp::Equal { .. }))
            .map(|op| (op.old_range(), op.new_range()))
            .collect()
    };
    let mut hunks: Vec<Hunk> = Vec::new();
    for (i, j) in found {
        let shifted = |range: Range<usize>| range.start + before..range.end + before;
        let (i, j) = (shifted(i), shifted(j));
        let place = |ends: &[u32], at: usize| if at == 0 { 0 } else { ends[at - 1] as usize };
        let old = place(&old_lines, i.start)..place(&old_lines, i.end);
        let new = place(&new_lines, j.start)..place(&new_lines, j.end);
        match hunks.last_mut() {
            // A deletion and an insertion at one place are one change.
            Some(last) if last.old.end == old.start && last.new.end == new.start => {
                last.old.end = old.end;
                last.new.end = new.end;
                last.old_lines.end = i.end;
                last.new_lines.end = j.end;
            }
            _ if old.is_empty() && new.is_empty() => {}
            _ => hunks.push(Hunk { old, new, old_lines: i, new_lines: j }),
        }
    }
    let more = hunks.len().saturating_sub(hunks_max);
    hunks.truncate(hunks_max);
    Hunks { hunks, more, coarse }
}

impl Hunk {
    /// The lines of a hunk as a unified diff has them, without context and at most about `bytes_max` long; what is not
    /// UTF-8 is replaced. Both texts are those that the hunk was made of.
    #[must_use]
    pub fn text(&self, old: &[u8], new: &[u8], bytes_max: usize) -> String {
        let mut text = String::new();
        let (i, j) = (&self.old_lines, &self.new_lines);
        // Writing to a string does not fail.
        writeln!(text, "@@ -{},{} +{},{} @@", i.start + 1, i.len(), j.start + 1, j.len()).unwrap_or_default();
        for (sign, range, of) in [('-', &self.old, old), ('+', &self.new, new)] {
            let bytes = of.get(range.clone()).unwrap_or_default();
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let room = bytes_max.saturating_sub(text.len());
                if room == 0 {
                    text.push_str("…\n");
                    return text;
                }
                text.push(sign);
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                text.push_str(&String::from_utf8_lossy(&line[..line.len().min(room)]));
                text.push('\n');
            }
        }
        text
    }
}

fn lines(text: &[u8]) -> Vec<u32> {
    ends(text, Cuts::Lines, usize::MAX - 1).unwrap_or_default()
}

fn pieces<'a>(text: &'a [u8], ends: &[u32]) -> Vec<&'a [u8]> {
    let mut start = 0;
    let piece = |end: &u32| {
        let piece = &text[start..*end as usize];
        start = *end as usize;
        piece
    };
    ends.iter().map(piece).collect()
}

/// The lines between the common beginning and end.
fn trim_lines(a: &[&[u8]], b: &[&[u8]]) -> (Range<usize>, Range<usize>) {
    let before = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (x, y) = (&a[before..], &b[before..]);
    let after = x.iter().rev().zip(y.iter().rev()).take_while(|(a, b)| a == b).count();
    (before..a.len() - after, before..b.len() - after)
}
