//! A schedule with a memory: what is due now, what was missed, and what has been run already.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Timestamp, between, later};
use crate::decide::schedule::due::{Due, Missed, NotRun, Noticed, Running, Turn, Waiting};
use crate::decide::schedule::form::share;
use crate::decide::schedule::policy::{CatchUp, Policy};
use crate::decide::schedule::{Error, Occurrence, Schedule};

/// What was run last may be so much in the future; beyond that the clock that said so was wrong.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// One schedule, how it treats what was missed, and which occurrence was settled last.
///
/// There is one path for a restart, a suspend, and a clock that was set: whatever has become due since the last settled
/// occurrence is found by [`due`](Self::due) and treated by the [`Policy`]. Occurrences are known by their nominal time, and
/// each is settled once: a clock that goes back shows a time again, and does not run it again.
///
/// A service asks when the next one is due; a process that is started each few minutes restores the
/// [`snapshot`](Self::snapshot), asks, runs, saves, and leaves.
///
/// ```
/// use chrono::DateTime;
/// use std::time::Duration;
/// use unattended::schedule::{Due, Policy, Schedule, Ticker};
///
/// let hours = |n: u64| DateTime::UNIX_EPOCH + Duration::from_secs(n * 3600);
/// let hourly = Schedule::every(Duration::from_secs(3600))?;
/// let mut ticker = Ticker::new("report", hourly, Policy::new(), hours(0))?;
/// // Down from 01:00 to 06:00: one run stands for the six that were missed.
/// let Due::Run { turns, missed } = ticker.due(hours(6) + Duration::from_secs(600)) else { panic!() };
/// assert_eq!((turns[0].occurrence.nominal, missed.unwrap().count.number), (hours(6), 5));
/// ticker.settle(hours(6));
/// assert!(matches!(ticker.due(hours(4)), Due::Wait { .. }), "a clock that goes back runs nothing twice");
/// # Ok::<(), unattended::schedule::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Ticker {
    name: String,
    schedule: Schedule,
    policy: Policy,
    last: Timestamp,
    trusted: Timestamp,
}

/// What the next process needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    v: u32,
    name: String,
    schedule: String,
    last: Timestamp,
    saved_at: Timestamp,
}

impl Ticker {
    /// Occurrences after `since` count: the instant at which the job came to be, or now.
    ///
    /// # Errors
    /// [`Error::Field`] for a policy outside its bounds, or a name that is not 1 to 200 bytes long.
    pub fn new(
        name: impl Into<String>,
        schedule: Schedule,
        policy: Policy,
        since: Timestamp,
    ) -> Result<Self, Error> {
        let name = name.into();
        if !(1..=200).contains(&name.len()) {
            return Err(Error::field("name", format!("{name:?}"), "1 to 200 bytes"));
        }
        policy.check()?;
        Ok(Self { name, schedule, policy, last: since, trusted: Timestamp::MIN_UTC })
    }

    /// Takes `until` for what is meant, however far in the future it is: where [`new`](Self::new) was given a `since` that
    /// is more than a day ahead, it seems to be that of a clock that was wrong unless it is said here too.
    #[must_use]
    pub const fn trusting(mut self, until: Timestamp) -> Self {
        self.trusted = until;
        self
    }

    /// Goes on from what was saved.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Field`] for a snapshot of a later release.
    pub fn restore(
        schedule: Schedule,
        policy: Policy,
        saved: &Snapshot,
        now: Timestamp,
    ) -> Result<(Self, Vec<Noticed>), Error> {
        Self::restore_trusting(schedule, policy, saved, Timestamp::MIN_UTC, now)
    }

    /// The same, [trusting](Self::trusting) what was meant.
    pub(crate) fn restore_trusting(
        schedule: Schedule,
        policy: Policy,
        saved: &Snapshot,
        trusted: Timestamp,
        now: Timestamp,
    ) -> Result<(Self, Vec<Noticed>), Error> {
        if saved.v != 1 {
            return Err(Error::field("snapshot.v", saved.v, "1"));
        }
        let mut ticker = Self::new(saved.name.as_str(), schedule, policy, saved.last)?.trusting(trusted);
        let mut noticed: Vec<Noticed> = ticker.heed(now).into_iter().collect();
        let is = ticker.schedule.to_string();
        if is != saved.schedule {
            noticed.push(Noticed::Changed { from: saved.schedule.clone(), to: is });
        }
        Ok((ticker, noticed))
    }

    /// What the next process needs to know.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            v: 1,
            name: self.name.clone(),
            schedule: self.schedule.to_string(),
            last: self.last,
            saved_at: now,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its schedule.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The nominal time up to which everything is settled.
    #[must_use]
    pub const fn last(&self) -> Timestamp {
        self.last
    }

    /// What comes next, by what has been settled.
    #[must_use]
    pub fn next(&self) -> Option<Occurrence> {
        self.schedule.next_after(self.last)
    }

