//! Whether what is stored can be had back.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use crate::act::backup::error::Error;
use crate::act::backup::index::{Index, IndexDamage};
use crate::act::backup::name::Name;
use crate::act::backup::objects::{Damage, Key, Uncopied};
use crate::act::backup::pending::{Verified, Waits};
use crate::act::backup::store::Store;
use crate::base::time::Now;

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// How many versions there are.
    pub versions: u64,
    /// How many contents were read for them.
    pub contents: u64,
    /// How many bytes those have.
    pub bytes: u64,
    /// Versions that cannot be had back.
    pub damaged: Vec<DamagedVersion>,
    /// What is damaged in the index.
    pub index: Vec<IndexDamage>,
    /// How many contents are there to which no version refers. The next run that stores something removes what a killed one
    /// has left; where the index is damaged they may be what the lost lines were about.
    pub unreferenced: u64,
    /// Whether it is noted in the store, so that the next run stores again what is damaged and no retention removes the
    /// last version that was found sound. It is not while somebody else writes.
    pub noted: bool,
}

/// A version that cannot be had back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedVersion {
    /// The file.
    pub name: Name,
    /// The version.
    pub sequence: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

impl Verification {
    /// Whether every version can be had back and the index is whole.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.index.is_empty()
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (damaged, index) = (self.damaged.len(), self.index.len());
        write!(f, "{} versions, {} contents, {} bytes", self.versions, self.contents, self.bytes)?;
        if self.is_sound() {
            f.write_str(": all sound")
        } else {
            write!(f, ": {damaged} versions are damaged, and {index} things in the index")
        }
    }
}

impl Store {
    /// Reads every version, and compares its size and its hash with what was stored. Reads everything there is, in pieces;
    /// needs no lock, and takes it at the end for a moment to note what it found.
    ///
    /// # Errors
    /// When the index cannot be read at all, or the result cannot be noted for another reason than that somebody else
    /// writes. Damage is no error, it is in the result.
    pub fn verify(&self, now: Now) -> Result<Verification, Error> {
        let mut index = Index::load(&self.folder)?;
        index.missing_after(Waits::load(&self.folder, false).seen.sequence);
        let mut found = Verification {
            versions: 0,
            contents: 0,
            bytes: 0,
            damaged: Vec::new(),
            index: index.damage.clone(),
            unreferenced: 0,
            noted: false,
        };
        let mut read: BTreeMap<Key, Option<Damage>> = BTreeMap::new();
        for version in index.files.values().flat_map(|history| &history.versions) {
            found.versions += 1;
            let key = (version.hash, version.encoding);
            let damage = read.entry(key).or_insert_with(|| {
                found.contents += 1;
                found.bytes += version.bytes;
                self.look(key, version.bytes)
            });
            if let Some(damage) = damage.clone() {
                let (name, sequence) = (version.name.clone(), version.sequence);
                found.damaged.push(DamagedVersion { name, sequence, damage });
            }
        }
        found.unreferenced =
            self.objects.all().filter(|(_, key)| !key.is_some_and(|key| read.contains_key(&key))).count()
                as u64;
        let damaged = read.into_iter().filter(|(_, damage)| {
            // What this program cannot read may be sound.
            damage.as_ref().is_some_and(|damage| *damage != Damage::NeedsZstd)
        });
        let damaged = damaged.map(|((hash, _), _)| hash).collect();
        let at = now.wall.timestamp_millis();
        match self.write() {
            Ok(writing) => {
                Verified { sequence: index.sequence, at, damaged }.save(writing.place(&|_| {}))?;
                found.noted = true;
            }
            Err(Error::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(found)
    }

    fn look(&self, key: Key, bytes: u64) -> Option<Damage> {
        match self.objects.copy(key, bytes, &mut io::sink()) {
            Ok(()) => None,
            Err(Uncopied::Damaged(damage)) => Some(damage),
            // A sink takes everything.
            Err(Uncopied::Unwritten(error)) => Some(Damage::Unreadable { said: error.to_string() }),
        }
    }
}
