//! A machine in a few bytes, for a million of them under one policy.
//!
//! What the policy says is not repeated, what is as it was at first is left out, numbers take the bytes that they need.
//! Everything is kept exactly but the times of a window that has an age, which are kept in milliseconds, rounded down: a
//! result may leave such a window less than a millisecond early. A machine to which nothing has happened is no bytes.
//!
//! Instants are relative to a [`Now`] that whoever keeps the bytes keeps with them. The bytes are of this process and
//! this version alone: what outlives the process is [`Snapshot`](crate::decide::breaker::Snapshot).

mod bytes;

use crate::base::fault::Class;
use crate::base::rng::Rng;
use crate::base::time::{Moment, Now, Timestamp, nanos};
use crate::decide::breaker::machine::Machine;
use crate::decide::breaker::packed::bytes::{Reader, Writer};
use crate::decide::breaker::policy::{Mode, Policy};
use crate::decide::breaker::reason::Cause;
use crate::decide::breaker::state::{Block, HalfOpen, Instant, Lease, State};
use crate::decide::breaker::window::{At, Counted};

const MILLI: At = 1_000_000;

/// What the first byte says; the number of the state is in its lowest two bits.
const STATE: u8 = 3;
const FORCED: u8 = 1 << 2;
const BLOCKED: u8 = 1 << 3;
const DRAWN: u8 = 1 << 4;
const COUNTED: u8 = 1 << 5;
const MOVED: u8 = 1 << 6;

/// What would be lost with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// Nothing: a new one would decide the same.
    Nothing,
    /// What is counted, or learned about how long to stay open.
    Counts,
    /// It refuses until then; what a person has set, until the end of time.
    Refuses(Moment),
}

