//! The limit of this process, by governor: one for the dependency, or one for each account of it.

use crate::act::call::gate::Gate;
use crate::act::limit::{Admit, KeyedRate, Rate};
use crate::base::time::Moment;

/// For whom a rate limit counts. Made from a [`Rate`] (everybody together) or a [`KeyedRate`] (each account for itself).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RateLimit {
    /// Everybody together.
    Together(Rate),
    /// Each account for itself; a call without an account is one more.
    Each(KeyedRate),
}

impl RateLimit {
    pub(super) fn admit(&self, gate: Gate<'_>, now: Moment) -> Admit {
        match self {
            Self::Together(rate) => rate.admit(now),
            Self::Each(rate) => rate.admit(gate.account().unwrap_or_default(), now),
        }
    }
}

impl From<Rate> for RateLimit {
    fn from(rate: Rate) -> Self {
        Self::Together(rate)
    }
}

impl From<KeyedRate> for RateLimit {
    fn from(rate: KeyedRate) -> Self {
        Self::Each(rate)
    }
}
