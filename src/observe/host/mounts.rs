//! What is mounted where, from `/proc/self/mountinfo` (proc(5)).

use std::io;
use std::path::{Path, PathBuf};

use crate::decide::gate::Reading;
use crate::observe::host::files;

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// What of its file system is mounted.
    pub(super) root: String,
    /// Where.
    pub(super) at: String,
    pub(super) kind: String,
    /// The options of the file system; of control groups of version 1 they name the controllers.
    pub(super) options: String,
}

/// A line: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. Lines that are none are passed over.
pub(super) fn parsed(text: &str) -> impl Iterator<Item = Mount> {
    text.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, at) = (unescaped(left.next()?), unescaped(left.next()?));
        let mut right = right.split(' ');
        let kind = right.next()?.to_owned();
        let options = right.nth(1).unwrap_or_default().to_owned();
        Some(Mount { root, at, kind, options })
    })
}

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

/// `\040` is a space: three octal digits behind a backslash.
fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match digits {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(b'\\');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path of the machine, below another root.
pub(super) fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
