//! Who holds a lease, and whether it still lives: each handle keeps a kernel lock on a file of its own.
//!
//! The kernel releases the lock when the process ends, however it ends. So a free lock, or no file, proves that the
//! handle is gone, and its leases are over at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::remember::file::{lock_file, same_file, try_lock};
use crate::remember::sqlite::error;
use crate::remember::store::{BatchId, Error};

/// The most files of the dead that one opening clears away.
const CLEAN_MAX: usize = 256;

/// This handle's own lock.
#[derive(Debug)]
pub(super) struct Owner {
    name: String,
    path: PathBuf,
    file: File,
}

impl Owner {
    /// Makes and locks the file of a new handle.
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
        let mut failed = std::io::Error::other("16 tries");
        for _ in 0..16 {
            // The random end of an id tells handles of one process apart, and a process from a later one of its number.
            let id = BatchId::new().to_string();
            let name = format!("sqlite:{}:{}", std::process::id(), id.rsplit('-').next().unwrap_or(&id));
            let Some(path) = path_of(folder, &name) else { continue };
            // Somebody who clears away the dead may have removed it before it was locked.
            match lock_file(&path) {
                Ok(file) if try_lock(&file) && same_file(&file, &path) => {
                    return Ok(Self { name, path, file });
                }
                Ok(_) => {}
                Err(error) => failed = error,
            }
        }
        Err(error::of_io("cannot make and lock an owner file", folder, failed))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Removed while it is locked, so that nobody finds it free and takes it for another's.
        drop(fs::remove_file(&self.path));
        drop(self.file.unlock());
    }
}

/// Whether the handle called `name` is gone for certain.
pub(super) fn is_dead(folder: &Path, name: &str) -> bool {
    // A name that no handle of this module made cannot be judged, so it lives until its lease ends.
    let Some(path) = path_of(folder, name) else { return false };
    match File::open(&path) {
        // Shared, so that two who look at the same time do not take each other for the owner.
        Ok(file) => file.try_lock_shared().is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound && folder.is_dir(),
    }
}

/// Removes the files of handles that are gone.
pub(super) fn clear_the_dead(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let files = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for entry in files.take(CLEAN_MAX) {
        if File::open(entry.path()).is_ok_and(|file| try_lock(&file)) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

const PREFIX: &str = "owner-";

fn path_of(folder: &Path, name: &str) -> Option<PathBuf> {
    let (_, id) = name.strip_prefix("sqlite:")?.split_once(':')?;
    let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    plain.then(|| folder.join(format!("{PREFIX}{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::new(folder.path()).unwrap();
        let name = owner.name().to_owned();
        assert!(!is_dead(folder.path(), &name));
        clear_the_dead(folder.path());
        assert!(!is_dead(folder.path(), &name), "the living are not cleared away");
        drop(owner);
        assert!(is_dead(folder.path(), &name));
    }

    #[test]
    fn a_free_lock_is_a_death_and_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "sqlite:1:0a-0b").unwrap();
        fs::write(&path, "").unwrap();
        assert!(is_dead(folder.path(), "sqlite:1:0a-0b"));
        clear_the_dead(folder.path());
        assert!(!path.exists());
    }

    #[test]
    fn a_name_of_somebody_else_is_not_judged() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "worker:7", "sqlite:1", "sqlite:1:", "sqlite:1:../x", "memory:1:0a"] {
            assert!(!is_dead(folder.path(), name), "{name}");
        }
    }
}
