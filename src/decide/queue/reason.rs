//! What the queue answers, and why.

use std::fmt;
use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::Moment;
use crate::decide::queue::error::Error;
use crate::decide::queue::slab::Id;

/// What is to be done now.
#[must_use = "a task that was handed out is not handed out again"]
#[derive(Debug, PartialEq)]
pub enum Next<T> {
    /// Do this, then say [`done`](crate::decide::queue::Queue::done).
    Run(Run<T>),
    /// This is over without having been done. Ask again.
    Skip(Skipped<T>),
    /// Nothing now; ask again at this moment, or when something is pushed or done.
    Later(Moment),
    /// All that is left waits for a key that is in use, or is paused.
    Blocked,
    /// Nothing is left that waits.
    Empty,
}

/// A task to be done now.
#[derive(Debug, PartialEq)]
pub struct Run<T> {
    /// Which task it is.
    pub id: Id,
    /// What was pushed.
    pub payload: T,
    /// Why this one.
    pub why: Picked,
    /// It was being done when the queue was saved: it may have been done.
    pub interrupted: bool,
}

/// A task that ended without having been done.
#[derive(Debug, PartialEq)]
pub struct Skipped<T> {
    /// Which task it was.
    pub id: Id,
    /// What was pushed.
    pub payload: T,
    /// Why.
    pub why: Skip,
}

/// What became of a task that was pushed.
#[must_use = "what was dropped for it is over, and told nowhere else"]
#[derive(Debug, PartialEq)]
pub enum Pushed<T> {
    /// It is in the queue.
    Queued {
        /// Its name from now on.
        id: Id,
        /// What had to go because the queue was full; mostly empty.
        dropped: Vec<Skipped<T>>,
    },
    /// The queue was full, and this was the one to go.
    Shed(Skipped<T>),
}

/// A task that cannot be queued, given back.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejected<T> {
    /// What was to be pushed.
    pub payload: T,
    /// What is wrong with the task.
    #[source]
    pub error: Error,
}

/// Why this task is the next.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Picked {
    /// Nothing is worth more in the time that it takes (in the first class that has any, if classes are strict).
    Best {
        /// What it is worth for each second that it takes.
        density: f64,
        /// How long it has waited.
        waited: Duration,
    },
    /// It is the turn of the oldest that can still be done in time.
    OldestTurn {
        /// How long it has waited.
        waited: Duration,
        /// Which of how many it is each time.
        every: u32,
    },
    /// It came first.
    First {
        /// How long it has waited.
        waited: Duration,
    },
    /// Nothing has an earlier deadline.
    Deadline {
        /// How long until its own; none if it has none.
        left: Option<Duration>,
        /// How long it has waited.
        waited: Duration,
    },
}

/// Why a task ended without having been done.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Skip {
    /// Its deadline has passed.
    Expired {
        /// By how much.
        by: Duration,
    },
    /// It could not be done before its deadline.
    CannotFinish {
        /// How long it takes, as declared.
        estimate: Duration,
        /// How long is left.
        left: Duration,
    },
    /// The queue was full, and nothing in it was worth less in the time that it takes.
    ShedFor {
        /// What it was worth for each second.
        density: f64,
        /// What that was worth which it had to make room for (or which was not shed for it).
        winner: f64,
    },
    /// Somebody cancelled it. [`cancel`](crate::decide::queue::Queue::cancel) gives the payload to who cancels; this is what
    /// they record.
    Cancelled,
}

/// A task that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// How long it took.
    pub took: Duration,
    /// By how much it was done after its deadline; none if it was in time.
    pub late: Option<Duration>,
}

/// A task as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Which task it is.
    pub id: Id,
    /// What it is waiting for.
    pub state: State,
    /// What it would be worth for each second if it began now, less if it would be late.
    pub density: f64,
    /// When it has to be done.
    pub deadline: Option<Moment>,
    /// How long it has been in the queue.
    pub waited: Duration,
    /// Its key.
    pub key: Option<String>,
}

/// What a task in the queue is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Its time has not come.
    Future {
        /// When it comes.
        at: Moment,
    },
    /// Its turn.
    Ready,
    /// Another task with its key runs.
    WaitsForKey,
    /// It is paused.
    Paused,
    /// It runs.
    Running,
}

/// What was noticed while a saved queue was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Noticed {
    /// The wall clock is before the instant of saving: the time since is taken as zero, so that nothing has longer than it had.
    ClockSteppedBack {
        /// By how much.
        by: Duration,
    },
    /// Tasks were being done when the queue was saved; they wait again.
    Interrupted {
        /// How many.
        tasks: usize,
    },
}

impl Explain for Picked {
    fn code(&self) -> &'static str {
        match self {
            Self::Best { .. } => "queue.best",
            Self::OldestTurn { .. } => "queue.oldest",
            Self::First { .. } => "queue.first",
            Self::Deadline { .. } => "queue.deadline",
        }
    }
}

impl fmt::Display for Picked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best { density, waited } => {
                let density = Rounded(*density);
                write!(
                    f,
                    "worth {density} a second, and nothing that can run is worth more; it waited {waited:?}"
                )
            }
            Self::OldestTurn { waited, every } => {
                write!(f, "the oldest has its turn each {every} times; it waited {waited:?}")
            }
            Self::First { waited } => write!(f, "it came first; it waited {waited:?}"),
            Self::Deadline { left: Some(left), waited } => {
                write!(
                    f,
                    "{left:?} are left, and nothing that can run has an earlier deadline; it waited {waited:?}"
                )
            }
            Self::Deadline { left: None, waited } => {
                write!(f, "nothing that can run has a deadline, and it came first; it waited {waited:?}")
            }
        }
    }
}

impl Explain for Skip {
    fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "queue.expired",
            Self::CannotFinish { .. } => "queue.cannot_finish",
            Self::ShedFor { .. } => "queue.shed_for",
            Self::Cancelled => "queue.cancelled",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { by } => write!(f, "its deadline was {by:?} ago"),
            Self::CannotFinish { estimate, left } => {
                write!(f, "it takes {estimate:?}, and {left:?} are left until its deadline")
            }
            Self::ShedFor { density, winner } => {
                let [density, winner] = [Rounded(*density), Rounded(*winner)];
                write!(f, "the queue was full; it was worth {density} a second, what was kept {winner}")
            }
            Self::Cancelled => f.write_str("it was cancelled"),
        }
    }
}

impl Explain for Noticed {
    fn code(&self) -> &'static str {
        match self {
            Self::ClockSteppedBack { .. } => "queue.clock_stepped_back",
            Self::Interrupted { .. } => "queue.interrupted",
        }
    }
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockSteppedBack { by } => {
                write!(
                    f,
                    "the wall clock is {by:?} before the instant of saving; the time since is taken as zero"
                )
            }
            Self::Interrupted { tasks } => {
                write!(f, "{tasks} tasks were being done when the queue was saved; they wait again")
            }
        }
    }
}

/// A worth in a sentence: to a thousandth, or to three digits if it is less.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            whole if whole.fract() == 0.0 => write!(f, "{whole}"),
            small if small < 0.001 => write!(f, "{small:.2e}"),
            other => write!(f, "{}", (other * 1000.0).round() / 1000.0),
        }
    }
}
