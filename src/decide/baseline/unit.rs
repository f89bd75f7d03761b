//! Units of work: how often each kind occurs in one run, so that a missing step and a repeated one are seen.
//!
//! A plain count of kinds does not see that a step was left out, or done twice: each line of it is well known. Counted by kind and
//! number of times in one unit of work, both are rare. (On the sessions of the HDFS log the first finds 47 %, the second 99.9 %.)

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::stats::poisson_upper;
use crate::decide::baseline::core::kind;
use crate::decide::baseline::error::Error;
use crate::decide::baseline::hash::Hasher;
use crate::decide::baseline::policy::{MISS, Policy};
use crate::decide::baseline::reason::{Footing, Kind, Percent, Seen};

/// Times in one unit that are told apart; more are as many.
pub const TIMES_MAX: u8 = 8;
/// How many kinds a baseline of units knows, and how many a unit counts.
pub const KINDS_MAX: usize = 1024;

const VERSION: u32 = 1;

/// One unit of work, such as the run of a job: which kinds occur in it, and how often.
#[derive(Clone, Debug)]
pub struct Unit {
    hasher: Hasher,
    counts: BTreeMap<u64, (u8, String)>,
    left_out: u64,
}

/// The baseline of units of work. It takes of the [`Policy`] what is rare, how much evidence it takes, and after how many events, here
/// units, counts are halved.
///
/// ```
/// use unattended::baseline::{Odd, Policy, Units};
///
/// let mut units = Units::new(Policy::new().rare_rate(0.05), 7)?;
/// for _ in 0..200 {
///     let mut unit = units.begin();
///     for step in ["read", "check", "send"] {
///         unit.observe(step);
///     }
///     assert!(units.end(&unit).odd.is_empty());
/// }
/// let mut unit = units.begin();
/// for step in ["read", "send", "send"] {
///     unit.observe(step);
/// }
/// let found = units.end(&unit);
/// let odd: Vec<_> = found.odd.iter().map(|odd| (odd.kind.name.as_str(), odd.what)).collect();
/// assert_eq!(odd, [("check", Odd::Missing), ("send", Odd::Repeated)]);
/// # Ok::<(), unattended::baseline::Error>(())
/// ```
#[derive(Debug)]
pub struct Units {
    policy: Policy,
    seed: u64,
    hasher: Hasher,
    kinds: BTreeMap<u64, Counts>,
    units: u64,
    since_epoch: u64,
    left_out: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    name: String,
    /// In how many units it occurred 0, 1, … times.
    times: [u32; TIMES_MAX as usize + 1],
}

/// What is odd about a unit of work.
#[must_use = "what is odd is told nowhere else"]
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Each kind that occurred a rare number of times; empty while there is not enough evidence.
    pub odd: Vec<OddKind>,
    /// How many units are evidence.
    pub units: u64,
    /// How many it takes.
    pub needed: u64,
    /// Events of kinds that could not be counted, as there were more than [`KINDS_MAX`].
    pub left_out: u64,
}

/// A kind that occurred a rare number of times.
#[derive(Clone, Debug, PartialEq)]
pub struct OddKind {
    /// Which.
    pub kind: Kind,
    /// What is odd about it.
    pub what: Odd,
    /// How often it occurred in this unit, at most [`TIMES_MAX`].
    pub times: u8,
    /// How often it usually does.
    pub usual: u8,
    /// How many units had it so often, of how many.
    pub footing: Footing,
}

/// What is odd about the number of times that a kind occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Odd {
    /// It usually occurs, and did not.
    Missing,
    /// It usually does not occur, and did.
    Unusual,
    /// It occurred more often than usual.
    Repeated,
    /// It occurred less often than usual.
    Fewer,
}

/// Units as they are saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedUnits {
    v: u32,
    seed: String,
    units: u64,
    since_epoch: u64,
    left_out: u64,
    kinds: Vec<Counts>,
    hashes: Vec<u64>,
}

impl SavedUnits {
    /// How many units are its evidence.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }
}

impl Unit {
    /// Counts one event.
    pub fn observe(&mut self, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        let hash = self.hasher.hash(key);
        if let Some((times, _)) = self.counts.get_mut(&hash) {
            *times = times.saturating_add(1).min(TIMES_MAX);
        } else if self.counts.len() < KINDS_MAX {
            self.counts.insert(hash, (1, kind(hash, Some(key)).name));
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }
}

impl Units {
    /// A baseline of no units. `seed` as for [`Baseline::new`](crate::decide::baseline::Baseline::new).
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn new(policy: Policy, seed: u64) -> Result<Self, Error> {
        policy.check()?;
        let hasher = Hasher::new(seed);
        Ok(Self { policy, seed, hasher, kinds: BTreeMap::new(), units: 0, since_epoch: 0, left_out: 0 })
    }

    /// A unit that begins.
    #[must_use]
    pub const fn begin(&self) -> Unit {
        Unit { hasher: self.hasher, counts: BTreeMap::new(), left_out: 0 }
    }

