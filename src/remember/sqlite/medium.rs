//! A place where the engine cannot make its files beside the store: whether the store can be read nevertheless, and
//! what is to be said of it.
//!
//! A store with a write-ahead log is read through `-wal` and `-shm`. The engine needs them there, or makes them, and
//! else reads only a file that it is told is immutable (<https://www.sqlite.org/wal.html#readonly>). It then takes no
//! lock and looks at no log, so a file that anybody writes meanwhile is read wrongly. So this is said only of a file
//! that [`is_frozen`] and has no log with commits in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(any(target_os = "linux", test))]
use crate::base::mounts;
use crate::remember::sqlite::beside;
use crate::remember::store::Error;

/// File systems that nobody but this machine's kernel writes, so that nobody at all writes one that is read-only.
#[cfg(any(target_os = "linux", test))]
const LOCAL: [&str; 18] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "reiserfs", "nilfs2", "tmpfs",
    "squashfs", "erofs", "iso9660", "udf", "vfat", "exfat",
];

/// Whether the file lies on a file system of this machine that is read-only as a whole, so that nobody can write it.
///
/// A mount that is read-only only here, such as a container's of a folder that its host writes, is not that, nor is a
/// file system that another machine may write. Where nothing tells the one from the other, the answer is no.
pub(super) fn is_frozen(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    return fs::read_to_string(mounts::TABLE).is_ok_and(|table| frozen_by(&table, path));
    #[cfg(not(target_os = "linux"))]
    return false;
}

#[cfg(any(target_os = "linux", test))]
fn frozen_by(table: &str, path: &Path) -> bool {
    mounts::under(table, path).is_some_and(|mount| {
        // A file that is mounted alone shows nothing of the log beside it.
        Path::new(&mount.at) != path
            && LOCAL.contains(&mount.kind.as_str())
            && mount.options.split(',').any(|option| option == "ro")
    })
}

/// A log beside the store that may have commits which are not in it yet.
pub(super) fn log_of(path: &Path) -> Option<PathBuf> {
    let may_have = |log: &PathBuf| {
        fs::metadata(log)
            .map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |found| found.len() > 0)
    };
    ["-wal", "-journal"].into_iter().map(|suffix| beside(path, suffix)).find(may_have)
}

/// The name of an immutable file, as the engine takes it.
pub(super) fn immutable(path: &Path) -> String {
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                name.push(char::from(*byte));
            }
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    name + "?immutable=1"
}

/// Why this process cannot open the store, or cannot open it to be written, where the place is what hinders it. `None`
/// where it is not.
#[cfg(unix)]
pub(super) fn hindrance(path: &Path, to_write: bool) -> Option<Error> {
    use rustix::fs::{Access, StatVfsMountFlags};

    // Asked, not tried: a file of the engine's that is opened and closed here would lose this process its locks on it.
    let folder = path.parent()?;
    let found = rustix::fs::statvfs(folder).ok()?;
    if found.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Some(Error::ReadOnly { detail: of_read_only(path, to_write) });
    }
    let of_store = if to_write { Access::READ_OK | Access::WRITE_OK } else { Access::READ_OK };
    let (log, shared) = (beside(path, "-wal"), beside(path, "-shm"));
    for (file, access) in [(path, of_store), (log.as_path(), of_store), (shared.as_path(), of_store)] {
        if let Some(source) = denied(file, access) {
            return Some(Error::Io { action: "cannot open the store", path: file.to_owned(), source });
        }
    }
    if let Some(source) = denied(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let action = "cannot make the store's -wal and -shm there, which reading takes too";
        return Some(Error::Io { action, path: folder.to_owned(), source });
    }
    // Some file systems count no files.
    let full = found.f_bavail == 0 || (found.f_files > 0 && found.f_favail == 0);
    full.then(|| Error::Full { detail: String::from("there is no room for -wal and -shm") })
}

#[cfg(not(unix))]
pub(super) const fn hindrance(_path: &Path, _to_write: bool) -> Option<Error> {
    None
}

/// Fails where the store's file itself may not be written. The engine would open it to read, and say so at the first
/// write.
pub(super) fn writable(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    if asked(path, rustix::fs::Access::WRITE_OK).is_err()
        && let Some(error) = hindrance(path, true)
    {
        return Err(error);
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(unix)]
fn of_read_only(path: &Path, to_write: bool) -> String {
    let what = format!("{} lies on a file system that is read-only", path.display());
    match log_of(path) {
        _ if to_write => what,
        Some(log) => format!(
            "{what}, and {} may have commits that are not in it; copy both to a folder that can be written, and read the copy",
            log.display()
        ),
        None if is_frozen(path) => what,
        None => format!(
            "{what} here, and others may write it; it can be read while one of them has it open, or where -wal and -shm can be made beside it"
        ),
    }
}

#[cfg(unix)]
fn denied(path: &Path, access: rustix::fs::Access) -> Option<io::Error> {
    use rustix::io::Errno;

    match asked(path, access) {
        Err(error @ (Errno::ACCESS | Errno::PERM)) => Some(error.into()),
        Ok(()) | Err(_) => None,
    }
}

/// Asks for whom this process acts, not for whom it was started.
#[cfg(unix)]
fn asked(path: &Path, access: rustix::fs::Access) -> rustix::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, accessat};
    accessat(CWD, path, access, AtFlags::EACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_system_that_nobody_can_write_is_frozen() {
        for (mount, frozen) in [
            ("22 1 8:1 / /srv ro - ext4 /dev/sda1 ro,errors=remount-ro", true),
            ("22 1 8:1 / /srv rw - ext4 /dev/sda1 ro,errors=remount-ro", true),
            // A container's view of a folder that its host writes.
            ("22 1 8:1 /srv /srv ro,relatime - ext4 /dev/sda1 rw", false),
            ("22 1 8:1 / /srv rw - ext4 /dev/sda1 rw,errors=remount-ro", false),
            ("22 1 0:9 / /srv ro - nfs4 host:/srv ro", false),
            ("22 1 0:9 / /srv ro - fuse.sshfs host:/srv ro", false),
            ("22 1 8:1 /jobs.db /srv/jobs.db ro - ext4 /dev/sda1 ro", false),
            ("22 1 8:1 / /other ro - ext4 /dev/sda1 ro", false),
            ("", false),
        ] {
            assert_eq!(frozen_by(mount, Path::new("/srv/jobs.db")), frozen, "{mount}");
        }
    }

    #[test]
    fn the_name_of_an_immutable_file_is_one_for_every_path() {
        assert_eq!(immutable(Path::new("/var/lib/x-1.db")), "file:/var/lib/x-1.db?immutable=1");
        assert_eq!(
            immutable(Path::new("/a b/50%?#&ä.db")),
            "file:/a%20b/50%25%3F%23%26%C3%A4.db?immutable=1"
        );
    }

    #[test]
    fn a_log_counts_when_there_is_something_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        assert_eq!(log_of(&path), None);
        fs::write(beside(&path, "-wal"), "").unwrap();
        assert_eq!(log_of(&path), None);
        fs::write(beside(&path, "-wal"), "x").unwrap();
        assert_eq!(log_of(&path), Some(beside(&path, "-wal")));
    }
}
