//! How a backup can fail as a whole. What happens to a single file is an outcome in the report, not an error.

use std::io;
use std::path::{Path, PathBuf};

use crate::act::backup::name::Name;
use crate::act::backup::objects::Damage;
use crate::base::fault::{Class, Classify, Fault, Reached, Severity};
use crate::remember::file;

/// A store of backups could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else writes to the store.
    #[error("the store {} is being written by {}", .store.display(), who(*.holder))]
    Busy {
        /// The store.
        store: PathBuf,
        /// The process that does, where it has said so.
        holder: Option<u32>,
    },
    /// What is in the folder is no store of backups.
    #[error("{} is no store of backups", .folder.display())]
    NotAStore {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder that is to become a store has something in it.
    #[error("{} is not empty and no store of backups", .folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The store is of another format.
    #[error("the store {} has the format {given:?}; understood is {allowed:?}", .store.display())]
    Format {
        /// The store.
        store: PathBuf,
        /// What its format file says, shortened.
        given: String,
        /// What is understood.
        allowed: &'static str,
    },
    /// The tree to back up cannot be opened; nothing is taken for gone.
    #[error("the tree {} cannot be opened", .tree.display())]
    Source {
        /// The tree.
        tree: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The tree lies in the store, or is it.
    #[error("the tree {} lies in the store {}", .tree.display(), .store.display())]
    InTheStore {
        /// The tree.
        tree: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The store has the versions of another tree.
    #[error("the store has versions of {}, not of {}", .stored.display(), .given.display())]
    OtherSource {
        /// The tree that was given.
        given: PathBuf,
        /// The tree whose versions it has.
        stored: PathBuf,
    },
    /// The tree has more files than the policy allows.
    #[error("the tree has more than {allowed} files")]
    TooManyFiles {
        /// How many the policy allows.
        allowed: u64,
    },
    /// The index of the store is damaged, so that what would be removed may be needed.
    #[error("the index is damaged in {files} files; nothing is removed")]
    IndexDamaged {
        /// How many of its files are.
        files: usize,
    },
    /// There is no such version.
    #[error("there is no version {} of {name}", which(*.sequence))]
    NoSuchVersion {
        /// The file.
        name: Name,
        /// The version that was asked for; the latest, if none.
        sequence: Option<u64>,
    },
    /// There never was such a run.
    #[error("there is no run {run}; {}", newest_of(*.newest))]
    NoSuchRun {
        /// The run that was asked for.
        run: u64,
        /// The newest run; 0, if there was none.
        newest: u64,
    },
    /// The version is damaged, so nothing was restored from it.
    #[error("version {sequence} of {name} is damaged: {damage}")]
    Damaged {
        /// The file.
        name: Name,
        /// The version.
        sequence: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A version is too large to be compared in memory.
    #[error("version {sequence} of {name} has {bytes} bytes; {allowed} can be compared")]
    TooLarge {
        /// The file.
        name: Name,
        /// The version.
        sequence: u64,
        /// Its size.
        bytes: u64,
        /// How large it may be.
        allowed: u64,
    },
    /// The file system failed, or is full; what was stored before stands.
    #[error(transparent)]
    File(#[from] file::Error),
    /// What is stored could not be compressed.
    #[error("{}: cannot compress", .path.display())]
    Compress {
        /// The file that was being written.
        path: PathBuf,
        /// What the encoder said.
        #[source]
        source: io::Error,
    },
}

fn who(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn which(sequence: Option<u64>) -> String {
    sequence.map_or_else(|| "at all".to_owned(), |sequence| sequence.to_string())
}

fn newest_of(newest: u64) -> String {
    if newest == 0 { "nothing was backed up yet".to_owned() } else { format!("the newest is {newest}") }
}

impl Error {
    /// A write in the store failed.
    pub(super) fn writing(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File(file::Error::writing(action, path, source))
    }

    pub(super) fn reading(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File(file::Error::Io { action, path: path.to_owned(), source })
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        let permanent = |code| Fault::new(Class::Permanent, code).reached(Reached::No);
        match self {
            Self::Busy { .. } => Fault::transient("backup.busy").reached(Reached::No),
            Self::NotAStore { .. } => permanent("backup.not_a_store"),
            Self::NotEmpty { .. } => permanent("backup.not_empty"),
            Self::Format { .. } => permanent("backup.format"),
            Self::Source { source, .. } => source.fault(),
            Self::InTheStore { .. } => permanent("backup.in_the_store"),
            Self::OtherSource { .. } => permanent("backup.other_source"),
            Self::TooManyFiles { .. } => permanent("backup.too_many_files"),
            Self::IndexDamaged { .. } => permanent("backup.index_damaged").severity(Severity::Fatal),
            Self::NoSuchVersion { .. } => permanent("backup.no_such_version"),
            Self::NoSuchRun { .. } => permanent("backup.no_such_run"),
            Self::Damaged { .. } => permanent("backup.damaged").severity(Severity::Fatal),
            Self::TooLarge { .. } => permanent("backup.too_large"),
            Self::File(error) => error.fault(),
            Self::Compress { source, .. } => source.fault(),
        }
    }
}
