//! What a baseline says of an event, and what it tells.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::base::text;
use crate::base::time::Timestamp;
use crate::decide::baseline::severity::Severity;

/// What to do after an event was counted.
#[must_use = "what is to be told has to be taken"]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing is to be told now; why this event is not.
    Quiet(Quiet),
    /// Something is to be told, of this event or of earlier ones: [`take`](crate::decide::baseline::Baseline::take) it.
    Tell,
}

/// Why nothing is told of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Quiet {
    /// Its kind is not rare.
    Known {
        /// How often it was seen before.
        seen: u32,
    },
    /// There is not enough evidence to call anything rare.
    Learning {
        /// How often its kind was seen before.
        seen: u32,
        /// How many events are evidence.
        events: u64,
        /// How many it takes.
        needed: u64,
        /// The share of events expected to be of kinds never seen, which has to be small too.
        missing_mass: f64,
    },
    /// Its kind is rare, and it is held back until it is known whether it is one of many.
    Held {
        /// How often its kind was seen before.
        seen: u32,
        /// For how many events that is.
        events: u64,
    },
    /// Its kind is rare, and its severity is below that of an alert: it is in the digest.
    Digested {
        /// How often its kind was seen before.
        seen: u32,
        /// For how many events that is.
        events: u64,
    },
    /// There is an open alert for its kind, in which it is counted.
    Counted {
        /// How often its kind was seen since the alert was last told.
        times: u64,
    },
    /// It fell into an interval that is excluded, and is not counted.
    Excluded {
        /// When the interval ends.
        until: Timestamp,
    },
    /// There were more kinds than can be remembered, so that nobody can say whether its kind is rare.
    Crowded {
        /// The share of the rough memory in use.
        fill: f64,
        /// The share up to which its word is taken.
        fill_max: f64,
    },
}

/// What is to be told.
#[must_use = "it was taken and is told nowhere else"]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// A kind that is rare was seen: an alert.
    Rare(Rare),
    /// A kind whose alert is open was seen again, and it is time to say so: an alert.
    Again(Again),
    /// Many new kinds at once: one alert instead of many. What is usual is learned anew.
    RegimeChange(RegimeChange),
    /// There seems to be no bound on the kinds: an alert, told once. The key is a bad one, or the log is not one for this.
    Cardinality(Cardinality),
    /// Nothing was observed for a long time. What is usual is learned anew.
    Stale(Stale),
    /// An alert is over.
    Closed(Closed),
}

/// A kind, by its hash under the baseline's seed and, where it was given, its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// The hash.
    pub hash: u64,
    /// The key, as text that is safe to print, at most 160 bytes; the hash in hexadecimal where no key was given.
    pub name: String,
}

/// On what an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Footing {
    /// How often the kind was seen before.
    pub seen: u32,
    /// In how many events.
    pub events: u64,
    /// The kind's rate is at most this share of the events, at 95 % (Poisson).
    pub rate_upper: f64,
    /// The share of events that is expected to be of kinds never seen, if nothing has changed (Good-Turing, N1/N).
    pub missing_mass: f64,
}

/// Whether a kind was ever seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// Never before.
    New,
    /// Before, but rarely.
    Seldom,
    /// It was frequent once, or long ago, and its count has decayed since.
    Returned {
        /// For how many epochs it was not seen, where that is known.
        epochs: Option<u16>,
    },
}

/// A rare kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rare {
    /// Which.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// How bad it says that it is.
    pub severity: Severity,
    /// Whether it was ever seen.
    pub sighting: Sighting,
    /// Why it is called rare.
    pub footing: Footing,
    /// How often it was seen while it was held back, at least once.
    pub times: u64,
}

/// An open alert that is told again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Again {
    /// Which kind.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// When it was opened.
    pub since: Timestamp,
    /// How often it was seen since it was last told.
    pub times: u64,
    /// How often it was told, with this time.
    pub told: u32,
    /// How long it is not told again.
    pub next_after: Duration,
}

/// Many new kinds at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegimeChange {
    /// When it was noticed.
    pub at: Timestamp,
    /// How many kinds were new.
    pub new_kinds: u32,
    /// In how many events.
    pub events: u32,
    /// How many of the events were of these kinds.
    pub new_events: u64,
    /// How many kinds were expected.
    pub expected: f64,
    /// How probable so many are by chance.
    pub probability: f64,
    /// Some of them, at most 8.
    pub examples: Vec<Kind>,
}

