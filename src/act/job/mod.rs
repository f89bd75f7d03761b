//! A job: named steps, a key from what the work is about, and the policies that keep it alive.
//!
//! The same job runs as a short cron process ([`Job::run_once_blocking`], [`Job::run_once`]) and under simulated time.
//! Each run is a record in a store: whatever kills the process, the next one goes on from the last checkpoint.
//!
//! ```
//! use std::sync::Arc;
//! use unattended::canonical::Key;
//! use unattended::effect::Effect;
//! use unattended::job::Job;
//! use unattended::memory::Memory;
//! use unattended::pipeline::Step;
//! use unattended::run::State;
//!
//! let job = Job::new("greet")
//!     .step(Step::blocking("compose", Effect::Pure, |cx| Ok(format!("hello {}", cx.input::<String>()?))))
//!     .step(Step::blocking("measure", Effect::Pure, |cx| Ok(cx.output::<String>("compose")?.len())))
//!     .key(|name: &String| Key::new("docs", "greeting", name))
//!     .build()?;
//!
//! let store: Arc<dyn unattended::store::Store> = Arc::new(Memory::new());
//! let first = job.run_once_blocking(&store, "ada")?;
//! assert_eq!(first.run.unwrap().state(), State::Succeeded);
//! let second = job.run_once_blocking(&store, "ada")?;
//! assert!(second.verdict.is_duplicate());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod config;
mod driver;
mod front;
mod noting;
mod once;
mod outline;
mod report;
mod submit;

use std::sync::Arc;
use std::time::Duration;

pub use build::{BuildError, Builder};
use config::Config;
pub(in crate::act) use driver::Driver;
pub use outline::{Outline, StepOutline};
pub use report::{Report, Verdict};
pub use submit::{Error, INPUT_MAX, Terms};

use crate::act::monitor::Pulse;
use crate::act::notify::Alerts;
use crate::act::pipeline::{After, Edges, NotNow, Only, Step, StepError};
use crate::act::statistics::Statistics;
use crate::base::canonical::{Fingerprint, Key};
use crate::decide::contract::Intake;
use crate::decide::queue::Value;
use crate::decide::retry;
use crate::decide::window::Window;
use crate::remember::runs::Json;

/// What a job's key and payload are made by.
type FromInput<T> = Arc<dyn Fn(&Json) -> Result<T, StepError> + Send + Sync>;

/// A job. Cheap to clone.
#[derive(Clone)]
pub struct Job {
    name: String,
    steps: Arc<[Step]>,
    key: Option<FromInput<Key>>,
    payload: Option<FromInput<Fingerprint>>,
    retry: retry::Policy,
    lease: Duration,
    attempts_max: u32,
    backlog_max: u32,
    crashes_max: u32,
    time_max: Option<Duration>,
    version: Option<String>,
    after: Vec<After>,
    intake: Option<Intake>,
    serial: Option<FromInput<String>>,
    value: Option<FromInput<Value>>,
    estimate: Option<Duration>,
    within: Option<Duration>,
    during: Option<Window>,
    edges: Option<Edges>,
    statistics: Option<Statistics>,
    ready: Vec<NotNow>,
    only: Option<Only>,
    pulse: Option<Pulse>,
    alerts: Option<Alerts>,
    config: Option<Config>,
}

impl Job {
    /// Begins a job called `name`.
    #[allow(clippy::new_ret_no_self, reason = "a job begins with its builder, as every policy here does")]
    pub fn new(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    /// Its name: the kind of its runs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same job with another hook at its edges, after its own.
    #[cfg(feature = "testing")]
    pub(crate) fn on_edges(&self, hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let own = self.edges.clone();
        let both = move |name: &str| {
            if let Some(own) = &own {
                own(name);
            }
            hook(name);
        };
        Self { edges: Some(Arc::new(both)), ..self.clone() }
    }

    /// The points between two writes at which a process that runs this job can die, in order: the names that the
    /// [`edges`](Builder::edges) hook is told. Points of a step's own ([`Cx::edge`](crate::act::pipeline::Cx::edge))
    /// are not among them.
    #[must_use]
    pub fn edge_names(&self) -> Vec<String> {
        let mut names = vec![String::from("submit:before"), String::from("submit:after")];
        for (index, step) in self.steps.iter().enumerate() {
            if step.guard.is_some() {
                names.push(format!("{}:guard", step.name));
            }
            names.push(format!("{}:begun", step.name));
            names.push(format!("{}:worked", step.name));
            if index + 1 == self.steps.len() {
                names.push(String::from("succeed:before"));
                names.push(String::from("succeed:after"));
            }
            names.push(format!("{}:saved", step.name));
        }
        names
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("steps", &self.steps)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
