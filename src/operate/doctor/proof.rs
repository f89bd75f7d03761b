//! That a test has killed a job at each of its edges.

use serde::{Deserialize, Serialize};

use crate::act::job::{Job, Outline};

/// What a test has proved of a job: run twice, and killed at each of its edges, its effects happened once.
///
/// Made by `testing::assert_idempotent`. It holds for the steps that the job had then: write it to a file that is checked
/// in, and hand it to [`Declared::proof`](crate::operate::doctor::Declared::proof).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The job.
    pub job: String,
    /// Its steps and what they do to the world, such as `send idempotent`.
    pub steps: Vec<String>,
    /// At how many edges it was killed.
    pub edges: u32,
}

impl Proof {
    /// A proof of `job` as it is now.
    #[must_use]
    pub fn of(job: &Job, edges: u32) -> Self {
        let outline = job.outline();
        let steps = steps(&outline);
        Self { job: outline.name, steps, edges }
    }

    /// Whether the job has the same steps as when it was proved.
    #[must_use]
    pub fn holds_for(&self, outline: &Outline) -> bool {
        self.job == outline.name && self.steps == steps(outline)
    }
}

fn steps(outline: &Outline) -> Vec<String> {
    outline.steps.iter().map(|step| format!("{} {}", step.name, step.effect)).collect()
}
