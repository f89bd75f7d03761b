//! Puts a worker together, and refuses what could not work.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::act::job::Job;
use crate::act::worker::lanes::Meter;
use crate::act::worker::plan::Pace;
use crate::act::worker::watch::{Watch, Watchers};
use crate::act::worker::{Entry, Worker};
use crate::base::text;
use crate::remember::store::Store;

/// The most jobs that a worker knows.
pub const JOBS_MAX: usize = 256;
/// The most runs that a worker has at the same time.
pub const CONCURRENCY_MAX: usize = 1024;
/// The most bytes that a worker's name may have.
const NAME_MAX: usize = 100;
/// The longest interval between two looks.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// The longest time after which a run hangs.
const HANGS_MAX: Duration = Duration::from_secs(30 * 86_400);
/// The most that watch one worker.
const WATCHERS_MAX: usize = 8;
/// The longest grace.
const GRACE_MAX: Duration = Duration::from_secs(86_400);

/// Bounds of one job in one worker; without any, only the worker's own hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most runs of it at the same time, at least 1.
    pub concurrency: Option<usize>,
    /// How often one of it is begun; see [`Builder::rate`].
    pub rate: Option<text::Rate>,
}

/// A worker that is being put together.
#[must_use = "a worker is not built until build() is called"]
pub struct Builder {
    store: Arc<dyn Store>,
    jobs: Vec<(Job, Limits)>,
    /// Limits that were given by a job's name.
    limits: Vec<(String, Limits)>,
    name: Option<String>,
    concurrency: usize,
    rate: Option<text::Rate>,
    poll: Duration,
    grace: Duration,
    orphans_every: Option<Duration>,
    sweep_every: Duration,
    seed: Option<u64>,
    hangs_after: Option<Duration>,
    watchers: Watchers,
}

