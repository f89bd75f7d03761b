//! Small files that are replaced whole or not at all, and locks that the kernel keeps.
//!
//! [`replace`] writes a temporary file in the same folder, syncs it, renames it over the old one and syncs the folder. Whoever reads
//! sees the old content or the new, never a part, also after a power cut; a write that fails leaves the old content.
//!
//! - **Paths.** A relative path is taken from the current folder once, at the beginning; it needs no folder part.
//! - **Symbolic links are followed.** The file that the link leads to is replaced, in its own folder, and the link stays; where it
//!   leads to nothing, the file is made there. Do not replace files in folders in which others may make links.
//! - **What stands there.** A folder, a FIFO or a device is refused, not replaced.
//! - **Mode and owner.** The permission bits of the old file are kept, and its owner and group where the system lets us; a new file
//!   has mode 0600. Access control lists and extended attributes are not kept.
//! - **Leftovers.** A process that is killed leaves its temporary file. Each replacement removes those of this crate from the same
//!   folder that nobody holds open and that are at least an hour old; it looks at the first 1024 entries,
//!   [`clear_leftovers`] at all of them.
//!
//! All of it blocks the thread.
//!
//! ```
//! use unattended::file;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("report.txt");
//! file::replace(&path, "all is well\n")?;
//! assert_eq!(std::fs::read_to_string(&path)?, "all is well\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The order of the syncs is that of T. S. Pillai and others, "All file systems are not created equal" (OSDI 2014).

mod error;
mod lock;

#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::base::rng::entropy;
use crate::base::time::{Clock, System};

pub use error::Error;
pub use lock::Lock;
#[cfg(feature = "sqlite")]
pub(in crate::remember) use lock::{lock_file, same_file, try_lock};

/// Replaces the file at `path` by one with this content, or makes it.
///
/// # Errors
/// [`Error::Full`], [`Error::ReadOnly`] and [`Error::NotAFile`] for what a person has to see to, else [`Error::Io`]. The old
/// content stands, unless the error says that the folder could not be synced: then the new content stands and may be gone after
/// a power cut.
pub fn replace(path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<(), Error> {
    let mut replacement = Replacement::of(path)?;
    replacement.write(content.as_ref())?;
    replacement.commit()
}

/// New content for a file, that is written bit by bit and takes its place at [`commit`](Self::commit). Dropped before
/// that, it is removed and the old file stands.
#[derive(Debug)]
pub struct Replacement {
    target: PathBuf,
    temporary: PathBuf,
    file: fs::File,
    done: bool,
}

impl Replacement {
    /// New, empty content for the file at `path`, which need not exist; its folder must.
    ///
    /// # Errors
    /// As [`replace`].
    pub fn of(path: impl AsRef<Path>) -> Result<Self, Error> {
        let target = resolve(path.as_ref())?;
        let replacement = Self::in_folder(folder_of(&target), target.clone())?;
        replacement.take_after_the_old()?;
        Ok(replacement)
    }

    /// New content that is made in `folder` and may come to be another file than `target` on the same file system.
    pub(in crate::remember) fn in_folder(folder: &Path, target: PathBuf) -> Result<Self, Error> {
        sweep(folder, LOOK_MAX);
        let (temporary, file) = create_temporary(folder)?;
        // Held as a sign of life for whoever clears away; a file system without locks goes by age alone.
        drop(file.try_lock());
        Ok(Self { target, temporary, file, done: false })
    }

    /// Adds to the content.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|source| Error::writing("cannot write the new content", &self.target, source))
    }

    /// Makes the content durable and lets it take the place of the old.
    ///
    /// # Errors
    /// As [`replace`].
    pub fn commit(self) -> Result<(), Error> {
        self.commit_after(|| Ok(()))
    }

    /// The same, with `before` between the content being durable and its taking the place.
    pub(in crate::remember) fn commit_after(
        self,
        before: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.sync()?;
        before()?;
        self.take_place()
    }

    /// The same, in the place of `target`.
    pub(in crate::remember) fn commit_as(mut self, target: PathBuf) -> Result<(), Error> {
        self.target = target;
        self.commit()
    }

    fn sync(&self) -> Result<(), Error> {
        self.file
            .sync_all()
            .map_err(|source| Error::writing("cannot sync the new content", &self.target, source))
    }

    fn take_place(mut self) -> Result<(), Error> {
        fs::rename(&self.temporary, &self.target)
            .map_err(|source| Error::writing("cannot put the new content in place", &self.target, source))?;
        self.done = true;
        let folder = folder_of(&self.target);
        sync_folder(folder).map_err(|source| {
            let action = "the new content is in place, but its folder cannot be synced";
            Error::Io { action, path: folder.to_owned(), source }
        })
    }

    /// Owner, group and mode as the old file has them; nothing, where there is none.
    fn take_after_the_old(&self) -> Result<(), Error> {
        let Ok(old) = fs::metadata(&self.target) else { return Ok(()) };
        let mode = keep_owner(&self.file, &old);
        self.file
            .set_permissions(mode)
            .map_err(|source| Error::writing("cannot keep the mode", &self.target, source))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// Removes what killed processes left in `folder`: temporary files of this crate that nobody holds open and that are at
/// least an hour old. Says how many.
///
/// # Errors
/// When the folder cannot be read. A file that cannot be removed is left.
pub fn clear_leftovers(folder: impl AsRef<Path>) -> Result<usize, Error> {
    let folder = folder.as_ref();
    fs::metadata(folder).and_then(|_| fs::read_dir(folder)).map_err(|source| Error::Io {
        action: "cannot read the folder",
        path: folder.to_owned(),
        source,
    })?;
    Ok(sweep(folder, usize::MAX))
}

/// Opens a file for reading, if it is one: a FIFO would wait for a writer for ever, so it is looked at first.
pub(in crate::remember) fn open_plain(path: &Path) -> Result<fs::File, Error> {
    let failed = |source| Error::Io { action: "cannot open it", path: path.to_owned(), source };
    let refuse = |found: &fs::Metadata| match what_else(found) {
        Some(found) => Err(Error::NotAFile { path: path.to_owned(), found }),
        None => Ok(()),
    };
    refuse(&fs::metadata(path).map_err(failed)?)?;
    let file = fs::File::open(path).map_err(failed)?;
    refuse(&file.metadata().map_err(failed)?)?;
    Ok(file)
}

/// The absolute path of the file that is meant, behind all symbolic links.
pub(in crate::remember) fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Io { action: "cannot find it", path: path.to_owned(), source };
    let refuse = |found| Err(Error::NotAFile { path: path.to_owned(), found });
    let mut at = std::path::absolute(path).map_err(failed)?;
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => {
                let to = fs::read_link(&at).map_err(failed)?;
                at = folder_of(&at).join(to);
            }
            Ok(found) => return what_else(&found).map_or(Ok(at), refuse),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if at.file_name().is_some() { Ok(at) } else { refuse("a path without a file name") };
            }
            Err(error) => return Err(failed(error)),
        }
    }
    refuse("a chain of too many symbolic links")
}

