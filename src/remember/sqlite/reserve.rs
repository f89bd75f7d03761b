//! Four MiB that are given back when the disk is full, so that leases and states can still be written.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The size of the reserve.
pub(super) const BYTES: u64 = 4 * 1024 * 1024;

/// The reserve file beside a store.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(super) fn beside(store: &Path) -> Self {
        Self { path: super::beside(store, "-reserve") }
    }

    /// Whether it is whole.
    pub(super) fn stands(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.len() >= BYTES)
    }

    /// Whether it was given back because the disk was full, by whatever process, and was not made again since.
    pub(super) fn was_given_back(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.len() == 0)
    }

    /// Makes it, if there is room. Real bytes, since a file with a hole reserves nothing.
    pub(super) fn fill(&self) -> bool {
        if self.stands() {
            return true;
        }
        let given_back = self.was_given_back();
        // As much again must stay free, or making the reserve is what fills the disk.
        let filled =
            room_beside(&self.path).is_none_or(|free| free >= 2 * BYTES) && self.write_bytes().is_ok();
        if !filled {
            self.cut();
            if !given_back {
                drop(fs::remove_file(&self.path));
            }
        }
        filled
    }

    /// Gives it back because the disk is full, and says whether there was any. The empty file that is left tells the
    /// handles of other processes, and of later ones, that what room there is was the reserve.
    pub(super) fn give_back(&self) -> bool {
        let had = fs::metadata(&self.path).is_ok_and(|found| found.len() > 0);
        had && self.cut()
    }

    fn cut(&self) -> bool {
        OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(0)).is_ok()
    }

    fn write_bytes(&self) -> std::io::Result<()> {
        let mut file = File::create(&self.path)?;
        let chunk = vec![0xa5_u8; 64 * 1024];
        for _ in 0..BYTES / chunk.len() as u64 {
            file.write_all(&chunk)?;
        }
        file.sync_data()
    }
}

/// Tells the log that the disk of a store is full, and whether that freed the reserve.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "only the log is told"))]
pub(super) fn tell_full(store: &Path, freed: bool) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        store = %store.display(),
        reserve_bytes = BYTES,
        freed,
        "the disk is full; the reserve is given back, new work is refused until there is room"
    );
}

/// Free bytes of the file system, where they can be asked for.
#[cfg(unix)]
fn room_beside(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
const fn room_beside(_path: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_known_until_it_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&folder.path().join("jobs.db"));
        assert!(!reserve.give_back() && !reserve.was_given_back(), "there was none");
        assert!(reserve.fill() && reserve.stands() && !reserve.was_given_back());
        assert!(reserve.give_back() && reserve.was_given_back() && !reserve.stands());
        assert!(!reserve.give_back(), "only once");
        assert!(reserve.fill() && !reserve.was_given_back());
    }
}
