//! What a change is called, and why.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::text;
use crate::decide::intent::difference::{Change, Tally, What};
use crate::decide::intent::state::Kind;

/// How many changes the sentence about a few of them names.
const NAMED_MAX: usize = 3;

/// What is going on in a tree.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Nothing that counts.
    Nothing(Calm),
    /// One path.
    Single(Change),
    /// Two paths or more, and fewer than make a bulk change, in the order of the paths.
    Few(Vec<Change>),
    /// Many paths, or what a tool has announced.
    Bulk {
        /// How many paths.
        count: usize,
        /// Folders that hold all of them, none inside another, at most as many as the policy says; the empty path is the root of
        /// the tree. One from which all was removed may be gone.
        roots: Vec<PathBuf>,
        /// How many of them became what.
        tally: Tally,
        /// Why it is a bulk change.
        why: Mass,
    },
    /// Not everything is known: whoever must know all of the tree looks at all of it.
    Resync {
        /// Why.
        why: Lost,
        /// What the comparison of the states has found all the same.
        found: Box<Self>,
    },
}

/// Why it is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Calm {
    /// The tree is as it was: what happened was undone, or does not count.
    Same,
    /// The tree was not there, and is not.
    StillGone,
    /// The tree could not be seen, so nothing is known of it.
    Unseen,
    /// Events were lost again, and again nothing has changed: what floods the kernel's queue only reads.
    OverflowAgain {
        /// How many times in a row.
        times: u32,
    },
}

/// Why it is a bulk change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mass {
    /// So many paths are one.
    Many {
        /// From how many on.
        bulk_from: usize,
    },
    /// A tool has announced it.
    Announced {
        /// The tool, the first if there were several.
        name: String,
    },
    /// A tool has announced it and has not said that it has ended; it is waited for no longer.
    Overdue {
        /// The tool, the first if there were several.
        name: String,
        /// How long it was waited for.
        announced_max: Duration,
    },
}

/// Why not everything is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// The kernel's queue of events was full.
    Overflow {
        /// How many times since the last judgement.
        times: u64,
    },
    /// The system allows no more watches, so a part of the tree is not watched.
    WatchLimit,
    /// The source of events has failed.
    SourceBroken,
    /// The folder at the root of the tree is gone.
    RootGone,
    /// It is back.
    RootBack,
    /// Another folder stands in its place.
    RootReplaced,
    /// It is no folder any more.
    RootNotFolder {
        /// What it is.
        kind: Kind,
    },
    /// It cannot be read any more.
    RootUnreadable,
    /// The tree has more entries than are allowed.
    TooMany {
        /// How many are.
        entries_max: usize,
    },
    /// Folders cannot be read any more; what is below them is taken to be as it was.
    Unreadable {
        /// The first of them.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// Folders can be read again; what was found below them is in what was found.
    ReadableAgain {
        /// The first of them.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

/// Why two states are compared now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Nothing has happened for a while.
    Quiet {
        /// How long.
        quiet: Duration,
    },
    /// Something has happened all the time; it is not waited longer.
    LongestWait {
        /// How long since the first hint.
        longest_wait: Duration,
    },
    /// A tool that has announced itself has not said that it has ended.
    Overdue {
        /// How long it was waited for.
        announced_max: Duration,
    },
}

impl Explain for Intent {
    fn code(&self) -> &'static str {
        match self {
            Self::Nothing(why) => why.code(),
            Self::Single(_) => "intent.single",
            Self::Few(_) => "intent.few",
            Self::Bulk { why, .. } => why.code(),
            Self::Resync { why, .. } => why.code(),
        }
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(why) => why.fmt(f),
            Self::Single(change) => change.fmt(f),
            Self::Few(changes) => {
                for (at, change) in changes.iter().take(NAMED_MAX).enumerate() {
                    write!(f, "{}{change}", if at == 0 { "" } else { ", " })?;
                }
                match changes.len().saturating_sub(NAMED_MAX) {
                    0 => Ok(()),
                    more => write!(f, ", and {more} more"),
                }
            }
            Self::Bulk { count, roots, tally, why } => {
                write!(f, "{count} {} in", if *count == 1 { "path" } else { "paths" })?;
                for (at, root) in roots.iter().take(NAMED_MAX).enumerate() {
                    write!(f, "{}{}", if at == 0 { " " } else { ", " }, Shown(root))?;
                }
                if roots.len() > NAMED_MAX {
                    write!(f, ", and {} more", roots.len() - NAMED_MAX)?;
                }
                write!(f, " ({tally}): {why}")
            }
            Self::Resync { why, found } => write!(f, "{why}; found all the same: {found}"),
        }
    }
}

