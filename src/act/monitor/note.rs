//! What is noted, until it is written.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::act::monitor::build::Inner;
use crate::act::monitor::raised::Raised;
use crate::base::time::{Moment, Now};
use crate::decide::heartbeat::Beat;
use crate::remember::store::Write;

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

/// Beats of a job that are written beside something else, in one commit.
pub(in crate::act) struct Beside {
    pulse: Pulse,
    noted: VecDeque<Noted>,
    told: Vec<Raised>,
}

impl Pulse {
    /// What was noted of the job until now, and `beat` after it, as one write; none where it cannot be made, and then nothing has
    /// changed.
    pub(in crate::act) async fn beside(&self, now: Now, beat: Beat) -> Option<(Write, Beside)> {
        let mut noted = self.inner.pending().take();
        let last = Noted { name: Arc::clone(&self.name), now, beat };
        let mine = noted.iter().all(|noted| noted.name == self.name);
        noted.push_back(last);
        let prepared =
            if mine { self.monitor().prepared(&self.name, &noted).await.ok().flatten() } else { None };
        match prepared {
            Some((write, told)) => Some((write, Beside { pulse: self.clone(), noted, told })),
            None => {
                noted.pop_back();
                self.inner.pending().put_back(noted);
                None
            }
        }
    }
}

impl Beside {
    /// It stands, or it does not: then what was noted before the last beat is noted still.
    pub(in crate::act) fn settled(mut self, stands: bool) {
        if stands {
            self.pulse.monitor().tell_all(&self.told);
        } else {
            self.noted.pop_back();
            self.pulse.inner.pending().put_back(self.noted);
        }
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
    /// When the first of them was noted; progress that takes the place of other progress is no newer.
    since: Option<Moment>,
    lost: u64,
}

impl Pending {
    pub(super) fn push(&mut self, noted: Noted) {
        self.since.get_or_insert(noted.now.moment);
        if let Beat::Progress { run } = &noted.beat {
            let about = |other: &Noted| other.name == noted.name && is_about(&other.beat, run);
            let of_run = self.noted.iter_mut().rev().take(LOOK_BACK).find(|other| about(other));
            if let Some(other) = of_run
                && matches!(&other.beat, Beat::Progress { .. })
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

    pub(super) const fn oldest(&self) -> Option<Moment> {
        self.since
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn take(&mut self) -> VecDeque<Noted> {
        self.since = None;
        std::mem::take(&mut self.noted)
    }

    /// Puts back what could not be written, before what came since.
    pub(super) fn put_back(&mut self, mut noted: VecDeque<Noted>) {
        let first = noted.front().map(|noted| noted.now.moment);
        self.since = first.into_iter().chain(self.since).min();
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

/// Whether a beat says something of this run, or of the whole job.
fn is_about(beat: &Beat, id: &str) -> bool {
    match beat {
        Beat::Started { run }
        | Beat::Progress { run }
        | Beat::Succeeded { run }
        | Beat::PutDown { run }
        | Beat::Failed { run, .. } => run == id,
        Beat::Paused | Beat::Resumed => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::act::monitor::Monitor;
    use crate::base::time::{Clock, System};
    use crate::decide::heartbeat::Policy;
    use crate::remember::memory::Memory;

    fn monitor() -> Monitor {
        let every = Policy::every(Duration::from_secs(60));
        Monitor::new(Arc::new(Memory::new()), "ops").expect("import", every).build().unwrap()
    }

    #[test]
    fn progress_that_comes_all_the_time_does_not_put_off_the_writing() {
        let (monitor, now) = (monitor(), System.now());
        let pulse = monitor.pulse("import").unwrap();
        for second in 0..60 {
            pulse.note(now.after(Duration::from_secs(second)), Beat::progress().of("a"));
        }
        assert!(monitor.is_due(now.after(Duration::from_secs(60))), "the first was noted a minute ago");
        monitor.flush_blocking().unwrap();
        assert!(!monitor.is_due(now.after(Duration::from_secs(600))), "nothing is left");
    }

    #[test]
    fn of_the_progress_of_several_runs_the_last_of_each_is_kept() {
        let (monitor, now) = (monitor(), System.now());
        let pulse = monitor.pulse("import").unwrap();
        for second in 0..5000 {
            let now = now.after(Duration::from_secs(second));
            pulse.note(now, Beat::progress().of(format!("run-{}", second % 4)));
        }
        assert_eq!(monitor.inner.pending().len(), 4);
        assert_eq!(monitor.lost(), 0);
        pulse.note(now, Beat::succeeded().of("run-1"));
        pulse.note(now, Beat::progress().of("run-1"));
        assert_eq!(monitor.inner.pending().len(), 6, "what comes after an end is not put before it");
    }
}
