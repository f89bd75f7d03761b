//! Puts a job together, and refuses what could not work.

use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::act::job::config::Config;
use crate::act::job::{FromInput, Job};
use crate::act::monitor::Pulse;
use crate::act::notify::Alerts;
use crate::act::pipeline::{After, Only, Step, StepError};
use crate::act::readiness::Gate;
use crate::act::runlog;
use crate::act::statistics::Statistics;
#[cfg(all(feature = "process", unix))]
use crate::act::supervise::Health;
use crate::base::canonical::{Fingerprint, InvalidKey, Key};
use crate::base::effect::Effect;
use crate::base::handover::HandedOver;
use crate::base::time::Now;
use crate::decide::contract::Contract;
use crate::decide::queue::Value;
use crate::decide::retry;
use crate::decide::window::Window;
use crate::remember::ledger::LEASE;
use crate::remember::runs::{CRASHES_MAX, ESTIMATE_MAX, Json};
use crate::remember::store::LEASE_MAX;

/// The most steps that a job may have.
const STEPS_MAX: usize = 64;
/// The most other jobs that a job may come after.
const AFTER_MAX: usize = 8;
/// The most questions that are asked before a step begins.
const READY_MAX: usize = 8;
/// The most bytes that a job's or a step's name may have.
const NAME_MAX: usize = 100;
/// The shortest lease: a renewal at a third of it must have a chance on a busy disk.
const LEASE_MIN: Duration = Duration::from_millis(100);

