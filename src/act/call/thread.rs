//! The blocking driver that can leave an attempt behind: each runs on a thread of its own.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use crate::act::call::Last;
use crate::base::fault::Panicked;
use crate::decide::retry::Attempt;

/// `op`, each time on a new thread, and no longer than the attempt may take.
pub(super) fn on_thread<T, E, F>(op: F, name: &str) -> impl FnMut(Attempt) -> Ready<Result<T, Last<E>>>
where
    F: Fn(Attempt) -> Result<T, E> + Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let op = Arc::new(op);
    move |attempt| ready(one(&op, attempt, name))
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
            let message = thread.join().err().map_or_else(String::new, |panic| Panicked::of(&*panic).message);
            Err(Last::Panicked { message })
        }
    }
}
