//! One-time passwords that live for 30 s, reports that live for 2 minutes, and cleaning up; and more of it than fits.
//!
//! The same ten minutes of work for one worker, twice: in the order in which it came, and through the queue.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use unattended::explain::Explain;
use unattended::queue::{Error, Next, Pushed, Queue, Task, Value};
use unattended::time::{Moment, Now};

/// What comes in: each so many seconds, good for so long, taking so long, and what it is worth in time.
const WORK: [(&str, u64, u64, u64, f64); 3] =
    [("send_otp", 4, 30, 2, 10.0), ("email_report", 15, 120, 12, 8.0), ("cleanup", 60, 3600, 45, 1.0)];
const TEN_MINUTES: u64 = 600;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let needed: u64 = (0..TEN_MINUTES).flat_map(coming).map(|(_, _, _, takes, _)| takes).sum();
    println!("{TEN_MINUTES} s of one worker, {needed} s of work");
    let first_come = in_the_order_of_arrival();
    let queued = through_the_queue()?;
    println!("value: {first_come} first come, first served; {queued} through the queue");
    Ok(())
}

fn through_the_queue() -> Result<f64, Box<dyn std::error::Error>> {
    let mut queue = Queue::new(at(0));
    let (mut ends, mut said) = (BTreeMap::new(), BTreeMap::new());
    let (mut busy_until, mut value) = (0, 0.0);
    for second in 0..TEN_MINUTES {
        for work in coming(second) {
            if let Pushed::Shed(over) = queue.push(task(work)?, at(second))? {
                println!("{}: {}", over.payload.0, over.why);
            }
        }
        while second >= busy_until {
            let (name, code) = match queue.next(at(second)) {
                Next::Run(run) => {
                    let (name, _, within, takes, worth) = run.payload;
                    busy_until = second + takes;
                    let done = queue.done(run.id, at(busy_until));
                    value += if done.is_some_and(|done| done.late.is_none()) { worth } else { 0.0 };
                    said.entry(run.why.code())
                        .or_insert_with(|| format!("{name} (good for {within} s): {}", run.why));
                    (name, "done")
                }
                Next::Skip(over) => {
                    said.entry(over.why.code())
                        .or_insert_with(|| format!("{}: {}", over.payload.0, over.why));
                    (over.payload.0, over.why.code())
                }
                Next::Later(_) | Next::Blocked | Next::Empty => break,
            };
            *ends.entry((name, code)).or_insert(0) += 1;
        }
    }
    for ((name, code), times) in ends {
        println!("{name:12} {code:20} {times:3}");
    }
    println!("still waiting {:23}", queue.len());
    for (code, sentence) in said {
        println!("{code}: {sentence}");
    }
    Ok(value)
}

type Work = (&'static str, u64, u64, u64, f64);

fn task(work: Work) -> Result<Task<Work>, Error> {
    let (name, _, within, takes, worth) = work;
    let task = Task::new(work).kind(name).within(Duration::from_secs(within));
    Ok(task.estimate(Duration::from_secs(takes)).value(Value::step(worth)?))
}

fn in_the_order_of_arrival() -> f64 {
    let (mut queue, mut free_at, mut value) = (VecDeque::new(), 0, 0.0);
    for second in 0..TEN_MINUTES {
        queue.extend(coming(second).map(|work| (second, work)));
        if second >= free_at
            && let Some((came, (_, _, within, takes, worth))) = queue.pop_front()
        {
            free_at = second + takes;
            value += if free_at <= came + within { worth } else { 0.0 };
        }
    }
    value
}

fn coming(second: u64) -> impl Iterator<Item = Work> {
    WORK.into_iter().filter(move |(_, every, ..)| second.is_multiple_of(*every))
}

fn at(second: u64) -> Now {
    let start = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    start.after(Duration::from_secs(second))
}