/// A job that is being put together.
#[must_use = "a job is not built until build() is called"]
pub struct Builder {
    /// The job, but for its steps.
    job: Job,
    steps: Vec<Step>,
    config: Option<Result<Config, String>>,
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        let job = Job {
            name,
            steps: Arc::from([]),
            key: None,
            payload: None,
            retry: retry::Policy::cron(),
            lease: LEASE,
            attempts_max: 5,
            backlog_max: 10,
            crashes_max: CRASHES_MAX,
            time_max: None,
            version: None,
            after: Vec::new(),
            intake: None,
            serial: None,
            value: None,
            estimate: None,
            within: None,
            during: None,
            edges: None,
            statistics: None,
            ready: Vec::new(),
            only: None,
            pulse: None,
            alerts: None,
            config: None,
        };
        Self { job, steps: Vec::new(), config: None }
    }

    /// Adds a step; steps run in the order in which they are added.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Makes the idempotency key from the input: from what the work is about, never from a time. Without one, nothing
    /// is held against a second delivery.
    pub fn key<I, F>(mut self, key: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(&I) -> Result<Key, InvalidKey> + Send + Sync + 'static,
    {
        self.job.key = Some(Arc::new(move |input| {
            key(&typed(input)?).map_err(|error| StepError::permanent("job.key", error))
        }));
        self
    }

    /// The part of the input that must be the same for a second delivery to be the same work; without it, all of it.
    pub fn payload<I, P, F>(mut self, payload: F) -> Self
    where
        I: DeserializeOwned,
        P: Serialize,
        F: Fn(&I) -> P + Send + Sync + 'static,
    {
        self.job.payload = Some(Arc::new(move |input| {
            Fingerprint::of(&payload(&typed(input)?))
                .map_err(|error| StepError::permanent("job.payload", error))
        }));
        self
    }

    /// How steps are retried inside one run. Default: `retry::Policy::cron()`.
    pub const fn retry(mut self, policy: retry::Policy) -> Self {
        self.job.retry = policy;
        self
    }

    /// How long a run's lease is; it is renewed at a third. Default: 30 s, at least 100 ms, at most 30 days.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.job.lease = lease;
        self
    }

    /// How often a run is tried as a whole before a failure for now becomes one for good. Default: 5, at least 1.
    pub const fn attempts_max(mut self, attempts: u32) -> Self {
        self.job.attempts_max = attempts;
        self
    }

    /// How many due, deferred and orphaned runs of this job one call works off before its own input. Default: 10.
    pub const fn backlog_max(mut self, runs: u32) -> Self {
        self.job.backlog_max = runs;
        self
    }

    /// How many processes in a row may die while they work on a run, without getting any further in between, before a
    /// person is asked whether the run is what kills them. Default: 3, at least 1.
    pub const fn crashes_max(mut self, deaths: u32) -> Self {
        self.job.crashes_max = deaths;
        self
    }

    /// How long one call may take; half of it may go into the backlog. Default: no limit. Work that has begun is not
    /// cut: the time-outs of its steps are for that.
    pub const fn time_max(mut self, limit: Duration) -> Self {
        self.job.time_max = Some(limit);
        self
    }

    /// The version of the code, kept with each run that it works on.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.job.version = Some(version.into());
        self
    }

    /// Lets in only what `contract` accepts: bad input is refused with every violation before anything is claimed or
    /// spent. The run stores the input as the contract normalises it, with the schema's version; a worker claims only
    /// versions that its own contract knows, so a newer input stays queued for a newer worker, and an older one is
    /// upgraded when it is worked on.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use unattended::contract::{Contract, Schema};
    /// use unattended::{effect::Effect, job::Job, pipeline::Step};
    ///
    /// #[derive(Debug, Deserialize, Serialize)]
    /// struct Invoice { number: u64, cents: u64 }
    ///
    /// let schema = Schema::object()
    ///     .required("number", Schema::integer().within(1..))
    ///     .required("cents", Schema::integer().within(1..=100_000));
    /// let contract = Contract::<Invoice>::new("invoice", 1).schema(schema).build()?;
    /// let job = Job::new("invoice")
    ///     .contract(&contract)
    ///     .step(Step::blocking("send", Effect::Idempotent, |cx| Ok(cx.input::<Invoice>()?.number)))
    ///     .build()?;
    /// # let store: std::sync::Arc<dyn unattended::store::Store> = std::sync::Arc::new(unattended::memory::Memory::new());
    /// let refused = job.run_once_blocking(&store, &Invoice { number: 0, cents: 0 }).unwrap_err();
    /// assert!(refused.to_string().contains("/number") && refused.to_string().contains("/cents"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contract<T: DeserializeOwned + 'static>(mut self, contract: &Contract<T>) -> Self {
        self.job.intake = Some(contract.erased());
        self
    }

    /// Runs whose inputs give the same text are never worked on at the same time, in whatever process: a queue of its own
    /// for each account, for each file. Others wait for their turn.
    pub fn serial_by<I, F>(mut self, key: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(&I) -> String + Send + Sync + 'static,
    {
        self.job.serial = Some(Arc::new(move |input| Ok(key(&typed(input)?))));
        self
    }

    /// What it is worth to have the work done, over time. Runs are claimed by worth for each second of work, the most
    /// valuable first; [`Terms::value`](crate::act::job::Terms::value) says otherwise for one of them. Default: 1, for ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unattended::{effect::Effect, job::Job, pipeline::Step, queue::Value};
    ///
    /// let value = Value::half_life(10.0, Duration::from_secs(60))?;
    /// let alert = Job::new("alert")
    ///     .value(move |_: &String| value.clone())
    ///     .estimate(Duration::from_secs(2))
    ///     .within(Duration::from_secs(600))
    ///     .step(Step::blocking("send", Effect::Idempotent, |cx| cx.input::<String>()))
    ///     .build()?;
    /// # drop(alert);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value<I, F>(mut self, value: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(&I) -> Value + Send + Sync + 'static,
    {
        self.job.value = Some(Arc::new(move |input| Ok(value(&typed(input)?))));
        self
    }

    /// How long the work takes. What cannot be done in time is not begun, where a run's time is bounded. Above zero, at
    /// most 366 days. Default: unknown, and ranked as a second.
    pub const fn estimate(mut self, estimate: Duration) -> Self {
        self.job.estimate = Some(estimate);
        self
    }

    /// How long after its submission, or after it became due, the work is worth beginning; then it expires. Default: for
    /// ever. [`Terms::expires_at`](crate::act::job::Terms::expires_at) says otherwise for one run.
    pub const fn within(mut self, within: Duration) -> Self {
        self.job.within = Some(within);
        self
    }

    /// Begins a run only when `job`'s work of the same occasion, under the key that is made from this job's input, is done. Until
    /// then it is looked at each minute, and no attempt is used up; where that work has failed for good, so has this.
    /// At most 8.
    ///
    /// ```
    /// use unattended::{canonical::Key, effect::Effect, job::Job, pipeline::Step};
    ///
    /// let report = Job::new("report")
    ///     .key(|day: &String| Key::new("books", "report", day))
    ///     .after("import", |day: &String| Key::new("books", "import", day))
    ///     .step(Step::blocking("write", Effect::Pure, |cx| cx.input::<String>()))
    ///     .build()?;
    /// # drop(report);
    /// # Ok::<(), unattended::job::BuildError>(())
    /// ```
    pub fn after<I, F>(mut self, job: impl Into<String>, key: F) -> Self
    where
        I: DeserializeOwned,
        F: Fn(&I) -> Result<Key, InvalidKey> + Send + Sync + 'static,
    {
        let key: FromInput<Key> = Arc::new(move |input| {
            key(&typed(input)?).map_err(|error| StepError::permanent("job.after", error))
        });
        self.job.after.push(After { job: job.into(), key });
        self
    }

    /// Begins each step only while `window` is open, as [`Step::during`] does for one; a step with a window of its own begins
    /// while both are.
    pub fn during(mut self, window: Window) -> Self {
        self.job.during = Some(window);
        self
    }

    /// Asks before each step whether it may begin: `Err` puts the run down until then, with that reason and without an attempt
    /// used up. It is asked where blocking does no harm, and should answer within seconds. At most 8; a step is begun when
    /// none objects. A run whose time is over meanwhile expires with what it waited for.
    ///
    /// ```
    /// use std::time::Duration;
    /// use unattended::effect::Effect;
    /// use unattended::job::Job;
    /// use unattended::pipeline::Step;
    /// use unattended::retry::HandedOver;
    /// use unattended::time::later;
    ///
    /// let mounted = |now: unattended::time::Now| match std::path::Path::new("/").exists() {
    ///     true => Ok(()),
    ///     false => Err(HandedOver::new("disk.missing", "the disk is not there", later(now.wall, Duration::from_secs(60)))),
    /// };
    /// let job = Job::new("index")
    ///     .ready_when(mounted)
    ///     .step(Step::blocking("read", Effect::Pure, |cx| cx.input::<String>()))
    ///     .build()?;
    /// # drop(job);
    /// # Ok::<(), unattended::job::BuildError>(())
    /// ```
    pub fn ready_when(
        mut self,
        ready: impl Fn(Now) -> Result<(), HandedOver> + Send + Sync + 'static,
    ) -> Self {
        self.job.ready.push(Arc::new(ready));
        self
    }

    /// Begins each step only on a machine on which `gate` is open.
    pub fn gate(self, gate: &Gate) -> Self {
        let gate = gate.clone();
        self.ready_when(move |now| gate.ready(now))
    }

    /// Begins each step only while what a supervisor keeps alive is up; meanwhile the run is put down with the reason for which
    /// that is down.
    #[cfg(all(feature = "process", unix))]
    pub fn needs(self, health: &Health) -> Self {
        let health = health.clone();
        self.ready_when(move |now| health.ready(now))
    }

    /// Works on one of its runs at a time on this machine, in whatever process: whoever works on one holds the kernel's lock on the
    /// file at `path`, and whoever finds it held puts its run down for 10 s, with who holds it. The lock is free as soon
    /// as its process has ended. For several machines there is [`serial_by`](Self::serial_by).
    pub fn lock(mut self, path: impl Into<PathBuf>) -> Self {
        self.job.only = Some(Only { path: path.into() });
        self
    }

    /// Notes how its runs end in `statistics`, with a trend each for failures, retries, dead letters and durations. A run that was
    /// handed over to a later time has not failed, and one that was cancelled, skipped or has expired does not count.
    /// [`run_once`](Job::run_once_blocking) writes them at its end, a worker now and then and at its end.
    pub fn statistics(mut self, statistics: &Statistics) -> Self {
        self.job.statistics = Some(statistics.clone());
        self
    }

    /// Beats by `pulse` as its runs begin, go on, and end: a monitor misses the job when none has ended well for too long. A run that is
    /// put down until later is no failure and no success. The beats are written by [`run_once`](Job::run_once_blocking) as a run begins
    /// and at the end, by a worker each [`sweep_every`](crate::act::worker::Builder::sweep_every) and at its end.
    pub fn pulse(mut self, pulse: Pulse) -> Self {
        self.job.pulse = Some(pulse);
        self
    }

    /// Raises its runs that fail for good or ask a person, and says when it succeeds again; a page is sent at once where `alerts` has
    /// sinks. Whatever fails of that fails no run: [`take_in_runs`](Alerts::take_in_runs) finds later what was not raised.
    pub fn alerts(mut self, alerts: &Alerts) -> Self {
        self.job.alerts = Some(alerts.clone());
        self
    }

    /// The application's configuration: logged once in a process, and kept with each run that is submitted, both without
    /// its secrets, which go by the names of fields ([`redact::Names`](crate::base::redact::Names)); a
    /// [`Secret`](crate::base::secret::Secret) cannot be in it at all. Where it has more than 2 KiB its fingerprint is kept
    /// with the run, and itself once in the store, in the snapshot `config/FINGERPRINT`.
    ///
    /// ```
    /// use unattended::{effect::Effect, job::Job, pipeline::Step};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Config { folder: &'static str, api_token: &'static str }
    ///
    /// let job = Job::new("fetch")
    ///     .config(&Config { folder: "/srv", api_token: "s3cr3t" })
    ///     .step(Step::blocking("get", Effect::Pure, |cx| cx.input::<String>()))
    ///     .build()?;
    /// # let store: std::sync::Arc<dyn unattended::store::Store> = std::sync::Arc::new(unattended::memory::Memory::new());
    /// let run = job.run_once_blocking(&store, "a")?.run.unwrap();
    /// assert_eq!(run.body.config.unwrap().get(), r#"{"folder":"/srv","api_token":"[redacted]"}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn config<C: Serialize + ?Sized>(mut self, config: &C) -> Self {
        self.config = Some(Config::of(config));
        self
    }

    /// Is told the name of every point between two writes as it is reached. For tests that kill the process there.
    pub fn edges(mut self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.job.edges = Some(Arc::new(hook));
        self
    }

    /// The job.
    ///
    /// # Errors
    /// [`BuildError`] with the field, what was given and what is allowed.
    pub fn build(self) -> Result<Job, BuildError> {
        let Self { mut job, steps, config } = self;
        named("job.name", &job.name)?;
        job.config = config
            .transpose()
            .map_err(|given| invalid("config", given, "what can be written as JSON of at most 256 KiB"))?;
        if steps.is_empty() || steps.len() > STEPS_MAX {
            return Err(invalid("steps", steps.len(), format!("1 to {STEPS_MAX}")));
        }
        for (index, step) in steps.iter().enumerate() {
            named("step.name", &step.name)?;
            if steps[..index].iter().any(|other| other.name == step.name) {
                return Err(invalid("step.name", &step.name, "a name once in a job"));
            }
            if step.effect == Effect::Verifiable && step.guard.is_none() {
                return Err(invalid(
                    "step.guard",
                    "none",
                    format!("a guard, as step {} is verifiable", step.name),
                ));
            }
            if step.undo.as_ref().is_some_and(|undo| undo.effect == Effect::Verifiable) {
                let allowed =
                    format!("pure, idempotent or unsafe, as the undoing of step {} has no guard", step.name);
                return Err(invalid("step.undo", "verifiable", allowed));
            }
            if step.known_good && step.effect != Effect::Pure {
                let allowed = format!("with a pure step; step {} is {}", step.name, step.effect);
                return Err(invalid("step.or_last_known_good", "set", allowed));
            }
            if step.timeout.is_some_and(|limit| limit.is_zero()) {
                return Err(invalid("step.timeout", "0 s", "more than 0 s"));
            }
            let mut windows = step.during.iter().chain(&job.during);
            if step.timeout.is_none() && windows.any(Window::must_finish_inside) {
                let allowed = format!("a time-out, as step {} must finish inside its window", step.name);
                return Err(invalid("step.timeout", "none", allowed));
            }
            if let Some(policy) = &step.retry {
                policy.check().map_err(|source| BuildError::Retry { of: step.name.clone(), source })?;
            }
        }
        job.retry.check().map_err(|source| BuildError::Retry { of: job.name.clone(), source })?;
        if job.lease < LEASE_MIN || job.lease > LEASE_MAX {
            return Err(invalid("lease", format!("{:?}", job.lease), "100 ms to 30 days"));
        }
        if job.after.len() > AFTER_MAX {
            return Err(invalid("after", job.after.len(), format!("at most {AFTER_MAX}")));
        }
        for (field, ready) in iter::once(("ready_when", &job.ready))
            .chain(steps.iter().map(|step| ("step.ready_when", &step.ready)))
        {
            if ready.len() > READY_MAX {
                return Err(invalid(field, ready.len(), format!("at most {READY_MAX}")));
            }
        }
        for after in &job.after {
            named("after.job", &after.job)?;
        }
        if let Some(estimate) = job.estimate
            && (estimate.is_zero() || estimate > ESTIMATE_MAX)
        {
            return Err(invalid("estimate", format!("{estimate:?}"), "more than 0 s, at most 366 days"));
        }
        if let (Some(within), estimate) = (job.within, job.estimate.unwrap_or_default())
            && (within.is_zero() || within < estimate)
        {
            let allowed = format!("more than 0 s, and not below the estimate of {estimate:?}");
            return Err(invalid("within", format!("{within:?}"), allowed));
        }
        if job.attempts_max == 0 {
            return Err(invalid("attempts_max", 0, "at least 1"));
        }
        if job.crashes_max == 0 {
            return Err(invalid("crashes_max", 0, "at least 1"));
        }
        if steps.iter().filter(|step| step.effect == Effect::Unsafe).count() > 1 {
            let why = "it has more than one unsafe step: a person will be asked about each; split it";
            runlog::doubtful(&job.name, "job.unsafe_steps", why);
        }
        Ok(Job { steps: steps.into(), ..job })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.job.name)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// The job could not work as it was put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A field is outside its bounds.
    #[error("{field} is {given}; allowed is {allowed}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was given.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// A retry policy is outside its bounds.
    #[error("the retry policy of {of}")]
    Retry {
        /// The job or step.
        of: String,
        /// What is wrong with it.
        #[source]
        source: retry::Error,
    },
}

fn invalid(field: &'static str, given: impl ToString, allowed: impl ToString) -> BuildError {
    BuildError::Invalid { field, given: given.to_string(), allowed: allowed.to_string() }
}

/// Names stand in stored records, events and file names of operators' scripts.
fn named(field: &'static str, name: &str) -> Result<(), BuildError> {
    let fits = (1..=NAME_MAX).contains(&name.len());
    if fits && !name.chars().any(|c| c.is_control() || c.is_whitespace() || c == '~' || c == '@') {
        return Ok(());
    }
    Err(invalid(
        field,
        format!("{name:?}"),
        format!("1 to {NAME_MAX} bytes without white space, control characters, ~ and @"),
    ))
}

fn typed<I: DeserializeOwned>(input: &Json) -> Result<I, StepError> {
    serde_json::from_str(input.get()).map_err(|error| {
        StepError::permanent("job.input", format!("the input is not what the job takes: {error}"))
    })
}
