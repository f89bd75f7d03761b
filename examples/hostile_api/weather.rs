//! A week of hostile days, drawn from a seed: what is wrong with which dependency, and when; what arrives to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use unattended::rng::Rng;
use unattended::time::{Timestamp, later};

use crate::tasks::{Dependency, ENGINES, Task};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The simulated week.
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// The last hours of it are calm and nothing new arrives, so that whoever can catch up has the time to.
const CALM: Duration = Duration::from_secs(12 * 3600);

/// What may be wrong with a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Every connection is refused.
    Outage,
    /// Most answers are a 503.
    Errors,
    /// Every answer is a 429 that says until when.
    Throttled,
    /// Most answers are a 429, or a 403 that means it, and do not say until when.
    ThrottledVaguely,
    /// Most connections are taken, and then nothing comes for 30 s.
    Silence,
    /// Some answers are lost after the effect took place.
    LostAnswers,
    /// Some answers are no JSON; the effect took place.
    WrongJson,
    /// Some answers come a byte at a time, for minutes.
    Drip,
}

impl Kind {
    /// How many spells of it a dependency has at most (at least one less), their shortest and longest in minutes, and
    /// how many calls of a hundred meet it.
    const ALL: [(Self, u64, u64, u64, u64); 8] = [
        (Self::Outage, 2, 10, 300, 100),
        (Self::Errors, 3, 5, 60, 80),
        (Self::Throttled, 2, 10, 180, 100),
        (Self::ThrottledVaguely, 2, 5, 40, 80),
        (Self::Silence, 2, 10, 60, 70),
        (Self::LostAnswers, 3, 10, 90, 40),
        (Self::WrongJson, 1, 5, 20, 50),
        (Self::Drip, 1, 10, 60, 50),
    ];

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Outage => "every connection refused",
            Self::Errors => "a burst of 503",
            Self::Throttled => "429 that says until when",
            Self::ThrottledVaguely => "429 (the feed: 403) that does not",
            Self::Silence => "silence of 30 s",
            Self::LostAnswers => "answers lost after the effect",
            Self::WrongJson => "answers that are no JSON",
            Self::Drip => "answers that drip for minutes",
        }
    }
}

/// Something that is wrong for a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) kind: Kind,
    /// How many calls of a hundred meet it.
    pub(crate) percent: u64,
}

/// The week of one seed.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) start: Timestamp,
    spells: [Vec<Spell>; 5],
    /// When all tokens were revoked.
    revoked: Vec<Timestamp>,
    /// When each task arrived.
    pub(crate) arrivals: BTreeMap<Task, Timestamp>,
    /// Tasks that one of their calls will never take.
    poisoned: BTreeSet<(Task, &'static str)>,
}

impl Weather {
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut rng = Rng::seeded(seed);
        let start = Timestamp::UNIX_EPOCH + Duration::from_secs(1_772_409_600);
        let busy = WEEK - CALM;
        let spells = Dependency::ALL.map(|_| spells(&mut rng, start, busy));
        let mut revoked: Vec<Timestamp> = (0..3).map(|_| somewhere(&mut rng, start, busy)).collect();
        revoked.sort();
        let mut arrivals = BTreeMap::new();
        for engine in 0..ENGINES.len() {
            let mut at = start;
            for number in 1.. {
                at = later(at, MINUTE * u32::try_from(rng.up_to(240)).unwrap_or_default());
                if at > start + busy {
                    break;
                }
                arrivals.insert(Task { engine, number }, at);
            }
        }
        let poisoned = (0..4).filter_map(|_| poison(&mut rng, &arrivals)).collect();
        Self { start, spells, revoked, arrivals, poisoned }
    }

    /// What is wrong with that dependency at that instant; where several things are, the one that came first.
    pub(crate) fn over(&self, dependency: Dependency, at: Timestamp) -> Option<Spell> {
        let spells = &self.spells[dependency.index()];
        spells.iter().find(|spell| spell.from <= at && at < spell.until).copied()
    }

    /// Whether a token that was issued then is still good.
    pub(crate) fn honours(&self, issued: Timestamp, at: Timestamp) -> bool {
        at < later(issued, HOUR) && !self.revoked.iter().any(|revoked| issued < *revoked && *revoked <= at)
    }

    pub(crate) fn refuses(&self, task: Task, op: &'static str) -> bool {
        self.poisoned.contains(&(task, op))
    }

    /// How many spells of each kind there are, and how long they last together.
    pub(crate) fn summary(&self) -> BTreeMap<Kind, (u32, Duration)> {
        let mut summary: BTreeMap<Kind, (u32, Duration)> = BTreeMap::new();
        for spell in self.spells.iter().flatten() {
            let (count, lasted) = summary.entry(spell.kind).or_default();
            *count += 1;
            *lasted += unattended::time::between(spell.from, spell.until);
        }
        summary
    }

    pub(crate) fn poisoned(&self) -> usize {
        self.poisoned.len()
    }

    pub(crate) fn revocations(&self) -> usize {
        self.revoked.len()
    }
}

fn spells(rng: &mut Rng, start: Timestamp, busy: Duration) -> Vec<Spell> {
    let mut spells = Vec::new();
    for (kind, most, shortest, longest, percent) in Kind::ALL {
        for _ in 0..most - rng.up_to(1) {
            let from = somewhere(rng, start, busy);
            let minutes = shortest + rng.up_to(longest - shortest);
            let until = later(from, Duration::from_secs(60 * minutes)).min(start + busy);
            spells.push(Spell { from, until, kind, percent });
        }
    }
    spells.sort_by_key(|spell| spell.from);
    spells
}

/// An instant in the week, on a second.
fn somewhere(rng: &mut Rng, start: Timestamp, busy: Duration) -> Timestamp {
    later(start, Duration::from_secs(rng.up_to(busy.as_secs())))
}

fn poison(rng: &mut Rng, arrivals: &BTreeMap<Task, Timestamp>) -> Option<(Task, &'static str)> {
    let nth = |rng: &mut Rng, len: usize| usize::try_from(rng.up_to(len.saturating_sub(1) as u64)).ok();
    let task = *arrivals.keys().nth(nth(rng, arrivals.len())?)?;
    let ops = task.engine().ops;
    Some((task, ops.get(nth(rng, ops.len())?)?.name))
}
