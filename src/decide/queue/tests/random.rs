//! Random stories, told to the queue and to a scan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop, proptest};

use crate::base::time::{Moment, Now, later};
use crate::decide::queue::tests::scan::{Answer, Job, MS, Scan};
use crate::decide::queue::tests::value::values;
use crate::decide::queue::{Id, Next, Order, Picked, Pushed, Queue, Reschedule, Saved, Skip, Task, Value};

const ORDERS: [Order; 5] =
    [Order::Density, Order::Fifo, Order::Edf, Order::EdfUntilOverload, Order::StrictClasses];
const START: u64 = 86_400_000_000_000;
const KINDS: [&str; 2] = ["mail", "report"];

#[derive(Clone, Debug)]
struct New {
    deadline: Option<(u32, bool)>,
    start: Option<(u32, bool)>,
    estimate: Option<u32>,
    kind: Option<u8>,
    key: Option<u8>,
    class: u8,
    value: Value,
}

#[derive(Clone, Debug)]
enum Act {
    Push(New),
    Next,
    Done(u8),
    Cancel(u8),
    Pause(u8),
    Resume(u8),
    Change(u8, New, u8),
    Wait(u32),
    Step(i8),
    All(bool),
    Save,
}

fn new() -> impl Strategy<Value = New> {
    let at = || prop::option::weighted(0.7, (0u32..3000, any::<bool>()));
    (
        at(),
        prop::option::weighted(0.2, (0u32..500, any::<bool>())),
        prop::option::weighted(0.5, 1u32..400),
        prop::option::of(0u8..2),
        prop::option::weighted(0.4, 0u8..3),
        0u8..4,
        values(),
    )
        .prop_map(|(deadline, start, estimate, kind, key, class, value)| {
            // Within the deadline, so that it is taken.
            let start = start.map(|(at, wall)| (deadline.map_or(at, |(end, _)| at.min(end)), wall));
            New { deadline, start, estimate, kind, key, class, value }
        })
}

fn act() -> impl Strategy<Value = Act> {
    proptest::prop_oneof![
        8 => new().prop_map(Act::Push),
        6 => proptest::strategy::Just(Act::Next),
        3 => any::<u8>().prop_map(Act::Done),
        1 => any::<u8>().prop_map(Act::Cancel),
        1 => any::<u8>().prop_map(Act::Pause),
        1 => any::<u8>().prop_map(Act::Resume),
        1 => (any::<u8>(), new(), any::<u8>()).prop_map(|(which, new, what)| Act::Change(which, new, what)),
        3 => (0u32..300).prop_map(Act::Wait),
        1 => (-100i8..100).prop_map(Act::Step),
        1 => any::<bool>().prop_map(Act::All),
        1 => proptest::strategy::Just(Act::Save),
    ]
}

fn nanos(ms: u32) -> i128 {
    i128::from(ms) * MS
}

fn ms(n: u32) -> Duration {
    Duration::from_millis(u64::from(n))
}

struct Story {
    queue: Queue<u32>,
    scan: Scan,
    now: Now,
    names: u32,
    waiting: BTreeMap<u32, Id>,
    running: BTreeMap<u32, Id>,
    ends: BTreeMap<u32, &'static str>,
    saves: bool,
}

impl Story {
    fn new(order: Order, capacity: usize, every: u32, saves: bool) -> Self {
        let now = Now { moment: Moment::from_nanos(START), wall: chrono::DateTime::UNIX_EPOCH };
        let builder = Queue::builder().order(order).capacity(capacity).oldest_every(every);
        let scan = Scan {
            order,
            capacity,
            every,
            now: i128::from(START),
            jobs: Vec::new(),
            running: Vec::new(),
            dispatched: 0,
            overloaded: false,
            paused: false,
            kinds: crate::decide::queue::kinds::Kinds::default(),
        };
        let (waiting, running, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { queue: builder.build(now).unwrap(), scan, now, names: 0, waiting, running, ends, saves }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Push(new) => self.push(&new),
            Act::Next => self.next(),
            Act::Done(which) => {
                if let Some((name, id)) = nth(&self.running, which) {
                    let (took, late) = self.scan.done(name);
                    let done = self.queue.done(id, self.now).unwrap();
                    assert_eq!(
                        (done.took.as_nanos() as i128, done.late.map(|by| by.as_nanos() as i128)),
                        (took, late)
                    );
                    assert_eq!(self.queue.done(id, self.now), None);
                    self.running.remove(&name);
                    self.end(name, "done");
                }
            }
            Act::Cancel(which) => {
                if let Some((name, id)) = nth(&self.waiting, which) {
                    assert_eq!(self.queue.cancel(id), Some(name));
                    assert_eq!(self.queue.cancel(id), None);
                    self.scan.jobs.retain(|job| job.name != name);
                    self.end(name, "cancelled");
                }
            }
            Act::Pause(which) => self.pause(which, true),
            Act::Resume(which) => self.pause(which, false),
            Act::Change(which, new, what) => self.change(which, &new, what),
            Act::Wait(time) => {
                self.now = self.now.after(ms(time));
                self.scan.now += nanos(time);
            }
            Act::Step(seconds) => self.step(i64::from(seconds)),
            Act::All(paused) => {
                self.scan.paused = paused;
                if paused { self.queue.pause_all() } else { self.queue.resume_all() }
            }
            Act::Save => self.save(),
        }
    }