/// Too many kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cardinality {
    /// When it was noticed.
    pub at: Timestamp,
    /// How many kinds are counted exactly.
    pub kinds: u64,
    /// How many had to go.
    pub evicted: u64,
    /// In how many events.
    pub events: u64,
    /// The share of events that is expected to be of kinds never seen.
    pub missing_mass: f64,
    /// The share of the rough memory in use.
    pub fill: f64,
    /// Some of the newest, at most 8.
    pub examples: Vec<Kind>,
}

/// Nothing was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stale {
    /// When it was noticed.
    pub at: Timestamp,
    /// For how long nothing was observed.
    pub idle: Duration,
    /// How long is allowed.
    pub stale_after: Duration,
}

/// An alert that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Which kind.
    pub kind: Kind,
    /// When it was closed.
    pub at: Timestamp,
    /// When it was opened.
    pub since: Timestamp,
    /// How often the kind was seen since it was last told.
    pub times: u64,
    /// For how long it was seen too seldom to matter.
    pub healthy: Duration,
}

/// What was not worth an alert, or more than are told: to be read once a day.
#[must_use = "it was taken and is told nowhere else"]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Rare events whose severity is below that of an alert.
    pub minor: u64,
    /// Alerts that were not told, as there were too many.
    pub overflow: u64,
    /// Some of them, the first ones, at most 32.
    pub examples: Vec<Kind>,
}

/// What was noticed while a baseline was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Noticed {
    /// The wall clock is before the instant of saving; no time is taken to have passed.
    ClockSteppedBack {
        /// By how much.
        by: Duration,
    },
    /// Nothing was observed for too long, so what is usual is learned anew.
    Stale {
        /// For how long.
        idle: Duration,
    },
    /// The policy allows fewer kinds than were saved.
    Evicted {
        /// How many had to go.
        kinds: u64,
    },
    /// The policy wants the rough memory in another size: it is dropped, and what is usual is learned anew.
    FilterDropped,
}

impl Finding {
    /// Whether somebody is to be told at once; else it is for the record.
    #[must_use]
    pub const fn is_alert(&self) -> bool {
        !matches!(self, Self::Stale(_) | Self::Closed(_))
    }

    /// The kind that it is about, if it is one.
    #[must_use]
    pub const fn kind(&self) -> Option<&Kind> {
        match self {
            Self::Rare(Rare { kind, .. })
            | Self::Again(Again { kind, .. })
            | Self::Closed(Closed { kind, .. }) => Some(kind),
            Self::RegimeChange(_) | Self::Cardinality(_) | Self::Stale(_) => None,
        }
    }
}

impl Explain for Quiet {
    fn code(&self) -> &'static str {
        match self {
            Self::Known { .. } => "baseline.known",
            Self::Learning { .. } => "baseline.learning",
            Self::Held { .. } => "baseline.held",
            Self::Digested { .. } => "baseline.digested",
            Self::Counted { .. } => "baseline.counted",
            Self::Excluded { .. } => "baseline.excluded",
            Self::Crowded { .. } => "baseline.crowded",
        }
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { seen } => write!(f, "its kind was {} before", Seen(u64::from(*seen))),
            Self::Learning { seen, events, needed, missing_mass } => write!(
                f,
                "its kind was {} before, and {events} of the {needed} events are there that it takes to call it rare; {} of \
                 them are expected to be new",
                Seen(u64::from(*seen)),
                Percent(*missing_mass),
            ),
            Self::Held { seen, events } => write!(
                f,
                "its kind was {} in {events} events, and is held back until it is known whether it is one of many",
                Seen(u64::from(*seen)),
            ),
            Self::Digested { seen, events } => write!(
                f,
                "its kind was {} in {events} events, and is not severe enough for an alert",
                Seen(u64::from(*seen)),
            ),
            Self::Counted { times } => {
                write!(f, "its alert is open, and it was {} since that was told", Seen(*times))
            }
            Self::Excluded { until } => write!(f, "it falls into an interval that is excluded until {until}"),
            Self::Crowded { fill, fill_max } => write!(
                f,
                "{} of the memory for kinds is in use, and beyond {} nobody can say what is rare",
                Percent(*fill),
                Percent(*fill_max),
            ),
        }
    }
}

