//! Trees of files: what is there, and what is going on.
//!
//! [`Scan`] says what belongs to a tree and takes a [`State`](crate::decide::intent::State) of it by `stat` alone: nothing is opened but
//! folders. Two drivers feed a [`Judge`](crate::decide::intent::Judge) with it and give what it says, an
//! [`Intent`](crate::decide::intent::Intent): [`Polling`] looks every so often, `Watching` (feature `watch`) is told by the kernel
//! that something happens, and looks then. What they call a change is the same, because both judge by states.
//!
//! ```
//! use std::time::Duration;
//! use unattended::files::{Polling, Scan};
//! use unattended::intent::{Intent, Policy};
//! use unattended::time::{Clock, System};
//!
//! let folder = tempfile::tempdir()?;
//! let mut now = System.now();
//! let mut tree = Polling::start(Scan::workspace(folder.path()), Policy::default(), Duration::from_secs(1), now)?;
//!
//! std::fs::write(folder.path().join("notes.md"), "a line\n")?;
//! let mut seen = None;
//! while seen.is_none() {
//!     now = now.after(Duration::from_secs(1)); // a program waits until `tree.next_wake()`
//!     seen = tree.poll(now);
//! }
//! assert!(matches!(seen, Some(Intent::Single(change)) if change.path.as_os_str() == "notes.md"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What is left out.** Nothing, unless it is said: [`Scan::new`] takes every entry in, [`Scan::workspace`] leaves out what version
//! control and editors keep for themselves, and the state says how many entries were left out.
//!
//! **What can be anything.** Symbolic links are entries and never followed, so they make no loop; FIFOs, sockets and devices are entries
//! and never opened. A folder that cannot be read is told, and what is below it is taken to be as it was. A root that
//! vanishes is an outcome, and it is waited for.

mod driver;
mod error;
mod filter;
mod polling;
mod scan;
#[cfg(feature = "watch")]
mod watching;

pub use error::Error;
pub use polling::Polling;
pub use scan::Scan;
#[cfg(feature = "watch")]
pub use watching::{Source, Watch, Watching};
