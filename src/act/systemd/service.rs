//! A service, described.

use std::time::Duration;

use crate::act::systemd::error::Error;
use crate::act::systemd::finding::Finding;
use crate::act::systemd::hardening::Hardening;
use crate::act::systemd::render;
use crate::act::systemd::settings::{KillMode, Kind, OutOfMemory, Restarts};
use crate::act::systemd::timer::Timer;
use crate::act::systemd::unit::Units;

/// A service, described: [`build`](Self::build) makes the text of its units.
///
/// What is not said has a default that is safe to leave alone: a start that is bounded, an end after which everything is
/// killed, [`Hardening::Standard`], files that nobody else may read. Nothing is checked before `build`.
#[derive(Clone, Debug)]
pub struct Service {
    pub(super) name: String,
    pub(super) exec: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) documentation: Vec<String>,
    pub(super) kind: Kind,
    pub(super) user: Option<String>,
    pub(super) dynamic_user: bool,
    pub(super) environment: Vec<(String, String)>,
    pub(super) environment_files: Vec<String>,
    pub(super) working_directory: Option<String>,
    pub(super) restart: Option<Restarts>,
    pub(super) not_now: Option<u8>,
    pub(super) timeout_start: Option<Duration>,
    pub(super) timeout_stop: Option<Duration>,
    pub(super) drain: Duration,
    pub(super) watchdog: Option<Duration>,
    pub(super) kill_mode: KillMode,
    pub(super) limits: Limits,
    pub(super) folders: Folders,
    pub(super) writes: Vec<String>,
    pub(super) hardening: Hardening,
    pub(super) after: Vec<String>,
    pub(super) wants: Vec<String>,
    pub(super) on_failure: Vec<String>,
    pub(super) credentials: Vec<(String, String)>,
    pub(super) timer: Option<Timer>,
    pub(super) target_version: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) memory_max: Option<u64>,
    pub(super) memory_high: Option<u64>,
    pub(super) cpu_quota: Option<u32>,
    pub(super) tasks_max: Option<u64>,
    pub(super) io_weight: Option<u16>,
    pub(super) nice: Option<i8>,
    pub(super) out_of_memory: Option<OutOfMemory>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Folders {
    pub(super) state: Vec<String>,
    pub(super) logs: Vec<String>,
    pub(super) configuration: Vec<String>,
    pub(super) runtime: Vec<String>,
}

/// The grace of a worker, unless told otherwise.
const DRAIN: Duration = Duration::from_secs(30);

