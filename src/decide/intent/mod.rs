//! What is going on in a tree whose files change: one edit, a few, or a bulk change.
//!
//! Events of a file system say what an editor or a tool did to get there: a swap file, a probe, a backup, a rename. What
//! matters is where it ended. So events are only hints that something happens ([`Judge::observe`]); when they have been
//! quiet for a while ([`Policy::quiet`], or at the latest after [`Policy::longest_wait`]) two [`State`]s of the tree are
//! compared, the one that was judged last and the one that is, and the difference has a name: an [`Intent`].
//!
//! ```
//! use unattended::intent::{Due, Hint, Intent, Judge, Kind, Policy, Stamp, State};
//! use unattended::time::{Clock, System};
//!
//! let file = |mtime, inode| Stamp { kind: Kind::File, size: 7, mtime, ctime: mtime, inode };
//! let before = State::of([("notes.md".into(), file(1, 10))]);
//! // An editor has written a new file beside it, and renamed it over the old one.
//! let after = State::of([("notes.md".into(), file(2, 11))]);
//!
//! let mut judge = Judge::new(Policy::default())?;
//! let now = System.now();
//! judge.observe(Hint::Changed, now);
//! assert!(matches!(judge.due(now), Due::Later { .. }), "it may not be over");
//! let quiet = now.after(std::time::Duration::from_millis(500));
//! assert!(matches!(judge.due(quiet), Due::Now { .. }));
//! match judge.judge(&before, &after, quiet) {
//!     Intent::Single(change) => assert_eq!(change.to_string(), "notes.md was modified"),
//!     other => unreachable!("{other}"),
//! }
//! # Ok::<(), unattended::intent::Error>(())
//! ```
//!
//! Whoever has a source of events other than [`files`](crate::observe::files) gives the hints and the states itself: nothing here
//! knows of a file system.
//!
//! **What it cannot see.** States hold what `stat` says, not contents. An edit that leaves size, modification time and inode
//! as they were is none; [`Policy::attributes`] takes the change time in too.
//!
//! **A tool that announces itself.** Between [`Judge::begin_bulk`] and [`Judge::end_bulk`] nothing is judged, and what has
//! changed then is a bulk change however little it is. A tool that dies holds nothing for ever: [`Policy::announced_max`].
//!
//! **After a restart.** [`State`] is saved by serde, names that are not UTF-8 as well. A cron process compares the tree with what
//! it saw the last time: [`Policy::judge`].

mod difference;
mod form;
mod judge;
mod policy;
mod reason;
mod roots;
mod saved;
mod state;
#[cfg(test)]
mod tests;

pub use difference::{Change, Difference, Tally, What};
pub use judge::{Closing, Due, Hint, Judge, Token, Trouble};
pub use policy::{Error, Policy};
pub use reason::{Calm, Ended, Intent, Lost, Mass};
pub use state::{Kind, Root, Stamp, State};
