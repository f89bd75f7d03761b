//! What an application says of itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::act::job::{Job, Outline};
use crate::base::effect::Effect;
use crate::operate::doctor::{Machine, Proof};
#[cfg(feature = "sqlite")]
use crate::remember::sqlite::Sqlite;
use crate::remember::store::Store;

/// An application, as far as it says what it is: what is not said is not provable, or missing. Cheap to clone.
#[derive(Clone, Default)]
pub struct Application {
    pub(super) name: String,
    pub(super) jobs: Vec<Declared>,
    pub(super) store: Option<Arc<dyn Store>>,
    #[cfg(feature = "sqlite")]
    pub(super) sqlite: Option<Arc<Sqlite>>,
    pub(super) store_missing: Option<String>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) configs: Vec<Result<Arc<str>, String>>,
    pub(super) logs: Vec<String>,
    pub(super) alerts: Vec<String>,
    pub(super) failover: Option<Duration>,
    pub(super) retention: Option<Duration>,
    pub(super) machine: Option<Machine>,
}

impl Application {
    /// An application called `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// One of its jobs.
    #[must_use]
    pub fn job(mut self, job: Declared) -> Self {
        self.jobs.push(job);
        self
    }

    /// Where its runs are.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// The same, in a file, of which more can be looked at: where it lies, whether it is whole and how it is synced.
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn sqlite(mut self, store: Arc<Sqlite>) -> Self {
        self.paths.push(store.path().to_owned());
        let any: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        self.store = Some(any);
        self.sqlite = Some(store);
        self
    }

    /// There should be a store and is none, and why.
    #[must_use]
    pub fn store_missing(mut self, why: impl Into<String>) -> Self {
        self.store_missing = Some(why.into());
        self
    }

    /// A file or folder in which it keeps its state.
    #[must_use]
    pub fn state_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Its configuration, as it is read or written down: no secret may stand in it open. It is looked at and not kept
    /// anywhere.
    #[must_use]
    pub fn config<C: Serialize + ?Sized>(mut self, config: &C) -> Self {
        let written = serde_json::to_string(config).map(Into::into).map_err(|error| error.to_string());
        self.configs.push(written);
        self
    }

    /// Where its decisions are logged, such as `JSON on stderr, to the journal`.
    #[must_use]
    pub fn logs(mut self, whereto: impl Into<String>) -> Self {
        self.logs.push(whereto.into());
        self
    }

    /// Where its alerts are sent, such as `command /usr/local/bin/page`.
    #[must_use]
    pub fn alerts(mut self, whereto: impl Into<String>) -> Self {
        self.alerts.push(whereto.into());
        self
    }

    /// How long it takes at most until the store answers again, or another takes over, when a host dies.
    #[must_use]
    pub const fn failover(mut self, failover: Duration) -> Self {
        self.failover = Some(failover);
        self
    }

    /// How long its runs are kept after they ended.
    #[must_use]
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// What is known of the machine, in place of looking at it: for tests.
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Whether it has said where its runs are.
    #[must_use]
    pub const fn has_store(&self) -> bool {
        self.store.is_some()
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the configurations: there may be a secret in them.
        f.debug_struct("Application")
            .field("name", &self.name)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// A job, and what is said of it beyond its code.
#[derive(Clone, Debug)]
pub struct Declared {
    pub(super) name: String,
    /// None for a command: its code is not known here.
    pub(super) outline: Option<Outline>,
    pub(super) effect: Option<Effect>,
    pub(super) owner: Option<String>,
    pub(super) runbook: Option<String>,
    pub(super) retention: Option<Duration>,
    pub(super) replayable: bool,
    pub(super) heartbeat: bool,
    pub(super) proof: Option<Proof>,
}

impl Declared {
    /// A job of the application's own.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        let outline = job.outline();
        let heartbeat = outline.heartbeat;
        Self { heartbeat, outline: Some(outline), ..Self::named(job.name()) }
    }

    /// A job whose code is not known here, such as a command.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            outline: None,
            effect: None,
            owner: None,
            runbook: None,
            retention: None,
            replayable: false,
            heartbeat: false,
            proof: None,
        }
    }

    /// What it does to the world, of one whose code is not known.
    #[must_use]
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Who answers for it.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// What to do when it fails: an address, or a path.
    #[must_use]
    pub fn runbook(mut self, runbook: impl Into<String>) -> Self {
        self.runbook = Some(runbook.into());
        self
    }

    /// How long its runs are kept after they ended.
    #[must_use]
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// A failed run of it can be replayed: the application's replayer, or a worker, knows it.
    #[must_use]
    pub const fn replayable(mut self) -> Self {
        self.replayable = true;
        self
    }

    /// It is missed when it has not succeeded for too long.
    #[must_use]
    pub const fn heartbeat(mut self) -> Self {
        self.heartbeat = true;
        self
    }

    /// What a test has proved of it.
    #[must_use]
    pub fn proof(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }
}
