//! What differs between two versions of a file.

use std::fmt;

use crate::act::backup::error::Error;
use crate::act::backup::index::Index;
use crate::act::backup::name::Name;
use crate::act::backup::store::{Store, Which, find};
use crate::act::backup::version::Version;
use crate::decide::similarity::{Hunks, hunks};

/// What differs between two versions of a file, by lines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diff {
    /// The older version.
    pub from: Version,
    /// The newer version.
    pub to: Version,
    /// Where they differ: ranges only.
    pub hunks: Hunks,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// The largest version that is compared in memory.
const BYTES_MAX: u64 = 256 << 20;

impl Store {
    /// Compares two versions of a file, and finds at most `hunks_max` places in which they differ. Both are read into memory.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`], [`Error::Damaged`], and [`Error::TooLarge`] for more than 256 MiB.
    pub fn diff(&self, name: &Name, from: Which, to: Which, hunks_max: usize) -> Result<Diff, Error> {
        let index = Index::load(&self.folder)?;
        let (from, to) = (find(&index, name, from)?.clone(), find(&index, name, to)?.clone());
        let (old, new) = (self.content(&from)?, self.content(&to)?);
        let hunks = hunks(&old, &new, hunks_max);
        Ok(Diff { from, to, hunks, old, new })
    }

    /// A version of a file, and its content, which is read into memory and verified.
    ///
    /// # Errors
    /// As [`diff`](Self::diff).
    pub fn read(&self, name: &Name, which: Which) -> Result<(Version, Vec<u8>), Error> {
        let index = Index::load(&self.folder)?;
        let version = find(&index, name, which)?.clone();
        let content = self.content(&version)?;
        Ok((version, content))
    }

    fn content(&self, version: &Version) -> Result<Vec<u8>, Error> {
        let (name, sequence, bytes) = (version.name.clone(), version.sequence, version.bytes);
        if bytes > BYTES_MAX {
            return Err(Error::TooLarge { name, sequence, bytes, allowed: BYTES_MAX });
        }
        let mut content = Vec::new();
        match self.objects.whole(version, &mut content) {
            Ok(()) => Ok(content),
            Err(damage) => Err(Error::Damaged { name, sequence, damage }),
        }
    }
}

impl Diff {
    /// The changes as unified hunks, of each at most `bytes_max` bytes. It holds the text of the file: not for logs.
    #[must_use]
    pub fn text(&self, bytes_max: usize) -> String {
        let hunks = self.hunks.hunks.iter();
        hunks.map(|hunk| hunk.text(&self.old, &self.new, bytes_max)).collect()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.sequence, self.to.sequence);
        let places = self.hunks.hunks.len();
        write!(f, "{}: versions {from} and {to} differ in {places} places", self.from.name)
    }
}
