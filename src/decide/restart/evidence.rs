//! What was seen, for the person who is told.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::text;
use crate::base::time::Timestamp;
use crate::decide::restart::exit::{Class, How};

/// The most ends that are kept as evidence.
pub const EXITS_MAX: usize = 16;
/// Uptimes that differ by less than a part of so many are about the same.
const ALIKE: u32 = 10;

/// One end that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// How it ended.
    pub how: How,
    /// What that counts as.
    pub class: Class,
    /// How long it had been up.
    #[serde(rename = "uptime_ns", with = "span")]
    pub uptime: Duration,
    /// What makes it the same error as another.
    pub fingerprint: String,
    /// The end of its standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

/// A duration as nanoseconds.
mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::time::nanos;

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(nanos(*span))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

/// What was seen of the last ends. `Display` is one sentence about what they have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The last ends, at most [`EXITS_MAX`], the oldest first.
    pub exits: Vec<Past>,
    /// The errors among them, the most frequent first.
    pub errors: Vec<Counted>,
    /// How often it was started, as far back as the state goes.
    pub starts_total: u64,
    /// How often it has failed, as far back as the state goes.
    pub failures_total: u64,
    quick: Duration,
}

/// An error and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What makes it the same error.
    pub fingerprint: String,
    /// How often.
    pub count: u32,
}

/// Something that the last failures in a row have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// All are the same error.
    Same {
        /// How many.
        times: u32,
        /// Which.
        fingerprint: String,
    },
    /// They are several errors.
    Mixed {
        /// How many failures.
        times: u32,
        /// How many errors.
        errors: u32,
    },
    /// Each came right after the start.
    Quick {
        /// How soon.
        within: Duration,
    },
    /// Each came after about the same time: something fills up, or runs out.
    Alike {
        /// After how long, on the average.
        about: Duration,
    },
    /// Each was killed by SIGKILL: by the kernel for lack of memory, if by nobody else.
    Killed,
}

impl Evidence {
    pub(super) fn new(
        past: &VecDeque<Past>,
        quick: Duration,
        starts_total: u64,
        failures_total: u64,
    ) -> Self {
        let exits: Vec<Past> = past.iter().cloned().collect();
        let mut errors: Vec<Counted> = Vec::new();
        for Past { fingerprint, .. } in exits.iter().filter(|past| past.is_bad()) {
            match errors.iter_mut().find(|error| error.fingerprint == *fingerprint) {
                Some(error) => error.count += 1,
                None => errors.push(Counted { fingerprint: fingerprint.clone(), count: 1 }),
            }
        }
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        Self { exits, errors, starts_total, failures_total, quick }
    }

    /// When the first of these ends was.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.exits.first().map(|past| past.at)
    }

    /// When the last of these ends was.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.exits.last().map(|past| past.at)
    }

    /// What the failures since the last end that was none have in common.
    #[must_use]
    pub fn patterns(&self) -> Vec<Pattern> {
        let row: Vec<&Past> = self.exits.iter().rev().take_while(|past| past.is_bad()).collect();
        let times = u32::try_from(row.len()).unwrap_or(u32::MAX);
        let Some(last) = row.first() else { return Vec::new() };
        let mut errors: Vec<&str> = row.iter().map(|past| &*past.fingerprint).collect();
        errors.sort_unstable();
        errors.dedup();
        let mut patterns = vec![match errors.len() {
            1 => Pattern::Same { times, fingerprint: last.fingerprint.clone() },
            errors => Pattern::Mixed { times, errors: u32::try_from(errors).unwrap_or(u32::MAX) },
        }];
        if times < 2 {
            return patterns;
        }
        let uptimes = || row.iter().map(|past| past.uptime);
        let (least, most) = (uptimes().min().unwrap_or_default(), uptimes().max().unwrap_or_default());
        if most <= self.quick {
            patterns.push(Pattern::Quick { within: self.quick });
        } else if times > 2 && most.saturating_sub(least) <= least / ALIKE {
            let sum = uptimes().fold(Duration::ZERO, Duration::saturating_add);
            patterns.push(Pattern::Alike { about: sum / times });
        }
        if row.iter().all(|past| past.how == How::Signal(9)) {
            patterns.push(Pattern::Killed);
        }
        patterns
    }
}

impl Past {
    pub(super) const fn is_bad(&self) -> bool {
        matches!(self.class, Class::Failure | Class::Permanent)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.patterns();
        if patterns.is_empty() {
            return f.write_str("no failures");
        }
        for (at, pattern) in patterns.iter().enumerate() {
            write!(f, "{}{pattern}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same { times: 1, fingerprint } => write!(f, "one failure ({})", text::shown(fingerprint)),
            Self::Same { times, fingerprint } => {
                write!(f, "the same error {times} times in a row ({})", text::shown(fingerprint))
            }
            Self::Mixed { times, errors } => write!(f, "{times} failures in a row of {errors} kinds"),
            Self::Quick { within } => write!(f, "each within {} after its start", text::exact(*within)),
            Self::Alike { about } => write!(f, "each after about {}", text::about(*about)),
            Self::Killed => f.write_str("each killed, perhaps for lack of memory"),
        }
    }
}
