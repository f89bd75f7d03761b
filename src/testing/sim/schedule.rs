//! Whose turn it is, and what time it is.
//!
//! Threads that take part are *members*. At most one of them has the turn; it gives it up where it waits, and then the
//! next member that is ready gets it. When none is ready, time jumps to the next wake-up.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::ThreadId;
use std::time::Duration;

use chrono::TimeDelta;

use super::Stuck;
use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, Timestamp, later, nanos};

const START: Moment = Moment::from_nanos(86_400_000_000_000);
const PATIENCE: Duration = Duration::from_secs(60);
const HORIZON: Duration = Duration::from_secs(10 * 366 * 86_400);

/// What the handles share.
pub(super) struct Shared {
    state: Mutex<State>,
    turn: Condvar,
}

pub(super) struct State {
    pub(super) clock: Hands,
    pub(super) seed: u64,
    pub(super) streams: Rng,
    pub(super) horizon: Duration,
    pub(super) patience: Duration,
    wakes: BTreeMap<Ticket, Wake>,
    members: Vec<Member>,
    ready: VecDeque<u64>,
    current: Option<u64>,
    /// The thread from outside that made members: it takes turns with them without being one.
    maker: Option<ThreadId>,
    /// The maker runs: the members wait until it waits.
    held: bool,
    /// How many futures wait for something real.
    outside: usize,
    serial: u64,
    turns: u64,
}

/// When, and in which order among those at the same instant.
pub(super) type Ticket = (Moment, u64);

pub(super) enum Wake {
    Member(u64),
    Task(Waker),
}

struct Member {
    id: u64,
    thread: Option<ThreadId>,
    status: Status,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    /// Has the turn or waits for it.
    Active,
    /// Waits until one of its futures is woken.
    Parked,
    Asleep,
    /// Waits for the end of another member.
    Joins(u64),
    /// Gets the turn to be told that its wait is in vain.
    Told(Stuck),
}

type Guard<'a> = MutexGuard<'a, State>;

impl Shared {
    pub(super) fn new(start: Timestamp, seed: u64) -> Self {
        let clock = Hands { moment: START, base: start, since: START, ppm: 0, slept: Duration::ZERO };
        let state = State {
            clock,
            seed,
            streams: Rng::seeded(seed),
            horizon: HORIZON,
            wakes: BTreeMap::new(),
            members: Vec::new(),
            ready: VecDeque::new(),
            current: None,
            maker: None,
            held: false,
            outside: 0,
            patience: PATIENCE,
            serial: 0,
            turns: 0,
        };
        Self { state: Mutex::new(state), turn: Condvar::new() }
    }

    pub(super) fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member whose thread is yet to be made.
    pub(super) fn register(&self) -> u64 {
        let mut state = self.lock();
        if state.me().is_none() {
            state.maker = Some(std::thread::current().id());
            state.held = true;
        }
        state.add(None)
    }