impl Service {
    /// A service of this name, without an ending, that runs a program with its arguments. The program is an absolute path; no shell
    /// is between, and each argument arrives as it is given here, `%`, `$`, quotes, spaces and all.
    #[must_use]
    pub fn new(name: impl Into<String>, exec: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.into(),
            exec: exec.into_iter().map(Into::into).collect(),
            description: None,
            documentation: Vec::new(),
            kind: Kind::default(),
            user: None,
            dynamic_user: false,
            environment: Vec::new(),
            environment_files: Vec::new(),
            working_directory: None,
            restart: None,
            not_now: Some(75),
            timeout_start: None,
            timeout_stop: None,
            drain: DRAIN,
            watchdog: None,
            kill_mode: KillMode::default(),
            limits: Limits::default(),
            folders: Folders::default(),
            writes: Vec::new(),
            hardening: Hardening::default(),
            after: Vec::new(),
            wants: Vec::new(),
            on_failure: Vec::new(),
            credentials: Vec::new(),
            timer: None,
            target_version: 252,
        }
    }

    /// What it is, for people: one line. Default: its name.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Where one reads about it, such as `https://…` or `man:mailer(8)`; may be said more than once.
    #[must_use]
    pub fn documentation(mut self, uri: impl Into<String>) -> Self {
        self.documentation.push(uri.into());
        self
    }

    /// How systemd knows that it is up. Default: [`Kind::Oneshot`].
    #[must_use]
    pub const fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The user that it runs as. Default: root.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// It runs as a user that exists while it runs. In place of [`user`](Self::user).
    #[must_use]
    pub const fn dynamic_user(mut self) -> Self {
        self.dynamic_user = true;
        self
    }

    /// A variable in its environment. Everybody on the machine can read it: a secret is a [credential](Self::credential).
    #[must_use]
    pub fn environment(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// A file of variables, which has to be there.
    #[must_use]
    pub fn environment_file(mut self, path: impl Into<String>) -> Self {
        self.environment_files.push(path.into());
        self
    }

    /// The folder in which it begins. Default: `/`.
    #[must_use]
    pub fn working_directory(mut self, path: impl Into<String>) -> Self {
        self.working_directory = Some(path.into());
        self
    }

    /// It is begun again when it fails, so and so often. Default: it is not.
    #[must_use]
    pub fn restart(mut self, restarts: &Restarts) -> Self {
        self.restart = Some(restarts.clone());
        self
    }

    /// The exit code of a oneshot that means "not now, start me again", and is no failure. Default: 75 (`EX_TEMPFAIL`); `None`: no
    /// such code.
    #[must_use]
    pub const fn not_now(mut self, exit: Option<u8>) -> Self {
        self.not_now = exit;
        self
    }

    /// How long its start may take; of a oneshot that is all of it. Default: 1 h for a oneshot, where systemd's own is for ever; 90 s
    /// for others.
    #[must_use]
    pub const fn timeout_start(mut self, limit: Duration) -> Self {
        self.timeout_start = Some(limit);
        self
    }

    /// How long its end may take before it is killed. Default: its [drain](Self::drain) and 15 s.
    #[must_use]
    pub const fn timeout_stop(mut self, limit: Duration) -> Self {
        self.timeout_stop = Some(limit);
        self
    }

    /// How long the program itself takes for its end: the grace of its worker. Default: 30 s, which is a worker's.
    #[must_use]
    pub const fn drain(mut self, grace: Duration) -> Self {
        self.drain = grace;
        self
    }

    /// How often it has to [show that it gets on](super::Watchdog); else it is killed, and begun again if it is at all.
    /// [`Kind::Notify`] only.
    #[must_use]
    pub const fn watchdog(mut self, interval: Duration) -> Self {
        self.watchdog = Some(interval);
        self
    }

    /// Who is asked to end. Default: [`KillMode::Mixed`].
    #[must_use]
    pub const fn kill_mode(mut self, mode: KillMode) -> Self {
        self.kill_mode = mode;
        self
    }

    /// The most memory of all its processes, in bytes; beyond it the kernel kills.
    #[must_use]
    pub const fn memory_max(mut self, bytes: u64) -> Self {
        self.limits.memory_max = Some(bytes);
        self
    }

    /// The memory beyond which it is slowed down, in bytes; less than [`memory_max`](Self::memory_max).
    #[must_use]
    pub const fn memory_high(mut self, bytes: u64) -> Self {
        self.limits.memory_high = Some(bytes);
        self
    }

    /// The most processor time, in percent of one processor; 1 to 100,000.
    #[must_use]
    pub const fn cpu_quota(mut self, percent: u32) -> Self {
        self.limits.cpu_quota = Some(percent);
        self
    }

    /// The most threads and processes; 1 or more.
    #[must_use]
    pub const fn tasks_max(mut self, tasks: u64) -> Self {
        self.limits.tasks_max = Some(tasks);
        self
    }

    /// Its share of the disks beside others, of which each has 100; 1 to 10,000.
    #[must_use]
    pub const fn io_weight(mut self, weight: u16) -> Self {
        self.limits.io_weight = Some(weight);
        self
    }

    /// How much it stands back for others on the processor; -20 to 19.
    #[must_use]
    pub const fn nice(mut self, nice: i8) -> Self {
        self.limits.nice = Some(nice);
        self
    }

    /// What becomes of it when one of its processes is killed for want of memory. Default: systemd's own, `stop`.
    #[must_use]
    pub const fn out_of_memory(mut self, policy: OutOfMemory) -> Self {
        self.limits.out_of_memory = Some(policy);
        self
    }

    /// A folder below `/var/lib`, which is its own: `StateDirectory=`, mode 0750.
    #[must_use]
    pub fn state(mut self, name: impl Into<String>) -> Self {
        self.folders.state.push(name.into());
        self
    }

    /// A folder below `/var/log`: `LogsDirectory=`, mode 0750.
    #[must_use]
    pub fn logs(mut self, name: impl Into<String>) -> Self {
        self.folders.logs.push(name.into());
        self
    }

    /// A folder below `/etc`, which it reads: `ConfigurationDirectory=`, mode 0750.
    #[must_use]
    pub fn configuration(mut self, name: impl Into<String>) -> Self {
        self.folders.configuration.push(name.into());
        self
    }

    /// A folder below `/run`, which is gone when it stops: `RuntimeDirectory=`, mode 0750.
    #[must_use]
    pub fn runtime(mut self, name: impl Into<String>) -> Self {
        self.folders.runtime.push(name.into());
        self
    }

    /// The folders of a [layout](https://refspecs.linuxfoundation.org/fhs.shtml) of this name: state, logs and configuration.
    #[must_use]
    pub fn directories(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.state(&*name).logs(&*name).configuration(name)
    }

    /// A path that it writes beside its own folders, whatever the hardening says: an inbox.
    #[must_use]
    pub fn writes(mut self, path: impl Into<String>) -> Self {
        self.writes.push(path.into());
        self
    }

    /// How much of the machine it can reach. Default: [`Hardening::Standard`].
    #[must_use]
    pub const fn hardening(mut self, hardening: Hardening) -> Self {
        self.hardening = hardening;
        self
    }

    /// It starts after this unit, if that is started too.
    #[must_use]
    pub fn after(mut self, unit: impl Into<String>) -> Self {
        self.after.push(unit.into());
        self
    }

    /// Its start starts this unit too.
    #[must_use]
    pub fn wants(mut self, unit: impl Into<String>) -> Self {
        self.wants.push(unit.into());
        self
    }

    /// What is started when it has failed for good; `%n` stands for its own name, as in `alert@%n.service`.
    #[must_use]
    pub fn on_failure(mut self, unit: impl Into<String>) -> Self {
        self.on_failure.push(unit.into());
        self
    }

    /// A secret that it finds under `id` in the folder `$CREDENTIALS_DIRECTORY`, read from a file that only root may read.
    #[must_use]
    pub fn credential(mut self, id: impl Into<String>, path: impl Into<String>) -> Self {
        self.credentials.push((id.into(), path.into()));
        self
    }

    /// When it is started. Without one it is started with the machine. Not for [`Kind::Notify`], which goes on.
    #[must_use]
    pub fn timer(mut self, timer: Timer) -> Self {
        self.timer = Some(timer);
        self
    }

    /// The oldest systemd that the unit is for; 252 or newer. What it does not know is not said. Default: 252.
    #[must_use]
    pub const fn target_version(mut self, version: u32) -> Self {
        self.target_version = version;
        self
    }

    /// The units.
    ///
    /// # Errors
    /// [`Error::Field`] for what cannot be said in a unit or would not do what it says: a path that is not absolute, a line break, a
    /// limit of restarts that its delay makes unreachable or that the timer's own starts reach, a watchdog of a service that never
    /// notifies.
    pub fn build(&self) -> Result<Units, Error> {
        render::units(self)
    }

    /// What is wrong with it all the same; see [`Units::lint`].
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn lint(&self) -> Result<Vec<Finding>, Error> {
        Ok(self.build()?.lint())
    }

    /// How long its end may take.
    pub(super) fn stop_limit(&self) -> Duration {
        self.timeout_stop.unwrap_or_else(|| self.drain.saturating_add(Duration::from_secs(15)))
    }

    /// How long its start may take.
    pub(super) fn start_limit(&self) -> Duration {
        self.timeout_start.unwrap_or(match self.kind {
            Kind::Oneshot => Duration::from_secs(3600),
            Kind::Notify | Kind::Exec => Duration::from_secs(90),
        })
    }
}
