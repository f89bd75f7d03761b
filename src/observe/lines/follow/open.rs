//! Which file it is: opened without waiting for anybody, known again by its number and by how it begins.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::observe::lines::follow::io as failed;
use crate::observe::lines::follow::reason::{FollowError, NotAFile};

/// How many names beside the file are looked at for the one that it was.
const NAMES_MAX: usize = 1000;
/// By how many bytes of its beginning a file is known again.
const HEAD_MAX: usize = 256;

/// Which file it is, where the system says so; else zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// What stands under a name.
pub(super) enum Found {
    File { id: Id, size: u64 },
    Other(NotAFile),
    Nothing,
}

/// A hash of the first bytes of a file: a number may be given to another file once the first is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    bytes: u16,
    hash: String,
}

pub(super) fn look(path: &Path) -> Result<Found, FollowError> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(Found::File { id: id(&found), size: found.len() }),
        Ok(found) => Ok(Found::Other(kind(found.file_type()))),
        Err(error) if is_nothing(&error) => Ok(Found::Nothing),
        Err(source) => Err(failed(path, "cannot look at it", source)),
    }
}

/// Opens a file, if it is one; `None` if it is gone meanwhile.
pub(super) fn open(path: &Path) -> Result<Option<(File, Id)>, FollowError> {
    let file = match options().open(path) {
        Ok(file) => file,
        Err(error) if is_nothing(&error) => return Ok(None),
        Err(source) => return Err(failed(path, "cannot open it", source)),
    };
    let found = file.metadata().map_err(|source| failed(path, "cannot look at it", source))?;
    if !found.is_file() {
        return Err(FollowError::NotAFile { path: path.to_owned(), found: kind(found.file_type()) });
    }
    Ok(Some((file, id(&found))))
}

/// The file with this number whose name begins with that of `path`.
pub(super) fn find_beside(path: &Path, same: Id) -> Result<Option<PathBuf>, FollowError> {
    let Some(name) = path.file_name() else { return Ok(None) };
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let entries = fs::read_dir(folder).map_err(|source| failed(folder, "cannot read the folder", source))?;
    for entry in entries.take(NAMES_MAX).flatten() {
        let begins = entry.file_name().as_encoded_bytes().starts_with(name.as_encoded_bytes());
        if begins && entry.metadata().is_ok_and(|found| found.is_file() && id(&found) == same) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

impl Head {
    pub(super) const NONE: Self = Self { bytes: 0, hash: String::new() };

    /// Whether the file begins as it did.
    pub(super) fn fits(&self, file: &mut File) -> io::Result<bool> {
        let bytes = usize::from(self.bytes).min(HEAD_MAX);
        Ok(bytes == 0 || Self::of(file, bytes)? == *self)
    }

    /// Takes in more of the beginning, of a file of which so much was read.
    pub(super) fn grow(&mut self, file: &mut File, read: u64) -> io::Result<()> {
        let bytes = usize::try_from(read).unwrap_or(HEAD_MAX).min(HEAD_MAX);
        if bytes > usize::from(self.bytes) {
            *self = Self::of(file, bytes)?;
        }
        Ok(())
    }

    fn of(file: &mut File, bytes: usize) -> io::Result<Self> {
        let mut head = Vec::with_capacity(bytes);
        file.seek(SeekFrom::Start(0))?;
        file.take(bytes as u64).read_to_end(&mut head)?;
        // FNV-1a: against accidents, not against people.
        let hash = head.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Ok(Self { bytes: u16::try_from(head.len()).unwrap_or(u16::MAX), hash: format!("{hash:016x}") })
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(unix)]
fn id(found: &Metadata) -> Id {
    use std::os::unix::fs::MetadataExt;
    Id { device: found.dev(), inode: found.ino() }
}

#[cfg(not(unix))]
fn id(_: &Metadata) -> Id {
    Id { device: 0, inode: 0 }
}

/// Opening a FIFO waits for a writer, unless it is told not to: one may have taken the file's place since it was looked at.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(NONBLOCK);
    }
    options
}

/// `O_NONBLOCK`, which has no effect on files.
#[cfg(unix)]
const NONBLOCK: i32 = if cfg!(all(
    target_os = "linux",
    not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
)) {
    0o4000
} else if cfg!(any(
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
)) {
    4
} else {
    0
};

fn kind(found: FileType) -> NotAFile {
    if found.is_dir() {
        return NotAFile::Folder;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return NotAFile::Fifo;
        }
        if found.is_socket() {
            return NotAFile::Socket;
        }
    }
    NotAFile::Device
}