    /// What is due now. It is due again until it is [settled](Self::settle).
    pub fn due(&mut self, now: Timestamp) -> Due {
        // The state is mended; who wants to know asks `heed` first.
        drop(self.heed(now));
        let Some(oldest) = self.next() else { return Due::Wait { next: None, why: Waiting::Never } };
        if oldest.at > now {
            let why = if self.last > now {
                Waiting::AlreadyRun { last: self.last, now }
            } else {
                Waiting::NotYet { at: oldest.at }
            };
            return Due::Wait { next: Some(oldest), why };
        }
        // The jitter of a schedule is the same for all of its occurrences.
        let jitter = between(oldest.nominal, oldest.at);
        let newest = self.schedule.last_until(before(now, jitter)).unwrap_or(oldest);
        let late = between(newest.at, now);
        let period = self.schedule.period_after(newest.nominal);
        let on_time = self.policy.is_on_time(late);
        let late_max = self.policy.late_bound(period);
        match self.policy.what_was_missed() {
            _ if on_time && newest.nominal == oldest.nominal => {
                Due::Run { turns: vec![self.on_time(newest, now)], missed: None }
            }
            CatchUp::Skip if on_time => {
                let why = |late| NotRun::Skipped { late };
                self.run(vec![self.on_time(newest, now)], oldest, now, why)
            }
            CatchUp::Skip => self.skip(oldest, newest, NotRun::Skipped { late }),
            CatchUp::Once if on_time || late <= late_max => {
                let turn =
                    if on_time { self.on_time(newest, now) } else { self.caught_up(newest, period, now) };
                let into = newest.nominal;
                self.run(vec![turn], oldest, now, |_| NotRun::Coalesced { into })
            }
            CatchUp::Once => self.skip(oldest, newest, NotRun::TooLate { late, late_max }),
            CatchUp::All { at_most } => self.all(at_most, (oldest, newest), on_time, now),
        }
    }

    /// What was noticed where the state cannot be right at `now`; it is mended.
    pub fn heed(&mut self, now: Timestamp) -> Option<Noticed> {
        let last = self.last;
        if last <= later(now, AHEAD_MAX).max(self.trusted) {
            return None;
        }
        self.last = now;
        Some(Noticed::ClockWasAhead { last, now })
    }

    /// Everything up to the nominal time `until` is run, or given up. It never goes back.
    pub fn settle(&mut self, until: Timestamp) {
        self.last = self.last.max(until);
    }

    fn all(
        &self,
        at_most: u32,
        (oldest, newest): (Occurrence, Occurrence),
        on_time: bool,
        now: Timestamp,
    ) -> Due {
        let late_max = self.policy.late_bound(None);
        let most = usize::try_from(at_most).unwrap_or(usize::MAX).saturating_add(usize::from(on_time));
        let (mut turns, mut next, mut too_late) = (Vec::new(), Some(newest), None);
        while let Some(occurrence) = next.filter(|one| one.nominal > self.last && turns.len() < most) {
            let late = between(occurrence.at, now);
            if late > late_max {
                too_late = Some(late);
                break;
            }
            let period = self.schedule.period_after(occurrence.nominal);
            let first = turns.is_empty() && on_time;
            turns.push(if first {
                self.on_time(occurrence, now)
            } else {
                self.caught_up(occurrence, period, now)
            });
            next = self.schedule.last_until(before(occurrence.nominal, Duration::from_nanos(1)));
        }
        turns.reverse();
        match (turns.is_empty(), too_late) {
            (true, late) => {
                let late = late.unwrap_or_else(|| between(newest.at, now));
                self.skip(oldest, newest, NotRun::TooLate { late, late_max })
            }
            (false, Some(_)) => self.run(turns, oldest, now, |late| NotRun::TooLate { late, late_max }),
            (false, None) => self.run(turns, oldest, now, |_| NotRun::TooMany { at_most }),
        }
    }

    /// Runs `turns`, and gives up what was due before the first of them; `why` takes how late the newest of that is.
    fn run(
        &self,
        turns: Vec<Turn>,
        oldest: Occurrence,
        now: Timestamp,
        why: impl Fn(Duration) -> NotRun,
    ) -> Due {
        let first = turns.first().map_or(self.last, |turn| turn.occurrence.nominal);
        let until = before(first, Duration::from_nanos(1));
        let newest = self.schedule.last_until(until).filter(|one| one.nominal >= oldest.nominal);
        let missed = newest.map(|newest| Missed {
            count: self.schedule.count(self.last, until),
            oldest,
            newest,
            why: why(between(newest.at, now)),
        });
        Due::Run { turns, missed }
    }

    fn skip(&self, oldest: Occurrence, newest: Occurrence, why: NotRun) -> Due {
        let count = self.schedule.count(self.last, newest.nominal);
        let next = self.schedule.next_after(newest.nominal);
        Due::Skip { missed: Missed { count, oldest, newest, why }, next }
    }

    fn on_time(&self, occurrence: Occurrence, now: Timestamp) -> Turn {
        Turn { occurrence, begin: now, why: Running::OnTime { late: between(occurrence.at, now) } }
    }

    fn caught_up(&self, occurrence: Occurrence, period: Option<Duration>, now: Timestamp) -> Turn {
        let hold = share(&self.name, self.policy.spread_over(period));
        let why = Running::CaughtUp { late: between(occurrence.at, now) };
        Turn { occurrence, begin: later(now, hold), why }
    }
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    chrono::TimeDelta::from_std(by)
        .ok()
        .and_then(|by| at.checked_sub_signed(by))
        .unwrap_or(Timestamp::MIN_UTC)
}
