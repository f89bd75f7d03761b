//! The same story told to two stores leaves the same records and events, up to the numbers that they give.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kit::full;
use super::{HandClock, Harness};
use crate::base::rng::Rng;
use crate::base::time::{Clock, Timestamp};
use crate::remember::blocking::Blocking;
use crate::remember::memory::Memory;
use crate::remember::store::{
    Applied, ApplyError, Batch, BatchId, Change, ClaimDue, Claimed, Event, Expect, LeaseChange, Ns, Order,
    Prune, Put, Query, Record, Store, StoredEvent, Write,
};

const STEPS: usize = 120;
const KEYS: u64 = 6;

/// Where two stores parted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The story's seed: the same seed tells the same story again.
    pub seed: u64,
    /// Which step of it.
    pub step: usize,
    /// What was done there.
    pub action: String,
    /// What the store in memory answered or holds.
    pub expected: String,
    /// What the store under test answered or holds.
    pub found: String,
}

/// Tells the story of each seed to the store in memory and to the store under test.
///
/// # Panics
/// When they answer differently, or hold different records or events, with the seed, the step and both answers.
pub fn differential<H: Harness>(make: impl Fn() -> H, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let difference = first_difference(&make(), seed);
        assert!(difference.is_none(), "the store and the store in memory part: {difference:#?}");
    }
}

/// The first step of the story of `seed` at which the store under test and the store in memory part.
pub fn first_difference(harness: &dyn Harness, seed: u64) -> Option<Difference> {
    let model = Model::new();
    // Both are told the same instants, relative to when each of their clocks began.
    let mut sides = [Side::new(&model), Side::new(harness)];
    let mut rng = Rng::seeded(seed);
    for step in 0..STEPS {
        let action = Action::choose(&mut rng);
        let answers = sides.each_mut().map(|side| side.act(&action));
        let holdings = sides.each_mut().map(Side::holdings);
        for [expected, found] in [answers, holdings] {
            if expected != found {
                return Some(Difference { seed, step, action: format!("{action:?}"), expected, found });
            }
        }
    }
    None
}

struct Model {
    clock: std::sync::Arc<HandClock>,
    store: Memory,
}

impl Model {
    fn new() -> Self {
        let clock = std::sync::Arc::new(HandClock::new());
        Self { store: Memory::on(std::sync::Arc::clone(&clock) as std::sync::Arc<dyn Clock>), clock }
    }
}

impl Harness for Model {
    fn store(&self) -> &dyn Store {
        &self.store
    }
    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// A step of a story. It names versions and fences by what stands there, since each store gives its own numbers.
#[derive(Debug)]
enum Action {
    Send { writes: Vec<(u64, Guess, Edit)>, again: bool },
    ClaimDue { limit: u32, kind: Option<u64> },
    Advance { ms: u64 },
    Prune { limit: u32, age_ms: u64 },
    Scan { order: Order, limit: u32, attention: bool, state: Option<u64> },
    Resend,
}

/// How a precondition relates to what stands there.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Absent,
    Version,
    OldVersion,
    Fence,
    OldFence,
    LeaseOver,
}

/// What a write changes, in numbers that both sides turn into the same values.
#[derive(Debug)]
struct Edit {
    fields: u64,
    value: u64,
    lease: u64,
    claim: bool,
    event: bool,
}

impl Action {
    fn choose(rng: &mut Rng) -> Self {
        match rng.up_to(19) {
            0..=10 => {
                let count = if rng.up_to(3) == 0 { 1 + rng.up_to(3) } else { 1 };
                let first = rng.up_to(KEYS - 1);
                let writes =
                    (0..count).map(|index| ((first + index) % KEYS, Guess::choose(rng), Edit::choose(rng)));
                Self::Send { writes: writes.collect(), again: rng.up_to(4) == 0 }
            }
            11 | 12 => {
                Self::ClaimDue { limit: 1 + small(rng, 3), kind: (rng.up_to(2) == 0).then(|| rng.up_to(1)) }
            }
            13 | 14 => Self::Advance { ms: rng.up_to(20_000) },
            15 => Self::Prune { limit: 1 + small(rng, 3), age_ms: rng.up_to(10_000) },
            16 | 17 => Self::Resend,
            _ => Self::Scan {
                order: match rng.up_to(2) {
                    0 => Order::Newest,
                    1 => Order::Oldest,
                    _ => Order::Rank,
                },
                limit: 1 + small(rng, 4),
                attention: rng.up_to(1) == 0,
                state: (rng.up_to(1) == 0).then(|| rng.up_to(2)),
            },
        }
    }
}

