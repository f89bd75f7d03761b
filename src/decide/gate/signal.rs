//! What is looked at.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::text::{about_size, shortened, shown};

/// More of a path or a name is not said in a sentence.
const SAID_MAX: usize = 120;

/// Something that says how the machine is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// How busy the processors of the machine are, in percent of all of them together.
    Cpu,
    /// How much of the memory that the process may use is used, in percent: of its control groups or of the machine, whichever is
    /// fuller. Pages of files that can be dropped at once do not count.
    Memory,
    /// How much of the machine's swap space is used, in percent; 0 where there is none.
    Swap,
    /// The load of the last minute for each processor that the process may use: 1 is a machine that is just busy.
    LoadPerCore,
    /// For what part of the time work stood still for want of a resource, in percent (Linux, from 4.20 on; "Pressure Stall
    /// Information" in the kernel's documentation).
    Pressure {
        /// Of what there was not enough.
        resource: Resource,
        /// Whether some work stood still, or all of it.
        kind: Stall,
        /// Over which time.
        span: Span,
    },
    /// How many bytes an unprivileged process can still write to the file system of a path.
    DiskFreeBytes(PathBuf),
    /// The same in percent of what unprivileged processes can use at all.
    DiskFreePercent(PathBuf),
    /// Whether something is mounted at a path.
    Mounted(PathBuf),
    /// Whether there is something at a path.
    Exists(PathBuf),
    /// Whether a TCP port accepts connections: `127.0.0.1:5432`, `[::1]:5432`, `db.internal:5432`.
    Answers(String),
    /// What a check of the application says, by its name: a number, or yes and no.
    Custom(String),
}

/// Of what there may not be enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Time of a processor.
    Cpu,
    /// Memory.
    Memory,
    /// Answers of disks.
    Io,
}

/// How much work stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// At least one task did.
    Some,
    /// All that were not idle did at once.
    Full,
}

/// Over which time a pressure is an average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The last 10 seconds.
    Avg10,
    /// The last minute.
    Avg60,
}

/// In what a signal is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Percent,
    Bytes,
    Plain,
    YesNo,
    /// A number or yes and no, as the check has it.
    Any,
}

impl Signal {
    /// Memory pressure: some work stood still, over the last 10 seconds. The one to ask first, since it rises before memory ends.
    #[must_use]
    pub const fn memory_pressure() -> Self {
        Self::Pressure { resource: Resource::Memory, kind: Stall::Some, span: Span::Avg10 }
    }

    pub(super) const fn unit(&self) -> Unit {
        match self {
            Self::Cpu | Self::Memory | Self::Swap | Self::Pressure { .. } | Self::DiskFreePercent(_) => {
                Unit::Percent
            }
            Self::DiskFreeBytes(_) => Unit::Bytes,
            Self::LoadPerCore => Unit::Plain,
            Self::Mounted(_) | Self::Exists(_) | Self::Answers(_) => Unit::YesNo,
            Self::Custom(_) => Unit::Any,
        }
    }

    /// Whether little of it is what is bad.
    pub(super) const fn is_supply(&self) -> bool {
        matches!(self, Self::DiskFreeBytes(_) | Self::DiskFreePercent(_))
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::DiskFreeBytes(path)
            | Self::DiskFreePercent(path)
            | Self::Mounted(path)
            | Self::Exists(path) => Some(path),
            _ => None,
        }
    }

    /// A number of it as a sentence says it.
    pub(super) fn shown(&self, number: f64) -> String {
        match self.unit() {
            Unit::Percent => format!("{} %", plain(number)),
            Unit::Bytes => about_size(whole(number)),
            Unit::Plain | Unit::YesNo | Unit::Any => plain(number),
        }
    }
}

/// Two digits behind the point at most, and none that says nothing.
fn plain(number: f64) -> String {
    if number.abs() >= 1e15 {
        return format!("{number:e}");
    }
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number of bytes that may come from anywhere.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from float saturates")]
pub(super) const fn whole(number: f64) -> u64 {
    number as u64
}

impl fmt::Display for Signal {
    /// What it is, as the subject of a sentence: `memory use`, `the free space of /var`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |path: &Path| shortened(&shown(&path.to_string_lossy()), SAID_MAX);
        match self {
            Self::Cpu => f.write_str("processor use"),
            Self::Memory => f.write_str("memory use"),
            Self::Swap => f.write_str("swap use"),
            Self::LoadPerCore => f.write_str("the load per core"),
            Self::Pressure { resource, kind, span } => {
                let resource = match resource {
                    Resource::Cpu => "processor",
                    Resource::Memory => "memory",
                    Resource::Io => "disk",
                };
                let kind = match kind {
                    Stall::Some => "",
                    Stall::Full => " of all tasks",
                };
                let span = match span {
                    Span::Avg10 => "10 s",
                    Span::Avg60 => "60 s",
                };
                write!(f, "{resource} pressure{kind} over {span}")
            }
            Self::DiskFreeBytes(path) | Self::DiskFreePercent(path) => {
                write!(f, "the free space of {}", said(path))
            }
            Self::Mounted(path) | Self::Exists(path) => f.write_str(&said(path)),
            Self::Answers(address) => f.write_str(&shortened(&shown(address), SAID_MAX)),
            Self::Custom(name) => write!(f, "the check {}", shortened(&shown(name), SAID_MAX)),
        }
    }
}
