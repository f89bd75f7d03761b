//! Reads one file of the tree: opened once for each try, looked at before and after.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::act::backup::decision::{Failing, Kind};
use crate::act::backup::objects::PIECE;
use crate::act::backup::version::Stat;
use crate::base::canonical::{Fingerprint, Hasher};

/// How often a file is read that changes meanwhile.
pub(super) const TRIES: u32 = 3;

/// Why there is nothing to read.
pub(super) enum Unread {
    /// It is no file.
    NotAFile(Kind),
    /// It cannot be opened or read.
    Failed(Failing),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(Failing::of(&error))
    }
}

/// Opens a regular file, and looks at it. A link is not followed, and nothing is waited for.
pub(super) fn open(folder: &OwnedFd, name: &CStr) -> Result<(File, Stat), Unread> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(error) => return Err(unopened(folder, name, error)),
    };
    let found = file.metadata()?;
    if found.is_file() {
        return Ok((file, Stat::of(&found)));
    }
    let mode = Stat::of(&found).mode;
    Err(Unread::NotAFile(Kind::of(FileType::from_raw_mode(mode))))
}

/// A link and a socket cannot be opened so; what it is, is worth more than the error.
fn unopened(folder: &OwnedFd, name: &CStr, error: Errno) -> Unread {
    if matches!(error, Errno::LOOP | Errno::NXIO | Errno::MLINK)
        && let Ok(found) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
    {
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind != FileType::RegularFile {
            return Unread::NotAFile(Kind::of(kind));
        }
    }
    Unread::Failed(Failing::of(&error.into()))
}

/// Reads as much as the file had when it was looked at into `buffer`, and says how much that was and its hash.
pub(super) fn whole(file: &mut File, stat: &Stat, buffer: &mut Vec<u8>) -> io::Result<(usize, Fingerprint)> {
    let size = usize::try_from(stat.bytes).unwrap_or(usize::MAX);
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    let mut hasher = Hasher::new();
    let mut filled = 0;
    while filled < size {
        let end = size.min(filled + PIECE);
        let Some(room) = buffer.get_mut(filled..end) else { break };
        let read = match file.read(room) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(room.get(..read).unwrap_or_default());
        filled += read;
    }
    Ok((filled, hasher.finish()))
}

/// Reads as much as the file had when it was looked at in pieces, and says how much that was.
pub(super) fn pieces<E: From<io::Error>>(
    file: &mut File,
    stat: &Stat,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut piece = vec![0; PIECE];
    let mut source = file.take(stat.bytes);
    let mut read_in_all = 0;
    loop {
        let read = match source.read(&mut piece) {
            Ok(0) => return Ok(read_in_all),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        take(piece.get(..read).unwrap_or_default())?;
        read_in_all += read as u64;
    }
}

/// Whether the file is still as it was looked at, so that what was read is what it was at one instant. One whose name was
/// given to another file or taken away is looked for again; a clock that ticks slowly would not show that.
pub(super) fn is_stable(file: &File, before: &Stat, read: u64) -> io::Result<bool> {
    let found = file.metadata()?;
    Ok(read == before.bytes && found.nlink() > 0 && Stat::of(&found) == *before)
}
