//! A value that is not shown.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A secret: a token, a password, a key. Its `Debug` is `Secret(..)`, and it has neither `Display` nor `Serialize`, so
/// that it cannot get into a log, a reason or a stored configuration by accident. [`expose`](Self::expose) is the one
/// way to the value, and easy to search for.
///
/// The memory is not wiped when it is dropped: the allocator, the kernel and every copy made on the way would have to
/// be trusted too.
///
/// ```
/// use unattended::secret::Secret;
///
/// let password = Secret::new(String::from("hunter2"));
/// assert_eq!(format!("{password:?}"), "Secret(..)");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, Copy, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    #[must_use]
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself.
    #[must_use]
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_not_shown() {
        let read: Secret<Vec<String>> = serde_json::from_str(r#"["hunter2"]"#).unwrap();
        assert_eq!(format!("{read:?} {read:#?} {:?}", Some(&read)), "Secret(..) Secret(..) Some(Secret(..))");
        assert_eq!(read.into_exposed(), ["hunter2"]);
    }
}
