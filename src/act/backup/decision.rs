//! What becomes of a file, decided without touching anything.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::backup::policy::Policy;
use crate::base::canonical::Fingerprint;
use crate::base::time::{Timestamp, between};
use crate::decide::similarity::Verdict;

/// What became of a file, and why.
#[must_use = "it says what became of a file"]
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is stored for the first time, or again after it was gone.
    Created(Creating),
    /// Its change is stored.
    Updated(Storing),
    /// It has changed, and that waits.
    Skipped {
        /// Why the change is not meaningful.
        verdict: Verdict,
        /// What waits.
        drift: Drift,
    },
    /// It is what is stored.
    Unchanged(Keeping),
    /// It was stored and is no longer there; its versions are kept.
    Gone(Going),
    /// It is none that is backed up.
    Passed(Passing),
    /// It could not be read this time; its versions are kept.
    Failed(Failing),
}

/// Why a file is stored that has no version to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Creating {
    /// It has never been stored.
    First {
        /// Its size.
        bytes: u64,
    },
    /// It was gone and is back.
    Returned {
        /// Its size.
        bytes: u64,
        /// The run that found it gone.
        gone: u64,
    },
}

/// Why a change is stored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Storing {
    /// The change is meaningful, or is taken to be since deciding it costs too much.
    Changed(Verdict),
    /// A small change has waited long enough.
    Waited {
        /// How long.
        waited: Duration,
        /// How long it may.
        age_max: Duration,
    },
    /// A small change was skipped often enough.
    SkippedOften {
        /// How often.
        skips: u32,
        /// How often it may be.
        skips_max: u32,
    },
    /// Little or nothing is left of it. The version before is pinned.
    Shrunk {
        /// The stored size.
        from: u64,
        /// The size now.
        to: u64,
    },
    /// The stored version is damaged or cannot be read, so there is nothing to compare with.
    ReferenceLost,
    /// How long changes have waited is no longer known, so none waits longer.
    StateLost,
    /// Its content is the same, its permissions are not.
    Mode {
        /// The stored permission bits.
        from: u32,
        /// Those that it has now.
        to: u32,
    },
    /// The filter of the policy panicked over it, so nobody knows what of the change counts.
    FilterPanicked {
        /// What it said.
        said: String,
    },
    /// The clock stands before the instant at which the change was first seen, so how long it has waited is not known.
    ClockSteppedBack {
        /// By how much.
        by: Duration,
    },
}

/// Why a file needs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keeping {
    /// Its content has the hash of the stored version.
    SameHash,
    /// Size, times and inode are those of the stored version, and are trusted.
    SameMetadata,
}

/// How a file that was stored is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Going {
    /// There is nothing of its name.
    Vanished,
    /// Something that is no file has its name.
    Became(Kind),
}

/// Why something is not backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Passing {
    /// It is no regular file.
    NotAFile(Kind),
    /// It is the store itself.
    TheStore,
}

/// What is no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A folder.
    Folder,
    /// A symbolic link; it is not followed.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// Something else.
    Other,
}

/// Why a file or folder could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failing {
    /// It went away between being listed and being opened.
    Vanished,
    /// The system said so.
    Unreadable {
        /// What kind of error that was.
        kind: io::ErrorKind,
        /// What the system said.
        said: String,
    },
    /// Its folder lies deeper than is looked.
    TooDeep {
        /// How deep is looked at most.
        depth_max: usize,
    },
    /// Its path is too long for a name.
    NameTooLong,
}

/// A change that waits to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drift {
    /// The run's time at which it was first seen.
    #[serde(rename = "a", with = "chrono::serde::ts_milliseconds")]
    pub since: Timestamp,
    /// How often it was skipped.
    #[serde(rename = "k")]
    pub skips: u32,
    /// The stored version that it is a change of.
    #[serde(rename = "r")]
    pub stored: Fingerprint,
    /// The content that was last seen.
    #[serde(rename = "h")]
    pub seen: Fingerprint,
    /// The stored size.
    #[serde(rename = "f")]
    pub from: u64,
    /// The size that was last seen.
    #[serde(rename = "n")]
    pub to: u64,
    /// How many bytes were inserted and deleted at most, as the policy counts them.
    #[serde(rename = "d")]
    pub changed_at_most: u64,
}

/// What is known of a file when it is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What was read now.
    pub hash: Fingerprint,
    /// How much of it.
    pub bytes: u64,
    /// Its permission bits.
    pub mode: u32,
    /// The last stored version, if there is one.
    pub stored: Option<Stored>,
    /// The change that waits, if there is one.
    pub pending: Pending,
}

/// What is known of the last stored version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its hash.
    pub hash: Fingerprint,
    /// Its size.
    pub bytes: u64,
    /// Its permission bits.
    pub mode: u32,
    /// The run that found the file gone, if that was after this version.
    pub gone: Option<u64>,
    /// Whether it is known to be damaged.
    pub damaged: bool,
}

