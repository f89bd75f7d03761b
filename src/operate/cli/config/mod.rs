//! What the operator has written down about jobs, and `config show`.
//!
//! ```toml
//! [tick]
//! every = "1m"                    # how often `tick` is run
//!
//! [alerts]
//! command = ["/usr/local/bin/page"]
//! file = "/var/log/pages.jsonl"
//! webhook = "https://example.org/hook"
//! limit = "20/1h"
//! again_after = "1h"
//! again_max = "24h"
//! healthy_for = "15m"
//!
//! [metrics]
//! file = "/var/lib/node_exporter/unattended.prom"
//!
//! [jobs.backup]
//! schedule = "30 2 * * *"         # or: every = "24h"
//! tz = "Europe/Paris"
//! effect = "idempotent"
//! dependencies = ["s3"]
//! alert = "trend"                 # or: first, never
//! owner = "ada"
//! runbook = "https://example.org/backup"
//! retention = "30d"
//! ```

mod read;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) use show::show;

use crate::act::monitor::{self, Monitor};
use crate::act::notify::{self, About};
use crate::base::secret::Secret;
use crate::base::text;
use crate::base::zone::Zone;
use crate::decide::alert::{self, Rule};
use crate::decide::heartbeat::Policy;
use crate::decide::schedule::Schedule;
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::operate::cli::session::Session;
use crate::remember::store::Store;

/// The monitor of everything that the tool wraps.
pub(super) const MONITOR: &str = "unattended";
/// Where it is unless `--config` names another file.
const DEFAULT: &str = "/etc/unattended/jobs.toml";
/// How often `tick` is run, unless it is written down.
const TICK: Duration = Duration::from_secs(60);

/// What is written down.
#[derive(Debug)]
pub(super) struct Config {
    /// Where it was read; none if it was not.
    pub(super) path: Option<PathBuf>,
    /// How often `tick` is run.
    pub(super) tick: Duration,
    pub(super) alerts: Alerts,
    /// Where the numbers for Prometheus go at each `tick`.
    pub(super) metrics: Option<PathBuf>,
    pub(super) jobs: BTreeMap<String, Job>,
}

/// Who is told, and how often.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    /// The program that pages, and what it is given.
    pub(super) command: Vec<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) webhook: Option<Secret<String>>,
    /// At most so many pages in so long.
    pub(super) limit: Option<(u32, Duration)>,
    pub(super) again_after: Option<Duration>,
    pub(super) again_max: Option<Duration>,
    pub(super) healthy_for: Option<Duration>,
}

/// What is written down about a job.
#[derive(Debug, Default)]
pub(super) struct Job {
    pub(super) expected: Option<Expected>,
    /// As `exec --effect` takes it.
    pub(super) effect: Option<String>,
    pub(super) dependencies: Vec<String>,
    pub(super) alert: Option<Rule>,
    pub(super) owner: Option<String>,
    pub(super) runbook: Option<String>,
    /// How long its runs are kept after they ended.
    pub(super) retention: Option<Duration>,
}

/// How often something is expected, as it is typed.
pub(super) fn interval(given: &str) -> Result<Duration, String> {
    let every = text::duration(given).map_err(|error| error.to_string())?;
    if (read::EVERY_MIN..=read::EVERY_MAX).contains(&every) {
        return Ok(every);
    }
    let [least, most] = [read::EVERY_MIN, read::EVERY_MAX].map(text::exact);
    Err(format!("allowed is {least} to {most}"))
}

/// When a job is expected to succeed.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Every(Duration),
    Cron { expression: String, zone: Zone, schedule: Schedule },
}

impl Default for Config {
    fn default() -> Self {
        let (alerts, jobs) = (Alerts::default(), BTreeMap::new());
        Self { path: None, tick: TICK, alerts, metrics: None, jobs }
    }
}

