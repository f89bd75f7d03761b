//! The rules of idempotency: what a second claim of the same key is told, and what a takeover may do.
//!
//! Pure: what is stored comes in, a decision goes out. `ledger::StoreLedger` carries it out on any store.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::time::Timestamp;

/// How far a claimed key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Somebody works on it, or died while at it.
    Claimed,
    /// Done; the result is stored.
    Succeeded,
    /// Failed for good; the fault is stored.
    Failed,
    /// Given back: it was not done, and may be tried again.
    Released,
    /// Nobody knows whether it was done; a person is asked.
    NeedsReview,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Claimed, Self::Succeeded, Self::Failed, Self::Released, Self::NeedsReview];

    /// The stable word that is stored and printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::NeedsReview => "needs_review",
        }
    }

    /// The status that was stored as `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// What stands under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// How far it has come.
    pub status: Status,
    /// The fingerprint of the payload that it was claimed with.
    pub fingerprint: &'a str,
    /// Until when its holder's lease runs; `None` when it is over or there is none. Judged by the store's clock.
    pub leased_until: Option<Timestamp>,
    /// When it may be forgotten.
    pub expires_at: Option<Timestamp>,
}

/// What a claim is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// The key is free: do the work.
    Fresh(Free),
    /// It is settled: use the stored outcome, do nothing.
    Duplicate(Settled),
    /// Somebody is at it.
    Busy {
        /// Until when, unless the lease is renewed.
        until: Timestamp,
    },
    /// The same key was claimed with another payload: a defect of the caller, never a duplicate.
    Conflict,
    /// Somebody was at it and is gone: take over, and mind what [`after_takeover`] says.
    TakeOver,
}

/// Why a key is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Free {
    /// It was never claimed.
    New,
    /// The earlier claim was given back.
    Released,
    /// The earlier entry had expired.
    Expired {
        /// When.
        at: Timestamp,
    },
}

/// How a settled key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was done.
    Succeeded,
    /// It failed for good.
    Failed,
    /// A person is asked.
    NeedsReview,
}

/// Judges a claim with payload `fingerprint` against what is stored.
///
/// The payload is compared before the lease is looked at: "busy" would tell a caller with a different payload to come
/// back, and then it would be told that its work is done.
pub fn claim(entry: Option<Entry<'_>>, fingerprint: &str, now: Timestamp) -> Decision {
    let Some(entry) = entry else { return Decision::Fresh(Free::New) };
    if let Some(at) = entry.expires_at
        && at <= now
        && entry.leased_until.is_none()
        && entry.status != Status::Claimed
    {
        return Decision::Fresh(Free::Expired { at });
    }
    if entry.fingerprint != fingerprint {
        return Decision::Conflict;
    }
    match entry.status {
        Status::Succeeded => Decision::Duplicate(Settled::Succeeded),
        Status::Failed => Decision::Duplicate(Settled::Failed),
        Status::NeedsReview => Decision::Duplicate(Settled::NeedsReview),
        Status::Released => Decision::Fresh(Free::Released),
        Status::Claimed => match entry.leased_until {
            Some(until) => Decision::Busy { until },
            None => Decision::TakeOver,
        },
    }
}

impl Explain for Decision {
    fn code(&self) -> &'static str {
        match self {
            Self::Fresh(Free::New) => "claim.fresh",
            Self::Fresh(Free::Released) => "claim.released",
            Self::Fresh(Free::Expired { .. }) => "claim.expired",
            Self::Duplicate(Settled::Succeeded) => "claim.duplicate",
            Self::Duplicate(Settled::Failed) => "claim.duplicate_failed",
            Self::Duplicate(Settled::NeedsReview) => "claim.duplicate_in_review",
            Self::Busy { .. } => "claim.busy",
            Self::Conflict => "claim.conflict",
            Self::TakeOver => "claim.take_over",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh(Free::New) => f.write_str("the key was never claimed before"),
            Self::Fresh(Free::Released) => f.write_str("the earlier claim of the key was given back"),
            Self::Fresh(Free::Expired { at }) => write!(f, "the earlier entry of the key expired at {at}"),
            Self::Duplicate(Settled::Succeeded) => f.write_str("the same work was done before"),
            Self::Duplicate(Settled::Failed) => f.write_str("the same work failed for good before"),
            Self::Duplicate(Settled::NeedsReview) => {
                f.write_str("nobody knows whether the same work was done; a person is asked")
            }
            Self::Busy { until } => write!(f, "somebody works on the key, by lease until {until}"),
            Self::Conflict => f.write_str("the key was claimed before with another payload"),
            Self::TakeOver => f.write_str("whoever worked on the key is gone"),
        }
    }
}

/// What is known about work that a takeover found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastKnown {
    /// It was claimed, and its effect was not yet begun.
    NotStarted,
    /// Its effect was begun, and no end is recorded.
    Started,
}

/// What a takeover does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum AfterTakeover {
    /// Do the work (again).
    Rerun(Rerun),
    /// Ask the other side first whether it was done.
    Verify,
    /// Ask a person: it may have been done, and doing it twice may do harm.
    Review,
}

