//! What the machine is in: its three states, the leases of its probes, and a block.

use std::time::Duration;

use crate::base::time::{Now, Timestamp, later};
use crate::decide::breaker::policy::Policy;
use crate::decide::breaker::reason::Cause;
use crate::decide::breaker::window::{At, span};

/// The stages of half-open admit 1, 2 and 4 times `probes`.
pub(super) const STAGE_LAST: u32 = 2;

#[derive(Clone, Debug)]
pub(super) enum State {
    Closed,
    Open { since: Instant, open_for: Duration, cause: Cause },
    HalfOpen(HalfOpen),
}

#[derive(Clone, Debug)]
pub(super) struct HalfOpen {
    pub(super) stage: u32,
    pub(super) passed_in_stage: u32,
    pub(super) passed: u32,
    pub(super) undecided: bool,
    pub(super) leases: Vec<Lease>,
    pub(super) next_id: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) id: u32,
    pub(super) until: Instant,
}

/// A point on both clocks; the monotonic one counts from where this process pleases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant {
    pub(super) at: At,
    pub(super) wall: Timestamp,
}

/// The dependency asked to be left alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) set: Timestamp,
    pub(super) until: Instant,
}

impl Instant {
    pub(super) fn of(now: Now) -> Self {
        Self { at: At::try_from(now.moment.as_nanos()).unwrap_or(At::MAX), wall: now.wall }
    }

    pub(super) fn after(self, by: Duration) -> Self {
        Self { at: self.at.saturating_add(span(by)), wall: later(self.wall, by) }
    }

    /// How long after `earlier` this is, by the monotonic clock.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.at.saturating_sub(earlier.at)).unwrap_or(0))
    }
}

impl HalfOpen {
    pub(super) fn new() -> Self {
        Self { stage: 0, passed_in_stage: 0, passed: 0, undecided: false, leases: Vec::new(), next_id: 0 }
    }

    pub(super) fn in_flight(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn taken(&self) -> u32 {
        self.in_flight().saturating_add(self.passed_in_stage)
    }

    pub(super) const fn allowance(&self, policy: &Policy) -> u32 {
        // What was read from bytes may say any stage.
        policy.probes.saturating_mul(if self.stage < STAGE_LAST { 1 << self.stage } else { 1 << STAGE_LAST })
    }

    pub(super) fn first_to_end(&self) -> Option<Instant> {
        self.leases.iter().map(|lease| lease.until).min_by_key(|until| until.at)
    }
}
