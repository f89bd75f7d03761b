//! Why input is not accepted.

use std::fmt;

use super::Violations;
use crate::base::canonical::Position;
use crate::base::explain::Explain;
use crate::base::fault::{Classify, Fault, Reached};

/// Input that a contract does not accept. Trying again cannot help, and nothing was done.
///
/// `Display` is one line with every violation, `{:#}` has a line for each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Refused {
    /// The contract's name and version, such as `publish.request/2`.
    pub contract: String,
    /// Why.
    pub why: Refusal,
}

/// Why input is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It is not as it must be.
    Invalid {
        /// The schema version that it was looked at by: the contract's, or an older one before its upgrade.
        version: u32,
        /// Everything that is not.
        violations: Violations,
    },
    /// It is longer than it may be, as it came or in the form in which it would be stored.
    TooLong {
        /// Its bytes.
        given: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It says that it is of a version that this program does not know: too old, or newer than the program.
    UnknownVersion {
        /// The version.
        given: u32,
        /// The oldest that is known.
        oldest: u32,
        /// The newest that is known.
        newest: u32,
    },
    /// There is no JSON object in the text.
    NoCandidate {
        /// The bytes that were looked through.
        bytes: usize,
    },
    /// There is more than one JSON object in the text, and they are not the same.
    Ambiguous {
        /// Where the first one is.
        first: Position,
        /// Where the first one that differs is.
        second: Position,
    },
    /// Something in the text begins like a JSON object and is none, or is cut out of an array.
    Broken {
        /// Where it begins.
        at: Position,
    },
}

impl Refused {
    /// Everything that is not as it must be; `None` if the input was refused for another reason.
    #[must_use]
    pub const fn violations(&self) -> Option<&Violations> {
        match &self.why {
            Refusal::Invalid { violations, .. } => Some(violations),
            _ => None,
        }
    }
}

impl Explain for Refused {
    fn code(&self) -> &'static str {
        match self.why {
            Refusal::Invalid { .. } => "contract.refused",
            Refusal::TooLong { .. } => "contract.too_long",
            Refusal::UnknownVersion { .. } => "contract.unknown_version",
            Refusal::NoCandidate { .. } => "contract.no_candidate",
            Refusal::Ambiguous { .. } => "contract.ambiguous_candidate",
            Refusal::Broken { .. } => "contract.broken_candidate",
        }
    }
}

impl Classify for Refused {
    fn fault(&self) -> Fault {
        Fault::permanent(self.code()).reached(Reached::No)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.contract;
        match &self.why {
            Refusal::Invalid { version, violations } => {
                let space = if f.alternate() { ":\n" } else { ": " };
                write!(f, "{name} refuses the input of version {version}{space}")?;
                violations.fmt(f)
            }
            Refusal::TooLong { given, limit } => {
                write!(f, "{name} refuses the input: it has {given} bytes, at most {limit} are allowed")
            }
            Refusal::UnknownVersion { given, oldest, newest } if oldest == newest => {
                write!(f, "{name} refuses the input: it is of version {given}, known is {newest}")
            }
            Refusal::UnknownVersion { given, oldest, newest } => {
                write!(
                    f,
                    "{name} refuses the input: it is of version {given}, known are {oldest} to {newest}"
                )
            }
            Refusal::NoCandidate { bytes } => {
                write!(f, "{name} refuses the input: no JSON object is in its {bytes} bytes")
            }
            Refusal::Ambiguous { first, second } => {
                write!(f, "{name} refuses the input: one JSON object is at {first}, another one at {second}")
            }
            Refusal::Broken { at } => {
                write!(f, "{name} refuses the input: what begins like a JSON object at {at} is none")
            }
        }
    }
}
