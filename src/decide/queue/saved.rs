//! A queue put down and picked up: a small versioned value in wall time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::time::{Now, Timestamp, nanos};
use crate::decide::queue::core::{Queue, is_future};
use crate::decide::queue::error::Error;
use crate::decide::queue::kinds::{KINDS_MAX, Kind, LONGEST};
use crate::decide::queue::line;
use crate::decide::queue::order::Builder;
use crate::decide::queue::reason::Noticed;
use crate::decide::queue::slab::{Flags, Id, Meta, NEVER};
use crate::decide::queue::task::{About, check_estimate, check_name};
use crate::decide::queue::value::Value;

const VERSION: u32 = 1;

/// A queue as it is saved: its tasks in the order of their arrival, and what was learned of their kinds. Instants are wall time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved<T> {
    v: u32,
    saved_at: Timestamp,
    dispatched: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overloaded: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<SavedKind>,
    tasks: Vec<SavedTask<T>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedKind {
    name: Box<str>,
    mean: f64,
    count: u32,
    since: u32,
    estimate_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedTask<T> {
    payload: T,
    submitted: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<At>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    estimate_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Box<str>>,
    value: Value,
    class: u8,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    running: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct At {
    at: Timestamp,
    /// A person gave it as wall time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    wall: bool,
}

impl<T> Saved<T> {
    /// How many tasks were saved.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tasks.len()
    }

    /// No task was saved.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl<T> Queue<T> {
    /// The queue as a value that can be stored. What runs has been handed out: `running` is asked for its payload, and a task for
    /// which it has none is left out. It is saved as one that waits, and will say that it was
    /// [interrupted](crate::decide::queue::Run::interrupted).
    #[must_use]
    pub fn save(&mut self, now: Now, mut running: impl FnMut(Id) -> Option<T>) -> Saved<T>
    where
        T: Clone,
    {
        self.observe(now);
        let starts: std::collections::BTreeMap<u32, u64> = self
            .future
            .iter()
            .filter(|due| is_future(&self.slab, **due))
            .map(|due| (due.slot(), due.at))
            .collect();
        let mut tasks: Vec<(u32, SavedTask<T>)> = Vec::with_capacity(self.slab.queued());
        for (slot, meta, payload) in self.slab.waiting() {
            let start = starts.get(&slot).copied();
            tasks.push((meta.seq, self.save_task(slot, meta, payload.clone(), start, false, now)));
        }
        for (slot, meta, _) in self.slab.at_work() {
            if let Some(payload) = running(self.slab.id(slot)) {
                tasks.push((meta.seq, self.save_task(slot, meta, payload, None, true, now)));
            }
        }
        tasks.sort_by_key(|(seq, _)| *seq);
        let kinds = self.kinds.iter().map(|kind| SavedKind {
            name: kind.name.clone(),
            mean: kind.mean,
            count: kind.count,
            since: kind.since,
            estimate_ns: kind.estimate,
        });
        Saved {
            v: VERSION,
            saved_at: now.wall,
            dispatched: self.dispatched,
            overloaded: self.overloaded,
            paused: self.paused,
            kinds: kinds.collect(),
            tasks: tasks.into_iter().map(|(_, task)| task).collect(),
        }
    }

    fn save_task(
        &self,
        slot: u32,
        meta: &Meta,
        payload: T,
        start: Option<u64>,
        running: bool,
        now: Now,
    ) -> SavedTask<T> {
        let wall = |at| line::wall(at, self.now, now.wall);
        SavedTask {
            payload,
            submitted: wall(meta.submitted),
            deadline: (meta.deadline != NEVER)
                .then(|| At { at: wall(meta.deadline), wall: meta.flags.has(Flags::WALL_DEADLINE) }),
            not_before: start.map(|start| At { at: wall(start), wall: meta.flags.has(Flags::WALL_START) }),
            estimate_ns: meta.flags.has(Flags::DECLARED).then_some(meta.estimate),
            kind: self.kinds.get(meta.kind).map(|kind| kind.name.clone()),
            key: self.keys.name(meta.key).map(Into::into),
            value: self.slab.value(slot, meta),
            class: meta.class,
            paused: meta.flags.has(Flags::PAUSED),
            running: running || meta.flags.has(Flags::INTERRUPTED),
        }
    }

    /// A queue as it was saved, and what was noticed. Its order is the same; the time since counts by the wall clock, and if that
    /// went back, as nothing: no task has longer than it had. Ids are given anew, in the order of arrival.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for a format of another version; [`Error::Field`] for a knob of the builder or a saved task that is out
    /// of its range, or a capacity less than what was saved.
    pub fn restore(builder: Builder, saved: Saved<T>, now: Now) -> Result<(Self, Vec<Noticed>), Error> {
        if saved.v != VERSION {
            return Err(Error::Version { found: saved.v, known: VERSION });
        }
        builder.check()?;
        if saved.tasks.len() > builder.capacity {
            let least = format!("at least the {} tasks that were saved", saved.tasks.len());
            return Err(Error::field("capacity", builder.capacity, least));
        }
        let mut noticed = Vec::new();
        let by = line::nanos_between(saved.saved_at, now.wall);
        if by > 0 {
            let by = Duration::from_nanos(u64::try_from(by).unwrap_or(u64::MAX));
            noticed.push(Noticed::ClockSteppedBack { by });
        }
        let tasks = saved.tasks.iter().filter(|task| task.running).count();
        if tasks > 0 {
            noticed.push(Noticed::Interrupted { tasks });
        }
        let mut queue = Self::with(builder, now);
        (queue.dispatched, queue.overloaded, queue.paused) =
            (saved.dispatched, saved.overloaded, saved.paused);
        for kind in saved.kinds {
            let kind = kind.checked()?;
            if queue.kinds.find(&kind.name).is_some() {
                return Err(Error::field("kinds", "one of them twice", "each once"));
            }
            if queue.kinds.restore(kind) == 0 {
                return Err(Error::field("kinds", "more", format!("at most {KINDS_MAX}")));
            }
        }
        let since = Now { moment: now.moment, wall: now.wall.max(saved.saved_at) };
        for task in saved.tasks {
            queue.restore_task(task, since, by > 0)?;
        }
        Ok((queue, noticed))
    }

    /// What a person gave as wall time counts on as time left if the clock is known to be wrong.
    fn restore_task(&mut self, task: SavedTask<T>, since: Now, wrong: bool) -> Result<(), Error> {
        let estimate = task.estimate_ns.map(Duration::from_nanos);
        estimate.map_or(Ok(()), check_estimate)?;
        let about = About { estimate, kind: task.kind, key: task.key, class: task.class, ..About::default() };
        about.check()?;
        let mut meta = self.meta(&about, None);
        meta.submitted = line::of_wall(task.submitted, since).min(self.now);
        meta.deadline = task.deadline.map_or(NEVER, |deadline| line::of_wall(deadline.at, since));
        meta.flags.set(Flags::WALL_DEADLINE, !wrong && task.deadline.is_some_and(|at| at.wall));
        meta.flags.set(Flags::WALL_START, !wrong && task.not_before.is_some_and(|at| at.wall));
        meta.flags.set(Flags::PAUSED, task.paused);
        meta.flags.set(Flags::INTERRUPTED, task.running);
        let id = self.slab.insert(meta, task.payload, task.value);
        self.place(id.slot, task.not_before.map(|start| line::of_wall(start.at, since)));
        Ok(())
    }
}

impl SavedKind {
    fn checked(self) -> Result<Kind, Error> {
        let Self { name, mean, count, since, estimate_ns } = self;
        check_name("kind", &name)?;
        check_estimate(Duration::from_nanos(estimate_ns))?;
        if !(0.0..=50.0).contains(&mean) || estimate_ns > nanos(LONGEST) {
            return Err(Error::field("kinds", mean, "the logarithm of a time in nanoseconds, 0 to 50"));
        }
        Ok(Kind { name, mean, count, since, estimate: estimate_ns })
    }
}
