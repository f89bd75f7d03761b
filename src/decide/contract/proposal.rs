//! What an untrusted source proposes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Extraction, Refusal, extract};

/// A candidate from a model, a classifier, a form or another source that nobody vouches for: text, and who says so.
///
/// It is plain data and can be stored: as a run's input, from which each step asks its [`Gate`](super::Gate) anew. Its
/// `Debug` does not tell the text.
///
/// ```
/// use unattended::contract::{Extraction, Proposal};
///
/// let answer = Proposal::text("I would refund it.\n\n```json\n{\"refund\": 12}\n```\n").from("classifier:v3");
/// let (json, how) = answer.extract().unwrap();
/// assert_eq!(json, r#"{"refund": 12}"#);
/// assert!(matches!(how, Extraction::Fenced { .. }));
/// assert!(Proposal::text(r#"{"refund": 12} or rather {"refund": 1200}"#).extract().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    source: String,
    form: Form,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    text: String,
}

/// What the text of a proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// Text in which JSON may be embedded.
    Text,
    /// JSON.
    Json,
}

impl Proposal {
    /// The most bytes of a proposal that are looked through.
    pub const BYTES_MAX: usize = 64 << 10;

    /// Text in which a JSON object is embedded: a model's answer with prose around it, or with a fence. See
    /// [`extract`](Self::extract).
    pub fn text(raw: impl Into<String>) -> Self {
        Self::of(Form::Text, raw.into())
    }

    /// A JSON document and nothing else.
    pub fn json(document: impl Into<String>) -> Self {
        Self::of(Form::Json, document.into())
    }

    /// Says who proposes it, with its version where it has one: `classifier:v3`. It is told with each decision.
    #[must_use]
    pub fn from(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Says which version of the contract's schema it is written for. Without it, the present.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Who proposes it; empty if nobody said so.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Which version of the contract's schema it is written for, if it says so.
    #[must_use]
    pub const fn schema_version(&self) -> Option<u32> {
        self.version
    }

    /// All of it, as it came.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.text
    }

    /// The JSON in it, and how it was found. The same text always gives the same answer:
    ///
    /// 1. A proposal made by [`json`](Self::json), and a text that is JSON as a whole, is taken whole.
    /// 2. Otherwise the text is looked through from its start for JSON objects, and for arrays with objects in them, in a
    ///    fence or not; brackets without an object, such as `[1]`, are prose.
    /// 3. There must be one. The same one may be there again; two that differ are refused, and nothing is picked. A brace
    ///    at which no object begins, and an object that is cut out of a broken array, are refused as well: half of an
    ///    answer could say the contrary of all of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLong`], [`Refusal::NoCandidate`], [`Refusal::Ambiguous`] or [`Refusal::Broken`].
    pub fn extract(&self) -> Result<(&str, Extraction), Refusal> {
        let (given, limit) = (self.text.len(), Self::BYTES_MAX);
        if given > limit {
            return Err(Refusal::TooLong { given, limit });
        }
        match self.form {
            Form::Json => Ok((&self.text, Extraction::Whole)),
            Form::Text => extract::from_text(&self.text),
        }
    }

    const fn of(form: Form, text: String) -> Self {
        Self { source: String::new(), form, version: None, text }
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposal")
            .field("source", &self.source)
            .field("form", &self.form)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}
