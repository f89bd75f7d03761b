//! What is mounted, as Linux lists it in `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#![cfg_attr(
    not(all(target_os = "linux", feature = "sqlite")),
    allow(dead_code, reason = "which fields are looked at hangs on the features")
)]

use std::path::Path;

/// Where the kernel lists what is mounted for this process.
pub(crate) const TABLE: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What of its file system is mounted.
    pub(crate) root: String,
    /// Where.
    pub(crate) at: String,
    pub(crate) kind: String,
    /// The options of the file system; of control groups of version 1 they name the controllers.
    pub(crate) options: String,
}

/// A line: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. Lines that are none are passed over.
pub(crate) fn parsed(text: &str) -> impl Iterator<Item = Mount> {
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

/// What `path`, which has no links in it, lies on: the longest mount point, and of several there the last, which hides the others.
pub(crate) fn under(text: &str, path: &Path) -> Option<Mount> {
    parsed(text).filter(|mount| path.starts_with(&mount.at)).max_by_key(|mount| mount.at.len())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_is_the_one_and_of_two_there_the_last() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    23 22 0:20 / /a\\040b rw shared:1 - tmpfs tmpfs rw\n\
                    24 23 8:2 /part /a\\040b ro master:1 - ext4 /dev/sdb rw,errors=continue\nnone\n";
        let kind = |path| under(text, Path::new(path)).map(|mount| (mount.at, mount.options));
        assert_eq!(kind("/a/b"), Some((String::from("/"), String::from("rw"))));
        assert_eq!(kind("/a b/c"), Some((String::from("/a b"), String::from("rw,errors=continue"))));
        assert_eq!(under("", Path::new("/")), None);
    }
}
