//! How a verb ends when it does not end well: an exit code, a stable word, a sentence, and what to do next.

use std::borrow::Cow;
use std::io;
use std::process::ExitCode;

use serde::Serialize;

use crate::base::fault::{Class, Classify};
use crate::base::text::shown;
use crate::decide::run::State;
use crate::operate::cli::place::Place;
use crate::operate::operator;
use crate::remember::{runs, store};

/// How a command ended, as the number that a shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done: 0.
    Done,
    /// What was asked for failed, or needs a person: 1.
    Failed,
    /// The command line is not right: 2.
    Usage,
    /// The same key with other arguments: 65.
    OtherArguments,
    /// Not now: somebody is at it, or the store is busy: 75.
    NotNow,
    /// The configuration is not right, such as a store that is none: 78.
    Config,
    /// A command was run, and this is its own: as a shell says it, 124 for a time-out, 126 and 127 where it cannot start,
    /// 128 + N for signal N.
    Program(u8),
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::OtherArguments => 65,
            Self::NotNow => 75,
            Self::Config => 78,
            Self::Program(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Whoever read the output has gone away: nothing is wrong, and nothing is left to do.
    Closed,
    /// It failed.
    Failed(Box<Failure>),
}

/// A failure, as it is told.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) code: Cow<'static, str>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), hint: None }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A store's error, said of what was looked for and why there.
    pub(super) fn of_store(error: &store::Error) -> Self {
        let exit = match error {
            store::Error::Busy { .. } => Exit::NotNow,
            store::Error::Missing { .. } | store::Error::NotAStore { .. } | store::Error::TooNew { .. } => {
                Exit::Config
            }
            store::Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::Config
            }
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, error.fault().code, chain(error));
        match error {
            store::Error::Busy { .. } => failure.hint("other processes write to it; try again"),
            store::Error::NotAStore { .. } => {
                failure.hint("it was left as it is; name the store with --store")
            }
            store::Error::Full { .. } => failure.hint("make room on that file system, then try again"),
            store::Error::ReadOnly { .. } => failure.hint(
                "make that file system or folder writable, such as by `mount -o remount,rw`, or name another store with --store",
            ),
            store::Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                failure.hint("run it as the user that the store belongs to")
            }
            store::Error::Corrupt { .. } => failure.hint("keep a copy of the file before anything else"),
            _ => failure,
        }
    }

    /// The same of a server's.
    pub(super) fn of_remote(error: &store::Error, place: &Place, note: Option<&str>) -> Self {
        let mut failure = Self::of_store(error);
        failure.message = format!("{place}: {}", failure.message);
        let hint = match error {
            store::Error::Unreachable { .. } => {
                failure.exit = Exit::NotNow;
                Some(
                    "is the server up, and the address right? PGHOST and PGPORT are read where it names none",
                )
            }
            store::Error::Setting { name: "format", .. } => {
                failure.exit = Exit::Config;
                Some("`store migrate` brings it up to date")
            }
            store::Error::Setting { .. } | store::Error::Invalid { .. } => {
                failure.exit = Exit::Config;
                Some("credentials are read from the address, PGUSER and PGPASSWORD, and ~/.pgpass")
            }
            _ => None,
        };
        match (note, hint) {
            (Some(note), _) => failure.hint(note),
            (None, Some(hint)) if failure.hint.is_none() => failure.hint(hint),
            _ => failure,
        }
    }

    /// An operator's error; `program` is what the person typed before the verb.
    pub(super) fn of_operator(error: &operator::Error, program: &str) -> Self {
        let (id, state) = match error {
            operator::Error::Runs(error) => return Self::of_runs(error, program),
            operator::Error::Invalid { .. } => return Self::new(Exit::Usage, "usage", error.to_string()),
            operator::Error::Alerts(_) => {
                return Self::new(Exit::Failed, error.fault().code, error.to_string())
                    .hint(format!("`{program} alerts --all` lists them"));
            }
            operator::Error::DoneBefore { .. } => {
                return Self::new(Exit::Failed, error.fault().code, error.to_string());
            }
            operator::Error::NotPossible { id, state, .. } => (id, *state),
        };
        // A filter that names such a state is of no run.
        let id = if id.contains(' ') { "RUN" } else { id };
        let hint = match state {
            State::Queued => String::from("it waits for a worker already"),
            State::Processing | State::Compensating => {
                format!("somebody works on it; `{program} explain {id}` says who")
            }
            State::WaitingExternal => String::from("it waits for an answer from outside"),
            State::FailedTransient | State::FailedPermanent | State::NeedsReview => {
                format!("`{program} show {id}` says what it takes")
            }
            _ => format!(
                "it has ended; `{program} replay {id} --mode rerun` makes a new run of the same input"
            ),
        };
        Self::new(Exit::Failed, error.fault().code, error.to_string()).hint(hint)
    }

    fn of_runs(error: &runs::Error, program: &str) -> Self {
        let exit = match error {
            runs::Error::Store(error) => return Self::of_store(error),
            runs::Error::Invalid { .. } => Exit::Usage,
            _ if error.fault().class == Class::Transient => Exit::NotNow,
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, error.fault().code, error.to_string());
        match error {
            runs::Error::NoSuchRun { .. } => failure.hint(format!(
                "`{program} runs` lists them; RUN is an id, an end of one (4 characters or more), a job's name, JOB~1 or @failed"
            )),
            runs::Error::Ambiguous { .. } => failure.hint("give more of the end of the id"),
            runs::Error::Lost { .. } | runs::Error::Contended { .. } => failure.hint("try again"),
            runs::Error::Forestalled { id, .. } => failure.hint(format!("`{program} explain {id}` tells the rest")),
            runs::Error::NotOffered { id, .. } => failure.hint(format!("`{program} show {id}` lists the answers")),
            runs::Error::NotFor { id, .. } => failure.hint(format!("`{program} show {id}` says what it takes")),
            runs::Error::Live { id, .. } => {
                failure.hint(format!("wait for its end, or `{program} cancel {id}` first"))
            }
            runs::Error::InDoubt { id, .. } | runs::Error::UnsafeAgain { id, .. } => failure.hint(format!(
                "`{program} show {id}` lists the answers; `replay {id} --mode force --reason R` does it once more"
            )),
            runs::Error::Unreadable { .. } => failure.hint(format!(
                "a newer release may have written it; `{program} store check` says which runs cannot be read"
            )),
            _ => failure,
        }
    }

    /// One JSON object, without a line end.
    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Outer<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: &'a str,
            hint: Option<&'a str>,
        }
        let error = Inner { code: &self.code, message: &self.message, hint: self.hint.as_deref() };
        serde_json::to_string(&Outer { error }).unwrap_or_default()
    }

    /// A line or two for people, with line ends.
    pub(super) fn human(&self, program: &str) -> String {
        let mut text = format!("{program}: {}\n", shown(&self.message));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  {}\n", shown(hint)));
        }
        text
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<io::Error> for Stop {
    /// An error of the output: everything else is turned into a [`Failure`] where it happens.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Closed;
        }
        Failure::new(Exit::Failed, "output.failed", format!("the output cannot be written: {error}")).into()
    }
}

