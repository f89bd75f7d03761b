//! What stands around the command while it is run: its dependencies, its output, how it ended.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::act::call::ByTrait;
use crate::act::call::{Call, StoreDown};
use crate::act::command::{self, Codes, Command, KilledBy, Outcome, Status, Stdin, Stream};
use crate::act::monitor::Pulse;
use crate::act::pipeline::command::{Around, Given};
use crate::act::pipeline::{Cx, StepError, Wakeful};
use crate::base::effect::Effect;
use crate::base::fault::{Class as FaultClass, Classify, Fault};
use crate::base::handover::HandedOver;
use crate::base::time::{Clock, later};
use crate::decide::{breaker, quota, retry};
use crate::operate::cli::exec::form::{Class, Form};
use crate::operate::cli::exec::{codes, secrets};
use crate::operate::cli::shared;
use crate::remember::store::Store;

/// A command that runs for so long has its beginning told to the monitor before its end.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// How soon it is asked again whether what an earlier process has started is over.
const ALIVE_AGAIN: Duration = Duration::from_secs(2);
/// The code of that.
pub(super) const CHILD_ALIVE: &str = "exec.child_alive";
/// How long a probe of a dependency may take that has no time-out.
const PROBE: Duration = Duration::from_secs(3600);

/// Who hears what the command writes.
pub(super) type Hear = dyn Fn(Stream, &[u8]) + Send + Sync;

/// What the command is, beyond what is stored of it.
pub(super) struct Own {
    pub(super) words: Vec<std::ffi::OsString>,
    /// The question whether it is done already.
    pub(super) verify: Option<String>,
    pub(super) stdin: Option<Vec<u8>>,
    pub(super) secrets: Vec<String>,
    /// Its folder and variables are those of this process.
    pub(super) here: bool,
    pub(super) hear: Option<Arc<Hear>>,
    /// What is kept of each stream, in bytes.
    pub(super) output_max: usize,
    pub(super) pulse: Option<Pulse>,
    pub(super) clock: Wakeful,
}

/// How the command ended last, as a shell would say it.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    pub(super) code: Option<u8>,
    pub(super) outcome: Option<Arc<Outcome>>,
}

/// What lets a command through to a dependency.
type Gate = Call<ByTrait, Wakeful>;

pub(super) struct Stage {
    form: Form,
    own: Own,
    codes: Codes,
    calls: Vec<Gate>,
    starts: AtomicU32,
    /// Which attempt of the run this is.
    run_attempt: AtomicU32,
    last: Mutex<Last>,
    told: AtomicBool,
    /// Held by the command itself too, for as long as it lives.
    alive: Mutex<Option<(PathBuf, File)>>,
}

impl Stage {
    pub(super) fn new(job: &str, form: &Form, own: Own, store: &Arc<dyn Store>) -> Result<Self, String> {
        let program = own.words.first().cloned().unwrap_or_default();
        let codes = codes::with(codes::of(&program), &form.transient, &form.permanent);
        let calls = calls(job, form, store, &own.clock)?;
        Ok(Self {
            form: form.clone(),
            own,
            codes,
            calls,
            starts: AtomicU32::new(0),
            run_attempt: AtomicU32::new(1),
            last: Mutex::default(),
            told: AtomicBool::new(false),
            alive: Mutex::default(),
        })
    }

    /// How often the command was started.
    pub(super) fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    pub(super) fn last(&self) -> Last {
        self.lock_last().clone()
    }

    /// Whether what the form's question asks for is so already: exit 0 of its command.
    pub(super) fn verified(&self, cx: &Cx) -> Result<Option<Verified>, StepError> {
        let Some(question) = &self.own.verify else { return Ok(None) };
        let command = Command::new("/bin/sh").arg("-c").arg(question).env("UNATTENDED_RUN_ID", cx.run_id());
        let command = match cx.key() {
            Some(key) => command.env("UNATTENDED_KEY", key),
            None => command.env_remove("UNATTENDED_KEY"),
        };
        let command = self.surrounded(command).codes(Codes::none());
        match command.run_blocking() {
            Ok(_) => Ok(Some(Verified { verified: true })),
            Err(command::Error::NonZero { code, .. }) if !(126..=127).contains(&code) => Ok(None),
            Err(mut error) => {
                let fault = error.fault();
                if let Some(outcome) = error.outcome_mut() {
                    self.clean(outcome);
                }
                let what = format!("whether it is done already could not be asked: {error}");
                Err(StepError::new(fault, self.scrubbed(what)))
            }
        }
    }

