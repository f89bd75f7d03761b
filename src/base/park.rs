//! A future driven by parking the thread, for what has no async runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Drives `future` to its end by parking this thread.
///
/// Right on a plain thread, inside any runtime, and nested: each call has a flag and a waker of its own. It blocks the
/// thread, so a future that needs this very thread to make progress never ends.
///
/// ```
/// # #[cfg(feature = "store")]
/// assert_eq!(unattended::blocking::block_on(async { 6 * 7 }), 42);
/// ```
#[cfg_attr(not(feature = "store"), allow(unreachable_pub, reason = "it is public as `blocking::block_on`"))]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parked = Arc::new(Parked { woken: AtomicBool::new(false), thread: thread::current() });
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

struct Parked {
    woken: AtomicBool,
    thread: Thread,
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