fn small(rng: &mut Rng, max: u32) -> u32 {
    u32::try_from(rng.up_to(u64::from(max))).unwrap_or(max)
}

impl Guess {
    fn choose(rng: &mut Rng) -> Self {
        match rng.up_to(9) {
            0..=2 => Self::Absent,
            3 | 4 => Self::Version,
            5 => Self::OldVersion,
            6 | 7 => Self::Fence,
            8 => Self::OldFence,
            _ => Self::LeaseOver,
        }
    }
}

impl Edit {
    fn choose(rng: &mut Rng) -> Self {
        Self {
            fields: rng.next_u64(),
            value: rng.up_to(99),
            lease: rng.up_to(3),
            claim: rng.up_to(2) == 0,
            event: rng.up_to(1) == 0,
        }
    }

    fn put(&self, start: Timestamp) -> Put {
        let has = |bit: u32| self.fields >> bit & 1 == 1;
        let at = |bit: u32| match (has(bit), has(bit + 1)) {
            (false, _) => Change::Keep,
            (true, true) => Change::CLEAR,
            (true, false) => Change::to(start + Duration::from_millis(self.value * 1_000)),
        };
        let text = |bit: u32| match (has(bit), has(bit + 1)) {
            (false, _) => Change::Keep,
            (true, true) => Change::CLEAR,
            (true, false) => Change::to(format!("t{}", self.value)),
        };
        let lease = match self.lease {
            0 => LeaseChange::End,
            1 => LeaseChange::For(Duration::from_millis(1 + self.value * 200)),
            _ => LeaseChange::Keep,
        };
        let put = Put {
            lease,
            owner: has(0).then(|| format!("worker:{}", self.value % 3)),
            state: has(1).then(|| state(self.value % 3)),
            kind: has(2).then(|| kind(self.value % 2)),
            rank: has(3).then(|| i64::try_from(self.value).unwrap_or(0) % 5 - 2),
            serial_key: text(4),
            due_at: at(6),
            expires_at: at(8),
            paused: has(10).then(|| has(11) && has(12)),
            cancelling: has(13).then(|| has(14)),
            reviewed_at: at(15),
            fingerprint: text(17),
            body: has(19).then(|| format!("{{\"n\":{}}}", self.value)),
            ..Put::nothing()
        };
        if self.claim { Put { due_at: put.due_at.clone(), ..claim_of(put) } } else { put }
    }
}

fn claim_of(put: Put) -> Put {
    let claim = Put::claim("s0", Duration::from_secs(10));
    Put { fence: claim.fence, lease: claim.lease, state: claim.state, ..put }
}

fn state(number: u64) -> String {
    format!("s{number}")
}

fn kind(number: u64) -> String {
    format!("k{number}")
}

fn key(number: u64) -> String {
    format!("key-{number}")
}

/// One of the two stores, and the names that its own numbers are given in the comparison.
struct Side<'a> {
    harness: &'a dyn Harness,
    start: Timestamp,
    numbers: BTreeMap<u64, usize>,
    batches: Vec<BatchId>,
    /// For each key the version and fence that it had before, so that an old one can be guessed.
    past: BTreeMap<u64, (u64, u64)>,
    last: Option<Batch>,
}

