//! What belongs to a tree, and what is there at an instant.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec;

use crate::decide::intent::{Kind, Root, Stamp, State};
use crate::observe::files::filter::Filter;

#[cfg(feature = "globs")]
pub(super) mod globs;

/// What belongs to a tree: its root, and what of it is left out.
///
/// Paths are relative to the root, and a folder that is left out is left out with all that is below it.
#[derive(Clone)]
pub struct Scan {
    root: PathBuf,
    entries_max: usize,
    pub(super) filter: Filter,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Scan {
    /// All that is below the folder `root`. A relative path is taken from the current folder now; where the root itself is a symbolic
    /// link, that one is followed.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = std::path::absolute(root.as_ref()).unwrap_or_else(|_| root.as_ref().to_owned());
        Self { root, entries_max: 1_000_000, filter: Filter::default() }
    }

    /// What people work on below `root`: [without](Self::without_repositories) what version control and
    /// [without](Self::without_editor_files) what editors keep for themselves.
    #[must_use]
    pub fn workspace(root: impl AsRef<Path>) -> Self {
        Self::new(root).without_repositories().without_editor_files()
    }

    /// Leaves out `.git`, `.hg`, `.jj`, `.svn` and `.bzr`, wherever they stand.
    #[must_use]
    pub const fn without_repositories(mut self) -> Self {
        self.filter.no_repositories = true;
        self
    }

    /// Leaves out what editors put beside a file while it is edited or saved: `.a.swp` and its like, `4913`, `a~`, `#a#`, `.#a`,
    /// `.~lock.a#`, `.a.kate-swp`, `.goutputstream-*`, `a___jb_tmp___`, `a___jb_old___`.
    #[must_use]
    pub const fn without_editor_files(mut self) -> Self {
        self.filter.no_editor_files = true;
        self
    }

    /// Leaves out every entry of which `out`, asked with the path below the root, says so; of several any may say so. While a tree is watched it is asked for each
    /// event, on the thread that reads them from the kernel: it must be quick.
    #[must_use]
    pub fn leave_out_if(mut self, out: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.filter.own.push(Arc::new(out));
        self
    }

    /// How many entries are looked at, at most; default 1,000,000, and each takes about 150 bytes. A tree that has more is cut, and
    /// then not judged: [`Lost::TooMany`](crate::decide::intent::Lost::TooMany).
    #[must_use]
    pub const fn entries_max(mut self, entries_max: usize) -> Self {
        self.entries_max = entries_max;
        self
    }

    /// The root, as an absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is there now. It never fails: a root that is gone, folders that cannot be read and a tree that is too big are told in
    /// the state. What changes while it is taken may be seen as it was or as it is.
    #[must_use]
    pub fn snapshot(&self) -> State {
        self.walk().state
    }

    /// The same, with the folders that were looked into.
    pub(super) fn walk(&self) -> Walked {
        let root = match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => Root::Folder(stamp(&metadata).inode),
            Ok(metadata) => Root::NotFolder(stamp(&metadata).kind),
            Err(error) if is_gone(&error) => Root::Missing,
            Err(_) => Root::Unreadable,
        };
        let Root::Folder(inode) = root else { return Walked::without(root) };
        let mut walk = Walk::of(self);
        match walk.read(Path::new("")) {
            Ok(first) => walk.go_through(first),
            Err(error) if is_gone(&error) => return Walked::without(Root::Missing),
            Err(_) => return Walked::without(Root::Unreadable),
        }
        walk.folders.push((PathBuf::new(), inode));
        walk.end(root)
    }

    /// The folder at `path` and all folders below it.
    #[cfg(feature = "watch")]
    pub(super) fn folders_below(&self, path: &Path) -> Vec<(PathBuf, u64)> {
        let Ok(metadata) = fs::symlink_metadata(self.root.join(path)) else { return Vec::new() };
        if !metadata.is_dir() {
            return Vec::new();
        }
        let mut walk = Walk::of(self);
        if let Ok(first) = walk.read(path) {
            walk.go_through(first);
        }
        walk.folders.push((path.to_owned(), stamp(&metadata).inode));
        walk.folders
    }
}

