//! Threads for work that blocks, where there is no runtime that has some.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;

use futures_channel::oneshot;

use crate::base::park::block_on;

/// A few threads that are made when they are needed, and end with the pool once they have nothing to do.
pub(in crate::act) struct Pool {
    shared: Arc<Shared>,
    threads_max: usize,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    work: VecDeque<Box<dyn FnOnce() + Send>>,
    idle: usize,
    threads: usize,
    closed: bool,
}

impl Pool {
    /// At most so many threads. Work that finds them all busy waits; whoever hands it over bounds how much.
    pub(in crate::act) fn new(threads_max: usize) -> Self {
        Self { shared: Arc::default(), threads_max: threads_max.max(1) }
    }

    /// Runs `work` on a thread of its own; `None` if there is none to be had. Dropped before its end, it drops `work` the next
    /// time that waits; what blocks the thread goes on to its end there.
    pub(in crate::act) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (mut reply, answer) = oneshot::channel();
        let run = move || {
            let done = block_on(async {
                let mut work = pin!(work);
                poll_fn(|context| {
                    if reply.poll_canceled(context).is_ready() {
                        return Poll::Ready(None);
                    }
                    work.as_mut().poll(context).map(Some)
                })
                .await
            });
            if let Some(done) = done {
                // Whoever asked may be gone.
                drop(reply.send(done));
            }
        };
        self.hand_over(Box::new(run)).then_some(())?;
        answer.await.ok()
    }

    fn hand_over(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        let mut queue = self.shared.lock();
        queue.work.push_back(work);
        if queue.idle >= queue.work.len() || queue.threads >= self.threads_max {
            drop(queue);
            self.shared.wake.notify_one();
            return true;
        }
        queue.threads += 1;
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(String::from("unattended-step"));
        if thread.spawn(move || shared.serve()).is_ok() {
            return true;
        }
        queue.threads -= 1;
        // The threads that there are get to it; without any, nobody does.
        let served = queue.threads > 0;
        if !served {
            queue.work.pop_back();
        }
        served
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(work) = queue.work.pop_front() {
                drop(queue);
                work();
                queue = self.lock();
            } else if queue.closed {
                return;
            } else {
                queue.idle += 1;
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.work.clear();
        drop(queue);
        // Not waited for: work that blocks for ever must not keep the program.
        self.shared.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn work_runs_side_by_side_up_to_the_bound_and_threads_are_used_again() {
        let pool = Pool::new(2);
        for _ in 0..20 {
            let both = Arc::new(Barrier::new(2));
            thread::scope(|scope| {
                let meet = || {
                    let both = Arc::clone(&both);
                    block_on(pool.run(async move { both.wait().is_leader() }))
                };
                let (one, other) = (scope.spawn(meet), scope.spawn(meet));
                assert_ne!(one.join().unwrap(), other.join().unwrap());
            });
        }
        assert!(pool.shared.lock().threads <= 2);
    }

    #[test]
    fn work_that_nobody_waits_for_any_more_is_dropped_where_it_waits() {
        struct Dropped(Arc<AtomicUsize>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (pool, dropped) = (Pool::new(1), Arc::new(AtomicUsize::new(0)));
        let held = Dropped(Arc::clone(&dropped));
        let (begun, has_begun) = oneshot::channel();
        let mut work = Box::pin(pool.run(async move {
            let _held = held;
            assert_eq!(begun.send(()), Ok(()));
            std::future::pending::<()>().await;
        }));
        assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        block_on(has_begun).unwrap();
        drop(work);
        assert_eq!(block_on(pool.run(async { 7 })), Some(7), "the thread is free again");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}