/// Why doing it again does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rerun {
    /// It was not begun.
    NotStarted,
    /// It changes nothing outside.
    Pure,
    /// The other side knows the key.
    Idempotent,
}

/// What may happen to work whose worker is gone, by the effect class that its author declared.
///
/// ```
/// use unattended::claim::{AfterTakeover, LastKnown, after_takeover};
/// use unattended::effect::Effect;
///
/// assert_eq!(after_takeover(Effect::Unsafe, LastKnown::Started), AfterTakeover::Review);
/// ```
pub const fn after_takeover(effect: Effect, last_known: LastKnown) -> AfterTakeover {
    match (effect, last_known) {
        (_, LastKnown::NotStarted) => AfterTakeover::Rerun(Rerun::NotStarted),
        (Effect::Pure, LastKnown::Started) => AfterTakeover::Rerun(Rerun::Pure),
        (Effect::Idempotent, LastKnown::Started) => AfterTakeover::Rerun(Rerun::Idempotent),
        (Effect::Verifiable, LastKnown::Started) => AfterTakeover::Verify,
        (Effect::Unsafe, LastKnown::Started) => AfterTakeover::Review,
    }
}

impl Explain for AfterTakeover {
    fn code(&self) -> &'static str {
        match self {
            Self::Rerun(Rerun::NotStarted) => "takeover.not_started",
            Self::Rerun(Rerun::Pure) => "takeover.rerun_pure",
            Self::Rerun(Rerun::Idempotent) => "takeover.rerun_idempotent",
            Self::Verify => "takeover.verify",
            Self::Review => "takeover.outcome_unknown",
        }
    }
}

impl fmt::Display for AfterTakeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rerun(Rerun::NotStarted) => "the worker before died before it began",
            Self::Rerun(Rerun::Pure) => {
                "the worker before died in the middle; the work is pure and runs again"
            }
            Self::Rerun(Rerun::Idempotent) => {
                "the worker before died in the middle; the other side knows the key, so it runs again"
            }
            Self::Verify => "the worker before died in the middle; whether it was done is asked first",
            Self::Review => "the worker before died in the middle of an unsafe effect: was it done?",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn entry(status: Status) -> Entry<'static> {
        Entry { status, fingerprint: "a", leased_until: None, expires_at: None }
    }

    fn soon() -> Timestamp {
        NOW + Duration::from_secs(1)
    }

    #[test]
    fn a_payload_conflict_is_found_before_busy() {
        let held = Entry { leased_until: Some(soon()), ..entry(Status::Claimed) };
        assert_eq!(claim(Some(held), "b", NOW), Decision::Conflict);
        assert_eq!(claim(Some(held), "a", NOW), Decision::Busy { until: soon() });
    }

    #[test]
    fn a_payload_conflict_is_found_in_every_status() {
        for status in Status::ALL {
            assert_eq!(claim(Some(entry(status)), "b", NOW), Decision::Conflict, "{status:?}");
        }
    }

    #[test]
    fn each_status_has_its_answer() {
        let told = |status| claim(Some(entry(status)), "a", NOW);
        assert_eq!(claim(None, "a", NOW), Decision::Fresh(Free::New));
        assert_eq!(told(Status::Claimed), Decision::TakeOver);
        assert_eq!(told(Status::Released), Decision::Fresh(Free::Released));
        assert_eq!(told(Status::Succeeded), Decision::Duplicate(Settled::Succeeded));
        assert_eq!(told(Status::Failed), Decision::Duplicate(Settled::Failed));
        assert_eq!(told(Status::NeedsReview), Decision::Duplicate(Settled::NeedsReview));
    }

    #[test]
    fn an_expired_entry_frees_the_key_for_any_payload() {
        let expired = Entry { expires_at: Some(NOW), ..entry(Status::Succeeded) };
        assert_eq!(claim(Some(expired), "b", NOW), Decision::Fresh(Free::Expired { at: NOW }));
        let later = Entry { expires_at: Some(soon()), ..expired };
        assert_eq!(claim(Some(later), "b", NOW), Decision::Conflict);
    }

    #[test]
    fn nothing_expires_while_its_outcome_is_open() {
        let held = Entry { leased_until: Some(soon()), expires_at: Some(NOW), ..entry(Status::Claimed) };
        assert_eq!(claim(Some(held), "a", NOW), Decision::Busy { until: soon() });
        let orphan = Entry { leased_until: None, ..held };
        assert_eq!(claim(Some(orphan), "a", NOW), Decision::TakeOver);
    }

    #[test]
    fn an_unsafe_effect_that_was_begun_is_never_run_again_by_itself() {
        for effect in [Effect::Pure, Effect::Idempotent, Effect::Verifiable, Effect::Unsafe] {
            assert!(matches!(after_takeover(effect, LastKnown::NotStarted), AfterTakeover::Rerun(_)));
        }
        assert_eq!(after_takeover(Effect::Unsafe, LastKnown::Started), AfterTakeover::Review);
        assert_eq!(after_takeover(Effect::Verifiable, LastKnown::Started), AfterTakeover::Verify);
    }

    #[test]
    fn words_go_round() {
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.as_str()), Some(status));
        }
        assert_eq!(Status::from_word("done"), None);
    }
}
