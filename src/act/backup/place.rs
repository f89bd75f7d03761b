//! How bytes get into the store: written to a temporary file, synced, renamed into place, the folder synced.
//!
//! Temporary files lie in the folder `tmp` of the store, which is on the same file system: so there is one place to clear,
//! and whatever is elsewhere is complete.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::act::backup::error::Error;
use crate::act::backup::report::Step;
use crate::base::rng::entropy;
use crate::remember::file::sync_folder;

/// How many new contents are made durable together; each is an open file until then.
const BATCH_FILES: usize = 64;
/// How many bytes are.
const BATCH_BYTES: u64 = 64 << 20;
/// From how many on the file system is first asked to write all that it has: one long wait instead of many.
#[cfg(target_os = "linux")]
const SYNC_ALL_FROM: usize = 8;

/// Where is written, and who is told of each step.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) store: &'a Path,
    pub(super) step: &'a (dyn Fn(Step) + Sync),
    pub(super) marker: &'a Marker,
}

/// A file that is there while the store may have contents to which no version refers.
pub(super) struct Marker {
    path: PathBuf,
    /// Whether it is there.
    set: Mutex<bool>,
}

impl Marker {
    pub(super) fn of(store: &Path) -> Self {
        let path = store.join("writing");
        let set = Mutex::new(path.exists());
        Self { path, set }
    }

    pub(super) fn is_set(&self) -> bool {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the first new content is put in place.
    fn set(&self) -> Result<(), Error> {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if !*set {
            let failed = |source| Error::writing("cannot make it", &self.path, source);
            File::create(&self.path).map_err(failed)?;
            sync(self.path.parent().unwrap_or(&self.path))?;
            *set = true;
        }
        Ok(())
    }

    /// When there are no such contents.
    pub(super) fn clear(&self) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        // One that stays costs a search at the next run.
        *set = *set && fs::remove_file(&self.path).is_err();
    }
}

/// A file in `tmp` that goes away unless it is put in place.
pub(super) struct Temporary {
    path: PathBuf,
    pub(super) file: File,
    placed: bool,
}

impl Temporary {
    pub(super) fn new(store: &Path) -> Result<Self, Error> {
        let folder = store.join(TEMPORARY);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let mut failed = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..16 {
            let path = folder.join(format!("{:016x}", entropy()));
            match options.open(&path) {
                Ok(file) => return Ok(Self { path, file, placed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => failed = error,
                Err(error) => {
                    failed = error;
                    break;
                }
            }
        }
        Err(Error::writing("cannot make a temporary file in this folder", &folder, failed))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|source| Error::writing("cannot write", &self.path, source))
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| Error::writing("cannot sync", &self.path, source))
    }

    /// Gives it its name; makes the folder if there is none.
    fn put(&mut self, target: &Path) -> Result<(), Error> {
        let failed = |source| Error::writing("cannot put a new file in place", target, source);
        match fs::rename(&self.path, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = target.parent().unwrap_or(target);
                match fs::create_dir(folder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                    _ => sync(folder.parent().unwrap_or(folder))?,
                }
                fs::rename(&self.path, target).map_err(failed)?;
            }
            done => done.map_err(failed)?,
        }
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is cleared by the next run.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// The folder of temporary files in a store.
pub(super) const TEMPORARY: &str = "tmp";

impl Place<'_> {
    /// Replaces a file of the store by one with this content, or makes it.
    pub(super) fn replace(&self, target: &Path, content: &[u8]) -> Result<(), Error> {
        let mut temporary = Temporary::new(self.store)?;
        temporary.write(content)?;
        (self.step)(Step::Written);
        temporary.sync()?;
        (self.step)(Step::Synced);
        temporary.put(target)?;
        (self.step)(Step::Placed);
        sync(target.parent().unwrap_or(target))
    }
}

/// New contents that are made durable together.
pub(super) struct Batch<'a> {
    place: Place<'a>,
    waiting: Vec<(Temporary, PathBuf)>,
    bytes: u64,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(place: Place<'a>) -> Self {
        Self { place, waiting: Vec::new(), bytes: 0 }
    }

    pub(super) const fn place(&self) -> Place<'a> {
        self.place
    }

    /// Takes a content that is written.
    pub(super) fn add(&mut self, temporary: Temporary, target: PathBuf, bytes: u64) -> Result<(), Error> {
        (self.place.step)(Step::Written);
        self.waiting.push((temporary, target));
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waiting.len() >= BATCH_FILES || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Puts all that waits in place, durably.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        if let (Some((first, _)), true) = (self.waiting.first(), self.waiting.len() >= SYNC_ALL_FROM) {
            // Only to be quicker: whether each file is durable is what its own sync says.
            rustix::fs::syncfs(&first.file).unwrap_or_default();
        }
        self.place.marker.set()?;
        self.waiting.iter().try_for_each(|(temporary, _)| temporary.sync())?;
        (self.place.step)(Step::Synced);
        let mut folders = BTreeSet::new();
        for (temporary, target) in &mut self.waiting {
            temporary.put(target)?;
            (self.place.step)(Step::Placed);
            folders.extend(target.parent());
        }
        folders.into_iter().try_for_each(sync)?;
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Removes what killed runs have left in `tmp`. Only under the lock.
pub(super) fn clear(store: &Path) -> Result<(), Error> {
    let folder = store.join(TEMPORARY);
    match fs::create_dir(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::writing("cannot make the folder", &folder, error));
        }
        _ => {}
    }
    let entries =
        fs::read_dir(&folder).map_err(|source| Error::reading("cannot read it", &folder, source))?;
    for entry in entries.flatten() {
        drop(fs::remove_file(entry.path()));
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> Result<(), Error> {
    sync_folder(folder).map_err(|source| Error::writing("cannot sync the folder", folder, source))
}
