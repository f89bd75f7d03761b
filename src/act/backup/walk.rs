//! What is in a tree: folders are opened one within the other and links are never followed, so nothing outside is read.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use crate::act::backup::decision::{Decision, Failing, Kind, Passing};
use crate::act::backup::error::Error;
use crate::act::backup::policy::Policy;

/// How many folders lie within each other at most. Each is an open file while those in it are read.
pub(super) const DEPTH_MAX: usize = 128;
/// How many files are handed over together.
const TOGETHER: usize = 128;

/// Some files of one folder.
pub(super) struct Files {
    pub(super) folder: Arc<OwnedFd>,
    /// Its path in the tree; empty for the tree itself.
    pub(super) path: Arc<[u8]>,
    pub(super) names: Vec<CString>,
}

/// What was found beside the files.
#[derive(Default)]
pub(super) struct Listed {
    /// What is no file, and what could not be read.
    pub(super) noted: Vec<(Vec<u8>, Decision)>,
    /// Folders of which nobody knows what is in them.
    pub(super) unknown: Vec<Vec<u8>>,
    /// Folders.
    pub(super) folders: Vec<Vec<u8>>,
}

pub(super) struct Walk<'a> {
    pub(super) policy: &'a Policy,
    /// Device and inode of the store.
    pub(super) store: (u64, u64),
    /// Whether somebody has failed, so that there is no use in going on.
    pub(super) stop: &'a AtomicBool,
    /// How many files and folders were found.
    pub(super) found: &'a AtomicU64,
    /// Folders whose names are also those of stored files are noted.
    pub(super) is_stored: &'a (dyn Fn(&[u8]) -> bool + Sync),
    pub(super) to: SyncSender<Files>,
}

/// A folder that is still to be read.
struct Ahead {
    parent: Arc<OwnedFd>,
    name: CString,
    path: Arc<[u8]>,
    depth: usize,
}

impl Walk<'_> {
    pub(super) fn run(&self, root: OwnedFd) -> Result<Listed, Error> {
        let mut listed = Listed::default();
        let mut ahead = Vec::new();
        self.folder(Arc::new(root), &Arc::from(&b""[..]), 0, &mut listed, &mut ahead)?;
        while let Some(next) = ahead.pop() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match open(&next.parent, &next.name) {
                Ok(folder) => {
                    let Ahead { parent, path, depth, .. } = next;
                    drop(parent);
                    self.folder(Arc::new(folder), &path, depth, &mut listed, &mut ahead)?;
                }
                // It went away: so did what was in it. What came in its place is met the next time.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => unknown(&mut listed, &next.path, error),
            }
        }
        Ok(listed)
    }

    fn folder(
        &self,
        folder: Arc<OwnedFd>,
        path: &Arc<[u8]>,
        depth: usize,
        listed: &mut Listed,
        ahead: &mut Vec<Ahead>,
    ) -> Result<(), Error> {
        if fstat(&*folder).is_ok_and(|found| identity(&found) == self.store) {
            listed.noted.push((path.to_vec(), Decision::Passed(Passing::TheStore)));
            listed.unknown.push(path.to_vec());
            return Ok(());
        }
        if (self.is_stored)(path) {
            listed.folders.push(path.to_vec());
        }
        let mut names = Vec::new();
        let mut entries = match Dir::read_from(folder.as_fd()) {
            Ok(entries) => entries,
            Err(error) => {
                unknown(listed, path, error);
                return Ok(());
            }
        };
        while let Some(entry) = entries.read() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    unknown(listed, path, error);
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let full = join(path, name.to_bytes());
            let kind = kind_of(&folder, name, entry.file_type());
            let is_file = kind == FileType::RegularFile;
            if !self.takes(&full, kind == FileType::Directory) {
                continue;
            }
            self.count()?;
            if is_file {
                names.push(name.to_owned());
                if names.len() >= TOGETHER {
                    self.hand_over(&folder, path, &mut names);
                }
            } else if kind != FileType::Directory {
                let kind = Kind::of(kind);
                listed.noted.push((full, Decision::Passed(Passing::NotAFile(kind))));
            } else if depth + 1 >= DEPTH_MAX {
                let why = Failing::TooDeep { depth_max: DEPTH_MAX };
                listed.unknown.push(full.clone());
                listed.noted.push((full, Decision::Failed(why)));
            } else {
                let (parent, name) = (Arc::clone(&folder), name.to_owned());
                ahead.push(Ahead { parent, name, path: full.into(), depth: depth + 1 });
            }
        }
        self.hand_over(&folder, path, &mut names);
        Ok(())
    }

    fn takes(&self, full: &[u8], is_folder: bool) -> bool {
        let path = Path::new(OsStr::from_bytes(full));
        self.policy.takes_all()
            || if is_folder { !self.policy.leaves_out(path) } else { self.policy.takes(path) }
    }

    fn count(&self) -> Result<(), Error> {
        let allowed = self.policy.files_max;
        let found = self.found.fetch_add(1, Ordering::Relaxed);
        if found >= allowed { Err(Error::TooManyFiles { allowed }) } else { Ok(()) }
    }

    fn hand_over(&self, folder: &Arc<OwnedFd>, path: &Arc<[u8]>, names: &mut Vec<CString>) {
        if !names.is_empty() {
            let (folder, path, names) = (Arc::clone(folder), Arc::clone(path), std::mem::take(names));
            // Nobody takes it when all readers have failed; they say why.
            if self.to.send(Files { folder, path, names }).is_err() {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Opens a folder in another one, and nothing but a folder.
pub(super) fn open(parent: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat(parent, name, flags, Mode::empty())
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between systems")]
pub(super) const fn identity(found: &rustix::fs::Stat) -> (u64, u64) {
    (found.st_dev as u64, found.st_ino as u64)
}

fn unknown(listed: &mut Listed, path: &[u8], error: Errno) {
    let why = Failing::of(&error.into());
    listed.unknown.push(path.to_vec());
    listed.noted.push((path.to_vec(), Decision::Failed(why)));
}

/// What an entry is; some file systems do not say while they list.
fn kind_of(folder: &OwnedFd, name: &CStr, said: FileType) -> FileType {
    if said != FileType::Unknown {
        return said;
    }
    let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    // What cannot be looked at is opened, which then says why not.
    found.map_or(FileType::RegularFile, |found| FileType::from_raw_mode(found.st_mode))
}

pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(folder.len() + 1 + name.len());
    full.extend_from_slice(folder);
    if !folder.is_empty() {
        full.push(b'/');
    }
    full.extend_from_slice(name);
    full
}

impl Kind {
    pub(super) const fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice | FileType::BlockDevice => Self::Device,
            _ => Self::Other,
        }
    }
}