impl Machine {
    /// The bytes of this machine. `seed` is the one with which it would be made anew.
    pub(crate) fn pack(&self, seed: u64, base: Now) -> Vec<u8> {
        let rng = self.rng.state();
        let counted = self.consecutive > 0
            || [&self.rate, &self.slow].into_iter().flatten().any(|window| window.iter().next().is_some())
            || self.timed.iter().flat_map(|timed| timed.iter()).next().is_some();
        let moved = self.generation != 0 || self.level != 0;
        let state = match self.state {
            State::Closed => 0,
            State::Open { .. } => 1,
            State::HalfOpen(_) => 2,
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = state
            | flag(self.forced.is_some(), FORCED)
            | flag(self.block.is_some(), BLOCKED)
            | flag(rng != seed, DRAWN)
            | flag(counted, COUNTED)
            | flag(moved, MOVED);
        if flags == 0 {
            return Vec::new();
        }
        let mut to = Writer::new(flags, base);
        if moved {
            to.number(self.generation.into());
            to.number(self.level.into());
            to.instant(self.closed);
        }
        if rng != seed {
            to.word(rng);
        }
        if let Some(mode) = self.forced {
            to.byte(mode_number(mode));
        }
        if let Some(block) = self.block {
            to.wall(block.set);
            to.instant(block.until);
        }
        match &self.state {
            State::Closed => {}
            State::Open { since, open_for, cause } => {
                to.instant(*since);
                to.number(nanos(*open_for));
                pack_cause(*cause, &mut to);
            }
            State::HalfOpen(half) => pack_half_open(half, &mut to),
        }
        if counted {
            self.pack_window(&mut to);
        }
        to.done()
    }

    /// The machine of these bytes; `None` if they are not of a machine under this policy.
    pub(crate) fn unpack(policy: Policy, bytes: &[u8], seed: u64, base: Now) -> Option<Self> {
        let mut machine = Self::fresh(policy, seed, base);
        let Some((flags, rest)) = bytes.split_first() else { return Some(machine) };
        let mut from = Reader::new(rest, base);
        if flags & MOVED != 0 {
            machine.generation = from.small()?;
            machine.level = from.small()?;
            machine.closed = from.instant()?;
        }
        if flags & DRAWN != 0 {
            machine.rng = Rng::seeded(from.word()?);
        }
        if flags & FORCED != 0 {
            machine.forced = Some(mode_of(from.byte()?)?);
        }
        if flags & BLOCKED != 0 {
            machine.block = Some(Block { set: from.wall()?, until: from.instant()? });
        }
        machine.state = match flags & STATE {
            0 => State::Closed,
            1 => State::Open {
                since: from.instant()?,
                open_for: std::time::Duration::from_nanos(from.number()?),
                cause: unpack_cause(&mut from)?,
            },
            2 => State::HalfOpen(unpack_half_open(&mut from)?),
            _ => return None,
        };
        if flags & COUNTED != 0 {
            machine.unpack_window(&mut from)?;
        }
        from.is_empty().then_some(machine)
    }

    /// The same; bytes that are not of a machine, which is a defect of whoever kept them, are a new one.
    pub(crate) fn unpack_or_new(policy: Policy, bytes: &[u8], seed: u64, base: Now) -> Self {
        Self::unpack(policy, bytes, seed, base).unwrap_or_else(|| Self::fresh(policy, seed, base))
    }

    /// What would be lost with it at `now`.
    pub(crate) fn worth(&self, now: Now) -> Worth {
        if self.forced.is_some() {
            return Worth::Refuses(Moment::from_nanos(u64::MAX));
        }
        let now = Instant::of(now);
        let moment = |at: At| Moment::from_nanos(u64::try_from(at).unwrap_or(0));
        let blocked = self.block.map(|block| block.until.at).filter(|until| *until > now.at);
        let standing = match &self.state {
            State::Closed => None,
            State::Open { since, open_for, .. } => Some(since.after(*open_for).at),
            // It waits for its probes; when none is out, for nobody knows what.
            State::HalfOpen(half) => Some(half.first_to_end().map_or(At::MAX, |end| end.at)),
        };
        if let Some(until) = blocked.max(standing) {
            return Worth::Refuses(moment(until));
        }
        let periods = now.since(self.closed).as_nanos() / self.policy.healthy.as_nanos().max(1);
        let unlearned = u128::from(self.level) <= periods;
        let bad = |window: &Option<Counted>| window.iter().any(Counted::has_bad);
        let timed = self.timed.iter().flat_map(|timed| timed.iter()).any(|(_, _, bad)| bad > 0);
        if unlearned && self.consecutive == 0 && !bad(&self.rate) && !bad(&self.slow) && !timed {
            return Worth::Nothing;
        }
        Worth::Counts
    }

    fn pack_window(&self, to: &mut Writer) {
        to.number(self.consecutive.into());
        for window in [&self.rate, &self.slow].into_iter().flatten() {
            to.number(u64::try_from(window.iter().count()).unwrap_or(u64::MAX));
            to.bits(window.iter().map(|(_, bad)| bad));
            if window.is_timed() {
                let mut last = to.base_at() / MILLI;
                for (at, _) in window.iter() {
                    let at = at.div_euclid(MILLI);
                    to.signed(at.saturating_sub(last));
                    last = at;
                }
            }
        }
        let Some(timed) = &self.timed else { return };
        let steps = timed.indexed();
        to.number(u64::try_from(steps.len()).unwrap_or(u64::MAX));
        let mut last = 0;
        for (index, calls, bad) in steps {
            // One byte where a step follows the one before it with few calls, and all of them good.
            let gap = u64::try_from(index.saturating_sub(last).saturating_sub(1)).unwrap_or(0);
            let follows = gap == 0 && last != 0;
            to.number(u64::from(calls) << 2 | u64::from(bad > 0) << 1 | u64::from(!follows));
            if !follows {
                to.signed(index.saturating_sub(last));
            }
            if bad > 0 {
                to.number(bad.into());
            }
            last = index;
        }
    }

    fn unpack_window(&mut self, from: &mut Reader<'_>) -> Option<()> {
        self.consecutive = from.small()?;
        for window in [&mut self.rate, &mut self.slow].into_iter().flatten() {
            let count = usize::try_from(from.number()?).ok()?;
            let bits = from.bits(count)?;
            let mut last = from.base_at() / MILLI;
            for n in 0..count {
                if window.is_timed() {
                    last = last.saturating_add(from.signed()?);
                }
                window.push(last.saturating_mul(MILLI), bits[n / 8] >> (n % 8) & 1 != 0);
            }
        }
        let Some(timed) = &mut self.timed else { return Some(()) };
        let mut last: At = 0;
        for _ in 0..from.number()? {
            let calls = from.number()?;
            let by = if calls & 1 != 0 { from.signed()? } else { 1 };
            last = last.saturating_add(by);
            let bad = if calls & 2 != 0 { from.small()? } else { 0 };
            timed.add_indexed(last, u32::try_from(calls >> 2).ok()?, bad);
        }
        Some(())
    }
}

fn pack_half_open(half: &HalfOpen, to: &mut Writer) {
    for number in [half.stage, half.passed_in_stage, half.passed, u32::from(half.undecided), half.next_id] {
        to.number(number.into());
    }
    to.number(half.in_flight().into());
    for lease in &half.leases {
        to.number(lease.id.into());
        to.instant(lease.until);
    }
}

fn unpack_half_open(from: &mut Reader<'_>) -> Option<HalfOpen> {
    let mut half = HalfOpen {
        stage: from.small()?,
        passed_in_stage: from.small()?,
        passed: from.small()?,
        undecided: from.small()? != 0,
        next_id: from.small()?,
        leases: Vec::new(),
    };
    for _ in 0..from.number()? {
        half.leases.push(Lease { id: from.small()?, until: from.instant()? });
    }
    Some(half)
}

fn pack_cause(cause: Cause, to: &mut Writer) {
    let (kind, numbers) = match cause {
        Cause::Consecutive { failures, limit } => (0, [failures, limit, 0]),
        Cause::Rate { failures, calls, percent } => (1, [failures, calls, percent]),
        Cause::TimeRate { failures, calls, percent, .. } => (2, [failures, calls, percent]),
        Cause::SlowRate { slow, calls, percent } => (3, [slow, calls, percent]),
        Cause::ProbeFailed { class } => (4, [class_number(class), 0, 0]),
        Cause::ProbeSlow => (5, [0; 3]),
        Cause::LeaseExpired { .. } => (6, [0; 3]),
    };
    to.byte(kind);
    numbers.into_iter().for_each(|number| to.number(number.into()));
    if let Cause::TimeRate { window_ms: ms, .. } | Cause::LeaseExpired { lease_ms: ms } = cause {
        to.number(ms);
    }
}

fn unpack_cause(from: &mut Reader<'_>) -> Option<Cause> {
    let kind = from.byte()?;
    let [a, b, percent] = [from.small()?, from.small()?, from.small()?];
    Some(match kind {
        0 => Cause::Consecutive { failures: a, limit: b },
        1 => Cause::Rate { failures: a, calls: b, percent },
        2 => Cause::TimeRate { failures: a, calls: b, percent, window_ms: from.number()? },
        3 => Cause::SlowRate { slow: a, calls: b, percent },
        4 => Cause::ProbeFailed { class: *Class::ALL.get(usize::try_from(a).ok()?)? },
        5 => Cause::ProbeSlow,
        6 => Cause::LeaseExpired { lease_ms: from.number()? },
        _ => return None,
    })
}

fn class_number(class: Class) -> u32 {
    let position = Class::ALL.iter().position(|each| *each == class);
    position.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
}

const MODES: [Mode; 4] = [Mode::Enforce, Mode::Shadow, Mode::ForcedOpen, Mode::Disabled];

fn mode_number(mode: Mode) -> u8 {
    let position = MODES.iter().position(|each| *each == mode);
    position.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn mode_of(number: u8) -> Option<Mode> {
    MODES.get(usize::from(number)).copied()
}

/// Nanoseconds since 1970, for every wall time there is.
fn wall_nanos(wall: Timestamp) -> i128 {
    i128::from(wall.timestamp()) * 1_000_000_000 + i128::from(wall.timestamp_subsec_nanos())
}

fn wall_at(nanos: i128) -> Option<Timestamp> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    Timestamp::from_timestamp(seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?)
}
