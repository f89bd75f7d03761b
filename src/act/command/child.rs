//! A command that runs: waited for, stopped, and never left behind.

use std::io;
use std::time::Duration;

use crate::act::command::contain::Reach;
use crate::act::command::leader::Leader;
use crate::act::command::proc::Found;
use crate::act::command::pump::Pump;
#[cfg(feature = "store")]
use crate::act::command::record::Record;
use crate::act::command::{Captured, KilledBy, Outcome, Signal, Status, Wake};
use crate::base::time::{Clock, Moment, System};

/// How soon those that a program has left behind are looked for again, at first and at most.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_MAX: Duration = Duration::from_millis(50);
/// For so long the processes that a command has started can have only the numbers after its own.
const YOUNG: Duration = Duration::from_secs(1);

/// A command that runs. Whoever has it waits for it: its pipes are read, and its time-out is kept, only while
/// [`wait`](Self::wait) or [`stop`](Self::stop) runs.
///
/// Dropped before its end, it is killed with its group and reaped, which takes at most the [drain](super::Command::drain).
#[derive(Debug)]
#[must_use = "a child that is dropped is killed"]
pub struct Child {
    program: String,
    leader: Leader,
    reach: Reach,
    pump: Pump,
    bounds: Bounds,
    stage: Stage,
    look: Look,
    killed_by: Option<KilledBy>,
    left: Vec<u32>,
    strays: Vec<u32>,
    outcome: Option<Box<Outcome>>,
    #[cfg(feature = "store")]
    record: Option<Record>,
}

/// What it was started with.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) limit: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) drain: Duration,
    pub(super) stop_after: Option<u64>,
    pub(super) begun: Moment,
}

/// What ended a [`Child::wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Waited {
    /// The command has ended, and all that belonged to it as far as it is reached.
    Exited(Box<Outcome>),
    /// Its [`Wake`] was woken.
    Woken,
    /// It still runs at the end of the time that was to be waited.
    TimedOut,
}

/// What a command that runs has written until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// To its standard output.
    pub stdout: Captured,
    /// To its standard error.
    pub stderr: Captured,
}

/// How far its end has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It runs.
    Running,
    /// It has ended by itself; those that it left behind may end by themselves until then.
    Settling { until: Moment },
    /// SIGTERM was sent; SIGKILL follows then.
    Ending { kill_at: Moment },
    /// All that can be ended was; pipes are waited for until then.
    Draining { until: Moment, kill: bool },
}

/// When who belongs to it is looked for next.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Moment,
    step: Duration,
}

impl Child {
    pub(super) const fn new(
        program: String,
        leader: Leader,
        reach: Reach,
        pump: Pump,
        bounds: Bounds,
        #[cfg(feature = "store")] record: Option<Record>,
    ) -> Self {
        Self {
            program,
            leader,
            reach,
            pump,
            bounds,
            stage: Stage::Running,
            look: Look { at: Moment::ZERO, step: LOOK_FIRST },
            killed_by: None,
            left: Vec::new(),
            strays: Vec::new(),
            outcome: None,
            #[cfg(feature = "store")]
            record,
        }
    }

