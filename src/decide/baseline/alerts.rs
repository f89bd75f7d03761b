//! Suppression: one open alert for each kind, told again ever more seldom, closed when it is over, and a limit on all together.

use std::collections::BTreeMap;

use crate::base::bucket::Rate;
use crate::base::time::{Moment, Timestamp, nanos};
use crate::decide::baseline::policy::Policy;
use crate::decide::baseline::reason::{Again, Closed, Kind};

/// An alert that is open. Instants are on the baseline's line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) opened: Timestamp,
    /// From when on it is told again.
    pub(super) next: u64,
    /// How long after that it may be told once more.
    pub(super) gap: u64,
    pub(super) told: u32,
    /// How often it was seen since it was last told.
    pub(super) times: u64,
    /// Since when it was seen too seldom to matter, and how often.
    pub(super) healthy_since: u64,
    pub(super) lately: u32,
}

/// What becomes of an alert that is raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is told.
    Told,
    /// It is open, but too many were told; it may be told when it is seen again.
    Limited,
    /// It is not even kept, as too many are open.
    Full,
}

#[derive(Debug)]
pub(super) struct Alerts {
    rate: Rate,
    pub(super) open: BTreeMap<u64, Open>,
    /// When the bucket of all alerts is full again.
    pub(super) full_at: u64,
    /// Before this none can be over.
    pub(super) look_at: u64,
}

impl Alerts {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, open: BTreeMap::new(), full_at: 0, look_at: u64::MAX }
    }

    pub(super) fn is_open(&self, hash: u64) -> bool {
        self.open.contains_key(&hash)
    }

    /// A kind was found that is worth an alert, and for which none is open.
    pub(super) fn raise(&mut self, policy: &Policy, kind: &Kind, at: u64, wall: Timestamp) -> Raised {
        if self.open.len() >= policy.open_max as usize {
            return Raised::Full;
        }
        let told = self.token(at);
        let gap = nanos(policy.realert_after);
        let open = Open {
            kind: kind.clone(),
            opened: wall,
            next: at.saturating_add(gap),
            gap: gap.saturating_mul(2).min(nanos(policy.realert_max)),
            told: u32::from(told),
            times: 0,
            healthy_since: at,
            lately: 0,
        };
        self.open.insert(kind.hash, open);
        self.look_at = self.look_at.min(at.saturating_add(nanos(policy.healthy_after)));
        if told { Raised::Told } else { Raised::Limited }
    }

    /// A kind with an open alert was seen: how often since it was told, and the alert if it is told again. `Err` if it is time to
    /// tell it, and too many were told.
    pub(super) fn seen(
        &mut self,
        policy: &Policy,
        hash: u64,
        at: u64,
        wall: Timestamp,
    ) -> Option<(u64, Result<Option<Again>, ()>)> {
        let open = self.open.get_mut(&hash)?;
        open.times = open.times.saturating_add(1);
        open.lately = open.lately.saturating_add(1);
        if open.lately >= policy.healthy_below {
            (open.healthy_since, open.lately) = (at, 0);
        }
        let times = open.times;
        if at < open.next {
            return Some((times, Ok(None)));
        }
        let gap = open.gap;
        open.next = at.saturating_add(gap);
        if !self.token(at) {
            return Some((times, Err(())));
        }
        let open = self.open.get_mut(&hash)?;
        open.gap = gap.saturating_mul(2).min(nanos(policy.realert_max));
        open.told = open.told.saturating_add(1);
        open.times = 0;
        let next_after = std::time::Duration::from_nanos(gap);
        let (kind, since, told) = (open.kind.clone(), open.opened, open.told);
        Some((times, Ok(Some(Again { kind, at: wall, since, times, told, next_after }))))
    }

    /// Closes what is over; those of which nobody was told are not told of either.
    pub(super) fn close(&mut self, policy: &Policy, at: u64, wall: Timestamp) -> Vec<(u64, Option<Closed>)> {
        let (after, mut over) = (nanos(policy.healthy_after), Vec::new());
        self.look_at = u64::MAX;
        self.open.retain(|hash, open| {
            let ends = open.healthy_since.saturating_add(after);
            if at < ends {
                self.look_at = self.look_at.min(ends);
                return true;
            }
            let healthy = std::time::Duration::from_nanos(at.saturating_sub(open.healthy_since));
            let (kind, since, times) = (open.kind.clone(), open.opened, open.times);
            over.push((*hash, (open.told > 0).then_some(Closed { kind, at: wall, since, times, healthy })));
            false
        });
        over
    }

    fn token(&mut self, at: u64) -> bool {
        match self.rate.take(self.full_at, Moment::from_nanos(at), self.rate.interval(), 0) {
            Ok(slot) => {
                self.full_at = slot.full_at;
                true
            }
            Err(_) => false,
        }
    }
}
