//! A simulated clock for the tests of this floor: sleeping moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[cfg(feature = "tokio")]
use crate::base::time::{BoxFuture, Sleep};
use crate::base::time::{Clock, Moment, Now, SleepBlocking, Timestamp, nanos};

/// A clock that stands still until somebody sleeps on it. Its clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimClock(Arc<AtomicU64>);

impl SimClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(nanos(by), Ordering::SeqCst);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        Now { moment: Moment::ZERO, wall: Timestamp::UNIX_EPOCH }.after(self.elapsed())
    }
}

impl SleepBlocking for SimClock {
    fn sleep_blocking(&self, duration: Duration) {
        self.advance(duration);
    }
}

#[cfg(feature = "tokio")]
impl Sleep for SimClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.advance(duration) })
    }
}
