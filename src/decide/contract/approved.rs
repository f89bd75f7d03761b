//! What waits for a person, and what may be done.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Extraction, Reason};
use crate::base::canonical::Fingerprint;

/// Where a candidate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Origin {
    /// Who proposed it; empty if nobody said so.
    pub source: String,
    /// The contract that it meets, with its version, such as `intent/2`.
    pub contract: String,
    /// The version in which it came.
    pub from: u32,
    /// How it was found in what was proposed.
    pub extraction: Extraction,
    /// The fingerprint of its canonical form: the same for every spelling of it. What a person approves is this.
    pub fingerprint: Fingerprint,
}

/// What was proposed, meets the contract, and is not approved.
pub struct Candidate<T> {
    pub(super) value: T,
    pub(super) input: Box<RawValue>,
    pub(super) origin: Origin,
}

impl<T> Candidate<T> {
    /// What was proposed.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The same as a document, in canonical form: what to show to a person.
    #[must_use]
    pub fn input(&self) -> &RawValue {
        &self.input
    }

    /// Where it comes from.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The approval of the person `by` who has seen it, for the reason `why`. Give it to
    /// [`Gate::reviewed`](super::Gate::reviewed).
    pub fn review(&self, by: impl Into<String>, why: impl Into<String>) -> Review {
        Review { by: by.into(), why: why.into(), seen: self.origin.fingerprint }
    }
}

/// A person's approval of what the person has seen. It is plain data and can be stored: as the value that a waiting run
/// is resolved with, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// The fingerprint of what was seen: [`Origin::fingerprint`].
    pub seen: Fingerprint,
}

/// What a gate has approved: a `T` that only [`Gate`](super::Gate) makes. A function with a side effect takes it in the
/// place of a `T`, and so cannot be called with what no gate has seen.
///
/// It cannot be read back from storage. What is stored is the [`Proposal`](super::Proposal); whoever acts on it later
/// asks the gate again, which decides the same.
///
/// It is of the gate that made it only as far as its type says: where two gates of one program differ in what they allow,
/// give each a type of its own.
///
/// Nothing else makes one:
///
/// ```compile_fail,E0451
/// use unattended::contract::{Approved, Candidate};
///
/// fn forge(candidate: Candidate<u32>) -> Approved<u32> {
///     Approved { candidate, reasons: Vec::new(), review: None }
/// }
/// ```
///
/// ```compile_fail,E0277
/// let read: unattended::contract::Approved<u32> = serde_json::from_str("7").unwrap();
/// ```
#[must_use = "what is approved is not yet done"]
pub struct Approved<T> {
    candidate: Candidate<T>,
    reasons: Vec<Reason>,
    review: Option<Review>,
}

impl<T> Approved<T> {
    pub(super) const fn of(candidate: Candidate<T>, reasons: Vec<Reason>, review: Option<Review>) -> Self {
        Self { candidate, reasons, review }
    }

    /// What is approved.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.candidate.value
    }

    /// What is approved, without the approval.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.candidate.value
    }

    /// The same as a document, in canonical form.
    #[must_use]
    pub fn input(&self) -> &RawValue {
        &self.candidate.input
    }

    /// Where it comes from.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.candidate.origin
    }

    /// The rules that allow it, in their order, and the person who does.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The person who approved it, if one had to.
    #[must_use]
    pub const fn review(&self) -> Option<&Review> {
        self.review.as_ref()
    }
}

impl<T> Deref for Approved<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get()
    }
}

impl<T: fmt::Debug> fmt::Debug for Approved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Approved")
            .field("value", self.get())
            .field("origin", self.origin())
            .field("reasons", &self.reasons)
            .finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Candidate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("value", &self.value)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
