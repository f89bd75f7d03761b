//! The folders that hold a set of changes.

use std::path::{Component, Path, PathBuf};

/// At most `roots_max` folders, at least one, that hold all of `folders`, as far down as that number allows.
///
/// It begins with the deepest folder that holds them all. The one that holds the most is parted into its sub-folders again and
/// again, as long as the number allows and no change lies in the folder itself.
pub(super) fn cover<'a>(folders: impl Iterator<Item = &'a Path>, roots_max: usize) -> Vec<PathBuf> {
    let mut folders: Vec<Vec<Component<'a>>> = folders.map(|path| path.components().collect()).collect();
    folders.sort_unstable();
    folders.dedup();
    if folders.is_empty() {
        return Vec::new();
    }
    let mut open = vec![Part { depth: 0, folders: &folders }];
    let mut closed = Vec::new();
    // The most filled one is taken first; what cannot be parted is done.
    while let Some(at) = (0..open.len()).max_by_key(|at| open[*at].folders.len()) {
        let part = open.swap_remove(at);
        let others = open.len() + closed.len();
        match part.parted(roots_max.saturating_sub(others)) {
            Some(parts) => open.extend(parts),
            None => closed.push(part.folder()),
        }
    }
    closed.sort_unstable();
    closed
}

/// Folders, in order, that have the first `depth` components in common.
struct Part<'a, 'b> {
    depth: usize,
    folders: &'b [Vec<Component<'a>>],
}

impl<'a, 'b> Part<'a, 'b> {
    /// By the next component, if that makes at most `most` parts.
    fn parted(&self, most: usize) -> Option<Vec<Self>> {
        let depth = self.depth;
        if self.folders.first().is_none_or(|first| first.len() <= depth) {
            return None;
        }
        let mut parts = Vec::new();
        for folders in self.folders.chunk_by(|one, next| one.get(depth) == next.get(depth)) {
            if parts.len() >= most {
                return None;
            }
            parts.push(Part { depth: depth + 1, folders });
        }
        Some(parts)
    }

    fn folder(&self) -> PathBuf {
        self.folders.first().into_iter().flat_map(|first| first.iter().take(self.depth)).collect()
    }
}
