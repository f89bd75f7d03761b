//! What is noted, until it is written.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::act::monitor::build::Inner;
use crate::base::time::{Moment, Now};
use crate::decide::heartbeat::Beat;

/// More are not kept.
const PENDING_MAX: usize = 4096;
/// Progress takes the place of progress of the same run if that is among so many last ones.
const LOOK_BACK: usize = 32;

/// What one job beats with: notes in memory, never blocks, and is written by the [monitor](super::Monitor::flush). Jobs and workers
/// that were given one do so by themselves.
#[derive(Clone)]
pub struct Pulse {
    pub(super) inner: Arc<Inner>,
    pub(super) name: Arc<str>,
}

impl Pulse {
    /// The job's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The monitor that writes what is noted here.
    #[must_use]
    pub fn monitor(&self) -> super::Monitor {
        super::Monitor { inner: Arc::clone(&self.inner) }
    }

    /// Notes what was heard of the job at `now`. Of progress only the last is kept. Of more than 4,096 beats that could not be written
    /// the oldest are dropped, and counted as [lost](super::Monitor::lost).
    pub fn note(&self, now: Now, beat: Beat) {
        self.inner.pending().push(Noted { name: Arc::clone(&self.name), now, beat });
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A beat of a job.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) name: Arc<str>,
    pub(super) now: Now,
    pub(super) beat: Beat,
}

/// What was noted and is not written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    noted: VecDeque<Noted>,
    lost: u64,
}

impl Pending {
    pub(super) fn push(&mut self, noted: Noted) {
        if let Beat::Progress { run } = &noted.beat {
            let of_job = self.noted.iter_mut().rev().take(LOOK_BACK).find(|other| other.name == noted.name);
            if let Some(other) = of_job
                && matches!(&other.beat, Beat::Progress { run: other } if other == run)
            {
                other.now = noted.now;
                return;
            }
        }
        self.noted.push_back(noted);
        self.bound();
    }

    pub(super) fn len(&self) -> usize {
        self.noted.len()
    }

    pub(super) fn oldest(&self) -> Option<Moment> {
        self.noted.front().map(|noted| noted.now.moment)
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn take(&mut self) -> VecDeque<Noted> {
        std::mem::take(&mut self.noted)
    }

    /// Puts back what could not be written, before what came since.
    pub(super) fn put_back(&mut self, mut noted: VecDeque<Noted>) {
        noted.append(&mut self.noted);
        self.noted = noted;
        self.bound();
    }

    fn bound(&mut self) {
        while self.noted.len() > PENDING_MAX {
            self.noted.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
    }
}
