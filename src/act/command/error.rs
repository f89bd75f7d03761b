//! Why a command gave no success.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::act::command::{Outcome, Signal};
use crate::base::fault::{Class, Classify, Fault, Reached, Severity};
use crate::base::time::Timestamp;

/// How much of the last line of stderr an error's sentence says, in characters.
const LINE_MAX: usize = 200;

/// Why a command gave no success. Where it ran, its outcome is in it, with what it wrote until then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program does not exist; or the interpreter that it names in its first line.
    #[error("no program {program}")]
    NotFound {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program may not be executed.
    #[error("the program {program} may not be executed")]
    Permission {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program is a folder, or something else that is no file.
    #[error("the program {program} is {found}, not a file")]
    NotAFile {
        /// The program.
        program: String,
        /// What it is.
        found: &'static str,
    },
    /// The program's file is open for writing (ETXTBSY): it is being installed.
    #[error("the program {program} is being written")]
    BeingWritten {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The command cannot be started as it was given.
    #[error("{field} is {given}, allowed is {allowed}")]
    Invalid {
        /// What is wrong.
        field: &'static str,
        /// How it was given.
        given: String,
        /// What would be right.
        allowed: &'static str,
    },
    /// The system did not start it, or gave no means to watch it.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The control group that was to contain it cannot be used.
    #[error("cannot {action} the control group {}", path.display())]
    Cgroup {
        /// What was tried.
        action: &'static str,
        /// The group's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its deadline had passed before it was started, so it was not.
    #[error("the deadline {deadline} had passed at {now}; the command was not started")]
    DeadlinePassed {
        /// The deadline.
        deadline: Timestamp,
        /// The wall clock.
        now: Timestamp,
    },
    /// The very process that an earlier start has recorded still runs, so nothing was started.
    #[error("process {pid} that was started at {since} still runs, says {}", path.display())]
    Busy {
        /// The process.
        pid: u32,
        /// When it was started.
        since: Timestamp,
        /// The record.
        path: PathBuf,
    },
    /// The record of what runs cannot be read or written, so nothing was started.
    #[cfg(feature = "store")]
    #[error("cannot keep the record of what runs in {}", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::remember::file::Error,
    },
    /// The record of what runs cannot be understood, so nothing was started: whether it still runs is for a person to say, who then
    /// removes the record.
    #[cfg(feature = "store")]
    #[error("cannot read the record of what runs in {}", path.display())]
    RecordUnreadable {
        /// The record.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Waiting for it failed; it was killed.
    #[error("cannot wait for {program}; it was killed")]
    Wait {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its time was up, and it was ended.
    #[error("{} did not end within {:?}{}", outcome.program, Duration::from_millis(*limit_ms), last_line(outcome))]
    Timeout {
        /// The time that it had.
        limit_ms: u64,
        /// What there is of it.
        outcome: Box<Outcome>,
    },
    /// A signal ended it.
    #[error("{} was ended by {signal}{}{}", outcome.program, of_memory(outcome), last_line(outcome))]
    Signalled {
        /// Which one.
        signal: Signal,
        /// What there is of it.
        outcome: Box<Outcome>,
    },
    /// It exited with a code that is no success.
    #[error("{} exited with code {code}{}", outcome.program, last_line(outcome))]
    NonZero {
        /// The code.
        code: i32,
        /// What the command's [`Codes`](super::Codes) say of it.
        fault: Fault,
        /// What there is of it.
        outcome: Box<Outcome>,
    },
    /// It exited with success, but somebody still held one of its pipes when the drain was over: the output may lack what they write.
    #[error("{} has ended, but a process that it started still holds its output", outcome.program)]
    PipeHeldOpen {
        /// What there is of it.
        outcome: Box<Outcome>,
    },
    /// It wrote more than it may, and was ended.
    #[error("{} wrote more than {limit} bytes", outcome.program)]
    TooMuchOutput {
        /// How many bytes it may write.
        limit: u64,
        /// What there is of it.
        outcome: Box<Outcome>,
    },
    /// It was called off, and ended if it had begun.
    #[error("the command was called off")]
    Cancelled {
        /// What there is of it, if it had begun.
        outcome: Option<Box<Outcome>>,
    },
    /// It exited with success, but has left processes running that went out of its group. See
    /// [`escape_allowed`](super::Command::escape_allowed).
    #[error("{} has ended, but {} that it started went out of its group and still run: {}", outcome.program, counted(pids.len()), listed(pids))]
    Escaped {
        /// Which ones.
        pids: Vec<u32>,
        /// What there is of it.
        outcome: Box<Outcome>,
    },
    /// Nobody knows how it ended; see [`Status::Unknown`](super::Status::Unknown).
    #[error("nobody knows how {} ended", outcome.program)]
    Lost {
        /// What there is of it.
        outcome: Box<Outcome>,
    },
}

impl Error {
    /// What there is of the command, where it has run.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Timeout { outcome, .. }
            | Self::Signalled { outcome, .. }
            | Self::NonZero { outcome, .. }
            | Self::PipeHeldOpen { outcome }
            | Self::TooMuchOutput { outcome, .. }
            | Self::Escaped { outcome, .. }
            | Self::Lost { outcome } => Some(outcome),
            Self::Cancelled { outcome } => outcome.as_deref(),
            _ => None,
        }
    }

    /// The same, to take out of it what must not be told.
    #[cfg(feature = "store")]
    pub(crate) fn outcome_mut(&mut self) -> Option<&mut Outcome> {
        match self {
            Self::Timeout { outcome, .. }
            | Self::Signalled { outcome, .. }
            | Self::NonZero { outcome, .. }
            | Self::PipeHeldOpen { outcome }
            | Self::TooMuchOutput { outcome, .. }
            | Self::Escaped { outcome, .. }
            | Self::Lost { outcome } => Some(outcome),
            Self::Cancelled { outcome } => outcome.as_deref_mut(),
            _ => None,
        }
    }
}

impl Classify for Error {
    /// | error | class | reached |
    /// |---|---|---|
    /// | not found, permission, not a file, invalid, deadline passed | permanent | no |
    /// | being written, busy | transient | no |
    /// | not started | of a format that is no program's permanent; no room for a process or a file transient; else as the system's error | no |
    /// | no record, no control group | as the system's error | no |
    /// | time-out | transient | maybe |
    /// | exit code | as the [`Codes`](super::Codes) say; 137 as SIGKILL where its control group ran out of memory | |
    /// | signal | unknown; SIGTERM, SIGINT and SIGHUP from outside transient; SIGKILL while its control group ran out of memory permanent and fatal | maybe |
    /// | too much output | permanent | yes |
    /// | called off | transient | maybe; no if it had not begun |
    /// | pipe held open, escaped, lost | unknown | yes; lost maybe |
    fn fault(&self) -> Fault {
        let before = |fault: Fault| fault.reached(Reached::No);
        match self {
            Self::NotFound { .. } => before(Fault::permanent("command.not_found")),
            Self::Permission { .. } => before(Fault::permanent("command.permission")),
            Self::NotAFile { .. } => before(Fault::permanent("command.not_a_file")),
            Self::Invalid { .. } => before(Fault::permanent("command.invalid")),
            Self::DeadlinePassed { .. } => before(Fault::permanent("command.deadline_passed")),
            Self::BeingWritten { .. } => before(Fault::transient("command.being_written")),
            Self::Busy { .. } => before(Fault::transient("command.busy")),
            Self::Spawn { source, .. } => before(of_start(source)),
            Self::Cgroup { source, .. } => before(source.fault()),
            #[cfg(feature = "store")]
            Self::Record { source, .. } => before(source.fault()),
            #[cfg(feature = "store")]
            Self::RecordUnreadable { source, .. } => before(source.fault()),
            Self::Wait { source, .. } => source.fault().reached(Reached::Maybe),
            Self::Timeout { .. } => Fault::transient("command.timed_out"),
            // As a shell says that its program was killed.
            Self::NonZero { code: 137, outcome, .. } if outcome.out_of_memory => {
                of_signal(Signal::KILL, true)
            }
            Self::NonZero { fault, .. } => fault.clone(),
            Self::Signalled { signal, outcome } => of_signal(*signal, outcome.out_of_memory),
            Self::TooMuchOutput { .. } => Fault::permanent("command.too_much_output"),
            Self::Cancelled { outcome: None } => before(Fault::transient("command.cancelled")),
            Self::Cancelled { outcome: Some(_) } => Fault::transient("command.cancelled"),
            Self::PipeHeldOpen { .. } => unknown("command.pipe_held_open", Reached::Yes),
            Self::Escaped { .. } => unknown("command.escaped", Reached::Yes),
            Self::Lost { .. } => unknown("command.lost", Reached::Maybe),
        }
    }
}

/// What the system says of a start more exactly than of anything else.
fn of_start(source: &io::Error) -> Fault {
    match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        // Too many files are open here or everywhere, or too many processes run: of others, who come to an end.
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::AGAIN) => {
            Fault::transient("command.no_room")
        }
        Some(rustix::io::Errno::NOEXEC) => Fault::permanent("command.not_executable"),
        _ => source.fault(),
    }
}

fn of_signal(signal: Signal, out_of_memory: bool) -> Fault {
    if signal == Signal::KILL && out_of_memory {
        let fault = Fault::permanent("command.out_of_memory").severity(Severity::Fatal);
        return fault.reached(Reached::Maybe);
    }
    match signal {
        // Somebody asked it to end: a shutdown, an operator.
        Signal::TERM | Signal::INT | Signal::HUP => Fault::transient("command.signalled"),
        _ => unknown("command.signalled", Reached::Maybe),
    }
}

const fn unknown(code: &'static str, reached: Reached) -> Fault {
    Fault::new(Class::Unknown, code).reached(reached)
}

const fn of_memory(outcome: &Outcome) -> &'static str {
    if outcome.out_of_memory { " while its control group was out of memory" } else { "" }
}

fn last_line(outcome: &Outcome) -> String {
    let line = outcome.stderr.last_line(LINE_MAX);
    if line.is_empty() { line } else { format!(": {line}") }
}

fn counted(processes: usize) -> String {
    if processes == 1 { String::from("a process") } else { format!("{processes} processes") }
}

fn listed(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
