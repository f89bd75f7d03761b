//! How a driver waits: by blocking its thread, or on a timer. The decisions are the same.

use std::future::Future;
use std::time::Duration;

#[cfg(feature = "tokio")]
use crate::base::time::Sleep;
use crate::base::{
    park,
    race::before,
    time::{BoxFuture, SleepBlocking},
};

// Boxed futures, not opaque ones: a future that holds an opaque one of a trait is not seen to be `Send`.
pub(super) trait Face: Sync {
    /// Whether a future can be left alone until it, or a timer, wakes the task.
    const TIMED: bool;

    /// Waits. On a thread this blocks when it is polled.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// Blocks the thread on which it is polled.
pub(super) struct OnThread<'a, K>(pub(super) &'a K);

impl<K: SleepBlocking> Face for OnThread<'_, K> {
    const TIMED: bool = false;

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.sleep_blocking(duration) })
    }
}

/// Waits on the clock's timer.
#[cfg(feature = "tokio")]
pub(super) struct OnTimer<'a, K>(pub(super) &'a K);

#[cfg(feature = "tokio")]
impl<K: Sleep> Face for OnTimer<'_, K> {
    const TIMED: bool = true;

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep(duration)
    }
}

/// What an attempt gives; where there is a timer, only if it does so within `limit`: else it is dropped.
#[inline]
pub(super) async fn cut<T, W: Face>(
    face: &W,
    attempt: impl Future<Output = T>,
    limit: Duration,
) -> Option<T> {
    if W::TIMED { timed(face, attempt, limit).await } else { Some(attempt.await) }
}

/// What `waited` gives within `limit`. On a thread that is real time, whatever the clock: what is waited for is another
/// thread.
pub(super) async fn within<T, W: Face>(
    face: &W,
    waited: impl Future<Output = T>,
    limit: Duration,
) -> Option<T> {
    if W::TIMED { timed(face, waited, limit).await } else { park::block_on_for(waited, limit) }
}

/// A timer is made only for what is not there at once.
#[inline]
async fn timed<T, W: Face>(face: &W, op: impl Future<Output = T>, limit: Duration) -> Option<T> {
    before(async { face.sleep(limit).await }, op).await
}
