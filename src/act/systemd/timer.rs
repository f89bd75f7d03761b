//! When systemd starts a service.

use std::time::Duration;

use crate::act::systemd::error::Error;
use crate::act::systemd::{calendar, span};
use crate::base::text;
use crate::base::time::Timestamp;
use crate::decide::schedule::{CatchUp, Overlap, Parts, Policy, Schedule};

/// How long after the boot an interval that catches up begins.
const AFTER_BOOT: Duration = Duration::from_secs(60);
/// The longest calendar event that a person gives.
const CALENDAR_MAX: usize = 500;

/// When systemd starts a service: what stands in its `.timer`.
///
/// ```
/// use chrono::NaiveTime;
/// use unattended::schedule::{Policy, Schedule};
/// use unattended::systemd::{Service, Timer};
/// use unattended::zone::Zone;
///
/// let schedule = Schedule::daily(NaiveTime::from_hms_opt(6, 30, 0).unwrap_or_default(), Zone::Utc);
/// let timer = Timer::of(&schedule, &Policy::new())?;
/// let units = Service::new("report", ["/usr/bin/report"]).timer(timer).build()?;
/// let text = units.timer.map(|unit| unit.text).unwrap_or_default();
/// assert!(text.contains("OnCalendar=*-*-* 06:30:00 UTC\nPersistent=true\n"));
/// # Ok::<(), unattended::systemd::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    pub(super) trigger: Trigger,
    pub(super) persistent: bool,
    jitter: Option<Duration>,
    accuracy: Duration,
    /// In a person's words.
    pub(super) said: Option<String>,
    pub(super) facts: Facts,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trigger {
    Calendar(Vec<String>),
    /// So long after the boot, and so long after each start.
    Since {
        boot: Duration,
        start: Duration,
    },
}

/// What the schedule says and the unit's text does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) catches_up: bool,
    pub(super) period_min: Option<Duration>,
    /// How late the policy catches up at most, where systemd does so later.
    pub(super) late_max: Option<Duration>,
}

impl Timer {
    /// At each calendar event of systemd.time(7), such as `Mon..Fri 06:30 Europe/Berlin`. What was missed while the machine was
    /// down is made up for once.
    #[must_use]
    pub fn on_calendar(event: impl Into<String>) -> Self {
        Self::with(Trigger::Calendar(vec![event.into()]), true)
    }

    /// So long after each start, and after the boot. By the monotonic clock, which knows nothing of times of day and forgets with
    /// each boot when the last one was.
    #[must_use]
    pub fn every(period: Duration) -> Self {
        let mut timer = Self::with(Trigger::Since { boot: period, start: period }, false);
        timer.facts.period_min = Some(period);
        timer
    }

    /// As a schedule and its policy say.
    ///
    /// - Times of day and cron expressions are `OnCalendar=` in their zone; where either of two fields for days is enough there is
    ///   a line for each. Where every hour is meant it is said in UTC.
    /// - An interval is `OnCalendar=` in UTC where it is the same each day or each week. Another one of less than a day is
    ///   `OnUnitActiveSec=`: the distance is that of the schedule, the instants are not.
    /// - [`CatchUp::Once`] is `Persistent=true` (of an interval that is not calendar: a minute after the boot), [`CatchUp::Skip`] is
    ///   `false`.
    /// - A jitter is `RandomizedDelaySec=` with `FixedRandomDelay=`: as much, and another offset than the schedule's own.
    /// - [`Overlap::Skip`] is what systemd does: a service that runs is not started.
    ///
    /// A fixed time that the clocks skip does not happen with systemd on that day, where the schedule has it after the gap;
    /// [`Units::lint`](super::Units::lint) finds that.
    ///
    /// # Errors
    /// [`Error::CannotSay`] for every other policy, for `W` in a cron expression, for a fixed offset from UTC of no whole hours,
    /// for years after 2199, and for an interval of days that are no week or that has an anchor of its own and is not the same
    /// each day; [`Error::Field`] for a policy that is wrong.
    pub fn of(schedule: &Schedule, policy: &Policy) -> Result<Self, Error> {
        policy.check().map_err(|error| Error::field("policy", error, "a policy whose check is sound"))?;
        let catches_up = match policy.what_was_missed() {
            CatchUp::Skip => false,
            CatchUp::Once | CatchUp::All { at_most: 1 } => true,
            CatchUp::All { at_most } => {
                let why = format!("a timer makes up for what was missed once, not {at_most} times");
                return Err(Error::cannot_say("the catch-up", why));
            }
        };
        if policy.what_overlaps() != Overlap::Skip {
            return Err(Error::cannot_say(
                "the overlap",
                "a service that runs is not started again, and not later",
            ));
        }
        let trigger = match schedule.parts() {
            Parts::Once(at) => Trigger::Calendar(calendar::once(at)?),
            Parts::Local { fields, wildcard, zone } => {
                Trigger::Calendar(calendar::local(fields, wildcard, zone)?)
            }
            Parts::Every { period, anchor } => interval(period, anchor, catches_up)?,
        };
        let persistent = catches_up && matches!(trigger, Trigger::Calendar(_));
        let mut timer = Self::with(trigger, persistent);
        let period = schedule.period_min();
        let late = policy.late_bound(period);
        timer.jitter = schedule.jitter_max().filter(|max| !max.is_zero());
        // Its own offset is not the one that systemd finds.
        timer.said = schedule.to_string().split("; begins ").next().map(str::to_owned);
        timer.facts = Facts {
            catches_up,
            period_min: period,
            late_max: (persistent && period.is_none_or(|period| late < period) && late < Duration::MAX)
                .then_some(late),
        };
        Ok(timer)
    }

