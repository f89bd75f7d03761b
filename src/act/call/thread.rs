//! The blocking driver that can leave an attempt behind: each runs on a thread of its own.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use crate::act::call::{Call, Classifier, Last, Stopped};
use crate::base::time::SleepBlocking;
use crate::decide::retry::Attempt;

impl<C, K: SleepBlocking> Call<C, K> {
    /// Calls until it succeeds or must not go on, each attempt on a thread of its own.
    ///
    /// An attempt that takes longer than its time-out is left behind: its thread goes on until the operation returns,
    /// and what it then gives is thrown away. The time-out of an attempt is real time, whatever the clock. At most as
    /// many threads are left behind as there are attempts.
    ///
    /// # Errors
    ///
    /// As [`run_blocking`](Self::run_blocking); the last failure may be [`Last::TimedOut`], [`Last::Panicked`] or
    /// [`Last::NoThread`].
    pub fn run_on_thread<T, E, F>(&self, op: F) -> Result<T, Stopped<E>>
    where
        F: Fn(Attempt) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: Send + 'static,
        C: Classifier<E>,
    {
        let op = Arc::new(op);
        self.drive_blocking(|attempt| one(&op, attempt, self.name()))
    }
}

fn one<T, E, F>(op: &Arc<F>, attempt: Attempt, name: &str) -> Result<T, Last<E>>
where
    F: Fn(Attempt) -> Result<T, E> + Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let (sender, receiver) = mpsc::sync_channel(1);
    let op = Arc::clone(op);
    let thread = thread::Builder::new().name(format!("call {name}")).spawn(move || {
        // Nobody listens any more once the attempt has been left behind.
        let _left_behind = sender.send(op(attempt));
    });
    let thread = thread.map_err(|error| Last::NoThread { kind: error.kind() })?;
    match receiver.recv_timeout(attempt.remaining()) {
        Ok(result) => result.map_err(Last::Error),
        Err(RecvTimeoutError::Timeout) => Err(Last::TimedOut { after: attempt.remaining() }),
        Err(RecvTimeoutError::Disconnected) => {
            let message = thread.join().err().map_or_else(String::new, |panic| said(&*panic));
            Err(Last::Panicked { message })
        }
    }
}

/// What a panic said, if it was text.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
