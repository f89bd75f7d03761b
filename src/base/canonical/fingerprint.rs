//! SHA-256 of a value's canonical form, or of bytes as they are.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Error, from_text, to_string};

/// The fingerprint of a payload or of a file: what was hashed, and its SHA-256.
///
/// Its text says how it was made, `jcs1:sha256:<hex>` for canonical JSON and `sha256:<hex>` for bytes, so that a later
/// form cannot be mistaken for this one, and the two are never equal to each other. The hexadecimal part can be
/// computed again with `sha256sum` or with PostgreSQL's `sha256()`.
///
/// ```
/// use unattended::canonical::Fingerprint;
///
/// let typed = Fingerprint::of(&serde_json::json!({ "id": 7, "total": 1.5 }))?;
/// let text = Fingerprint::of_text(r#"{ "total": 1.50, "id": 7 }"#)?;
/// assert_eq!(typed, text);
/// assert!(text.to_string().starts_with("jcs1:sha256:"));
/// # Ok::<(), unattended::canonical::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint {
    form: Form,
    digest: [u8; 32],
}

/// What was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Form {
    /// Canonical JSON, as this module writes it: `jcs1`.
    Json,
    /// Bytes as they are.
    Bytes,
}

impl Form {
    const fn tag(self) -> &'static str {
        match self {
            Self::Json => "jcs1:sha256:",
            Self::Bytes => "sha256:",
        }
    }
}

impl Fingerprint {
    /// The fingerprint of a typed value.
    ///
    /// # Errors
    ///
    /// The value has no canonical form: see [`to_string`].
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self::of_canonical(&to_string(value)?))
    }

    /// The fingerprint of the value that a JSON text writes, however it is spelled.
    ///
    /// # Errors
    ///
    /// The text has no canonical form: see [`from_text`].
    pub fn of_text(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        Ok(Self::of_canonical(&from_text(json)?))
    }

    /// The fingerprint of bytes as they are. For what does not fit in memory there is [`Hasher`].
    #[must_use]
    pub fn of_bytes(bytes: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// What was hashed.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The SHA-256.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    fn of_canonical(text: &str) -> Self {
        Self { form: Form::Json, digest: Sha256::digest(text).into() }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form.tag())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFingerprint {
    /// It begins with another tag, perhaps that of a newer version.
    #[error("a fingerprint begins with `jcs1:sha256:` or `sha256:`")]
    Tag,
    /// What follows the tag is not 64 lower-case hexadecimal digits.
    #[error("a fingerprint ends with 64 lower-case hexadecimal digits")]
    Digits,
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let tagged = |form: Form| text.strip_prefix(form.tag()).map(|digits| (form, digits));
        let (form, digits) =
            tagged(Form::Json).or_else(|| tagged(Form::Bytes)).ok_or(InvalidFingerprint::Tag)?;
        let digest = digest_of_hex(digits.as_bytes()).ok_or(InvalidFingerprint::Digits)?;
        Ok(Self { form, digest })
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidFingerprint;

    fn try_from(text: String) -> Result<Self, InvalidFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

fn digest_of_hex(digits: &[u8]) -> Option<[u8; 32]> {
    if digits.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(digest)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// The fingerprint of bytes that come piece by piece. It is an [`io::Write`], so a file goes through `io::copy`.
///
/// ```
/// use unattended::canonical::{Fingerprint, Hasher};
///
/// let mut hasher = Hasher::new();
/// std::io::copy(&mut "two pieces".as_bytes(), &mut hasher)?;
/// assert_eq!(hasher.finish(), Fingerprint::of_bytes("two pieces"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The fingerprint of all pieces in their order.
    #[must_use]
    pub fn finish(self) -> Fingerprint {
        Fingerprint { form: Form::Bytes, digest: self.0.finalize().into() }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
