//! A million tasks through the queue: pushed, three in ten cancelled, the rest drained. `cargo bench --bench queue`; beside the
//! peers: `benches/peers/time`.

use std::time::Duration;

use unattended::queue::{Next, Order, Pushed, Queue, Task, Value};
use unattended::rng::Rng;
use unattended::time::{Clock, Moment, Now, System};

fn main() {
    // `cargo bench -- --test` looks whether it runs, not how fast.
    let tasks = if std::env::args().any(|arg| arg == "--test") { 5000 } else { 1_000_000 };
    for (name, order) in [
        ("by value", Order::Density),
        ("by deadline", Order::Edf),
        ("by arrival", Order::Fifo),
        ("by deadline until overload", Order::EdfUntilOverload),
        ("by class and value", Order::StrictClasses),
    ] {
        let mut best = f64::INFINITY;
        let mut told = (0, 0);
        for seed in 0..3 {
            let plan = plan(tasks, seed);
            let begin = System.moment();
            told = drain(order, plan);
            best = best.min(System.moment().since(begin).as_secs_f64());
        }
        println!("{name}: {tasks} tasks in {best:.3} s ({} run, {} skipped)", told.0, told.1);
    }
}

/// Half of them worth the same until the deadline, a quarter fading in a line, a quarter by a half-life.
fn plan(tasks: usize, seed: u64) -> Vec<Task<u64>> {
    let mut rng = Rng::seeded(seed);
    let plan = (0..).take(tasks).map(|name| {
        let takes = Duration::from_micros(1000 + rng.up_to(1_000_000));
        let within = takes.mul_f64(1.5 + 18.5 * unit(&mut rng));
        let v = 1.0 + 9.0 * unit(&mut rng);
        let value = match name % 4 {
            0 | 1 => Value::step(v),
            2 => Value::linear(v, takes, within.max(takes * 2)),
            _ => Value::half_life(v, within / 2),
        };
        Task::new(name).within(within).estimate(takes).value(value.unwrap_or_default())
    });
    plan.collect()
}

fn drain(order: Order, plan: Vec<Task<u64>>) -> (usize, usize) {
    let mut now = Now { moment: Moment::from_nanos(86_400_000_000_000), wall: chrono::DateTime::UNIX_EPOCH };
    let Ok(mut queue) = Queue::builder().order(order).capacity(plan.len()).build(now) else { return (0, 0) };
    let mut ids = Vec::with_capacity(plan.len());
    for task in plan {
        if let Ok(Pushed::Queued { id, .. }) = queue.push(task, now) {
            ids.push(id);
        }
    }
    for id in ids.iter().enumerate().filter(|(at, _)| at % 10 < 3).map(|(_, id)| *id) {
        queue.cancel(id);
    }
    let (mut run, mut skipped) = (0, 0);
    loop {
        // About as fast as it goes: a second for all of them.
        now = now.after(Duration::from_micros(1));
        match queue.next(now) {
            Next::Run(task) => {
                queue.done(task.id, now);
                run += 1;
            }
            Next::Skip(_) => skipped += 1,
            Next::Later(_) | Next::Blocked | Next::Empty => return (run, skipped),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
