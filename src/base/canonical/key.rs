//! The name of a piece of work: what must not be done twice.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Error, Fingerprint};

/// The idempotency key: scope / kind / business identity.
///
/// Two attempts at the same piece of business have the same key, on every host and after every restart. So **never put
/// a timestamp, a random number, an attempt counter or a host name in it**: each makes a new key of the same work, and
/// the work is done twice. The date that an invoice *is for* belongs to its identity; the time at which the job runs
/// does not.
///
/// The payload is not part of the key; the ledger keeps its [`Fingerprint`] beside it, and answers the same key with
/// another payload as a conflict. Where one identity legally has several actions, [`with_payload`](Self::with_payload)
/// tells them apart.
///
/// The text is `scope/kind/id`. In each part `/`, `%` and control characters are written as `%XX`, so that two different
/// triples never give one text. Parts are compared as they are: no Unicode normalisation, no folding of case. The text
/// has at most [`Key::BYTES_MAX`] bytes.
///
/// ```
/// use unattended::canonical::Key;
///
/// let key = Key::new("billing", "invoice", 42)?;
/// assert_eq!(key.to_string(), "billing/invoice/42");
/// assert_eq!(Key::new("files", "upload", "a/b")?.as_str(), "files/upload/a%2Fb");
/// # Ok::<(), unattended::canonical::InvalidKey>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

/// Parts that make no key, or a text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// A part is empty; a missing identity would make one key of all work.
    #[error("the {part} of a key must not be empty")]
    Empty {
        /// `scope`, `kind` or `id`.
        part: &'static str,
    },
    /// The text is longer than [`Key::BYTES_MAX`].
    #[error("key longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The identity's Display failed.
    #[error("the Display of the id failed")]
    Display,
    /// The text does not have three parts, or four with a payload.
    #[error("a key has the form scope/kind/id, not {given} parts")]
    Parts {
        /// How many parts it has.
        given: usize,
    },
    /// A part is not written as a key writes it.
    #[error("the {part} of the key is not escaped as a key is: only `/`, `%` and control characters as %XX")]
    Escape {
        /// `scope`, `kind`, `id` or `payload`.
        part: &'static str,
    },
    /// The payload has no canonical form, so no fingerprint.
    #[error("the payload has no canonical form")]
    Payload(#[from] Error),
}

const PARTS: [&str; 4] = ["scope", "kind", "id", "payload"];

/// Hexadecimal digits of the payload's fingerprint in a key. 64 bits tell the actions of *one* identity apart; were two
/// of them ever alike, the ledger compares the whole fingerprints and answers with a conflict, not with a duplicate.
const PAYLOAD_DIGITS: usize = 16;

impl Key {
    /// The longest text of a key, in bytes: it fits an index entry of every store.
    pub const BYTES_MAX: usize = 512;

    /// The key of the business identity `id` (a number, a string, whatever displays itself) of a `kind` of work within
    /// a `scope`, such as an application or a tenant.
    ///
    /// # Errors
    ///
    /// A part is empty, the whole is longer than [`BYTES_MAX`](Self::BYTES_MAX), or the Display of `id` fails.
    pub fn new(scope: &str, kind: &str, id: impl fmt::Display) -> Result<Self, InvalidKey> {
        let mut text = Builder { text: String::new(), full: false };
        text.part("scope", scope)?;
        text.part("kind", kind)?;
        text.part("id", id)?;
        Ok(Self(text.text))
    }

    /// The key of one of several legal actions of the same identity, told apart by the payload: a second, different
    /// refund of one invoice. Replaces the payload that was there.
    ///
    /// # Errors
    ///
    /// The payload has no canonical form, or the key becomes too long.
    pub fn with_payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, InvalidKey> {
        self.with_fingerprint(&Fingerprint::of(payload)?)
    }

    /// As [`with_payload`](Self::with_payload), for a payload whose fingerprint is known.
    ///
    /// # Errors
    ///
    /// The key becomes too long.
    pub fn with_fingerprint(self, payload: &Fingerprint) -> Result<Self, InvalidKey> {
        let mut text = Builder { text: self.0, full: false };
        if let Some((end, _)) = text.text.match_indices('/').nth(2) {
            text.text.truncate(end);
        }
        let tagged = payload.to_string();
        let digits = tagged.rsplit(':').next().unwrap_or_default();
        text.part("payload", digits.get(..PAYLOAD_DIGITS).unwrap_or(digits))?;
        Ok(Self(text.text))
    }

    /// The text of the key: what is stored, printed, and sent to a remote side that knows idempotency keys.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scope, unescaped.
    #[must_use]
    pub fn scope(&self) -> Cow<'_, str> {
        self.part(0)
    }

    /// The kind, unescaped.
    #[must_use]
    pub fn kind(&self) -> Cow<'_, str> {
        self.part(1)
    }

    /// The business identity, unescaped.
    #[must_use]
    pub fn id(&self) -> Cow<'_, str> {
        self.part(2)
    }

    /// The beginning of the payload's fingerprint, if the key has one.
    #[must_use]
    pub fn payload(&self) -> Option<&str> {
        self.0.split('/').nth(3)
    }

    fn part(&self, index: usize) -> Cow<'_, str> {
        let part = self.0.split('/').nth(index).unwrap_or_default();
        // Every key was built or checked by this module, so its escapes are right.
        unescaped(part).unwrap_or(Cow::Borrowed(part))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.len() > Self::BYTES_MAX {
            return Err(InvalidKey::TooLong { limit: Self::BYTES_MAX });
        }
        let given = text.split('/').count();
        if !matches!(given, 3 | 4) {
            return Err(InvalidKey::Parts { given });
        }
        let mut built = Builder { text: String::new(), full: false };
        for (name, part) in PARTS.into_iter().zip(text.split('/')) {
            built.part(name, unescaped(part).ok_or(InvalidKey::Escape { part: name })?)?;
            // One key, one text: `%41` for `A` would be a second one.
            if !text.starts_with(&built.text) {
                return Err(InvalidKey::Escape { part: name });
            }
        }
        let payload_is_right = built.text.split('/').nth(3).is_none_or(|digits| {
            digits.len() == PAYLOAD_DIGITS
                && digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        });
        if built.text != text || !payload_is_right {
            return Err(InvalidKey::Escape { part: "payload" });
        }
        Ok(Self(built.text))
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// Writes parts into a text, escapes them on the way and stops at the bound.
struct Builder {
    text: String,
    full: bool,
}

impl Builder {
    fn part(&mut self, part: &'static str, value: impl fmt::Display) -> Result<(), InvalidKey> {
        if !self.text.is_empty() {
            self.text.push('/');
        }
        let before = self.text.len();
        let written = write!(self, "{value}");
        if self.full {
            return Err(InvalidKey::TooLong { limit: Key::BYTES_MAX });
        }
        written.map_err(|_| InvalidKey::Display)?;
        if self.text.len() == before {
            return Err(InvalidKey::Empty { part });
        }
        Ok(())
    }
}

impl fmt::Write for Builder {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for c in piece.chars() {
            if matches!(c, '/' | '%') || c.is_control() {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(self.text, "%{byte:02X}")?;
                }
            } else {
                self.text.push(c);
            }
            if self.text.len() > Key::BYTES_MAX {
                self.full = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

fn unescaped(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains('%') {
        return Some(Cow::Borrowed(part));
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (pair, after) = after.split_at_checked(2)?;
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            bytes.push((digit(pair[0])? << 4) | digit(pair[1])?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
