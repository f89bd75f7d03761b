//! One breaker and its quotas for each account of a dependency: a million of them in little memory, and a bound.
//!
//! An account is one allocation: its name, one integer for each quota, and the [packed](Machine::pack) breaker, which is
//! no bytes until something has happened to it. What is asked of an account is done under the lock of its part of the
//! map; no code of the user's runs there.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::accounts::entry::Entry;
use crate::base::time::{Now, Timestamp};
use crate::decide::breaker::{self, Machine, Moved, Outcome, Permit, Worth};
use crate::decide::quota::{Limit, Meter, Reserve, Taken};

/// Into how many parts the map is cut, each with its own lock and its share of the keys.
const PARTS: usize = 16;

/// At the bound, so many accounts that may be dropped are compared.
const COMPARED_MAX: usize = 64;

/// The states of many accounts under one policy.
///
/// **At the bound** a new account takes the place of another in its part of the map: of one that is healthy and has
/// nothing used, which is no loss, as soon as one is met; else, of 64 that are not refusing, the one whose quotas are
/// full again first; only when every one of them refuses (open, half-open, blocked, or set by a person), the one whose
/// refusal ends first, and one set by a person last. [`dropped`](Self::dropped) counts each kind.
#[derive(Debug)]
pub(in crate::act) struct Accounts {
    policy: breaker::Policy,
    limits: Box<[Limit]>,
    parts: Box<[Mutex<Part>]>,
    part_max: usize,
    hasher: Seeded,
    base: Now,
}

#[derive(Debug)]
struct Part {
    entries: HashSet<Entry, Seeded>,
    dropped: Dropped,
}

/// How many accounts of a [`Call`](crate::act::call::Call) were forgotten because there were more than may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Healthy, with nothing used: nothing is lost.
    pub rested: u64,
    /// What was counted is lost: results, or what was used of a quota.
    pub counting: u64,
    /// It was refusing: this is lost, and the account is called again.
    pub refusing: u64,
}

/// SipHash with a seed, so that nobody can choose names that meet in one place, and a test can repeat itself.
#[derive(Clone, Copy, Debug)]
struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

impl Accounts {
    /// No account yet; at most `keys_max` of them later, at least 16.
    ///
    /// # Errors
    ///
    /// What [`breaker::Policy::check`] finds.
    pub(in crate::act) fn new(
        policy: breaker::Policy,
        limits: impl Into<Box<[Limit]>>,
        keys_max: usize,
        seed: u64,
        now: Now,
    ) -> Result<Self, breaker::Error> {
        policy.check()?;
        let hasher = Seeded(seed);
        let part = || Mutex::new(Part { entries: HashSet::with_hasher(hasher), dropped: Dropped::default() });
        Ok(Self {
            policy,
            limits: limits.into(),
            parts: (0..PARTS).map(|_| part()).collect(),
            part_max: (keys_max / PARTS).max(1),
            hasher,
            base: now,
        })
    }

    /// The quotas that each account has.
    pub(in crate::act) const fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// See [`Machine::admit`].
    pub(in crate::act) fn admit(&self, key: &str, now: Now) -> breaker::Admit {
        self.breaker(key, now, |machine| machine.admit(now))
    }

    /// See [`Machine::settle_hinted`].
    pub(in crate::act) fn settle_hinted(
        &self,
        key: &str,
        permit: Permit,
        outcome: Outcome,
        hint: Option<Duration>,
        now: Now,
    ) -> Moved {
        self.breaker(key, now, |machine| machine.settle_hinted(permit, outcome, hint, now))
    }

    /// See [`Machine::block`].
    pub(in crate::act) fn block(&self, key: &str, wait: Duration, now: Now) -> Timestamp {
        self.breaker(key, now, |machine| machine.block(wait, now))
    }

    /// See [`Machine::refusal`]. An account that is not known yet does not become known by it.
    pub(in crate::act) fn refusal(&self, key: &str, now: Now) -> Option<(breaker::Refusing, Timestamp)> {
        self.read(key).refusal(now)
    }

    /// See [`Machine::generation`]. An account that is not known yet does not become known by it.
    pub(in crate::act) fn generation(&self, key: &str) -> u32 {
        self.read(key).generation()
    }

    /// See [`Machine::snapshot`]; it is named `name`. An account that is not known yet does not become known by it.
    #[cfg(feature = "store")]
    pub(in crate::act) fn snapshot(&self, key: &str, name: &str, now: Now) -> breaker::Snapshot {
        self.read(key).snapshot(name, now)
    }

    /// Takes over what `snapshot` holds, and counts on top of it successes that it cannot know of.
    ///
    /// # Errors
    ///
    /// What [`Machine::restore`] finds; then nothing has changed.
    #[cfg(feature = "store")]
    pub(in crate::act) fn adopt_and_credit(
        &self,
        key: &str,
        snapshot: &breaker::Snapshot,
        successes: u32,
        now: Now,
    ) -> Result<breaker::Restored, breaker::Error> {
        self.breaker(key, now, |machine| {
            let restored = machine.adopt(snapshot, now)?;
            machine.credit(successes, now);
            Ok(restored)
        })
    }

    /// Generation, block and state: what another process must not miss.
    #[cfg(feature = "store")]
    pub(in crate::act) fn mark(&self, key: &str) -> (u32, Option<Timestamp>, breaker::Standing) {
        self.read(key).mark()
    }

