//! Keeps a lease while work runs, and says when it is lost.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;

use crate::act::pipeline::Holding;
use crate::act::runlog;
use crate::remember::blocking::block_on;
use crate::remember::runs::Error;

/// A thread that renews a lease until it is dropped.
pub(in crate::act) struct Keeper {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts to renew. If no thread can be had, nothing renews: the work is then bounded by its first lease.
    pub(in crate::act) fn start(holding: &Arc<Holding>) -> Self {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (seen, held) = (Arc::clone(&stop), Arc::clone(holding));
        let thread = std::thread::Builder::new().name(String::from("unattended-lease"));
        Self { stop, thread: thread.spawn(move || keep_on_thread(&held, &seen)).ok() }
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

fn keep_on_thread(holding: &Holding, (stopped, changed): &(Mutex<bool>, Condvar)) {
    let mut failed = false;
    loop {
        let wait = holding.renew_in(failed);
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(guard, wait, |stopped| !*stopped);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        match renewed(holding, block_on(holding.renew())) {
            Renewal::Done => failed = false,
            Renewal::Failed => failed = true,
            Renewal::Lost => return,
        }
    }
}

/// Runs `work` while the lease is renewed beside it, by the same clock; `None` when the lease was lost first.
pub(in crate::act) async fn beside<T>(holding: &Holding, work: impl Future<Output = T>) -> Option<T> {
    let keep = async {
        let mut failed = false;
        loop {
            holding.env.sleep(holding.renew_in(failed).min(holding.left())).await;
            // A store that does not answer must not keep the work going past its lease.
            let Some(outcome) = within(holding, holding.renew()).await else {
                runlog::lease(
                    &holding.id,
                    "lost",
                    "the store does not answer, and the lease is about to end",
                );
                holding.lose();
                return;
            };
            match renewed(holding, outcome) {
                Renewal::Done => failed = false,
                Renewal::Failed => failed = true,
                Renewal::Lost => return,
            }
        }
    };
    let (mut work, mut keep) = (pin!(work), pin!(keep));
    poll_fn(move |context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        keep.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// What `renewal` gave, if it gave anything before the lease is about to end.
async fn within<T>(holding: &Holding, renewal: impl Future<Output = T>) -> Option<T> {
    let (mut renewal, mut end) = (pin!(renewal), holding.env.sleep(holding.left()));
    poll_fn(move |context| {
        if let Poll::Ready(outcome) = renewal.as_mut().poll(context) {
            return Poll::Ready(Some(outcome));
        }
        end.as_mut().poll(context).map(|()| None)
    })
    .await
}

enum Renewal {
    Done,
    Failed,
    Lost,
}

fn renewed(holding: &Holding, outcome: Result<(), Error>) -> Renewal {
    match outcome {
        Ok(()) => Renewal::Done,
        Err(Error::Lost { .. }) => {
            runlog::lease(&holding.id, "lost", "somebody took the run over");
            Renewal::Lost
        }
        Err(error) => {
            runlog::lease(&holding.id, "renewal_failed", &error.to_string());
            if holding.hold() == crate::act::pipeline::Hold::Lost {
                holding.lose();
                return Renewal::Lost;
            }
            Renewal::Failed
        }
    }
}
