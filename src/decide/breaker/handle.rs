//! The breaker for many threads: one word that most calls only read, and the pure machine behind a lock.
//!
//! The word says all that a success in Closed needs to know:
//!
//! ```text
//! 63         32 31      20 19  18   17     16   15        0
//! | generation |  epoch  | state | quiet | fast |   left   |
//! ```
//!
//! `fast`: a call may be let in without the time. `quiet`: a success changes nothing, so it is a load and a compare.
//! `left`: how many successes may be taken by decrementing it before the machine has to be told; they are counted when
//! somebody takes the lock. All else goes through the lock, under which `fast`, `quiet` and `left` are taken out of the
//! word, so that what was counted in it and what is in the machine never disagree. A success of an older generation
//! fails the compare: the generation is in the same word.
//!
//! Even an uncontended compare-and-swap costs several times the rest of a success, so the thread that last held the lock
//! counts its own successes beside the word with a plain store. `epoch` is raised each time the lock is taken, and a
//! count of an older epoch is void: a store that comes too late is a success that is not counted, never one that is
//! counted twice or in the wrong generation.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::breaker::machine::{Kind, Machine, Outcome, Permit};
use crate::decide::breaker::policy::{Error, Mode, Policy};
use crate::decide::breaker::reason::{Admit, Moved, Refusing, Standing, Unmoved};
use crate::decide::breaker::snapshot::{Restored, Snapshot};

const LEFT: u64 = 0xffff;
const FAST: u64 = 1 << 16;
const QUIET: u64 = 1 << 17;
const STATE_SHIFT: u32 = 18;
const EPOCH_SHIFT: u32 = 20;
const EPOCH: u64 = 0xfff;
const GENERATION_SHIFT: u32 = 32;

/// A breaker that many threads share, by reference or in an `Arc`.
///
/// No lock is held while a call runs, and a success in Closed takes none.
#[derive(Debug)]
pub struct Breaker {
    /// On a line of its own, so that what lies beside it in memory does not slow it down.
    word: Line,
    own: Own,
    slow_over: Option<Duration>,
    name: String,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
#[repr(align(64))]
struct Line(AtomicU64);

/// What one thread counts for itself.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Own {
    /// The [`mark`] of that thread.
    thread: AtomicUsize,
    /// The epoch in the upper half, how many in the lower.
    count: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    machine: Machine,
    /// What `left` was when it was put into the word.
    granted: u64,
}

impl Breaker {
    /// A closed breaker for the dependency `name`, at `now`, whose jitter comes from `seed`.
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn seeded(name: impl Into<String>, policy: Policy, seed: u64, now: Now) -> Result<Self, Error> {
        Ok(Self::over(name.into(), policy, Machine::new(policy, seed, now)?))
    }

    /// Picks up where `snapshot` was taken; see [`Machine::restore`].
    ///
    /// # Errors
    ///
    /// What [`Machine::restore`] finds.
    pub fn restore(
        policy: Policy,
        snapshot: &Snapshot,
        seed: u64,
        now: Now,
    ) -> Result<(Self, Restored), Error> {
        let (machine, restored) = Machine::restore(policy, snapshot, seed, now)?;
        Ok((Self::over(snapshot.key().into(), policy, machine), restored))
    }

    /// Takes over what `snapshot` holds, in place: another process knew better.
    ///
    /// # Errors
    ///
    /// What [`Machine::restore`] finds; then nothing has changed.
    pub fn adopt(&self, snapshot: &Snapshot, now: Now) -> Result<Restored, Error> {
        self.locked(|machine| machine.adopt(snapshot, now))
    }

    /// The same, and counts on top of it the successes that the other process cannot know of.
    ///
    /// # Errors
    ///
    /// As [`adopt`](Self::adopt).
    #[cfg(feature = "store")]
    pub(crate) fn adopt_and_credit(
        &self,
        snapshot: &Snapshot,
        successes: u32,
        now: Now,
    ) -> Result<Restored, Error> {
        self.locked(|machine| {
            let restored = machine.adopt(snapshot, now)?;
            machine.credit(successes, now);
            Ok(restored)
        })
    }

