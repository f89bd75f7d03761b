//! What is told: what is held back first, what becomes of it, and the change of regime that it may be part of.

use serde::{Deserialize, Serialize};

use crate::base::stats::poisson_at_least;
use crate::base::time::{Moment, Now, Timestamp, nanos};
use crate::decide::baseline::alerts::Raised;
use crate::decide::baseline::core::{Baseline, Sight, kind, moment, span};
use crate::decide::baseline::policy::STORM_P;
use crate::decide::baseline::reason::{
    Cardinality, Digest, Finding, Footing, Kind, Quiet, Rare, RegimeChange, Sighting, Stale,
};
use crate::decide::baseline::severity::Severity;
use crate::decide::baseline::state::State;
use crate::decide::baseline::table::OPEN;

/// How many findings wait to be taken.
pub(super) const OUTBOX_MAX: usize = 256;
pub(super) const EXAMPLES_MAX: usize = 8;
const DIGEST_MAX: usize = 32;
/// So many new kinds that make up more than half of the events are a change of regime, however probable.
const SHARE_KINDS: u32 = 3;

/// A rare event of which it is not known yet whether it is one of many.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) rare: Rare,
    /// The number of the event.
    pub(super) index: u64,
    pub(super) at: u64,
}

/// The same as it is saved: its place in time as an age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedHeld {
    pub(super) rare: Rare,
    pub(super) events_ago: u64,
    pub(super) age_ns: u64,
}

impl Held {
    pub(super) fn new(
        kind: Kind,
        severity: Severity,
        sighting: Sighting,
        footing: Footing,
        index: u64,
        at: u64,
        wall: Timestamp,
    ) -> Self {
        Self { rare: Rare { kind, at: wall, severity, sighting, footing, times: 1 }, index, at }
    }
}

impl Baseline {
    /// The next finding that is to be told; in a loop after each [`Outcome::Tell`](crate::decide::baseline::Outcome::Tell), and
    /// at [`next_wake`](Self::next_wake).
    ///
    /// [Save](Self::save) before you send: a finding that was taken is never given again, so that a process that ends between the
    /// two has lost one message, and does not send hundreds of them again. To have it the other way round save before you
    /// take: what was not taken is saved too.
    #[must_use = "it is told nowhere else"]
    pub fn take(&mut self, now: Now) -> Option<Finding> {
        self.pass(now);
        self.outbox.pop_front()
    }

    /// Tells at once what is held back: for a process that ends and does not come back.
    pub fn flush(&mut self, now: Now) {
        let at = self.pass(now);
        self.release(u64::MAX, u64::MAX, at, now.wall);
    }

    /// What was not worth an alert since this was last asked.
    pub fn take_digest(&mut self) -> Digest {
        std::mem::take(&mut self.digest)
    }

