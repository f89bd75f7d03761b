//! A folder with versions of the files of one tree.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::act::backup::error::Error;
use crate::act::backup::index::{self, Index, IndexDamage};
use crate::act::backup::name::Name;
use crate::act::backup::objects::{self, Objects};
use crate::act::backup::pending::Waits;
use crate::act::backup::place::{self, Marker, Place, TEMPORARY, sync};
use crate::act::backup::report::Waiting;
use crate::act::backup::version::Version;
use crate::remember::file::{self, Lock};

/// What the file `FORMAT` of a store says.
const FORMAT: &str = "unattended backup 1\n";
const UNDERSTOOD: &str = "unattended backup 1";
const LOCK: &str = "lock";
const OBJECTS: &str = "objects";

/// A folder that keeps versions of the files of one tree.
///
/// One process writes at a time; whoever reads needs no lock and sees what was last committed. A handle holds nothing open.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) folder: PathBuf,
    pub(super) objects: Objects,
    lock_wait: Duration,
}

/// Which version of a file is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// That with the highest number.
    #[default]
    Latest,
    /// The newest one that there was after that run, which must have been.
    At(u64),
}

impl Store {
    /// Opens a store, and makes it where there is none: the folder is made, or must be empty.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Format`], and what the file system says.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let failed = |source| Error::writing("cannot make the store", folder, source);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder).map_err(failed)?;
        if folder.join("FORMAT").exists() {
            return Self::open(folder);
        }
        for entry in fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // Left by somebody who was killed while making it.
            if ![LOCK, OBJECTS, index::FOLDER, TEMPORARY].iter().any(|ours| name == **ours) {
                return Err(Error::NotEmpty { folder: folder.to_owned() });
            }
        }
        builder.create(folder.join(OBJECTS)).map_err(failed)?;
        builder.create(folder.join(index::FOLDER)).map_err(failed)?;
        builder.create(folder.join(TEMPORARY)).map_err(failed)?;
        sync(folder)?;
        // Last, so that a folder with this file has all the others.
        file::replace(folder.join("FORMAT"), FORMAT)?;
        Self::open(folder)
    }

    /// Opens a store.
    ///
    /// # Errors
    /// [`Error::NotAStore`], [`Error::Format`], and what the file system says.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let failed = |source| Error::reading("cannot find it", folder, source);
        let folder = fs::canonicalize(folder).map_err(failed)?;
        let mut given = String::new();
        let format = objects::open(&folder.join("FORMAT"));
        let read =
            format.and_then(|file| io::Read::read_to_string(&mut io::Read::take(file, 64), &mut given));
        if read.is_err() {
            return Err(Error::NotAStore { folder });
        }
        if given != FORMAT {
            let given = given.trim_end().to_owned();
            return Err(Error::Format { store: folder, given, allowed: UNDERSTOOD });
        }
        let objects = Objects { folder: folder.join(OBJECTS) };
        Ok(Self { folder, objects, lock_wait: Duration::ZERO })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How long a writer waits while another one writes; not at all by default.
    #[must_use]
    pub const fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// The versions of a file, in the order of their numbers; none, if it was never stored.
    ///
    /// # Errors
    /// When the index cannot be read at all. What is damaged in it is left out; [`verify`](Self::verify) tells it.
    pub fn versions(&self, name: &Name) -> Result<Vec<Version>, Error> {
        let index = Index::load(&self.folder)?;
        Ok(index.files.get(name).map_or_else(Vec::new, |history| history.versions.clone()))
    }

    /// The tree that was backed up last, if there was one.
    ///
    /// # Errors
    /// When the index cannot be read at all.
    pub fn source(&self) -> Result<Option<PathBuf>, Error> {
        Ok(Index::load(&self.folder)?.source)
    }

    /// All versions of all files, by name and number.
    ///
    /// # Errors
    /// As [`versions`](Self::versions).
    pub fn list(&self) -> Result<Vec<Version>, Error> {
        let index = Index::load(&self.folder)?;
        Ok(index.files.into_values().flat_map(|history| history.versions).collect())
    }

    /// The tree as it was: of each file the version that is meant, without those that were gone then.
    ///
    /// # Errors
    /// [`Error::NoSuchRun`], and as [`versions`](Self::versions).
    pub fn tree(&self, which: Which) -> Result<Vec<Version>, Error> {
        tree(&Index::load(&self.folder)?, which)
    }

    /// Changes that are seen and not stored yet.
    ///
    /// # Errors
    /// As [`versions`](Self::versions).
    pub fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        let index = Index::load(&self.folder)?;
        let waits = Waits::load(&self.folder, index.sequence > 0);
        let still = |name: &Name, stored| {
            index.files.get(name).and_then(|history| history.last()).is_some_and(|last| last.hash == stored)
        };
        let drifts = waits.drifts.into_iter().filter(|(name, drift)| still(name, drift.stored));
        Ok(drifts.map(|(name, drift)| Waiting { name, drift }).collect())
    }

    /// Keeps a version from every retention, or lets it go again. Those before a file shrank to almost nothing are
    /// pinned without being asked.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`], [`Error::Busy`], and what the file system says.
    pub fn pin(&self, name: &Name, sequence: u64, pinned: bool) -> Result<(), Error> {
        let writing = self.write()?;
        let mut index = writing.index()?;
        let has =
            |history: &index::History| history.versions.iter().any(|version| version.sequence == sequence);
        if !index.files.get(name).is_some_and(has) {
            return Err(Error::NoSuchVersion { name: name.clone(), sequence: Some(sequence) });
        }
        let record = index::Record::Pin { name: name.clone(), sequence, pinned };
        let (at, source) = (index.at.unwrap_or_default(), index.source.clone().unwrap_or_default());
        index.append(writing.place(&|_| {}), (at, &source), vec![record])
    }

    /// Takes a damaged index for what can be read of it: puts that into a new file, and says what is given up. What else
    /// can be read of the store stays. Before it, nothing is removed from a store whose index is damaged.
    ///
    /// # Errors
    /// [`Error::Busy`], and what the file system says.
    pub fn mend(&self) -> Result<Vec<IndexDamage>, Error> {
        let writing = self.write()?;
        let mut index = writing.index()?;
        let damage = std::mem::take(&mut index.damage);
        if !damage.is_empty() {
            index.compact(writing.place(&|_| {}))?;
        }
        Ok(damage)
    }

    /// Takes the lock.
    pub(super) fn write(&self) -> Result<Writing<'_>, Error> {
        let lock = Lock::take(self.folder.join(LOCK), self.lock_wait).map_err(|error| match error {
            file::Error::Busy { holder, .. } => Error::Busy { store: self.folder.clone(), holder },
            error => Error::File(error),
        })?;
        place::clear(&self.folder)?;
        Ok(Writing { store: self, marker: Marker::of(&self.folder), _lock: lock })
    }

    /// Device and inode of its folder.
    pub(super) fn identity(&self) -> Result<(u64, u64), Error> {
        let found = fs::metadata(&self.folder);
        let found = found.map_err(|source| Error::reading("cannot look at it", &self.folder, source))?;
        Ok((found.dev(), found.ino()))
    }
}