impl Explain for Calm {
    fn code(&self) -> &'static str {
        match self {
            Self::Same => "intent.same",
            Self::StillGone => "intent.still_gone",
            Self::Unseen => "intent.unseen",
            Self::OverflowAgain { .. } => "intent.overflow_again",
        }
    }
}

impl fmt::Display for Calm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("nothing is other than it was"),
            Self::StillGone => f.write_str("the tree was not there, and is not"),
            Self::Unseen => f.write_str("nothing is known, as the tree could not be seen"),
            Self::OverflowAgain { times } => {
                write!(
                    f,
                    "events were lost {times} times in a row and nothing has changed: somebody reads the tree"
                )
            }
        }
    }
}

impl Explain for Mass {
    fn code(&self) -> &'static str {
        match self {
            Self::Many { .. } => "intent.bulk",
            Self::Announced { .. } => "intent.announced",
            Self::Overdue { .. } => "intent.announced_overdue",
        }
    }
}

impl fmt::Display for Mass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Many { bulk_from } => write!(f, "{bulk_from} or more are a bulk change"),
            Self::Announced { name } => write!(f, "announced by {}", text::shown(name)),
            Self::Overdue { name, announced_max } => write!(
                f,
                "announced by {}, which has not ended within {announced_max:?} and is waited for no longer",
                text::shown(name)
            ),
        }
    }
}

impl Explain for Lost {
    fn code(&self) -> &'static str {
        match self {
            Self::Overflow { .. } => "intent.overflow",
            Self::WatchLimit => "intent.watch_limit",
            Self::SourceBroken => "intent.source_broken",
            Self::RootGone => "intent.root_gone",
            Self::RootBack => "intent.root_back",
            Self::RootReplaced => "intent.root_replaced",
            Self::RootNotFolder { .. } => "intent.root_not_folder",
            Self::RootUnreadable => "intent.root_unreadable",
            Self::TooMany { .. } => "intent.too_many",
            Self::Unreadable { .. } => "intent.unreadable",
            Self::ReadableAgain { .. } => "intent.readable_again",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow { times: 1 } => f.write_str("events were lost, as the kernel's queue was full"),
            Self::Overflow { times } => {
                write!(f, "events were lost {times} times, as the kernel's queue was full")
            }
            Self::WatchLimit => {
                f.write_str("a part of the tree is not watched, as the system allows no more watches")
            }
            Self::SourceBroken => f.write_str("events may be lost, as their source has failed"),
            Self::RootGone => f.write_str("the root of the tree is gone"),
            Self::RootBack => f.write_str("the root of the tree is back"),
            Self::RootReplaced => f.write_str("another folder stands where the root of the tree was"),
            Self::RootNotFolder { kind } => {
                write!(f, "the root of the tree is no folder any more but {kind}")
            }
            Self::RootUnreadable => f.write_str("the root of the tree cannot be read any more"),
            Self::TooMany { entries_max } => {
                write!(f, "the tree has more entries than the {entries_max} that are allowed")
            }
            Self::Unreadable { path, count } => {
                write!(f, "{count} folders cannot be read any more, the first is {}", Shown(path))
            }
            Self::ReadableAgain { path, count } => {
                write!(f, "{count} folders can be read again, the first is {}", Shown(path))
            }
        }
    }
}

impl Explain for Ended {
    fn code(&self) -> &'static str {
        match self {
            Self::Quiet { .. } => "intent.quiet",
            Self::LongestWait { .. } => "intent.longest_wait",
            Self::Overdue { .. } => "intent.overdue",
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quiet { quiet } => write!(f, "nothing has happened for {quiet:?}"),
            Self::LongestWait { longest_wait } => {
                write!(f, "the first of it happened {longest_wait:?} ago, and it is not waited longer")
            }
            Self::Overdue { announced_max } => {
                write!(f, "a tool has announced itself and has not ended within {announced_max:?}")
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Shown(&self.path);
        match &self.what {
            What::Created => write!(f, "{path} was created"),
            What::Modified => write!(f, "{path} was modified"),
            What::Removed => write!(f, "{path} was removed"),
            What::Moved { from } => write!(f, "{path} was moved there from {}", Shown(from)),
            What::Attributes => write!(f, "{path} has other attributes"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, modified, removed, moved, attributes } = *self;
        let counts = [
            (created, "created"),
            (modified, "modified"),
            (removed, "removed"),
            (moved, "moved"),
            (attributes, "with other attributes"),
        ];
        let mut first = true;
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {what}", if first { "" } else { ", " })?;
            first = false;
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Other => "a FIFO, a socket or a device",
        })
    }
}

/// A path for a terminal; the root of the tree is a dot.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_os_str().is_empty() {
            return f.write_str(".");
        }
        f.write_str(&text::shown(&self.0.to_string_lossy()))
    }
}
