//! What is queued, and how it may be changed while it waits.

use std::time::Duration;

use crate::base::time::{Now, Timestamp};
use crate::decide::queue::error::Error;
use crate::decide::queue::kinds::LONGEST;
use crate::decide::queue::line;
use crate::decide::queue::value::Value;

const NAME_MAX: usize = 512;

/// Work to be done: a payload, and what is known of it.
///
/// ```
/// use std::time::Duration;
/// use unattended::queue::{Task, Value};
///
/// let otp = Task::new("send_otp").within(Duration::from_secs(30)).kind("otp").value(Value::step(10.0)?);
/// # Ok::<(), unattended::queue::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Task<T> {
    pub(super) payload: T,
    pub(super) about: About,
}

/// All but the payload.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct About {
    pub(super) deadline: Option<When>,
    pub(super) not_before: Option<When>,
    pub(super) estimate: Option<Duration>,
    pub(super) kind: Option<Box<str>>,
    pub(super) key: Option<Box<str>>,
    pub(super) value: Value,
    pub(super) class: u8,
    /// What was given twice.
    pub(super) twice: Option<&'static str>,
}

/// A time: so long from now, or an instant that a person gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    In(Duration),
    At(Timestamp),
}

impl When {
    /// On the queue's line of time.
    pub(super) fn at(self, now: Now) -> u64 {
        match self {
            Self::In(time) => line::later(line::of(now.moment), time),
            Self::At(wall) => line::of_wall(wall, now),
        }
    }

    pub(super) const fn is_wall(self) -> bool {
        matches!(self, Self::At(_))
    }
}

impl<T> Task<T> {
    /// A task without a deadline, worth [`Value::ONE`], that may be begun at once.
    #[must_use]
    pub fn new(payload: T) -> Self {
        Self { payload, about: About::default() }
    }

    /// To be done within this time from submission, on the monotonic clock. At exactly that time it may still be begun.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        self.due(When::In(time))
    }

    /// To be done by an instant that a person gave: it moves with the wall clock. At exactly that time it may still be begun.
    #[must_use]
    pub fn deadline(self, at: Timestamp) -> Self {
        self.due(When::At(at))
    }

    /// Not to be begun before an instant that a person gave: it moves with the wall clock.
    #[must_use]
    pub fn not_before(self, at: Timestamp) -> Self {
        self.starting(When::At(at))
    }

    /// Not to be begun before this time from submission, on the monotonic clock.
    #[must_use]
    pub fn delay(self, time: Duration) -> Self {
        self.starting(When::In(time))
    }

    /// How long it takes: more than nothing, at most 366 days. Who declares it is taken at their word: a task that could not
    /// be done in time is skipped. Without it the time is learned for each [`kind`](Self::kind), and such a task comes last.
    #[must_use]
    pub fn estimate(mut self, time: Duration) -> Self {
        self.about.estimate = Some(time);
        self
    }

    /// What kind of work it is, 1 to 512 bytes: tasks of a kind take about the same time, which is learned; 1 s until one was
    /// done. At most 1024 kinds are told apart; what is beyond is taken to last 1 s.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.about.kind = Some(kind.into());
        self
    }

    /// Of the tasks with this key, 1 to 512 bytes, one runs at a time.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.about.key = Some(key.into());
        self
    }

    /// What it is worth to have it done.
    #[must_use]
    pub fn value(mut self, value: Value) -> Self {
        self.about.value = value;
        self
    }

    /// Its class, 0 (the first) to 3, for `Order::StrictClasses`; 0 if none is given.
    #[must_use]
    pub fn class(mut self, class: u8) -> Self {
        self.about.class = class;
        self
    }

    fn due(mut self, when: When) -> Self {
        if self.about.deadline.replace(when).is_some() {
            self.about.twice = Some("deadline");
        }
        self
    }

    fn starting(mut self, when: When) -> Self {
        if self.about.not_before.replace(when).is_some() {
            self.about.twice = Some("not_before");
        }
        self
    }
}

impl About {
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(field) = self.twice {
            return Err(Error::field(field, "given twice", "once: as an instant or as a time from now"));
        }
        if let Some(estimate) = self.estimate {
            check_estimate(estimate)?;
        }
        if self.class > 3 {
            return Err(Error::field("class", self.class, "0 to 3"));
        }
        for (field, name) in [("kind", &self.kind), ("key", &self.key)] {
            if let Some(name) = name {
                check_name(field, name)?;
            }
        }
        Ok(())
    }
}

pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Error::field(field, format_args!("{} bytes", name.len()), format!("1 to {NAME_MAX}")));
    }
    Ok(())
}

pub(super) fn check_estimate(estimate: Duration) -> Result<(), Error> {
    if estimate.is_zero() || estimate > LONGEST {
        return Err(Error::time("estimate", estimate, "more than nothing, at most 366 days"));
    }
    Ok(())
}

pub(super) fn check_times(deadline: Option<u64>, not_before: Option<u64>) -> Result<(), Error> {
    match (deadline, not_before) {
        (Some(deadline), Some(not_before)) if deadline < not_before => {
            let early = Duration::from_nanos(not_before - deadline);
            Err(Error::field("deadline", format_args!("{early:?} before not_before"), "not before it"))
        }
        _ => Ok(()),
    }
}

/// What is to be otherwise about a task that waits; what is not said stays as it is.
///
/// ```
/// use std::time::Duration;
/// use unattended::queue::{Reschedule, Value};
///
/// let sooner = Reschedule::new().within(Duration::from_secs(5)).value(Value::step(3.0)?);
/// # Ok::<(), unattended::queue::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reschedule {
    /// Of the inner two, none is: no deadline any more.
    pub(super) deadline: Option<Option<When>>,
    pub(super) not_before: Option<When>,
    pub(super) value: Option<Value>,
    pub(super) estimate: Option<Duration>,
}

impl Reschedule {
    /// Nothing is otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The deadline is an instant that a person gave.
    #[must_use]
    pub fn deadline(mut self, at: Timestamp) -> Self {
        self.deadline = Some(Some(When::At(at)));
        self
    }

    /// The deadline is so long from now.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.deadline = Some(Some(When::In(time)));
        self
    }

    /// There is no deadline any more.
    #[must_use]
    pub fn no_deadline(mut self) -> Self {
        self.deadline = Some(None);
        self
    }

    /// It is not begun before an instant that a person gave.
    #[must_use]
    pub fn not_before(mut self, at: Timestamp) -> Self {
        self.not_before = Some(When::At(at));
        self
    }

    /// It is not begun before so long from now; zero: it may be begun at once.
    #[must_use]
    pub fn delay(mut self, time: Duration) -> Self {
        self.not_before = Some(When::In(time));
        self
    }

    /// What it is worth; still counted from when it was submitted.
    #[must_use]
    pub fn value(mut self, value: Value) -> Self {
        self.value = Some(value);
        self
    }

    /// How long it takes, declared: more than nothing, at most 366 days.
    #[must_use]
    pub fn estimate(mut self, time: Duration) -> Self {
        self.estimate = Some(time);
        self
    }
}
