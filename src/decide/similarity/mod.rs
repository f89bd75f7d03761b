//! Is a change large enough to mean something? Answered exactly, and without computing the ratio.
//!
//! The ratio of two texts is `2 * LCS / T` over bytes: `LCS` is the length of the longest common subsequence, `T` the sum of
//! both lengths. A change means something when the ratio is below the threshold (0.98 by default); equal to it does not. In
//! whole numbers: with `k = floor((1 - threshold) * T)` it does not exactly when at most `k` bytes must be inserted and
//! deleted to come from one to the other. So nearly every case is decided by a bound, long before that distance is known.
//!
//! | step | may only say |
//! |---|---|
//! | the lengths differ by more than `k` | meaningful |
//! | the common beginning and end are taken off; what is left is nothing, small, or on one side only | either |
//! | a walk through both side by side that comes to the end within `k` | not meaningful |
//! | the histograms of the bytes differ by more than `k` | meaningful |
//! | pieces of the old text are not where an alignment within `k` could have them | meaningful |
//! | the counts of five-byte sequences differ by more than `9 * k` | meaningful |
//! | the lines that both have (chunks where lines are long), what is common between those, the words in what is left | not meaningful |
//! | the exact search: along diagonals (Myers 1986), or bit-parallel in a band (Hyyrö 2004) | either |
//!
//! Only the last one can be long. A budget of steps, of memory or of time may end it; the verdict is then
//! [`Verdict::AssumedMeaningful`], the safe side. By default no pair up to 1 MB comes to that at a threshold of 0.98.
//!
//! **Not Python's difflib.** Its `ratio()` sums up matching blocks that it picks greedily, so that it is not symmetric
//! (`tide` and `diet` give 0.25, `diet` and `tide` 0.5), and its `autojunk` ignores whatever is more than 1 % of a text of
//! 200 elements or more: 0.5 % of the bytes of 5,000 replaced give 0.0189, where the truth is 0.9951. The `LCS` is never
//! smaller than what difflib finds, so fewer changes are meaningful here.
//!
//! **Bytes, not characters.** A byte is the same for every encoding, and binaries have them too. [`Unit::Lines`] and
//! [`Unit::Words`] count those instead, and [`Policy::compare_filtered`] compares what a filter leaves; either is for the
//! decision only, what is kept is always the text. The verdict tells when LF became CRLF or the other way round, which a
//! ratio hides: it is about one byte a line.
//!
//! **A ratio is not enough.** 2 % of a gigabyte are 20 MB, so there is `changed_bytes_max`; and small changes add up, so compare with what
//! was kept last and not with what was seen last.
//!
//! ```
//! use unattended::explain::Explain;
//! use unattended::similarity::{Policy, Verdict};
//!
//! let policy = Policy::builder().threshold_ppm(990_000).build()?;
//! let old = "the same line\n".repeat(1_000);
//! let new = format!("{old}and one more\n");
//! let verdict = policy.compare(old.as_bytes(), new.as_bytes());
//! assert!(matches!(verdict, Verdict::NotMeaningful(_)));
//! assert_eq!(verdict.code(), "similarity.trim");
//! # Ok::<(), unattended::similarity::Error>(())
//! ```

mod band;
mod bytes;
mod front;
mod grams;
#[cfg(feature = "diff")]
mod hunk;
mod meter;
mod pieces;
mod policy;
#[cfg(feature = "store")]
mod profile;
mod refine;
mod steps;
#[cfg(test)]
mod tests;
mod tokens;
mod units;
mod verdict;

#[cfg(feature = "diff")]
pub use hunk::{Hunk, Hunks, hunks};
pub use policy::{Builder, Error, Policy};
#[cfg(feature = "store")]
pub use profile::{Profile, ProfileBuilder};
pub use verdict::{Cut, Limit, Step, Unit, Verdict, Why};
