//! What is to be run, and within which bounds.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::act::command::Codes;
use crate::base::time::Timestamp;

/// How long a command may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long lies between SIGTERM and SIGKILL unless told otherwise.
const GRACE: Duration = Duration::from_secs(10);
/// How long pipes that somebody still holds are waited for unless told otherwise.
const DRAIN: Duration = Duration::from_secs(2);
/// How many bytes of each stream are kept unless told otherwise.
const OUTPUT_MAX: usize = 64 * 1024;

/// A program with its arguments, and the bounds within which it runs. Cheap to clone but for its arguments.
///
/// Nothing goes through a shell. What it inherits is the environment, unless [`env_clear`](Self::env_clear) says no, and the folder.
#[derive(Clone)]
#[must_use = "nothing runs until it is run or started"]
pub struct Command {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) envs: Vec<(OsString, Option<OsString>)>,
    pub(super) env_clear: bool,
    pub(super) dir: Option<PathBuf>,
    pub(super) stdin: Stdin,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) grace: Duration,
    pub(super) drain: Duration,
    pub(super) output_max: usize,
    pub(super) stop_after: Option<u64>,
    pub(in crate::act) on_output: Option<Arc<OnOutput>>,
    pub(super) codes: Codes,
    pub(super) contain: Contain,
    pub(super) escape_allowed: bool,
    pub(super) recorded: Option<PathBuf>,
}

pub(in crate::act) type OnOutput = dyn Fn(Stream, &[u8]) + Send + Sync;

/// What a command reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Closed,
    /// These bytes, then the end. They are written as the program reads them; one that does not is no failure.
    Bytes(Vec<u8>),
    /// What this program reads. From a terminal nothing can be read, as the command is not in its foreground group: it is
    /// stopped by SIGTTIN when it tries, until its time is up.
    Inherit,
}

/// One of a command's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far a command is reached when it is ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contain {
    /// Its process group. What leaves it (`setsid`, `daemon(3)`) is reported, not ended.
    #[default]
    Group,
    /// And what has left its group, as far as it carries the command's mark in its environment. This program becomes a
    /// subreaper (`PR_SET_CHILD_SUBREAPER`), from now on and for all its threads: what its children leave behind becomes its own child, and
    /// what belongs to the command is ended and reaped. What clears its environment, or runs as another user, is not
    /// found. One of them that ends by itself, unseen, stays a zombie until this program ends; those that were seen are reaped
    /// when next a command ends. Linux; elsewhere the same as `Group`.
    Subreaper,
    /// All of it, without exception: a control group is made for it below this one, which must be of version 2, exist and be
    /// delegated to this program (systemd: `Delegate=yes`), and ended by `cgroup.kill` (Linux 5.14). Elsewhere than on Linux it is refused.
    Cgroup(PathBuf),
}

