//! A supervised thread.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::act::panics::caught;
use crate::act::supervise::stop::{Run, Stop};
use crate::base::time::{Clock, System};
use crate::decide::restart::Exit;

pub(super) type Work = dyn Fn(&Stop) -> Result<(), String> + Send + Sync;

/// A thread that runs. Nobody can end it but itself.
pub(super) struct Thread {
    run: Arc<Run>,
}

impl Thread {
    pub(super) fn start(name: &str, work: &Arc<Work>, run: &Arc<Run>) -> io::Result<Self> {
        let (work, own) = (Arc::clone(work), Arc::clone(run));
        let body = move || {
            let stop = Stop::of(Arc::clone(&own));
            let exit = match caught(|| work(&stop)) {
                Ok(Ok(())) => Exit::code(0),
                Ok(Err(said)) => Exit::failed(said),
                Err(said) => Exit::panicked(said),
            };
            own.signs().ended = Some(exit);
            own.bell.ring();
        };
        // A name with a NUL is refused by the system's own terms, by a panic.
        let name = name.replace('\0', " ");
        std::thread::Builder::new().name(name).spawn(body)?;
        Ok(Self { run: Arc::clone(run) })
    }

    /// Waits until it has ended, the bell is rung, or `limit` is over.
    pub(super) fn wait(&self, limit: Option<Duration>) -> Option<Exit> {
        let ended = self.run.signs().ended.take();
        if ended.is_some() {
            return ended;
        }
        self.run.bell.wait(limit);
        self.run.signs().ended.take()
    }

    /// Asks it to end; `None` where it goes on after the grace.
    pub(super) fn stop(&self, grace: Duration, mut at_once: impl FnMut() -> bool) -> Option<String> {
        self.run.ask();
        let until = System.moment().after(grace);
        loop {
            let left = until.since(System.moment());
            let left = if at_once() { Duration::ZERO } else { left };
            if self.wait(Some(left)).is_some() {
                return Some(String::new());
            }
            if left.is_zero() {
                return None;
            }
        }
    }
}
