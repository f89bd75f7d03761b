//! The moves: each ends in one rename that never replaces anything, and each outlives a loss of power.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::act::layout::error::Error;
use crate::act::layout::names::{Id, REASON, STAGING, Staged, TRIES_MAX, endings};
use crate::base::time::Timestamp;
use crate::remember::file;

/// The format of reasons.
const FORMAT: u32 = 1;

/// What stands beside a file that could not be worked on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Why {
    pub(super) format: u32,
    /// Which way of a file it is about.
    pub(super) id: String,
    pub(super) at: Timestamp,
    pub(super) code: String,
    pub(super) why: String,
    /// How often the file was taken up.
    pub(super) turns: u32,
}

impl Why {
    pub(super) fn new(id: Id, at: Timestamp, code: &str, why: &str, turns: u32) -> Self {
        Self { format: FORMAT, id: id.text(), at, code: code.to_owned(), why: why.to_owned(), turns }
    }
}

/// What became of a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Done,
    /// Something of that name stands there.
    Namesake,
    /// There is nothing to move.
    Gone,
    /// The folders are on different file systems.
    Across,
}

/// Renames without ever replacing, and makes that durable.
pub(super) fn shift(from: &Path, to: &Path) -> Result<Moved, Error> {
    let moved = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Moved::Done,
        // A file system that knows no such rename: a second name, then the first is removed. That never replaces either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => by_link(from, to)?,
        Err(error) => told(error, from)?,
    };
    if moved == Moved::Done {
        sync_folders(&[from, to])?;
    }
    Ok(moved)
}

fn by_link(from: &Path, to: &Path) -> Result<Moved, Error> {
    match rustix::fs::link(from, to) {
        Ok(()) => {}
        // Killed between the two, it has both names.
        Err(Errno::EXIST) if is_same(from, to) => {}
        Err(error) => return told(error, from),
    }
    fs::remove_file(from).map_err(|source| Error::writing("cannot remove the first name", from, source))?;
    Ok(Moved::Done)
}

fn told(error: Errno, from: &Path) -> Result<Moved, Error> {
    match error {
        Errno::EXIST => Ok(Moved::Namesake),
        Errno::NOENT if fs::symlink_metadata(from).is_err() => Ok(Moved::Gone),
        Errno::XDEV => Ok(Moved::Across),
        error => Err(Error::writing("cannot move it", from, error.into())),
    }
}

pub(super) fn sync_folders(names: &[&Path]) -> Result<(), Error> {
    for folder in names.iter().filter_map(|name| name.parent()) {
        file::sync_folder(folder).map_err(|source| Error::writing("cannot sync it", folder, source))?;
    }
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// A file that no other process has its hands on: locked until it is dropped.
pub(super) struct Held(File);

impl Held {
    pub(super) fn metadata(&self) -> io::Result<fs::Metadata> {
        self.0.metadata()
    }

    /// Whether what is called `path` is this very file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let own = self.0.metadata().ok().map(identity);
        own.is_some() && own == fs::symlink_metadata(path).ok().map(identity)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Said aloud: a child that is just being started has this file open too, and would keep the lock for a moment.
        drop(self.0.unlock());
    }
}

/// Opens and locks a file, so that no other process has its hands on it. `None` if another has, it is gone, or it is
/// none: a link and a FIFO are not followed and not waited for.
pub(super) fn claim(path: &Path) -> Result<Option<Held>, Error> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(None),
        Err(source) => return Err(Error::reading("cannot open it", path, source)),
    };
    let found = file.metadata().map_err(|source| Error::reading("cannot look at it", path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(Error::reading("cannot lock it", path, source)),
    }
    let held = Held(file);
    // Whoever had the lock before may have moved the file away.
    let there = fs::symlink_metadata(path).ok().map(|there| (there.dev(), there.ino()));
    Ok((found.is_file() && there == Some((found.dev(), found.ino()))).then_some(held))
}

/// Where in `folder` something stands that is on its way.
pub(super) fn staged(folder: &Path, what: &Staged) -> PathBuf {
    folder.join(STAGING).join(what.written())
}

fn make_staging(folder: &Path) -> Result<(), Error> {
    let staging = folder.join(STAGING);
    match DirBuilder::new().mode(0o700).create(&staging) {
        Ok(()) => sync_folders(&[&staging]),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(&staging).is_ok_and(|found| found.is_dir()) {
                true => Ok(()),
                false => Err(Error::NotAFolder { path: staging }),
            }
        }
        Err(source) => Err(Error::writing("cannot make the folder", &staging, source)),
    }
}

