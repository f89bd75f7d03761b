//! What is handed out: a token, and why this one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::act::credential::Serving;
use crate::base::secret::Secret;
use crate::base::time::{Timestamp, between, later};

/// A secret with its lifetime. `T` is whatever one refresh gives and the next one needs: an access token, or a struct of
/// an access and a refresh token. Cheap to clone; `Debug` shows the instants and never the value.
pub struct Token<T> {
    value: Arc<Secret<T>>,
    obtained_at: Timestamp,
    expires_at: Timestamp,
}

impl<T> Token<T> {
    /// A token that was obtained at `obtained_at` (the instant before it was asked for, not after) and ends at
    /// `expires_at`. One that ends before it was obtained has no lifetime.
    #[must_use]
    pub fn new(value: T, obtained_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { value: Arc::new(Secret::new(value)), obtained_at, expires_at }
    }

    /// A token that was obtained at `obtained_at` and lasts `lifetime`: what `expires_in` of OAuth 2.0 says (RFC 6749,
    /// section 5.1).
    ///
    /// ```
    /// use std::time::Duration;
    /// use unattended::credential::Token;
    ///
    /// let token = Token::lasting("s3cr3t", chrono::DateTime::UNIX_EPOCH, Duration::from_secs(3600));
    /// assert_eq!(token.expires_at().timestamp(), 3600);
    /// assert!(!format!("{token:?}").contains("s3cr3t"));
    /// ```
    #[must_use]
    pub fn lasting(value: T, obtained_at: Timestamp, lifetime: Duration) -> Self {
        Self::new(value, obtained_at, later(obtained_at, lifetime))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &T {
        self.value.expose()
    }

    /// When it was obtained, by this machine's wall clock.
    #[must_use]
    pub const fn obtained_at(&self) -> Timestamp {
        self.obtained_at
    }

    /// When it ends.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// From when it was obtained to its end; zero if that is no time at all.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        between(self.obtained_at, self.expires_at)
    }
}

impl<T> Clone for Token<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("value", &self.value)
            .field("obtained_at", &self.obtained_at)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// A token that may be used now, and why it is this one.
#[non_exhaustive]
pub struct Given<T> {
    /// The token.
    pub token: Token<T>,
    /// Why this one.
    pub why: Serving,
    /// Which token of this process it is: changes with every new one. What [`Renew::renew`](super::Renew::renew) asks for
    /// when the other side has refused it.
    pub generation: u64,
}

impl<T> Given<T> {
    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &T {
        self.token.expose()
    }
}

impl<T> Clone for Given<T> {
    fn clone(&self) -> Self {
        Self { token: self.token.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("token", &self.token)
            .field("why", &self.why)
            .field("generation", &self.generation)
            .finish()
    }
}
