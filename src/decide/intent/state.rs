//! What a tree of files is at an instant.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How many folders that cannot be read are told by name; a state with more is cut.
const UNREADABLE_MAX: usize = 1000;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, whatever it leads to: it is never followed.
    Link,
    /// A FIFO, a socket, a device: it is never opened.
    Other,
}

/// What the file system says of one path. Times are nanoseconds since 1970, saturating (1677 to 2262).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    /// How many bytes it has.
    pub size: u64,
    /// When its content was modified.
    pub mtime: i64,
    /// When anything of it was changed, its names, links and permissions too; 0 where that is not known.
    pub ctime: i64,
    /// The number of the file in its file system; 0 where that is not known, and then nothing is ever seen to move.
    pub inode: u64,
}

impl Stamp {
    /// Whether what stands there now has another content, as far as can be seen.
    ///
    /// Another inode with the change time of before is no other file: some network file systems number anew with each mount.
    pub(super) const fn is_modified(&self, now: &Self) -> bool {
        if matches!((self.kind, now.kind), (Kind::Folder, Kind::Folder)) {
            return false;
        }
        let replaced = self.inode != now.inode && (self.ctime != now.ctime || self.ctime == 0);
        self.kind as u8 != now.kind as u8 || self.size != now.size || self.mtime != now.mtime || replaced
    }

    /// Whether only its names, links or permissions have changed.
    pub(super) const fn is_touched(&self, now: &Self) -> bool {
        !matches!(self.kind, Kind::Folder) && self.ctime != now.ctime
    }

    /// Whether this, which is gone, is what stands elsewhere now. A file system gives the number of a file that was removed to
    /// the next one, so the number alone proves nothing.
    pub(super) const fn has_become(&self, there: &Self) -> bool {
        let same =
            self.kind as u8 == there.kind as u8 && self.size == there.size && self.mtime == there.mtime;
        self.inode != 0 && self.inode == there.inode && same
    }
}

/// What stands where the tree begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// A folder, with its inode (0 where that is not known).
    Folder(u64),
    /// Nothing: it was removed or renamed, or its disk is not mounted.
    Missing,
    /// Something that is no folder.
    NotFolder(Kind),
    /// A folder that cannot be read.
    Unreadable,
}

/// A tree of files at an instant: each path below its root, with what the file system says of it.
///
/// Paths are relative to the root. They are kept as the operating system gives them, UTF-8 or not, and saved so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    root: Root,
    /// In the order of their paths, each once.
    entries: Vec<(PathBuf, Stamp)>,
    unreadable: Vec<PathBuf>,
    cut_at: Option<usize>,
    left_out: usize,
}

impl State {
    /// A tree with these entries, in any order; of a path that comes twice the last stands.
    pub fn of(entries: impl IntoIterator<Item = (PathBuf, Stamp)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        if !entries.is_sorted_by(|(one, _), (next, _)| one < next) {
            // Stable, and turned round, so that the last of equals is the first.
            entries.reverse();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.dedup_by(|(next, _), (one, _)| next == one);
        }
        Self { root: Root::Folder(0), entries, unreadable: Vec::new(), cut_at: None, left_out: 0 }
    }

    /// With this at its root; [`of`](Self::of) takes a folder whose inode is not known.
    #[must_use]
    pub const fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// With folders whose entries could not be read: nothing is said of what is below them. With more than 1,000 of them the
    /// state is [cut](Self::cut_at).
    #[must_use]
    pub fn with_unreadable(mut self, folders: impl IntoIterator<Item = PathBuf>) -> Self {
        self.unreadable = folders.into_iter().collect();
        self.unreadable.sort();
        self.unreadable.dedup();
        if self.unreadable.len() > UNREADABLE_MAX {
            self.unreadable.truncate(UNREADABLE_MAX);
            self.cut_at = Some(self.entries.len());
        }
        self
    }

    /// Cut after so many entries, because there were more than are allowed: it cannot be compared.
    #[must_use]
    pub const fn with_cut(mut self, entries_max: usize) -> Self {
        self.cut_at = Some(entries_max);
        self
    }

    /// With so many entries that were left out on purpose.
    #[must_use]
    pub const fn with_left_out(mut self, left_out: usize) -> Self {
        self.left_out = left_out;
        self
    }

    /// What stands at its root.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// How many entries it has, folders too.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is said of `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Stamp> {
        let at = self.entries.binary_search_by(|(other, _)| other.as_path().cmp(path)).ok()?;
        self.entries.get(at).map(|(_, stamp)| stamp)
    }

    /// Every entry, in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Stamp)> {
        self.entries.iter().map(|(path, stamp)| (path.as_path(), stamp))
    }

    /// The folders that could not be read, at most 1,000.
    #[must_use]
    pub fn unreadable(&self) -> &[PathBuf] {
        &self.unreadable
    }

    /// After how many entries it was cut, if it was.
    #[must_use]
    pub const fn cut_at(&self) -> Option<usize> {
        self.cut_at
    }

    /// How many entries were left out on purpose; what is below a folder that was left out is not counted.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether nothing in `other` differs from this that a judgement could tell: what a folder's own size and times are does not
    /// matter, nor how much was left out.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        if !matches!(self.root, Root::Folder(_)) {
            return self.root == other.root;
        }
        if (self.root, self.cut_at) != (other.root, other.cut_at) || self.unreadable != other.unreadable {
            return false;
        }
        // What is known of a folder from when it could be read is not there to compare with.
        let mut known = self.entries.iter().filter(|(path, _)| !other.hides(path));
        let same = |(path, is): &(PathBuf, Stamp)| {
            known
                .next()
                .is_some_and(|(other, was)| path == other && !was.is_modified(is) && !was.is_touched(is))
        };
        other.entries.iter().all(same) && known.next().is_none()
    }

    /// What to compare the next state with, when `next` came after this one: `next`, and what was known of whatever could
    /// not be seen then. So a disk that is not mounted for an hour has lost nothing, and what was changed meanwhile is found when
    /// it is back.
    #[must_use]
    pub fn followed_by(self, next: Self) -> Self {
        if next.cut_at.is_some() {
            return next;
        }
        if !matches!(next.root, Root::Folder(_)) {
            return Self { root: next.root, ..self };
        }
        if next.unreadable.is_empty() {
            return next;
        }
        let hidden = self.entries.into_iter().filter(|(path, _)| next.hides(path));
        let known: Vec<_> = hidden.collect();
        let Self { root, entries, unreadable, cut_at, left_out } = next;
        let entries = Self::of(known.into_iter().chain(entries)).entries;
        Self { root, entries, unreadable, cut_at, left_out }
    }

    /// Whether `path` is below a folder that could not be read.
    pub(super) fn hides(&self, path: &Path) -> bool {
        // By the folders above it, of which there are few: it is asked of every entry of a tree.
        let unread =
            |folder: &Path| self.unreadable.binary_search_by(|other| other.as_path().cmp(folder)).is_ok();
        !self.unreadable.is_empty() && path.ancestors().skip(1).any(unread)
    }

    pub(super) fn entries(&self) -> &[(PathBuf, Stamp)] {
        &self.entries
    }
}

impl Default for State {
    /// An empty folder.
    fn default() -> Self {
        Self::of([])
    }
}