    fn over(name: String, policy: Policy, machine: Machine) -> Self {
        let (word, granted) = word(&machine);
        Self {
            word: Line(AtomicU64::new(word)),
            own: Own::default(),
            slow_over: policy.slow_over(),
            name,
            inner: Mutex::new(Inner { machine, granted }),
        }
    }

    /// The dependency.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A permit without the time, while Closed and no rule asks how long a call takes; `None` means: ask
    /// [`admit`](Self::admit).
    #[inline]
    #[must_use]
    pub fn admit_fast(&self) -> Option<Permit> {
        let word = self.word.0.load(Ordering::Acquire);
        (word & FAST != 0).then(|| Permit { generation: generation(word), kind: Kind::Counted })
    }

    /// Whether a call may be made now.
    pub fn admit(&self, now: Now) -> Admit {
        self.locked(|machine| machine.admit(now))
    }

    /// Takes a success without the time; gives the permit back when the time is needed: then call
    /// [`settle`](Self::settle).
    ///
    /// # Errors
    ///
    /// The permit, unsettled.
    #[inline]
    pub fn settle_fast(&self, permit: Permit) -> Result<(), Permit> {
        let word = self.word.0.load(Ordering::Acquire);
        if generation(word) != permit.generation || permit.kind != Kind::Counted {
            return Err(permit);
        }
        if word & QUIET != 0 || self.own.add(word) {
            return Ok(());
        }
        self.settle_by_one(permit, word)
    }

    /// Takes a success of which the instant is known, and nothing else; gives the permit back where more is needed:
    /// then call [`settle`](Self::settle).
    pub(crate) fn succeeded_at(&self, permit: Permit, at: Moment) -> Result<(), Permit> {
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            // Where a rule needs the time nothing is counted in the word, and a success in Closed does not change it.
            if inner.machine.needs_time() {
                return inner.machine.succeeded_at(permit, at);
            }
        }
        self.locked(|machine| machine.succeeded_at(permit, at))
    }

    /// Generation, block and state: what another process must not miss.
    #[cfg(feature = "store")]
    pub(crate) fn mark(&self) -> (u32, Option<Timestamp>, Standing) {
        self.locked(|machine| machine.mark())
    }

    /// Takes the outcome of a permitted call.
    #[inline]
    pub fn settle(&self, permit: Permit, outcome: Outcome, now: Now) -> Moved {
        self.settle_hinted(permit, outcome, None, now)
    }

    /// The same, with how long the server asked to be left alone; see [`Machine::settle_hinted`].
    #[inline]
    pub fn settle_hinted(&self, permit: Permit, outcome: Outcome, hint: Option<Duration>, now: Now) -> Moved {
        if outcome != Outcome::Success {
            return self.locked(|machine| machine.settle_hinted(permit, outcome, hint, now));
        }
        match self.settle_fast(permit) {
            Ok(()) => Moved::None { why: Unmoved::Counted { consecutive: 0 } },
            Err(permit) => self.locked(|machine| machine.settle_hinted(permit, outcome, hint, now)),
        }
    }

    /// The dependency asked to be left alone; see [`Machine::block`].
    pub fn block(&self, wait: Duration, now: Now) -> Timestamp {
        self.locked(|machine| machine.block(wait, now))
    }

    /// Why a call at `now` would be refused, and until when. Reading this changes nothing.
    #[must_use]
    pub fn refusal(&self, now: Now) -> Option<(Refusing, Timestamp)> {
        self.locked(|machine| machine.refusal(now))
    }

    /// The state as it was left. Takes no lock and changes nothing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (self.word.0.load(Ordering::Acquire) >> STATE_SHIFT) & 3 {
            0 => Standing::Closed,
            1 => Standing::Open,
            _ => Standing::HalfOpen,
        }
    }

    /// How often the state has changed.
    #[must_use]
    pub fn generation(&self) -> u32 {
        generation(self.word.0.load(Ordering::Acquire))
    }

    /// When a success counts as slow, where a rule asks for it: then the caller measures its calls.
    #[inline]
    #[must_use]
    pub const fn slow_over(&self) -> Option<Duration> {
        self.slow_over
    }

    /// Sets the mode by hand; see [`Machine::force`].
    pub fn force(&self, mode: Option<Mode>) {
        self.locked(|machine| machine.force(mode));
    }

    /// Closes it by hand; see [`Machine::close`].
    pub fn close(&self, now: Now) {
        self.locked(|machine| machine.close(now));
    }

    /// All that has to survive a restart.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Snapshot {
        self.locked(|machine| machine.snapshot(&self.name, now))
    }

    /// A success that changes what is remembered, while `left` allows.
    fn settle_by_one(&self, permit: Permit, mut word: u64) -> Result<(), Permit> {
        loop {
            if generation(word) != permit.generation {
                return Err(permit);
            }
            if word & QUIET != 0 {
                return Ok(());
            }
            if word & LEFT == 0 {
                return Err(permit);
            }
            match self.word.0.compare_exchange_weak(word, word - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(found) => word = found,
            }
        }
    }

    /// Takes the lock, counts what the word holds, and puts a new word there.
    fn locked<T>(&self, work: impl FnOnce(&mut Machine) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.word.0.fetch_and(!(LEFT | FAST | QUIET), Ordering::AcqRel);
        let count = inner.granted.saturating_sub(taken & LEFT).saturating_add(self.own.count(taken));
        inner.machine.successes(u32::try_from(count).unwrap_or(u32::MAX));
        let answer = work(&mut inner.machine);
        let (word, granted) = word(&inner.machine);
        inner.granted = granted;
        self.own.thread.store(mark(), Ordering::Relaxed);
        let epoch = (epoch(taken) + 1) & EPOCH;
        self.word.0.store(word | epoch << EPOCH_SHIFT, Ordering::Release);
        answer
    }
}

