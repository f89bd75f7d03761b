//! The queue as a scan over all tasks: slow, and written apart from it.

use std::time::Duration;

use crate::decide::queue::kinds::Kinds;
use crate::decide::queue::{Order, Value};

pub(super) const MS: i128 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) name: u32,
    pub(super) arrival: u64,
    pub(super) submitted: i128,
    pub(super) deadline: Option<i128>,
    pub(super) deadline_by_wall: bool,
    pub(super) start: i128,
    pub(super) start_by_wall: bool,
    pub(super) estimate: Option<u64>,
    pub(super) kind: u16,
    pub(super) key: Option<u8>,
    pub(super) class: u8,
    pub(super) value: Value,
    pub(super) paused: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Run { name: u32, oldest: bool },
    Expired { name: u32, by: i128 },
    CannotFinish { name: u32, left: i128 },
    Later(i128),
    Blocked,
    Empty,
}

/// First what is less.
type Place = (u8, u32, i128, u64);

pub(super) struct Scan {
    pub(super) order: Order,
    pub(super) capacity: usize,
    pub(super) every: u32,
    pub(super) now: i128,
    pub(super) jobs: Vec<Job>,
    /// With the time of their beginning.
    pub(super) running: Vec<(Job, i128)>,
    pub(super) dispatched: u32,
    pub(super) overloaded: bool,
    pub(super) paused: bool,
    pub(super) kinds: Kinds,
}

impl Scan {
    fn estimate(&self, job: &Job) -> i128 {
        i128::from(job.estimate.unwrap_or_else(|| self.kinds.estimate(job.kind)))
    }

    fn is_late(&self, job: &Job) -> bool {
        job.deadline.is_some_and(|deadline| self.now + self.estimate(job) > deadline)
    }

    fn last_start(&self, job: &Job) -> Option<i128> {
        job.deadline
            .map(|deadline| if job.estimate.is_some() { deadline - self.estimate(job) } else { deadline })
    }

    fn density(&self, job: &Job) -> f32 {
        let estimate = self.estimate(job);
        let age = u64::try_from(self.now - job.submitted + estimate).unwrap();
        let each_second = job.value.after(Duration::from_nanos(age)) / (estimate as f64 / 1e9).max(1e-3);
        (if self.is_late(job) { each_second * 1e-6 } else { each_second }) as f32
    }

    fn by_density(&self, job: &Job, class: u8) -> Place {
        let bits = self.density(job).to_bits();
        let bits = if self.order == Order::StrictClasses { bits >> 1 } else { bits };
        (class, u32::MAX - bits, job.deadline.unwrap_or(i128::MAX), job.arrival)
    }

    fn place(&self, job: &Job) -> Place {
        let deadline = job.deadline.unwrap_or(i128::MAX);
        match self.order {
            Order::Fifo => (0, 0, 0, job.arrival),
            Order::Edf => (u8::from(self.is_late(job)), 0, deadline, job.arrival),
            Order::EdfUntilOverload if !self.overloaded => (0, 0, deadline, job.arrival),
            Order::EdfUntilOverload | Order::Density => self.by_density(job, 0),
            Order::StrictClasses => self.by_density(job, job.class),
        }
    }

    fn shed_place(&self, job: &Job) -> Place {
        self.by_density(job, if self.order == Order::StrictClasses { job.class } else { 0 })
    }

    fn is_open(&self, job: &Job) -> bool {
        let busy = |key| self.running.iter().any(|(other, _)| other.key == Some(key));
        !job.paused && job.start <= self.now && !job.key.is_some_and(busy)
    }

    pub(super) fn doomed(&self) -> Option<usize> {
        let over = |at: &usize| self.last_start(&self.jobs[*at]).is_some_and(|last| self.now > last);
        let first = |at: &usize| (self.last_start(&self.jobs[*at]), self.jobs[*at].arrival);
        (0..self.jobs.len()).filter(over).min_by_key(first)
    }