    /// How many units are evidence.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// A unit has ended: it is judged by those before it, and counted.
    pub fn end(&mut self, unit: &Unit) -> Judged {
        let needed = self.policy.evidence();
        let mut odd = Vec::new();
        for (hash, (_, name)) in &unit.counts {
            if self.kinds.len() < KINDS_MAX && !self.kinds.contains_key(hash) {
                let mut times = [0; TIMES_MAX as usize + 1];
                times[0] = u32::try_from(self.units).unwrap_or(u32::MAX);
                self.kinds.insert(*hash, Counts { name: name.clone(), times });
            }
        }
        for (hash, counts) in &mut self.kinds {
            let times = unit.counts.get(hash).map_or(0, |(times, _)| *times);
            let seen = counts.times[usize::from(times)];
            if self.units >= needed && seen < self.policy.rare_below {
                let kind = Kind { hash: *hash, name: counts.name.clone() };
                odd.push(judge(kind, times, counts, seen, self.units));
            }
            let count = &mut counts.times[usize::from(times)];
            *count = count.saturating_add(1);
        }
        odd.sort_by(|a, b| a.kind.name.cmp(&b.kind.name));
        let left_out =
            unit.left_out + unit.counts.keys().filter(|hash| !self.kinds.contains_key(hash)).count() as u64;
        self.left_out = self.left_out.saturating_add(left_out);
        self.units = self.units.saturating_add(1);
        self.since_epoch = self.since_epoch.saturating_add(1);
        // Before a count can stand still, all are halved, so that they stay in proportion.
        if self.policy.epoch_events.is_some_and(|events| self.since_epoch >= events)
            || self.units >= u64::from(u32::MAX)
        {
            self.decay();
        }
        Judged { odd, units: self.units, needed, left_out }
    }

    fn decay(&mut self) {
        self.units /= 2;
        self.since_epoch = 0;
        self.kinds.retain(|_, counts| {
            counts.times.iter_mut().for_each(|count| *count /= 2);
            counts.times[1..].iter().any(|count| *count > 0)
        });
    }

    /// All that has to survive a restart.
    #[must_use]
    pub fn save(&self) -> SavedUnits {
        SavedUnits {
            v: VERSION,
            seed: format!("{:016x}", self.seed),
            units: self.units,
            since_epoch: self.since_epoch,
            left_out: self.left_out,
            kinds: self.kinds.values().cloned().collect(),
            hashes: self.kinds.keys().copied().collect(),
        }
    }

    /// Units as they were saved.
    ///
    /// # Errors
    ///
    /// [`Error::Version`], [`Error::Damaged`] with the field that cannot be read, and what [`Policy::check`] finds.
    pub fn restore(policy: Policy, saved: SavedUnits) -> Result<Self, Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        let damaged = |field, what| Error::Damaged { field, what };
        let seed = u64::from_str_radix(&saved.seed, 16).map_err(|_| damaged("seed", "it is no number"))?;
        if saved.kinds.len() != saved.hashes.len() {
            return Err(damaged("hashes", "there are not as many as kinds"));
        }
        if saved.kinds.len() > KINDS_MAX {
            return Err(Error::field("kinds", saved.kinds.len(), format!("at most {KINDS_MAX}")));
        }
        let mut units = Self::new(policy, seed)?;
        for (hash, counts) in saved.hashes.into_iter().zip(saved.kinds) {
            let name = kind(hash, Some(counts.name.as_bytes())).name;
            units.kinds.insert(hash, Counts { name, ..counts });
        }
        (units.units, units.since_epoch, units.left_out) = (saved.units, saved.since_epoch, saved.left_out);
        Ok(units)
    }
}

fn judge(kind: Kind, times: u8, counts: &Counts, seen: u32, units: u64) -> OddKind {
    let most = counts.times.iter().enumerate().max_by_key(|(_, count)| **count);
    let usual = most.map_or(0, |(times, _)| u8::try_from(times).unwrap_or(TIMES_MAX));
    let what = match (times, usual) {
        (0, _) => Odd::Missing,
        (_, 0) => Odd::Unusual,
        _ if times > usual => Odd::Repeated,
        _ => Odd::Fewer,
    };
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate_upper = (poisson_upper(u64::from(seen), MISS) / units.max(1) as f64).min(1.0);
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let missing_mass = counts.times.iter().filter(|count| **count == 1).count() as f64 / units.max(1) as f64;
    let footing = Footing { seen, events: units, rate_upper, missing_mass };
    OddKind { kind, what, times, usual, footing }
}

impl Explain for OddKind {
    fn code(&self) -> &'static str {
        match self.what {
            Odd::Missing => "baseline.step_missing",
            Odd::Unusual => "baseline.step_unusual",
            Odd::Repeated => "baseline.step_repeated",
            Odd::Fewer => "baseline.step_fewer",
        }
    }
}

impl fmt::Display for OddKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = match self.times {
            0 => "is missing".to_owned(),
            1 => "occurred once".to_owned(),
            TIMES_MAX => format!("occurred {TIMES_MAX} times or more"),
            times => format!("occurred {times} times"),
        };
        let usual = match self.usual {
            0 => "it usually does not occur".to_owned(),
            1 => "it usually occurs once".to_owned(),
            usual => format!("it usually occurs {usual} times"),
        };
        let Footing { seen, events, rate_upper, .. } = self.footing;
        write!(
            f,
            "{} {times}, and {usual}: that was {} in {events} units, so at most {} of them are so",
            self.kind,
            Seen(u64::from(seen)),
            Percent(rate_upper)
        )
    }
}
