//! Why a token is refreshed, why it is given, why none is.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::fault::Class;
use crate::base::time::Timestamp;

/// Why a token is to be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Due {
    /// There is none yet.
    Absent,
    /// It is within the margin before its end.
    Soft {
        /// What is left of it.
        left: Duration,
        /// The margin, with its jitter.
        margin: Duration,
    },
    /// It is over.
    Over {
        /// When it ended, by the wall clock.
        expired_at: Timestamp,
    },
    /// It would end before it is no longer needed.
    TooShort {
        /// What is left of it.
        left: Duration,
        /// How long it is needed.
        needed: Duration,
    },
    /// The other side has refused it.
    Rejected,
    /// By the monotonic clock it is within its margin or over, and the wall clock says otherwise: that went back.
    ClockWentBack {
        /// By how much the clocks differ.
        by: Duration,
    },
}

/// Why a token that is given is this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Serving {
    /// It is well before its end.
    Fresh {
        /// What is left of it.
        left: Duration,
    },
    /// It was refreshed just now.
    Refreshed {
        /// Why.
        because: Due,
    },
    /// Another process has refreshed it.
    Adopted {
        /// Why it was looked for.
        because: Due,
    },
    /// Somebody else refreshes it, and it is still valid.
    Refreshing {
        /// What is left of it.
        left: Duration,
    },
    /// It could not be refreshed, and is still valid.
    StaleAfterFailure {
        /// The class of the last failure.
        class: Class,
        /// How many there were in a row.
        failures: u32,
        /// What is left of it.
        left: Duration,
        /// When the next refresh is tried.
        retry_at: Timestamp,
    },
    /// A refresh was refused for good, and it is still valid.
    StaleNeedsHuman {
        /// The class of the refusal.
        class: Class,
        /// What is left of it.
        left: Duration,
    },
    /// It was refreshed, the new one could not be saved yet, and the old one is still valid.
    StaleUnsaved {
        /// What is left of the old one.
        left: Duration,
    },
    /// It could not be saved, and is used all the same, because the one before it is gone. Saving goes on being tried; a
    /// crash before that loses it.
    Unsaved {
        /// What is left of it.
        left: Duration,
    },
    /// The store cannot be asked whether another process has refreshed it, and it is still valid.
    StaleStoreDown {
        /// What is left of it.
        left: Duration,
    },
}

/// Why no token is given, and no call should be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// A refresh was refused for good (revoked, password changed): a person has to see to it.
    NeedsHuman {
        /// The class of the refusal.
        class: Class,
    },
    /// There is no valid token, and it could not be refreshed.
    RefreshFailed {
        /// The class of the last failure.
        class: Class,
        /// How many there were in a row.
        failures: u32,
        /// When the next refresh is tried.
        retry_at: Timestamp,
    },
    /// There is no valid token, and the breaker of its refresh is open.
    Open {
        /// When it may be tried again.
        retry_at: Timestamp,
    },
    /// There is no valid token, and another process, or a thread that does not come back, is at the refresh.
    Elsewhere {
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
    /// There is no valid token, and the store in which it is shared cannot be used.
    StoreDown {
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
}

impl Refusing {
    /// When asking again makes sense; `None` where only a person can help.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::NeedsHuman { .. } => None,
            Self::RefreshFailed { retry_at, .. }
            | Self::Open { retry_at }
            | Self::Elsewhere { retry_at }
            | Self::StoreDown { retry_at } => Some(*retry_at),
        }
    }

    /// Whether only a person can help.
    #[must_use]
    pub const fn needs_human(&self) -> bool {
        matches!(self, Self::NeedsHuman { .. })
    }
}

impl Explain for Due {
    fn code(&self) -> &'static str {
        match self {
            Self::Absent => "credential.absent",
            Self::Soft { .. } => "credential.expires_soon",
            Self::Over { .. } => "credential.expired",
            Self::TooShort { .. } => "credential.too_short",
            Self::Rejected => "credential.rejected",
            Self::ClockWentBack { .. } => "credential.clock_went_back",
        }
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no token yet"),
            Self::Soft { left, margin } => {
                write!(f, "{left:?} of it are left, and it is refreshed {margin:?} before its end")
            }
            Self::Over { expired_at } => write!(f, "it ended at {expired_at}"),
            Self::TooShort { left, needed } => {
                write!(f, "{left:?} of it are left, and it is needed for {needed:?}")
            }
            Self::Rejected => f.write_str("the other side has refused it"),
            Self::ClockWentBack { by } => {
                write!(f, "the wall clock went back by {by:?}, its time has passed")
            }
        }
    }
}

impl Explain for Serving {
    fn code(&self) -> &'static str {
        match self {
            Self::Fresh { .. } => "credential.fresh",
            Self::Refreshed { .. } => "credential.refreshed",
            Self::Adopted { .. } => "credential.adopted",
            Self::Refreshing { .. } => "credential.refreshing",
            Self::StaleAfterFailure { .. } => "credential.stale_after_failure",
            Self::StaleNeedsHuman { .. } => "credential.stale_needs_human",
            Self::StaleUnsaved { .. } => "credential.stale_unsaved",
            Self::Unsaved { .. } => "credential.unsaved",
            Self::StaleStoreDown { .. } => "credential.stale_store_down",
        }
    }
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh { left } => write!(f, "{left:?} of it are left"),
            Self::Refreshed { because } => write!(f, "it was refreshed, because {because}"),
            Self::Adopted { because } => write!(f, "another process has refreshed it, because {because}"),
            Self::Refreshing { left } => {
                write!(f, "somebody refreshes it, and {left:?} of the old one are left")
            }
            Self::StaleAfterFailure { class, failures, left, retry_at } => write!(
                f,
                "{failures} refreshes in a row have failed, the last was {class}; {left:?} of the old one are left, the next try is at {retry_at}"
            ),
            Self::StaleNeedsHuman { class, left } => {
                write!(f, "its refresh was refused for good ({class}); {left:?} of the old one are left")
            }
            Self::StaleUnsaved { left } => {
                write!(f, "the new one is not saved yet, and {left:?} of the old one are left")
            }
            Self::Unsaved { left } => {
                write!(f, "it is not saved yet, and the one before it is gone; {left:?} of it are left")
            }
            Self::StaleStoreDown { left } => {
                write!(f, "the store cannot be used, and {left:?} of the old one are left")
            }
        }
    }
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::NeedsHuman { .. } => "credential.needs_human",
            Self::RefreshFailed { .. } => "credential.refresh_failed",
            Self::Open { .. } => "credential.breaker_open",
            Self::Elsewhere { .. } => "credential.elsewhere",
            Self::StoreDown { .. } => "credential.store_down",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsHuman { class } => {
                write!(f, "its refresh was refused for good ({class}), a person has to see to it")
            }
            Self::RefreshFailed { class, failures, retry_at } => write!(
                f,
                "{failures} refreshes in a row have failed, the last was {class}; the next try is at {retry_at}"
            ),
            Self::Open { retry_at } => {
                write!(f, "the breaker of its refresh is open, the next try is at {retry_at}")
            }
            Self::Elsewhere { retry_at } => {
                write!(f, "somebody else refreshes it and has not ended; ask again at {retry_at}")
            }
            Self::StoreDown { retry_at } => {
                write!(f, "the store in which it is shared cannot be used; ask again at {retry_at}")
            }
        }
    }
}
