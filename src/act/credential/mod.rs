//! Stand-in until the credentials are merged.
use crate::base::{
    explain::Explain,
    fault::Class,
    time::{BoxFuture, Timestamp},
};
/// Why no token is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// A person.
    NeedsHuman {
        /// The class.
        class: Class,
    },
    /// Somebody else.
    Elsewhere {
        /// When.
        retry_at: Timestamp,
    },
}
impl Refusing {
    /// When.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::NeedsHuman { .. } => None,
            Self::Elsewhere { retry_at } => Some(*retry_at),
        }
    }
}
impl Explain for Refusing {
    fn code(&self) -> &'static str {
        "credential.x"
    }
}
impl std::fmt::Display for Refusing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
/// What a call asks.
pub trait Renew: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;
    /// Changes with every new token.
    fn generation(&self) -> u64;
    /// Why no call should be made with it now (needs a person), if so.
    fn refusal(&self) -> Option<Refusing>;
    /// One forced refresh, unless the token is no longer the one of generation `seen`.
    fn renew(&self, seen: u64) -> BoxFuture<'_, Result<(), Refusing>>;
}
