//! All of a breaker that has to survive a restart, as a small value with a version.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Now, Timestamp, between, later, millis};
use crate::decide::breaker::machine::{Machine, until_at_most};
use crate::decide::breaker::policy::{Error, Mode, Policy};
use crate::decide::breaker::reason::{Cause, Restoring, Standing};
use crate::decide::breaker::state::{Block, HalfOpen, Instant, Lease, STAGE_LAST, State};
use crate::decide::breaker::window::{At, Counted, span};

const VERSION: u32 = 1;

/// A breaker as it is saved. Instants are wall time, durations milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    key: String,
    configuration: String,
    state: Standing,
    generation: u32,
    level: u32,
    closed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forced: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<Opened>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probing: Option<Probing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked: Option<Blocked>,
    #[serde(default)]
    window: Window,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Opened {
    at: Timestamp,
    open_for_ms: u64,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Probing {
    stage: u32,
    passed_in_stage: u32,
    passed: u32,
    undecided: bool,
    next_id: u32,
    leases: Vec<(u32, Timestamp)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Blocked {
    set: Timestamp,
    until: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    consecutive: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rate: Vec<(i64, u8)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slow: Vec<(i64, u8)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    timed: Vec<(i64, u32, u32)>,
}

/// What was noticed while a breaker was restored; empty when all was as it was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// In the order in which it was noticed, at most one of each kind and saved instant.
    pub reasons: Vec<Restoring>,
}

impl Snapshot {
    /// The dependency.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> Standing {
        self.state
    }

    /// The generation: a shared store replaces a snapshot only if this is the one that was read.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether it is closed and no failure stands at the end of its row.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self.state, Standing::Closed) && self.window.consecutive == 0
    }

    /// When it was opened and when it may be probed, if it is open.
    #[must_use]
    pub fn open_until(&self) -> Option<(Timestamp, Timestamp)> {
        let opened = self.opened.as_ref()?;
        let open_for = Duration::from_millis(opened.open_for_ms);
        Some((opened.at, later(opened.at, open_for)))
    }

    /// Why it was opened, if it is open.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.opened.as_ref().map(|opened| opened.cause)
    }

    /// Until when the dependency asked to be left alone.
    #[must_use]
    pub fn blocked_until(&self) -> Option<Timestamp> {
        self.blocked.as_ref().map(|blocked| blocked.until)
    }

    /// The mode that a person has set.
    #[must_use]
    pub const fn forced(&self) -> Option<Mode> {
        self.forced
    }
}

impl Machine {
    /// All that has to survive a restart.
    #[must_use]
    pub fn snapshot(&self, key: &str, now: Now) -> Snapshot {
        let line = Line::at(now);
        let (mut opened, mut probing) = (None, None);
        match &self.state {
            State::Closed => {}
            State::Open { since, open_for, cause } => {
                opened = Some(Opened { at: since.wall, open_for_ms: millis(*open_for), cause: *cause });
            }
            State::HalfOpen(half) => {
                probing = Some(Probing {
                    stage: half.stage,
                    passed_in_stage: half.passed_in_stage,
                    passed: half.passed,
                    undecided: half.undecided,
                    next_id: half.next_id,
                    leases: half.leases.iter().map(|lease| (lease.id, lease.until.wall)).collect(),
                });
            }
        }
        let counted = |window: &Option<Counted>| {
            let Some(window) = window else { return Vec::new() };
            let wall_ms = |at| if window.is_timed() { line.wall_ms(at) } else { 0 };
            window.iter().map(|(at, bad)| (wall_ms(at), bad.into())).collect()
        };
        let timed = self.timed.iter().flat_map(|timed| timed.iter());
        Snapshot {
            v: VERSION,
            key: key.into(),
            configuration: format!("{:016x}", self.policy.hash()),
            state: self.standing(),
            generation: self.generation,
            level: self.level,
            closed_at: self.closed.wall,
            forced: self.forced,
            opened,
            probing,
            blocked: self.block.map(|block| Blocked { set: block.set, until: block.until.wall }),
            window: Window {
                consecutive: self.consecutive,
                rate: counted(&self.rate),
                slow: counted(&self.slow),
                timed: timed.map(|(at, calls, bad)| (line.wall_ms(at), calls, bad)).collect(),
            },
        }
    }