    /// Whether what was missed while the machine was down is made up for, once. Calendar events only.
    #[must_use]
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Begins later by less than this, always by the same time, which depends on the machine and the unit's name.
    #[must_use]
    pub const fn jitter(mut self, max: Duration) -> Self {
        self.jitter = Some(max);
        self
    }

    /// How exact it is. Default: 1 s; systemd's own is a minute.
    #[must_use]
    pub const fn accuracy(mut self, accuracy: Duration) -> Self {
        self.accuracy = accuracy;
        self
    }

    /// The lines of the section.
    pub(super) fn lines(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let mut lines = Vec::new();
        match &self.trigger {
            Trigger::Calendar(events) => {
                for event in events {
                    lines.push(("OnCalendar", checked(event)?));
                }
                lines.push(("Persistent", self.persistent.to_string()));
            }
            Trigger::Since { .. } if self.persistent => {
                return Err(Error::field(
                    "persistent",
                    true,
                    "only for calendar events: a boot forgets the rest",
                ));
            }
            Trigger::Since { boot, start } => {
                lines.push(("OnBootSec", span::checked("every", *boot)?));
                lines.push(("OnUnitActiveSec", span::checked("every", *start)?));
            }
        }
        if let Some(jitter) = self.jitter {
            lines.push(("RandomizedDelaySec", span::checked("jitter", jitter)?));
            lines.push(("FixedRandomDelay", String::from("true")));
        }
        lines.push(("AccuracySec", span::checked("accuracy", self.accuracy)?));
        Ok(lines)
    }

    fn with(trigger: Trigger, persistent: bool) -> Self {
        let (accuracy, facts) = (Duration::from_secs(1), Facts::default());
        Self { trigger, persistent, jitter: None, accuracy, said: None, facts }
    }
}

fn interval(period: Duration, anchor: Timestamp, catches_up: bool) -> Result<Trigger, Error> {
    if let Some(lines) = calendar::every(period, anchor) {
        return Ok(Trigger::Calendar(lines));
    }
    if period >= Duration::from_secs(86_400) {
        let why = format!(
            "{} is neither a day nor a week, and a boot forgets when the last one was",
            text::exact(period)
        );
        return Err(Error::cannot_say("the interval", why));
    }
    if anchor != Timestamp::UNIX_EPOCH {
        let why = format!(
            "{} is not the same each day, so it cannot be counted from an instant",
            text::exact(period)
        );
        return Err(Error::cannot_say("the interval", why));
    }
    let boot = if catches_up { AFTER_BOOT.min(period) } else { period };
    Ok(Trigger::Since { boot, start: period })
}

/// A calendar event of a person: its letters, not its grammar, which is systemd's.
fn checked(event: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " *,./:~_+-".contains(c);
    let event = event.trim();
    if event.is_empty() || event.len() > CALENDAR_MAX || !event.chars().all(plain) {
        let allowed = "a calendar event of systemd.time(7), such as Mon..Fri 06:30 UTC";
        return Err(Error::field("on_calendar", text::shown(event), allowed));
    }
    Ok(event.to_owned())
}