impl Builder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            jobs: Vec::new(),
            limits: Vec::new(),
            name: None,
            concurrency: 16,
            rate: None,
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(30),
            orphans_every: None,
            sweep_every: Duration::from_secs(10),
            seed: None,
            hangs_after: None,
            watchers: Watchers::default(),
        }
    }

    /// Adds a job whose runs it works on; 1 to [`JOBS_MAX`] of them.
    pub fn job(self, job: Job) -> Self {
        self.job_with(job, Limits::default())
    }

    /// The same, with bounds of its own.
    pub fn job_with(mut self, job: Job, limits: Limits) -> Self {
        self.jobs.push((job, limits));
        self
    }

    /// Bounds of the job called `name`, which is added before or after. What is given last counts.
    pub fn job_limits(mut self, name: impl Into<String>, limits: Limits) -> Self {
        self.limits.push((name.into(), limits));
        self
    }

    /// What its part in a run's history is signed with, as `worker:NAME`; default: the owner of its store's handle.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The most runs at the same time. Default: 16; 1 to [`CONCURRENCY_MAX`].
    pub const fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = runs;
        self
    }

    /// How often a run is begun, in all. Evenly spread: what gathers in 50 ms, at least one, may be begun together, so
    /// that any span of time has at most its share and that burst. Default: no bound. The bound is this worker's alone: two
    /// workers begin twice as many.
    pub const fn rate(mut self, rate: text::Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// How long it waits between two looks for due runs when there were none, give or take a quarter; while there are
    /// some it looks again at once. Default: 1 s; 1 ms to 1 h.
    pub const fn poll(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// How long what runs may go on after the end was asked for. Default: 30 s; at most a day.
    pub const fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }

    /// How often it looks for runs whose worker is gone. Default: a third of the shortest lease of its jobs; 1 ms to 1 h.
    pub const fn orphans_every(mut self, every: Duration) -> Self {
        self.orphans_every = Some(every);
        self
    }

    /// How often it looks for runs that wait for something outside, and whose wait is over. Default: 10 s; 1 ms to 1 h.
    pub const fn sweep_every(mut self, every: Duration) -> Self {
        self.sweep_every = every;
        self
    }

    /// What its jitter is drawn from: the same seed gives the same story under simulated time. Default: another one each
    /// time.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Tells `watcher` how it stands, as long as it makes progress: a look at the store that was answered, a run that has ended. At
    /// most 8 of them.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use unattended::time::Now;
    /// use unattended::worker::{Standing, Watch};
    ///
    /// #[derive(Default)]
    /// struct Turns(AtomicU64);
    ///
    /// impl Watch for Turns {
    ///     fn told(&self, _now: Now, _standing: &Standing) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    /// let turns: Arc<dyn Watch> = Arc::new(Turns::default());
    /// # drop(turns);
    /// ```
    pub fn watched_by(mut self, watcher: Arc<dyn Watch>) -> Self {
        self.watchers.0.push(watcher);
        self
    }

    /// From when on a run that has not ended counts as hanging. While one does, nothing that the worker does is told as progress, so
    /// that whoever watches it acts. Default: never, as the time-outs of steps are for that; 1 s to 30 days.
    pub const fn hangs_after(mut self, limit: Duration) -> Self {
        self.hangs_after = Some(limit);
        self
    }

    /// The worker.
    ///
    /// # Errors
    /// [`BuildError`] with the field, what was given and what is allowed.
    pub fn build(self) -> Result<Worker, BuildError> {
        if self.jobs.is_empty() || self.jobs.len() > JOBS_MAX {
            return Err(invalid("jobs", self.jobs.len(), format!("1 to {JOBS_MAX}")));
        }
        bounded("concurrency", self.concurrency, 1, CONCURRENCY_MAX)?;
        within("poll", self.poll, Duration::from_millis(1), INTERVAL_MAX)?;
        within("grace", self.grace, Duration::ZERO, GRACE_MAX)?;
        within("sweep_every", self.sweep_every, Duration::from_millis(1), INTERVAL_MAX)?;
        if let Some(name) = &self.name {
            named(name)?;
        }
        if let Some(limit) = self.hangs_after {
            within("hangs_after", limit, Duration::from_secs(1), HANGS_MAX)?;
        }
        bounded("watched_by", self.watchers.0.len(), 0, WATCHERS_MAX)?;
        let shortest = self.jobs.iter().map(|(job, _)| job.lease()).min().unwrap_or(INTERVAL_MAX);
        let orphans_every = self.orphans_every.unwrap_or_else(|| (shortest / 3).min(INTERVAL_MAX));
        within("orphans_every", orphans_every, Duration::from_millis(1), INTERVAL_MAX)?;
        let mut jobs = self.jobs;
        for (name, limits) in self.limits {
            let Some((_, of)) = jobs.iter_mut().find(|(job, _)| job.name() == name) else {
                return Err(invalid("job_limits", format!("{name:?}"), "the name of a job of this worker"));
            };
            *of = limits;
        }
        let mut kinds = BTreeSet::new();
        let mut entries = Vec::with_capacity(jobs.len());
        for (job, limits) in jobs {
            if !job.kinds().into_iter().all(|kind| kinds.insert(kind)) {
                return Err(invalid("jobs", job.name(), "each job once"));
            }
            if let Some(most) = limits.concurrency {
                bounded("limits.concurrency", most, 1, CONCURRENCY_MAX)?;
            }
            let meter = limits.rate.map(|rate| metered("limits.rate", rate)).transpose()?;
            entries.push(Entry { job: Arc::new(job), concurrency: limits.concurrency, meter });
        }
        let owner = self.store.owner();
        let name = self.name.unwrap_or_else(|| owner.to_owned());
        Ok(Worker {
            actor: format!("worker:{name}").into(),
            name,
            jobs: entries.into(),
            kinds: kinds.into_iter().collect(),
            concurrency: self.concurrency,
            meter: self.rate.map(|rate| metered("rate", rate)).transpose()?,
            pace: Pace { poll: self.poll, orphans_every, sweep_every: self.sweep_every },
            grace: self.grace,
            seed: self.seed,
            hangs_after: self.hangs_after,
            watchers: self.watchers,
            store: self.store,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("jobs", &self.jobs)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// The worker could not work as it was put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {given}; allowed is {allowed}")]
#[non_exhaustive]
pub struct BuildError {
    /// The field.
    pub field: &'static str,
    /// What was given.
    pub given: String,
    /// What is allowed.
    pub allowed: String,
}

fn invalid(field: &'static str, given: impl ToString, allowed: impl ToString) -> BuildError {
    BuildError { field, given: given.to_string(), allowed: allowed.to_string() }
}

fn bounded(field: &'static str, given: usize, least: usize, most: usize) -> Result<(), BuildError> {
    let fits = (least..=most).contains(&given);
    if fits { Ok(()) } else { Err(invalid(field, given, format!("{least} to {most}"))) }
}

fn within(field: &'static str, given: Duration, least: Duration, most: Duration) -> Result<(), BuildError> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(invalid(field, format!("{given:?}"), format!("{least:?} to {most:?}")))
}

fn metered(field: &'static str, rate: text::Rate) -> Result<Meter, BuildError> {
    let allowed = "at least one a century, and at most one a nanosecond";
    Meter::new(rate).ok_or_else(|| invalid(field, format!("{} in {:?}", rate.count, rate.per), allowed))
}

fn named(name: &str) -> Result<(), BuildError> {
    let fits = (1..=NAME_MAX).contains(&name.len());
    if fits && !name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(());
    }
    let allowed = format!("1 to {NAME_MAX} bytes without white space and control characters");
    Err(invalid("name", format!("{name:?}"), allowed))
}
