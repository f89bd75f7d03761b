//! The name of a file in a backup: the bytes of its path, whatever they are.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The path of a file, relative to the tree that is backed up, with `/` between its parts.
///
/// It is bytes: names that are not UTF-8 are kept as they are. Its text escapes them, control characters and `%` as `%XX`,
/// so that each name has one text and each text one name. A name has no empty part and none that is `.` or `..`, so that
/// it can lead nowhere else; it has at most 4096 bytes.
///
/// ```
/// use unattended::backup::Name;
///
/// let name: Name = "guide/100%25.md".parse()?;
/// assert_eq!(name.as_bytes(), b"guide/100%.md");
/// assert_eq!(name.to_string(), "guide/100%25.md");
/// assert!("../elsewhere".parse::<Name>().is_err());
/// # Ok::<(), unattended::backup::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<[u8]>);

/// The most bytes of a name.
const BYTES_MAX: usize = 4096;

/// A text or a path that is the name of no file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no name; allowed is a relative path of 1 to 4096 bytes without empty parts, `.` and `..`"
)]
pub struct InvalidName {
    /// What was given, shortened.
    pub given: String,
}

impl Name {
    /// The name that these bytes are.
    ///
    /// # Errors
    /// They are no relative path, or have a part that is empty, `.` or `..`.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, InvalidName> {
        let part_is_sound =
            |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
        if bytes.len() > BYTES_MAX || !bytes.split(|byte| *byte == b'/').all(part_is_sound) {
            let given = escaped(bytes).chars().take(60).collect();
            return Err(InvalidName { given });
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path, relative to the tree.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether it lies in that folder.
    pub(super) fn is_in(&self, folder: &[u8]) -> bool {
        let rest = self.0.strip_prefix(folder);
        folder.is_empty() || rest.is_some_and(|rest| rest.first() == Some(&b'/'))
    }
}

impl TryFrom<&Path> for Name {
    type Error = InvalidName;

    fn try_from(path: &Path) -> Result<Self, InvalidName> {
        Self::of_bytes(path.as_os_str().as_bytes())
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName { given: text.chars().take(60).collect() };
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first == b'%' {
                let (digits, after) = after.split_at_checked(2).ok_or_else(invalid)?;
                let digits = std::str::from_utf8(digits).map_err(|_| invalid())?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| invalid())?);
                rest = after;
            } else {
                bytes.push(*first);
            }
        }
        let name = Self::of_bytes(&bytes)?;
        // Only the one text that is written: otherwise two texts would be one name.
        if name.to_string() == text { Ok(name) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
        // Most names are this simple, and there may be very many.
        if text.bytes().all(plain) { Self::of_bytes(text.as_bytes()) } else { text.parse() }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

/// Bytes as text that is safe on a terminal and in a line.
pub(super) fn escaped(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '%' || character.is_control() {
                let mut utf8 = [0; 4];
                for byte in character.encode_utf8(&mut utf8).bytes() {
                    // Writing to a string cannot fail.
                    write!(text, "%{byte:02X}").unwrap_or_default();
                }
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            write!(text, "%{byte:02X}").unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_one_text_and_each_text_one_name() {
        for bytes in [&b"a"[..], b"a/b c", "gr\u{fc}n/\u{1f980}".as_bytes(), b"\xff\xfe/x", b"100%/\n\x1b[1m"]
        {
            let name = Name::of_bytes(bytes).unwrap();
            let text = name.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert_eq!(text.parse::<Name>().unwrap().as_bytes(), bytes);
            assert_eq!(Name::try_from(text.clone()).unwrap(), name, "{text}");
        }
        for text in ["%41", "%4", "%", "a%zz", "%e4", "%2B1"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for text in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/%00", "%2E%2E"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        assert!(Name::of_bytes(&[b'a'; 4097]).is_err());
        let name: Name = "a/b/c".parse().unwrap();
        assert!(name.is_in(b"a") && name.is_in(b"a/b") && name.is_in(b"") && !name.is_in(b"a/b/c"));
        assert!(!Name::of_bytes(b"ab/c").unwrap().is_in(b"a"));
    }
}