    /// In the folder, and with the variables, that the run was made in.
    fn surrounded(&self, mut command: Command) -> Command {
        if self.own.here {
            return command;
        }
        command = command.dir(self.form.cwd.os());
        for (name, value) in &self.form.env {
            command = match value {
                Some(value) => command.env(name, value.os()),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// What an earlier process has started for this run may live on though that is gone.
    fn alone(&self, run: &str) -> Result<(), StepError> {
        if self.form.effect == Class::Pure {
            return Ok(());
        }
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.is_some() {
            return Ok(());
        }
        let folder = self.folder();
        let failed = |error: std::io::Error| {
            let what = format!("whether it still runs cannot be told, in {}: {error}", folder.display());
            StepError::transient("exec.child_unknown", what)
        };
        shared::make(&folder).map_err(failed)?;
        let path = folder.join(format!("child-{run}"));
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        if file.try_lock().is_err() {
            let why = "what an earlier process started for this run still runs";
            let until = later(self.own.clock.now().wall, ALIVE_AGAIN);
            return Err(HandedOver::new(CHILD_ALIVE, why, until).into());
        }
        // Handed on to the command: the lock is free when nobody has the file open any more.
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).map_err(|error| failed(error.into()))?;
        *alive = Some((path, file));
        Ok(())
    }

    /// Where files are that processes of this machine share.
    fn folder(&self) -> PathBuf {
        self.form.locks.as_ref().map_or_else(shared::of_user, |folder| folder.os().into())
    }

    fn lock_last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A failure that is to be tried again later, for a command that was tried often enough.
    fn bounded(&self, error: StepError) -> StepError {
        let tried = self.run_attempt.load(Ordering::Relaxed);
        if error.handed_over().is_some() || error.fault().retry_after.is_none() || tried < self.form.attempts
        {
            return error;
        }
        let mut fault = error.fault().clone();
        (fault.class, fault.retry_after) = (FaultClass::Permanent, None);
        StepError::new(fault, format!("{error} (it was put off {tried} times)"))
    }
}

/// What a guard gives.
#[derive(serde::Serialize)]
pub(super) struct Verified {
    verified: bool,
}

impl Around for Stage {
    fn command(&self, cx: &Cx) -> Result<Command, StepError> {
        self.run_attempt.store(cx.run_attempt(), Ordering::Relaxed);
        self.alone(cx.run_id())?;
        let (program, args) = self
            .own
            .words
            .split_first()
            .ok_or_else(|| StepError::permanent("exec.no_command", "it has no command"))?;
        let command = self.surrounded(Command::new(program).args(args));
        let command = command.codes(self.codes.clone()).escape_allowed().output_max(self.own.output_max);
        let command = match self.form.timeout_ms {
            Some(limit) => command.timeout(Duration::from_millis(limit)),
            None => command.unbounded(),
        };
        let command = command.stdin(match &self.own.stdin {
            Some(bytes) => Stdin::Bytes(bytes.clone()),
            // A program that is not in a terminal's foreground is stopped when it reads from that.
            None if self.own.here && !std::io::IsTerminal::is_terminal(&std::io::stdin()) => Stdin::Inherit,
            None => Stdin::Closed,
        });
        Ok(match &self.own.hear {
            Some(hear) => {
                let hear = Arc::clone(hear);
                command.on_output(move |stream, bytes| hear(stream, bytes))
            }
            None => command,
        })
    }

    fn behind(&self, attempt: &mut dyn FnMut() -> Result<Given, StepError>) -> Result<Given, StepError> {
        behind(&self.calls, attempt).map_err(|error| self.bounded(error))
    }

    fn working(&self, age: Duration) {
        if age < TOLD_AFTER || self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(pulse) = &self.own.pulse {
            // What could not be written stays noted, and is written at the end.
            drop(pulse.monitor().flush_blocking());
        }
    }

    fn reports(&self) -> Option<PathBuf> {
        let folder = self.folder();
        shared::make(&folder).ok()?;
        // In somebody else's folder it could be replaced.
        let own = rustix::process::geteuid().as_raw();
        fs::symlink_metadata(&folder).is_ok_and(|found| found.uid() == own).then_some(folder)
    }

    fn ended(&self, ended: &Result<Outcome, command::Error>) {
        let outcome = match ended {
            Ok(outcome) => Some(outcome),
            Err(error) => error.outcome(),
        };
        let code = match (outcome, ended) {
            (Some(outcome), _) => Some(code_of(outcome)),
            (None, Err(command::Error::NotFound { .. })) => Some(127),
            (None, Err(command::Error::DeadlinePassed { .. } | command::Error::Cancelled { .. })) => None,
            (None, _) => Some(126),
        };
        if code.is_some() {
            self.starts.fetch_add(1, Ordering::Relaxed);
            *self.lock_last() = Last { code, outcome: outcome.cloned().map(Arc::new) };
        }
        // Whatever it left behind in other groups does not count as the command.
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((path, _held)) = alive {
            drop(fs::remove_file(path));
        }
    }

    fn clean(&self, outcome: &mut Outcome) {
        for stream in [&mut outcome.stdout, &mut outcome.stderr] {
            secrets::cleaned(stream, &self.own.secrets);
        }
    }

    fn scrubbed(&self, text: String) -> String {
        secrets::scrubbed(text, &self.own.secrets)
    }
}

/// As a shell says it: 124 for a time-out as `timeout(1)` does, 128 + N for signal N.
fn code_of(outcome: &Outcome) -> u8 {
    if matches!(outcome.killed_by, Some(KilledBy::TimedOut { .. })) {
        return 124;
    }
    match outcome.status {
        Status::Exited(code) => u8::try_from(code & 0xff).unwrap_or(1),
        Status::Signalled { signal, .. } => u8::try_from(signal.number().saturating_add(128)).unwrap_or(255),
        Status::Unknown => 1,
    }
}

fn calls(job: &str, form: &Form, store: &Arc<dyn Store>, clock: &Wakeful) -> Result<Vec<Gate>, String> {
    let mut quota = match form.quota {
        None => None,
        Some((count, per)) => {
            let limit = quota::Quota::new(count, Duration::from_millis(per));
            Some(limit.map_err(|error| format!("--quota: {error}"))?)
        }
    };
    // A quota of a job without dependencies is kept as that of one that bears its name.
    let own = (form.deps.is_empty() && quota.is_some()).then(|| format!("job:{job}"));
    let mut calls = Vec::new();
    for name in form.deps.iter().chain(&own) {
        let call = Call::to(name.as_str()).on(clock.clone()).retry(retry::Policy::once()).budget(None);
        let call = if own.is_some() { call } else { call.breaker(breaker::Policy::cron()) };
        let probe = form.timeout_ms.map_or(PROBE, Duration::from_millis);
        let call = call.attempt_timeout(probe).effect(Effect::Idempotent).share(store, StoreDown::Local);
        let call = match quota.take() {
            Some(quota) => call.quota(quota),
            None => call,
        };
        calls.push(call.build().map_err(|error| crate::base::fault::chain(&error))?);
    }
    Ok(calls)
}

/// Makes the attempt once each dependency lets it in. What says something of them is counted there: that they ask to be left alone,
/// refuse the credential, or fail for now. Any other exit code is the command's own business.
fn behind(calls: &[Gate], attempt: &mut dyn FnMut() -> Result<Given, StepError>) -> Result<Given, StepError> {
    let Some((call, rest)) = calls.split_first() else { return attempt() };
    let mut own = None;
    let done = call.run_blocking(|_| match behind(rest, attempt) {
        Err(error) if error.handed_over().is_none() && speaks_of_others(error.fault()) => {
            let fault = error.fault().clone();
            own = Some(error);
            Err(Scored(fault))
        }
        done => Ok(done),
    });
    match (done, own) {
        (Ok(done), _) => done,
        (Err(_), Some(own)) => Err(own),
        (Err(stopped), None) => Err(StepError::stopped(stopped)),
    }
}

const fn speaks_of_others(fault: &Fault) -> bool {
    matches!(fault.class, FaultClass::RateLimited | FaultClass::Unauthorized | FaultClass::Transient)
}

/// How the attempt failed, as a dependency counts it.
#[derive(Debug, thiserror::Error)]
#[error("the command failed: {}", .0.code)]
struct Scored(Fault);

impl Classify for Scored {
    fn fault(&self) -> Fault {
        self.0.clone()
    }
}
