//! A queue by deadline and the next of a cron expression, here and in the peers, side by side in one run, and the bounds that this
//! library is held to.
//!
//! `cargo run --release > RESULTS.md` (about half a minute). A million tasks are put in, three in ten are cancelled, the rest is
//! taken out by its deadline. Every contender gets the same deadlines and a payload of 8 bytes, and gives the payloads back; the
//! figure is the best of some rounds in which the contenders take turns, since what else the machine does changes from minute to
//! minute; ratios hold better than figures. It fails if a bound is missed.
//!
//! The contenders: a `BinaryHeap` of deadline and number beside a vector of payloads and a bit for each that was cancelled, which is
//! the least that does the work; `priority-queue`, by its `remove` and `pop`; tokio-util's `DelayQueue` under tokio's paused time,
//! which is moved to the last deadline before it is drained, so that no waiting is measured. The queue here does more than
//! they do: it also looks for what has expired, ends each task by `done`, and answers with a reason.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

mod calendar;
mod memory;
#[path = "../../durable/src/report.rs"]
#[allow(dead_code, reason = "the other package uses the rest of it")]
mod report;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::hint::black_box;
use std::time::{Duration, Instant};

use priority_queue::PriorityQueue;
use report::Report;
use tokio_util::time::DelayQueue;
use unattended::queue::{Next, Order, Pushed, Queue, Task, Value};
use unattended::rng::Rng;
use unattended::time::{Moment, Now};

const TASKS: usize = 1_000_000;
const ROUNDS: u64 = 5;
const HOURS: u64 = 3_600_000;

fn main() {
    let contenders: [(&str, fn(&[u64]) -> u64); 4] = [
        ("here, by deadline", ours_by_deadline),
        ("`BinaryHeap` and a bit for each", binary_heap),
        ("priority-queue 2", priority_queue),
        ("tokio-util `DelayQueue`", delay_queue),
    ];
    let mut best = [f64::MAX; 4];
    let mut by_value = f64::MAX;
    for round in 0..ROUNDS {
        let deadlines = deadlines(round);
        let mut sums = Vec::new();
        for (best, (name, contender)) in best.iter_mut().zip(contenders) {
            let begin = Instant::now();
            sums.push(black_box(contender(&deadlines)));
            let took = begin.elapsed().as_secs_f64();
            eprintln!("{name}: {took:.3} s");
            *best = best.min(took);
        }
        assert!(sums.iter().all(|sum| *sum == sums[0]), "each gives back the same: {sums:?}");
        let tasks = valued(round);
        let begin = Instant::now();
        black_box(drain(Order::Density, tasks));
        by_value = by_value.min(begin.elapsed().as_secs_f64());
    }
    let mut report = Report::new();
    for ((name, _), seconds) in contenders.iter().zip(best) {
        report.row(&format!("1,000,000 by deadline, 300,000 cancelled: {name}"), &format!("{seconds:.3} s"));
    }
    report.at_least("times as fast as a `BinaryHeap` and a bit for each", best[1] / best[0], 1.0, "times");
    report.at_least("times as fast as priority-queue 2", best[2] / best[0], 2.0, "times");
    report.at_least("times as fast as tokio-util `DelayQueue`", best[3] / best[0], 1.4, "times");
    report.at_most("1,000,000 by value, 300,000 cancelled: here", by_value, 1.0, "s");
    report.at_most("bytes a task beside its payload, 1,000,000 by value", bytes_each(), 128.0, "bytes");
    calendar::measure(&mut report);
    println!(
        "# A queue by deadline and the next of a schedule, here and in the peers\n\n`cargo run --release` in `benches/peers/time`.\n"
    );
    println!("Load of the machine (2 processors) after: {}.\n", load());
    if !report.end() {
        std::process::exit(1);
    }
}

/// In milliseconds, 1 to 10 hours from now.
fn deadlines(seed: u64) -> Vec<u64> {
    let mut rng = Rng::seeded(seed);
    (0..TASKS).map(|_| HOURS + rng.up_to(9 * HOURS)).collect()
}

fn is_cancelled(number: usize) -> bool {
    number % 10 < 3
}

fn now() -> Now {
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: Default::default() }
}

fn ours_by_deadline(deadlines: &[u64]) -> u64 {
    let now = now();
    // Without turns for the oldest, as the others have none.
    let builder = Queue::builder().order(Order::Edf).capacity(TASKS).oldest_every(0);
    let mut queue = builder.build(now).expect("a capacity");
    let mut ids = Vec::with_capacity(TASKS);
    for (number, deadline) in deadlines.iter().enumerate() {
        match queue.push(Task::new(number as u64).within(Duration::from_millis(*deadline)), now) {
            Ok(Pushed::Queued { id, .. }) => ids.push(id),
            other => panic!("{other:?}"),
        }
    }
    for (number, id) in ids.iter().enumerate() {
        if is_cancelled(number) {
            queue.cancel(*id);
        }
    }
    let mut sum = 0_u64;
    let mut at = 0_u64;
    while let Next::Run(run) = queue.next(now) {
        at += 1;
        sum = sum.wrapping_add(run.payload.wrapping_mul(at >> 16));
        queue.done(run.id, now);
    }
    sum
}

