//! What is heard of a job.

use serde::{Deserialize, Serialize};

/// So many runs of a job are remembered at the same time; of more, the oldest are forgotten.
pub const RUNS_MAX: usize = 16;
/// Of the id of a run so many bytes count.
pub const RUN_MAX: usize = 64;
/// Of what a failure said so many bytes are kept.
pub const SAID_MAX: usize = 200;

/// What is heard of a job. Runs that overlap have ids; without any (the empty text) there is one run at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beat {
    /// A run has begun.
    Started {
        /// Which.
        run: String,
    },
    /// A run goes on: it has done something since the last time.
    Progress {
        /// Which.
        run: String,
    },
    /// A run has ended well.
    Succeeded {
        /// Which.
        run: String,
    },
    /// A run has failed.
    Failed {
        /// Which.
        run: String,
        /// What it said; of which the first 200 bytes are kept.
        why: String,
    },
    /// A run was put down until later, or went to somebody else: it has neither ended well nor failed, and its time does not run.
    PutDown {
        /// Which.
        run: String,
    },
    /// A person has put the job aside: nothing is expected of it.
    Paused,
    /// It is expected again, from now on.
    Resumed,
}

impl Beat {
    /// A run without an id has begun.
    #[must_use]
    pub const fn started() -> Self {
        Self::Started { run: String::new() }
    }

    /// A run without an id goes on.
    #[must_use]
    pub const fn progress() -> Self {
        Self::Progress { run: String::new() }
    }

    /// A run without an id has ended well.
    #[must_use]
    pub const fn succeeded() -> Self {
        Self::Succeeded { run: String::new() }
    }

    /// A run without an id has failed.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { run: String::new(), why: why.into() }
    }

    /// A run without an id was put down.
    #[must_use]
    pub const fn put_down() -> Self {
        Self::PutDown { run: String::new() }
    }

    /// The same of the run called `id`; nothing where it is about no run.
    #[must_use]
    pub fn of(mut self, id: impl Into<String>) -> Self {
        match &mut self {
            Self::Started { run }
            | Self::Progress { run }
            | Self::Succeeded { run }
            | Self::PutDown { run }
            | Self::Failed { run, .. } => *run = id.into(),
            Self::Paused | Self::Resumed => {}
        }
        self
    }
}
