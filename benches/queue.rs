//! A million tasks through the queue: pushed, three in ten cancelled, the rest drained. `cargo bench --bench queue`; beside the
//! peers: `benches/peers/time`.

use std::time::Duration;

use unattended::queue::{Id, Next, Order, Pushed, Queue, Reschedule, Task, Value};
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
    for (name, storm) in STORMS {
        let n = tasks / 10;
        let begin = System.moment();
        let calls = storm(n);
        let took = System.moment().since(begin);
        println!("{name}: {n} tasks, {calls} calls, {:.2} µs each", took.as_secs_f64() * 1e6 / calls as f64);
    }
}

/// Stories that are dear where something is not as cheap as it is said to be: how many tasks, and how many calls that took.
type Storm = fn(usize) -> usize;

const STORMS: [(&str, Storm); 7] = [
    ("all of one key", of_one_key),
    ("keyed tasks are pushed and cancelled", cancelled_with_keys),
    ("a full queue of fading worths is pushed to", full_and_fading),
    ("a learned estimate goes up and down", learned_up_and_down),
    ("paused and resumed", paused_and_resumed),
    ("rescheduled before its time", rescheduled),
    ("the same half-life for all", fading_alike),
];

fn start() -> Now {
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: chrono::DateTime::UNIX_EPOCH }
}

fn filled(n: usize, task: impl Fn(u64) -> Task<u64>) -> (Queue<u64>, Vec<Id>) {
    let mut queue = Queue::builder().capacity(n).build(start()).unwrap_or_else(|_| Queue::new(start()));
    let ids = (0..).take(n).filter_map(|name| match queue.push(task(name), start()) {
        Ok(Pushed::Queued { id, .. }) => Some(id),
        _ => None,
    });
    let ids = ids.collect();
    (queue, ids)
}

/// Runs `calls` of them, a millisecond each.
fn run(queue: &mut Queue<u64>, calls: usize, takes: impl Fn(usize) -> Duration) -> usize {
    let mut now = start();
    for call in 0..calls {
        if let Next::Run(task) = queue.next(now) {
            now = now.after(takes(call));
            queue.done(task.id, now);
        }
    }
    calls
}

fn of_one_key(n: usize) -> usize {
    let (mut queue, _) = filled(n, |_| Task::new(0).key("k"));
    run(&mut queue, n, |_| Duration::from_millis(1))
}

fn cancelled_with_keys(n: usize) -> usize {
    let (mut queue, ids) = filled(n, |name| Task::new(name).key(if name % 2 == 0 { "a" } else { "b" }));
    let Next::Run(_) = queue.next(start()) else { return 1 };
    ids.iter().filter_map(|id| queue.cancel(*id)).count()
}

fn full_and_fading(n: usize) -> usize {
    let value = |name: u64| Value::half_life(1.0 + (name % 97) as f64, Duration::from_secs(1 + name % 13));
    let (mut queue, _) = filled(n / 10, |name| Task::new(name).value(value(name).unwrap_or_default()));
    let mut now = start();
    for name in (0..).take(n) {
        now = now.after(Duration::from_millis(1));
        let _pushed = queue.push(Task::new(name).value(value(name).unwrap_or_default()), now);
    }
    n
}

fn learned_up_and_down(n: usize) -> usize {
    const KINDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let (mut queue, _) = filled(n, |name| Task::new(name).kind(KINDS[(name % 8) as usize]));
    run(&mut queue, n / 10, |call| Duration::from_millis(if call / 50 % 2 == 0 { 100 } else { 500 }))
}

fn paused_and_resumed(n: usize) -> usize {
    let (mut queue, ids) = filled(n, Task::new);
    for id in &ids {
        queue.pause(*id);
        queue.resume(*id, start());
        queue.pause(*id);
    }
    let _next = queue.next(start());
    for id in &ids {
        queue.resume(*id, start());
    }
    4 * n
}

fn rescheduled(n: usize) -> usize {
    let (mut queue, ids) = filled(n, |name| Task::new(name).delay(Duration::from_secs(60 + name)));
    for id in &ids {
        let _changed = queue.reschedule(*id, Reschedule::new().value(Value::ONE), start());
    }
    n
}

/// The worst for bounds: all fall below each other at once.
fn fading_alike(n: usize) -> usize {
    let value = Value::half_life(5.0, Duration::from_secs(600)).unwrap_or_default();
    let (mut queue, _) = filled(n / 10, |name| Task::new(name).value(value.clone()));
    run(&mut queue, n / 100, |_| Duration::from_millis(10))
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
