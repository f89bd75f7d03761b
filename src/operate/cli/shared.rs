//! Files that processes of the tool on one machine share: beside the store where that is a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::canonical::Fingerprint;

/// The folder beside a store.
pub(super) fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push("-lock");
    PathBuf::from(name)
}

/// The folder of one user, for a store that is no file.
pub(super) fn of_user() -> PathBuf {
    std::env::temp_dir().join(format!("unattended-{}", rustix::process::geteuid().as_raw()))
}

/// Makes the folder, for its owner alone.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let own = rustix::process::geteuid().as_raw();
    if found.is_dir() && (found.uid() == own || found.uid() == 0 || own == 0) {
        return Ok(());
    }
    Err(io::Error::other("it belongs to somebody else"))
}

/// The file for what a person called `name`, which may be any text.
pub(super) fn file_for(folder: &Path, kind: &str, name: &str) -> PathBuf {
    let name = Fingerprint::of_bytes(name).to_string();
    let digits = name.rsplit(':').next().unwrap_or(&name);
    folder.join(format!("{kind}-{}", digits.get(..24).unwrap_or(digits)))
}