    /// Lets the members go, also where their maker never waits.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.unhold();
        drop(self.switch(state));
    }

    /// Makes this thread a member until [`leave`](Self::leave), and waits for its turn. Says whether it was none before.
    pub(super) fn enter(&self) -> Result<(u64, bool), Stuck> {
        let mut state = self.lock();
        if let Some(id) = state.me() {
            return Ok((id, false));
        }
        state.unhold();
        let id = state.add(Some(std::thread::current().id()));
        let (state, told) = self.wait(state, id);
        drop(state);
        told.map(|()| (id, true)).inspect_err(|_| self.leave(id))
    }

    /// Takes a member out. Where it is the maker of others, which only waited, it goes on before them.
    pub(super) fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.remove(id);
        state.held |= state.is_maker() && !state.members.is_empty();
        drop(self.switch(state));
    }

    /// Waits until a future of this member is woken; not at all if `woken` says that one is.
    pub(super) fn park(&self, id: u64, woken: impl Fn() -> bool) -> Result<(), Stuck> {
        let mut state = self.lock();
        if woken() {
            return Ok(());
        }
        state.pause(id, Status::Parked);
        self.wait(state, id).1
    }

    /// A future of this member was woken.
    pub(super) fn wake(&self, id: u64) {
        let mut state = self.lock();
        if state.status(id) == Some(&Status::Parked) {
            state.make_ready(id);
        }
        drop(self.switch(state));
    }

    pub(super) fn sleep(&self, duration: Duration) {
        let mut state = self.lock();
        state.unhold();
        let member = state.me();
        let id = member.unwrap_or_else(|| state.add(Some(std::thread::current().id())));
        state.ready.retain(|ready| *ready != id);
        let serial = state.next_serial();
        let at = state.clock.moment.after(duration);
        state.wakes.insert((at, serial), Wake::Member(id));
        state.pause(id, Status::Asleep);
        // A sleep cannot be told that it waits in vain; where the whole simulation stalls, it ends early, and whoever
        // joins it gets the error.
        let (mut state, told) = self.wait(state, id);
        if told.is_err() {
            state.wakes.remove(&(at, serial));
        }
        drop(state);
        if member.is_none() {
            self.leave(id);
        }
    }

    pub(super) fn join(&self, target: u64) -> Result<(), Stuck> {
        let (id, visitor) = self.enter()?;
        let mut state = self.lock();
        let told = if state.status(target).is_some() {
            state.pause(id, Status::Joins(target));
            self.wait(state, id).1
        } else {
            drop(state);
            Ok(())
        };
        if visitor {
            self.leave(id);
        }
        told
    }

    /// Counts a future that waits for something real, in or out.
    pub(super) fn outside(&self, change: isize) {
        let mut state = self.lock();
        state.outside = state.outside.saturating_add_signed(change);
        drop(self.switch(state));
    }

    /// Waits for the turn of `id`, and takes what it is told with it.
    fn wait<'a>(&'a self, state: Guard<'a>, id: u64) -> (Guard<'a>, Result<(), Stuck>) {
        let mut state = self.switch(state);
        while state.current != Some(id) {
            let turns = state.turns;
            let limit = state.patience;
            let waited = self.turn.wait_timeout(state, limit);
            let timeout;
            (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() && state.turns == turns && state.current != Some(id) {
                let stalled = state.stalled();
                return (state, Err(stalled));
            }
        }
        let told = match state.take_told(id) {
            Some(stuck) => Err(stuck),
            None => Ok(()),
        };
        (state, told)
    }

    /// Gives the turn to the next member if nobody has it, moving time where all of them wait.
    fn switch<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        while state.current.is_none() && !state.held {
            if let Some(id) = state.ready.pop_front() {
                state.current = Some(id);
                state.turns = state.turns.wrapping_add(1);
                self.turn.notify_all();
            } else if state.members.is_empty() || state.outside > 0 {
                break;
            } else if !state.tell() {
                let Some(((at, _), wake)) = state.wakes.pop_first() else { break };
                state.clock.moment = state.clock.moment.max(at);
                match wake {
                    Wake::Member(id) => state.make_ready(id),
                    // A waker is foreign code, which may read this clock.
                    Wake::Task(waker) => {
                        drop(state);
                        waker.wake();
                        state = self.lock();
                    }
                }
            }
        }
        state
    }
}

impl State {
    pub(super) const fn stalled(&self) -> Stuck {
        Stuck::Stalled { limit: self.patience }
    }

    pub(super) fn next_wake(&self) -> Option<Moment> {
        self.wakes.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) const fn next_serial(&mut self) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// Sets the wake-up of a future; what stood there is given back, to be dropped without the lock.
    pub(super) fn set_wake(&mut self, ticket: Ticket, waker: Waker) -> Option<Wake> {
        self.wakes.insert(ticket, Wake::Task(waker))
    }

    pub(super) fn take_wake(&mut self, ticket: Ticket) -> Option<Wake> {
        self.wakes.remove(&ticket)
    }

    /// A thread from outside begins to wait, or lets the threads that it made go: their turn.
    fn unhold(&mut self) {
        if self.me().is_none() {
            self.held = false;
        }
    }

    fn is_maker(&self) -> bool {
        self.maker == Some(std::thread::current().id())
    }

    /// The member that the calling thread is.
    fn me(&self) -> Option<u64> {
        let thread = Some(std::thread::current().id());
        self.members.iter().find(|member| member.thread == thread).map(|member| member.id)
    }

    fn add(&mut self, thread: Option<ThreadId>) -> u64 {
        let id = self.next_serial();
        self.members.push(Member { id, thread, status: Status::Active });
        self.ready.push_back(id);
        id
    }

