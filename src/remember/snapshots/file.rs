//! One small state in one file, for programs without a database.

mod error;
mod form;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::remember::file::{self, Lock, Replacement};

pub use error::{Damage, FileError, Recovered};

/// One versioned state of type `T` in one file, for programs without a database.
///
/// # What it does
/// - A save replaces the file whole ([`file::replace`](crate::remember::file::replace)): a process that is killed, a full disk or a power
///   cut leaves the old state or the new one.
/// - The generation before is kept beside it, as `NAME.prev`. When the file is torn, flipped or gone, [`load`](Self::load) gives that one and
///   says so; when that is damaged too, the answer is a typed error. It is never a default.
/// - Saves of several processes and threads take turns by a kernel lock on `NAME.lock`; [`update`](Self::update) reads,
///   changes and writes under it, so that no change is lost. A load takes no lock, and works in a folder that may only be read.
/// - What cannot be read back is not saved: the value is read again from its own JSON first (a NaN, which JSON has not, is found here).
///
/// # The file
/// A line `unattended-state 1 GENERATION BYTES sha256:HASH CHECK` and the value as JSON. It is not for editing by hand: an
/// edited file does not fit its hash. To begin anew remove it and its `.prev` together. The format of `T` is the caller's: a value that
/// is whole but is no `T` any more is [`FileError::Value`], and the one before is not taken instead.
///
/// # Bounds
/// The JSON may have 1 MiB ([`bytes_max`](Self::bytes_max)); a lock is waited for up to 30 s ([`wait_max`](Self::wait_max)).
///
/// ```
/// use unattended::snapshots::File;
///
/// let folder = tempfile::tempdir()?;
/// let state = File::<u64>::open(folder.path().join("runs.state"))?;
/// assert!(state.load()?.is_none(), "never saved");
/// let updated = state.update(|| 0, |runs| { *runs += 1; *runs })?;
/// assert_eq!((updated.answer, updated.generation), (1, 1));
/// assert_eq!(state.load()?.map(|loaded| loaded.value), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct File<T> {
    path: PathBuf,
    previous: PathBuf,
    lock: PathBuf,
    wait_max: Duration,
    bytes_max: u64,
    of: PhantomData<fn(T) -> T>,
}

impl<T> Clone for File<T> {
    fn clone(&self) -> Self {
        let Self { path, previous, lock, .. } = self;
        let (path, previous, lock) = (path.clone(), previous.clone(), lock.clone());
        Self { path, previous, lock, wait_max: self.wait_max, bytes_max: self.bytes_max, of: PhantomData }
    }
}

impl<T> std::fmt::Debug for File<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A state that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The value.
    pub value: T,
    /// Its number: each save has the next one, the first save after a recovery leaves one out.
    pub generation: u64,
    /// Set when the file itself was no good and this is the generation before.
    pub recovered: Option<Recovered>,
}

/// A state that was changed and saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated<R> {
    /// What the change gave back.
    pub answer: R,
    /// The generation under which it was saved.
    pub generation: u64,
    /// Set when the file itself was no good and what was changed is the generation before.
    pub recovered: Option<Recovered>,
}

impl<T> File<T> {
    /// The state in the file at `path`, which need not exist; its folder must. Reads nothing yet.
    ///
    /// A relative path is taken from the current folder now; a symbolic link is followed now, and `.prev` and `.lock` stand beside the
    /// file that it leads to.
    ///
    /// # Errors
    /// [`FileError::File`] where there is something else than a file, or no folder to put it in.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = file::resolve(path.as_ref())?;
        let folder = file::folder_of(&path);
        if !folder.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotFound);
            let action = "there is no such folder to keep a state in";
            return Err(file::Error::Io { action, path: folder.to_owned(), source }.into());
        }
        Ok(Self {
            previous: beside(&path, ".prev"),
            lock: beside(&path, ".lock"),
            path,
            wait_max: Duration::from_secs(30),
            bytes_max: 1 << 20,
            of: PhantomData,
        })
    }

    /// How long a save waits for another one; default 30 s.
    #[must_use]
    pub const fn wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// How many bytes the JSON may have; default 1 MiB. It is held in memory, twice while it is saved.
    #[must_use]
    pub const fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// The file, as an absolute path behind all links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<T: Serialize + DeserializeOwned> File<T> {
    /// The last state that was saved and is sound; `None` if none was ever saved.
    ///
    /// # Errors
    /// [`FileError::Damaged`] when neither the file nor the one before is sound, [`FileError::NotOurs`], [`FileError::TooNew`],
    /// [`FileError::TooBig`], [`FileError::Value`] when it is no `T`, and [`FileError::File`] when it cannot be read.
    pub fn load(&self) -> Result<Option<Loaded<T>>, FileError> {
        let Some(found) = self.look()? else { return Ok(None) };
        let value = self.value(&found.body, "read")?;
        Ok(Some(Loaded { value, generation: found.generation, recovered: found.recovered }))
    }

    /// Saves `value` and gives its generation. Whoever saves last wins; what depends on the state before is
    /// an [`update`](Self::update).
    ///
    /// # Errors
    /// [`FileError::Value`] and [`FileError::TooBig`] for what cannot be saved; [`FileError::Damaged`], [`FileError::NotOurs`] and
    /// [`FileError::TooNew`] for what stands there and is not overwritten; [`FileError::File`] when the lock is busy, the disk full
    /// or the folder read-only. The old state stands in all these cases; see [`file::replace`](crate::remember::file::replace) for the one
    /// where it does not.
    pub fn save(&self, value: &T) -> Result<u64, FileError> {
        let body = self.body(value)?;
        let _held = Lock::take(&self.lock, self.wait_max)?;
        let found = self.look()?;
        self.write(&body, found.as_ref())
    }

    /// Changes the state under an exclusive lock, beginning with `first()` if none was ever saved, and saves it.
    ///
    /// Others wait while `change` runs, so it should not take long, and must not save to the same file (that would wait for itself,
    /// and end as `Busy`). If it panics nothing is saved. It is run once.
    ///
    /// # Errors
    /// As [`load`](Self::load) and [`save`](Self::save).
    pub fn update<R>(
        &self,
        first: impl FnOnce() -> T,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<Updated<R>, FileError> {
        let _held = Lock::take(&self.lock, self.wait_max)?;
        let found = self.look()?;
        let mut value = match &found {
            Some(found) => self.value(&found.body, "read")?,
            None => first(),
        };
        let answer = change(&mut value);
        let generation = self.write(&self.body(&value)?, found.as_ref())?;
        let recovered = found.and_then(|found| found.recovered);
        Ok(Updated { answer, generation, recovered })
    }

    /// The JSON of `value`, once it is known that it can be read back.
    fn body(&self, value: &T) -> Result<Vec<u8>, FileError> {
        let failed = |source| FileError::Value { path: self.path.clone(), action: "saved", source };
        let body = serde_json::to_vec(value).map_err(failed)?;
        let given = body.len() as u64;
        if given > self.bytes_max {
            return Err(FileError::TooBig { path: self.path.clone(), given, allowed: self.bytes_max });
        }
        self.value(&body, "saved")?;
        Ok(body)
    }

    fn value(&self, body: &[u8], action: &'static str) -> Result<T, FileError> {
        serde_json::from_slice(body).map_err(|source| FileError::Value {
            path: self.path.clone(),
            action,
            source,
        })
    }
}

