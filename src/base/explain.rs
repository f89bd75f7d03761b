//! Why: every reason has a sentence for people and a stable word for programs.

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::base::time::Timestamp;

/// A reason that explains itself.
///
/// `Display` is one sentence with the numbers that were compared; [`code`](Self::code) is a stable dotted word, listed
/// in `docs/reasons.md` and covered by semantic versioning.
pub trait Explain: Display {
    /// The stable word, such as `retry.out_of_time`.
    fn code(&self) -> &'static str;
}

/// A reason as it is recorded: who decided what, when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// When it was decided.
    pub at: Timestamp,
    /// What it was decided about: a job, a dependency, a file.
    pub subject: String,
    /// The stable word.
    pub code: Cow<'static, str>,
    /// The sentence.
    pub why: String,
}

impl Explanation {
    /// Records `reason` about `subject`.
    #[must_use]
    pub fn of(at: Timestamp, subject: impl Into<String>, reason: &impl Explain) -> Self {
        Self { at, subject: subject.into(), code: Cow::Borrowed(reason.code()), why: reason.to_string() }
    }
}
