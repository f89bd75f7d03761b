//! What a rule says, and what the gate decides.

use std::fmt;

use super::{Approved, Candidate, Refused};
use crate::base::canonical::Fingerprint;
use crate::base::explain::Explain;
use crate::base::text::{shortened, shown};

/// How much of a rule's or a person's words is kept, in characters.
const WHY_MAX: usize = 300;

/// What a rule says of a candidate.
#[must_use = "what a rule says decides"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The rule is not about such a candidate.
    Pass,
    /// It may be done.
    Allow {
        /// Why.
        why: String,
    },
    /// It must not be done, whoever else allows it.
    Deny {
        /// Why not.
        why: String,
    },
    /// A person has to look at it.
    Review {
        /// What at.
        why: String,
    },
}

impl Verdict {
    /// It may be done.
    pub fn allow(why: impl fmt::Display) -> Self {
        Self::Allow { why: why.to_string() }
    }

    /// It must not be done.
    pub fn deny(why: impl fmt::Display) -> Self {
        Self::Deny { why: why.to_string() }
    }

    /// A person has to look at it.
    pub fn review(why: impl fmt::Display) -> Self {
        Self::Review { why: why.to_string() }
    }
}

/// Why the gate has decided so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A rule allows it.
    Allowed {
        /// The rule.
        rule: String,
        /// Its words.
        why: String,
    },
    /// A rule forbids it.
    Denied {
        /// The rule.
        rule: String,
        /// Its words.
        why: String,
    },
    /// A rule asks for a person.
    ForReview {
        /// The rule.
        rule: String,
        /// Its words.
        why: String,
    },
    /// No rule is about it, and what nobody has allowed is not done.
    NoRule {
        /// How many rules there are.
        rules: usize,
    },
    /// A person has looked at it and approves.
    Reviewed {
        /// Who.
        by: String,
        /// The person's words.
        why: String,
    },
    /// A person has looked at something else.
    OtherReviewed {
        /// What the person has seen.
        seen: Fingerprint,
        /// What is to be done now.
        given: Fingerprint,
    },
    /// A review that does not say by whom, or why.
    Nameless,
}

impl Reason {
    pub(super) fn allowed(rule: &str, why: &str) -> Self {
        Self::Allowed { rule: rule.to_owned(), why: kept(why) }
    }

    pub(super) fn denied(rule: &str, why: &str) -> Self {
        Self::Denied { rule: rule.to_owned(), why: kept(why) }
    }

    pub(super) fn for_review(rule: &str, why: &str) -> Self {
        Self::ForReview { rule: rule.to_owned(), why: kept(why) }
    }

    pub(super) fn reviewed(by: &str, why: &str) -> Self {
        Self::Reviewed { by: kept(by), why: kept(why) }
    }

    /// The rule whose word it is, if it is a rule's.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Allowed { rule, .. } | Self::Denied { rule, .. } | Self::ForReview { rule, .. } => {
                Some(rule)
            }
            Self::NoRule { .. } | Self::Reviewed { .. } | Self::OtherReviewed { .. } | Self::Nameless => None,
        }
    }
}

impl Explain for Reason {
    fn code(&self) -> &'static str {
        match self {
            Self::Allowed { .. } => "contract.rule_allows",
            Self::Denied { .. } => "contract.rule_denies",
            Self::ForReview { .. } => "contract.rule_asks",
            Self::NoRule { .. } => "contract.no_rule",
            Self::Reviewed { .. } => "contract.reviewed",
            Self::OtherReviewed { .. } => "contract.other_reviewed",
            Self::Nameless => "contract.nameless_review",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed { rule, why } => write!(f, "{rule} allows it: {why}"),
            Self::Denied { rule, why } => write!(f, "{rule} denies it: {why}"),
            Self::ForReview { rule, why } => write!(f, "{rule} asks for a person: {why}"),
            Self::NoRule { rules } => write!(f, "none of {rules} rules is about it"),
            Self::Reviewed { by, why } => write!(f, "{by} approves it: {why}"),
            Self::OtherReviewed { seen, given } => write!(f, "a person has seen {seen}, and this is {given}"),
            Self::Nameless => f.write_str("a review says who approves and why, and this one does not"),
        }
    }
}

/// What becomes of a proposal.
#[must_use = "only what is approved may be done"]
#[derive(Debug)]
pub enum Decision<T> {
    /// It may be done.
    Approved(Approved<T>),
    /// It must not be done.
    Denied {
        /// Every rule that forbids it.
        reasons: Vec<Reason>,
        /// What was proposed.
        candidate: Candidate<T>,
    },
    /// A person has to look at it: see [`Candidate::review`].
    Review {
        /// Every rule that asks for one.
        reasons: Vec<Reason>,
        /// What was proposed.
        candidate: Candidate<T>,
    },
    /// It is not even as the contract says.
    Refused(Refused),
}

impl<T> Decision<T> {
    /// Why: empty where the contract refuses, whose refusal says it.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Approved(approved) => approved.reasons(),
            Self::Denied { reasons, .. } | Self::Review { reasons, .. } => reasons,
            Self::Refused(_) => &[],
        }
    }

    /// What may be done, if it may.
    #[must_use]
    pub fn approved(self) -> Option<Approved<T>> {
        match self {
            Self::Approved(approved) => Some(approved),
            Self::Denied { .. } | Self::Review { .. } | Self::Refused(_) => None,
        }
    }
}

impl<T> Explain for Decision<T> {
    fn code(&self) -> &'static str {
        match self {
            Self::Approved(_) => "contract.approved",
            Self::Denied { .. } => "contract.denied",
            Self::Review { .. } => "contract.in_review",
            Self::Refused(refused) => refused.code(),
        }
    }
}

impl<T> fmt::Display for Decision<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Approved(_) => "approved",
            Self::Denied { .. } => "denied",
            Self::Review { .. } => "for a person to decide",
            Self::Refused(refused) => return refused.fmt(f),
        };
        f.write_str(what)?;
        for (place, reason) in self.reasons().iter().enumerate() {
            write!(f, "{}{reason}", if place == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

fn kept(words: &str) -> String {
    shortened(&shown(words), WHY_MAX)
}
