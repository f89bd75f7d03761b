//! Why: a file that cannot be loaded whole is refused before the first row, with a list a person can act on.

use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unattended::explain::Explain;

use crate::lines::{LINE_BYTES_MAX, Lines, Text, position};

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The largest file, in bytes. Default 4 GiB.
    pub(crate) bytes_max: u64,
    /// The longest line, in bytes without its terminator. Default 1 MiB.
    pub(crate) line_bytes_max: usize,
    /// How many problems are listed; further ones are counted. Default 20.
    pub(crate) problems_max: usize,
    /// Whether the SHA-256 of the content is computed in the same pass, so that the caller can tell that the file did
    /// not change since it was read before. Default true.
    pub(crate) hash: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 4 << 30, line_bytes_max: LINE_BYTES_MAX, problems_max: 20, hash: true }
    }
}

/// What one pass over a file found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The bytes read: the whole file, unless it is larger than the bound.
    pub(crate) bytes: u64,
    /// The lines in them.
    pub(crate) lines: u64,
    /// The SHA-256 of the content in lower-case hexadecimal; none where it was not asked for or the file is too large.
    pub(crate) sha256: Option<String>,
    /// The first problems, in the order of their lines.
    pub(crate) problems: Vec<Problem>,
    /// How many more there are.
    pub(crate) problems_more: u64,
}

impl Report {
    /// Whether the file can be loaded.
    pub(crate) fn sound(&self) -> bool {
        self.problems.is_empty() && self.problems_more == 0
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// The line, from 1.
    pub(crate) line: u64,
    /// The byte in the line, from 1.
    pub(crate) column: u64,
    /// What is wrong there.
    pub(crate) what: What,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}: {}", self.line, self.column, self.what)
    }
}

/// What can be wrong with a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub(crate) enum What {
    /// The file has no bytes.
    Empty,
    /// The file is larger than it may be; nothing after the bound was looked at.
    TooLarge {
        /// The largest file.
        bytes_max: u64,
    },
    /// The line is longer than it may be.
    TooLong {
        /// Its length.
        bytes: u64,
        /// The longest line.
        bytes_max: u64,
    },
    /// A byte that is no UTF-8 where it stands; the first of its line.
    NotUtf8 {
        /// The byte.
        byte: u8,
    },
    /// A NUL byte: a binary file, or a file whose end was never written. The first of its line.
    Nul,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::TooLarge { bytes_max } => write!(f, "the file is larger than {bytes_max} bytes"),
            Self::TooLong { bytes, bytes_max } => {
                write!(f, "the line has {bytes} bytes, more than {bytes_max}")
            }
            Self::NotUtf8 { byte } => write!(f, "0x{byte:02x} is not UTF-8 here"),
            Self::Nul => f.write_str("a NUL byte, which no log text has"),
        }
    }
}

impl Explain for What {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "ingest.empty",
            Self::TooLarge { .. } => "ingest.file_too_large",
            Self::TooLong { .. } => "ingest.line_too_long",
            Self::NotUtf8 { .. } => "ingest.not_utf8",
            Self::Nul => "ingest.nul",
        }
    }
}

/// Looks at the whole file once.
///
/// # Errors
///
/// What the source says. A file that is wrong is a report, not an error.
pub(crate) fn validate(source: impl Read, limits: &Limits) -> io::Result<Report> {
    // One byte more than allowed is read, so that a file of exactly the bound is told from a larger one.
    let bounded = source.take(limits.bytes_max.saturating_add(1));
    let hasher = limits.hash.then(Sha256::new);
    let mut lines = Lines::new(Hashing { source: bounded, hasher }, limits.line_bytes_max);
    let mut found = Found { problems: Vec::new(), more: 0, problems_max: limits.problems_max };
    while let Some(line) = lines.next_line()? {
        let bytes = match line.text {
            Text::Valid(text) => text.as_bytes(),
            Text::NotUtf8 { bytes, column } => {
                let byte = bytes.get(column - 1).copied().unwrap_or_default();
                found.add(line.number, column, What::NotUtf8 { byte });
                bytes
            }
            Text::TooLong { bytes } => {
                let bytes_max = limits.line_bytes_max as u64;
                found.add(line.number, 1, What::TooLong { bytes, bytes_max });
                continue;
            }
        };
        if let Some(at) = position(bytes, 0) {
            found.add(line.number, at + 1, What::Nul);
        }
    }
    let end = lines.cursor();
    let too_large = end.offset > limits.bytes_max;
    if too_large {
        found.add(end.line_no.saturating_sub(1), 1, What::TooLarge { bytes_max: limits.bytes_max });
    } else if end.offset == 0 {
        found.add(1, 1, What::Empty);
    }
    let digest = lines.into_source().hasher.filter(|_| !too_large).map(Sha256::finalize);
    Ok(Report {
        bytes: end.offset,
        lines: end.line_no - 1,
        sha256: digest.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect()),
        problems: found.problems,
        problems_more: found.more,
    })
}

