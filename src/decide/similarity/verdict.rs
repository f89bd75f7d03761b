//! What was decided of two texts, by which step, and the numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;

/// Whether a change means something.
///
/// `NotMeaningful` and `Meaningful` are exact: they are what the whole distance would say. `AssumedMeaningful` says only
/// that a budget ended first; it is on the safe side, an extra copy at worst.
#[must_use = "a change that means something is to be acted on"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The ratio is at the threshold or above it.
    NotMeaningful(Why),
    /// The ratio is below the threshold.
    Meaningful(Why),
    /// A budget ended the search; what is known is in the limit.
    AssumedMeaningful(Limit),
}

impl Verdict {
    /// Whether to act as if it means something: also where that is only assumed.
    #[must_use]
    pub const fn is_meaningful(&self) -> bool {
        !matches!(self, Self::NotMeaningful(_))
    }

    /// The numbers: lengths, what is allowed and what is known of the distance.
    #[must_use]
    pub const fn why(&self) -> &Why {
        match self {
            Self::NotMeaningful(why) | Self::Meaningful(why) => why,
            Self::AssumedMeaningful(limit) => &limit.why,
        }
    }
}

/// The step that decided, and the numbers that it compared.
///
/// The distance is the number of units (bytes, unless the policy says otherwise) that must be deleted from the old text
/// or inserted to come to the new one: `old + new - 2 * LCS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Why {
    /// The step that decided; for an assumed verdict the last one that was tried.
    pub step: Step,
    /// What is counted.
    pub unit: Unit,
    /// The length of the old text in units, after the filter if there is one.
    pub old: u64,
    /// The length of the new text in units.
    pub new: u64,
    /// The largest distance that is not meaningful: `k`.
    pub allowed: u64,
    /// The distance is at least this.
    pub at_least: u64,
    /// The distance is at most this; equal to `at_least` where it is known exactly.
    pub at_most: u64,
    /// The first lines end differently, one with LF, the other with CRLF. Looked for where a change was found, in the
    /// first 64 KiB.
    pub eol_changed: bool,
}

impl Why {
    /// The ratio is at least this, in millionths, rounded down. Two empty texts have the ratio 1.
    #[must_use]
    pub fn ratio_ppm_least(&self) -> u32 {
        let (kept, total) = self.kept(self.at_most);
        u32::try_from(kept * 1_000_000 / total).unwrap_or(1_000_000)
    }

    /// The ratio is at most this, in millionths, rounded up.
    #[must_use]
    pub fn ratio_ppm_most(&self) -> u32 {
        let (kept, total) = self.kept(self.at_least);
        u32::try_from((kept * 1_000_000).div_ceil(total)).unwrap_or(1_000_000)
    }

    /// What both have in common and the sum of their lengths, for that distance; equal for two empty texts.
    fn kept(&self, distance: u64) -> (u128, u128) {
        let total = u128::from(self.old) + u128::from(self.new);
        if total == 0 { (1, 1) } else { (total.saturating_sub(u128::from(distance)), total) }
    }
}

/// A budget that ended the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limit {
    /// Which one.
    pub cut: Cut,
    /// What is known nevertheless.
    pub why: Why,
}

/// Which budget ended a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cut {
    /// The exact search takes more steps than the policy allows.
    Work {
        /// How many it may take, or has taken when it was given up.
        needed: u64,
        /// How many are allowed.
        max: u64,
    },
    /// The exact search takes more memory than the policy allows.
    Memory {
        /// How many bytes it takes.
        needed: u64,
        /// How many are allowed.
        max: u64,
    },
    /// The caller's time was over.
    Time,
    /// Profiles tell no more than this; the bytes would.
    Profiles,
}

/// How a verdict was come by. Which of them may say what is in the [module's table](crate::decide::similarity).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// All bytes are the same.
    Equal,
    /// The lengths alone.
    Length,
    /// The common beginning and end were taken off.
    Trim,
    /// Both texts were walked through side by side, past their differences.
    Walk,
    /// How often each byte occurs.
    Histogram,
    /// Pieces of the old text were looked for near their place in the new one.
    Pieces,
    /// How often each sequence of a few bytes occurs.
    Grams,
    /// Lines that both have.
    Lines,
    /// Content-defined chunks that both have.
    Chunks,
    /// What is between the lines or chunks that both have.
    Hunks,
    /// Words that both have, in what is left.
    Words,
    /// The exact search along diagonals (Myers).
    Diagonals,
    /// The exact bit-parallel search in a band.
    Band,
}

