//! How many calls are out at once: a first-come semaphore for threads and futures alike.
//!
//! A slot that is free and that nobody waits for costs one compare-and-swap to take and one addition to give back. A
//! slot is given back when its [`Slot`] is dropped, on a panic too.
//!
//! The free slots of a wide bulkhead are counted in a few places, each on a line of its own: a thread takes from its own
//! place while that has any, so that threads that do not wait for each other do not slow each other down either.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many may wait at once; one more is refused.
const WAITING_MAX: u32 = 100_000;
/// In how many places the free slots are counted, where there are enough of them.
const PLACES: u32 = 4;

#[derive(Debug)]
pub(super) struct Bulkhead {
    limit: u32,
    places: Box<[Place]>,
    waiting: AtomicU32,
    queue: Mutex<VecDeque<Arc<Waiter>>>,
}

/// How many are free here.
#[derive(Debug)]
#[repr(align(64))]
struct Place(AtomicU32);

/// The right to be out. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free again"]
pub(super) struct Slot<'a> {
    bulkhead: &'a Bulkhead,
    place: usize,
}

#[derive(Debug, Default)]
struct Waiter {
    /// From which place it was granted its slot, counted from 1; 0 while it was not.
    granted: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Bulkhead {
    pub(super) fn new(limit: u32) -> Self {
        let places = if limit < 2 * PLACES { 1 } else { PLACES };
        let share = |place| limit / places + u32::from(place < limit % places);
        Self {
            limit,
            places: (0..places).map(|place| Place(AtomicU32::new(share(place)))).collect(),
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
        self.take().map(|place| Slot { bulkhead: self, place })
    }

    /// A slot, in the order of asking. A future that is dropped leaves the queue.
    pub(super) const fn acquire(&self) -> Acquire<'_> {
        Acquire { bulkhead: self, waiter: None }
    }

    /// One less free; answers where it was taken from.
    #[inline]
    fn take(&self) -> Option<usize> {
        let own = if self.places.len() > 1 { mine() % self.places.len() } else { 0 };
        (own..self.places.len()).chain(0..own).find(|place| self.places[*place].take())
    }

    #[inline]
    fn give_back(&self, place: usize) {
        self.places[place].0.fetch_add(1, Ordering::SeqCst);
        // Whoever waits announced that before it looked for a free one for the last time, so one of the two is seen.
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
            while !queue.is_empty()
                && let Some(place) = self.take()
            {
                if let Some(waiter) = queue.pop_front() {
                    self.waiting.fetch_sub(1, Ordering::SeqCst);
                    waiter.granted.store(place + 1, Ordering::SeqCst);
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
        self.bulkhead.give_back(self.place);
    }
}

impl Place {
    #[inline]
    fn take(&self) -> bool {
        let mut free = self.0.load(Ordering::SeqCst);
        while free > 0 {
            match self.0.compare_exchange_weak(free, free - 1, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(found) => free = found,
            }
        }
        false
    }
}

/// A number of this thread, handed out in turn, so that a few threads have different places.
#[inline]
fn mine() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    MINE.try_with(|mine| *mine).unwrap_or(0)
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
        let granted = self.waiter.as_ref().map_or(0, |waiter| waiter.granted.load(Ordering::SeqCst));
        let Some(place) = granted.checked_sub(1) else { return Poll::Pending };
        self.waiter = None;
        Poll::Ready(Slot { bulkhead: self.bulkhead, place })
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
        if let Some(place) = waiter.granted.load(Ordering::SeqCst).checked_sub(1) {
            self.bulkhead.give_back(place);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::base::park::block_on;

    fn free(bulkhead: &Bulkhead) -> u32 {
        bulkhead.places.iter().map(|place| place.0.load(Ordering::SeqCst)).sum()
    }

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
        assert_eq!((bulkhead.waiting(), free(&bulkhead)), (0, 1));
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
        assert_eq!((bulkhead.waiting(), free(&bulkhead)), (0, 1));
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
        for limit in [3, 11] {
            let (bulkhead, out, most) = (Bulkhead::new(limit), AtomicUsize::new(0), AtomicUsize::new(0));
            assert_eq!(free(&bulkhead), limit);
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        for _ in 0..1000 {
                            let slot = block_on(bulkhead.acquire());
                            most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            std::thread::yield_now();
                            out.fetch_sub(1, Ordering::SeqCst);
                            drop(slot);
                        }
                    });
                }
            });
            assert!(most.into_inner() <= limit as usize);
            assert_eq!((bulkhead.waiting(), free(&bulkhead)), (0, limit));
        }
    }

    #[test]
    fn one_thread_may_have_all_of_them() {
        let bulkhead = Bulkhead::new(25);
        let slots: Vec<_> = std::iter::from_fn(|| bulkhead.try_acquire()).collect();
        assert_eq!((slots.len(), free(&bulkhead)), (25, 0));
        drop(slots);
        assert_eq!(free(&bulkhead), 25);
    }
}
