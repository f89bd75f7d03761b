//! A supervised process.

use std::sync::Arc;
use std::time::Duration;

use crate::act::command::{self, Child, Command, Outcome, Status, Waited};
use crate::act::supervise::liveness::{Kind, Liveness};
use crate::act::supervise::notify::Socket;
use crate::act::supervise::stop::Run;
use crate::base::fault;
use crate::base::time::Timestamp;
use crate::decide::restart::Exit;

/// How long a process that is about to end for good is waited for at once.
const AT_ONCE: Duration = Duration::ZERO;

/// A process that runs.
pub(super) struct Process {
    child: Child,
    run: Arc<Run>,
    _socket: Option<Socket>,
}

/// Why nothing runs.
pub(super) enum NotStarted {
    /// What an earlier supervisor has started still runs.
    Busy { pid: u32, since: Timestamp },
    /// It could not be started.
    Failed(String),
}

impl Process {
    pub(super) fn start(
        command: &Command,
        liveness: Option<&Liveness>,
        run: &Arc<Run>,
    ) -> Result<Self, NotStarted> {
        let mut command = command.clone().endless();
        let mut socket = None;
        match liveness.map(|liveness| &liveness.kind) {
            Some(Kind::Notify { within, .. }) => {
                let opened = Socket::open(run).map_err(|error| {
                    NotStarted::Failed(format!("no socket to hear it on: {}", fault::chain(&error)))
                })?;
                command = command
                    .env("NOTIFY_SOCKET", opened.path())
                    .env("WATCHDOG_USEC", within.as_micros().to_string())
                    // That of this very program, if it has one.
                    .env_remove("WATCHDOG_PID");
                socket = Some(opened);
            }
            Some(Kind::Progress { .. }) => {
                let (alive, hear) = (Arc::clone(run), command.on_output.clone());
                command = command.on_output(move |stream, bytes| {
                    alive.lives();
                    if let Some(hear) = &hear {
                        hear(stream, bytes);
                    }
                });
            }
            Some(Kind::Probe { .. }) | None => {}
        }
        match command.start() {
            Ok(child) => Ok(Self { child, run: Arc::clone(run), _socket: socket }),
            Err(command::Error::Busy { pid, since, .. }) => Err(NotStarted::Busy { pid, since }),
            Err(error) => Err(NotStarted::Failed(fault::chain(&error))),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until it has ended, the bell is rung, or `limit` is over.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Option<Exit> {
        match self.child.wait(limit, Some(self.run.bell.wake())) {
            Ok(Waited::Exited(outcome)) => Some(exit_of(&outcome)),
            Ok(Waited::Woken | Waited::TimedOut) => None,
            Err(error) => {
                let outcome = self.child.stop(AT_ONCE);
                let said = format!("{}\ncannot be waited for: {error}", tail_of(&outcome));
                Some(Exit::failed(said))
            }
        }
    }

    /// Ends all of it; what it wrote at last, or `None` where it goes on.
    pub(super) fn stop(&mut self, grace: Duration, mut at_once: impl FnMut() -> bool) -> Option<String> {
        self.child.terminate(grace);
        let outcome = loop {
            if at_once() {
                break self.child.stop(AT_ONCE);
            }
            match self.child.wait(None, Some(self.run.bell.wake())) {
                Ok(Waited::Exited(outcome)) => break outcome,
                Ok(Waited::Woken | Waited::TimedOut) => {}
                Err(_) => break self.child.stop(AT_ONCE),
            }
        };
        let gone = outcome.status != Status::Unknown || !exists(self.child.pid());
        gone.then(|| tail_of(&outcome))
    }

    /// How many bytes of the process itself are in memory, where that can be known.
    pub(super) fn resident(&self) -> Option<u64> {
        resident(self.child.pid())
    }
}

fn exit_of(outcome: &Outcome) -> Exit {
    let mut tail = tail_of(outcome);
    if outcome.out_of_memory {
        tail.push_str("\nthe kernel has ended it for want of memory");
    }
    let exit = match outcome.status {
        Status::Exited(code) => Exit::code(code),
        Status::Signalled { signal, .. } => Exit::signal(signal.number()),
        Status::Unknown => Exit::failed("nobody knows how it ended"),
    };
    if tail.is_empty() { exit } else { exit.stderr_tail(tail) }
}

/// What it wrote to its standard error at last.
fn tail_of(outcome: &Outcome) -> String {
    let said = &outcome.stderr;
    let end = if said.is_whole() { [&*said.head, &*said.tail].concat() } else { said.tail.clone() };
    String::from_utf8_lossy(&end).trim_end().to_owned()
}

fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// `VmRSS` of proc_pid_status(5).
#[cfg(target_os = "linux")]
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(not(target_os = "linux"))]
const fn resident(_: u32) -> Option<u64> {
    None
}
