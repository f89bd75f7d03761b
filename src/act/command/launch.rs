//! The start: the environment, the group, and what the system says when it does not come about.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::SecondsFormat;
use rustix::process::Pid;

use crate::act::command::child::{Bounds, Child};
use crate::act::command::contain::Reach;
use crate::act::command::leader::Leader;
use crate::act::command::pump::Pump;
use crate::act::command::{Command, DEADLINE_ENV, Error, MARK_ENV, Stdin};
use crate::base::time::{Clock, Now, System, between, later};

/// Waits for its first line, and then is the program: the same process, in which nothing has run if the line never comes.
const SHIM: &str = r#"IFS= read -r go && [ "$go" = go ] && exec "$@"; exit 126"#;
const GO: &[u8] = b"go\n";

impl Command {
    /// Starts it, to be waited for by [`Child::wait`]. Its time runs from here; it is ended by whoever waits for it, so wait.
    ///
    /// # Errors
    /// [`Error::Invalid`] and whatever keeps it from starting.
    pub fn start(&self) -> Result<Child, Error> {
        self.check()?;
        let now = System.now();
        let limit = self.limit(now)?;
        #[cfg(feature = "store")]
        let recording = self.recorded.as_deref().map(super::record::Recording::begin).transpose()?;
        let reach = Reach::of(&self.contain)?;
        let program = if self.is_shimmed() { self.resolve()? } else { self.program.clone() };
        let mut command = self.prepared(&program, &reach, limit.map(|limit| later(now.wall, limit)));
        let mut spawned = command.spawn().map_err(|source| self.not_started(source))?;
        let pid = i32::try_from(spawned.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| self.spawn_failed(io::Error::other("a process without a number")))?;
        // From here on dropping it kills and reaps.
        let leader = Leader::of(pid);
        let mut pump = Pump::new(spawned.stdout.take(), spawned.stderr.take(), self.output_max);
        pump.hear(self.on_output.clone());
        reach.take(&leader)?;
        #[cfg(feature = "store")]
        let record = recording.map(|recording| recording.of(&leader, self, now.wall)).transpose()?;
        if let Some(mut pipe) = spawned.stdin.take() {
            if self.is_shimmed() {
                // A pipe that nothing is in takes so much at once.
                pipe.write_all(GO).map_err(|source| self.spawn_failed(source))?;
            }
            let bytes = if let Stdin::Bytes(bytes) = &self.stdin { bytes.clone() } else { Vec::new() };
            pump.feed(pipe, bytes).map_err(|source| self.spawn_failed(source))?;
        }
        let bounds = Bounds {
            limit,
            grace: self.grace,
            drain: self.drain,
            stop_after: self.stop_after,
            begun: now.moment,
        };
        Ok(Child::new(
            self.name(),
            leader,
            reach,
            pump,
            bounds,
            #[cfg(feature = "store")]
            record,
        ))
    }

    /// How long it may take from now on.
    fn limit(&self, now: Now) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.deadline else { return Ok(self.timeout) };
        let left = between(now.wall, deadline);
        if left.is_zero() {
            return Err(Error::DeadlinePassed { deadline, now: now.wall });
        }
        Ok(Some(self.timeout.map_or(left, |limit| limit.min(left))))
    }

    fn prepared(
        &self,
        program: &OsStr,
        reach: &Reach,
        deadline: Option<crate::base::time::Timestamp>,
    ) -> std::process::Command {
        let mut command = if self.is_shimmed() {
            let mut shim = std::process::Command::new("/bin/sh");
            shim.args(["-c", SHIM, "sh"]).arg(program);
            shim
        } else {
            std::process::Command::new(program)
        };
        if self.env_clear {
            command.env_clear();
        }
        match deadline {
            Some(at) => command.env(DEADLINE_ENV, at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => command.env_remove(DEADLINE_ENV),
        };
        for (name, value) in &self.envs {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env(MARK_ENV, reach.marks());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let piped = self.is_shimmed() || matches!(self.stdin, Stdin::Bytes(_));
        let stdin = match self.stdin {
            _ if piped => Stdio::piped(),
            Stdin::Inherit => Stdio::inherit(),
            Stdin::Closed | Stdin::Bytes(_) => Stdio::null(),
        };
        // The group is set without a fork of our own, so that the start costs what it costs without it.
        command.args(&self.args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command
    }

    /// What it means that the system did not start it.
    fn not_started(&self, source: io::Error) -> Error {
        let program = self.name();
        if let Some(dir) = self.dir.as_deref().filter(|dir| !dir.is_dir()) {
            let given = dir.display().to_string();
            return Error::Invalid { field: "dir", given, allowed: "a folder that exists" };
        }
        if self.is_shimmed() {
            return self.spawn_failed(source);
        }
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotFound { program, source },
            io::ErrorKind::PermissionDenied => {
                match self.candidates().iter().find_map(|path| what_else(path)) {
                    Some(found) => Error::NotAFile { program, found },
                    None => Error::Permission { program, source },
                }
            }
            io::ErrorKind::ExecutableFileBusy => Error::BeingWritten { program, source },
            _ => Error::Spawn { program, source },
        }
    }

    fn spawn_failed(&self, source: io::Error) -> Error {
        Error::Spawn { program: self.name(), source }
    }

    /// The program that a shell is to become, looked for beforehand: what the shell says of it would be no typed error.
    fn resolve(&self) -> Result<OsString, Error> {
        let mut refused = None;
        for path in self.candidates() {
            if let Some(found) = what_else(&path) {
                refused = Some(Error::NotAFile { program: self.name(), found });
            } else if path.exists() {
                match rustix::fs::access(&path, rustix::fs::Access::EXEC_OK) {
                    Ok(()) if self.program.as_bytes().contains(&b'/') => return Ok(self.program.clone()),
                    Ok(()) => return Ok(path.into_os_string()),
                    Err(error) => {
                        refused = Some(Error::Permission { program: self.name(), source: error.into() });
                    }
                }
            }
        }
        Err(refused.unwrap_or_else(|| self.not_found()))
    }

    fn not_found(&self) -> Error {
        Error::NotFound { program: self.name(), source: io::Error::from(io::ErrorKind::NotFound) }
    }

    /// The paths that the program may be at.
    fn candidates(&self) -> Vec<PathBuf> {
        let from = |path: &Path| self.dir.as_deref().map_or_else(|| path.to_owned(), |dir| dir.join(path));
        if self.program.as_bytes().contains(&b'/') {
            return vec![from(Path::new(&self.program))];
        }
        let own = std::env::var_os("PATH");
        let path = self.env_of("PATH").map_or(own.as_deref(), |said| said);
        let path = path.unwrap_or_else(|| OsStr::new("/bin:/usr/bin"));
        std::env::split_paths(path).map(|folder| from(&folder.join(&self.program))).collect()
    }
}

/// What stands there, if it is no file.
fn what_else(path: &Path) -> Option<&'static str> {
    let found = std::fs::metadata(path).ok()?;
    match (found.is_file(), found.is_dir()) {
        (true, _) => None,
        (false, true) => Some("a folder"),
        (false, false) => Some("a FIFO, a socket or a device"),
    }
}
