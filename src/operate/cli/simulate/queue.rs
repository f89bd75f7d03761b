//! Which tasks would have been done, and what that would have been worth.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::base::explain::Explain;
use crate::decide::queue::{self, Builder, Id, Next, Pushed, Skip, Task, Value};
use crate::operate::cli::failure::Failure;
use crate::operate::cli::simulate::trace::{Answer, Answers, At, Decider, Timed, Told, Wrong};

/// A queue and workers who do one task at a time, each as long as the trace says.
pub(super) struct Queue {
    queue: queue::Queue<Job>,
    free: usize,
    working: BinaryHeap<Reverse<Working>>,
    now: At,
    sum: Sum,
}

/// A task, as far as its end needs to know.
#[derive(Debug)]
struct Job {
    id: String,
    begun: At,
    takes: At,
    value: Value,
}

/// A task that is being done; the first to be done is the first.
struct Working {
    ends: At,
    serial: u64,
    id: Id,
    job: Job,
    picked: &'static str,
    why: String,
}

impl PartialEq for Working {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Working {}

impl PartialOrd for Working {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Working {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.ends, self.serial).cmp(&(other.ends, other.serial))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    t: At,
    #[serde(borrow)]
    id: Cow<'a, str>,
    run_ms: At,
    estimate_ms: Option<At>,
    deadline: Option<At>,
    value: Option<Value>,
}

impl Timed for Line<'_> {
    fn at(&self) -> At {
        self.t
    }
}

#[derive(Serialize)]
struct Ended<'a> {
    t: At,
    id: &'a str,
    decision: &'static str,
    end: &'static str,
    at: At,
    value: f64,
    code: &'static str,
    why: String,
}

impl Answer for Ended<'_> {
    fn told(&self) -> Told<'_> {
        let Self { at, id, end, value, why, .. } = self;
        let beside = if *value > 0.0 { format!("worth {value}") } else { String::new() };
        Told { at: Some(*at), about: id, decision: end, good: Some(*end == "done"), beside, why }
    }
}

/// What it came to.
#[derive(Clone, Debug, Default, Serialize)]
struct Sum {
    value: f64,
    /// In time or not.
    done: u64,
    /// Ended without having been done, for their deadlines.
    expired: u64,
    shed: u64,
    /// How many of those that were done were done too late.
    late: u64,
    /// How many of the expired could not have been done in time any more.
    cannot_finish: u64,
    #[serde(skip)]
    said: String,
}

impl Answer for Sum {
    fn told(&self) -> Told<'_> {
        let beside = format!("worth {}", self.value);
        Told { at: None, about: "", decision: "in all", good: None, beside, why: &self.said }
    }
}

impl Queue {
    pub(super) fn new(builder: Builder, workers: usize) -> Result<Self, Failure> {
        let queue = builder.build(At::ZERO.now()).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { queue, free: workers, working: BinaryHeap::new(), now: At::ZERO, sum: Sum::default() })
    }

    /// Lets the time pass until `to`: what was done before it, and what was begun then. At `to` itself workers become
    /// free and begin nothing, since more may arrive at the same time.
    fn pass(&mut self, to: Option<At>, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        if to == Some(self.now) {
            return Ok(());
        }
        self.begin(answers)?;
        while let Some(ends) = self.working.peek().map(|Reverse(working)| working.ends) {
            if to.is_some_and(|to| ends > to) {
                break;
            }
            self.now = ends;
            while self.working.peek().is_some_and(|Reverse(working)| working.ends == ends) {
                self.finish(answers)?;
            }
            if to != Some(ends) {
                self.begin(answers)?;
            }
        }
        self.now = to.unwrap_or(self.now);
        Ok(())
    }

    /// The first of those that work is done.
    fn finish(&mut self, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let Some(Reverse(Working { ends, id, job, picked, why, .. })) = self.working.pop() else {
            return Ok(());
        };
        self.free = self.free.saturating_add(1);
        let late = self.queue.done(id, ends.now()).and_then(|done| done.late);
        let age = ends.moment().since(job.begun.moment());
        self.sum.done = self.sum.done.saturating_add(1);
        let (end, value) = match late {
            None => ("done", job.value.after(age)),
            Some(_) => ("late", 0.0),
        };
        self.sum.value += value;
        let why = match late {
            None => why,
            Some(by) => {
                self.sum.late = self.sum.late.saturating_add(1);
                format!("it was done {by:?} after its deadline; {why}")
            }
        };
        let ended = Ended { t: ends, id: &job.id, decision: end, end, at: ends, value, code: picked, why };
        Ok(answers.say(&ended)?)
    }

    /// Whoever is free begins what is worth it.
    fn begin(&mut self, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        while self.free > 0 {
            match self.queue.next(self.now.now()) {
                Next::Run(run) => {
                    self.free = self.free.saturating_sub(1);
                    let ends = self.now.after(run.payload.takes.span());
                    let (picked, why) = (run.why.code(), run.why.to_string());
                    let serial = self.sum.done.saturating_add(self.working.len() as u64);
                    let working = Working { ends, serial, id: run.id, job: run.payload, picked, why };
                    self.working.push(Reverse(working));
                }
                Next::Skip(skipped) => self.skip(&skipped.payload.id, skipped.why, answers)?,
                Next::Later(_) | Next::Blocked | Next::Empty => break,
            }
        }
        Ok(())
    }

    fn skip(&mut self, id: &str, why: Skip, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let sum = &mut self.sum;
        let end = match why {
            Skip::CannotFinish { .. } => {
                sum.cannot_finish = sum.cannot_finish.saturating_add(1);
                "cannot_finish"
            }
            Skip::ShedFor { .. } => "shed",
            _ => "expired",
        };
        let count = if end == "shed" { &mut sum.shed } else { &mut sum.expired };
        *count = count.saturating_add(1);
        let (t, code, why) = (self.now, why.code(), why.to_string());
        Ok(answers.say(&Ended { t, id, decision: end, end, at: t, value: 0.0, code, why })?)
    }

    fn arrive(&mut self, line: Line<'_>, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        let Line { t, id, run_ms, estimate_ms, deadline, value } = line;
        let value = value.unwrap_or_default();
        let job = Job { id: id.into_owned(), begun: t, takes: run_ms, value: value.clone() };
        let mut task = Task::new(job).value(value);
        if let Some(estimate) = estimate_ms {
            task = task.estimate(estimate.span());
        }
        if let Some(deadline) = deadline {
            task = task.deadline(deadline.now().wall);
        }
        let pushed = self.queue.push(task, t.now());
        match pushed.map_err(|rejected| Wrong::Line(rejected.error.to_string()))? {
            Pushed::Queued { dropped, .. } => {
                for skipped in dropped {
                    self.skip(&skipped.payload.id, skipped.why, answers)?;
                }
                Ok(())
            }
            Pushed::Shed(skipped) => self.skip(&skipped.payload.id, skipped.why, answers),
        }
    }
}

impl Decider for Queue {
    type Line<'a> = Line<'a>;

    fn take(&mut self, line: Line<'_>, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        self.pass(Some(line.t), answers)?;
        self.arrive(line, answers)
    }

    fn end(&mut self, answers: &mut Answers<'_>) -> Result<(), Wrong> {
        self.pass(None, answers)?;
        let Sum { done, expired, shed, late, .. } = &self.sum;
        self.sum.said = format!("{done} done ({late} of them late), {expired} expired, {shed} shed");
        Ok(answers.say(&self.sum)?)
    }
}
