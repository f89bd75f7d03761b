//! Units: their names and their text.

use std::time::Duration;

use crate::act::systemd::finding::{Finding, Flaw};
use crate::act::systemd::lint;
use crate::act::systemd::timer::Facts;

/// One unit: the name of its file, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unit {
    /// Such as `mailer.service`.
    pub file_name: String,
    /// The whole text.
    pub text: String,
}

/// A service and, where it has one, its timer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Units {
    /// The service.
    pub service: Unit,
    /// What starts it.
    pub timer: Option<Unit>,
    pub(super) meant: Meant,
}

/// What was meant, as far as the text does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) drain: Duration,
    pub(super) stop: Duration,
    pub(super) version: u32,
    pub(super) facts: Facts,
}

impl Units {
    /// The units, the service first.
    pub fn all(&self) -> impl Iterator<Item = &Unit> {
        std::iter::once(&self.service).chain(&self.timer)
    }

    /// What systemd accepts and does not do, or does otherwise than the schedule and the policies that the units were made of.
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for unit in self.all() {
            found.extend(lint::lint_for(&unit.text, self.meant.version));
        }
        let Meant { drain, stop, facts, .. } = self.meant;
        if stop <= drain {
            found
                .push(Finding::at(line(&self.service, "TimeoutStopSec="), Flaw::StopTooSoon { stop, drain }));
        }
        if let Some(timer) = &self.timer {
            if facts.catches_up
                && !timer.text.contains("\nPersistent=true\n")
                && timer.text.contains("\nOnCalendar=")
            {
                found.push(Finding::at(line(timer, "Persistent="), Flaw::NotPersistent));
            }
            if let Some(late_max) = facts.late_max {
                found.push(Finding::at(line(timer, "Persistent="), Flaw::LateWithoutEnd { late_max }));
            }
        }
        found
    }

    /// Writes the units into a folder, each file whole or not at all and readable for all: `/etc/systemd/system` for the machine's
    /// own manager. Gives their paths. `systemctl daemon-reload` makes systemd read them.
    ///
    /// # Errors
    /// [`Error::Write`](super::Error::Write) with the unit that could not be written; those before it are.
    #[cfg(feature = "store")]
    pub fn write_to(
        &self,
        folder: impl AsRef<std::path::Path>,
    ) -> Result<Vec<std::path::PathBuf>, super::Error> {
        use std::fs::{Permissions, set_permissions};
        use std::os::unix::fs::PermissionsExt;

        use crate::remember::file;

        let mut paths = Vec::new();
        for unit in self.all() {
            let path = folder.as_ref().join(&unit.file_name);
            let failed = |source| super::Error::Write { unit: unit.file_name.clone(), source };
            file::replace(&path, &unit.text).map_err(failed)?;
            // Whoever asks for its state may read it; systemd warns where they may not.
            set_permissions(&path, Permissions::from_mode(0o644)).map_err(|source| {
                failed(file::Error::Io { action: "cannot let everybody read", path: path.clone(), source })
            })?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// The first line that begins so, from 1; the first of all where there is none.
fn line(unit: &Unit, begin: &str) -> usize {
    unit.text.lines().position(|line| line.starts_with(begin)).map_or(1, |at| at + 1)
}
