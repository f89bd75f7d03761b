//! All of a baseline that has to survive a restart: counts, evidence, alerts, and what was not told yet.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::text;
use crate::base::time::{Now, Timestamp, between, nanos};
use crate::decide::baseline::alerts::Open;
use crate::decide::baseline::core::{Baseline, NAME_MAX, place};
use crate::decide::baseline::error::Error;
use crate::decide::baseline::filter::{self, Filter};
use crate::decide::baseline::hash::Hasher;
use crate::decide::baseline::pack;
use crate::decide::baseline::policy::Policy;
use crate::decide::baseline::reason::{Digest, Finding, Kind, Noticed};
use crate::decide::baseline::state::State;
use crate::decide::baseline::table::Slot;
use crate::decide::baseline::tell::{Held, OUTBOX_MAX, SavedHeld};

const VERSION: u32 = 1;

/// A baseline as it is saved. Spans of time are nanoseconds before [`saved_at`](Self::saved_at).
///
/// As JSON it has about 14 bytes for each kind that is counted exactly, 0.9 MiB for 65,536, and where kinds had to go 4/3 of the rough
/// memory beside: in a store it is kept by `Snapshots::save_large`, in a file by `snapshots::File` with room for that
/// (`bytes_max`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    v: u32,
    seed: String,
    saved_at: Timestamp,
    idle_ns: u64,
    state: State,
    events: u64,
    singles: u64,
    total: u64,
    evicted: u64,
    epoch: u16,
    epoch_count: u64,
    epoch_age_ns: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cardinality_told: bool,
    kinds: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Over both, so that a letter that was changed is not taken for a count.
    check: String,
    /// When the bucket of all alerts is full again, after the instant of saving.
    #[serde(default)]
    bucket_ns: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    arrivals: Vec<(u64, Kind)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<SavedHeld>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<SavedOpen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    #[serde(default)]
    digest: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<(Timestamp, Timestamp)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedOpen {
    kind: Kind,
    opened: Timestamp,
    /// After the instant of saving.
    next_ns: u64,
    gap_ns: u64,
    told: u32,
    times: u64,
    healthy_ns: u64,
    lately: u32,
}

impl Saved {
    /// When it was saved.
    #[must_use]
    pub const fn saved_at(&self) -> Timestamp {
        self.saved_at
    }

    /// How many events are its evidence.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Where it stood.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }
}

impl Baseline {
    /// All that has to survive a restart, with the alerts that are open and what was not [taken](Self::take) yet. Save before you
    /// send what was taken: after a crash between the two nothing is told twice.
    #[must_use]
    pub fn save(&self, now: Now) -> Saved {
        let at = place(now.moment).max(self.last);
        let evidence = self.evidence();
        let done = evidence.total - self.total;
        let kinds = pack::pack(self.table.iter(), self.epoch);
        let cells = self.filter.as_ref().map(Filter::cells);
        let held = self.held.iter().map(|held| SavedHeld {
            rare: held.rare.clone(),
            events_ago: evidence.total.saturating_sub(held.index),
            age_ns: at.saturating_sub(held.at),
        });
        let open = self.alerts.open.values().map(|open| SavedOpen {
            kind: open.kind.clone(),
            opened: open.opened,
            next_ns: open.next.saturating_sub(at),
            gap_ns: open.gap,
            told: open.told,
            times: open.times,
            healthy_ns: at.saturating_sub(open.healthy_since),
            lately: open.lately,
        });
        let arrivals = self.arrivals.iter();
        Saved {
            v: VERSION,
            seed: format!("{:016x}", self.seed),
            saved_at: now.wall,
            idle_ns: at - self.last,
            state: self.state,
            events: evidence.events,
            singles: self.singles,
            total: evidence.total,
            evicted: self.evicted,
            epoch: self.epoch,
            epoch_count: self.epoch_count.saturating_add(done),
            epoch_age_ns: at.saturating_sub(self.epoch_began),
            cardinality_told: self.cardinality_told,
            check: check(&kinds, cells),
            kinds: pack::to_text(&kinds),
            filter: cells.map(pack::to_text),
            bucket_ns: self.alerts.full_at.saturating_sub(at),
            arrivals: arrivals
                .map(|(index, kind)| (evidence.total.saturating_sub(*index), kind.clone()))
                .collect(),
            held: held.collect(),
            open: open.collect(),
            findings: self.outbox.iter().cloned().collect(),
            digest: self.digest.clone(),
            excluded: self.excluded.clone(),
        }
    }

