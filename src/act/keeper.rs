//! Keeps a lease while work runs, and says when it is lost.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::race::before;
use crate::base::time::{BoxFuture, Moment};
use crate::remember::blocking::block_on;

/// A lease that can be renewed.
pub(in crate::act) trait Kept: Send + Sync {
    /// Makes it longer.
    fn renew(&self) -> BoxFuture<'_, Renewal>;

    /// When it is next to be renewed, after a renewal that failed or did not.
    fn renew_in(&self, failed: bool) -> Duration;

    /// How long the work may go on unless it is renewed.
    fn left(&self) -> Duration;

    /// The lease is about to end and could not be renewed: the work may not go on.
    fn lose(&self);
}

/// What a renewal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::act) enum Renewal {
    /// The lease is longer.
    Done,
    /// It could not be made longer; it still runs.
    Failed,
    /// It is somebody else's, or over.
    Lost,
}

/// How long before its end a lease of this length is renewed: at a third of it, sooner after a renewal that failed.
pub(in crate::act) fn renew_in(lease: Duration, failed: bool) -> Duration {
    let part = if failed { lease / 12 } else { lease / 3 };
    part.max(Duration::from_millis(1))
}

/// How much of the lease is left unused at its end: work stops before somebody else may begin.
const MARGIN: u32 = 10;

/// Until when work may go on by a lease that was asked for at `asked`. It counts from before the request, so that it
/// never ends earlier at the store than here.
pub(in crate::act) fn usable(asked: Moment, lease: Duration) -> Moment {
    asked.after(lease.saturating_sub(lease / MARGIN))
}

/// A thread that renews a lease until it is dropped.
pub(in crate::act) struct Keeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts to renew. If no thread can be had, nothing renews: the work is then bounded by its first lease.
    pub(in crate::act) fn start<K: Kept + 'static>(kept: &Arc<K>) -> Self {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (seen, kept) = (Arc::clone(&stop), Arc::clone(kept));
        let thread = std::thread::Builder::new().name(String::from("unattended-lease"));
        Self { stop, thread: thread.spawn(move || keep_on_thread(&*kept, &seen)).ok() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A renewal that panicked has left the lease to run out; the work's own writes find out.
            drop(thread.join());
        }
    }
}

fn keep_on_thread(kept: &impl Kept, (stopped, changed): &(Mutex<bool>, Condvar)) {
    let mut failed = false;
    loop {
        let wait = kept.renew_in(failed);
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, wait, |stopped| !*stopped);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        match block_on(kept.renew()) {
            Renewal::Done => failed = false,
            Renewal::Failed => failed = true,
            Renewal::Lost => return,
        }
    }
}

/// Runs `work` while the lease is renewed beside it, by the clock that `sleep` waits on; `None` when the lease was lost
/// first.
pub(in crate::act) async fn beside<'a, T>(
    kept: &impl Kept,
    sleep: impl Fn(Duration) -> BoxFuture<'a, ()>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let keep = async {
        let mut failed = false;
        loop {
            sleep(kept.renew_in(failed).min(kept.left())).await;
            // A store that does not answer must not keep the work going past its lease.
            let Some(outcome) = before(sleep(kept.left()), kept.renew()).await else {
                kept.lose();
                return;
            };
            match outcome {
                Renewal::Done => failed = false,
                Renewal::Failed => failed = true,
                Renewal::Lost => return,
            }
        }
    };
    before(keep, work).await
}