/// The error and its sources in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    crate::base::fault::chain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_a_promise() {
        let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::OtherArguments, Exit::NotNow, Exit::Config];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 65, 75, 78]);
    }

    #[test]
    fn a_failure_is_one_object_or_two_lines() {
        let failure = Failure::usage("no \"such\"\x1b thing").hint("try another");
        assert_eq!(
            failure.json(),
            r#"{"error":{"code":"usage","message":"no \"such\"\u001b thing","hint":"try another"}}"#
        );
        assert_eq!(failure.human("tool"), "tool: no \"such\"\\u{1b} thing\n  try another\n");
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure_and_a_full_disk_is() {
        assert!(matches!(Stop::from(io::Error::from(io::ErrorKind::BrokenPipe)), Stop::Closed));
        assert!(matches!(Stop::from(io::Error::from(io::ErrorKind::StorageFull)), Stop::Failed(_)));
    }

    #[test]
    fn a_busy_store_is_not_now_and_a_strange_file_is_configuration() {
        let busy = store::Error::Busy { waited_ms: 30_000, allowed_ms: 30_000 };
        assert_eq!(Failure::of_store(&busy).exit, Exit::NotNow);
        let strange = store::Error::NotAStore { path: "/etc/passwd".into(), found: String::from("text") };
        let failure = Failure::of_store(&strange);
        assert_eq!((failure.exit, &*failure.code), (Exit::Config, "store.not_a_store"));
        assert!(failure.hint.is_some());
    }
}