impl Explain for Finding {
    fn code(&self) -> &'static str {
        match self {
            Self::Rare(rare) => match rare.sighting {
                Sighting::New => "baseline.new",
                Sighting::Seldom => "baseline.rare",
                Sighting::Returned { .. } => "baseline.returned",
            },
            Self::Again(_) => "baseline.again",
            Self::RegimeChange(_) => "baseline.regime_change",
            Self::Cardinality(_) => "baseline.cardinality",
            Self::Stale(_) => "baseline.stale",
            Self::Closed(_) => "baseline.closed",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rare(rare) => rare.fmt(f),
            Self::Again(again) => write!(
                f,
                "{}: {} since it was told, open since {}; it is not told again for {}",
                again.kind,
                Seen(again.times),
                text::second(again.since),
                text::about(again.next_after),
            ),
            Self::RegimeChange(change) => {
                write!(
                    f,
                    "{} kinds are new in {} events where {:.1} were expected (by chance once in {:.0e} windows), and {} of the \
                     events are of them: what is usual is learned anew; among them",
                    change.new_kinds,
                    change.events,
                    change.expected,
                    1.0 / change.probability.max(1e-300),
                    change.new_events,
                )?;
                examples(f, &change.examples)
            }
            Self::Cardinality(over) => {
                write!(
                    f,
                    "there seems to be no bound on the kinds: {} in {} events, {} of the next ones are expected to be new, and {} \
                     of the memory is in use, so the key takes in too much; among them",
                    over.kinds.saturating_add(over.evicted),
                    over.events,
                    Percent(over.missing_mass),
                    Percent(over.fill),
                )?;
                examples(f, &over.examples)
            }
            Self::Stale(stale) => write!(
                f,
                "nothing was observed for {}, more than {}: what is usual is learned anew",
                text::about(stale.idle),
                text::about(stale.stale_after),
            ),
            Self::Closed(closed) => write!(
                f,
                "{}: over, as it was not seen often enough for {}; it was open since {}",
                closed.kind,
                text::about(closed.healthy),
                text::second(closed.since),
            ),
        }
    }
}

impl fmt::Display for Rare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Footing { seen, events, rate_upper, missing_mass } = self.footing;
        write!(f, "{}: ", self.kind)?;
        match self.sighting {
            Sighting::New => write!(f, "never seen in {events} events")?,
            Sighting::Seldom => write!(f, "{} in {events} events", Seen(u64::from(seen)))?,
            Sighting::Returned { epochs: Some(epochs) } => {
                write!(f, "returned after {epochs} epochs, {seen} left of its count in {events} events")?;
            }
            Sighting::Returned { epochs: None } => {
                write!(f, "returned, {seen} left of its count in {events} events")?;
            }
        }
        write!(
            f,
            ", so at most {} of them are of this kind, where {} are expected to be new",
            Percent(rate_upper),
            Percent(missing_mass)
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", text::shown(&self.name))
    }
}

impl Explain for Noticed {
    fn code(&self) -> &'static str {
        match self {
            Self::ClockSteppedBack { .. } => "baseline.clock_stepped_back",
            Self::Stale { .. } => "baseline.stale",
            Self::Evicted { .. } => "baseline.evicted",
            Self::FilterDropped => "baseline.filter_dropped",
        }
    }
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockSteppedBack { by } => {
                write!(f, "the wall clock is {by:?} before what was saved, so no time has passed")
            }
            Self::Stale { idle } => {
                write!(f, "nothing was observed for {}: what is usual is learned anew", text::about(*idle))
            }
            Self::Evicted { kinds } => {
                write!(f, "{kinds} kinds are more than the policy allows, and are known roughly")
            }
            Self::FilterDropped => {
                f.write_str("the rough memory has another size in this policy: what is usual is learned anew")
            }
        }
    }
}

pub(super) struct Seen(pub(super) u64);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("never seen"),
            1 => f.write_str("seen once"),
            2 => f.write_str("seen twice"),
            times => write!(f, "seen {times} times"),
        }
    }
}

pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.*} %", if self.0 < 0.01 { 3 } else { 1 }, self.0 * 100.0)
    }
}

fn examples(f: &mut fmt::Formatter<'_>, kinds: &[Kind]) -> fmt::Result {
    for (at, kind) in kinds.iter().enumerate() {
        write!(f, "{} {kind}", if at == 0 { "" } else { "," })?;
    }
    Ok(())
}
