//! When a job is late, overdue or failing.

use std::time::Duration;

use crate::base::text;

const SECOND: Duration = Duration::from_secs(1);
/// The least that lies between late and overdue.
pub(super) const GRACE_MIN: Duration = Duration::from_secs(60);
/// Of a schedule, unless told otherwise.
const SCHEDULED_GRACE: Duration = Duration::from_secs(3600);
const SPAN_MAX: Duration = Duration::from_secs(3660 * 86_400);
/// In a row.
const COUNT_MAX: u32 = 1000;
/// Changes of state that are remembered.
pub(super) const TURNS_MAX: u32 = 32;

/// When a job is late, overdue or failing; see the [module](crate::decide::heartbeat).
///
/// As JSON the names are those of the builder, with durations in milliseconds; what is absent is as by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `None`: expected instants come in as input.
    pub(super) every: Option<Duration>,
    pub(super) tick: Duration,
    pub(super) grace: Option<Duration>,
    pub(super) start_max: Option<Duration>,
    pub(super) run_max: Option<Duration>,
    pub(super) run_min: Option<Duration>,
    pub(super) progress_lease: Option<Duration>,
    pub(super) failures: u32,
    pub(super) recovery: u32,
    /// So many changes within so long.
    pub(super) unsteady: Option<(u32, Duration)>,
}

impl Policy {
    /// Expected to succeed at least once in each `interval`, 1 s to 3660 days. From success to success, so a job that is started each
    /// hour and takes now one minute and now ten is late now and then; which is a [hint](super::Event::is_hint), no more.
    pub const fn every(interval: Duration) -> Builder {
        Builder(Self::of(Some(interval)))
    }

    /// Expected to succeed at or after each instant of a schedule, which comes in as input.
    pub const fn scheduled() -> Builder {
        Builder(Self::of(None))
    }

    const fn of(every: Option<Duration>) -> Self {
        Self {
            every,
            tick: GRACE_MIN,
            grace: None,
            start_max: None,
            run_max: None,
            run_min: None,
            progress_lease: None,
            failures: 1,
            recovery: 1,
            unsteady: Some((6, Duration::from_secs(3600))),
        }
    }

    /// The interval in which a success is expected; `None` for a schedule.
    #[must_use]
    pub const fn interval(&self) -> Option<Duration> {
        self.every
    }

    /// How often is looked, as the policy takes it to be.
    #[must_use]
    pub const fn tick(&self) -> Duration {
        self.tick
    }

    /// What lies between late and overdue, or between an expected instant and late.
    pub(super) fn grace(&self) -> Duration {
        match (self.grace, self.every) {
            (Some(grace), _) => grace,
            (None, Some(every)) => every.max(GRACE_MIN),
            (None, None) => SCHEDULED_GRACE,
        }
    }
}

/// A policy that is being described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until it is built"]
pub struct Builder(pub(super) Policy);

impl Builder {
    /// How often is looked, 1 s to 1 day; default 60 s. An interval below it is an error, since it could not be kept watch over.
    pub const fn tick(mut self, every: Duration) -> Self {
        self.0.tick = every;
        self
    }

