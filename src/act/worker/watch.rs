//! Who watches a worker, and what they are told: by a heartbeat, a systemd unit, a line on a screen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{BoxFuture, Moment, Now};

/// How often they are told at most, unless it is something else than before.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// Told how a worker stands: when it begins to work, whenever it has made progress (at most four times a second), when it
/// is asked to end, and when it has ended. Not told means no progress: the store does not answer, or runs
/// [hang](crate::act::worker::Builder::hangs_after).
pub trait Watch: Send + Sync {
    /// How it stands now. Called between two things that the worker does, so it must not block.
    fn told(&self, now: Now, standing: &Standing);

    /// Writes down what it has noted; awaited after each sweep of the store and at the end, beside the work, for 5 s at
    /// most. Does nothing unless told otherwise.
    fn flush(&self, now: Now) -> BoxFuture<'_, ()> {
        let _ = now;
        Box::pin(std::future::ready(()))
    }
}

/// How a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// How far it is.
    pub course: Course,
    /// How many runs it works on.
    pub running: usize,
    /// How many it has claimed since it began.
    pub claimed: u64,
    /// How many of those have ended here, in whatever way.
    pub ended: u64,
    /// How often the store has failed it.
    pub errors: u64,
}

/// How far a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It works: its store has answered.
    Working,
    /// The end was asked for, and what runs has so long to finish.
    Draining {
        /// What is left of the grace.
        left: Duration,
    },
    /// It has ended.
    Stopped,
}

/// A line for people, such as `STATUS=` of systemd.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.course {
            Course::Working => f.write_str("working")?,
            Course::Draining { left } => write!(f, "ending within {}", crate::base::text::about(left))?,
            Course::Stopped => f.write_str("ended")?,
        }
        write!(f, ": {} running, {} of {} claimed have ended", self.running, self.ended, self.claimed)?;
        if self.errors > 0 {
            write!(f, ", the store has failed {} times", self.errors)?;
        }
        Ok(())
    }
}

/// Those that watch a worker.
#[derive(Clone, Default)]
pub(super) struct Watchers(pub(super) Vec<Arc<dyn Watch>>);

impl Watchers {
    pub(super) fn tell(&self, now: Now, standing: &Standing) {
        self.0.iter().for_each(|watcher| watcher.told(now, standing));
    }

    pub(super) async fn flush(&self, now: Now) {
        for watcher in &self.0 {
            watcher.flush(now).await;
        }
    }
}

/// When they were told what.
#[derive(Default)]
pub(super) struct Told {
    /// Something has gone on since.
    pub(super) progress: bool,
    last: Option<(Moment, std::mem::Discriminant<Course>)>,
}

impl Told {
    /// Whether they are to be told now, and notes that they are.
    pub(super) fn is_due(&mut self, course: Course, now: Moment) -> bool {
        let course = std::mem::discriminant(&course);
        let due = match self.last {
            None => self.progress,
            Some((_, before)) if before != course => true,
            Some((at, _)) => self.progress && now.since(at) >= TOLD_EVERY,
        };
        if due {
            self.progress = false;
            self.last = Some((now, course));
        }
        due
    }
}
