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

/// Opens and locks a file of the inbox, so that no other copy of this program has its hands on it; `None` if another has,
/// or it is gone.
pub(crate) fn claim(path: &Path) -> io::Result<Option<File>> {
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
        Ok(there) if there.ino() == file.metadata()?.ino() => Ok(Some(file)),
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

/// What a reason's name has after the name of its file.
pub(crate) const REASON: &str = ".reason.json";
/// The longest name that leaves room for that in the 255 bytes that file systems take.
const NAME_BYTES_MAX: usize = 255 - REASON.len();
/// What comes after the last dot of a name is its ending up to this many bytes.
const ENDING_BYTES_MAX: usize = 16;
/// How many names are tried for one file.
pub(crate) const NAMES_MAX: u32 = 10_000;

/// Whether a file can have this name in every folder, together with its reason and without being taken for one.
fn fits(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && !name.ends_with(REASON)
}

/// `name` with a mark that tells it from its namesakes: `app.log` becomes `app~1a2b3c4d.log`. Long ones are cut.
fn marked(name: &str, mark: &str) -> String {
    let (stem, ending) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= ENDING_BYTES_MAX => name.split_at(dot),
        _ => (name, ""),
    };
    let mut cut = stem.len().min(NAME_BYTES_MAX.saturating_sub(1 + mark.len() + ending.len()));
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}~{mark}{ending}", &stem[..cut])
}

/// The names that a file with this hash may have, the best first: its own, then marked ones.
pub(crate) fn names(name: &str, hash: &str) -> impl Iterator<Item = String> {
    let short = hash[..hash.len().min(8)].to_owned();
    let name = name.to_owned();
    let own = fits(&name).then(|| name.clone());
    let numbered = (1..NAMES_MAX).map(move |n| match n {
        1 => marked(&name, &short),
        _ => marked(&name, &format!("{short}-{n}")),
    });
    own.into_iter().chain(numbered)
}

/// Moves a file into `folder` as `name`, or under a marked name where a namesake stands; `false` if it is gone.
pub(crate) fn settle(from: &Path, folder: &Path, name: &str, hash: &str) -> io::Result<bool> {
    for name in names(name, hash) {
        match shift(from, &folder.join(name))? {
            Moved::Done => return Ok(true),
            Moved::Gone => return Ok(false),
            Moved::Namesake => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} has {NAMES_MAX} namesakes")))
}

/// Refuses an inbox from which no file can be renamed into `root`, before anything is made.
pub(crate) fn one_file_system(inbox: &Path, root: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(root)?;
    let stands = absolute.ancestors().find_map(|folder| fs::metadata(folder).ok());
    let inbox_on = fs::metadata(inbox).map_err(|error| naming(inbox, &error))?.dev();
    if stands.is_none_or(|stands| stands.dev() == inbox_on) {
        return Ok(());
    }
    let text = format!(
        "the inbox {} and the root {} are on different file systems; a file is moved by one rename, so put the root beside \
         the inbox",
        inbox.display(),
        root.display()
    );
    Err(io::Error::new(io::ErrorKind::CrossesDevices, text))
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
        for from in ["a.log", "b.log", "c.log"] {
            assert!(settle(from), "{from}");
        }
        assert!(!settle("c.log"), "it is gone");
        for (name, text) in [("x.log", "1"), ("x~01234567.log", "2"), ("x~01234567-2.log", "3")] {
            assert_eq!(fs::read_to_string(at("to").join(name)).unwrap(), text);
        }
    }

    #[test]
    fn names_leave_room_for_a_reason_and_are_none() {
        let first = |name: &str| names(name, "0123456789").next().unwrap();
        assert_eq!(first("a.log"), "a.log");
        assert_eq!(first("a.log.reason.json"), "a.log.reason~01234567.json");
        let long = "é".repeat(125) + ".log";
        assert_eq!(first(&long), "é".repeat(115) + "~01234567.log");
        assert_eq!(first(&long).len(), NAME_BYTES_MAX);
        assert_eq!(first(&("a.".to_owned() + &"x".repeat(250))).len(), NAME_BYTES_MAX);
        assert_eq!(marked(".hidden", "m"), ".hidden~m");
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