impl<'a> Side<'a> {
    fn new(harness: &'a dyn Harness) -> Self {
        // A write in a namespace that no story uses tells what the store's clock says.
        let look = Batch::of(Write::new(Ns::SNAPSHOT, "start", Expect::Absent, Put::nothing()));
        let start = Blocking(harness.store()).apply(look).map_or(Timestamp::UNIX_EPOCH, |done| done.now);
        Self {
            harness,
            start,
            numbers: BTreeMap::new(),
            batches: Vec::new(),
            past: BTreeMap::new(),
            last: None,
        }
    }

    fn store(&self) -> Blocking<'a> {
        Blocking(self.harness.store())
    }

    fn act(&mut self, action: &Action) -> String {
        match action {
            Action::Advance { ms } => {
                self.harness.advance(Duration::from_millis(*ms));
                String::new()
            }
            Action::Send { writes, again } => {
                let batch = self.batch(writes);
                self.last = Some(batch.again());
                let batch = if *again { batch.again() } else { batch };
                self.send(batch)
            }
            Action::Resend => match self.last.as_ref().map(Batch::again) {
                Some(batch) => self.send(batch),
                None => String::from("nothing to resend"),
            },
            Action::ClaimDue { limit, kind } => {
                let claimed = self.store().claim_due(claim_due(*limit, *kind));
                match claimed {
                    Ok(claimed) => claimed.iter().map(|one| self.claimed(one)).collect::<Vec<_>>().join("\n"),
                    Err(error) => full(&error),
                }
            }
            Action::Prune { limit, age_ms } => {
                let before = self.now().unwrap_or_default() - Duration::from_millis(*age_ms);
                let prune =
                    Prune { ns: Ns::RUN, states: vec![state(2)], updated_before: before, limit: *limit };
                format!("{:?}", self.store().prune(prune).map_err(|error| full(&error)))
            }
            Action::Scan { order, limit, attention, state: wanted } => {
                let states = wanted.iter().map(|number| state(*number)).collect();
                let query = Query {
                    order: *order,
                    limit: *limit,
                    attention: *attention,
                    states,
                    ..Query::all(Ns::RUN)
                };
                self.pages(query)
            }
        }
    }

    fn now(&self) -> Option<Timestamp> {
        let look = |expect| Batch::of(Write::new(Ns::SNAPSHOT, "start", expect, Put::nothing()));
        let version = self.store().get(Ns::SNAPSHOT, "start").ok()??.version;
        self.store().apply(look(Expect::Version(version))).ok().map(|done| done.now)
    }

    fn batch(&self, writes: &[(u64, Guess, Edit)]) -> Batch {
        let make = |(number, guess, change): &(u64, Guess, Edit)| {
            let current = self.store().get(Ns::RUN, &key(*number)).ok().flatten();
            let (version, fence) = current.map_or((7, 7), |record| (record.version, record.fence));
            // Where there was none before, a number that no store has come to: each counts in steps of its own.
            let never = i64::MAX.unsigned_abs();
            let (old_version, old_fence) = self.past.get(number).copied().unwrap_or((never, never));
            let expect = match guess {
                Guess::Absent => Expect::Absent,
                Guess::Version => Expect::Version(version),
                Guess::OldVersion => Expect::Version(old_version),
                Guess::Fence => Expect::Fence(fence),
                Guess::OldFence => Expect::Fence(old_fence),
                Guess::LeaseOver => Expect::LeaseOver { version },
            };
            let write = Write::new(Ns::RUN, key(*number), expect, change.put(self.start));
            if change.event {
                write.event(Event::new(Some("x"), "y", "actor", format!("code{}", change.value), "why"))
            } else {
                write
            }
        };
        Batch::new(writes.iter().map(make).collect())
    }

    fn send(&mut self, batch: Batch) -> String {
        for write in batch.writes() {
            if let Ok(Some(record)) = self.store().get(Ns::RUN, &write.key)
                && let Some(number) = write.key.strip_prefix("key-").and_then(|number| number.parse().ok())
            {
                self.past.insert(number, (record.version, record.fence));
            }
        }
        match self.store().apply(batch) {
            Ok(done) => self.applied(&done),
            Err(ApplyError::Conflict(conflicts)) => {
                let lines = conflicts.iter().map(|conflict| {
                    let winner = conflict.winner.as_ref().map(|record| self.record(record));
                    format!("conflict {} {winner:?}", conflict.index)
                });
                lines.collect::<Vec<_>>().join("\n")
            }
            Err(error) => full(&error),
        }
    }

    fn applied(&mut self, done: &Applied) -> String {
        let mut text = format!("applied, replayed {}", done.replayed);
        for written in &done.writes {
            let (version, fence) = (self.number(written.version), self.number(written.fence));
            let lease = written.lease.map(|lease| lease.over);
            let owner = self.owner(written.owner.as_deref());
            let flags = (written.paused, written.cancelling);
            text += &format!("\nversion {version} fence {fence} lease {lease:?} owner {owner} {flags:?}");
        }
        text
    }

    fn claimed(&mut self, claimed: &Claimed) -> String {
        format!("{} from {} orphan {}", self.record(&claimed.record), claimed.from, claimed.orphan)
    }

    fn pages(&mut self, mut query: Query) -> String {
        let mut text = String::new();
        for _ in 0..50 {
            match self.store().scan(query.clone()) {
                Ok(page) => {
                    for record in &page.records {
                        text += &self.record(record);
                        text.push('\n');
                    }
                    text += "page\n";
                    query.cursor = page.next;
                }
                Err(error) => text += &full(&error),
            }
            if query.cursor.is_none() {
                break;
            }
        }
        text
    }

    fn holdings(&mut self) -> String {
        let mut text = String::new();
        for number in 0..KEYS {
            let key = key(number);
            match self.store().get(Ns::RUN, &key) {
                Ok(Some(record)) => text += &self.record(&record),
                Ok(None) => text += "none",
                Err(error) => text += &full(&error),
            }
            match self.store().events(Ns::RUN, &key, 0, 1000) {
                Ok(events) => events.iter().for_each(|event| text += &self.event(event)),
                Err(error) => text += &full(&error),
            }
            text.push('\n');
        }
        text
    }

    fn record(&mut self, record: &Record) -> String {
        let (version, fence) = (self.number(record.version), self.number(record.fence));
        let batch = self.named(record.batch);
        let mut record = record.clone();
        let lease = record.lease.map(|lease| lease.over);
        (record.version, record.fence, record.lease) = (version as u64, fence as u64, None);
        record.owner = Some(self.owner(record.owner.as_deref()));
        record.batch = BatchId::from_bytes([0; 16]);
        // The clock of the store under test may run, so only what a story itself names is compared to the millisecond.
        let epoch = Timestamp::UNIX_EPOCH;
        for at in [&mut record.due_at, &mut record.expires_at, &mut record.reviewed_at] {
            *at = at.map(|at| epoch + (at - self.start));
        }
        (record.created_at, record.updated_at) = (epoch, epoch);
        format!("{record:?} lease over {lease:?} batch {batch}")
    }

    fn event(&mut self, stored: &StoredEvent) -> String {
        let (seq, fence) = (self.number(stored.seq), self.number(stored.fence));
        format!("\n  {seq} fence {fence} batch {} {:?}", self.named(stored.batch), stored.event)
    }

    /// A name for a number that this store gave: the order in which the comparison met it.
    fn number(&mut self, number: u64) -> usize {
        if number == 0 {
            return 0;
        }
        let next = self.numbers.len() + 1;
        *self.numbers.entry(number).or_insert(next)
    }

    fn named(&mut self, batch: BatchId) -> usize {
        if let Some(index) = self.batches.iter().position(|one| *one == batch) {
            return index;
        }
        self.batches.push(batch);
        self.batches.len() - 1
    }

    fn owner(&self, owner: Option<&str>) -> String {
        match owner {
            Some(owner) if owner == self.harness.store().owner() => String::from("(own)"),
            Some(owner) => owner.to_owned(),
            None => String::from("(nobody)"),
        }
    }
}

fn claim_due(limit: u32, of: Option<u64>) -> ClaimDue {
    ClaimDue { kinds: of.into_iter().map(kind).collect(), ..super::kit::claim(limit) }
}