    /// Picks up where `snapshot` was taken.
    ///
    /// What is left of an open interval is clamped to the interval, whatever the wall clock says; a clock that went
    /// back is told, not obeyed. A probe whose lease has ended since has failed. A changed policy keeps state and
    /// generation and drops the counts.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for a snapshot of a newer program, [`Error::Torn`] for one that contradicts itself, and what
    /// [`Policy::check`] finds.
    pub fn restore(
        policy: Policy,
        snapshot: &Snapshot,
        seed: u64,
        now: Now,
    ) -> Result<(Self, Restored), Error> {
        if snapshot.v != VERSION {
            return Err(Error::Version { found: snapshot.v, known: VERSION });
        }
        let mut machine = Self::new(policy, seed, now)?;
        let mut line = Line::at(now);
        machine.generation = snapshot.generation;
        machine.level = snapshot.level;
        machine.forced = snapshot.forced;
        machine.closed = line.past(snapshot.closed_at);
        machine.state = match (snapshot.state, &snapshot.opened, &snapshot.probing) {
            (Standing::Closed, _, _) => State::Closed,
            (Standing::Open, Some(opened), _) => State::Open {
                since: line.past(opened.at),
                open_for: Duration::from_millis(opened.open_for_ms),
                cause: opened.cause,
            },
            (Standing::HalfOpen, _, Some(probing)) => State::HalfOpen(line.probing(probing, &policy)),
            (Standing::Open, None, _) => return Err(Error::Torn { state: "open", lacks: "opened" }),
            (Standing::HalfOpen, _, None) => {
                return Err(Error::Torn { state: "half_open", lacks: "probing" });
            }
        };
        machine.block = snapshot.blocked.as_ref().map(|blocked| Block {
            set: blocked.set,
            until: line.future(blocked.until, between(blocked.set, blocked.until)),
        });
        if snapshot.configuration == format!("{:016x}", policy.hash()) {
            machine.refill(&snapshot.window, &line);
        } else {
            line.reasons.push(Restoring::ConfigurationChanged);
        }
        line.reasons.dedup();
        Ok((machine, Restored { reasons: line.reasons }))
    }

    fn refill(&mut self, window: &Window, line: &Line) {
        self.consecutive = window.consecutive;
        for (counted, saved) in [(&mut self.rate, &window.rate), (&mut self.slow, &window.slow)] {
            if let Some(counted) = counted {
                for (at, bad) in saved {
                    counted.push(line.at_ms(*at), *bad != 0);
                }
            }
        }
        if let Some(timed) = &mut self.timed {
            for (at, calls, bad) in &window.timed {
                timed.add(line.at_ms(*at), *calls, *bad);
            }
        }
    }
}

/// Maps wall time to the monotonic line of this process and back, around one reading of both.
struct Line {
    now: Instant,
    reasons: Vec<Restoring>,
}

impl Line {
    fn at(now: Now) -> Self {
        Self { now: Instant::of(now), reasons: Vec::new() }
    }

    /// Something that has happened: not in the future, whatever the clock says.
    fn past(&mut self, wall: Timestamp) -> Instant {
        let ahead = between(self.now.wall, wall);
        if ahead > Duration::ZERO {
            self.reasons.push(Restoring::ClockSteppedBack { by: ahead });
            return self.now;
        }
        Instant { at: self.now.at.saturating_sub(span(between(wall, self.now.wall))), wall }
    }

    /// Something that ends at `wall`, having been at most `limit` away when it was set.
    fn future(&mut self, wall: Timestamp, limit: Duration) -> Instant {
        if wall <= self.now.wall {
            return self.past(wall);
        }
        let left = until_at_most(self.now.wall, wall, limit);
        let by = between(self.now.wall, wall).saturating_sub(left);
        if by > Duration::ZERO {
            self.reasons.push(Restoring::ClockSteppedBack { by });
        }
        self.now.after(left)
    }

    fn probing(&mut self, saved: &Probing, policy: &Policy) -> HalfOpen {
        let leases = saved.leases.iter().map(|(id, until)| {
            let until = self.future(*until, policy.lease);
            Lease { id: *id, until }
        });
        HalfOpen {
            leases: leases.collect(),
            stage: saved.stage.min(STAGE_LAST),
            passed_in_stage: saved.passed_in_stage,
            passed: saved.passed,
            undecided: saved.undecided,
            next_id: saved.next_id,
        }
    }

    fn wall_ms(&self, at: At) -> i64 {
        let ago = self.now.at.saturating_sub(at) / 1_000_000;
        self.now.wall.timestamp_millis().saturating_sub(ago)
    }

    fn at_ms(&self, wall_ms: i64) -> At {
        let ago = self.now.wall.timestamp_millis().saturating_sub(wall_ms).max(0);
        self.now.at.saturating_sub(ago.saturating_mul(1_000_000))
    }
}
