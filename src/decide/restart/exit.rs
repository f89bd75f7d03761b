//! How something has ended, and what of it makes two ends the same.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::text;
use crate::base::time::millis;

/// Of what was written to the standard error so many bytes are kept, the last ones.
pub const TAIL_MAX: usize = 1024;
/// Of a fingerprint so many bytes are kept.
const FINGERPRINT_MAX: usize = 200;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum How {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// A thread has panicked.
    Panicked,
    /// It said itself that it has failed: a closure gave an error.
    Failed,
    /// It could not be started.
    NotStarted,
    /// It lived and did nothing, so it was stopped.
    Hung {
        /// Milliseconds since the last sign of life.
        silent_ms: u64,
    },
    /// It was stopped to be begun afresh.
    Recycled,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {signal}"),
            },
            Self::Panicked => f.write_str("panic"),
            Self::Failed => f.write_str("error"),
            Self::NotStarted => f.write_str("not started"),
            Self::Hung { silent_ms } => {
                write!(f, "hung, no sign of life for {}", text::about(Duration::from_millis(*silent_ms)))
            }
            Self::Recycled => f.write_str("recycled"),
        }
    }
}

/// The names of those signals whose numbers are the same on every Unix.
const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// What an end counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// All is well.
    Success,
    /// It counts against the limit.
    Failure,
    /// Trying again cannot help.
    Permanent,
    /// It was meant.
    Recycled,
}

/// One end, as it is told to [`State::on_exit`](crate::decide::restart::State::on_exit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub(super) how: How,
    pub(super) uptime: Option<Duration>,
    pub(super) tail: String,
    pub(super) fingerprint: Option<String>,
}

impl Exit {
    /// An end of this kind.
    #[must_use]
    pub const fn of(how: How) -> Self {
        Self { how, uptime: None, tail: String::new(), fingerprint: None }
    }

    /// With an exit code.
    #[must_use]
    pub const fn code(code: i32) -> Self {
        Self::of(How::Code(code))
    }

    /// By a signal.
    #[must_use]
    pub const fn signal(signal: i32) -> Self {
        Self::of(How::Signal(signal))
    }

    /// By a panic that said this.
    #[must_use]
    pub fn panicked(message: impl AsRef<str>) -> Self {
        Self::of(How::Panicked).stderr_tail(message)
    }

    /// By an error that says this.
    #[must_use]
    pub fn failed(message: impl AsRef<str>) -> Self {
        Self::of(How::Failed).stderr_tail(message)
    }

    /// It could not even be started, for this reason.
    #[must_use]
    pub fn not_started(message: impl AsRef<str>) -> Self {
        Self::of(How::NotStarted).stderr_tail(message)
    }

    /// It showed no sign of life for so long, and was stopped.
    #[must_use]
    pub fn hung(silent: Duration) -> Self {
        Self::of(How::Hung { silent_ms: millis(silent) })
    }

    /// It was stopped to be begun afresh.
    #[must_use]
    pub const fn recycled() -> Self {
        Self::of(How::Recycled)
    }

    /// How long it was up, where that was measured; else it is taken since
    /// [`State::started`](crate::decide::restart::State::started), and zero without that.
    #[must_use]
    pub const fn uptime(mut self, uptime: Duration) -> Self {
        self.uptime = Some(uptime);
        self
    }

    /// The end of what it wrote to its standard error. [`TAIL_MAX`] bytes are kept, and no control characters but line ends
    /// and tabs.
    #[must_use]
    pub fn stderr_tail(mut self, tail: impl AsRef<str>) -> Self {
        self.tail = kept(tail.as_ref().trim_end());
        self
    }

    /// What makes two ends the same error, where the caller knows better than [`Exit::fingerprint`] says.
    #[must_use]
    pub fn fingerprinted(mut self, fingerprint: impl Into<String>) -> Self {
        let mut fingerprint: String = fingerprint.into();
        fingerprint.truncate(text::head(&fingerprint, FINGERPRINT_MAX).len());
        self.fingerprint = Some(fingerprint);
        self
    }

    /// How it ended.
    #[must_use]
    pub const fn how(&self) -> How {
        self.how
    }

    /// What makes two ends the same error: how it ended and the last line of the standard error, in which every word with a
    /// digit (a number, a time, an address, an identifier) is a `#`. The line by which a Rust panic tells about backtraces is
    /// passed over.
    ///
    /// ```
    /// use unattended::restart::Exit;
    ///
    /// let exit = Exit::code(1).stderr_tail("starting\nlost 10.0.0.7:5432 after 31 ms\n");
    /// assert_eq!(exit.fingerprint(), "exit code 1: lost # after # ms");
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> String {
        if let Some(given) = &self.fingerprint {
            return given.clone();
        }
        let mut said = String::with_capacity(FINGERPRINT_MAX);
        match self.how {
            // How long it was silent is not what makes it another error.
            How::Hung { .. } => said.push_str("hung"),
            How::Code(code) => {
                said.push_str("exit code ");
                push_number(&mut said, code);
            }
            how => said.push_str(&how.to_string()),
        }
        let line = self.tail.rsplit('\n').map(str::trim).find(|line| !line.is_empty() && !is_note(line));
        if let Some(line) = line {
            said.push(':');
            mask(line, &mut said);
        }
        said
    }
}

fn is_note(line: &str) -> bool {
    line.starts_with("note: run with `RUST_BACKTRACE") || line.starts_with("note: Some details are omitted")
}

/// Without the machinery of formatting: this is most of what a decision costs.
fn push_number(said: &mut String, code: i32) {
    let digits = code.unsigned_abs();
    if code < 0 {
        said.push('-');
    }
    let mut unit = 1_u32;
    while digits / unit >= 10 {
        unit = unit.saturating_mul(10);
    }
    while unit > 0 {
        said.push(char::from_digit(digits / unit % 10, 10).unwrap_or('0'));
        unit /= 10;
    }
}

/// The words of `line`, a `#` for each that has a digit, as far as there is room.
fn mask(line: &str, said: &mut String) {
    for word in line.split_ascii_whitespace() {
        let word = if word.bytes().any(|byte| byte.is_ascii_digit()) { "#" } else { word };
        let room = FINGERPRINT_MAX.saturating_sub(said.len() + 1);
        if room == 0 {
            return;
        }
        said.push(' ');
        said.push_str(text::head(word, room));
    }
}

/// The end of `tail`, as it may be stored and shown.
fn kept(tail: &str) -> String {
    let from = tail.len().saturating_sub(TAIL_MAX);
    let from = (from..=tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or(tail.len());
    let end = tail.get(from..).unwrap_or_default();
    let fits = |byte: u8| byte >= b' ' || byte == b'\n' || byte == b'\t';
    if end.bytes().all(fits) {
        return end.to_owned();
    }
    end.chars().filter(|c| u8::try_from(*c).map_or(true, fits)).collect()
}
