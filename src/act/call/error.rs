//! What is wrong with the description of a call.

use std::time::Duration;

use crate::base::fault;
use crate::decide::{breaker, budget, quota, retry};

/// An adapter that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody said what running the operation twice does to the world.
    #[error("call to {name} declares no effect, allowed is one of pure, idempotent, verifiable, unsafe")]
    NoEffect {
        /// The dependency.
        name: String,
    },
    /// A number of zero where there must be one.
    #[error("call to {name}: {field} is zero, allowed is more than that")]
    Zero {
        /// The dependency.
        name: String,
        /// Which knob.
        field: &'static str,
    },
    /// The deadline has passed before the first call.
    #[error("call to {name}: deadline is {ago:?} in the past, allowed is a later instant")]
    DeadlinePassed {
        /// The dependency.
        name: String,
        /// How long ago it was.
        ago: Duration,
    },
    /// More quotas than one call is checked against.
    #[error("call to {name}: {given} quotas, allowed are at most {limit}")]
    TooManyQuotas {
        /// The dependency.
        name: String,
        /// How many were given.
        given: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The retry policy cannot be meant.
    #[error("call to {name}")]
    Retry {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        source: retry::Error,
    },
    /// The breaker policy cannot be meant.
    #[error("call to {name}")]
    Breaker {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        source: breaker::Error,
    },
    /// The budget policy cannot be meant.
    #[error("call to {name}")]
    Budget {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        source: budget::Error,
    },
    /// The quota cannot be meant.
    #[error("call to {name}")]
    Quota {
        /// The dependency.
        name: String,
        /// What is wrong with it.
        source: quota::Error,
    },
    /// The overrides of the class table cannot be meant.
    #[error("call to {name}")]
    Overrides {
        /// The dependency.
        name: String,
        /// What is wrong with them.
        source: fault::Error,
    },
}
