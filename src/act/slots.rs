//! A bounded set of futures that are driven by one: each is polled only when it was woken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::act::panics::caught;
use crate::base::time::BoxFuture;

/// The futures, each in a slot of its own.
pub(in crate::act) struct Slots<K, T> {
    slots: Vec<Slot<K, T>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    /// Those that were woken and are polled now; kept for its room.
    round: Vec<usize>,
}

struct Slot<K, T> {
    /// Whose it is, and the future.
    work: Option<(K, BoxFuture<'static, T>)>,
    waker: Waker,
}

#[derive(Default)]
struct Ready {
    woken: Mutex<Woken>,
}

#[derive(Default)]
struct Woken {
    order: Vec<usize>,
    /// Who is in the order already, so that each has at most one place.
    queued: Vec<bool>,
    parent: Option<Waker>,
}

struct Bell {
    index: usize,
    ready: Arc<Ready>,
}

impl<K: Copy, T> Slots<K, T> {
    pub(in crate::act) fn new(count: usize) -> Self {
        let ready = Arc::new(Ready::default());
        ready.lock().queued = vec![false; count];
        let slot = |index| Slot {
            work: None,
            waker: Waker::from(Arc::new(Bell { index, ready: Arc::clone(&ready) })),
        };
        let slots = (0..count).map(slot).collect();
        Self { slots, free: (0..count).rev().collect(), ready, round: Vec::new() }
    }

    /// How many more have room.
    pub(in crate::act) const fn free(&self) -> usize {
        self.free.len()
    }

    /// How many there are.
    pub(in crate::act) const fn running(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whose run.
    pub(in crate::act) fn whose(&self) -> impl Iterator<Item = K> + '_ {
        self.slots.iter().filter_map(|slot| slot.work.as_ref().map(|(whose, _)| *whose))
    }

    /// Takes in the `future` of `whose`; says whether there was room.
    pub(in crate::act) fn begin(&mut self, whose: K, future: BoxFuture<'static, T>) -> bool {
        let Some(index) = self.free.pop() else { return false };
        if let Some(slot) = self.slots.get_mut(index) {
            slot.work = Some((whose, future));
        }
        // Polled for the first time in the next round.
        self.ready.push(index);
        true
    }

    /// Drops all that are left, and says how many.
    pub(in crate::act) fn clear(&mut self) -> usize {
        let mut dropped = 0;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some((_, future)) = slot.work.take() {
                put_away(future);
                self.free.push(index);
                dropped += 1;
            }
        }
        dropped
    }

    /// Polls each that was woken, once, and hands over what has ended: its output, or what it said when it panicked. Those
    /// that are woken meanwhile wake `context`.
    pub(in crate::act) fn poll(
        &mut self,
        context: &mut Context<'_>,
        mut ended: impl FnMut(K, Result<T, String>),
    ) {
        let mut round = std::mem::take(&mut self.round);
        self.ready.take(&mut round, context.waker());
        for index in round.drain(..) {
            let Some(slot) = self.slots.get_mut(index) else { continue };
            let Some((whose, future)) = &mut slot.work else { continue };
            let whose = *whose;
            let mut context = Context::from_waker(&slot.waker);
            let outcome = match caught(|| future.as_mut().poll(&mut context)) {
                Ok(Poll::Pending) => continue,
                Ok(Poll::Ready(output)) => Ok(output),
                Err(said) => Err(said),
            };
            if let Some((_, future)) = slot.work.take() {
                put_away(future);
            }
            self.free.push(index);
            ended(whose, outcome);
        }
        self.round = round;
    }
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, index: usize) {
        let parent = {
            let mut woken = self.lock();
            let Some(queued) = woken.queued.get_mut(index) else { return };
            if std::mem::replace(queued, true) {
                return;
            }
            woken.order.push(index);
            woken.parent.take()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }

    fn take(&self, round: &mut Vec<usize>, parent: &Waker) {
        let mut woken = self.lock();
        std::mem::swap(&mut woken.order, round);
        for index in round.iter() {
            if let Some(queued) = woken.queued.get_mut(*index) {
                *queued = false;
            }
        }
        match &mut woken.parent {
            Some(known) => known.clone_from(parent),
            none => *none = Some(parent.clone()),
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.index);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.push(self.index);
    }
}

/// Drops what has ended; that this may panic too is no matter of the others.
fn put_away<T>(future: BoxFuture<'static, T>) {
    let _said = caught(|| drop(future));
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, poll_fn};
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_channel::oneshot;

    use super::*;

    #[test]
    fn each_is_polled_only_when_it_was_woken() {
        let mut slots = Slots::new(2);
        let polls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&polls);
        let quiet: BoxFuture<'static, u32> = Box::pin(poll_fn(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Poll::Pending
        }));
        let (send, receive) = oneshot::channel();
        assert!(slots.begin('a', quiet));
        assert!(slots.begin('b', Box::pin(async { receive.await.unwrap() })));
        assert!(!slots.begin('c', Box::pin(pending())), "there is no third");
        let ended = RefCell::new(Vec::new());
        let mut poll = || {
            slots.poll(&mut Context::from_waker(Waker::noop()), |whose, output| {
                ended.borrow_mut().push((whose, output));
            });
        };
        poll();
        poll();
        send.send(7).unwrap();
        poll();
        assert_eq!((polls.load(Ordering::SeqCst), ended.borrow().as_slice()), (1, &[('b', Ok(7))][..]));
        assert_eq!((slots.free(), slots.running()), (1, 1));
        assert_eq!(slots.clear(), 1);
        assert_eq!((slots.free(), slots.running()), (2, 0));
    }

    #[test]
    fn one_that_panics_frees_its_slot_and_harms_no_other() {
        let mut slots: Slots<char, u32> = Slots::new(2);
        assert!(slots.begin('a', Box::pin(async { panic!("seven") })));
        assert!(slots.begin('b', Box::pin(async { 8 })));
        let mut ended = Vec::new();
        slots.poll(&mut Context::from_waker(Waker::noop()), |whose, output| {
            ended.push((whose, output));
        });
        assert_eq!(ended, [('a', Err(String::from("seven"))), ('b', Ok(8))]);
        assert_eq!(slots.free(), 2);
    }
}