/// What is known of a change that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// None does.
    Nothing,
    /// One does.
    Waits(Drift),
    /// Nobody knows: the record is damaged or missing.
    Lost,
}

/// What a comparison with the stored version gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Compared {
    /// A verdict.
    Verdict(Verdict),
    /// The stored version cannot be read.
    Lost,
    /// The filter panicked.
    FilterPanicked {
        /// What it said.
        said: String,
    },
}

/// Decides what becomes of a file that was read.
///
/// `compare` is asked at most once, and only where the answer is not known without it. The comparison is always with the
/// last stored version, so small changes add up until they are stored.
///
/// ```
/// use unattended::backup::{Compared, Creating, Decision, Facts, Pending, Policy, decide};
/// use unattended::canonical::Fingerprint;
///
/// let hash = Fingerprint::of_bytes("new");
/// let facts = Facts { hash, bytes: 3, mode: 0o644, stored: None, pending: Pending::Nothing };
/// let at = "2026-08-01T00:00:00Z".parse()?;
/// let decision = decide(&facts, &Policy::default(), at, || Compared::Lost);
/// assert_eq!(decision, Decision::Created(Creating::First { bytes: 3 }));
/// # Ok::<(), chrono::ParseError>(())
/// ```
pub fn decide(
    facts: &Facts,
    policy: &Policy,
    now: Timestamp,
    compare: impl FnOnce() -> Compared,
) -> Decision {
    let Some(stored) = facts.stored else {
        return Decision::Created(Creating::First { bytes: facts.bytes });
    };
    if let Some(gone) = stored.gone {
        return Decision::Created(Creating::Returned { bytes: facts.bytes, gone });
    }
    if stored.damaged {
        return Decision::Updated(Storing::ReferenceLost);
    }
    if stored.hash == facts.hash {
        let (from, to) = (stored.mode & 0o7777, facts.mode & 0o7777);
        let same = from == to;
        return if same {
            Decision::Unchanged(Keeping::SameHash)
        } else {
            Decision::Updated(Storing::Mode { from, to })
        };
    }
    if let Some(why) = overdue(facts, &stored, policy, now) {
        return Decision::Updated(why);
    }
    match compare() {
        Compared::Lost => Decision::Updated(Storing::ReferenceLost),
        Compared::FilterPanicked { said } => Decision::Updated(Storing::FilterPanicked { said }),
        Compared::Verdict(verdict) if verdict.is_meaningful() => Decision::Updated(Storing::Changed(verdict)),
        Compared::Verdict(verdict) => {
            let drift = drift(facts, &stored, now, verdict.why().at_most);
            Decision::Skipped { verdict, drift }
        }
    }
}

/// Why the change is stored however small it is.
fn overdue(facts: &Facts, stored: &Stored, policy: &Policy, now: Timestamp) -> Option<Storing> {
    if has_shrunk(stored.bytes, facts.bytes, policy.shrunk_ppm) {
        return Some(Storing::Shrunk { from: stored.bytes, to: facts.bytes });
    }
    let (since, skips) = match &facts.pending {
        Pending::Lost => return Some(Storing::StateLost),
        // What waited was a change of another version.
        Pending::Waits(drift) if drift.stored == stored.hash => (drift.since, drift.skips),
        Pending::Waits(_) | Pending::Nothing => (now, 0),
    };
    if skips >= policy.skips_max {
        return Some(Storing::SkippedOften { skips, skips_max: policy.skips_max });
    }
    let age_max = policy.age_max?;
    if since > now {
        return Some(Storing::ClockSteppedBack { by: between(now, since) });
    }
    let waited = between(since, now);
    (waited >= age_max).then_some(Storing::Waited { waited, age_max })
}

fn drift(facts: &Facts, stored: &Stored, now: Timestamp, changed_at_most: u64) -> Drift {
    let before = match &facts.pending {
        Pending::Waits(drift) if drift.stored == stored.hash => Some(drift),
        Pending::Waits(_) | Pending::Nothing | Pending::Lost => None,
    };
    Drift {
        since: before.map_or(now, |drift| drift.since),
        skips: before.map_or(0, |drift| drift.skips).saturating_add(1),
        stored: stored.hash,
        seen: facts.hash,
        from: stored.bytes,
        to: facts.bytes,
        changed_at_most,
    }
}

/// Whether so little is left that it may be an accident.
fn has_shrunk(from: u64, to: u64, shrunk_ppm: u32) -> bool {
    let share = u128::from(from) * u128::from(shrunk_ppm);
    from > 0 && (to == 0 || u128::from(to) * 1_000_000 < share)
}

impl Decision {
    /// Whether it puts a new version into the store.
    #[must_use]
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Created(_) | Self::Updated(_))
    }
}

impl Failing {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Vanished,
            kind => Self::Unreadable { kind, said: error.to_string() },
        }
    }
}