impl Own {
    /// Counts a success of this thread, if it is this thread that counts here and the word lets it.
    #[inline]
    fn add(&self, word: u64) -> bool {
        if self.thread.load(Ordering::Relaxed) != mark() {
            return false;
        }
        let count = self.count(word);
        if count >= word & LEFT {
            return false;
        }
        self.count.store(epoch(word) << GENERATION_SHIFT | (count + 1), Ordering::Release);
        true
    }

    /// How many were counted in the epoch of `word`.
    #[inline]
    fn count(&self, word: u64) -> u64 {
        let count = self.count.load(Ordering::Acquire);
        if count >> GENERATION_SHIFT == epoch(word) { count & u64::from(u32::MAX) } else { 0 }
    }
}

/// A number that no two living threads share: where something of the thread's own lies in memory.
#[inline]
fn mark() -> usize {
    thread_local! {
        static MARK: Cell<u8> = const { Cell::new(0) };
    }
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

#[inline]
const fn epoch(word: u64) -> u64 {
    word >> EPOCH_SHIFT & EPOCH
}

/// The word that says what may be done without the lock, and the `left` that is in it.
fn word(machine: &Machine) -> (u64, u64) {
    let state = match machine.standing() {
        Standing::Closed => 0,
        Standing::Open => 1,
        Standing::HalfOpen => 2,
    };
    let base = u64::from(machine.generation()) << GENERATION_SHIFT | state << STATE_SHIFT;
    match (machine.mode(), machine.until_clean()) {
        (Mode::Disabled, _) => (base | FAST | QUIET, 0),
        (Mode::Enforce | Mode::Shadow, Some(until_clean)) => {
            let fast = if machine.block.is_none() && machine.slow.is_none() { FAST } else { 0 };
            if machine.needs_time() {
                return (base | fast, 0);
            }
            let quiet = if until_clean == 0 { QUIET } else { 0 };
            // The last success before it is clean goes through the lock, which then sets `quiet`.
            let left = u64::try_from(until_clean.saturating_sub(1)).unwrap_or(LEFT).min(LEFT);
            (base | fast | quiet | left, left)
        }
        _ => (base, 0),
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the upper half of 64 bits is 32 bits")]
const fn generation(word: u64) -> u32 {
    (word >> GENERATION_SHIFT) as u32
}