impl Config {
    /// What is written down about a job.
    pub(super) fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.get(name)
    }

    /// The monitor of these jobs.
    pub(super) fn monitor(&self, store: Arc<dyn Store>) -> Result<Monitor, Failure> {
        self.monitor_of(store, None)
    }

    /// The alerts of these jobs, sent as it is written down. Where nothing is, they are kept for whoever has somewhere to send them.
    pub(super) fn alerts(
        &self,
        store: Arc<dyn Store>,
        session: &Session<'_, '_>,
    ) -> Result<notify::Alerts, Failure> {
        let Alerts { limit, again_after, again_max, healthy_for, .. } = &self.alerts;
        let invalid = |error: &dyn std::error::Error| {
            let path = self.path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
            Failure::new(Exit::Config, "config.invalid", format!("{path}{error}"))
        };
        let mut policy = alert::Policy::builder();
        if let Some((pages, per)) = limit {
            policy = policy.limit(*pages, *per);
        }
        policy = again_after.map_or(policy, |after| policy.again_after(after));
        policy = again_max.map_or(policy, |most| policy.again_max(most));
        policy = healthy_for.map_or(policy, |span| policy.healthy_for(span));
        let policy = policy.build().map_err(|error| invalid(&error))?;
        let mut builder = notify::Alerts::new(store).policy(policy).program(&session.program());
        if let Some((program, args)) = self.alerts.command.split_first() {
            builder = builder.sink("command", notify::Command::new(program, args));
        }
        if let Some(path) = &self.alerts.file {
            builder = builder.sink("file", notify::File::new(path));
        }
        if let Some(url) = &self.alerts.webhook {
            builder = with_webhook(builder, url).map_err(|error| invalid(&error))?;
        }
        for (name, job) in &self.jobs {
            let rule = job.alert.unwrap_or_default();
            let (owner, runbook) = (job.owner.clone(), job.runbook.clone());
            builder = builder.job(name, About { rule, owner, runbook });
        }
        builder.build().map_err(|error| invalid(&error))
    }

    /// The same, which declares one more job, or one job by something else than what is written down.
    pub(super) fn monitor_of(
        &self,
        store: Arc<dyn Store>,
        one: Option<(&str, Expected)>,
    ) -> Result<Monitor, Failure> {
        let mut builder = Monitor::new(store, MONITOR).tick(self.tick).adopt();
        let written = self.jobs.iter().filter_map(|(name, job)| Some((name.as_str(), job.expected.clone()?)));
        let other = |name: &str| one.as_ref().is_none_or(|(one, _)| *one != name);
        for (name, expected) in written.filter(|(name, _)| other(name)).chain(one.clone()) {
            builder = expected.declared(builder, name);
        }
        builder.build().map_err(|error| Failure::new(Exit::Usage, "usage", chain(&error)))
    }
}

#[cfg(feature = "webhook")]
#[allow(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn with_webhook(builder: notify::Builder, url: &Secret<String>) -> Result<notify::Builder, NoWebhook> {
    Ok(builder.sink("webhook", notify::Webhook::new(url.expose().clone())))
}

#[cfg(not(feature = "webhook"))]
fn with_webhook(_builder: notify::Builder, _url: &Secret<String>) -> Result<notify::Builder, NoWebhook> {
    Err(NoWebhook)
}

/// Built without it.
#[derive(Debug, thiserror::Error)]
#[error("alerts.webhook is given, and this program was built without the feature `webhook`")]
struct NoWebhook;

impl Expected {
    fn declared(self, builder: monitor::Builder, name: &str) -> monitor::Builder {
        match self {
            // Of those with short intervals the grace is as short.
            Self::Every(every) if every < TICK => builder.expect(name, Policy::every(every).grace(every)),
            Self::Every(every) => builder.expect(name, Policy::every(every)),
            Self::Cron { schedule, .. } => builder.expect_schedule(name, schedule, Policy::scheduled()),
        }
    }
}

impl Session<'_, '_> {
    /// What is written down; none where no file was named and there is none in the usual place. It is read once.
    pub(super) fn config(&self) -> Result<Option<Arc<Config>>, Stop> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let given = self.global.config.as_deref();
        let read = read::file(given.unwrap_or_else(|| Path::new(DEFAULT)), given.is_some())?;
        Ok(self.config.get_or_init(|| read.map(Arc::new)).clone())
    }

    /// The same, with nothing declared where nothing is written down.
    pub(super) fn config_or_none(&self) -> Result<Arc<Config>, Stop> {
        Ok(self.config()?.unwrap_or_default())
    }
}
