//! What wakes a supervisor: a shutdown, a sign of life that it waits for, a thread that has ended.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::act::command::Wake;

/// Rung by anybody, heard by the supervisor's thread: by poll where it waits for a child, by a condition elsewhere.
#[derive(Debug)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
    wake: Wake,
}

impl Bell {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { rung: Mutex::new(false), changed: Condvar::new(), wake: Wake::new()? }))
    }

    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
        self.wake.wake();
    }

    /// For who waits for a child.
    pub(super) const fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Waits until it is rung, at most for `limit`. What was rung before ends the wait at once, so whoever waits looks first.
    pub(super) fn wait(&self, limit: Option<Duration>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |rung: &mut bool| !*rung;
        let mut rung = match limit {
            Some(limit) => {
                let waited = self.changed.wait_timeout_while(rung, limit, quiet);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait_while(rung, quiet).unwrap_or_else(PoisonError::into_inner),
        };
        *rung = false;
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
