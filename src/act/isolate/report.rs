//! What became of each engine, and why.

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use crate::act::log;
use crate::base::explain::Explain;
use crate::base::fault::{Classify, Fault, Severity};
use crate::base::text;

/// What became of a group, engine by engine, in the order in which they were declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report<T> {
    name: String,
    entries: Vec<Entry<T>>,
    alert: Option<Alert>,
    took: Duration,
}

/// What became of one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// The engine.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome<T>,
    /// How long it ran; `None` if it was not begun.
    pub took: Option<Duration>,
}

/// What became of an engine, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It gave this.
    Done {
        /// What it gave.
        value: T,
    },
    /// It failed, and can be done without: the group is none the worse for it.
    Skipped {
        /// What the failure means.
        fault: Fault,
        /// What it said.
        said: String,
    },
    /// It failed.
    Failed {
        /// What the failure means; a fatal one has stopped the group.
        fault: Fault,
        /// What it said.
        said: String,
    },
    /// It panicked.
    Panicked {
        /// What it said.
        message: String,
    },
    /// It gave nothing in its time. A future was dropped; a thread was told to stop, and is left behind if it does not.
    TimedOut {
        /// The time that it had.
        after: Duration,
    },
    /// It ran when the group was stopped. A future was dropped; a thread did not end within the grace and is left behind.
    Cut {
        /// The engine whose failure was fatal.
        by: String,
    },
    /// It was never begun.
    NotBegun {
        /// Why not.
        why: NotBegun,
    },
}

/// Why an engine was not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotBegun {
    /// The failure of another engine was fatal.
    Stopped {
        /// That engine.
        by: String,
    },
    /// No thread could be started for it.
    NoThread {
        /// Why not.
        kind: io::ErrorKind,
    },
}

/// A failure that a person must be told of now: it has stopped the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The engine that failed.
    pub engine: String,
    /// What the failure means.
    pub fault: Fault,
    /// What it said.
    pub said: String,
}

impl<T> Report<T> {
    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every engine, in the order in which they were declared.
    #[must_use]
    pub fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }

    /// The first engine called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry<T>> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// What those that are done gave.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| match &entry.outcome {
            Outcome::Done { value } => Some(value),
            _ => None,
        })
    }

    /// The entries themselves, to take the values out of.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry<T>> {
        self.entries
    }

    /// What a person must be told now, if a failure was fatal.
    #[must_use]
    pub const fn alert(&self) -> Option<&Alert> {
        self.alert.as_ref()
    }

    /// How long all of it took.
    #[must_use]
    pub const fn took(&self) -> Duration {
        self.took
    }

    /// The exit code for the `main` of a cron job: 0 when every engine is done or was skipped, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let fine = |entry: &Entry<T>| matches!(entry.outcome, Outcome::Done { .. } | Outcome::Skipped { .. });
        u8::from(!self.entries.iter().all(fine))
    }
}

/// A line for each engine, and one for the alert.
impl<T> Display for Report<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.entries.iter().enumerate() {
            write!(f, "{}{entry}", if at == 0 { "" } else { "\n" })?;
        }
        self.alert.as_ref().map_or(Ok(()), |alert| write!(f, "\nalert: {alert}"))
    }
}

impl<T> Entry<T> {
    /// The stable word of the outcome.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.outcome.code()
    }
}

impl<T> Display for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.outcome)?;
        self.took.map_or(Ok(()), |took| write!(f, " ({})", text::about(took)))
    }
}

impl<T> Outcome<T> {
    /// The word for it: `done`, `skipped`, `failed`, `panicked`, `timed_out`, `cut` or `not_begun`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. } => "failed",
            Self::Panicked { .. } => "panicked",
            Self::TimedOut { .. } => "timed_out",
            Self::Cut { .. } => "cut",
            Self::NotBegun { .. } => "not_begun",
        }
    }
}

impl<T> Explain for Outcome<T> {
    fn code(&self) -> &'static str {
        match self {
            Self::Done { .. } => "isolate.done",
            Self::Skipped { .. } => "isolate.skipped",
            Self::Failed { fault, .. } if fault.severity == Severity::Fatal => "isolate.fatal",
            Self::Failed { .. } => "isolate.failed",
            Self::Panicked { .. } => "isolate.panicked",
            Self::TimedOut { .. } => "isolate.timed_out",
            Self::Cut { .. } => "isolate.cut",
            Self::NotBegun { why } => why.code(),
        }
    }
}

impl<T> Display for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { .. } => f.write_str("done"),
            Self::Skipped { fault, said } => write!(f, "skipped, {}", told(fault, said)),
            Self::Failed { fault, said } => write!(f, "failed, {}", told(fault, said)),
            Self::Panicked { message } => write!(f, "panicked: {message}"),
            Self::TimedOut { after } => write!(f, "gave nothing within {}", text::about(*after)),
            Self::Cut { by } => write!(f, "cut, for the failure of {by} is fatal"),
            Self::NotBegun { why } => write!(f, "not begun, {why}"),
        }
    }
}

