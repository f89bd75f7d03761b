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

    /// Makes it, if there is room. Real bytes, since a file with a hole reserves nothing.
    pub(super) fn fill(&self) -> bool {
        if self.stands() {
            return true;
        }
        // As much again must stay free, or making the reserve is what fills the disk.
        let filled =
            room_beside(&self.path).is_none_or(|free| free >= 2 * BYTES) && self.write_bytes().is_ok();
        if !filled {
            self.free();
        }
        filled
    }

    /// Gives it back, and says whether there was any.
    pub(super) fn free(&self) -> bool {
        let had = fs::metadata(&self.path).is_ok_and(|found| found.len() > 0);
        // A process that has it open keeps the blocks of a deleted file, so it is cut first.
        drop(OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(0)));
        drop(fs::remove_file(&self.path));
        had
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
