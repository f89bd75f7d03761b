//! What happens to the world when a piece of work runs twice. One set of names everywhere.

use serde::{Deserialize, Serialize};

/// The effect class of an operation, declared by whoever wrote it.
///
/// It decides what may happen after a crash in the middle, when nobody knows whether the effect took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing outside; run it again.
    Pure,
    /// The other side knows the idempotency key and acts once; run it again with the same key.
    Idempotent,
    /// Whether it took place can be asked; ask before running it again.
    Verifiable,
    /// None of these: never runs twice by itself. After a crash in the middle a person is asked "was it done?".
    Unsafe,
}

impl Effect {
    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Idempotent => "idempotent",
            Self::Verifiable => "verifiable",
            Self::Unsafe => "unsafe",
        }
    }
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
