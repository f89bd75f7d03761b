//! What a run did.

use std::fmt;

use crate::act::backup::decision::{Decision, Drift};
use crate::act::backup::index::IndexDamage;
use crate::act::backup::name::Name;
use crate::base::time::Timestamp;

/// What a run did, file by file, in the order of their names. Files that were unchanged are only counted, unless the policy
/// [tells](crate::act::backup::Builder::tell_unchanged) them too.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The run, if it stored anything or found a file gone; otherwise there is nothing new in the index.
    pub sequence: Option<u64>,
    /// Its time.
    pub at: Timestamp,
    /// What became of each file that is not simply unchanged.
    pub entries: Vec<Entry>,
    /// How many files are unchanged.
    pub unchanged: u64,
    /// How many bytes were read.
    pub bytes_read: u64,
    /// How many bytes of new contents were written.
    pub bytes_stored: u64,
    /// What is damaged in the index. While something is, nothing is removed from the store.
    pub damage: Vec<IndexDamage>,
    /// How many contents were removed that a killed run had left.
    pub swept: u64,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The file or folder; escaped as a [`Name`] is. Empty for the tree itself.
    pub path: String,
    /// What became of it.
    pub decision: Decision,
    /// Whether it changed while it was read, each time that it was.
    pub unstable: bool,
}

/// A change that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The file.
    pub name: Name,
    /// What waits.
    pub drift: Drift,
}

impl Report {
    /// Files that were stored for the first time, or again after they were gone.
    pub fn created(&self) -> impl Iterator<Item = &Entry> {
        self.with(|decision| matches!(decision, Decision::Created(_)))
    }

    /// Files whose change was stored.
    pub fn updated(&self) -> impl Iterator<Item = &Entry> {
        self.with(|decision| matches!(decision, Decision::Updated(_)))
    }

    /// Files whose change waits.
    pub fn skipped(&self) -> impl Iterator<Item = &Entry> {
        self.with(|decision| matches!(decision, Decision::Skipped { .. }))
    }

    /// Files that were stored and are no longer there.
    pub fn gone(&self) -> impl Iterator<Item = &Entry> {
        self.with(|decision| matches!(decision, Decision::Gone(_)))
    }

    /// What is not backed up.
    pub fn passed(&self) -> impl Iterator<Item = &Entry> {
        self.with(|decision| matches!(decision, Decision::Passed(_)))
    }

    /// What could not be read.
    pub fn failed(&self) -> impl Iterator<Item = &Entry> {
        self.with(|decision| matches!(decision, Decision::Failed(_)))
    }

    /// Whether every file of the tree was read, and the index is sound.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed().next().is_none() && self.damage.is_empty()
    }

    fn with(&self, is: impl Fn(&Decision) -> bool) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| is(&entry.decision))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} created, {} updated, {} skipped, {} unchanged, {} gone, {} passed over, {} failed",
            self.created().count(),
            self.updated().count(),
            self.skipped().count(),
            self.unchanged,
            self.gone().count(),
            self.passed().count(),
            self.failed().count(),
        )?;
        match self.damage.len() {
            0 => Ok(()),
            damaged => write!(f, "; {damaged} damages in the index"),
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What was just done.
    pub step: Step,
    /// How many files were decided.
    pub files: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many files were found so far; all of them, if `listed`.
    pub found: u64,
    /// Whether the whole tree is listed.
    pub listed: bool,
}

/// What was just done. A process may die after any of them, and each older version stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The lock is taken and the index read.
    Begun,
    /// Some more files were decided.
    Decided,
    /// A temporary file was written.
    Written,
    /// Temporary files were made durable.
    Synced,
    /// A file was put in place.
    Placed,
    /// The index has the new versions: from here on they are.
    Committed,
    /// Older files of the index were put together.
    Compacted,
    /// What a killed run had left was removed.
    Swept,
}