/// A tree that was looked at.
pub(super) struct Walked {
    pub(super) state: State,
    #[cfg_attr(not(feature = "watch"), allow(dead_code, reason = "only what watches asks for them"))]
    /// The folders that were looked into, with their inodes, in no order.
    pub(super) folders: Vec<(PathBuf, u64)>,
}

impl Walked {
    fn without(root: Root) -> Self {
        Self { state: State::default().with_root(root), folders: Vec::new() }
    }
}

/// The entries of one folder that are still to come, in order.
type Pending = vec::IntoIter<(PathBuf, Stamp)>;

/// On its way through a tree, by a stack of its own: as deep as paths can be long.
struct Walk<'a> {
    scan: &'a Scan,
    entries: Vec<(PathBuf, Stamp)>,
    folders: Vec<(PathBuf, u64)>,
    unreadable: Vec<PathBuf>,
    left_out: usize,
    looked_at: usize,
}

impl<'a> Walk<'a> {
    const fn of(scan: &'a Scan) -> Self {
        Self {
            scan,
            entries: Vec::new(),
            folders: Vec::new(),
            unreadable: Vec::new(),
            left_out: 0,
            looked_at: 0,
        }
    }

    /// The entries of one folder. One that cannot be read to its end is not read at all: half of it would look as if the rest were
    /// gone.
    fn read(&mut self, folder: &Path) -> io::Result<Pending> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.scan.root.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if self.scan.filter.leaves_out(&path) {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            }
            self.looked_at = self.looked_at.saturating_add(1);
            if self.is_cut() {
                break;
            }
            match entry.metadata() {
                Ok(metadata) => entries.push((path, stamp(&metadata))),
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        // By the names in each folder, depth first: the order of the paths.
        entries.sort_unstable_by(|(one, _), (other, _)| one.file_name().cmp(&other.file_name()));
        Ok(entries.into_iter())
    }

    fn go_through(&mut self, first: Pending) {
        let mut open = vec![first];
        while let Some(pending) = open.last_mut() {
            if self.is_cut() {
                return;
            }
            let Some((path, stamp)) = pending.next() else {
                open.pop();
                continue;
            };
            if stamp.kind == Kind::Folder {
                let read = self.read(&path);
                if matches!(&read, Err(error) if is_gone(error)) {
                    continue;
                }
                self.folders.push((path.clone(), stamp.inode));
                match read {
                    Ok(below) => open.push(below),
                    Err(_) => self.unreadable.push(path.clone()),
                }
            }
            if self.scan.filter.takes_in(&path) {
                self.entries.push((path, stamp));
            }
        }
    }

    const fn is_cut(&self) -> bool {
        self.looked_at > self.scan.entries_max
    }

    fn end(self, root: Root) -> Walked {
        let cut = self.is_cut();
        let state = State::of(self.entries)
            .with_root(root)
            .with_left_out(self.left_out)
            .with_unreadable(self.unreadable);
        let state = if cut { state.with_cut(self.scan.entries_max) } else { state };
        Walked { state, folders: self.folders }
    }
}

/// It is not there, or no folder any more: somebody was quicker.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn kind(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
    }
}

#[cfg(unix)]
fn stamp(metadata: &Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Stamp {
        kind: kind(metadata),
        size: metadata.size(),
        mtime: nanos(metadata.mtime(), metadata.mtime_nsec()),
        ctime: nanos(metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
    }
}

#[cfg(not(unix))]
fn stamp(metadata: &Metadata) -> Stamp {
    let since =
        metadata.modified().ok().and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
    let mtime = since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
    Stamp { kind: kind(metadata), size: metadata.len(), mtime, ctime: 0, inode: 0 }
}
