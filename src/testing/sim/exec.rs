//! Futures: which of them was woken, and the wake-up of a sleep.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::schedule::{Shared, Ticket};
use super::{Sim, Stuck};
use crate::base::time::Moment;

/// Runs all futures to their ends on this thread; each is polled only when it was woken, in the order of the wakes.
pub(super) fn join<F: Future>(
    shared: &Arc<Shared>,
    futures: Vec<Pin<Box<F>>>,
) -> Result<Vec<F::Output>, Stuck> {
    let visit = Visit::enter(shared)?;
    let queue = Arc::new(Queue { shared: Arc::clone(shared), member: visit.id, woken: Mutex::default() });
    let mut tasks: Vec<Task<F>> =
        futures.into_iter().enumerate().map(|(i, f)| Task::new(&queue, i, f)).collect();
    let mut running = tasks.len();
    let mut effort = Effort { at: Moment::ZERO, polls: 0 };
    while running > 0 {
        let Some(index) = queue.next() else {
            shared.park(visit.id, || !queue.is_empty())?;
            continue;
        };
        effort.spend(shared)?;
        if let Some(task) = tasks.get_mut(index)
            && task.poll()
        {
            running -= 1;
        }
    }
    Ok(tasks.into_iter().filter_map(|task| task.output).collect())
}

/// Polls at one instant; past the bound it is a livelock.
struct Effort {
    at: Moment,
    polls: u64,
}

impl Effort {
    fn spend(&mut self, shared: &Shared) -> Result<(), Stuck> {
        let state = shared.lock();
        let now = state.clock.moment();
        if now != self.at {
            *self = Self { at: now, polls: 0 };
        }
        self.polls += 1;
        if self.polls > Sim::POLLS_MAX {
            return Err(Stuck::Livelock { at: state.clock.now().wall });
        }
        Ok(())
    }
}

/// This thread's part in the simulation while it runs futures; ends also by a panic in one of them.
struct Visit<'a> {
    shared: &'a Shared,
    id: u64,
    visitor: bool,
}

impl<'a> Visit<'a> {
    fn enter(shared: &'a Shared) -> Result<Self, Stuck> {
        let (id, visitor) = shared.enter()?;
        Ok(Self { shared, id, visitor })
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.visitor {
            self.shared.leave(self.id, true);
        }
    }
}

/// The futures of one `join` that were woken and not polled since.
struct Queue {
    shared: Arc<Shared>,
    member: u64,
    woken: Mutex<Woken>,
}

#[derive(Default)]
struct Woken {
    order: VecDeque<usize>,
    /// Who is in the order already; so it has at most one place for each future.
    queued: BTreeSet<usize>,
}

impl Queue {
    fn push(&self, index: usize) -> bool {
        let mut woken = self.lock();
        let new = woken.queued.insert(index);
        if new {
            woken.order.push_back(index);
        }
        new
    }

    fn next(&self) -> Option<usize> {
        let mut woken = self.lock();
        let index = woken.order.pop_front()?;
        woken.queued.remove(&index);
        Some(index)
    }

    fn is_empty(&self) -> bool {
        self.lock().order.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a waker holds.
struct Handle {
    queue: Arc<Queue>,
    index: usize,
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        if self.queue.push(self.index) {
            self.queue.shared.wake(self.queue.member);
        }
    }
}

struct Task<F: Future> {
    waker: Waker,
    future: Option<Pin<Box<F>>>,
    output: Option<F::Output>,
}

impl<F: Future> Task<F> {
    /// A future that is due for its first poll.
    fn new(queue: &Arc<Queue>, index: usize, future: Pin<Box<F>>) -> Self {
        queue.push(index);
        let waker = Waker::from(Arc::new(Handle { queue: Arc::clone(queue), index }));
        Self { waker, future: Some(future), output: None }
    }

    /// Polls; true when this poll ended it. A finished future is dropped at once, and its sleeps with it.
    fn poll(&mut self) -> bool {
        let Some(future) = self.future.as_mut() else { return false };
        let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&self.waker)) else {
            return false;
        };
        self.output = Some(output);
        self.future = None;
        true
    }
}

/// A sleep.
pub(super) struct Nap {
    shared: Arc<Shared>,
    at: Moment,
    ticket: Option<Ticket>,
}

impl Nap {
    pub(super) fn new(shared: &Arc<Shared>, duration: Duration) -> Self {
        let at = shared.lock().clock.moment().after(duration);
        Self { shared: Arc::clone(shared), at, ticket: None }
    }
}

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let this = &mut *self;
        let mut state = this.shared.lock();
        if state.clock.moment() >= this.at && this.at < Moment::from_nanos(u64::MAX) {
            return Poll::Ready(());
        }
        if this.at < Moment::from_nanos(u64::MAX) {
            let ticket = *this.ticket.get_or_insert_with(|| (this.at, state.next_serial()));
            let replaced = state.set_wake(ticket, waker);
            // Dropping a waker may run foreign code, which may read this clock.
            drop(state);
            drop(replaced);
        }
        Poll::Pending
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let wake = self.shared.lock().take_wake(ticket);
            drop(wake);
        }
    }
}