fn binary_heap(deadlines: &[u64]) -> u64 {
    let mut heap = BinaryHeap::new();
    let mut payloads = Vec::new();
    let mut cancelled = vec![0_u64; TASKS.div_ceil(64)];
    for (number, deadline) in deadlines.iter().enumerate() {
        payloads.push(number as u64);
        heap.push(Reverse((*deadline, number as u32)));
    }
    for number in (0..TASKS).filter(|number| is_cancelled(*number)) {
        cancelled[number / 64] |= 1 << (number % 64);
    }
    let mut sum = 0_u64;
    let mut at = 0_u64;
    while let Some(Reverse((_, number))) = heap.pop() {
        let number = number as usize;
        if cancelled[number / 64] >> (number % 64) & 1 == 0 {
            at += 1;
            sum = sum.wrapping_add(payloads[number].wrapping_mul(at >> 16));
        }
    }
    sum
}

fn priority_queue(deadlines: &[u64]) -> u64 {
    let mut queue = PriorityQueue::new();
    for (number, deadline) in deadlines.iter().enumerate() {
        // With the number, so that equal deadlines come in the same order everywhere.
        queue.push(number as u64, Reverse((*deadline, number as u32)));
    }
    for number in (0..TASKS).filter(|number| is_cancelled(*number)) {
        queue.remove(&(number as u64));
    }
    let mut sum = 0_u64;
    let mut at = 0_u64;
    while let Some((number, _)) = queue.pop() {
        at += 1;
        sum = sum.wrapping_add(number.wrapping_mul(at >> 16));
    }
    sum
}

fn delay_queue(deadlines: &[u64]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let start = tokio::time::Instant::now();
        let mut queue = DelayQueue::new();
        let mut keys = Vec::with_capacity(TASKS);
        for (number, deadline) in deadlines.iter().enumerate() {
            keys.push(queue.insert_at(number as u64, start + Duration::from_millis(*deadline)));
        }
        for (number, key) in keys.iter().enumerate() {
            if is_cancelled(number) {
                queue.remove(key);
            }
        }
        tokio::time::advance(Duration::from_millis(11 * HOURS)).await;
        // It does not order equal milliseconds, so the payloads are summed by the deadline's place.
        let mut sum = 0_u64;
        let mut at = 0_u64;
        let mut same: Vec<(u64, u64)> = Vec::new();
        while let Some(expired) = poll_fn(|context| queue.poll_expired(context)).await {
            let number = expired.into_inner();
            let deadline = deadlines[number as usize];
            if same.first().is_some_and(|first| first.0 != deadline) {
                take(&mut same, &mut at, &mut sum);
            }
            same.push((deadline, number));
        }
        take(&mut same, &mut at, &mut sum);
        sum
    })
}

fn take(same: &mut Vec<(u64, u64)>, at: &mut u64, sum: &mut u64) {
    same.sort_unstable();
    for (_, number) in same.drain(..) {
        *at += 1;
        *sum = sum.wrapping_add(number.wrapping_mul(*at >> 16));
    }
}

/// Half of them worth the same until the deadline, a quarter fading in a line, a quarter by a half-life.
fn valued(seed: u64) -> Vec<Task<u64>> {
    let mut rng = Rng::seeded(seed);
    let mut unit = move || rng.up_to(1_000_000) as f64 / 1e6;
    let task = |number: u64| {
        let takes = Duration::from_secs_f64(0.001 + unit());
        let within = takes.mul_f64(1.5 + 18.5 * unit());
        let v = 1.0 + 9.0 * unit();
        let value = match number % 4 {
            0 | 1 => Value::step(v),
            2 => Value::linear(v, takes, within.max(takes * 2)),
            _ => Value::half_life(v, within / 2),
        };
        Task::new(number).within(within).estimate(takes).value(value.expect("in its range"))
    };
    (0..TASKS as u64).map(task).collect()
}

fn drain(order: Order, tasks: Vec<Task<u64>>) -> u64 {
    let mut now = now();
    let mut queue = Queue::builder().order(order).capacity(TASKS).build(now).expect("a capacity");
    let mut ids = Vec::with_capacity(TASKS);
    for task in tasks {
        match queue.push(task, now) {
            Ok(Pushed::Queued { id, .. }) => ids.push(id),
            other => panic!("{other:?}"),
        }
    }
    for (number, id) in ids.iter().enumerate() {
        if is_cancelled(number) {
            queue.cancel(*id);
        }
    }
    let mut sum = 0;
    loop {
        // About as fast as it goes: a second for all of them.
        now.moment = now.moment.after(Duration::from_micros(1));
        match queue.next(now) {
            Next::Run(run) => {
                sum ^= run.payload;
                queue.done(run.id, now);
            }
            Next::Skip(skipped) => sum ^= skipped.payload,
            Next::Later(_) | Next::Blocked | Next::Empty => return sum,
        }
    }
}

/// What the allocator has handed out for a full queue, once it is in order.
fn bytes_each() -> f64 {
    let tasks = valued(0);
    let before = memory::live();
    let mut queue = Queue::builder().capacity(TASKS).build(now()).expect("a capacity");
    for task in tasks.iter().cloned() {
        assert!(matches!(queue.push(task, now()), Ok(Pushed::Queued { .. })));
    }
    assert!(matches!(queue.next(now()), Next::Run(_)));
    let bytes = memory::live() - before;
    drop(queue);
    bytes as f64 / TASKS as f64 - size_of::<u64>() as f64
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