    fn remove(&mut self, id: u64) {
        self.members.retain(|member| member.id != id);
        self.ready.retain(|ready| *ready != id);
        if self.current == Some(id) {
            self.current = None;
        }
        let joining = |member: &&Member| member.status == Status::Joins(id);
        let joining: Vec<u64> = self.members.iter().filter(joining).map(|member| member.id).collect();
        for id in joining {
            self.make_ready(id);
        }
    }

    fn status(&self, id: u64) -> Option<&Status> {
        self.members.iter().find(|member| member.id == id).map(|member| &member.status)
    }

    fn set_status(&mut self, id: u64, status: Status) {
        if let Some(member) = self.members.iter_mut().find(|member| member.id == id) {
            member.status = status;
        }
    }

    fn take_told(&mut self, id: u64) -> Option<Stuck> {
        let told = match self.status(id) {
            Some(Status::Told(stuck)) => Some(stuck.clone()),
            _ => None,
        };
        self.set_status(id, Status::Active);
        told
    }

    fn make_ready(&mut self, id: u64) {
        if self.status(id).is_some() {
            self.set_status(id, Status::Active);
            self.ready.push_back(id);
        }
    }

    /// The member begins to wait and gives up its turn.
    fn pause(&mut self, id: u64, status: Status) {
        self.set_status(id, status);
        if self.current == Some(id) {
            self.current = None;
        }
    }

    /// Where no wake-up will help, tells the first member that waits for another one so. Each is told in its turn.
    fn tell(&mut self) -> bool {
        let limit = self.horizon;
        let stuck = match self.next_wake() {
            None => Stuck::Deadlock { at: self.clock.now().wall, waiting: self.members.len() },
            Some(at) if at > START.after(limit) => Stuck::Horizon { limit },
            Some(_) => return false,
        };
        let in_vain = |member: &&Member| matches!(member.status, Status::Parked | Status::Joins(_));
        let Some(id) = self.members.iter().find(in_vain).map(|member| member.id) else { return false };
        self.set_status(id, Status::Told(stuck));
        self.ready.push_back(id);
        true
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A thread's membership, from its beginning to its end, also by a panic.
pub(super) struct Turn {
    shared: Arc<Shared>,
    id: u64,
}

impl Turn {
    /// The new thread of member `id`: waits for its first turn.
    pub(super) fn begin(shared: Arc<Shared>, id: u64) -> Self {
        let mut state = shared.lock();
        if let Some(member) = state.members.iter_mut().find(|member| member.id == id) {
            member.thread = Some(std::thread::current().id());
        }
        drop(shared.wait(state, id));
        Self { shared, id }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.leave(self.id);
    }
}

/// The two clocks.
pub(super) struct Hands {
    moment: Moment,
    /// What the wall clock said at `since`.
    base: Timestamp,
    since: Moment,
    ppm: i32,
    slept: Duration,
}

impl Hands {
    pub(super) fn now(&self) -> Now {
        Now { moment: self.moment, wall: self.wall() }
    }

    pub(super) const fn moment(&self) -> Moment {
        self.moment
    }

    pub(super) const fn elapsed(&self) -> Duration {
        self.moment.since(START)
    }

    pub(super) fn step(&mut self, by: TimeDelta) {
        let end = if by < TimeDelta::zero() { Timestamp::MIN_UTC } else { Timestamp::MAX_UTC };
        self.set(self.wall().checked_add_signed(by).unwrap_or(end));
    }

    pub(super) fn suspend(&mut self, duration: Duration) {
        self.slept = self.slept.saturating_add(duration);
        self.step(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX));
    }

    pub(super) const fn uptime(&self) -> Duration {
        self.elapsed().saturating_add(self.slept)
    }

    pub(super) const fn set(&mut self, to: Timestamp) {
        (self.base, self.since) = (to, self.moment);
    }

    pub(super) fn drift(&mut self, ppm: i32) {
        self.set(self.wall());
        self.ppm = ppm.max(-1_000_000);
    }

    fn wall(&self) -> Timestamp {
        let elapsed = i128::from(nanos(self.moment.since(self.since)));
        let elapsed = elapsed * (1_000_000 + i128::from(self.ppm)) / 1_000_000;
        later(self.base, Duration::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }
}
