//! Whether something is mounted at a path.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::mounts::parsed;
use crate::decide::gate::Reading;
use crate::observe::host::files;

/// Whether something is mounted at a path; `proc/self/mountinfo` is read from below `root`.
pub(super) fn mounted(root: &Path, path: &Path) -> Reading {
    let table = root.join("proc/self/mountinfo");
    let text = match files::text(&table) {
        Ok(text) => text,
        Err(error) => return Reading::missing(files::why(&table, &error)),
    };
    let is = |path: &Path| parsed(&text).any(|mount| Path::new(&mount.at) == path);
    // As it is written first: that asks nothing of a server that may be gone.
    if is(path) {
        return Reading::Is(true);
    }
    match path.canonicalize() {
        Ok(whole) => Reading::Is(is(&whole)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Reading::Is(false)
        }
        Err(error) => Reading::missing(error),
    }
}

/// A path of the machine, below another root.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