    /// A baseline as it was saved, and what was noticed. The time since counts by the wall clock; if that went back, as none.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for what a newer program saved, [`Error::Damaged`] and [`Error::Field`] with the field that cannot be
    /// read, and what [`Policy::check`] finds.
    pub fn restore(policy: Policy, saved: Saved, now: Now) -> Result<(Self, Vec<Noticed>), Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        let damaged = |field, what| Error::Damaged { field, what };
        let seed = u64::from_str_radix(&saved.seed, 16).map_err(|_| damaged("seed", "it is no number"))?;
        let kinds = pack::from_text(&saved.kinds).map_err(|what| damaged("kinds", what))?;
        let cells = saved.filter.as_deref().map(pack::from_text).transpose();
        let cells = cells.map_err(|what| damaged("filter", what))?;
        if check(&kinds, cells.as_deref()) != saved.check {
            return Err(damaged("check", "it does not fit the kinds and the filter"));
        }
        let slots = pack::unpack(&kinds, saved.epoch).map_err(|what| damaged("kinds", what))?;
        saved.within()?;
        let mut baseline = Self::new(policy, seed, now)?;
        let mut noticed = Vec::new();
        let back = between(now.wall, saved.saved_at);
        if back > Duration::ZERO {
            noticed.push(Noticed::ClockSteppedBack { by: back });
        }
        let gap = nanos(between(saved.saved_at, now.wall));
        baseline.count_again(&saved);
        let dropped = baseline.take_filter(cells)?;
        let evicted = baseline.take_kinds(slots);
        if evicted > 0 {
            noticed.push(Noticed::Evicted { kinds: evicted });
        }
        baseline.take_alerts(saved, gap, place(now.moment));
        if dropped {
            noticed.push(Noticed::FilterDropped);
            baseline.relearn_as(State::Learning);
        }
        let idle = span_since(baseline.last, now);
        if idle >= policy.stale_after && baseline.total > 0 && baseline.state != State::Stale {
            noticed.push(Noticed::Stale { idle });
            baseline.relearn_as(State::Stale);
            baseline.last = place(now.moment);
        }
        baseline.plan();
        baseline.plan_time();
        Ok((baseline, noticed))
    }

    fn count_again(&mut self, saved: &Saved) {
        self.state = saved.state;
        (self.events, self.total) = (saved.events, saved.total);
        self.singles = saved.singles.min(saved.events);
        self.evicted = saved.evicted;
        (self.epoch, self.epoch_count) = (saved.epoch, saved.epoch_count);
        self.cardinality_told = saved.cardinality_told;
        if self.state == State::Active && self.events < self.needed {
            self.state = State::Learning;
        }
        // A policy that asks for less evidence than the one it was learned under has it now.
        let enough = self.events >= self.needed && self.missing_mass() <= self.policy.missing_mass_max;
        if self.state == State::Learning && enough {
            self.state = State::Active;
        }
    }

    /// Whether the rough memory had to be dropped.
    fn take_filter(&mut self, cells: Option<Vec<u8>>) -> Result<bool, Error> {
        let Some(cells) = cells else { return Ok(false) };
        if cells.len() != filter::bytes_for(self.policy.distinct_max) {
            return Ok(true);
        }
        let damaged = Error::Damaged { field: "filter", what: "its size is not a power of two" };
        self.filter = Some(Filter::of(cells).ok_or(damaged)?);
        Ok(false)
    }

    /// How many kinds had to go.
    fn take_kinds(&mut self, slots: Vec<Slot>) -> u64 {
        let before = self.evicted;
        for slot in slots {
            if let Some(gone) = self.table.insert(slot) {
                self.forget(gone);
            }
        }
        self.evicted - before
    }

    fn take_alerts(&mut self, saved: Saved, gap: u64, at: u64) {
        let past = |age: u64| at.saturating_sub(age.saturating_add(gap));
        let (window, total) = (self.policy.storm_events as usize, saved.total);
        self.last = past(saved.idle_ns);
        self.epoch_began = past(saved.epoch_age_ns);
        let depth = self.policy.rate().map_or(0, |rate| rate.depth());
        self.alerts.full_at = at.saturating_add(saved.bucket_ns.saturating_sub(gap).min(depth));
        let most = nanos(self.policy.realert_max);
        for open in saved.open.into_iter().take(self.policy.open_max as usize) {
            let kind = named(open.kind);
            let healthy_since = past(open.healthy_ns);
            self.alerts.look_at =
                self.alerts.look_at.min(healthy_since.saturating_add(nanos(self.policy.healthy_after)));
            self.mark(kind.hash, true);
            let open = Open {
                opened: open.opened,
                next: at.saturating_add(open.next_ns.saturating_sub(gap).min(most)),
                gap: open.gap_ns.min(most),
                told: open.told,
                times: open.times,
                healthy_since,
                lately: open.lately,
                kind,
            };
            self.alerts.open.insert(open.kind.hash, open);
        }
        for held in saved.held.into_iter().take(window) {
            let rare = crate::decide::baseline::reason::Rare { kind: named(held.rare.kind), ..held.rare };
            if self.alerts.is_open(rare.kind.hash) {
                continue;
            }
            self.mark(rare.kind.hash, true);
            let (index, at) = (total.saturating_sub(held.events_ago), past(held.age_ns));
            self.held.push_back(Held { rare, index, at });
        }
        let arrivals = saved.arrivals.into_iter().take(window);
        self.arrivals = arrivals.map(|(ago, kind)| (total.saturating_sub(ago), named(kind))).collect();
        self.outbox = VecDeque::from(saved.findings);
        self.digest = saved.digest;
        self.excluded = saved.excluded;
    }
}

impl Saved {
    /// Lists that no baseline has so long.
    fn within(&self) -> Result<(), Error> {
        for (field, length, most) in [
            ("findings", self.findings.len(), OUTBOX_MAX),
            ("digest.examples", self.digest.examples.len(), 32),
            ("excluded", self.excluded.len(), 64),
            ("open", self.open.len(), 65_536),
            ("held", self.held.len(), 1000),
            ("arrivals", self.arrivals.len(), 1000),
        ] {
            if length > most {
                return Err(Error::field(field, length, format!("at most {most}")));
            }
        }
        Ok(())
    }
}

fn named(kind: Kind) -> Kind {
    Kind { hash: kind.hash.max(1), name: text::head(&kind.name, NAME_MAX).to_owned() }
}

fn check(kinds: &[u8], cells: Option<&[u8]>) -> String {
    // Against accidents, not against people: the seed is no secret here.
    let hasher = Hasher::new(0);
    format!("{:016x}", hasher.hash(kinds) ^ hasher.hash(cells.unwrap_or_default()).rotate_left(1))
}

fn span_since(last: u64, now: Now) -> Duration {
    Duration::from_nanos(place(now.moment).saturating_sub(last))
}