    /// When there may be something to [`take`](Self::take) though nothing is observed: what was not taken before a restart (at
    /// once), what is held back, an alert that may be over, a silence that is long enough to be told. `None` if there is none of it.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        if !self.outbox.is_empty() {
            return Some(moment(self.last));
        }
        let observed = self.total > 0 || self.planned > self.left;
        let silent = if observed && self.state != State::Stale {
            self.last.saturating_add(nanos(self.policy.stale_after))
        } else {
            u64::MAX
        };
        let next = self.held_until().min(self.alerts.look_at).min(silent);
        (next != u64::MAX).then(|| moment(next))
    }

    pub(super) fn hold(&mut self, held: Held) {
        if self.held.len() >= self.policy.storm_events as usize {
            let index = self.held.front().map_or(0, |oldest| oldest.index);
            self.release(index, 0, held.at, held.rare.at);
        }
        self.mark(held.rare.kind.hash, true);
        self.held.push_back(held);
        self.settle();
        self.plan();
        self.plan_time();
    }

    /// Whoever is held up to the event `index`, or up to the time `until`, is told, or goes to the digest.
    pub(super) fn release(&mut self, index: u64, until: u64, at: u64, wall: Timestamp) {
        while self.held.front().is_some_and(|held| held.index <= index || held.at <= until) {
            let Some(held) = self.held.pop_front() else { break };
            let hash = held.rare.kind.hash;
            match self.alerts.raise(&self.policy, &held.rare.kind, at, wall) {
                Raised::Told => self.tell(Finding::Rare(held.rare)),
                Raised::Limited => self.digest.overflow(&held.rare.kind),
                Raised::Full => {
                    self.mark(hash, false);
                    self.digest.overflow(&held.rare.kind);
                }
            }
        }
        self.plan_time();
    }

    /// An event of a kind whose alert is open, or held.
    pub(super) fn count_open(&mut self, hash: u64, sight: Sight, at: u64, wall: Timestamp) -> Quiet {
        if let Some(held) = self.held.iter_mut().find(|held| held.rare.kind.hash == hash) {
            held.rare.times = held.rare.times.saturating_add(1);
            return Quiet::Held { seen: sight.seen, events: self.events };
        }
        match self.alerts.seen(&self.policy, hash, at, wall) {
            Some((times, again)) => {
                match again {
                    Ok(Some(again)) => self.tell(Finding::Again(again)),
                    Ok(None) => {}
                    Err(()) => self.digest.overflow = self.digest.overflow.saturating_add(1),
                }
                Quiet::Counted { times }
            }
            None => {
                self.mark(hash, false);
                Quiet::Known { seen: sight.seen }
            }
        }
    }

    pub(super) fn mark(&mut self, hash: u64, open: bool) {
        if let Some(slot) = self.table.get_mut(hash) {
            slot.flags = if open { slot.flags | OPEN } else { slot.flags & !OPEN };
        }
    }

    /// A kind that was never seen before.
    pub(super) fn arrive(&mut self, kind: Kind) {
        let (index, window) = (self.total, u64::from(self.policy.storm_events));
        self.arrivals.push_back((index, kind));
        while self.arrivals.front().is_some_and(|(first, _)| first.saturating_add(window) <= index) {
            self.arrivals.pop_front();
        }
    }

    /// Whether so many of the last events were of a new kind that it is no chance.
    pub(super) fn storm(&mut self, wall: Timestamp) {
        let (total, window) = (self.total, u64::from(self.policy.storm_events));
        while self.arrivals.front().is_some_and(|(first, _)| first.saturating_add(window) < total) {
            self.arrivals.pop_front();
        }
        let new_kinds = u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX);
        if new_kinds < self.policy.storm_kinds.min(SHARE_KINDS) || self.state != State::Active {
            return;
        }
        // What was expected before these came; one more, as none in so many events is no proof of none.
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate = (self.singles.saturating_sub(u64::from(new_kinds)) + 1) as f64 / self.events.max(1) as f64;
        let expected = rate * f64::from(self.policy.storm_events);
        let probability = poisson_at_least(u64::from(new_kinds), expected);
        let events = self.policy.storm_events;
        let new_events = self.new_events();
        let by_kinds = new_kinds >= self.policy.storm_kinds && probability < STORM_P;
        let by_share = new_kinds >= SHARE_KINDS && new_events > u64::from(events) / 2;
        if !by_kinds && !by_share {
            return;
        }
        let examples = self.arrivals.iter().take(EXAMPLES_MAX).map(|(_, kind)| kind.clone()).collect();
        for held in std::mem::take(&mut self.held) {
            self.mark(held.rare.kind.hash, false);
        }
        self.arrivals.clear();
        self.relearn_as(State::Storm);
        self.tell(Finding::RegimeChange(RegimeChange {
            at: wall,
            new_kinds,
            events,
            new_events,
            expected,
            probability,
            examples,
        }));
        self.plan_time();
    }

    /// How many of the last events were of a kind that was new among them.
    fn new_events(&mut self) -> u64 {
        let table = &mut self.table;
        let seen = self
            .arrivals
            .iter()
            .map(|(_, kind)| table.get_mut(kind.hash).map_or(1, |slot| u64::from(slot.count)));
        seen.fold(0, u64::saturating_add)
    }

    /// Once, until an epoch has passed without a cause.
    pub(super) fn tell_cardinality(&mut self, hash: u64, key: Option<&[u8]>, wall: Timestamp) {
        if self.cardinality_told {
            return;
        }
        self.cardinality_told = true;
        self.tell(Finding::Cardinality(Cardinality {
            at: wall,
            kinds: self.table.len() as u64,
            evicted: self.evicted,
            events: self.events,
            missing_mass: self.missing_mass(),
            fill: self.fill(),
            examples: vec![kind(hash, key)],
        }));
    }

    pub(super) fn tell_stale(&mut self, since: u64, at: u64, wall: Timestamp) {
        let (idle, stale_after) = (span(since, at), self.policy.stale_after);
        self.tell(Finding::Stale(Stale { at: wall, idle, stale_after }));
    }

    /// What stands for many, or for all, takes the place of the oldest that is about one kind.
    pub(super) fn tell(&mut self, finding: Finding) {
        if self.outbox.len() >= OUTBOX_MAX
            && finding.kind().is_none()
            && let Some(at) = self.outbox.iter().position(|other| other.kind().is_some())
            && let Some(gone) = self.outbox.remove(at)
            && let Some(kind) = gone.kind()
        {
            self.digest.overflow(kind);
        }
        if self.outbox.len() < OUTBOX_MAX {
            self.outbox.push_back(finding);
        } else if let Some(kind) = finding.kind() {
            self.digest.overflow(kind);
        } else {
            self.digest.overflow = self.digest.overflow.saturating_add(1);
        }
    }
}

impl Digest {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.minor == 0 && self.overflow == 0
    }

    pub(super) fn minor(&mut self, kind: &Kind) {
        self.minor = self.minor.saturating_add(1);
        self.example(kind);
    }

    pub(super) fn overflow(&mut self, kind: &Kind) {
        self.overflow = self.overflow.saturating_add(1);
        self.example(kind);
    }

    fn example(&mut self, kind: &Kind) {
        if self.examples.len() < DIGEST_MAX && !self.examples.contains(kind) {
            self.examples.push(kind.clone());
        }
    }
}
