//! Versions written back into files: whole and verified, or not at all.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::act::backup::decision::Kind;
use crate::act::backup::error::Error;
use crate::act::backup::index::Index;
use crate::act::backup::name::Name;
use crate::act::backup::objects::{Damage, PIECE, Uncopied};
use crate::act::backup::store::{Store, Which, find, tree};
use crate::act::backup::version::{Stat, Version};
use crate::base::canonical::{Fingerprint, Hasher};
use crate::base::explain::Explain;
use crate::base::rng::entropy;
use crate::base::time::Timestamp;

/// What may be written over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// Files that are older than the version.
    #[default]
    Older,
    /// Every file.
    Everything,
}

/// What became of one version that was to be restored.
#[must_use = "it says whether the file is there"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is written.
    Written(Version),
    /// The file has this content already; it is left as it is.
    Same(Version),
    /// It is not written.
    Refused {
        /// The version.
        version: Version,
        /// Why not.
        why: Refusing,
    },
}

/// Why a version is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// The file that is there is newer.
    Newer {
        /// When it was last changed.
        there: Timestamp,
        /// When the version was.
        version: Timestamp,
    },
    /// What is there is no file, or a part of its path is no folder. It is never written over.
    InTheWay(Kind),
    /// The version is damaged.
    Damaged(Damage),
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "backup.newer_there",
            Self::InTheWay(_) => "backup.in_the_way",
            Self::Damaged(_) => "backup.version_damaged",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { there, version } => {
                write!(f, "the file that is there was changed at {there}, the version at {version}")
            }
            Self::InTheWay(kind) => write!(f, "{kind} is in the way"),
            Self::Damaged(damage) => write!(f, "the version is damaged: {damage}"),
        }
    }
}

impl Store {
    /// Writes a version of a file to `to`: to a temporary file beside it, which is verified and synced and then takes its
    /// place. Permission bits and modification time are those of the version, but for the bits that let a program run as
    /// its owner; owner, access control lists and extended attributes are not kept.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`], and what the file system says of `to`; its folder must be there. A damaged version, a newer
    /// file and one that is none are refusals.
    pub fn restore(
        &self,
        name: &Name,
        which: Which,
        to: impl AsRef<Path>,
        over: Over,
    ) -> Result<Restored, Error> {
        let index = Index::load(&self.folder)?;
        let version = find(&index, name, which)?;
        let to = std::path::absolute(to.as_ref())
            .map_err(|source| Error::reading("cannot find it", to.as_ref(), source))?;
        let (Some(folder), Some(file)) = (to.parent(), to.file_name()) else {
            let source = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(Error::reading("it is a folder", &to, source));
        };
        let opened = rustix::fs::open(folder, FOLDER, Mode::empty());
        let opened =
            opened.map_err(|error| Error::reading("cannot open the folder", folder, error.into()))?;
        self.write_back(version, &opened, file, &to, over)
    }

    /// Writes a whole tree back under `to`, a folder that is made where there is none. No symbolic link in it is followed.
    /// What became of each file is told, in the order of their names.
    ///
    /// # Errors
    /// What the file system says of the files that are written; those before it stay.
    pub fn restore_tree(
        &self,
        which: Which,
        to: impl AsRef<Path>,
        over: Over,
    ) -> Result<Vec<Restored>, Error> {
        let to = to.as_ref();
        let index = Index::load(&self.folder)?;
        let versions = tree(&index, which)?;
        let root = root(to)?;
        let mut restored = Vec::new();
        for version in versions {
            let path = to.join(version.name.as_path());
            restored.push(match self.folder_of(&root, &version, &path)? {
                Ok((folder, file)) => self.write_back(&version, &folder, &file, &path, over)?,
                Err(why) => Restored::Refused { version, why },
            });
        }
        Ok(restored)
    }

    /// Writes one file of the tree back under `to`, a folder that is made where there is none, as
    /// [`restore_tree`](Self::restore_tree) does with all of them.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`], and what the file system says.
    pub fn restore_into(
        &self,
        name: &Name,
        which: Which,
        to: impl AsRef<Path>,
        over: Over,
    ) -> Result<Restored, Error> {
        let to = to.as_ref();
        let index = Index::load(&self.folder)?;
        let version = find(&index, name, which)?;
        let root = root(to)?;
        let path = to.join(version.name.as_path());
        match self.folder_of(&root, version, &path)? {
            Ok((folder, file)) => self.write_back(version, &folder, &file, &path, over),
            Err(why) => Ok(Restored::Refused { version: version.clone(), why }),
        }
    }

