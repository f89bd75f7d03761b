//! What a check has found.

use std::fmt;
use std::time::Duration;

use crate::act::monitor::asked::{ProbeStatus, Service};
use crate::act::monitor::kept::Known;
use crate::act::monitor::timers::{NoTimers, TimerUnit};
use crate::base::explain::Explain;
use crate::base::text::{second, shortened, shown};
use crate::base::time::Timestamp;
use crate::decide::heartbeat::{Noticed, State, Status, Unseen};

/// So many lines are written for people; of what is well, so many fewer.
const LINES_MAX: usize = 200;
const NAME_SHOWN: usize = 40;

/// What a check has found, in the order: jobs by name, undeclared ones, probes, timers. `Display` is a line for each, with the worst
/// first; of more than 200 the rest is counted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The monitor.
    pub monitor: String,
    /// When it was made.
    pub at: Timestamp,
    /// All that was looked at.
    pub entries: Vec<Entry>,
    /// What was noticed about the monitor itself at this check.
    pub noticed: Option<Noticed>,
    /// When last nobody looked, as far as it still matters.
    pub unseen: Option<Unseen>,
    /// Why beats that were noted in this process could not be taken in, if some could not.
    pub not_taken_in: Option<String>,
    /// Why pings did not go out, if some did not.
    pub pings_failed: Vec<String>,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The job, the probe, or the unit of the timer.
    pub name: String,
    /// What was found.
    pub finding: Finding,
    /// How often the job is to succeed, if that is an interval.
    pub every: Option<Duration>,
    /// When it is to succeed, if that is a cron expression: with its zone, as `30 2 * * * Europe/Paris`.
    pub schedule: Option<String>,
}

/// What was found of one thing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// A job that is declared.
    Job(Status),
    /// A job that beats, and is not declared.
    Undeclared(Status),
    /// What stands in the store of a job cannot be read.
    Unreadable(String),
    /// A service.
    Probe(ProbeStatus),
    /// The timer of systemd that runs `job` is scheduled.
    Scheduled {
        /// The job.
        job: String,
        /// The timer.
        timer: TimerUnit,
    },
    /// The timer that is to run `job` is not scheduled: there is none of that name, or it is off.
    NotScheduled {
        /// The job.
        job: String,
        /// The timer, if there is one.
        timer: Option<TimerUnit>,
    },
    /// There is no list of timers, so nobody knows.
    TimersNotAsked {
        /// The job.
        job: String,
        /// Why not.
        why: NoTimers,
    },
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not at all.
    Well,
    /// To be looked at: late, degraded, undeclared, unknown.
    Warning,
    /// To be looked at now: overdue, failing, down, not scheduled.
    Trouble,
}

impl Entry {
    pub(super) const fn new(name: String, finding: Finding) -> Self {
        Self { name, finding, every: None, schedule: None }
    }

    pub(super) fn of_job(name: &str, finding: Finding, known: &Known) -> Self {
        let every = known.policy.and_then(|policy| policy.interval());
        let schedule = known.plan.as_ref().map(ToString::to_string);
        Self { name: name.to_owned(), finding, every, schedule }
    }

    /// How bad it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        match &self.finding {
            Finding::Job(status) => match status.state {
                State::Overdue | State::Failing => Level::Trouble,
                State::Late => Level::Warning,
                _ if status.unsteady => Level::Warning,
                _ => Level::Well,
            },
            Finding::Undeclared(_) => Level::Warning,
            Finding::Probe(status) => match status.state {
                Service::Ok => Level::Well,
                Service::Degraded => Level::Warning,
                Service::Down => Level::Trouble,
            },
            Finding::Scheduled { .. } | Finding::TimersNotAsked { why: NoTimers::NoSystemd(_), .. } => {
                Level::Well
            }
            Finding::TimersNotAsked { .. } => Level::Warning,
            Finding::Unreadable(_) | Finding::NotScheduled { .. } => Level::Trouble,
        }
    }

    /// Its state, in a word.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match &self.finding {
            Finding::Job(status) => status.state.as_str(),
            Finding::Undeclared(_) => "undeclared",
            Finding::Unreadable(_) => "unreadable",
            Finding::Probe(status) => status.state.as_str(),
            Finding::Scheduled { .. } => "scheduled",
            Finding::NotScheduled { .. } => "missing",
            Finding::TimersNotAsked { .. } => "unknown",
        }
    }

    /// Since when it is so, where that is known.
    #[must_use]
    pub const fn since(&self) -> Option<Timestamp> {
        match &self.finding {
            Finding::Job(status) | Finding::Undeclared(status) => Some(status.since),
            Finding::Probe(status) => Some(status.since),
            _ => None,
        }
    }

    /// When it last succeeded; of a service, when it last answered.
    #[must_use]
    pub const fn last_success(&self) -> Option<Timestamp> {
        match &self.finding {
            Finding::Job(status) | Finding::Undeclared(status) => status.last_success,
            Finding::Probe(status) => status.last_ok,
            _ => None,
        }
    }

    /// Why it is so.
    #[must_use]
    pub fn why(&self) -> String {
        self.to_string()
    }
}

