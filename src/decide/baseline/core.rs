//! The counter: what an event costs when its kind is known, and what is done when it is not.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::stats::poisson_upper;
use crate::base::text;
use crate::base::time::{Moment, Now, Timestamp, nanos};
use crate::decide::baseline::alerts::Alerts;
use crate::decide::baseline::error::Error;
use crate::decide::baseline::filter::{self, FILL_MAX, Filter};
use crate::decide::baseline::hash::Hasher;
use crate::decide::baseline::policy::{MISS, Policy};
use crate::decide::baseline::reason::{Digest, Finding, Footing, Kind, Outcome, Quiet, Sighting};
use crate::decide::baseline::severity::Severity;
use crate::decide::baseline::state::{Evidence, State};
use crate::decide::baseline::table::{AGED, OPEN, SINGLE, Slot, Table};
use crate::decide::baseline::tell::Held;

/// Room before the origin of the monotonic clock, so that what happened before the process began has a place: 146 years.
const ORIGIN: u64 = 1 << 62;

/// Counts kinds, and says which are rare once there is evidence. See the [module](crate::decide::baseline).
#[derive(Debug)]
pub struct Baseline {
    pub(super) policy: Policy,
    pub(super) seed: u64,
    hasher: Hasher,
    pub(super) table: Table,
    pub(super) filter: Option<Filter>,
    /// Events until something has to be looked at, and how many there were when that was last computed.
    pub(super) left: u32,
    pub(super) planned: u32,
    /// When something was last observed.
    pub(super) last: u64,
    /// When something has to be looked at.
    due: u64,
    stale_after: u64,
    rare_below: u32,
    pub(super) epoch: u16,
    guarded: bool,
    pub(super) state: State,
    /// The evidence: events, and the kinds that were first seen among them, once.
    pub(super) events: u64,
    pub(super) singles: u64,
    pub(super) needed: u64,
    /// Events ever.
    pub(super) total: u64,
    pub(super) epoch_count: u64,
    pub(super) epoch_began: u64,
    pub(super) evicted: u64,
    pub(super) cardinality_told: bool,
    /// The kinds that were new lately, by the number of the event.
    pub(super) arrivals: VecDeque<(u64, Kind)>,
    pub(super) held: VecDeque<Held>,
    pub(super) alerts: Alerts,
    pub(super) outbox: VecDeque<Finding>,
    pub(super) digest: Digest,
    pub(super) excluded: Vec<(Timestamp, Timestamp)>,
}

/// What is known of the kind of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) seen: u32,
    pub(super) sighting: Sighting,
    open: bool,
}

impl Baseline {
    /// A baseline that has seen nothing.
    ///
    /// `seed` makes the secrets under which keys are hashed. Where keys come from outside, as log lines do, take
    /// [`rng::entropy`](crate::base::rng::entropy); it is saved with the baseline.
    ///
    /// # Errors
    ///
    /// What [`Policy::check`] finds.
    pub fn new(policy: Policy, seed: u64, now: Now) -> Result<Self, Error> {
        policy.check()?;
        let at = place(now.moment);
        let mut baseline = Self {
            policy,
            seed,
            hasher: Hasher::new(seed),
            table: Table::new(policy.kinds_max as usize),
            filter: None,
            left: 0,
            planned: 0,
            last: at,
            due: u64::MAX,
            stale_after: nanos(policy.stale_after),
            rare_below: policy.rare_below,
            epoch: 0,
            guarded: false,
            state: State::Learning,
            events: 0,
            singles: 0,
            needed: policy.evidence(),
            total: 0,
            epoch_count: 0,
            epoch_began: at,
            evicted: 0,
            cardinality_told: false,
            arrivals: VecDeque::new(),
            held: VecDeque::new(),
            alerts: Alerts::new(policy.rate()?),
            outbox: VecDeque::new(),
            digest: Digest::default(),
            excluded: Vec::new(),
        };
        baseline.plan();
        baseline.plan_time();
        Ok(baseline)
    }

    /// Counts an event of the kind `key`, and decides about it.
    #[inline]
    pub fn observe(&mut self, key: impl AsRef<[u8]>, severity: Severity, now: Now) -> Outcome {
        let key = key.as_ref();
        let hash = self.hasher.hash(key);
        match self.known(hash, now) {
            Some(seen) => Outcome::Quiet(Quiet::Known { seen }),
            None => self.look(hash, Some(key), severity, now),
        }
    }

    /// The same for a key that was hashed before, by [`hash`](Self::hash). Findings show the hash in place of the key.
    #[inline]
    pub fn observe_hash(&mut self, hash: u64, severity: Severity, now: Now) -> Outcome {
        let hash = hash.max(1);
        match self.known(hash, now) {
            Some(seen) => Outcome::Quiet(Quiet::Known { seen }),
            None => self.look(hash, None, severity, now),
        }
    }

