//! A driver without a runtime: its one future on the calling thread, with timers of its own, and threads for the work.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::act::env::{Env, Face};
use crate::act::pool::Pool;
use crate::base::park::block_on_beside;
use crate::base::time::{BoxFuture, Clock, Moment, Now, System};

/// Timers that the thread which waits for them wakes, and threads for work that blocks.
pub(in crate::act) struct Threads {
    timers: Mutex<Timers>,
    pool: Pool,
}

#[derive(Default)]
struct Timers {
    serial: u64,
    waiting: BTreeMap<(Moment, u64), Waker>,
}

impl Threads {
    /// With so many threads for steps.
    pub(in crate::act) fn new(threads_max: usize) -> Self {
        Self { timers: Mutex::default(), pool: Pool::new(threads_max) }
    }

    /// Runs `future` to its end on this thread.
    pub(in crate::act) fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on_beside(future, || self.ring())
    }

    /// Wakes whose time has come; how long it is until the next one.
    fn ring(&self) -> Option<Duration> {
        loop {
            let now = System.moment();
            let (_, waker) = {
                let mut timers = self.timers();
                let first = timers.waiting.first_entry()?;
                let (at, _) = *first.key();
                if at > now {
                    return Some(at.since(now));
                }
                first.remove_entry()
            };
            waker.wake();
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Env for Threads {
    fn now(&self) -> Now {
        System.now()
    }

    fn uptime(&self) -> Option<Duration> {
        System.uptime()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(Nap { threads: self, until: System.moment().after(duration), place: None })
    }

    fn face(&self) -> Face {
        Face::Future
    }

    fn pool(&self) -> Option<&Pool> {
        Some(&self.pool)
    }
}

struct Nap<'a> {
    threads: &'a Threads,
    until: Moment,
    place: Option<u64>,
}

impl Future for Nap<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if System.moment() >= self.until {
            return Poll::Ready(());
        }
        let place = {
            let mut timers = self.threads.timers();
            let place = self.place.unwrap_or_else(|| {
                timers.serial += 1;
                timers.serial
            });
            timers.waiting.insert((self.until, place), context.waker().clone());
            place
        };
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Nap<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.threads.timers().waiting.remove(&(self.until, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_waits_for_its_timers_and_one_that_is_dropped_rings_nobody() {
        let threads = Threads::new(1);
        let begun = System.moment();
        threads.block_on(async {
            let far = threads.sleep(Duration::from_secs(3600));
            drop(far);
            threads.sleep(Duration::from_millis(5)).await;
            threads.sleep(Duration::ZERO).await;
        });
        let took = System.moment().since(begun);
        assert!(took >= Duration::from_millis(5) && took < Duration::from_secs(60), "{took:?}");
        assert!(threads.timers().waiting.is_empty());
    }
}