    /// Its process id, which is also that of its group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.leader.pid()
    }

    /// Waits until the command has ended, `wake` is woken, or `limit` is over, and keeps its time-out meanwhile. On Linux nothing happens
    /// while nothing happens. After its end it gives the same outcome again.
    ///
    /// # Errors
    /// When the system cannot wait, such as for want of memory.
    pub fn wait(&mut self, limit: Option<Duration>, wake: Option<&Wake>) -> io::Result<Waited> {
        let until = limit.map(|limit| System.moment().after(limit));
        loop {
            if let Some(outcome) = &self.outcome {
                return Ok(Waited::Exited(outcome.clone()));
            }
            let next = [until, self.next_turn()].into_iter().flatten().min();
            let pause = next.map(|next| next.since(System.moment()));
            let watched = self.leader.status().is_none();
            let ready = self.pump.wait(self.leader.fd(), watched, wake, pause)?;
            if ready.leader {
                self.leader.look();
            }
            let now = System.moment();
            self.turn(now);
            if self.outcome.is_some() {
                continue;
            }
            if ready.woken {
                return Ok(Waited::Woken);
            }
            if until.is_some_and(|until| now >= until) {
                return Ok(Waited::TimedOut);
            }
        }
    }

    /// Asks it to end, and does not wait: SIGTERM to all that belongs to it, and SIGKILL after `grace`, kept by whoever
    /// waits for it next. Asked again, the earlier SIGKILL counts.
    pub fn terminate(&mut self, grace: Duration) {
        if self.outcome.is_none() {
            self.leader.look();
            self.end(KilledBy::Stopped, grace, System.moment());
        }
    }

    /// Ends it: SIGTERM to all that belongs to it, SIGKILL after `grace`, and the drain for its pipes. It is reaped.
    pub fn stop(&mut self, grace: Duration) -> Box<Outcome> {
        self.terminate(grace);
        // A system that cannot wait is one on which it is killed now.
        let ended = self.wait(None, None);
        match ended {
            Ok(Waited::Exited(outcome)) => outcome,
            Ok(Waited::Woken | Waited::TimedOut) | Err(_) => self.finish(System.moment()),
        }
    }

    /// Sends a signal to all of its group.
    ///
    /// # Errors
    /// When it has ended, or there is no such signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.leader.signal_group(signal)
    }

    /// What it has written until now, as far as it was read: its pipes are read while it is waited for.
    #[must_use]
    pub fn output(&self) -> Output {
        if let Some(outcome) = &self.outcome {
            return Output { stdout: outcome.stdout.clone(), stderr: outcome.stderr.clone() };
        }
        let [stdout, stderr] = self.pump.captured();
        Output { stdout, stderr }
    }

    /// How many bytes it has written until now, to both streams, as far as they were read.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.pump.written()
    }

    /// How long it has run, or did.
    #[must_use]
    pub fn age(&self) -> Duration {
        match &self.outcome {
            Some(outcome) => outcome.duration,
            None => System.moment().since(self.bounds.begun),
        }
    }

    fn next_turn(&self) -> Option<Moment> {
        let ended = self.leader.status().is_some();
        match self.stage {
            Stage::Running => self.bounds.limit.map(|limit| self.bounds.begun.after(limit)),
            Stage::Settling { until } => Some(until.min(self.look.at)),
            Stage::Ending { kill_at } if ended => Some(kill_at.min(self.look.at)),
            Stage::Ending { kill_at } => Some(kill_at),
            Stage::Draining { until, .. } if ended => Some(until.min(self.look.at)),
            Stage::Draining { until, .. } => Some(until),
        }
    }

    /// Goes from stage to stage as far as it can now. No stage is entered twice, but for the way from the third to itself.
    fn turn(&mut self, now: Moment) {
        for _ in 0..4 {
            let gone_on = match self.stage {
                Stage::Running => self.running(now),
                Stage::Settling { until } => self.settling(now, until),
                Stage::Ending { kill_at } => self.ending(now, kill_at),
                Stage::Draining { until, kill } => self.draining(now, until, kill),
            };
            if !gone_on || self.outcome.is_some() {
                return;
            }
        }
    }

    fn running(&mut self, now: Moment) -> bool {
        let end = self.bounds.limit.map(|limit| self.bounds.begun.after(limit));
        if self.leader.status().is_some() {
            self.pump.empty();
            let until = now.after(self.bounds.drain);
            self.enter(Stage::Settling { until: end.map_or(until, |end| until.min(end.max(now))) }, now);
            return true;
        }
        if let Some(limit) = self.bounds.stop_after.filter(|limit| self.pump.written() > *limit) {
            self.end(KilledBy::TooMuchOutput { limit }, self.bounds.grace, now);
        } else if let (Some(end), Some(limit)) = (end, self.bounds.limit)
            && now >= end
        {
            // It may have ended in the very moment.
            self.leader.look();
            if self.leader.status().is_none() {
                self.end(KilledBy::TimedOut { limit }, self.bounds.grace, now);
            }
            return true;
        }
        false
    }

    fn settling(&mut self, now: Moment, until: Moment) -> bool {
        let over = now >= until;
        if now < self.look.at && !over {
            return false;
        }
        let Some(found) = self.look(now) else {
            // Nobody can tell who is left. Where the pipes are closed nobody is expected.
            if over || !self.pump.is_open() {
                self.reach.kill(&self.leader);
                self.enter(Stage::Draining { until: now.after(self.bounds.drain), kill: true }, now);
            }
            return over || !self.pump.is_open();
        };
        if found.members.is_empty() {
            if self.pump.is_open() {
                self.enter(Stage::Draining { until, kill: false }, now);
            } else {
                self.finish(now);
            }
            return true;
        }
        if over {
            self.left = found.members;
            self.reach.terminate(&self.leader);
            self.enter(Stage::Ending { kill_at: now.after(self.bounds.grace) }, now);
        }
        over
    }

    fn ending(&mut self, now: Moment, kill_at: Moment) -> bool {
        let over = now >= kill_at;
        let gone = if self.leader.status().is_some() && (now >= self.look.at || over) {
            match self.look(now) {
                Some(found) => found.members.is_empty(),
                None => !self.pump.is_open(),
            }
        } else {
            false
        };
        if over && !gone {
            self.reach.kill(&self.leader);
        }
        if over || gone {
            self.enter(Stage::Draining { until: now.after(self.bounds.drain), kill: over }, now);
        }
        over || gone
    }

    fn draining(&mut self, now: Moment, until: Moment, kill: bool) -> bool {
        let over = now >= until;
        let ended = self.leader.status().is_some();
        if !over && (!ended || now < self.look.at) {
            return false;
        }
        let members = self.look(now).map_or_else(Vec::new, |found| found.members);
        if over || (ended && members.is_empty() && !self.pump.is_open()) {
            self.reach.leave(members);
            self.finish(now);
            return true;
        }
        if kill && !members.is_empty() {
            self.reach.kill(&self.leader);
        }
        false
    }

    /// Begins its end, or brings it forward.
    fn end(&mut self, why: KilledBy, grace: Duration, now: Moment) {
        let kill_at = now.after(grace);
        match self.stage {
            Stage::Running => {
                // One that has ended by itself was not ended by us; those that it left are.
                if self.leader.status().is_none() {
                    self.killed_by = Some(why);
                }
                self.reach.terminate(&self.leader);
                self.enter(Stage::Ending { kill_at }, now);
            }
            Stage::Settling { .. } => {
                self.reach.terminate(&self.leader);
                self.enter(Stage::Ending { kill_at }, now);
            }
            Stage::Ending { kill_at: before } => self.stage = Stage::Ending { kill_at: kill_at.min(before) },
            Stage::Draining { .. } => {}
        }
    }

    fn enter(&mut self, stage: Stage, now: Moment) {
        self.stage = stage;
        self.look = Look { at: now, step: LOOK_FIRST };
    }

    /// Who belongs to it now.
    fn look(&mut self, now: Moment) -> Option<Found> {
        self.look =
            Look { at: now.after(self.look.step), step: self.look.step.saturating_mul(2).min(LOOK_MAX) };
        let young = now.since(self.bounds.begun) < YOUNG;
        let found = self.reach.look(&self.leader, young)?;
        self.strays.clone_from(&found.strays);
        Some(found)
    }

    /// Ends it for good, whatever it still does.
    fn finish(&mut self, now: Moment) -> Box<Outcome> {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        self.pump.empty();
        // Whoever came into the group since the last look.
        drop(self.leader.signal_group(Signal::KILL));
        self.leader.reap();
        self.reach.reap();
        let status = self.leader.status().unwrap_or(Status::Unknown);
        let killed = status.signal() == Some(Signal::KILL) || status.code() == Some(137);
        let pipe_held_open = self.pump.is_open();
        if let Some(limit) = self.bounds.stop_after.filter(|limit| self.pump.written() > *limit) {
            // It may have been quicker than its end.
            self.killed_by = self.killed_by.or(Some(KilledBy::TooMuchOutput { limit }));
        }
        let [stdout, stderr] = self.pump.take();
        let outcome = Box::new(Outcome {
            program: std::mem::take(&mut self.program),
            status,
            truncated: pipe_held_open || !stdout.is_whole() || !stderr.is_whole(),
            stdout,
            stderr,
            duration: now.since(self.bounds.begun),
            killed_by: self.killed_by,
            left: std::mem::take(&mut self.left),
            escaped: self.reach.still(std::mem::take(&mut self.strays)),
            pipe_held_open,
            out_of_memory: killed && self.killed_by.is_none() && self.reach.ran_out_of_memory(),
        });
        self.outcome = Some(outcome.clone());
        #[cfg(feature = "store")]
        if let Some(record) = self.record.take() {
            record.ended(self.leader.status().is_some());
        }
        outcome
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        self.pump.hear(None);
        self.leader.look();
        self.killed_by = self.killed_by.or(Some(KilledBy::Stopped));
        self.reach.kill(&self.leader);
        let now = System.moment();
        self.enter(Stage::Draining { until: now.after(self.bounds.drain), kill: true }, now);
        drop(self.wait(None, None));
        self.finish(System.moment());
    }
}