/// The folder of an absolute path.
pub(in crate::remember) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Makes the names in a folder durable. A file system that knows no such thing is taken at its word.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            return Err(error);
        }
        Ok(()) | Err(_) => {}
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// What stands there, if it is no file.
fn what_else(found: &fs::Metadata) -> Option<&'static str> {
    if found.is_file() {
        None
    } else if found.is_dir() {
        Some("a folder")
    } else {
        Some("a FIFO, a socket or a device")
    }
}

/// How many symbolic links are followed; Linux follows as many.
const LINKS_MAX: usize = 40;
/// How many entries of a folder are looked at before each replacement.
const LOOK_MAX: usize = 1024;
/// How old a leftover is. Its writer may be between making it and locking it, or on a file system without locks.
const LEFT_AFTER: Duration = Duration::from_secs(3600);
const PREFIX: &str = ".unattended-";
const SUFFIX: &str = ".tmp";

fn create_temporary(folder: &Path) -> Result<(PathBuf, fs::File), Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut failed = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..16 {
        let path = folder.join(format!("{PREFIX}{:016x}{SUFFIX}", entropy()));
        match options.open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => failed = error,
            Err(error) => {
                failed = error;
                break;
            }
        }
    }
    Err(Error::writing("cannot make a temporary file in this folder", folder, failed))
}

fn sweep(folder: &Path, look_max: usize) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let ours = entries.take(look_max).flatten().filter(|entry| is_ours(&entry.file_name().to_string_lossy()));
    let now = SystemTime::from(System.now().wall);
    ours.filter(|entry| is_left(&entry.path(), now) && fs::remove_file(entry.path()).is_ok()).count()
}

fn is_ours(name: &str) -> bool {
    let id = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    id.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_left(path: &Path, now: SystemTime) -> bool {
    let old = fs::symlink_metadata(path).is_ok_and(|found| {
        let age = found.modified().ok().and_then(|at| now.duration_since(at).ok());
        found.is_file() && age.is_some_and(|age| age >= LEFT_AFTER)
    });
    let held = || fs::File::open(path).map(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    old && held().is_ok_and(|held| !held)
}

/// Gives `file` the owner and group of `old`, as far as that is allowed, and says with which mode nobody may then do
/// more than before.
#[cfg(unix)]
fn keep_owner(file: &fs::File, old: &fs::Metadata) -> fs::Permissions {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let mut mode = old.mode() & 0o7777;
    if let Ok(new) = file.metadata() {
        let (uid, gid) = (old.uid(), old.gid());
        let both = (new.uid(), new.gid()) == (uid, gid) || fchown(file, Some(uid), Some(gid)).is_ok();
        let owner = both || new.uid() == uid;
        let group = both || new.gid() == gid || fchown(file, None, Some(gid)).is_ok();
        // Bits that let a program run as its owner are not carried over to another owner.
        mode &= if owner && group { 0o7777 } else { 0o777 };
        if !group {
            mode &= 0o707 | (mode & 0o007) << 3;
        }
    }
    fs::Permissions::from_mode(mode)
}

#[cfg(not(unix))]
fn keep_owner(_file: &fs::File, old: &fs::Metadata) -> fs::Permissions {
    old.permissions()
}