impl Explain for NotBegun {
    fn code(&self) -> &'static str {
        match self {
            Self::Stopped { .. } => "isolate.not_begun",
            Self::NoThread { .. } => "isolate.no_thread",
        }
    }
}

impl Display for NotBegun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { by } => write!(f, "for the failure of {by} is fatal"),
            Self::NoThread { kind } => write!(f, "for no thread could be started: {kind}"),
        }
    }
}

impl Explain for Alert {
    fn code(&self) -> &'static str {
        "isolate.fatal"
    }
}

impl Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed, {}", self.engine, told(&self.fault, &self.said))
    }
}

/// The fault, and what was said unless that is the same.
fn told(fault: &Fault, said: &str) -> String {
    let fault = fault.to_string();
    if fault == said { fault } else { format!("{fault}: {said}") }
}

/// A failure, once its type no longer matters.
#[derive(Debug)]
pub(super) struct Failure {
    fault: Fault,
    said: String,
}

impl Failure {
    pub(super) fn of(error: &(impl Classify + Display)) -> Self {
        Self { fault: error.fault(), said: error.to_string() }
    }
}

/// How an engine that was begun ended by itself or at its time-out.
pub(super) enum Ended<T> {
    Gave(Result<T, Failure>),
    Panicked(String),
    TimedOut(Duration),
}

/// An outcome, and how long it took.
type Entered<T> = (Outcome<T>, Option<Duration>);

/// The report while it is being filled.
pub(super) struct Board<T> {
    name: String,
    engines: Vec<(String, Option<Entered<T>>)>,
    alert: Option<Alert>,
}

impl<T> Board<T> {
    pub(super) fn new(name: String, engines: impl Iterator<Item = String>) -> Self {
        Self { name, engines: engines.map(|name| (name, None)).collect(), alert: None }
    }

    /// Whether the group goes on; after a fatal failure it does not.
    pub(super) const fn goes_on(&self) -> bool {
        self.alert.is_none()
    }

    /// Enters how the engine declared as the `index`-th ended.
    pub(super) fn ended(&mut self, index: usize, ended: Ended<T>, took: Duration) {
        let outcome = match ended {
            Ended::Gave(Ok(value)) => Outcome::Done { value },
            Ended::Gave(Err(Failure { fault, said })) => match fault.severity {
                Severity::Degraded => Outcome::Skipped { fault, said },
                Severity::Fatal => {
                    let engine = self.engines.get(index).map(|(name, _)| name.clone()).unwrap_or_default();
                    let alert = || Alert { engine, fault: fault.clone(), said: said.clone() };
                    self.alert.get_or_insert_with(alert);
                    Outcome::Failed { fault, said }
                }
                Severity::Critical | Severity::Recoverable => Outcome::Failed { fault, said },
            },
            Ended::Panicked(message) => Outcome::Panicked { message },
            Ended::TimedOut(after) => Outcome::TimedOut { after },
        };
        self.enter(index, outcome, Some(took));
    }

    /// Enters that no thread could be started.
    pub(super) fn no_thread(&mut self, index: usize, kind: io::ErrorKind) {
        self.enter(index, Outcome::NotBegun { why: NotBegun::NoThread { kind } }, None);
    }

    /// Enters that the engine ran when the group was stopped.
    pub(super) fn cut(&mut self, index: usize, took: Duration) {
        let by = self.stopped_by();
        self.enter(index, Outcome::Cut { by }, Some(took));
    }

    fn stopped_by(&self) -> String {
        self.alert.as_ref().map(|alert| alert.engine.clone()).unwrap_or_default()
    }

    fn enter(&mut self, index: usize, outcome: Outcome<T>, took: Option<Duration>) {
        if let Some((name, entered)) = self.engines.get_mut(index) {
            log::engine(&self.name, name, outcome.as_str(), took, &outcome);
            *entered = Some((outcome, took));
        }
    }

    /// The report; what was not entered was not begun.
    pub(super) fn report(mut self, took: Duration) -> Report<T> {
        for index in 0..self.engines.len() {
            if self.engines.get(index).is_some_and(|(_, entered)| entered.is_none()) {
                let by = self.stopped_by();
                self.enter(index, Outcome::NotBegun { why: NotBegun::Stopped { by } }, None);
            }
        }
        let entries = self
            .engines
            .into_iter()
            .filter_map(|(name, entered)| entered.map(|(outcome, took)| Entry { name, outcome, took }));
        Report { name: self.name, entries: entries.collect(), alert: self.alert, took }
    }
}