impl Command {
    /// A command that runs `program`: a path, or a name that is looked for in `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            env_clear: false,
            dir: None,
            stdin: Stdin::Closed,
            timeout: Some(TIMEOUT),
            deadline: None,
            grace: GRACE,
            drain: DRAIN,
            output_max: OUTPUT_MAX,
            stop_after: None,
            on_output: None,
            codes: Codes::sysexits(),
            contain: Contain::Group,
            escape_allowed: false,
            recorded: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable in its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), Some(value.into())));
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), None));
        self
    }

    /// Gives it no variable but those that are set after this, and this crate's own.
    pub fn env_clear(mut self) -> Self {
        self.envs.clear();
        self.env_clear = true;
        self
    }

    /// The folder in which it runs; default that of this program. A program with a relative path may be looked for there or here, so
    /// give an absolute one.
    pub fn dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.dir = Some(folder.into());
        self
    }

    /// What it reads; default nothing.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// How long it may take; default 60 s. Then it is ended: SIGTERM, the grace, SIGKILL, the drain. Zero is refused.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// It may take as long as it likes, but for a [deadline](Self::deadline).
    pub const fn unbounded(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// The instant by which it is ended, if that comes before its time-out. One that has passed is
    /// [`Error::DeadlinePassed`](super::Error::DeadlinePassed), and nothing is started. What is left is measured once, at the start: a
    /// wall clock that steps afterwards changes nothing.
    pub const fn deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long lies between SIGTERM and SIGKILL; default 10 s.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long is waited at most, once the program has ended or was killed, for those who still hold its pipes or run in its group;
    /// default 2 s.
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// How many bytes of each stream are kept at most: one half from its beginning, the other from its end. Default 64 KiB.
    pub const fn output_max(mut self, bytes: usize) -> Self {
        self.output_max = bytes;
        self
    }

    /// How many bytes it may write in all, to both streams together; default as many as it likes, as they are not kept. A program that writes more is
    /// ended like one whose time is up. Zero is refused.
    pub const fn stop_after(mut self, bytes: u64) -> Self {
        self.stop_after = Some(bytes);
        self
    }

    /// Is called with what the program writes, as it comes, in pieces of at most 64 KiB that end anywhere. It is called on the thread that waits;
    /// the program's pipes are not read meanwhile, and its time goes on.
    pub fn on_output(mut self, hear: impl Fn(Stream, &[u8]) + Send + Sync + 'static) -> Self {
        self.on_output = Some(Arc::new(hear));
        self
    }

    /// What its exit codes mean; default [`Codes::sysexits`].
    pub fn codes(mut self, codes: Codes) -> Self {
        self.codes = codes;
        self
    }

    /// How far it is reached when it is ended; default its process group.
    pub fn contain(mut self, contain: Contain) -> Self {
        self.contain = contain;
        self
    }

    /// It may leave processes behind that went out of its group, such as a program that starts a daemon: they are in the outcome, and
    /// no error. An output that such a process holds open is complete as far as the program itself is concerned.
    pub const fn escape_allowed(mut self) -> Self {
        self.escape_allowed = true;
        self
    }

    /// Records in the file `path` what runs, before it runs: its process id, its start time, the boot, its arguments. Where this
    /// program dies and is started again, the next start with the same path finds the very process that still runs, and is
    /// [`Error::Busy`](super::Error::Busy) instead of running it twice. The file is removed when the command has ended.
    ///
    /// The program is started by `/bin/sh`, which waits for the record before it becomes the program, as the same process. Where this program
    /// dies between, nothing has run. Variables whose names are none to a shell may be lost on the way, and
    /// [`Stdin::Inherit`] is refused. Beside the record stands `PATH.lock`, which stays. The arguments are in the record, which nobody but its
    /// owner may read. Linux.
    #[cfg(feature = "store")]
    pub fn recorded(mut self, path: impl Into<PathBuf>) -> Self {
        self.recorded = Some(path.into());
        self
    }

    /// The same without any bound in time: what keeps it running decides when it ends.
    pub(in crate::act) fn endless(mut self) -> Self {
        self.deadline = None;
        self.unbounded()
    }

    /// The same, with `until` as its deadline if that comes before the one that it has.
    #[cfg(feature = "store")]
    pub(in crate::act) fn deadline_by(self, until: Timestamp) -> Self {
        let deadline = self.deadline.map_or(until, |deadline| deadline.min(until));
        self.deadline(deadline)
    }

    /// The same, over for good within `left`: at most a quarter of it is the grace, a tenth the drain, and a twentieth, or 1 s, is for
    /// what lies between them.
    #[cfg(feature = "store")]
    pub(in crate::act) fn within(mut self, left: Duration) -> Self {
        let left = left.saturating_sub((left / 20).min(Duration::from_secs(1)));
        self.grace = self.grace.min(left / 4);
        self.drain = self.drain.min(left / 10);
        let limit = left.saturating_sub(self.grace).saturating_sub(self.drain).max(Duration::from_millis(1));
        self.timeout = Some(self.timeout.map_or(limit, |own| own.min(limit)));
        self
    }

    /// How long lies between SIGTERM and SIGKILL.
    #[cfg(feature = "store")]
    pub(in crate::act) const fn grace_of(&self) -> Duration {
        self.grace
    }

    /// The program, for people.
    pub(super) fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// The value that a variable will have, if the command itself says so.
    pub(super) fn env_of(&self, name: &str) -> Option<Option<&OsStr>> {
        let said = self.envs.iter().rev().find(|(known, _)| known == name);
        said.map(|(_, value)| value.as_deref()).or(if self.env_clear { Some(None) } else { None })
    }
}

impl fmt::Debug for Command {
    /// The program and the bounds. Arguments and values of variables may be secrets, and are only counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("dir", &self.dir)
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("contain", &self.contain)
            .finish_non_exhaustive()
    }
}
