//! The queue: tasks in, what is to be done or is over out.

use std::fmt;
use std::time::Duration;

use crate::base::time::{Moment, Now, nanos};
use crate::decide::queue::entry::{Arrival, By, Due, Entry};
use crate::decide::queue::keys::{Keys, Lane};
use crate::decide::queue::kinds::Kinds;
use crate::decide::queue::line;
use crate::decide::queue::order::{Builder, Order};
use crate::decide::queue::pile::Pile;
use crate::decide::queue::reason::{Done, Next, Picked, Pushed, Rejected, Run, Skip, Skipped};
use crate::decide::queue::shed::Shed;
use crate::decide::queue::slab::{Flags, Id, Meta, NEVER, Place, Slab};
use crate::decide::queue::task::{About, Task, check_times};

/// When a task is due, and when it may begin.
struct Times {
    deadline: Option<u64>,
    start: Option<u64>,
}

/// Tasks that wait, in the order of what it is worth to do them; see the [module](crate::decide::queue).
///
/// | what | what it costs with `n` tasks |
/// |---|---|
/// | `push`, `next`, `done` | O(log n), a burst of pushes one sort; a value that falls may be moved back more than once |
/// | `next`, where `m` values fall at one pace (the same half-life, say) | O(m log m) each time that the clock has moved: their order does not change, but every bound is too high |
/// | `cancel`, `pause` | O(1) (O(log n) for a task with a key) |
/// | a push to a full queue | O(log n) mostly: densities that fall are bounded for a span at whose end all are looked at |
/// | `reschedule` | O(log n); O(n) for the deadline of a task whose time has not come |
/// | a step of the wall clock | O(n log n) |
/// | a learned estimate that changed by a quarter | O(n + k log n) for the k of its kind, paid for by n/32 completions of it |
///
/// At most 128 bytes a task beside its payload, and 24 more from the first time on that the queue was full.
#[derive(Clone)]
pub struct Queue<T> {
    pub(super) config: Builder,
    pub(super) slab: Slab<T>,
    pub(super) keys: Keys,
    pub(super) kinds: Kinds,
    /// What may run: all that is ready and not paused, but for what waits in the lane of a key.
    pub(super) ready: Lane,
    pub(super) future: Pile<Due>,
    /// By the last instant at which a task may begin.
    pub(super) expiry: Pile<Due>,
    pub(super) shed: Option<Shed>,
    /// The latest instant that was seen.
    pub(super) now: u64,
    /// How far the wall clock was ahead of the monotonic one when wall instants were last placed: in milliseconds, and exactly.
    pub(super) ahead: (i64, i128),
    pub(super) seq: u32,
    pub(super) stamp: u32,
    pub(super) dispatched: u32,
    pub(super) overloaded: bool,
    pub(super) paused: bool,
    pub(super) moved: u64,
    /// The length of the run below which no slot has been looked at ahead of its turn.
    pub(super) warm: usize,
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("config", &self.config)
            .field("waiting", &self.slab.queued())
            .field("running", &self.slab.running())
            .finish_non_exhaustive()
    }
}

