//! What is wrong with a tree, or with how it is looked at.

use std::path::PathBuf;
use std::time::Duration;

use crate::decide::intent;

/// What is wrong with a tree, or with how it is looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no folder at the root to begin with. One that vanishes later is an outcome.
    #[error("there is no folder to look at in {}", .path.display())]
    NoFolder {
        /// Where.
        path: PathBuf,
    },
    /// The tree has more entries than are allowed.
    #[error("the tree in {} has more entries than the {allowed} that are allowed", .path.display())]
    TooMany {
        /// Where.
        path: PathBuf,
        /// How many are.
        allowed: usize,
    },
    /// A knob out of its range.
    #[error("files: {field} is {given:?}, allowed is {min:?} to {max:?}")]
    Field {
        /// Which knob.
        field: &'static str,
        /// What it is.
        given: Duration,
        /// The least that it may be.
        min: Duration,
        /// The most that it may be.
        max: Duration,
    },
    /// The policy makes no sense.
    #[error(transparent)]
    Policy(#[from] intent::Error),
    /// A pattern that is none.
    #[cfg(feature = "globs")]
    #[error("{given:?} is no pattern for paths")]
    Pattern {
        /// What was given.
        given: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system allows no more watches: one is needed for each folder, and they are counted for each user.
    #[cfg(feature = "watch")]
    #[error(
        "the system allows no more than {} watches and {folders} folders are to be watched: raise fs.inotify.max_user_watches, \
         leave folders out, or poll",
        .allowed.map_or_else(|| "so many".to_owned(), |allowed| allowed.to_string())
    )]
    WatchLimit {
        /// How many folders there are.
        folders: usize,
        /// How many watches a user may have, where the system says so.
        allowed: Option<u64>,
    },
    /// The system allows no more watchers.
    #[cfg(feature = "watch")]
    #[error(
        "the system allows no more than {} watchers for a user, or no more open files: raise fs.inotify.max_user_instances, or poll",
        .allowed.map_or_else(|| "so many".to_owned(), |allowed| allowed.to_string())
    )]
    WatcherLimit {
        /// How many a user may have, where the system says so.
        allowed: Option<u64>,
    },
    /// The kernel does not tell of changes in a folder, for another reason.
    #[cfg(feature = "watch")]
    #[error("cannot watch {}", .path.display())]
    Watch {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Between 1 ms and a day.
pub(super) fn interval(field: &'static str, given: Duration) -> Result<(), Error> {
    let (min, max) = (Duration::from_millis(1), Duration::from_secs(86_400));
    if (min..=max).contains(&given) { Ok(()) } else { Err(Error::Field { field, given, min, max }) }
}