/// What is counted and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// Bytes: total, the same for every encoding, right for binaries. The default.
    #[default]
    Bytes,
    /// Lines, each with its end. One changed byte changes a line.
    Lines,
    /// Words and what is between them: a run of letters, digits, underscores and bytes beyond ASCII is a word, a run of
    /// white space is one too, so that a line that was broken elsewhere is a change, and each other byte for itself.
    Words,
}

impl Unit {
    const fn plural(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Lines => "lines",
            Self::Words => "words",
        }
    }
}

impl Explain for Why {
    fn code(&self) -> &'static str {
        match self.step {
            Step::Equal => "similarity.equal",
            Step::Length => "similarity.length",
            Step::Trim => "similarity.trim",
            Step::Walk => "similarity.walk",
            Step::Histogram => "similarity.histogram",
            Step::Pieces => "similarity.pieces",
            Step::Grams => "similarity.grams",
            Step::Lines => "similarity.lines",
            Step::Chunks => "similarity.chunks",
            Step::Hunks => "similarity.hunks",
            Step::Words => "similarity.words",
            Step::Diagonals => "similarity.diagonals",
            Step::Band => "similarity.band",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit.plural();
        match (self.at_least, self.at_most) {
            (least, most) if least == most => write!(f, "{least}")?,
            (least, most) if least > self.allowed || most > self.allowed => write!(f, "at least {least}")?,
            (_, most) => write!(f, "at most {most}")?,
        }
        write!(f, " {unit} differ between {} and {}, {} may", self.old, self.new, self.allowed)?;
        f.write_str(match self.step {
            Step::Equal => ": they are equal",
            Step::Length => ", by the lengths alone",
            Step::Trim => ", between the common beginning and end",
            Step::Walk => ", walking both side by side",
            Step::Histogram => ", by how often each occurs",
            Step::Pieces => ", as pieces are missing where they should be",
            Step::Grams => ", by the sequences that occur",
            Step::Lines => ", as the other lines are common",
            Step::Chunks => ", as the other chunks are common",
            Step::Hunks => ", between the common lines",
            Step::Words => ", as the other words are common",
            Step::Diagonals | Step::Band => ", by the exact search",
        })?;
        if self.eol_changed { f.write_str("; the ends of the lines have changed") } else { Ok(()) }
    }
}

impl Explain for Limit {
    fn code(&self) -> &'static str {
        match self.cut {
            Cut::Work { .. } => "similarity.work_spent",
            Cut::Memory { .. } => "similarity.memory_short",
            Cut::Time => "similarity.time_over",
            Cut::Profiles => "similarity.profiles_only",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cut {
            Cut::Work { needed, max } => {
                write!(f, "{needed} steps are needed to be sure, {max} are allowed: ")?
            }
            Cut::Memory { needed, max } => {
                write!(f, "{needed} bytes of memory are needed to be sure, {max} are allowed: ")?;
            }
            Cut::Time => f.write_str("the time is over: ")?,
            Cut::Profiles => f.write_str("two profiles tell no more: ")?,
        }
        let Why { unit, old, new, allowed, at_least, at_most, .. } = self.why;
        let unit = unit.plural();
        write!(f, "between {at_least} and {at_most} {unit} differ between {old} and {new}, {allowed} may")
    }
}

impl Explain for Verdict {
    fn code(&self) -> &'static str {
        match self {
            Self::NotMeaningful(why) | Self::Meaningful(why) => why.code(),
            Self::AssumedMeaningful(limit) => limit.code(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeaningful(why) => write!(f, "not meaningful: {why}"),
            Self::Meaningful(why) => write!(f, "meaningful: {why}"),
            Self::AssumedMeaningful(limit) => write!(f, "assumed to be meaningful: {limit}"),
        }
    }
}