    /// How long a job that is late is waited for until it is overdue, 1 s to 3660 days; default the interval, at least 60 s. With a
    /// schedule: how long after an expected instant it is late; default 1 h, and in either case at most half of what lies between that
    /// instant and the following one.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.0.grace = Some(grace);
        self
    }

    /// It is late already if no run has begun so long after the last success (less than the interval), or after the expected
    /// instant; default no such limit.
    pub const fn start_max(mut self, limit: Duration) -> Self {
        self.0.start_max = Some(limit);
        self
    }

    /// A run that began and has not ended after so long has failed; default no limit.
    pub const fn run_max(mut self, limit: Duration) -> Self {
        self.0.run_max = Some(limit);
        self
    }

    /// A success sooner than that after its start is a failure: too fast to be true; default no limit.
    pub const fn run_min(mut self, limit: Duration) -> Self {
        self.0.run_min = Some(limit);
        self
    }

    /// A run that made no progress for so long has stalled, which is a failure; each progress extends the lease. Default no limit.
    pub const fn progress_lease(mut self, lease: Duration) -> Self {
        self.0.progress_lease = Some(lease);
        self
    }

    /// So many failures in a row are failing, 1 to 1000; default 1.
    pub const fn failures(mut self, in_a_row: u32) -> Self {
        self.0.failures = in_a_row;
        self
    }

    /// So many successes in a row make well again what was overdue or failing, 1 to 1000; default 1. One is always enough for
    /// what was late.
    pub const fn recovery(mut self, in_a_row: u32) -> Self {
        self.0.recovery = in_a_row;
        self
    }

    /// The change of state that is the `changes`-th within `span` is told as [`Unsteady`](super::Why::Unsteady), and none after it
    /// until there was none for a `span`: then where it stands is told once ([`Steady`](super::Why::Steady)). 2 to 32 changes, 1 s to
    /// 3660 days; default 6 in 1 h. What a person does is always told, and
    /// [hints](super::Event::is_hint) do not count.
    pub const fn unsteady(mut self, changes: u32, span: Duration) -> Self {
        self.0.unsteady = Some((changes, span));
        self
    }

    /// Tells every change, however many there are.
    pub const fn tell_all(mut self) -> Self {
        self.0.unsteady = None;
        self
    }

    #[cfg(feature = "store")]
    pub(crate) const fn interval(&self) -> Option<Duration> {
        self.0.every
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Field`] with what is out of its bounds.
    pub fn build(self) -> Result<Policy, Error> {
        let Policy { every, tick, grace, start_max, run_max, run_min, progress_lease, .. } = self.0;
        within("tick", tick, SECOND, Duration::from_secs(86_400))?;
        if let Some(every) = every {
            within("every", every, SECOND, SPAN_MAX)?;
            if every < tick {
                let allowed = format!("at least {}, how often is looked", text::exact(tick));
                return Err(Error::time("every", every, allowed));
            }
        }
        for (field, limit) in [("grace", grace), ("start_max", start_max), ("run_max", run_max)] {
            limit.map_or(Ok(()), |limit| within(field, limit, SECOND, SPAN_MAX))?;
        }
        for (field, limit) in [("run_min", run_min), ("progress_lease", progress_lease)] {
            limit.map_or(Ok(()), |limit| within(field, limit, Duration::from_millis(1), SPAN_MAX))?;
        }
        below("start_max", start_max, every, "the interval, after which it is late anyhow")?;
        below("run_min", run_min, run_max, "run_max, or every run has failed")?;
        below("progress_lease", progress_lease, run_max, "run_max, which is over before it")?;
        count("failures", self.0.failures, 1, COUNT_MAX)?;
        count("recovery", self.0.recovery, 1, COUNT_MAX)?;
        if let Some((changes, span)) = self.0.unsteady {
            count("unsteady.changes", changes, 2, TURNS_MAX)?;
            within("unsteady.span", span, SECOND, SPAN_MAX)?;
        }
        Ok(self.0)
    }
}

fn within(field: &'static str, given: Duration, least: Duration, most: Duration) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Error::time(field, given, format!("{} to {}", text::exact(least), text::exact(most))))
}

fn below(
    field: &'static str,
    given: Option<Duration>,
    limit: Option<Duration>,
    what: &str,
) -> Result<(), Error> {
    match (given, limit) {
        (Some(given), Some(limit)) if given >= limit => {
            Err(Error::time(field, given, format!("less than {}, {what}", text::exact(limit))))
        }
        _ => Ok(()),
    }
}

fn count(field: &'static str, given: u32, least: u32, most: u32) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Error::Field { field, given: given.to_string(), allowed: format!("{least} to {most}") })
}

/// What is wrong with a policy, or with what was saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is out of its bounds.
    #[error("heartbeat: {field} is {given}, allowed is {allowed}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it is.
        given: String,
        /// What it may be.
        allowed: String,
    },
    /// It was saved by a version of the library that is not known here.
    #[error("the saved heartbeat has version {found}, known is {known}")]
    Version {
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
}

impl Error {
    fn time(field: &'static str, given: Duration, allowed: String) -> Self {
        Self::Field { field, given: text::exact(given), allowed }
    }
}
