//! The runs of a job that have begun and are not known to have ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::text::head;
use crate::base::time::{Timestamp, later};
use crate::decide::heartbeat::beat::{RUN_MAX, RUNS_MAX};
use crate::decide::heartbeat::policy::Policy;
use crate::decide::heartbeat::reason::Why;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) run: String,
    pub(super) began: Timestamp,
    /// When it last made progress, which beginning is.
    pub(super) last: Timestamp,
}

/// Those of one job, the oldest first; at most 16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Runs(pub(super) Vec<Running>);

impl Runs {
    pub(super) fn begin(&mut self, run: &str, at: Timestamp) {
        let run = head(run, RUN_MAX);
        self.0.retain(|running| running.run != run);
        if self.0.len() >= RUNS_MAX {
            self.0.remove(0);
        }
        self.0.push(Running { run: run.to_owned(), began: at, last: at });
    }

    /// One whose beginning nobody saw begins here.
    pub(super) fn progress(&mut self, run: &str, at: Timestamp) {
        let id = head(run, RUN_MAX);
        match self.0.iter_mut().find(|running| running.run == id) {
            Some(running) => running.last = running.last.max(at),
            None => self.begin(run, at),
        }
    }

    /// When it began, if anybody saw that.
    pub(super) fn end(&mut self, run: &str) -> Option<Timestamp> {
        let run = head(run, RUN_MAX);
        let at = self.0.iter().position(|running| running.run == run)?;
        Some(self.0.remove(at).began)
    }

    /// Takes it out, unless it has begun anew after `at`: somebody else has it.
    pub(super) fn put_down(&mut self, run: &str, at: Timestamp) {
        let run = head(run, RUN_MAX);
        self.0.retain(|running| running.run != run || running.began > at);
    }

    /// The first instant at which one of them has had its time; `held` says when an instant counts.
    pub(super) fn due(&self, policy: &Policy, held: impl Fn(Timestamp) -> Timestamp) -> Option<Timestamp> {
        self.0.iter().filter_map(|running| running.due(policy, &held)).map(|(due, _)| due).min()
    }

    /// Takes out one that has had its time at `now`.
    pub(super) fn expired(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        held: impl Fn(Timestamp) -> Timestamp,
    ) -> Option<Why> {
        let over = |running: &Running| running.due(policy, &held).is_some_and(|(due, _)| due <= now);
        let at = self.0.iter().position(over)?;
        let running = self.0.remove(at);
        running.due(policy, held).map(|(_, why)| why)
    }

    /// What is said to be after `now` is taken to be now.
    pub(super) fn mend(&mut self, now: Timestamp) {
        for running in &mut self.0 {
            running.began = running.began.min(now);
            running.last = running.last.min(now);
        }
    }

    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.0.iter().map(|running| running.last.max(running.began)).max()
    }
}

impl Running {
    /// When its time is over, and what is to be said then.
    fn due(&self, policy: &Policy, held: impl Fn(Timestamp) -> Timestamp) -> Option<(Timestamp, Why)> {
        let end = |from: Timestamp, span: Option<Duration>| span.map(|span| (held(later(from, span)), span));
        let too_long = end(self.began, policy.run_max)
            .map(|(due, limit)| (due, Why::RanTooLong { run: self.run.clone(), began: self.began, limit }));
        let stalled = end(self.last, policy.progress_lease)
            .map(|(due, lease)| (due, Why::Stalled { run: self.run.clone(), last: self.last, lease }));
        too_long.into_iter().chain(stalled).min_by_key(|(due, _)| *due)
    }
}
