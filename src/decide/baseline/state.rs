//! Where a baseline stands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a baseline stands. Only an active one calls anything rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has not seen enough.
    Learning,
    /// It has seen enough.
    Active,
    /// It had observed nothing for a long time, and learns anew; what it knew to be frequent still is.
    Stale,
    /// What is usual has changed, and it learns anew.
    Storm,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Learning => "learning",
            Self::Active => "active",
            Self::Stale => "stale",
            Self::Storm => "storm",
        })
    }
}

/// How much a baseline has learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Where it stands.
    pub state: State,
    /// How many events are evidence: since it began to learn, decayed.
    pub events: u64,
    /// How many it takes.
    pub needed: u64,
    /// The share of events that is expected to be of kinds never seen.
    pub missing_mass: f64,
    /// Above this nothing is called rare.
    pub missing_mass_max: f64,
    /// How many kinds are counted exactly.
    pub kinds: u64,
    /// How many had to go; one that came back and went again counts twice.
    pub evicted: u64,
    /// The share of the rough memory in use.
    pub fill: f64,
    /// How many events were ever counted.
    pub total: u64,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} of {} events, {} kinds, {:.1} % expected to be new",
            self.state,
            self.events,
            self.needed,
            self.kinds,
            self.missing_mass * 100.0
        )
    }
}
