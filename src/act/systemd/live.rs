//! A worker that tells systemd how it stands.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::act::systemd::{Expecting, Notifier, Watchdog};
use crate::act::worker::{Course, Standing, Watch};
use crate::base::time::Now;

/// What the end of a worker may take beyond its grace: what was put down is written.
const MARGIN: Duration = Duration::from_secs(10);

/// Tells systemd of a worker: `READY=1` once its store has answered, `STATUS=` how it stands, `WATCHDOG=1` for its progress and only for
/// that, `STOPPING=1` with `EXTEND_TIMEOUT_USEC=` for its grace when it ends. Without systemd it does nothing.
///
/// ```
/// use std::sync::Arc;
/// use unattended::effect::Effect;
/// use unattended::job::Job;
/// use unattended::memory::Memory;
/// use unattended::pipeline::Step;
/// use unattended::systemd::{Live, Notifier};
/// use unattended::worker::Worker;
///
/// let notifier = Notifier::from_env();
/// let job = Job::new("greet").step(Step::blocking("say", Effect::Pure, |cx| cx.input::<String>())).build()?;
/// let worker = Worker::new(Arc::new(Memory::new()))
///     .job(job)
///     .watched_by(Arc::new(Live::new(&notifier)?))
///     .build()?;
/// # drop(worker);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Live {
    notifier: Notifier,
    watchdog: Option<Watchdog>,
    last: Mutex<Last>,
}

/// What was told last.
#[derive(Debug, Default)]
struct Last {
    ready: bool,
    stopping: bool,
    status: String,
    /// While it ends, what runs need not make progress: the grace is its bound.
    expecting: Option<Expecting>,
}

impl Live {
    /// Tells by `notifier`, and pings the watchdog if the unit has one.
    ///
    /// # Errors
    /// When the unit's watchdog cannot be kept: `WATCHDOG_USEC` is no interval, or there is no thread.
    pub fn new(notifier: &Notifier) -> Result<Self, super::Error> {
        Ok(Self::with(notifier, Watchdog::from_env(notifier)?))
    }

    /// The same with a watchdog that was made before, or none.
    #[must_use]
    pub fn with(notifier: &Notifier, watchdog: Option<Watchdog>) -> Self {
        Self { notifier: notifier.clone(), watchdog, last: Mutex::default() }
    }
}

impl Watch for Live {
    fn told(&self, _now: Now, standing: &Standing) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What cannot be told is counted by the notifier, and is no reason to stop.
        if let Some(watchdog) = &self.watchdog {
            watchdog.progressed();
        }
        match standing.course {
            Course::Working if !last.ready => {
                // One that is lost is told again: without it systemd ends what works.
                last.ready = self.notifier.ready().is_ok();
            }
            Course::Draining { left } if !last.stopping => {
                last.stopping = true;
                drop(self.notifier.stopping());
                let left = left.saturating_add(MARGIN);
                last.expecting = self.watchdog.as_ref().map(|watchdog| watchdog.expects(left));
                drop(self.notifier.extend(left));
            }
            Course::Working | Course::Draining { .. } | Course::Stopped => {}
        }
        let status = standing.to_string();
        if status != last.status && self.notifier.status(&status).is_ok() {
            last.status = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::base::time::{Clock, System};

    #[test]
    fn readiness_that_could_not_be_told_is_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let live = Live::with(&Notifier::to(&path).unwrap(), None);
        let standing = Standing { course: Course::Working, running: 0, claimed: 0, ended: 0, errors: 0 };
        live.told(System.now(), &standing);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        live.told(System.now(), &standing);
        live.told(System.now(), &standing);
        let mut buffer = [0; 256];
        let mut message = || socket.recv(&mut buffer).map(|length| buffer[..length].to_vec());
        assert_eq!(message().unwrap(), b"READY=1\n");
        assert!(message().unwrap().starts_with(b"STATUS=working"));
        socket.set_nonblocking(true).unwrap();
        assert!(message().is_err(), "once each");
    }
}
