//! Folders of a service by the Filesystem Hierarchy Standard, and the life of files that are dropped into one of them.
//!
//! A [`Layout`] names the folders from one root and makes them with modes that let nobody else write. [`Drops`] takes
//! files from `incoming` to `working`, and from there to `archive` or, with the reason beside it, to `failed`. Each move is
//! one rename; between file systems it is a copy, synced, put in place by a rename, and then the original is removed.
//! Whatever kills the process in between, the next one finds each file in one place, once, and no namesake is replaced.
//!
//! ```
//! use std::time::Duration;
//! use unattended::layout::Layout;
//! use unattended::time::{Clock, System};
//!
//! let root = tempfile::tempdir()?;
//! let layout = Layout::under(root.path(), "ingest")?;
//! layout.create()?;
//! let _only_one = layout.lock(Duration::ZERO)?;
//! std::fs::write(layout.incoming().join("monday.csv"), "1;2;3")?;
//!
//! let drops = layout.drops().settle(Duration::ZERO);
//! let now = System.now().wall;
//! while let Some(taken) = drops.take(now)? {
//!     match std::fs::read_to_string(taken.path()) {
//!         Ok(text) if text.contains(';') => taken.archive()?,
//!         Ok(_) => taken.fail("ingest.no_fields", "it has no fields", now)?,
//!         Err(error) => taken.fail("ingest.unreadable", &error.to_string(), now)?,
//!     };
//! }
//! assert!(layout.archive().join("monday.csv").exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: Filesystem Hierarchy Standard 3.0, sections 3.7 (`/etc`), 3.15 (`/run`), 5.8 (`/var/lib`), 5.10 (`/var/log`);
//! the environment that systemd gives a service is that of `systemd.exec(5)`.

mod drops;
mod error;
mod names;
mod place;
mod taken;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::remember::file::{self, Lock};

pub use drops::{Drops, LOOK_MAX, Waiting};
pub use error::Error;
pub use names::REASON;
pub use taken::Taken;

/// The most bytes that a service's name may have.
const NAME_MAX: usize = 100;

/// The folders of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    name: String,
    state: PathBuf,
    logs: PathBuf,
    config: PathBuf,
    runtime: PathBuf,
    incoming: PathBuf,
}

impl Layout {
    /// The folders of the service `name` on this machine: `/var/lib/NAME`, `/var/log/NAME`, `/etc/NAME`, `/run/NAME`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is not 1 to 100 of `a-z A-Z 0-9 . _ -`, or begins with a dot or a hyphen.
    pub fn system(name: &str) -> Result<Self, Error> {
        Self::under("/", name)
    }

    /// The same below another root: for tests, containers and programs without rights.
    ///
    /// # Errors
    /// As [`system`](Self::system); [`Error::File`] when `root` is relative and there is no current folder.
    pub fn under(root: impl AsRef<Path>, name: &str) -> Result<Self, Error> {
        check(name)?;
        let given = root.as_ref();
        let root = std::path::absolute(given).map_err(|source| file::Error::Io {
            action: "cannot find it",
            path: given.to_owned(),
            source,
        })?;
        let state = root.join("var/lib").join(name);
        Ok(Self {
            logs: root.join("var/log").join(name),
            config: root.join("etc").join(name),
            runtime: root.join("run").join(name),
            incoming: state.join("incoming"),
            name: name.to_owned(),
            state,
        })
    }

    /// The folders that systemd has made for this service (`StateDirectory=` and the others), by the environment that it
    /// gave; those that it did not name are where [`system`](Self::system) says.
    ///
    /// # Errors
    /// As [`system`](Self::system); [`Error::Invalid`] when systemd names a folder that is not absolute.
    pub fn of_service(name: &str) -> Result<Self, Error> {
        Self::by(name, |variable| std::env::var_os(variable))
    }

    fn by(name: &str, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut layout = Self::system(name)?;
        for (folder, variable_name) in [
            (&mut layout.state, "STATE_DIRECTORY"),
            (&mut layout.logs, "LOGS_DIRECTORY"),
            (&mut layout.config, "CONFIGURATION_DIRECTORY"),
            (&mut layout.runtime, "RUNTIME_DIRECTORY"),
        ] {
            let Some(given) = variable(variable_name).filter(|given| !given.is_empty()) else { continue };
            // Several are separated by colons; the first is the service's own.
            let first = std::env::split_paths(&given).next().unwrap_or_default();
            if !first.is_absolute() {
                return Err(Error::Invalid {
                    field: variable_name,
                    given: first.to_string_lossy().into_owned(),
                    allowed: "an absolute path",
                });
            }
            *folder = first;
        }
        layout.incoming = layout.state.join("incoming");
        Ok(layout)
    }

