//! Backups of what has changed meaningfully: versions of the files of a tree, each with the reason why it was stored, or
//! why its change waits.
//!
//! A [`Store`] is a folder. [`Store::backup`] reads a tree, compares each file with its last **stored** version, decides by a
//! [`Policy`], and stores what is to be stored. What happened to each file is in the [`Report`].
//!
//! ```
//! use unattended::backup::{Over, Policy, Store, Which};
//! use unattended::time::{Clock, System};
//!
//! let folder = tempfile::tempdir()?;
//! let docs = folder.path().join("docs");
//! std::fs::create_dir(&docs)?;
//! std::fs::write(docs.join("guide.md"), "# Guide\n")?;
//!
//! let store = Store::create(folder.path().join("store"))?;
//! let report = store.backup(&docs, &Policy::default(), System.now())?;
//! assert_eq!(report.created().count(), 1);
//! assert!(store.verify(System.now())?.is_sound());
//!
//! let restored = folder.path().join("restored");
//! let files = store.restore_tree(Which::Latest, &restored, Over::Older)?;
//! assert_eq!(files.len(), 1);
//! assert_eq!(std::fs::read_to_string(restored.join("guide.md"))?, "# Guide\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When a change is stored
//!
//! | the file | is |
//! |---|---|
//! | was never stored, or is back | stored |
//! | has the hash of the stored version | unchanged |
//! | shrank to less than a tenth, or to nothing | stored and marked, and the version before it is pinned |
//! | has another mode | stored |
//! | waited 24 h, or was skipped 10 times | stored |
//! | differs by more than 2 % or by more than 4 KiB | stored |
//! | differs by less | skipped: it waits |
//!
//! All of these numbers are in the policy. A small change is compared with what is stored each time, so drift adds up. A
//! filter applies to the comparison alone: what is stored is always the whole file, from the very bytes that were decided on.
//!
//! # What is kept where
//!
//! `objects/ab/cdef…` are contents, named after their SHA-256, as they are or compressed by zstd. `index/` says which versions
//! there are, in lines that each have a check of their own: a line that is damaged costs no other one. `waiting` says what
//! waits, `verified` what the last verification found. `tmp/` has what is being written, `FORMAT` the version of the format,
//! and `lock` is held by the one process that writes. All of it is private to its owner.
//!
//! A run writes contents first, to temporary files that are synced and renamed, and its file of the index last. Killed at any
//! instant it leaves what was there before, and perhaps contents that nobody refers to: the next run uses them where they
//! fit and removes the rest. What one run stores is there for all readers at once.
//!
//! # What it does not do
//!
//! No links, devices, owners, access lists or extended attributes are kept; a change of the mode is. Two changes between two
//! runs are one. `ctime` is never restored. Nothing is encrypted. Hard links become files of their own.

mod decision;
mod diff;
mod error;
mod index;
mod lines;
mod name;
mod objects;
mod pending;
mod place;
mod policy;
mod prune;
mod read;
mod reason;
mod report;
mod restore;
mod run;
mod store;
#[cfg(test)]
mod tests;
mod verify;
mod version;
mod walk;
mod work;

pub use decision::{
    Compared, Creating, Decision, Drift, Facts, Failing, Going, Keeping, Kind, Passing, Pending, Stored,
    Storing, decide,
};
pub use diff::Diff;
pub use error::Error;
pub use index::IndexDamage;
pub use name::{InvalidName, Name};
pub use objects::Damage;
pub use policy::{Builder, InvalidPolicy, Policy};
pub use prune::{InvalidRetention, Keep, PruneError, Pruned, Retention, Suspect};
pub use report::{Entry, Progress, Report, Step, Waiting};
pub use restore::{Over, Refusing, Restored};
pub use store::{Store, Which};
pub use verify::{DamagedVersion, Verification};
pub use version::{Encoding, Stat, Version};
