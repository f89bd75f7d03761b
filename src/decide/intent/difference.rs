//! What two states of a tree differ in.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decide::intent::roots;
use crate::decide::intent::state::{Kind, Stamp, State};

/// A path that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// Where, below the root of the tree.
    pub path: PathBuf,
    /// What has become of it.
    pub what: What,
}

/// What has become of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It was not there.
    Created,
    /// Its content is another one: it was written to, or another file has taken its place.
    Modified,
    /// It is gone.
    Removed,
    /// It was elsewhere, and stands here with the same content; what stood here, if anything did, is gone.
    Moved {
        /// Where it was.
        from: PathBuf,
    },
    /// Its permissions, owner or links are others, its content is the same.
    Attributes,
}

/// How many paths have become what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Paths that were not there.
    pub created: usize,
    /// Paths with another content.
    pub modified: usize,
    /// Paths that are gone.
    pub removed: usize,
    /// Paths that stand elsewhere.
    pub moved: usize,
    /// Paths of which only permissions, owner or links are others.
    pub attributes: usize,
}

/// What two states of a tree differ in, in the order of the paths.
///
/// Folders count only where they are bare: a folder that came or went with what is in it is said by that, and one that stays is
/// not modified by what happens in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    changes: Vec<Change>,
}

impl Difference {
    /// What has become of `before`. What neither can see, because a folder could not be read, is left out.
    #[must_use]
    pub fn between(before: &State, after: &State) -> Self {
        let mut sides = Sides::default();
        sides.part(before, after);
        let mut changes = sides.moves(before, after);
        changes.sort_unstable();
        Self { changes }
    }

    /// The paths that are not as they were.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How many of them have become what.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for change in &self.changes {
            let count = match change.what {
                What::Created => &mut tally.created,
                What::Modified => &mut tally.modified,
                What::Removed => &mut tally.removed,
                What::Moved { .. } => &mut tally.moved,
                What::Attributes => &mut tally.attributes,
            };
            *count = count.saturating_add(1);
        }
        tally
    }

    /// At most `roots_max` folders (at least one) that hold all of the changes, as far down as that number allows; none of them
    /// is inside another. The empty path is the root of the tree.
    #[must_use]
    pub fn roots(&self, roots_max: usize) -> Vec<PathBuf> {
        roots::cover(self.changes.iter().flat_map(places), roots_max)
    }

    pub(super) fn without_attributes(mut self) -> Self {
        self.changes.retain(|change| change.what != What::Attributes);
        self
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }
}

impl Tally {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> usize {
        let Self { created, modified, removed, moved, attributes } = *self;
        let stay = modified.saturating_add(attributes);
        created.saturating_add(removed).saturating_add(moved).saturating_add(stay)
    }
}

/// The folders in which a change is to be seen.
fn places(change: &Change) -> impl Iterator<Item = &Path> {
    let from = match &change.what {
        What::Moved { from } => from.parent(),
        What::Created | What::Modified | What::Removed | What::Attributes => None,
    };
    change.path.parent().into_iter().chain(from)
}

/// Which entries are on one side only, and which are on both and differ: positions in the states.
#[derive(Default)]
struct Sides {
    gone: Vec<usize>,
    come: Vec<usize>,
    modified: Vec<usize>,
    touched: Vec<usize>,
}

impl Sides {
    /// Goes through both states once.
    fn part(&mut self, before: &State, after: &State) {
        let (old, new) = (before.entries(), after.entries());
        let (mut at, mut to) = (0, 0);
        loop {
            let order = match (old.get(at), new.get(to)) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((was, _)), Some((is, _))) => was.cmp(is),
            };
            if order == Ordering::Equal {
                self.stays(to, old.get(at), new.get(to));
            } else if order == Ordering::Less && !after.hides(&old[at].0) && !is_filled(old, at) {
                self.gone.push(at);
            } else if order == Ordering::Greater && !is_filled(new, to) {
                self.come.push(to);
            }
            at += usize::from(order != Ordering::Greater);
            to += usize::from(order != Ordering::Less);
        }
    }

    fn stays(&mut self, to: usize, was: Option<&(PathBuf, Stamp)>, is: Option<&(PathBuf, Stamp)>) {
        let (Some((_, was)), Some((_, is))) = (was, is) else { return };
        if was.is_modified(is) {
            self.modified.push(to);
        } else if was.is_touched(is) {
            self.touched.push(to);
        }
    }

    /// Pairs what is gone with what has come.
    fn moves(self, before: &State, after: &State) -> Vec<Change> {
        let (old, new) = (before.entries(), after.entries());
        let mut by_inode: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for at in self.gone.iter().rev() {
            by_inode.entry(old[*at].1.inode).or_default().push(*at);
        }
        let mut changes = Vec::new();
        let arrived = self.come.iter().map(|to| (to, What::Created));
        for (to, otherwise) in arrived.chain(self.modified.iter().map(|to| (to, What::Modified))) {
            let (path, stamp) = &new[*to];
            let gone = by_inode.get_mut(&stamp.inode);
            let from = gone.and_then(|gone| gone.pop_if(|at| old[*at].1.has_become(stamp)));
            let what = from.map_or(otherwise, |at| What::Moved { from: old[at].0.clone() });
            changes.push(Change { path: path.clone(), what });
        }
        let touched = self.touched.iter().map(|to| (&new[*to].0, What::Attributes));
        let left = by_inode.values().flatten().map(|at| (&old[*at].0, What::Removed));
        changes.extend(touched.chain(left).map(|(path, what)| Change { path: path.clone(), what }));
        changes
    }
}

/// Whether the entry is a folder that has entries: those follow it.
fn is_filled(entries: &[(PathBuf, Stamp)], at: usize) -> bool {
    let (path, stamp) = &entries[at];
    stamp.kind == Kind::Folder && entries.get(at + 1).is_some_and(|(next, _)| next.starts_with(path))
}
