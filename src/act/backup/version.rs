//! One stored version of one file.

use std::borrow::Cow;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::act::backup::name::Name;
use crate::base::canonical::Fingerprint;
use crate::base::time::Timestamp;

/// A version of a file, as it is stored.
///
/// Versions are in the order of their sequence numbers, never of their times: a clock may step, a number does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// The file.
    #[serde(rename = "p")]
    pub name: Name,
    /// The run that stored it; runs count from 1.
    #[serde(rename = "s")]
    pub sequence: u64,
    /// When that was, by the clock of that run, in milliseconds.
    #[serde(rename = "a", with = "chrono::serde::ts_milliseconds")]
    pub stored_at: Timestamp,
    /// The SHA-256 of its content.
    #[serde(rename = "h")]
    pub hash: Fingerprint,
    /// How many bytes its content has.
    #[serde(rename = "n")]
    pub bytes: u64,
    /// How the content is kept.
    #[serde(rename = "e", default, skip_serializing_if = "is_default")]
    pub encoding: Encoding,
    /// What the file system said of the file when it was read.
    #[serde(rename = "t")]
    pub stat: Stat,
    /// Why it was stored: a code of `docs/reasons.md`.
    #[serde(rename = "c")]
    pub why: Cow<'static, str>,
    /// Whether the file changed while it was read, each time that it was.
    #[serde(rename = "u", default, skip_serializing_if = "is_default")]
    pub unstable: bool,
    /// Whether little or nothing was left of the version before.
    #[serde(rename = "k", default, skip_serializing_if = "is_default")]
    pub shrunk: bool,
    /// Whether no retention removes it, until it is unpinned.
    #[serde(rename = "i", default, skip_serializing_if = "is_default")]
    pub pinned: bool,
}

/// How the content of a version is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Encoding {
    /// As it is.
    #[default]
    #[serde(rename = "raw")]
    Raw,
    /// Compressed by zstd; readable with the feature `zstd`.
    #[serde(rename = "zstd")]
    Zstd,
}

/// What the file system says of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stat {
    /// Type and permission bits.
    #[serde(rename = "m")]
    pub mode: u32,
    /// When the content last changed: seconds since 1970 and nanoseconds.
    #[serde(rename = "t")]
    pub mtime: (i64, u32),
    /// When anything of it last changed; no program can set it.
    #[serde(rename = "c")]
    pub ctime: (i64, u32),
    /// Its number in its file system.
    #[serde(rename = "i")]
    pub inode: u64,
    /// How many bytes it had.
    #[serde(rename = "n")]
    pub bytes: u64,
}

impl Stat {
    pub(super) fn of(found: &Metadata) -> Self {
        let nanos = |nanos: i64| u32::try_from(nanos).unwrap_or(0);
        Self {
            mode: found.mode(),
            mtime: (found.mtime(), nanos(found.mtime_nsec())),
            ctime: (found.ctime(), nanos(found.ctime_nsec())),
            inode: found.ino(),
            bytes: found.len(),
        }
    }

    /// The modification time, as the standard library has it; `None` for one that it cannot say.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        let (seconds, nanos) = self.mtime;
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let at = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        at?.checked_add(Duration::from_nanos(u64::from(nanos)))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
