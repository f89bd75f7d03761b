//! Who drives runs.

use std::sync::{Arc, OnceLock};

use crate::act::env::Env;
use crate::act::pipeline::Interrupt;
use crate::act::shutdown::Shutdown;
use crate::decide::run::State;
use crate::remember::runs::Runs;
use crate::remember::store::Store;

/// Who drives runs, and by what.
pub(in crate::act) struct Driver {
    pub(super) env: Arc<dyn Env>,
    pub(super) runs: Runs,
    pub(super) actor: String,
    pub(super) brake: Option<Shutdown>,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) begun: bool,
}

impl Driver {
    pub(in crate::act) const fn new(env: Arc<dyn Env>, runs: Runs, actor: String) -> Self {
        Self { env, runs, actor, brake: None, interrupt: None, begun: false }
    }

    /// The same, for one run in front of whoever waits for it: `interrupt` ends it; `begun` says that its first step was marked as
    /// begun in the commit that made it.
    pub(super) fn in_front(mut self, interrupt: Interrupt, begun: bool) -> Self {
        (self.interrupt, self.begun) = (Some(interrupt), begun);
        self
    }

    pub(super) const fn runs(&self) -> &Runs {
        &self.runs
    }

    pub(super) const fn is_in_front(&self) -> bool {
        self.interrupt.is_some()
    }

    pub(super) const fn env(&self) -> &Arc<dyn Env> {
        &self.env
    }

    /// The same, which puts down what it drives once `brake` is triggered.
    pub(in crate::act) fn brake(mut self, brake: Shutdown) -> Self {
        self.brake = Some(brake);
        self
    }
}

/// How a driver has left a run.
pub(in crate::act) struct Left {
    /// In which state; `None` if it was lost to somebody else.
    pub(in crate::act) state: Option<State>,
}

pub(super) fn actor(store: &Arc<dyn Store>) -> String {
    format!("worker:{}", store.owner())
}

/// This machine's name, for people who look for the host on which a run was worked on.
pub(super) fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(named_host)
}

fn named_host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| String::from("unknown"))
}
