//! What something is about: a job or a dependency, by its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most bytes of a name that stand in a key.
const NAME_MAX: usize = 400;

/// What statistics, alerts and holds are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A job, by its name.
    Job(String),
    /// A dependency, by its name.
    Dependency(String),
}

/// A text that names no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is neither job:NAME nor dependency:NAME")]
pub struct NoSubject {
    /// What it was.
    pub given: String,
}

impl Subject {
    /// The job called `name`.
    #[must_use]
    pub fn job(name: impl Into<String>) -> Self {
        Self::Job(name.into())
    }

    /// The dependency called `name`.
    #[must_use]
    pub fn dependency(name: impl Into<String>) -> Self {
        Self::Dependency(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Job(name) | Self::Dependency(name) => name,
        }
    }

    /// What it is, as a word: `job` or `dependency`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Job(_) => "job",
            Self::Dependency(_) => "dependency",
        }
    }

    /// As it is typed: `job:NAME`, `dependency:NAME`. The other way round it is read by [`FromStr`].
    #[must_use]
    pub fn typed(&self) -> String {
        format!("{}:{}", self.word(), self.name())
    }

    /// The end of a key in a store: `job/NAME`. Of a name of more than 400 bytes only so many count.
    #[must_use]
    #[cfg(feature = "store")]
    pub(crate) fn path(&self) -> String {
        let name = self.name();
        let end = (0..=NAME_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        // No store takes a NUL in a key.
        format!("{}/{}", self.word(), name[..end].replace('\0', "?"))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word(), self.name())
    }
}

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let bad = || NoSubject { given: text.chars().take(200).collect() };
        let (word, name) = text.split_once(':').ok_or_else(bad)?;
        if name.trim().is_empty() || name.contains('\0') || name.len() > NAME_MAX {
            return Err(bad());
        }
        match word {
            "job" => Ok(Self::job(name)),
            "dependency" => Ok(Self::dependency(name)),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_typed() {
        for subject in [Subject::job("backup"), Subject::dependency("s3:eu"), Subject::job("ü b")] {
            assert_eq!(subject.typed().parse(), Ok(subject));
        }
        for bad in ["", "backup", "job:", "job: ", "host:a", "job:\0", "Job:a"] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }
}
