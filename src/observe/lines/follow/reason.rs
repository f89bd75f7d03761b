//! What came of a poll, and what can be wrong.

use std::fmt;
use std::path::PathBuf;

use crate::base::explain::Explain;

/// What one poll gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Lines that were given.
    pub lines: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Lines of which only the beginning was given.
    pub lines_cut: u64,
    /// Bytes of them that were left out.
    pub bytes_cut: u64,
    /// What happened to the file, in order.
    pub happened: Vec<Happened>,
    /// There may be more to read at once.
    pub more: bool,
}

/// What happened to a file that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// There is no such file; told once until it is back.
    Gone,
    /// Something else stands under its name, which is not opened; told once.
    NotAFile(NotAFile),
    /// Another file stands under its name. The old one was read to its end, the new one is read from its beginning.
    Rotated {
        /// The last line of the old one had no end, and was given as it was.
        unfinished: bool,
    },
    /// It is shorter than what was read, and is read from its beginning.
    Truncated {
        /// How much of it was read.
        read: u64,
        /// How long it is.
        size: u64,
    },
    /// It begins otherwise than it did, and is read from its beginning.
    Replaced {
        /// How much of the old content was read.
        read: u64,
    },
    /// The file in which somebody had read cannot be found: what stood in it behind the position is not read.
    Lost {
        /// The position.
        offset: u64,
    },
}

/// What stands where a file should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAFile {
    /// A folder.
    Folder,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A device, or something that has no name here.
    Device,
}

/// A file cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Something else stands there; it was not opened for reading.
    #[error("{} is {found}, not a file", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: NotAFile,
    },
    /// The system refused.
    #[error("{action}: {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A position in a format that this version does not know.
    #[error("saved position has version {found}, this program knows {known}")]
    Version {
        /// The version in the position.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
}

impl Explain for Happened {
    fn code(&self) -> &'static str {
        match self {
            Self::Gone => "lines.gone",
            Self::NotAFile(_) => "lines.not_a_file",
            Self::Rotated { .. } => "lines.rotated",
            Self::Truncated { .. } => "lines.truncated",
            Self::Replaced { .. } => "lines.replaced",
            Self::Lost { .. } => "lines.lost",
        }
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("there is no such file"),
            Self::NotAFile(found) => write!(f, "{found} stands under its name and is not opened"),
            Self::Rotated { unfinished: false } => {
                f.write_str("another file stands under its name: it was rotated")
            }
            Self::Rotated { unfinished: true } => {
                f.write_str("another file stands under its name: it was rotated, in the middle of a line")
            }
            Self::Truncated { read, size } => {
                write!(
                    f,
                    "it has {size} bytes where {read} were read: it was truncated, and is read from its beginning"
                )
            }
            Self::Replaced { read } => write!(
                f,
                "it begins otherwise than it did when {read} bytes were read: it was replaced, and is read from its beginning"
            ),
            Self::Lost { offset } => {
                write!(
                    f,
                    "the file of which {offset} bytes were read cannot be found: what followed in it is not read"
                )
            }
        }
    }
}

impl fmt::Display for NotAFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "a folder",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}
