//! Big payloads stay outside the store: a run's input holds a [`PayloadRef`], the path and the hash of a file.
//!
//! Whoever reads gets the bytes that were referred to or an error, never others: they are hashed while they are read, and given out only when
//! the hash fits. A payload that has changed since is a permanent fault, `payload.changed`.
//!
//! ```
//! use unattended::payload::PayloadRef;
//!
//! let folder = tempfile::tempdir()?;
//! let payload = PayloadRef::put(folder.path(), "a lot of text")?.with_media_type("text/plain")?;
//! let input = serde_json::to_string(&payload)?;
//!
//! let payload: PayloadRef = serde_json::from_str(&input)?;
//! assert_eq!(payload.read(folder.path(), 1 << 20)?, b"a lot of text");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod put;
mod read;

#[cfg(test)]
mod tests;

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::base::canonical::{Fingerprint, Form};

pub use error::{Error, InvalidRef};
pub use read::Reader;

/// What refers to a payload in a file: small enough for a run's input, and telling every change of it.
///
/// As JSON it is `{"path":"ab/cdef…","hash":"sha256:abcdef…","bytes":13,"media_type":"text/plain"}`. What is read from JSON is checked:
/// the hash is one of bytes, the path climbs nowhere, no field is unknown.
///
/// # Where the file is
/// The path is relative to a base folder that whoever reads names, or absolute. **Either way the file must lie in that folder**, also
/// behind its symbolic links: an input that somebody else wrote cannot have any file of the machine read. A reader that trusts its
/// inputs names the root folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct PayloadRef {
    path: String,
    hash: Fingerprint,
    bytes: u64,
    media_type: Option<String>,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    path: String,
    hash: String,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
}

impl PayloadRef {
    /// How many bytes a path may have.
    pub const PATH_MAX: usize = 4096;
    /// How many bytes a media type may have.
    pub const MEDIA_TYPE_MAX: usize = 255;

    /// A reference to a file of which hash and size are known from elsewhere. Looks at no file.
    ///
    /// # Errors
    /// A path that is empty, too long or has parts such as `..`, or a hash that is not one of bytes.
    pub fn new(path: impl Into<String>, hash: Fingerprint, bytes: u64) -> Result<Self, InvalidRef> {
        let path = path.into();
        check_path(&path)?;
        if hash.form() != Form::Bytes {
            return Err(InvalidRef::Form { given: hash.to_string() });
        }
        Ok(Self { path, hash, bytes, media_type: None })
    }

    /// Says what the bytes are, such as `text/csv; charset=utf-8` ([RFC 6838](https://www.rfc-editor.org/rfc/rfc6838)).
    ///
    /// # Errors
    /// What is not two words with a `/` between them, or over 255 bytes.
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Result<Self, InvalidRef> {
        let media_type = media_type.into();
        check_media_type(&media_type)?;
        self.media_type = Some(media_type);
        Ok(self)
    }

    /// The path, absolute or relative to the base folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// The SHA-256 of the bytes.
    #[must_use]
    pub const fn hash(&self) -> &Fingerprint {
        &self.hash
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the bytes are, if that was said.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }
}

impl TryFrom<Wire> for PayloadRef {
    type Error = InvalidRef;

    fn try_from(wire: Wire) -> Result<Self, InvalidRef> {
        let Wire { path, hash, bytes, media_type } = wire;
        let hash = hash.parse().map_err(|source| InvalidRef::Hash { given: short(&hash), source })?;
        let payload = Self::new(path, hash, bytes)?;
        match media_type {
            Some(media_type) => payload.with_media_type(media_type),
            None => Ok(payload),
        }
    }
}

impl From<PayloadRef> for Wire {
    fn from(payload: PayloadRef) -> Self {
        let PayloadRef { path, hash, bytes, media_type } = payload;
        Self { path, hash: hash.to_string(), bytes, media_type }
    }
}

/// Whether a path climbs nowhere and means the same on each reading.
fn check_path(path: &str) -> Result<(), InvalidRef> {
    let refuse = |why| Err(InvalidRef::Path { given: short(path), why });
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.len() > PayloadRef::PATH_MAX {
        return refuse("it is longer than 4096 bytes");
    }
    if path.contains('\0') {
        return refuse("it has a zero byte");
    }
    let mut names = 0_usize;
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) => names = names.saturating_add(1),
            Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => return refuse("it climbs by `..`"),
            Component::CurDir => return refuse("it begins with `.`"),
        }
    }
    if names == 0 || path.ends_with('/') {
        return refuse("it names no file");
    }
    let rooted = !Path::new(path).is_absolute() && Path::new(path).has_root();
    if rooted { refuse("it is neither absolute nor relative") } else { Ok(()) }
}

fn check_media_type(given: &str) -> Result<(), InvalidRef> {
    let kind = given.split(';').next().unwrap_or_default().trim_end();
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let sound = given.len() <= PayloadRef::MEDIA_TYPE_MAX
        && kind.split_once('/').is_some_and(|(kind, subtype)| word(kind) && word(subtype))
        && given.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if sound { Ok(()) } else { Err(InvalidRef::MediaType { given: short(given) }) }
}

/// Enough of a text to know it by.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}