    fn push(&mut self, new: &New) {
        let name = self.names;
        self.names += 1;
        let mut task = Task::new(name).value(new.value.clone()).class(new.class);
        let kind = new.kind.map(|kind| KINDS[usize::from(kind)]);
        if let Some((at, wall)) = new.deadline {
            task = if wall { task.deadline(later(self.now.wall, ms(at))) } else { task.within(ms(at)) };
        }
        if let Some((at, wall)) = new.start {
            task = if wall { task.not_before(later(self.now.wall, ms(at))) } else { task.delay(ms(at)) };
        }
        if let Some(time) = new.estimate {
            task = task.estimate(ms(time));
        }
        if let Some(kind) = kind {
            task = task.kind(kind);
        }
        if let Some(key) = new.key {
            task = task.key(&key.to_string());
        }
        let now = self.scan.now;
        let job = Job {
            name,
            arrival: u64::from(name),
            submitted: now,
            deadline: new.deadline.map(|(at, _)| now + nanos(at)),
            deadline_by_wall: new.deadline.is_some_and(|(_, wall)| wall),
            start: now + new.start.map_or(0, |(at, _)| nanos(at)),
            start_by_wall: new.start.is_some_and(|(_, wall)| wall),
            estimate: new.estimate.map(|time| u64::from(time) * 1_000_000),
            kind: kind.map_or(0, |kind| self.scan.kinds.number(kind)),
            key: new.key,
            class: new.class,
            value: new.value.clone(),
            paused: false,
        };
        self.scan.jobs.push(job);
        let gone = self.scan.overflow();
        match self.queue.push(task, self.now).unwrap() {
            Pushed::Queued { id, dropped } => {
                assert_eq!(dropped.iter().map(|skipped| skipped.payload).collect::<Vec<_>>(), gone);
                self.waiting.insert(name, id);
                for skipped in dropped {
                    self.end(skipped.payload, code(skipped.why));
                }
            }
            Pushed::Shed(skipped) => {
                assert_eq!((skipped.payload, vec![name]), (name, gone));
                self.end(name, code(skipped.why));
            }
        }
    }

    fn next(&mut self) {
        let expected = self.scan.next();
        let at = |moment: Moment| i128::from(moment.as_nanos());
        let answer = match self.queue.next(self.now) {
            Next::Run(run) => {
                self.waiting.remove(&run.payload);
                self.running.insert(run.payload, run.id);
                Answer::Run { name: run.payload, oldest: matches!(run.why, Picked::OldestTurn { .. }) }
            }
            Next::Skip(skipped) => {
                self.end(skipped.payload, code(skipped.why));
                match skipped.why {
                    Skip::Expired { by } => {
                        Answer::Expired { name: skipped.payload, by: by.as_nanos() as i128 }
                    }
                    Skip::CannotFinish { left, .. } => {
                        Answer::CannotFinish { name: skipped.payload, left: left.as_nanos() as i128 }
                    }
                    why => panic!("{why:?}"),
                }
            }
            Next::Later(moment) => Answer::Later(at(moment)),
            Next::Blocked => Answer::Blocked,
            Next::Empty => Answer::Empty,
        };
        assert_eq!(answer, expected);
        assert_eq!(self.queue.next_wake(self.now).map(at), self.scan.wake());
        assert_eq!((self.queue.len(), self.queue.running()), (self.scan.jobs.len(), self.scan.running.len()));
    }

    fn pause(&mut self, which: u8, on: bool) {
        let Some((name, id)) = nth(&self.waiting, which) else { return };
        let known = if on { self.queue.pause(id) } else { self.queue.resume(id, self.now) };
        assert!(known);
        self.scan.jobs.iter_mut().find(|job| job.name == name).unwrap().paused = on;
    }