impl Queue<()> {
    /// A queue of another order or capacity; what it holds is said by what is pushed.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<T> Queue<T> {
    /// A queue in the order of [`Order::Density`], for at most 10,000 tasks.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self::with(Builder::default(), now)
    }

    pub(super) fn with(config: Builder, now: Now) -> Self {
        Self {
            config,
            slab: Slab::new(),
            keys: Keys::default(),
            kinds: Kinds::default(),
            ready: Lane::default(),
            future: Pile::default(),
            expiry: Pile::default(),
            shed: None,
            now: line::of(now.moment),
            ahead: (line::ahead_millis(now), line::ahead(now)),
            seq: 0,
            stamp: 0,
            dispatched: 0,
            overloaded: false,
            paused: false,
            moved: 0,
            warm: 0,
        }
    }

    /// Puts a task into the queue. One that has expired already is taken, and skipped by the next [`next`](Self::next).
    ///
    /// In a full queue what has expired or cannot be done in time goes first, then the one of least worth a second, which may
    /// be the new one; of equals the one with the later deadline, then the later arrival. What is paused, waits for a key or
    /// for its time may go too.
    ///
    /// # Errors
    ///
    /// [`Rejected`] gives the payload back if a deadline or a time was given twice, the deadline is before the time before
    /// which it does not begin, or an estimate, class, kind or key is out of its range.
    pub fn push(&mut self, task: Task<T>, now: Now) -> Result<Pushed<T>, Rejected<T>> {
        self.observe(now);
        let Task { payload, about } = task;
        let times = Times {
            deadline: about.deadline.map(|when| when.at(now)),
            start: about.not_before.map(|when| when.at(now)),
        };
        if let Err(error) = about.check().and_then(|()| check_times(times.deadline, times.start)) {
            return Err(Rejected { payload, error });
        }
        if self.seq == u32::MAX {
            self.renumber();
        }
        let meta = self.meta(&about, times.deadline);
        let id = self.slab.insert(meta, payload, about.value);
        self.place(id.slot, times.start);
        let pushed = if self.slab.queued() > self.config.capacity {
            self.overflow(id)
        } else {
            Pushed::Queued { id, dropped: Vec::new() }
        };
        if matches!(pushed, Pushed::Queued { .. })
            && let Some(shed) = &mut self.shed
        {
            shed.add(&self.slab, id.slot);
        }
        Ok(pushed)
    }

    pub(super) fn meta(&mut self, about: &About, deadline: Option<u64>) -> Meta {
        let mut meta = Meta::new(self.now);
        meta.deadline = deadline.unwrap_or(NEVER);
        meta.flags.set(Flags::WALL_DEADLINE, about.deadline.is_some_and(|deadline| deadline.is_wall()));
        meta.flags.set(Flags::WALL_START, about.not_before.is_some_and(|start| start.is_wall()));
        meta.kind = about.kind.as_ref().map_or(0, |kind| self.kinds.number(kind));
        meta.flags.set(Flags::DECLARED, about.estimate.is_some());
        meta.estimate = about.estimate.map_or_else(|| self.kinds.estimate(meta.kind), nanos);
        meta.key = about.key.as_ref().map_or(0, |key| self.keys.enter(key));
        meta.class = about.class;
        meta.seq = self.seq;
        self.seq += 1;
        meta
    }

    /// Puts a task that waits where it belongs.
    pub(super) fn place(&mut self, slot: u32, start: Option<u64>) {
        if let Some(start) = start.filter(|start| *start > self.now) {
            self.stamp = self.stamp.wrapping_add(1);
            if let Some(meta) = self.slab.get_mut(slot) {
                (meta.place, meta.bound) = (Place::Future, self.stamp);
                meta.flags.set(Flags::IN_BEST, false);
                self.future.push(Due::new(start, self.stamp, slot));
                self.future.compact(self.slab.queued(), |due| is_future(&self.slab, *due));
            }
        } else {
            if let Some(meta) = self.slab.get_mut(slot) {
                meta.place = Place::Ready;
            }
            self.offer(slot);
        }
        self.expires(slot);
    }

    fn overflow(&mut self, new: Id) -> Pushed<T> {
        let doomed = self.slab.get(new.slot).is_some_and(|meta| self.now > meta.last_start());
        if doomed && let Some(skipped) = self.skip(new.slot) {
            return Pushed::Shed(skipped);
        }
        let mut dropped = Vec::new();
        while let Some(slot) = self.doomed() {
            dropped.extend(self.skip(slot));
        }
        if self.slab.queued() <= self.config.capacity {
            return Pushed::Queued { id: new, dropped };
        }
        let by = self.config.order.shed_by();
        let newcomer = self.slab.get(new.slot).map(|meta| by.entry(&self.slab, new.slot, meta, self.now));
        let mut shed = self.shed.take().unwrap_or_else(|| Shed::new(by));
        // Without the new one, which is compared by itself and has no bound yet.
        let last = shed.last(&self.slab, self.now, new.slot);
        let (Some(newcomer), Some(last)) = (newcomer, last) else {
            // A queue of one: the new one is the only other.
            return Pushed::Queued { id: new, dropped };
        };
        let (least, winner) = (last.max(newcomer), last.min(newcomer));
        let [density, winner] = [least, winner].map(|entry| self.density(entry.slot));
        self.shed = Some(shed);
        let skipped = self.remove(least.slot).map(|(id, _, payload)| {
            let why = Skip::ShedFor { density, winner };
            Skipped { id, payload, why }
        });
        match skipped {
            Some(skipped) if least.slot == new.slot => Pushed::Shed(skipped),
            skipped => Pushed::Queued { id: new, dropped: skipped.into_iter().collect() },
        }
    }

    /// What is to be done now, or what is over: everything that is over is told before anything runs, in the order in which it
    /// could last have been begun.
    pub fn next(&mut self, now: Now) -> Next<T> {
        self.observe(now);
        self.ripen();
        if let Some(slot) = self.doomed()
            && let Some(skipped) = self.skip(slot)
        {
            self.overload(true);
            return Next::Skip(skipped);
        }
        if !self.paused
            && let Some((slot, oldest)) = self.pick()
        {
            let why = self.why(slot, oldest);
            if let Some((id, meta, payload)) = self.slab.start(slot, self.now) {
                self.dispatched = self.dispatched.wrapping_add(1);
                if let Some(key) = self.keys.get_mut(meta.key) {
                    key.busy = true;
                }
                self.compact();
                let interrupted = meta.flags.has(Flags::INTERRUPTED);
                return Next::Run(Run { id, payload, why, interrupted });
            }
        }
        self.overload(false);
        if self.slab.queued() == 0 {
            return Next::Empty;
        }
        match self.start_of_next() {
            Some(start) => Next::Later(line::moment(start.min(self.end_of_next().unwrap_or(NEVER)))),
            None => Next::Blocked,
        }
    }

    /// A task that ran is done: its key is free again, and how long it took is learned for its kind. None if no such task runs.
    pub fn done(&mut self, id: Id, now: Now) -> Option<Done> {
        self.observe(now);
        let (meta, since) = self.slab.finish(id)?;
        let took = Duration::from_nanos(self.now.saturating_sub(since));
        if let Some(key) = self.keys.get_mut(meta.key) {
            key.busy = false;
        }
        self.keys.leave(meta.key);
        self.promote(meta.key);
        if self.kinds.learn(meta.kind, took, self.slab.queued()) {
            self.relearn(meta.kind);
        }
        let late = (self.now > meta.deadline).then(|| Duration::from_nanos(self.now - meta.deadline));
        Some(Done { took, late })
    }

    /// Takes a task that waits out of the queue; none if no such task waits (it may run).
    pub fn cancel(&mut self, id: Id) -> Option<T> {
        let slot = self.slab.find(id)?;
        self.remove(slot).map(|(_, _, payload)| payload)
    }

    /// When time alone will change something, if nothing is pushed or done: a task may be begun, or is over. A task that may be
    /// begun already counts for this only by its end.
    pub fn next_wake(&mut self, now: Now) -> Option<Moment> {
        self.observe(now);
        let wake = match (self.start_of_next(), self.end_of_next()) {
            (Some(start), Some(end)) => start.min(end),
            (start, end) => start.or(end)?,
        };
        Some(line::moment(wake.max(self.now)))
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.slab.queued()
    }

    /// How many run.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.slab.running()
    }

    /// Nothing waits; something may run.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long tasks of a kind are taken to last: what was learned, 1 s if nothing was.
    #[must_use]
    pub fn estimate_of(&self, kind: &str) -> Duration {
        self.kinds
            .find(kind)
            .map_or(crate::decide::queue::kinds::UNKNOWN, |kind| Duration::from_nanos(kind.estimate))
    }

    /// How often the wall clock has been seen to step, by more than 2 s; each time what is due by it was placed anew.
    #[must_use]
    pub const fn clock_moved(&self) -> u64 {
        self.moved
    }

    fn overload(&mut self, doomed: bool) {
        if self.overloaded != doomed && self.config.order == Order::EdfUntilOverload {
            self.overloaded = doomed;
            self.rebuild();
        }
    }

    /// What is due becomes ready.
    pub(super) fn ripen(&mut self) {
        while let Some(due) = self.future.peek().filter(|due| due.at <= self.now) {
            self.future.pop();
            if is_future(&self.slab, due)
                && let Some(meta) = self.slab.get_mut(due.slot())
            {
                meta.place = Place::Ready;
                self.offer(due.slot());
            }
        }
    }

    fn start_of_next(&mut self) -> Option<u64> {
        while let Some(due) = self.future.peek() {
            if is_future(&self.slab, due) {
                return Some(due.at);
            }
            self.future.pop();
        }
        None
    }

    /// When the next task will be over.
    fn end_of_next(&mut self) -> Option<u64> {
        self.next_end().map(|end| end.at.saturating_add(1))
    }

    pub(super) fn skip(&mut self, slot: u32) -> Option<Skipped<T>> {
        let (id, meta, payload) = self.remove(slot)?;
        let why = if self.now > meta.deadline {
            Skip::Expired { by: Duration::from_nanos(self.now - meta.deadline) }
        } else {
            let left = Duration::from_nanos(meta.deadline - self.now);
            Skip::CannotFinish { estimate: Duration::from_nanos(meta.estimate), left }
        };
        Some(Skipped { id, payload, why })
    }

    /// Takes a task that waits out; its entries are found to be void when they are met.
    fn remove(&mut self, slot: u32) -> Option<(Id, Meta, T)> {
        let id = self.slab.id(slot);
        let (meta, payload) = self.slab.remove(slot)?;
        if meta.key != 0 {
            self.keys.leave(meta.key);
            self.promote(meta.key);
        }
        self.compact();
        Some((id, meta, payload))
    }

    fn why(&self, slot: u32, oldest: bool) -> Picked {
        let Some(meta) = self.slab.get(slot) else { return Picked::First { waited: Duration::ZERO } };
        let waited = Duration::from_nanos(self.now.saturating_sub(meta.submitted));
        if oldest {
            return Picked::OldestTurn { waited, every: self.config.oldest_every };
        }
        match self.by() {
            By::Arrival => Picked::First { waited },
            By::Deadline | By::BareDeadline => {
                let left = (meta.deadline != NEVER).then(|| meta.deadline.saturating_sub(self.now));
                Picked::Deadline { left: left.map(Duration::from_nanos), waited }
            }
            By::Density | By::Class => Picked::Best { density: self.density(slot), waited },
        }
    }

    pub(super) fn density(&self, slot: u32) -> f64 {
        let density = |meta| crate::decide::queue::entry::density(&self.slab, slot, meta, self.now);
        self.slab.get(slot).map_or(0.0, |meta| f64::from(density(meta)))
    }

    pub(super) const fn by(&self) -> By {
        self.config.order.by(self.overloaded)
    }

    /// What it holds memory for, without the names of keys and kinds.
    #[cfg(test)]
    pub(super) fn bytes(&mut self) -> usize {
        let lanes: usize = self.keys.lanes_mut().map(|lane| lane.best.bytes() + lane.oldest.bytes()).sum();
        let ready = self.ready.best.bytes() + self.ready.oldest.bytes();
        let shed = self.shed.as_ref().map_or(0, Shed::bytes);
        self.slab.bytes() + ready + lanes + self.expiry.bytes() + self.future.bytes() + shed
    }

    /// Forgets what is void, where that is more than what holds.
    pub(super) fn compact(&mut self) {
        let (slab, by) = (&self.slab, self.by());
        let live = slab.queued();
        self.ready.best.compact(live, |entry| is_bound(slab, by, entry));
        self.ready.oldest.compact(live, |arrival| is_arrival(slab, *arrival));
        self.expiry.compact(live, |due| is_end(slab, *due));
        self.future.compact(live, |due| is_future(slab, *due));
    }
}

pub(super) fn is_bound<T>(slab: &Slab<T>, by: By, entry: &Entry) -> bool {
    slab.get(entry.slot).is_some_and(|meta| {
        meta.seq == entry.seq()
            && meta.bound == entry.primary()
            && meta.place == Place::Ready
            && meta.flags.has(Flags::IN_BEST)
            && by.deadline(meta) == entry.deadline()
    })
}

pub(super) fn is_arrival<T>(slab: &Slab<T>, arrival: Arrival) -> bool {
    slab.get(arrival.slot()).is_some_and(|meta| meta.seq == arrival.seq() && meta.flags.has(Flags::IN_OLDEST))
}

pub(super) fn is_future<T>(slab: &Slab<T>, due: Due) -> bool {
    slab.get(due.slot()).is_some_and(|meta| meta.place == Place::Future && meta.bound == due.number())
}

pub(super) fn is_end<T>(slab: &Slab<T>, due: Due) -> bool {
    slab.get(due.slot()).is_some_and(|meta| meta.seq == due.number() && meta.last_start() == due.at)
}