/// What stands in the files.
struct Found {
    generation: u64,
    body: Vec<u8>,
    recovered: Option<Recovered>,
    /// The whole file, where it is the current one.
    current: Option<Vec<u8>>,
}

impl<T> File<T> {
    /// The newest sound generation.
    fn look(&self) -> Result<Option<Found>, FileError> {
        let damage = match self.read(&self.path)? {
            Stands::Sound(found) => return Ok(Some(found)),
            Stands::Damaged(damage) => damage,
        };
        match (self.read(&self.previous)?, damage) {
            (Stands::Sound(found), damage) => {
                Ok(Some(Found { recovered: Some(Recovered { damage }), current: None, ..found }))
            }
            (Stands::Damaged(Damage::Gone), Damage::Gone) => Ok(None),
            (Stands::Damaged(Damage::Gone), Damage::Foreign) => {
                Err(FileError::NotOurs { path: self.path.clone() })
            }
            (Stands::Damaged(previous), current) => {
                Err(FileError::Damaged { path: self.path.clone(), current, previous })
            }
        }
    }

    fn read(&self, path: &Path) -> Result<Stands, FileError> {
        let file = match file::open_plain(path) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Ok(Stands::Damaged(Damage::Gone)),
            Err(error) => return Err(error.into()),
        };
        let mut whole = Vec::new();
        let limit = self.bytes_max.saturating_add(form::HEADER_MAX as u64).saturating_add(1);
        file.take(limit).read_to_end(&mut whole).map_err(|source| file::Error::Io {
            action: "cannot read the state",
            path: path.to_owned(),
            source,
        })?;
        match form::read(&whole, self.bytes_max) {
            Ok((generation, at)) => {
                let body = whole.get(at..).unwrap_or_default().to_vec();
                Ok(Stands::Sound(Found { generation, body, recovered: None, current: Some(whole) }))
            }
            Err(form::Flaw::Damaged(damage)) => Ok(Stands::Damaged(damage)),
            Err(form::Flaw::TooNew(found)) => {
                Err(FileError::TooNew { path: path.to_owned(), found, supported: form::VERSION })
            }
            Err(form::Flaw::TooBig(given)) => {
                Err(FileError::TooBig { path: path.to_owned(), given, allowed: self.bytes_max })
            }
        }
    }

    /// Writes the next generation, with what stands now as the one before.
    fn write(&self, body: &[u8], found: Option<&Found>) -> Result<u64, FileError> {
        // The number of a damaged file, one after that of the sound one, is not given again.
        let step = |found: &Found| found.generation.saturating_add(u64::from(found.recovered.is_some()));
        let generation = found.map_or(0, step).saturating_add(1);
        let mut replacement = Replacement::of(&self.path)?;
        replacement.write(form::header(generation, body).as_bytes())?;
        replacement.write(body)?;
        // A current file that is damaged does not take the place of the sound one before it.
        let current = found.and_then(|found| found.current.as_deref());
        replacement.commit_after(|| current.map_or(Ok(()), |whole| self.keep(whole)))?;
        Ok(generation)
    }

    /// Makes the current file the one before, without a time at which either is missing.
    fn keep(&self, whole: &[u8]) -> Result<(), file::Error> {
        let second_name = beside(&self.previous, "~");
        // Left by a process that was killed here; the lock is ours, so nobody uses it.
        drop(fs::remove_file(&second_name));
        let linked =
            fs::hard_link(&self.path, &second_name).and_then(|()| fs::rename(&second_name, &self.previous));
        // Renaming one name of a file to another name of it does nothing.
        drop(fs::remove_file(&second_name));
        match linked {
            Ok(()) => Ok(()),
            // Not every file system has links, and not everybody may make them.
            Err(_) => file::replace(&self.previous, whole),
        }
    }
}

/// What one file is.
enum Stands {
    Sound(Found),
    Damaged(Damage),
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
