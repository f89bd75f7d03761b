//! The words and sentences of what a backup decides.

use std::fmt;

use crate::act::backup::decision::{Creating, Decision, Failing, Going, Keeping, Kind, Passing, Storing};
use crate::base::explain::Explain;
use crate::decide::similarity::Verdict;

impl Explain for Decision {
    fn code(&self) -> &'static str {
        match self {
            Self::Created(why) => why.code(),
            Self::Updated(why) => why.code(),
            Self::Skipped { .. } => "backup.skipped",
            Self::Unchanged(why) => why.code(),
            Self::Gone(why) => why.code(),
            Self::Passed(why) => why.code(),
            Self::Failed(why) => why.code(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created(why) => why.fmt(f),
            Self::Updated(why) => why.fmt(f),
            Self::Skipped { verdict, drift } => {
                write!(f, "the change waits, skipped {} times: {verdict}", drift.skips)
            }
            Self::Unchanged(why) => why.fmt(f),
            Self::Gone(why) => why.fmt(f),
            Self::Passed(why) => why.fmt(f),
            Self::Failed(why) => why.fmt(f),
        }
    }
}

impl Explain for Creating {
    fn code(&self) -> &'static str {
        match self {
            Self::First { .. } => "backup.first",
            Self::Returned { .. } => "backup.returned",
        }
    }
}

impl fmt::Display for Creating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First { bytes } => write!(f, "it has never been stored, and has {bytes} bytes"),
            Self::Returned { bytes, gone } => {
                write!(f, "it was gone in run {gone} and is back, with {bytes} bytes")
            }
        }
    }
}

impl Explain for Storing {
    fn code(&self) -> &'static str {
        match self {
            Self::Changed(Verdict::AssumedMeaningful(_)) => "backup.assumed_meaningful",
            Self::Changed(_) => "backup.meaningful",
            Self::Waited { .. } => "backup.waited",
            Self::SkippedOften { .. } => "backup.skipped_often",
            Self::Shrunk { .. } => "backup.shrunk",
            Self::ReferenceLost => "backup.reference_lost",
            Self::StateLost => "backup.state_lost",
            Self::Mode { .. } => "backup.mode",
            Self::FilterPanicked { .. } => "backup.filter_panicked",
            Self::ClockSteppedBack { .. } => "backup.clock_stepped_back",
        }
    }
}

impl fmt::Display for Storing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(verdict) => verdict.fmt(f),
            Self::Waited { waited, age_max } => {
                write!(f, "a small change has waited {waited:?}; it may wait {age_max:?}")
            }
            Self::SkippedOften { skips, skips_max } => {
                write!(f, "a small change was skipped {skips} times; it may be {skips_max} times")
            }
            Self::Shrunk { from, to } => {
                write!(f, "{to} bytes are left of {from}; the version before is pinned")
            }
            Self::ReferenceLost => {
                f.write_str("the stored version is damaged, so there is nothing to compare with")
            }
            Self::StateLost => f.write_str("how long changes have waited is lost, so none waits longer"),
            Self::Mode { from, to } => write!(f, "its mode was {from:o} and is {to:o}"),
            Self::FilterPanicked { said } => write!(f, "the filter panicked over it: {said}"),
            Self::ClockSteppedBack { by } => {
                write!(f, "the clock is {by:?} before the instant at which the change was first seen")
            }
        }
    }
}

impl Explain for Keeping {
    fn code(&self) -> &'static str {
        match self {
            Self::SameHash => "backup.unchanged",
            Self::SameMetadata => "backup.unchanged_metadata",
        }
    }
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameHash => "it is what is stored",
            Self::SameMetadata => "its size, times and inode are those of the stored version",
        })
    }
}

impl Explain for Going {
    fn code(&self) -> &'static str {
        match self {
            Self::Vanished => "backup.gone",
            Self::Became(_) => "backup.became",
        }
    }
}

impl fmt::Display for Going {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished => f.write_str("it is no longer there; its versions are kept"),
            Self::Became(kind) => write!(f, "it is {kind} now; its versions are kept"),
        }
    }
}

impl Explain for Passing {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAFile(_) => "backup.not_a_file",
            Self::TheStore => "backup.the_store",
        }
    }
}

impl fmt::Display for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile(kind) => write!(f, "it is {kind}, not a file"),
            Self::TheStore => f.write_str("it is the store itself"),
        }
    }
}

impl Explain for Failing {
    fn code(&self) -> &'static str {
        match self {
            Self::Vanished => "backup.vanished",
            Self::Unreadable { .. } => "backup.unreadable",
            Self::TooDeep { .. } => "backup.too_deep",
            Self::NameTooLong => "backup.name_too_long",
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished => f.write_str("it went away before it could be read"),
            Self::Unreadable { said, .. } => write!(f, "it cannot be read: {said}"),
            Self::TooDeep { depth_max } => write!(f, "it lies deeper than {depth_max} folders"),
            Self::NameTooLong => f.write_str("its path has more than 4096 bytes"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Other => "something else",
        })
    }
}
