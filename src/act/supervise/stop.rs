//! What a supervised thread has of its supervisor, and what both know of one run.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::supervise::bell::Bell;
use crate::base::time::{Clock, Moment, System};
use crate::decide::restart::Exit;

/// One run of what is supervised, as those see it who watch it and who are watched.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) bell: Arc<Bell>,
    /// When the last sign of life was, by the monotonic clock.
    sign: AtomicU64,
    runs: AtomicU64,
    runs_max: Option<u64>,
    asked: AtomicBool,
    signs: Mutex<Signs>,
    changed: Condvar,
}

/// What was heard of it.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// It has said that it is ready.
    pub(super) ready: bool,
    /// It has said that it ends.
    pub(super) stopping: bool,
    /// It has said that it hangs.
    pub(super) trigger: bool,
    /// Until when it has asked for time.
    pub(super) extended: Option<Moment>,
    /// What it says of itself.
    pub(super) status: Option<String>,
    /// What the probe under way has found.
    pub(super) probed: Option<Result<(), String>>,
    /// How its thread has ended.
    pub(super) ended: Option<Exit>,
}

impl Run {
    /// `runs_max` is after how much work it is to be begun afresh.
    pub(super) fn new(bell: &Arc<Bell>, runs_max: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            bell: Arc::clone(bell),
            sign: AtomicU64::new(System.moment().as_nanos()),
            runs: AtomicU64::new(0),
            runs_max,
            asked: AtomicBool::new(false),
            signs: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// It lives. Wakes nobody: it is looked at when the next sign is due.
    pub(super) fn lives(&self) {
        self.sign.fetch_max(System.moment().as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn last_sign(&self) -> Moment {
        Moment::from_nanos(self.sign.load(Ordering::Relaxed))
    }

    pub(super) fn signs(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much it has done.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// It has done so much more. Its supervisor is woken when it is enough, and not before.
    pub(super) fn ran(&self, runs: u64) {
        let before = self.runs.fetch_add(runs, Ordering::Relaxed);
        let enough = |limit| before < limit && before.saturating_add(runs) >= limit;
        if self.runs_max.is_some_and(enough) {
            self.bell.ring();
        }
    }

    /// Asks its thread to end.
    pub(super) fn ask(&self) {
        let signs = self.signs();
        self.asked.store(true, Ordering::Release);
        drop(signs);
        self.changed.notify_all();
    }
}

/// What a supervised thread has of its supervisor: it is asked to end, and gives signs of life. Clones are the same.
#[derive(Clone)]
pub struct Stop {
    run: Arc<Run>,
}

impl Stop {
    pub(super) const fn of(run: Arc<Run>) -> Self {
        Self { run }
    }

    /// Whether it is to end. A thread that does not look at this cannot be stopped.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.run.asked.load(Ordering::Acquire)
    }

    /// Waits for `pause`, or until it is to end; says whether it is.
    #[must_use]
    pub fn wait(&self, pause: Duration) -> bool {
        let signs = self.run.signs();
        let waited = self.run.changed.wait_timeout_while(signs, pause, |_| !self.is_asked());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.is_asked()
    }

    /// A sign of life, for [`Liveness::progress`](super::Liveness::progress). Give it where work has gone on, not from a timer: a timer
    /// goes on where the work hangs. It costs a reading of the clock.
    pub fn beat(&self) {
        self.run.lives();
    }

    /// It has done one more of what `recycle_after_runs` counts.
    pub fn ran(&self) {
        self.run.ran(1);
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("asked", &self.is_asked()).finish()
    }
}