    fn pick(&mut self) -> Option<(usize, bool)> {
        let open: Vec<usize> = (0..self.jobs.len()).filter(|at| self.is_open(&self.jobs[*at])).collect();
        if self.every > 0 && self.order != Order::Fifo && self.dispatched % self.every == self.every - 1 {
            let in_time = open.iter().filter(|at| !self.is_late(&self.jobs[**at]));
            if let Some(at) = in_time.min_by_key(|at| self.jobs[**at].arrival) {
                return Some((*at, true));
            }
        }
        let first = |scan: &Self| open.iter().copied().min_by_key(|at| scan.place(&scan.jobs[*at]));
        let at = first(self)?;
        if self.order == Order::EdfUntilOverload && !self.overloaded && self.is_late(&self.jobs[at]) {
            self.overloaded = true;
            return Some((first(self)?, false));
        }
        Some((at, false))
    }

    pub(super) fn over(&mut self, at: usize) -> Answer {
        let job = self.jobs.remove(at);
        let deadline = job.deadline.unwrap();
        if self.now > deadline {
            Answer::Expired { name: job.name, by: self.now - deadline }
        } else {
            Answer::CannotFinish { name: job.name, left: deadline - self.now }
        }
    }

    pub(super) fn next(&mut self) -> Answer {
        if let Some(at) = self.doomed() {
            self.overloaded = true;
            return self.over(at);
        }
        if !self.paused
            && let Some((at, oldest)) = self.pick()
        {
            let job = self.jobs.remove(at);
            self.dispatched += 1;
            let name = job.name;
            self.running.push((job, self.now));
            return Answer::Run { name, oldest };
        }
        self.overloaded = false;
        if self.jobs.is_empty() {
            return Answer::Empty;
        }
        if self.jobs.iter().all(|job| job.start <= self.now) {
            return Answer::Blocked;
        }
        Answer::Later(self.wake().unwrap())
    }

    /// When time alone changes something.
    pub(super) fn wake(&self) -> Option<i128> {
        let starts = self.jobs.iter().map(|job| job.start).filter(|start| *start > self.now);
        let ends =
            self.jobs.iter().filter_map(|job| self.last_start(job)).map(|last| (last + 1).max(self.now));
        starts.chain(ends).min()
    }

    /// The names of what has to go for the new one, which is the last; first those that are over.
    pub(super) fn overflow(&mut self) -> Vec<u32> {
        if self.jobs.len() <= self.capacity {
            return Vec::new();
        }
        let new = self.jobs.len() - 1;
        if self.last_start(&self.jobs[new]).is_some_and(|last| self.now > last) {
            return vec![self.jobs.remove(new).name];
        }
        let mut gone = Vec::new();
        while let Some(at) = self.doomed() {
            gone.push(self.jobs.remove(at).name);
        }
        if gone.is_empty() {
            let at = (0..self.jobs.len()).max_by_key(|at| self.shed_place(&self.jobs[*at])).unwrap();
            gone.push(self.jobs.remove(at).name);
        }
        gone
    }

    pub(super) fn done(&mut self, name: u32) -> (i128, Option<i128>) {
        let at = self.running.iter().position(|(job, _)| job.name == name).unwrap();
        let (job, since) = self.running.remove(at);
        let took = self.now - since;
        self.kinds.learn(job.kind, Duration::from_nanos(took as u64), self.jobs.len());
        (took, job.deadline.filter(|deadline| self.now > *deadline).map(|deadline| self.now - deadline))
    }

    /// The wall clock went ahead by so much.
    pub(super) fn step(&mut self, by: i128) {
        for job in &mut self.jobs {
            if job.deadline_by_wall {
                job.deadline = job.deadline.map(|deadline| deadline - by);
            }
            if job.start_by_wall && job.start > self.now {
                job.start -= by;
            }
        }
    }
}
