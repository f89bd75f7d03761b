//! What is raised.

use crate::base::text::head;
use crate::base::time::Timestamp;
use crate::decide::alert::{Kind, Subject};

/// Something has happened that may end with a person. Texts that are too long are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signal {
    /// What it is about.
    pub subject: Subject,
    /// What it is.
    pub kind: Kind,
    /// The stable word of what is wrong; with the subject it is the identity of the alert.
    pub code: String,
    /// The sentence.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// The run in which it happened.
    pub run: Option<String>,
    /// The end of what was put out.
    pub tail: String,
}

impl Signal {
    /// So many bytes of a code, a sentence and an output are kept.
    pub const CODE_MAX: usize = 200;
    /// See [`CODE_MAX`](Self::CODE_MAX).
    pub const WHY_MAX: usize = 2000;
    /// See [`CODE_MAX`](Self::CODE_MAX).
    pub const TAIL_MAX: usize = 4096;

    /// Something that happened to `subject` at `at`.
    #[must_use]
    pub fn new(
        subject: Subject,
        kind: Kind,
        code: impl Into<String>,
        why: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        let (code, why): (String, String) = (code.into(), why.into());
        Self {
            subject,
            kind,
            code: head(&code, Self::CODE_MAX).to_owned(),
            why: head(&why, Self::WHY_MAX).to_owned(),
            at,
            run: None,
            tail: String::new(),
        }
    }

    /// It happened in this run.
    #[must_use]
    pub fn run(mut self, id: impl Into<String>) -> Self {
        self.run = Some(id.into());
        self
    }

    /// The end of what was put out.
    #[must_use]
    pub fn tail(mut self, output: &str) -> Self {
        let mut from = output.len().saturating_sub(Self::TAIL_MAX);
        while !output.is_char_boundary(from) {
            from = from.saturating_add(1);
        }
        output[from..].clone_into(&mut self.tail);
        self
    }
}