    fn change(&mut self, which: u8, new: &New, what: u8) {
        let Some((name, id)) = nth(&self.waiting, which) else { return };
        let now = self.scan.now;
        let job = self.scan.jobs.iter_mut().find(|job| job.name == name).unwrap();
        let before = job.clone();
        let mut change = Reschedule::new();
        if what & 1 > 0 {
            change = match new.deadline {
                Some((at, true)) => change.deadline(later(self.now.wall, ms(at))),
                Some((at, false)) => change.within(ms(at)),
                None => change.no_deadline(),
            };
            job.deadline = new.deadline.map(|(at, _)| now + nanos(at));
            job.deadline_by_wall = new.deadline.is_some_and(|(_, wall)| wall);
        }
        if let (Some((at, wall)), true) = (new.start, what & 2 > 0) {
            change =
                if wall { change.not_before(later(self.now.wall, ms(at))) } else { change.delay(ms(at)) };
            (job.start, job.start_by_wall) = (now + nanos(at), wall);
        }
        if what & 4 > 0 {
            change = change.value(new.value.clone());
            job.value = new.value.clone();
        }
        if let (Some(time), true) = (new.estimate, what & 8 > 0) {
            change = change.estimate(ms(time));
            job.estimate = Some(u64::from(time) * 1_000_000);
        }
        let timed = what & 1 > 0 || (what & 2 > 0 && new.start.is_some());
        let waits = job.start > now || (what & 2 > 0 && new.start.is_some());
        let bad = timed && waits && job.deadline.is_some_and(|deadline| deadline < job.start);
        if bad {
            *job = before;
            self.queue.reschedule(id, change, self.now).unwrap_err();
        } else {
            assert!(self.queue.reschedule(id, change, self.now).unwrap());
        }
    }

    fn step(&mut self, seconds: i64) {
        let by = if seconds.abs() <= 2 { 5 } else { seconds };
        self.now.wall += chrono::TimeDelta::seconds(by);
        self.scan.step(i128::from(by) * 1000 * MS);
        // Noticed at once, whatever is called first.
        self.queue.next_wake(self.now);
    }

    /// Through its saved form and back, if nothing runs (what runs is told apart elsewhere).
    fn save(&mut self) {
        if !self.saves || !self.running.is_empty() {
            return;
        }
        let text = serde_json::to_string(&self.queue.save(self.now, |_| None)).unwrap();
        let saved: Saved<u32> = serde_json::from_str(&text).unwrap();
        let builder = self.queue.config;
        let (queue, noticed) = Queue::restore(builder, saved, self.now).unwrap();
        assert_eq!(noticed, []);
        let names: Vec<u32> = self.waiting.keys().copied().collect();
        self.waiting =
            names.into_iter().zip(queue.list(self.now).into_iter().map(|listed| listed.id)).collect();
        self.queue = queue;
    }

    fn end(&mut self, name: u32, how: &'static str) {
        self.waiting.remove(&name);
        assert_eq!(self.ends.insert(name, how), None, "{name} ended twice");
    }

    /// Runs all that is left to its end: each task has one.
    fn finish(mut self) {
        self.act(Act::All(false));
        for which in (0..=u8::MAX).take(self.waiting.len()) {
            self.pause(which, false);
        }
        for round in 0..10 * self.names + 30 {
            self.next();
            while !self.running.is_empty() {
                self.act(Act::Done(0));
            }
            if self.scan.jobs.is_empty() {
                break;
            }
            self.act(Act::Wait(if round < 20 { 100 } else { 500_000 }));
        }
        assert!(self.queue.is_empty() && self.waiting.is_empty());
        assert_eq!(self.ends.len(), self.names as usize);
        assert_eq!(self.ends.keys().copied().collect::<BTreeSet<_>>(), (0..self.names).collect());
    }
}

fn code(why: Skip) -> &'static str {
    use crate::base::explain::Explain;
    assert!(!why.to_string().is_empty());
    why.code()
}

fn nth(of: &BTreeMap<u32, Id>, which: u8) -> Option<(u32, Id)> {
    of.iter().nth(usize::from(which) % of.len().max(1)).map(|(name, id)| (*name, *id))
}

fn every_order(acts: &[Act], capacity: usize, every: u32, saves: bool) {
    for order in ORDERS {
        let mut story = Story::new(order, capacity, every, saves);
        for act in acts {
            story.act(act.clone());
        }
        story.finish();
    }
}

proptest! {
    #[test]
    fn the_queue_chooses_what_a_scan_of_all_tasks_chooses(
        acts in prop::collection::vec(act(), 1..150), every in 0u32..5,
    ) {
        every_order(&acts, 1000, every, false);
    }

    #[test]
    fn a_full_queue_drops_what_a_scan_of_all_tasks_drops(
        acts in prop::collection::vec(act(), 1..150), capacity in 1usize..12,
    ) {
        every_order(&acts, capacity, 3, false);
    }

    #[test]
    fn the_order_survives_being_saved(acts in prop::collection::vec(act(), 1..120)) {
        every_order(&acts, 20, 4, true);
    }
}
