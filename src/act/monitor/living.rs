//! A worker that beats.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::act::monitor::Pulse;
use crate::act::worker::{Course, Standing, Watch};
use crate::base::time::{BoxFuture, Moment, Now};
use crate::decide::heartbeat::Beat;

/// How often a worker beats at most: what is noted more often says no more.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// A worker that beats while it makes progress, so that one that died or hangs is missed. Its beats are written by the worker itself, about
/// every [`sweep_every`](crate::act::worker::Builder::sweep_every): the interval that is expected of it should be some of those.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use unattended::heartbeat::Policy;
/// use unattended::memory::Memory;
/// use unattended::monitor::{Living, Monitor};
/// use unattended::store::Store;
///
/// let store: Arc<dyn Store> = Arc::new(Memory::new());
/// let monitor = Monitor::new(Arc::clone(&store), "night watch")
///     .expect("worker-1", Policy::every(Duration::from_secs(120)))
///     .build()?;
/// let living = Living::new(monitor.pulse("worker-1")?);
/// // Worker::new(store) … .watched_by(Arc::new(living))
/// # drop(living);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Living {
    pulse: Pulse,
    last: Mutex<Option<Moment>>,
}

impl Living {
    /// Beats by `pulse`.
    #[must_use]
    pub const fn new(pulse: Pulse) -> Self {
        Self { pulse, last: Mutex::new(None) }
    }
}

impl Watch for Living {
    fn told(&self, now: Now, standing: &Standing) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.course == Course::Stopped || last.is_some_and(|at| now.moment.since(at) < BEAT_EVERY) {
            return;
        }
        *last = Some(now.moment);
        self.pulse.note(now, Beat::Succeeded { run: String::from("worker") });
    }

    fn flush(&self, _now: Now) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // What could not be written stays noted, and the store's failure is told by the worker itself.
            drop(self.pulse.monitor().flush().await);
        })
    }
}
