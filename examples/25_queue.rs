//! What is worth doing next, and what no longer is.

use std::time::Duration;
use unattended::queue::{Next, Pushed, Queue, Task, Value};
use unattended::time::{Moment, Now};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut now = Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH };
    let (seconds, mut queue) = (Duration::from_secs, Queue::new(now));
    for task in [
        Task::new("report").estimate(seconds(10)).value(Value::linear(50.0, seconds(5), seconds(60))?),
        Task::new("password").within(seconds(30)).estimate(seconds(2)).value(Value::step(20.0)?),
        Task::new("reminder").within(seconds(11)).estimate(seconds(1)),
        Task::new("cleanup").delay(seconds(90)).key("disk"),
    ] {
        assert!(matches!(queue.push(task, now)?, Pushed::Queued { .. }));
    }
    loop {
        match queue.next(now) {
            Next::Run(run) => {
                println!("{}: {}", run.payload, run.why);
                now = now.after(seconds(10));
                queue.done(run.id, now);
            }
            Next::Skip(over) => println!("{} is dropped: {}", over.payload, over.why),
            Next::Later(moment) => now = now.after(moment.since(now.moment)),
            _ => return Ok(()),
        }
    }
}