    /// Has files dropped elsewhere, such as into a folder that is mounted from somewhere. It is not made by
    /// [`create`](Self::create), and must let this process rename and remove what is in it.
    #[must_use]
    pub fn incoming_at(mut self, folder: impl Into<PathBuf>) -> Self {
        self.incoming = folder.into();
        self
    }

    /// The name of the service.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it keeps: `/var/lib/NAME`.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What it says: `/var/log/NAME`.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// What a person gave it: `/etc/NAME`.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What is gone after a reboot: `/run/NAME`.
    #[must_use]
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Where files are dropped: `incoming` below [`state`](Self::state), unless told otherwise.
    #[must_use]
    pub fn incoming(&self) -> &Path {
        &self.incoming
    }

    /// Where a file stands while it is worked on.
    #[must_use]
    pub fn working(&self) -> PathBuf {
        self.state.join("working")
    }

    /// Where files go that were worked on.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.state.join("archive")
    }

    /// Where files go that could not be worked on, with the reason beside each.
    #[must_use]
    pub fn failed(&self) -> PathBuf {
        self.state.join("failed")
    }

    /// Where the store of its runs stands, for a program that keeps it in a file: `STATE/NAME.db`.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.state.join(format!("{}.db", self.name))
    }

    /// Makes the folders that are missing: mode 0750, `incoming` 0770. Folders that stand are left as they are. The
    /// configuration is not written to, so its folder may be missing where it may not be made.
    ///
    /// # Errors
    /// [`Error::NotAFolder`] where something else stands, [`Error::Unsafe`] where everybody may write into a folder, and
    /// [`Error::File`] where one cannot be made.
    pub fn create(&self) -> Result<(), Error> {
        let own = self.incoming.starts_with(&self.state).then(|| (self.incoming.clone(), 0o770));
        let folders = [&self.state, &self.logs, &self.runtime].map(|folder| (folder.clone(), 0o750));
        let life = [self.working(), self.archive(), self.failed()].map(|folder| (folder, 0o750));
        for (folder, mode) in folders.into_iter().chain(life).chain(own) {
            make(&folder, mode)?;
        }
        match make(&self.config, 0o750) {
            Err(Error::File(file::Error::ReadOnly { .. })) => Ok(()),
            made => made,
        }
    }

    /// The lock of the only instance: `STATE/NAME.lock`. The kernel keeps it, so it is free as soon as the process has ended,
    /// however that came. Waits for at most `wait`.
    ///
    /// # Errors
    /// [`file::Error::Busy`] with the process that holds it; [`file::Error::ReadOnly`] where the folder may not be
    /// written.
    pub fn lock(&self, wait: Duration) -> Result<Lock, file::Error> {
        Lock::take(self.state.join(format!("{}.lock", self.name)), wait)
    }

    /// The life of files between these folders.
    #[must_use]
    pub fn drops(&self) -> Drops {
        Drops::between(&self.incoming, self.working(), self.archive(), self.failed())
    }
}

fn check(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=NAME_MAX).contains(&name.len()) && !name.starts_with(['.', '-']) && name.chars().all(fits) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "name",
        given: crate::base::text::shortened(name, NAME_MAX),
        allowed: "1 to 100 of a-z A-Z 0-9 . _ -, not a dot or a hyphen first",
    })
}

fn make(folder: &Path, mode: u32) -> Result<(), Error> {
    let cannot = |source| Error::from(file::Error::writing("cannot make the folder", folder, source));
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder.parent().unwrap_or(folder));
    made.map_err(cannot)?;
    match DirBuilder::new().mode(mode).create(folder) {
        // The process's umask has taken bits away that were asked for.
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(mode)).map_err(cannot),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::metadata(folder).map_err(cannot)?;
            if !found.is_dir() {
                return Err(Error::NotAFolder { path: folder.to_owned() });
            }
            let mode = found.permissions().mode() & 0o7777;
            // Where everybody may write, anybody may put a file in the place of another; the sticky bit prevents it.
            if mode & 0o002 != 0 && mode & 0o1000 == 0 {
                return Err(Error::Unsafe { path: folder.to_owned(), mode });
            }
            Ok(())
        }
        Err(error) => Err(cannot(error)),
    }
}
