//! What is told.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::act::monitor::asked::Turned;
use crate::base::explain::Explain;
use crate::decide::heartbeat;

/// Something has changed; told once, by whoever has written it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Raised {
    /// The monitor.
    pub monitor: String,
    /// The job or the probe that it is about; the monitor's own name where it is about itself.
    pub name: String,
    /// What.
    pub what: What,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// The state of a job.
    Job(heartbeat::Event),
    /// A job that nobody declared beats for the first time.
    Undeclared,
    /// A service answers other than before.
    Probe(Turned),
    /// The monitor itself was away, or its clock was set.
    Noticed(heartbeat::Noticed),
}

impl Explain for Raised {
    fn code(&self) -> &'static str {
        match &self.what {
            What::Job(event) => event.code(),
            What::Undeclared => "monitor.undeclared",
            What::Probe(turned) => turned.code(),
            What::Noticed(noticed) => noticed.code(),
        }
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.what {
            What::Job(event) => write!(f, "{name} is {event}"),
            What::Undeclared => write!(f, "{name} beats, and nobody declared it"),
            What::Probe(turned) => write!(f, "{name} {turned}"),
            What::Noticed(noticed) => noticed.fmt(f),
        }
    }
}
