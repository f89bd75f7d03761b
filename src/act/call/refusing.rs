//! Why a call may not be made now.

use std::fmt;
use std::time::Duration;

use crate::act::credential;
use crate::base::explain::Explain;
#[cfg(feature = "store")]
use crate::base::text::second;
#[cfg(feature = "store")]
use crate::base::time::Timestamp;
use crate::decide::{breaker, budget, quota};
#[cfg(feature = "store")]
use crate::remember::holds::Switch;

/// Why a call may not be made now, or not be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// The retry budget of the dependency is spent.
    Budget(budget::Refusing),
    /// The breaker of the dependency refuses it.
    Breaker(breaker::Refusing),
    /// The quota is used up, for longer than is waited here.
    Quota(quota::Refusing),
    /// The rate limit of this process is reached, for longer than is waited here.
    #[cfg(feature = "rate-limit")]
    RateLimit(crate::act::limit::Refusing),
    /// As many calls as are allowed are out, and none has come back in time.
    Full {
        /// How many may be out.
        limit: u32,
        /// How many others wait.
        waiting: u32,
        /// How long this one has waited.
        waited: Duration,
    },
    /// The deadline has passed before the first attempt, or waiting for its turn has used up the time for all attempts.
    OutOfTime {
        /// How long it has waited for its turn.
        waited: Duration,
    },
    /// The credential cannot be used now.
    Credential(credential::Refusing),
    /// A person holds the dependency, or has forced its breaker open.
    #[cfg(feature = "store")]
    Held {
        /// Which of the two.
        switch: Switch,
        /// Until when; without an end, until it is released.
        until: Option<Timestamp>,
    },
    /// What processes share cannot be read or written, and the policy for that is to refuse.
    StoreDown,
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::Budget(why) => why.code(),
            Self::Breaker(why) => why.code(),
            Self::Quota(why) => why.code(),
            #[cfg(feature = "rate-limit")]
            Self::RateLimit(why) => why.code(),
            Self::Full { .. } => "call.full",
            Self::OutOfTime { .. } => "call.out_of_time",
            Self::Credential(why) => why.code(),
            #[cfg(feature = "store")]
            Self::Held { switch: Switch::Hold, .. } => "hold.dependency",
            #[cfg(feature = "store")]
            Self::Held { switch: Switch::Breaker(_), .. } => "breaker.forced_open",
            Self::StoreDown => "call.store_down",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(why) => why.fmt(f),
            Self::Breaker(why) => why.fmt(f),
            Self::Quota(why) => why.fmt(f),
            #[cfg(feature = "rate-limit")]
            Self::RateLimit(why) => why.fmt(f),
            Self::Full { limit, waiting, waited } => {
                write!(
                    f,
                    "{limit} calls are out, which is the limit; waited {waited:?}, and {waiting} others wait"
                )
            }
            Self::OutOfTime { waited } => {
                write!(f, "the time is over before the first attempt; waited {waited:?} for its turn")
            }
            Self::Credential(why) => why.fmt(f),
            #[cfg(feature = "store")]
            Self::Held { switch, until } => {
                f.write_str(match switch {
                    Switch::Hold => "a person holds it",
                    Switch::Breaker(_) => "a person has forced its breaker open",
                })?;
                match until {
                    Some(until) => write!(f, " until {}", second(*until)),
                    None => f.write_str(" until it is released"),
                }
            }
            Self::StoreDown => f.write_str(
                "what is shared with other processes cannot be read or written, and then nothing is called",
            ),
        }
    }
}