impl Explain for Entry {
    fn code(&self) -> &'static str {
        match &self.finding {
            Finding::Job(status) => status.why.as_ref().map_or("monitor.well", Explain::code),
            Finding::Undeclared(_) => "monitor.undeclared",
            Finding::Unreadable(_) => "monitor.unreadable",
            Finding::Probe(status) => match status.state {
                Service::Ok => "monitor.answers",
                Service::Degraded => "monitor.degraded",
                Service::Down => "monitor.down",
            },
            Finding::Scheduled { .. } => "monitor.scheduled",
            Finding::NotScheduled { .. } => "monitor.not_scheduled",
            Finding::TimersNotAsked { .. } => "monitor.timers_not_asked",
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.finding {
            Finding::Job(status) => {
                match (&status.why, status.last_success) {
                    (Some(why), _) => why.fmt(f)?,
                    (None, Some(last)) => write!(f, "it last succeeded at {}", second(last))?,
                    (None, None) => {
                        write!(
                            f,
                            "it was not seen to succeed since it is expected, {}",
                            second(status.since)
                        )?;
                    }
                }
                if status.unsteady {
                    f.write_str("; its state changes too often for each change to be told")
                } else {
                    Ok(())
                }
            }
            Finding::Undeclared(status) => match status.last_beat {
                Some(last) => write!(f, "it beats, last at {}, and nobody declared it", second(last)),
                None => f.write_str("it is known, and nobody declares it any more"),
            },
            Finding::Unreadable(why) => write!(f, "what is kept of it cannot be read: {why}"),
            Finding::Probe(status) if status.why.is_empty() => f.write_str("it answers"),
            Finding::Probe(status) => f.write_str(&status.why),
            Finding::Scheduled { job, timer } => match timer.next {
                Some(next) => write!(f, "systemd runs {job} next at {}", second(next)),
                None => write!(f, "systemd runs {job}"),
            },
            Finding::NotScheduled { job, timer: None } => {
                write!(f, "systemd has no such timer, so it does not run {job}")
            }
            Finding::NotScheduled { job, timer: Some(_) } => {
                write!(f, "the timer is not scheduled, so systemd does not run {job}")
            }
            Finding::TimersNotAsked { job, why } => {
                write!(f, "nobody knows whether systemd runs {job}: {why}")
            }
        }
    }
}

impl Report {
    /// What was found of a job, a probe or a timer.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// How bad the worst is.
    #[must_use]
    pub fn level(&self) -> Level {
        let own = self.not_taken_in.is_some() || !self.pings_failed.is_empty();
        let own = if own { Level::Warning } else { Level::Well };
        self.entries.iter().map(Entry::level).fold(own, Ord::max)
    }

    /// 0 if all is well, 1 if something is to be looked at, 2 if something is in trouble: as monitoring plugins say OK, WARNING and
    /// CRITICAL.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.level() {
            Level::Well => 0,
            Level::Warning => 1,
            Level::Trouble => 2,
        }
    }

    /// How many are well and how many are not.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |level: Level| self.entries.iter().filter(|entry| entry.level() == level).count();
        let [well, warning, trouble] = [Level::Well, Level::Warning, Level::Trouble].map(count);
        format!("{well} well, {warning} to be looked at, {trouble} in trouble")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}: {}", self.monitor, second(self.at), self.summary())?;
        if let Some(noticed) = &self.noticed {
            writeln!(f, "  {noticed}")?;
        }
        if let Some(why) = &self.not_taken_in {
            writeln!(f, "  beats that were noted here are not in the store yet: {why}")?;
        }
        for why in &self.pings_failed {
            writeln!(f, "  a ping did not go out: {why}")?;
        }
        let mut lines: Vec<&Entry> = self.entries.iter().collect();
        lines.sort_by_key(|entry| std::cmp::Reverse(entry.level()));
        let width = |entry: &&Entry| shortened(&shown(&entry.name), NAME_SHOWN).chars().count();
        let width = lines.iter().take(LINES_MAX).map(width).max().unwrap_or(0);
        for entry in lines.iter().take(LINES_MAX) {
            let (state, name) = (entry.state(), shortened(&shown(&entry.name), NAME_SHOWN));
            writeln!(f, "  {state:<10}  {name:<width$}  {}", shown(&entry.to_string()))?;
        }
        match lines.get(LINES_MAX..).map_or(0, <[_]>::len) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more, none of them worse"),
        }
    }
}