/// The store, with its lock.
pub(super) struct Writing<'a> {
    pub(super) store: &'a Store,
    pub(super) marker: Marker,
    _lock: Lock,
}

impl Writing<'_> {
    pub(super) fn place<'a>(
        &'a self,
        step: &'a (dyn Fn(crate::act::backup::report::Step) + Sync),
    ) -> Place<'a> {
        Place { store: &self.store.folder, step, marker: &self.marker }
    }

    /// The index, and whether runs at its end are missing.
    pub(super) fn index(&self) -> Result<Index, Error> {
        let mut index = Index::load(&self.store.folder)?;
        let waits = Waits::load(&self.store.folder, false);
        index.missing_after(waits.seen.sequence);
        Ok(index)
    }

    /// Removes contents to which no version refers; none, while the index is damaged. Says how many.
    pub(super) fn sweep(&self, index: &Index) -> u64 {
        if !index.damage.is_empty() {
            return 0;
        }
        let versions = index.files.values().flat_map(|history| &history.versions);
        let used: std::collections::BTreeSet<objects::Key> =
            versions.map(|version| (version.hash, version.encoding)).collect();
        let mut removed = 0;
        let mut left = 0;
        for (path, key) in self.store.objects.all() {
            if key.is_some_and(|key| !used.contains(&key)) {
                let gone = fs::remove_file(path).is_ok();
                removed += u64::from(gone);
                left += u64::from(!gone);
            }
        }
        if left == 0 {
            self.marker.clear();
        }
        removed
    }
}

/// Of each file the version that is meant.
pub(super) fn tree(index: &Index, which: Which) -> Result<Vec<Version>, Error> {
    check(index, which)?;
    let of = |history: &index::History| match which {
        Which::Latest => history.last().filter(|_| history.gone().is_none()).cloned(),
        Which::At(sequence) => at(history, sequence)
            .filter(|version| history.gone_after(version.sequence, sequence).is_none())
            .cloned(),
    };
    Ok(index.files.values().filter_map(of).collect())
}

/// Whoever names a run that never was would take the newest versions for older ones.
const fn check(index: &Index, which: Which) -> Result<(), Error> {
    match which {
        Which::At(run) if run > index.sequence => Err(Error::NoSuchRun { run, newest: index.sequence }),
        _ => Ok(()),
    }
}

/// The newest version after that run.
pub(super) fn at(history: &index::History, sequence: u64) -> Option<&Version> {
    history.versions.iter().rev().find(|version| version.sequence <= sequence)
}

/// The version of a file that is meant.
pub(super) fn find<'a>(index: &'a Index, name: &Name, which: Which) -> Result<&'a Version, Error> {
    check(index, which)?;
    let history = index.files.get(name);
    let (found, sequence) = match which {
        Which::Latest => (history.and_then(index::History::last), None),
        Which::At(sequence) => (history.and_then(|history| at(history, sequence)), Some(sequence)),
    };
    found.ok_or_else(|| Error::NoSuchVersion { name: name.clone(), sequence })
}