    /// The folder in which a version belongs, made where there is none, and its name there.
    fn folder_of(
        &self,
        root: &OwnedFd,
        version: &Version,
        path: &Path,
    ) -> Result<Result<(OwnedFd, OsString), Refusing>, Error> {
        let failed = |error: Errno| Error::writing("cannot make the folder of", path, error.into());
        let mut folder = rustix::io::fcntl_dupfd_cloexec(root, 3).map_err(failed)?;
        let mut parts: Vec<&[u8]> = version.name.as_bytes().split(|byte| *byte == b'/').collect();
        let file = parts.pop().unwrap_or_default();
        for part in parts {
            match mkdirat(&folder, part, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(error)),
            }
            folder = match openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(inner) => inner,
                Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                    return Ok(Err(Refusing::InTheWay(kind(&folder, OsStr::from_bytes(part)))));
                }
                Err(error) => return Err(failed(error)),
            };
        }
        Ok(Ok((folder, OsStr::from_bytes(file).to_owned())))
    }

    fn write_back(
        &self,
        version: &Version,
        folder: &OwnedFd,
        file: &OsStr,
        path: &Path,
        over: Over,
    ) -> Result<Restored, Error> {
        let refused = |why| Ok(Restored::Refused { version: version.clone(), why });
        match there(folder, file).map_err(|error| Error::reading("cannot look at it", path, error))? {
            There::Nothing => {}
            There::Other(kind) => return refused(Refusing::InTheWay(kind)),
            There::File(mut found, stat) => {
                if stat.bytes == version.bytes && hash(&mut found).is_ok_and(|hash| hash == version.hash) {
                    return Ok(Restored::Same(version.clone()));
                }
                if over == Over::Older && stat.mtime > version.stat.mtime {
                    let (there, version) = (timestamp(&stat), timestamp(&version.stat));
                    return refused(Refusing::Newer { there, version });
                }
            }
        }
        let mut temporary = Temporary::new(folder, path)?;
        match self.objects.copy((version.hash, version.encoding), version.bytes, &mut temporary.file) {
            Ok(()) => {}
            Err(Uncopied::Damaged(damage)) => return refused(Refusing::Damaged(damage)),
            Err(Uncopied::Unwritten(source)) => return Err(Error::writing("cannot write", path, source)),
        }
        temporary.finish(version, file, path)?;
        Ok(Restored::Written(version.clone()))
    }
}

/// The folder that a tree is written under, made where there is none.
fn root(to: &Path) -> Result<OwnedFd, Error> {
    fs::create_dir_all(to).map_err(|source| Error::writing("cannot make the folder", to, source))?;
    let root = rustix::fs::open(to, FOLDER, Mode::empty());
    root.map_err(|error| Error::reading("cannot open the folder", to, error.into()))
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What is where a version is to be written.
enum There {
    Nothing,
    File(File, Stat),
    Other(Kind),
}

fn there(folder: &OwnedFd, file: &OsStr) -> io::Result<There> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(folder, file, flags, Mode::empty()) {
        Ok(found) => {
            let found = File::from(found);
            let metadata = found.metadata()?;
            let stat = Stat::of(&metadata);
            Ok(if metadata.is_file() { There::File(found, stat) } else { There::Other(kind(folder, file)) })
        }
        Err(Errno::NOENT) => Ok(There::Nothing),
        Err(Errno::LOOP | Errno::NXIO | Errno::MLINK) => Ok(There::Other(kind(folder, file))),
        Err(error) => Err(error.into()),
    }
}

fn kind(folder: &OwnedFd, name: &OsStr) -> Kind {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    found.map_or(Kind::Other, |found| Kind::of(rustix::fs::FileType::from_raw_mode(found.st_mode)))
}

fn hash(file: &mut File) -> io::Result<Fingerprint> {
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn timestamp(stat: &Stat) -> Timestamp {
    Timestamp::from_timestamp(stat.mtime.0, stat.mtime.1).unwrap_or_default()
}

/// A file beside that which it is to become.
struct Temporary<'a> {
    folder: &'a OwnedFd,
    name: String,
    file: File,
    placed: bool,
}

impl<'a> Temporary<'a> {
    fn new(folder: &'a OwnedFd, path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = format!(".unattended-{:016x}.tmp", entropy());
        let made = openat(folder, name.as_str(), flags, Mode::from_bits_truncate(0o600));
        let failed =
            |error: Errno| Error::writing("cannot make a temporary file beside it", path, error.into());
        Ok(Self { folder, file: File::from(made.map_err(failed)?), name, placed: false })
    }

    fn finish(mut self, version: &Version, file: &OsStr, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::writing("cannot finish the file", path, source);
        self.file.flush().map_err(failed)?;
        // Who runs it may not be who it belonged to.
        let mode = Mode::from_bits_truncate(version.stat.mode & 0o777);
        rustix::fs::fchmod(&self.file, mode).map_err(|error| failed(error.into()))?;
        if let Some(modified) = version.stat.modified() {
            self.file.set_modified(modified).map_err(failed)?;
        }
        self.file.sync_all().map_err(failed)?;
        renameat(self.folder, self.name.as_str(), self.folder, file).map_err(|error| failed(error.into()))?;
        self.placed = true;
        match rustix::fs::fsync(self.folder.as_fd()) {
            // A file system that knows no such thing is taken at its word.
            Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            unlinkat(self.folder, self.name.as_str(), AtFlags::empty()).unwrap_or_default();
        }
    }
}