struct Found {
    problems: Vec<Problem>,
    more: u64,
    problems_max: usize,
}

impl Found {
    fn add(&mut self, line: u64, column: usize, what: What) {
        if self.problems.len() < self.problems_max {
            self.problems.push(Problem { line, column: column as u64, what });
        } else {
            self.more += 1;
        }
    }
}

/// Hashes what passes through.
struct Hashing<R> {
    source: R,
    hasher: Option<Sha256>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&into[..read]);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(input: &[u8]) -> Report {
        validate(input, &Limits::default()).unwrap()
    }

    fn problems(report: &Report) -> Vec<String> {
        report.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sound_file_has_its_numbers_and_its_hash() {
        let report = check(b"abc");
        assert!(report.sound());
        assert_eq!((report.bytes, report.lines), (3, 1));
        // FIPS 180-2, appendix B.1.
        let published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(report.sha256.as_deref(), Some(published));
        let unhashed = validate(&b"abc\n"[..], &Limits { hash: false, ..Limits::default() }).unwrap();
        assert_eq!((unhashed.bytes, unhashed.lines, unhashed.sha256), (4, 1, None));
    }

    #[test]
    fn an_empty_file_is_refused_and_a_blank_line_is_not_empty() {
        assert_eq!(problems(&check(b"")), ["line 1, byte 1: the file is empty"]);
        assert!(check(b"\n").sound());
    }

    #[test]
    fn each_problem_names_its_line_and_byte() {
        let report = check(b"fine\nab\xffcd\xff\nx\0y\0\n\0\xc3\nfine\n");
        assert_eq!(report.lines, 5);
        assert_eq!(
            problems(&report),
            [
                "line 2, byte 3: 0xff is not UTF-8 here",
                "line 3, byte 2: a NUL byte, which no log text has",
                "line 4, byte 2: 0xc3 is not UTF-8 here",
                "line 4, byte 1: a NUL byte, which no log text has",
            ]
        );
    }

    #[test]
    fn the_size_bound_is_exact() {
        let limits = Limits { bytes_max: 4, ..Limits::default() };
        assert!(validate(&b"abc\n"[..], &limits).unwrap().sound());
        let over = validate(io::repeat(b'\n'), &limits).unwrap();
        assert_eq!(problems(&over), ["line 5, byte 1: the file is larger than 4 bytes"]);
        assert_eq!((over.bytes, over.sha256), (5, None));
    }

    #[test]
    fn a_line_over_the_bound_is_named_with_its_length() {
        let limits = Limits { line_bytes_max: 3, ..Limits::default() };
        let report = validate(&b"abc\nabcd\nab"[..], &limits).unwrap();
        assert_eq!(problems(&report), ["line 2, byte 1: the line has 4 bytes, more than 3"]);
    }

    #[test]
    fn the_list_is_bounded_and_says_how_many_more() {
        let report = check(&b"\xff\n".repeat(1_000));
        assert_eq!((report.problems.len(), report.problems_more), (20, 980));
        let none = validate(&b"\xff"[..], &Limits { problems_max: 0, ..Limits::default() }).unwrap();
        assert!(!none.sound());
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_as_the_standard_library_judges_them(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), any::<u8>()], 1..200),
        ) {
            let report = check(&input);
            prop_assert_eq!(report.bytes, input.len() as u64);
            let text = std::str::from_utf8(&input).is_ok_and(|text| !text.contains('\0'));
            prop_assert_eq!(report.sound(), text);
            if let (Err(wrong), Some(first)) = (
                std::str::from_utf8(&input),
                report.problems.iter().find(|problem| matches!(problem.what, What::NotUtf8 { .. })),
            ) {
                let before = &input[..wrong.valid_up_to()];
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                let column = before.len() - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                prop_assert_eq!((first.line, first.column), (line as u64, column as u64 + 1));
            }
        }
    }
}