    /// The hash of a key, under the secrets of this baseline.
    #[must_use]
    #[inline]
    pub fn hash(&self, key: impl AsRef<[u8]>) -> u64 {
        self.hasher.hash(key.as_ref())
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How much it has learned.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let done = u64::from(self.planned - self.left);
        let events = self.events.saturating_add(done);
        Evidence {
            state: self.state,
            events,
            needed: self.needed,
            missing_mass: mass(self.singles, events),
            missing_mass_max: self.policy.missing_mass_max,
            kinds: self.table.len() as u64,
            evicted: self.evicted,
            fill: self.fill(),
            total: self.total.saturating_add(done),
        }
    }

    /// How many bytes it takes: the tables, and what is held and open, generously.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let filter = self.filter.as_ref().map_or(0, |filter| filter.cells().len());
        let named = self.alerts.open.len()
            + self.held.len()
            + self.arrivals.len()
            + self.outbox.len()
            + self.digest.examples.len();
        self.table.bytes() + filter + named * 512
    }

    /// Counts an event whose kind is well known and of which nothing more has to be said; `None` leaves it to [`look`](Self::look).
    #[inline]
    fn known(&mut self, hash: u64, now: Now) -> Option<u32> {
        let at = place(now.moment);
        // A clock that went back has a huge difference.
        if self.left <= 1 || at >= self.due || at.wrapping_sub(self.last) >= self.stale_after || self.guarded
        {
            return None;
        }
        let slot = self.table.get_mut(hash)?;
        let seen = slot.count;
        if seen < self.rare_below || slot.flags & OPEN != 0 {
            return None;
        }
        slot.count = seen.saturating_add(1);
        slot.last = self.epoch;
        self.last = at;
        self.left -= 1;
        Some(seen)
    }

    /// The same with all that may have to be done.
    #[inline(never)]
    fn look(&mut self, hash: u64, key: Option<&[u8]>, severity: Severity, now: Now) -> Outcome {
        let at = self.pass(now);
        self.last = at;
        if let Some(until) = self.excluded_until(now.wall) {
            // What the time has brought is told all the same.
            let quiet = Quiet::Excluded { until };
            return if self.outbox.is_empty() { Outcome::Quiet(quiet) } else { Outcome::Tell };
        }
        self.left = self.left.saturating_sub(1);
        self.settle();
        let sight = self.count(hash, key, now.wall);
        let quiet = self.judge(hash, key, severity, sight, at, now.wall);
        if self.left == 0 {
            self.turn(hash, key, at, now.wall);
        }
        if self.outbox.is_empty() { Outcome::Quiet(quiet) } else { Outcome::Tell }
    }

    fn count(&mut self, hash: u64, key: Option<&[u8]>, wall: Timestamp) -> Sight {
        let epoch = self.epoch;
        if let Some(slot) = self.table.get_mut(hash) {
            let before = *slot;
            slot.count = slot.count.saturating_add(1);
            slot.last = epoch;
            slot.flags &= !SINGLE;
            if slot.count >= self.rare_below {
                slot.flags &= !AGED;
            }
            if before.flags & SINGLE != 0 {
                self.singles = self.singles.saturating_sub(1);
            }
            let epochs = Some(epoch.wrapping_sub(before.last));
            let sighting =
                if before.flags & AGED == 0 { Sighting::Seldom } else { Sighting::Returned { epochs } };
            return Sight { seen: before.count, sighting, open: before.flags & OPEN != 0 };
        }
        let seen = match self.filter.as_ref().map_or(0, |filter| filter.get(hash)) {
            // Three stand for as many as there may have been.
            3 => self.rare_below.max(3),
            seen => seen,
        };
        let open = self.alerts.is_open(hash) || self.held.iter().any(|held| held.rare.kind.hash == hash);
        let flags = if seen == 0 { SINGLE } else { 0 } | if open { OPEN } else { 0 };
        match seen {
            0 => self.singles = self.singles.saturating_add(1),
            1 if epoch == 0 => self.singles = self.singles.saturating_sub(1),
            _ => {}
        }
        if let Some(gone) =
            self.table.insert(Slot { hash, count: seen.saturating_add(1), last: epoch, flags })
        {
            self.forget(gone);
            if self.is_crowded() {
                self.tell_cardinality(hash, key, wall);
            }
        }
        let sighting = match seen {
            0 => Sighting::New,
            _ if epoch == 0 => Sighting::Seldom,
            _ => Sighting::Returned { epochs: None },
        };
        Sight { seen, sighting, open }
    }

    /// From here on it is known roughly.
    pub(super) fn forget(&mut self, gone: Slot) {
        self.evicted = self.evicted.saturating_add(1);
        let distinct_max = self.policy.distinct_max;
        self.filter
            .get_or_insert_with(|| Filter::new(filter::bytes_for(distinct_max)))
            .put(gone.hash, gone.count);
    }

    fn judge(
        &mut self,
        hash: u64,
        key: Option<&[u8]>,
        severity: Severity,
        sight: Sight,
        at: u64,
        wall: Timestamp,
    ) -> Quiet {
        let (seen, events) = (sight.seen, self.events);
        if sight.open {
            return self.count_open(hash, sight, at, wall);
        }
        if seen >= self.rare_below {
            return Quiet::Known { seen };
        }
        if self.state != State::Active {
            let missing_mass = mass(self.singles, events);
            return Quiet::Learning { seen, events, needed: self.needed, missing_mass };
        }
        if self.is_crowded() {
            return Quiet::Crowded { fill: self.fill(), fill_max: FILL_MAX };
        }
        let kind = kind(hash, key);
        let footing = self.footing(seen);
        let is_new = sight.sighting == Sighting::New;
        if is_new {
            self.arrive(kind.clone());
        }
        let quiet = if severity < self.policy.alert_from {
            self.digest.minor(&kind);
            Quiet::Digested { seen, events }
        } else {
            self.hold(Held::new(kind, severity, sight.sighting, footing, self.total, at, wall));
            Quiet::Held { seen, events }
        };
        if is_new {
            self.storm(wall);
        }
        if self.policy.hold.is_zero() {
            self.release(u64::MAX, u64::MAX, at, wall);
        }
        quiet
    }

    fn footing(&self, seen: u32) -> Footing {
        let events = self.events;
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let rate_upper = poisson_upper(u64::from(seen), MISS) / events.max(1) as f64;
        Footing { seen, events, rate_upper: rate_upper.min(1.0), missing_mass: mass(self.singles, events) }
    }

    /// Moves what was counted since into the evidence.
    pub(super) fn settle(&mut self) {
        let done = u64::from(self.planned - self.left);
        self.planned = self.left;
        self.events = self.events.saturating_add(done);
        self.total = self.total.saturating_add(done);
        self.epoch_count = self.epoch_count.saturating_add(done);
    }

    /// Computes how many events may pass until something has to be looked at.
    pub(super) fn plan(&mut self) {
        let window = u64::from(self.policy.storm_events);
        let mut events = window;
        if self.state != State::Active && self.events < self.needed {
            events = events.min(self.needed - self.events);
        }
        if let Some(epoch) = self.policy.epoch_events {
            events = events.min(epoch.saturating_sub(self.epoch_count));
        }
        if let Some(held) = self.held.front() {
            events = events.min(held.index.saturating_add(window).saturating_sub(self.total));
        }
        self.left = u32::try_from(events.max(1)).unwrap_or(u32::MAX);
        self.planned = self.left;
        self.guarded = !self.excluded.is_empty();
    }

    /// Computes when something has to be looked at.
    pub(super) fn plan_time(&mut self) {
        let epoch = self.policy.epoch.map_or(u64::MAX, |epoch| self.epoch_began.saturating_add(nanos(epoch)));
        self.due = epoch.min(self.alerts.look_at).min(self.held_until());
    }

    pub(super) fn is_due(&self, at: u64) -> bool {
        at >= self.due
    }

    pub(super) fn held_until(&self) -> u64 {
        self.held.front().map_or(u64::MAX, |held| held.at.saturating_add(nanos(self.policy.hold)))
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::is_crowded)
    }

    pub(super) fn fill(&self) -> f64 {
        self.filter.as_ref().map_or(0.0, Filter::fill)
    }

    pub(super) fn missing_mass(&self) -> f64 {
        mass(self.singles, self.events)
    }
}

/// The place of a moment on the baseline's line.
#[inline]
pub(super) const fn place(moment: Moment) -> u64 {
    moment.as_nanos().saturating_add(ORIGIN)
}

/// The moment of a place.
pub(super) const fn moment(at: u64) -> Moment {
    Moment::from_nanos(at.saturating_sub(ORIGIN))
}

pub(super) fn span(from: u64, to: u64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

/// Good and Turing's estimate of the share of what was never seen.
#[allow(clippy::cast_precision_loss, reason = "a share")]
pub(super) fn mass(singles: u64, events: u64) -> f64 {
    if events == 0 { 1.0 } else { (singles as f64 / events as f64).min(1.0) }
}

/// A kind with a name that is safe to keep and to print.
pub(super) fn kind(hash: u64, key: Option<&[u8]>) -> Kind {
    let name = match key {
        None => format!("{hash:016x}"),
        Some(key) => {
            let head = &key[..key.len().min(NAME_MAX)];
            let lossy = String::from_utf8_lossy(head);
            let safe = text::shown(&lossy).into_owned();
            text::head(&safe, NAME_MAX).to_owned()
        }
    };
    Kind { hash, name }
}

/// How many bytes of a key are kept.
pub(super) const NAME_MAX: usize = 160;
