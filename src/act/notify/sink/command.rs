//! A program that is given each page.

use std::ffi::OsString;
use std::time::Duration;

use crate::act::command::{self, Stdin};
use crate::act::notify::{Page, Sink, SinkError};
use crate::base::fault::chain;

/// How long it may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long lies between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(1);
/// What it puts out is only looked at where it fails.
const OUTPUT_MAX: usize = 4096;

/// A program that is given each page as one line of JSON on its standard input, and ends with 0 when it has sent it. No shell.
#[derive(Clone, Debug)]
pub struct Command {
    command: command::Command,
    timeout: Duration,
}

impl Command {
    /// The program with its arguments; it has 10 s for a page.
    #[must_use]
    pub fn new(program: impl Into<OsString>, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let command = command::Command::new(program).args(args);
        let command = command.grace(GRACE).drain(DRAIN).output_max(OUTPUT_MAX);
        Self { command, timeout: TIMEOUT }
    }

    /// How long it has for a page; default 10 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Sink for Command {
    fn send(&self, page: &Page) -> Result<(), SinkError> {
        let mut line = serde_json::to_vec(page).map_err(SinkError::failed)?;
        line.push(b'\n');
        let command = self.command.clone().stdin(Stdin::Bytes(line)).timeout(self.timeout);
        command.run_blocking().map(drop).map_err(|error| match error {
            command::Error::Timeout { .. } => SinkError::TimedOut { after: self.timeout },
            error => SinkError::failed(chain(&error)),
        })
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout.saturating_add(GRACE).saturating_add(DRAIN).saturating_add(GRACE))
    }
}
