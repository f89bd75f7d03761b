//! How many calls are out at once: a first-come semaphore for threads and futures alike.
//!
//! A slot that is free and that nobody waits for costs one compare-and-swap to take and one addition to give back. A
//! slot is given back when its [`Slot`] is dropped, on a panic too.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many may wait at once; one more is refused.
const WAITING_MAX: u32 = 100_000;

#[derive(Debug)]
pub(super) struct Bulkhead {
    limit: u32,
    free: AtomicU32,
    waiting: AtomicU32,
    queue: Mutex<VecDeque<Arc<Waiter>>>,
}

/// The right to be out. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free again"]
pub(super) struct Slot<'a>(&'a Bulkhead);

#[derive(Debug, Default)]
struct Waiter {
    granted: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Bulkhead {
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            limit,
            free: AtomicU32::new(limit),
            waiting: AtomicU32::new(0),
            queue: Mutex::new(VecDeque::new()),
        }
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Whether so many wait that nobody else may.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting() >= WAITING_MAX
    }

    /// A slot, if one is free and nobody waits for it.
    #[inline]
    pub(super) fn try_acquire(&self) -> Option<Slot<'_>> {
        if self.waiting.load(Ordering::SeqCst) != 0 {
            return None;
        }
        self.take().then(|| Slot(self))
    }

    /// A slot, in the order of asking. A future that is dropped leaves the queue.
    pub(super) const fn acquire(&self) -> Acquire<'_> {
        Acquire { bulkhead: self, waiter: None }
    }

    #[inline]
    fn take(&self) -> bool {
        let mut free = self.free.load(Ordering::SeqCst);
        while free > 0 {
            match self.free.compare_exchange_weak(free, free - 1, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(found) => free = found,
            }
        }
        false
    }

    #[inline]
    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::SeqCst);
        // Whoever waits announced that before it looked at `free` for the last time, so one of the two is seen.
        if self.waiting.load(Ordering::SeqCst) != 0 {
            self.hand_on();
        }
    }

    /// Gives what is free to those who wait, in their order.
    #[cold]
    fn hand_on(&self) {
        let mut served = Vec::new();
        {
            let mut queue = self.queue();
            while !queue.is_empty() && self.take() {
                if let Some(waiter) = queue.pop_front() {
                    self.waiting.fetch_sub(1, Ordering::SeqCst);
                    waiter.granted.store(true, Ordering::SeqCst);
                    served.push(waiter);
                }
            }
        }
        // Outside of the lock: a waker is somebody else's code.
        for waiter in served {
            let waker = lock(&waiter.waker).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Waiter>>> {
        lock(&self.queue)
    }
}

impl Drop for Slot<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.give_back();
    }
}

pub(super) struct Acquire<'a> {
    bulkhead: &'a Bulkhead,
    waiter: Option<Arc<Waiter>>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Slot<'a>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Slot<'a>> {
        let bulkhead = self.bulkhead;
        let Some(waiter) = &self.waiter else {
            if let Some(slot) = bulkhead.try_acquire() {
                return Poll::Ready(slot);
            }
            let waiter = Arc::<Waiter>::default();
            *lock(&waiter.waker) = Some(context.waker().clone());
            bulkhead.waiting.fetch_add(1, Ordering::SeqCst);
            bulkhead.queue().push_back(Arc::clone(&waiter));
            self.waiter = Some(waiter);
            // A slot that was given back before we were seen to wait is handed on by ourselves.
            bulkhead.hand_on();
            return self.granted();
        };
        *lock(&waiter.waker) = Some(context.waker().clone());
        self.granted()
    }
}

impl<'a> Acquire<'a> {
    fn granted(&mut self) -> Poll<Slot<'a>> {
        match &self.waiter {
            Some(waiter) if waiter.granted.load(Ordering::SeqCst) => {
                self.waiter = None;
                Poll::Ready(Slot(self.bulkhead))
            }
            _ => Poll::Pending,
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter.take() else { return };
        let mut queue = self.bulkhead.queue();
        // Grants are made under this lock: it is either still in the queue, or has a slot that nobody will use.
        if let Some(place) = queue.iter().position(|other| Arc::ptr_eq(other, &waiter)) {
            queue.remove(place);
            self.bulkhead.waiting.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        drop(queue);
        self.bulkhead.give_back();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::base::park::block_on;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn those_who_wait_are_served_in_their_order() {
        let bulkhead = Bulkhead::new(1);
        let slot = bulkhead.try_acquire();
        let (mut first, mut second) = (pin!(bulkhead.acquire()), pin!(bulkhead.acquire()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        drop(slot);
        assert!(bulkhead.try_acquire().is_none(), "a newcomer does not overtake");
        assert!(poll(second.as_mut()).is_pending());
        let Poll::Ready(slot) = poll(first.as_mut()) else { panic!("the first was not served") };
        drop(slot);
        assert!(poll(second.as_mut()).is_ready());
        assert_eq!((bulkhead.waiting(), bulkhead.free.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn a_wait_that_is_dropped_leaves_the_queue_and_loses_no_slot() {
        let bulkhead = Bulkhead::new(1);
        let slot = bulkhead.try_acquire();
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(bulkhead.acquire())).collect();
        waits.iter_mut().for_each(|wait| assert!(poll(wait.as_mut()).is_pending()));
        drop(waits.remove(1));
        assert_eq!(bulkhead.waiting(), 2);
        drop(slot);
        // The first has been granted its slot and is dropped before it looks.
        drop(waits.remove(0));
        assert!(poll(waits[0].as_mut()).is_ready());
        drop(waits);
        assert_eq!((bulkhead.waiting(), bulkhead.free.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn a_slot_is_given_back_on_a_panic() {
        let bulkhead = Bulkhead::new(1);
        let panicked = std::panic::catch_unwind(|| {
            let _slot = bulkhead.try_acquire();
            panic!("in the call");
        });
        assert!(panicked.is_err() && bulkhead.try_acquire().is_some());
    }

    #[test]
    fn never_more_than_the_limit_are_out_under_contention() {
        let (bulkhead, out, most) = (Bulkhead::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let slot = block_on(bulkhead.acquire());
                        most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        out.fetch_sub(1, Ordering::SeqCst);
                        drop(slot);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!((bulkhead.waiting(), bulkhead.free.into_inner()), (0, 3));
    }
}
