//! Drives a future by parking the thread. For faces that block; crate-internal, `blocking::block_on` is the public door.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::base::time::{Clock, System};

/// Drives `future` to its end by parking this thread. Right on a plain thread, inside any runtime, and nested: each
/// call has a flag and a waker of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // What is ready at once needs no waker of its own.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let parked = Parked::here();
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // The flag decides, not the thread's park token, which a call nested in this one may have used up.
        while !parked.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

/// The same, for at most `limit` of real time; then the future is dropped.
pub(crate) fn block_on_for<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return Some(output);
    }
    let end = System.moment().after(limit);
    let parked = Parked::here();
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        while !parked.woken.swap(false, Ordering::Acquire) {
            let left = end.since(System.moment());
            if left.is_zero() {
                return None;
            }
            thread::park_timeout(left);
        }
    }
}

/// The same, beside timers: `next` wakes those that are due and says how long it is until the next one.
#[cfg(feature = "store")]
pub(crate) fn block_on_beside<F: Future>(future: F, mut next: impl FnMut() -> Option<Duration>) -> F::Output {
    let mut future = pin!(future);
    let parked = Parked::here();
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        loop {
            let wait = next();
            if parked.woken.swap(false, Ordering::Acquire) {
                break;
            }
            match wait {
                Some(wait) => thread::park_timeout(wait),
                None => thread::park(),
            }
        }
    }
}

struct Parked {
    woken: AtomicBool,
    thread: Thread,
}

impl Parked {
    fn here() -> Arc<Self> {
        Arc::new(Self { woken: AtomicBool::new(false), thread: thread::current() })
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_given_up_after_the_limit() {
        assert_eq!(block_on_for(std::future::pending::<()>(), Duration::from_millis(5)), None);
        assert_eq!(block_on_for(std::future::ready(7), Duration::ZERO), Some(7));
    }

    #[test]
    fn a_wake_from_another_thread_ends_the_wait() {
        let (flag, mut spawned) = (Arc::new(AtomicBool::new(false)), false);
        let done = std::future::poll_fn(|context| {
            if flag.load(Ordering::Acquire) {
                return Poll::Ready(7);
            }
            // The first poll has no waker that could be kept.
            if !std::mem::replace(&mut spawned, true) {
                return Poll::Pending;
            }
            let (flag, waker) = (Arc::clone(&flag), context.waker().clone());
            thread::spawn(move || {
                flag.store(true, Ordering::Release);
                waker.wake();
            });
            Poll::Pending
        });
        assert_eq!(block_on(done), 7);
    }
}
