//! Where files stand: inbox, working, archive, failed. Every move is one rename that never replaces a namesake.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The folders of one root.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    pub(crate) working: PathBuf,
    pub(crate) archive: PathBuf,
    pub(crate) failed: PathBuf,
}

impl Places {
    /// Makes the folders that are missing.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let within = |name| root.join(name);
        let places = Self {
            root: root.to_owned(),
            working: within("working"),
            archive: within("archive"),
            failed: within("failed"),
        };
        for folder in [&places.working, &places.archive, &places.failed] {
            fs::create_dir_all(folder).map_err(|error| naming(folder, &error))?;
        }
        Ok(places)
    }

    /// Where the file of run `id` stands while the run works on it.
    pub(crate) fn working_file(&self, id: &str) -> PathBuf {
        self.working.join(id)
    }

    /// Whether a file of this name stands in one of our folders, or is worked on under that name.
    ///
    /// Asked from where files come from to where they go, so that one on its way is seen in at least one place.
    pub(crate) fn taken(&self, name: &str, in_work: &[String]) -> bool {
        in_work.iter().any(|other| other == name)
            || self.archive.join(name).exists()
            || self.failed.join(name).exists()
    }
}

/// Says which path an error is about.
pub(crate) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// What tells a file that was read from one that has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) inode: u64,
    pub(crate) bytes: u64,
    pub(crate) mtime_ns: i128,
}

impl Stamp {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let mtime_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Ok(Self { inode: meta.ino(), bytes: meta.len(), mtime_ns })
    }
}

/// A file of the inbox that no other copy of this program has its hands on, for as long as this value lives.
pub(crate) struct Claimed {
    pub(crate) file: File,
}

/// Locks a file of the inbox; `None` if another copy has it, or it is gone.
pub(crate) fn claim(path: &Path) -> io::Result<Option<Claimed>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The copy that had the lock before may have moved the file away in the meantime.
    match fs::metadata(path) {
        Ok(there) if there.ino() == file.metadata()?.ino() => Ok(Some(Claimed { file })),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The SHA-256 of what is left to read, and how many bytes that was.
pub(crate) fn hash(mut source: impl Read) -> io::Result<(String, u64)> {
    let (mut hasher, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += u64::try_from(read).unwrap_or(u64::MAX);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let digest = hasher.finalize();
    Ok((digest.iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}

/// What became of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It stands there now.
    Done,
    /// Something of that name stands there.
    Namesake,
    /// There is nothing to move.
    Gone,
}

/// Renames without ever replacing, and makes the rename outlive the loss of power.
pub(crate) fn shift(from: &Path, to: &Path) -> io::Result<Moved> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {
            for folder in [from.parent(), to.parent()].into_iter().flatten() {
                File::open(folder)?.sync_all()?;
            }
            Ok(Moved::Done)
        }
        Err(rustix::io::Errno::EXIST) => Ok(Moved::Namesake),
        Err(rustix::io::Errno::NOENT) if !from.exists() => Ok(Moved::Gone),
        Err(error) => Err(naming(from, &error.into())),
    }
}

/// `name` with a mark that tells it from its namesakes: `app.log` becomes `app~1a2b3c4d.log`.
pub(crate) fn marked(name: &str, mark: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => format!("{stem}~{mark}.{ending}"),
        _ => format!("{name}~{mark}"),
    }
}

/// Moves a file into `folder` as `name`, or under a marked name where a namesake stands; gives the path it has then.
pub(crate) fn settle(from: &Path, folder: &Path, name: &str, hash: &str) -> io::Result<Option<PathBuf>> {
    const NAMES_MAX: u32 = 10_000;
    let short = &hash[..hash.len().min(8)];
    let names = std::iter::once(name.to_owned())
        .chain(std::iter::once(marked(name, short)))
        .chain((2..NAMES_MAX).map(|n| marked(name, &format!("{short}-{n}"))));
    for name in names {
        let to = folder.join(name);
        match shift(from, &to)? {
            Moved::Done => return Ok(Some(to)),
            Moved::Gone => return Ok(None),
            Moved::Namesake => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} has {NAMES_MAX} namesakes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_never_replaces_a_namesake() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("to")).unwrap();
        for (name, text) in [("a.log", "1"), ("b.log", "2"), ("c.log", "3")] {
            fs::write(at(name), text).unwrap();
        }
        let settle = |from: &str| settle(&at(from), &at("to"), "x.log", "0123456789").unwrap();
        assert_eq!(settle("a.log"), Some(at("to/x.log")));
        assert_eq!(settle("b.log"), Some(at("to/x~01234567.log")));
        assert_eq!(settle("c.log"), Some(at("to/x~01234567-2.log")));
        assert_eq!(settle("c.log"), None, "it is gone");
        assert_eq!(fs::read_to_string(at("to/x.log")).unwrap(), "1");
    }

    #[test]
    fn a_file_is_claimed_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        assert!(claim(&path).unwrap().is_none(), "it is not there");
        fs::write(&path, "1").unwrap();
        let first = claim(&path).unwrap();
        assert!(first.is_some());
        assert!(claim(&path).unwrap().is_none());
        drop(first);
        assert!(claim(&path).unwrap().is_some());
    }

    #[test]
    fn the_hash_is_sha256() {
        let (hash, bytes) = hash(&b"abc"[..]).unwrap();
        assert_eq!(bytes, 3);
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
