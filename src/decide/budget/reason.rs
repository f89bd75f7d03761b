//! What the budget decides, and why. Shares of tokens are thousandths.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::Timestamp;

/// Whether a retry may be made.
#[must_use = "a retry that is refused must not be made"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It may, and is paid for.
    Allow {
        /// Why.
        why: Allowing,
    },
    /// It may not, and costs nothing.
    Refuse {
        /// Why not.
        why: Refusing,
        /// How long until it may, if nobody else takes it.
        wait: Duration,
        /// When that is.
        retry_at: Timestamp,
    },
}

/// Why a retry may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowing {
    /// The budget pays for it.
    Within {
        /// What it costs, in thousandths of a token.
        cost: u32,
        /// What is left after it, in thousandths of a token.
        left: u64,
        /// How many tokens there are at most.
        tokens_max: u32,
    },
    /// The policy says that it costs nothing.
    Free,
}

/// Why a retry may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusing {
    /// There is less than it costs.
    Spent {
        /// What it costs, in thousandths of a token.
        cost: u32,
        /// What is left, in thousandths of a token.
        left: u64,
        /// How many tokens there are at most.
        tokens_max: u32,
        /// How many come back in each period.
        refill: u32,
        /// The period.
        period: Duration,
    },
}

/// What was noticed while a snapshot was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restoring {
    /// The policy has changed since: as many tokens as were spent are spent still, at most all of the new ones.
    ConfigurationChanged,
    /// The wall clock is before the instant of saving; the time since is taken as zero.
    ClockSteppedBack {
        /// By how much.
        by: Duration,
    },
}

impl Explain for Allowing {
    fn code(&self) -> &'static str {
        match self {
            Self::Within { .. } => "budget.within",
            Self::Free => "budget.free",
        }
    }
}

impl fmt::Display for Allowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within { cost, left, tokens_max } => write!(
                f,
                "the retry costs {}, {} of {tokens_max} are left",
                Tokens(u64::from(*cost)),
                Tokens(*left)
            ),
            Self::Free => f.write_str("the retry costs nothing"),
        }
    }
}

impl Explain for Refusing {
    fn code(&self) -> &'static str {
        match self {
            Self::Spent { .. } => "budget.spent",
        }
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spent { cost, left, tokens_max, refill, period } => write!(
                f,
                "the retry would cost {}, {} of {tokens_max} are left, {refill} come back in {period:?}",
                Tokens(u64::from(*cost)),
                Tokens(*left)
            ),
        }
    }
}

impl Explain for Restoring {
    fn code(&self) -> &'static str {
        match self {
            Self::ConfigurationChanged => "budget.configuration_changed",
            Self::ClockSteppedBack { .. } => "budget.clock_stepped_back",
        }
    }
}

impl fmt::Display for Restoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigurationChanged => f.write_str(
                "the policy has changed, so what was spent is kept, at most all of the new budget",
            ),
            Self::ClockSteppedBack { by } => {
                write!(f, "the wall clock is {by:?} before what was saved, so no time has passed")
            }
        }
    }
}

/// Thousandths of a token, as a decimal number of at most three places.
struct Tokens(u64);

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        match part {
            0 => write!(f, "{whole}"),
            part if part % 100 == 0 => write!(f, "{whole}.{}", part / 100),
            part if part % 10 == 0 => write!(f, "{whole}.{:02}", part / 10),
            part => write!(f, "{whole}.{part:03}"),
        }
    }
}