    /// When a success counts as slow.
    pub(in crate::act) const fn slow_over(&self) -> Option<Duration> {
        self.policy.slow_over()
    }

    /// See [`Meter::reserve`], for the limit of that number; `None` if there is none.
    pub(in crate::act) fn reserve(
        &self,
        key: &str,
        limit: usize,
        n: u32,
        now: Now,
        wait_max: Duration,
    ) -> Option<Reserve> {
        self.meter(key, limit, now, |meter| meter.reserve(n, now, wait_max))
    }

    /// See [`Meter::give_back`].
    pub(in crate::act) fn give_back(&self, key: &str, limit: usize, taken: Taken, now: Now) -> bool {
        self.meter(key, limit, now, |meter| meter.give_back(taken)).unwrap_or(false)
    }

    /// How many accounts are known.
    pub(in crate::act) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).entries.len()).sum()
    }

    /// How many were dropped at the bound.
    pub(in crate::act) fn dropped(&self) -> Dropped {
        self.parts.iter().map(|part| lock(part).dropped).fold(Dropped::default(), |sum, part| Dropped {
            rested: sum.rested + part.rested,
            counting: sum.counting + part.counting,
            refusing: sum.refusing + part.refusing,
        })
    }

    /// Unpacks the breaker, works on it, packs it.
    fn breaker<T>(&self, key: &str, now: Now, work: impl FnOnce(&mut Machine) -> T) -> T {
        let seed = self.seed(key);
        self.entry(key, now, |entry| {
            let mut machine = self.unpack(entry, seed);
            let answer = work(&mut machine);
            entry.set_packed(self.limits.len(), &machine.pack(seed, self.base));
            answer
        })
    }

    /// Works on the integer of a quota, in its place.
    fn meter<T>(&self, key: &str, limit: usize, now: Now, work: impl FnOnce(&Meter) -> T) -> Option<T> {
        let of = *self.limits.get(limit)?;
        self.entry(key, now, |entry| {
            let meter = Meter::of_word(of, entry.word(limit));
            let answer = work(&meter);
            entry.set_word(limit, meter.word());
            Some(answer)
        })
    }

    fn entry<T>(&self, key: &str, now: Now, work: impl FnOnce(&mut Entry) -> T) -> T {
        let mut part = self.part(key);
        let mut entry = match part.entries.take(key.as_bytes()) {
            Some(entry) => entry,
            None => {
                self.make_room(&mut part, now);
                Entry::new(key, self.limits.len())
            }
        };
        let answer = work(&mut entry);
        part.entries.insert(entry);
        answer
    }

    fn read(&self, key: &str) -> Machine {
        let (seed, part) = (self.seed(key), self.part(key));
        let packed =
            part.entries.get(key.as_bytes()).map_or(&[][..], |entry| entry.packed(self.limits.len()));
        Machine::unpack_or_new(self.policy, packed, seed, self.base)
    }

    fn unpack(&self, entry: &Entry, seed: u64) -> Machine {
        Machine::unpack_or_new(self.policy, entry.packed(self.limits.len()), seed, self.base)
    }

    fn make_room(&self, part: &mut Part, now: Now) {
        while part.entries.len() >= self.part_max {
            let Some((loss, key)) = self.least(part, now) else { return };
            part.entries.remove(&*key);
            match loss {
                Loss::Nothing => part.dropped.rested += 1,
                Loss::Counts { .. } => part.dropped.counting += 1,
                Loss::Refuses { .. } => part.dropped.refusing += 1,
            }
        }
    }

    /// The account that is dropped with the least loss.
    fn least(&self, part: &Part, now: Now) -> Option<(Loss, Box<[u8]>)> {
        let mut least: Option<(Loss, &Entry)> = None;
        let mut compared = 0;
        for entry in &part.entries {
            let loss = self.loss(entry, now);
            if least.is_none_or(|(other, _)| loss < other) {
                least = Some((loss, entry));
            }
            compared += usize::from(!matches!(loss, Loss::Refuses { .. }));
            if loss == Loss::Nothing || compared >= COMPARED_MAX {
                break;
            }
        }
        least.map(|(loss, entry)| (loss, entry.key().into()))
    }

    fn loss(&self, entry: &Entry, now: Now) -> Loss {
        // The jitter of its intervals, which the seed decides, is no part of what is asked here.
        let worth = self.unpack(entry, 0).worth(now);
        let meters = self.limits.iter().enumerate();
        let full_in = meters.map(|(n, limit)| Meter::of_word(*limit, entry.word(n)).full_in(now)).max();
        let full_in = full_in.unwrap_or_default();
        match worth {
            Worth::Refuses(until) => Loss::Refuses { until: until.as_nanos() },
            Worth::Nothing if full_in == Duration::ZERO => Loss::Nothing,
            Worth::Nothing => Loss::Counts { results: false, full_in },
            Worth::Counts => Loss::Counts { results: true, full_in },
        }
    }

    fn part(&self, key: &str) -> MutexGuard<'_, Part> {
        lock(&self.parts[self.index(key)])
    }

    fn index(&self, key: &str) -> usize {
        // The map takes the lowest and the highest bits of the same hash.
        usize::try_from(self.hasher.hash_one(key.as_bytes()) >> 32).unwrap_or(0) % PARTS
    }

    fn seed(&self, key: &str) -> u64 {
        Seeded(!self.hasher.0).hash_one(key)
    }
}

/// What is lost with an account; the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    Nothing,
    Counts { results: bool, full_in: Duration },
    Refuses { until: u64 },
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