/// Copies a held file into the staging of `folder`: there as a whole or not at all, and held too. The original stays.
pub(super) fn copy(
    held: &mut Held,
    from: &Path,
    folder: &Path,
    id: Id,
    name: &OsStr,
    edge: &dyn Fn(&str),
) -> Result<(PathBuf, Held), Error> {
    make_staging(folder)?;
    let part = staged(folder, &Staged::Part(id));
    let cannot = |source| Error::writing("cannot copy it to another file system", &part, source);
    let unread = |source| Error::reading("cannot look at it", from, source);
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
        Ok(()) | Err(_) => {}
    }
    let before = held.metadata().map_err(unread)?;
    let mut new = OpenOptions::new();
    let mut copy = new.read(true).write(true).create_new(true).mode(0o600).open(&part).map_err(cannot)?;
    // As a sign of life for whoever mends; that may look at it just now, and lets go at once.
    copy.lock().map_err(cannot)?;
    held.0.seek(SeekFrom::Start(0)).map_err(unread)?;
    let copied =
        io::copy(&mut held.0, &mut copy).map_err(cannot).inspect_err(|_| drop(fs::remove_file(&part)))?;
    edge("copy:written");
    let after = held.metadata().map_err(unread)?;
    if (after.len(), after.mtime(), after.mtime_nsec()) != (copied, before.mtime(), before.mtime_nsec()) {
        drop(fs::remove_file(&part));
        return Err(Error::Changed { path: from.to_owned(), copied, bytes: after.len() });
    }
    copy.set_permissions(after.permissions()).map_err(cannot)?;
    if let Ok(modified) = after.modified() {
        copy.set_times(FileTimes::new().set_modified(modified)).map_err(cannot)?;
    }
    copy.sync_all().map_err(cannot)?;
    let whole = staged(folder, &Staged::Whole(id, name.to_owned()));
    // What stands there is a copy of the same, by a process that died.
    fs::rename(&part, &whole).map_err(cannot)?;
    sync_folders(&[&whole])?;
    edge("copy:whole");
    Ok((whole, Held(copy)))
}

/// Removes what was copied.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::writing("cannot remove what was copied", path, error))
        }
        Ok(()) | Err(_) => sync_folders(&[path]),
    }
}

/// Gives a file the first name in `folder` that is free. `None`: it is on another file system.
pub(super) fn settle(from: &Path, folder: &Path, name: &OsStr, id: Id) -> Result<Option<PathBuf>, Error> {
    for ending in endings(name, id) {
        let to = folder.join(&ending);
        match shift(from, &to)? {
            Moved::Done => return Ok(Some(to)),
            Moved::Namesake => {}
            Moved::Gone => return Err(Error::Gone { path: from.to_owned() }),
            Moved::Across => return Ok(None),
        }
    }
    Err(Error::Namesakes { path: folder.join(name), tried: TRIES_MAX })
}

/// Puts the reason where the file will stand, in `folder`; says where that is. One that an earlier process has put there for
/// the same way is replaced.
pub(super) fn reserve(folder: &Path, name: &OsStr, id: Id, why: &Why) -> Result<PathBuf, Error> {
    make_staging(folder)?;
    let hidden = staged(folder, &Staged::Reason(id));
    let text = serde_json::to_vec_pretty(why)
        .map_err(|error| Error::writing("cannot write the reason", &hidden, error.into()))?;
    file::replace(&hidden, [&text[..], b"\n"].concat())?;
    for ending in endings(name, id) {
        let to = folder.join(&ending);
        if fs::symlink_metadata(&to).is_ok() {
            continue;
        }
        let beside = reason_of(folder, &ending);
        match shift(&hidden, &beside)? {
            Moved::Done => return Ok(to),
            Moved::Namesake if is_about(&beside, id) => {
                fs::rename(&hidden, &beside)
                    .map_err(|source| Error::writing("cannot put the reason in place", &beside, source))?;
                sync_folders(&[&hidden, &beside])?;
                return Ok(to);
            }
            Moved::Namesake => {}
            Moved::Gone | Moved::Across => return Err(Error::Gone { path: hidden }),
        }
    }
    Err(Error::Namesakes { path: folder.join(name), tried: TRIES_MAX })
}

/// Where a reason waits for the file of this way; it had come so far when its process died.
pub(super) fn reserved(folder: &Path, name: &OsStr, id: Id) -> Option<PathBuf> {
    for ending in endings(name, id) {
        let (to, beside) = (folder.join(&ending), reason_of(folder, &ending));
        let stands = fs::symlink_metadata(&to).is_ok();
        if !stands && is_about(&beside, id) {
            return Some(to);
        }
        if !stands && fs::symlink_metadata(&beside).is_err() {
            return None;
        }
    }
    None
}

/// Takes back a reason for which no file has come.
pub(super) fn release(folder: &Path, name: &OsStr, id: Id) -> Result<(), Error> {
    match reserved(folder, name, id) {
        Some(to) => remove(&reason_of(folder, to.file_name().unwrap_or(name))),
        None => Ok(()),
    }
}

pub(super) fn reason_of(folder: &Path, name: &OsStr) -> PathBuf {
    let mut name: OsString = name.to_owned();
    name.push(REASON);
    folder.join(name)
}

fn is_about(reason: &Path, id: Id) -> bool {
    /// A reason is a few lines; what is larger is none.
    const READ_MAX: u64 = 1 << 20;
    let small = fs::symlink_metadata(reason).is_ok_and(|found| found.is_file() && found.len() <= READ_MAX);
    let why = || serde_json::from_slice::<Why>(&fs::read(reason).ok()?).ok();
    small && why().is_some_and(|why| why.id == id.text())
}
