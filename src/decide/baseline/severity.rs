//! How bad a line says that it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a line says that it is, from the least to the worst.
///
/// A line that does not say so is [`Unknown`](Self::Unknown), which stands above all others: nothing says that it is harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For whoever looks for a fault.
    Debug,
    /// All is as it should be.
    Info,
    /// As it should be, and worth knowing.
    Notice,
    /// It may become a fault.
    Warn,
    /// Something has failed.
    Error,
    /// The program cannot go on.
    Fatal,
    /// Nothing is said.
    #[default]
    Unknown,
}

impl Severity {
    /// The word in capitals: `ERROR`; `-` where nothing is said.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Unknown => "-",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
