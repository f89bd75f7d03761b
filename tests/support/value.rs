//! What a queue's order is worth: one worker, virtual time, more work than fits. Shared by `benches/value_curve.rs`, which writes
//! the page and the picture, and by the tests, which hold them to it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use unattended::queue::{Next, Order, Queue, Task, Value, density};
use unattended::rng::Rng;
use unattended::time::{Moment, Now};

pub const LOADS: [f64; 8] = [0.5, 0.75, 0.95, 1.2, 1.5, 2.0, 2.5, 3.0];
pub const NOISES: [f64; 2] = [0.0, 0.5];
pub const SEEDS: [u64; 3] = [1, 2, 3];
pub const TASKS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Fifo,
    FifoExpiry,
    Edf,
    EdfExpiry,
    EdfEstimates,
    Density,
}

/// The columns of the table and the lines of the picture, with their colours: readable on a light and on a dark page.
pub const POLICIES: [(Policy, &str, &str); 6] = [
    (Policy::Fifo, "FIFO", "#868e96"),
    (Policy::FifoExpiry, "FIFO, expired are skipped", "#2b8a9e"),
    (Policy::Edf, "EDF", "#ae3ec9"),
    (Policy::EdfExpiry, "EDF, expired are skipped", "#4c6ef5"),
    (Policy::EdfEstimates, "EDF, hopeless are skipped", "#2f9e44"),
    (Policy::Density, "density (the default)", "#e8590c"),
];

#[derive(Clone, Debug)]
struct Job {
    /// When it arrives, in nanoseconds from the beginning.
    at: u64,
    takes: Duration,
    estimate: Duration,
    within: Duration,
    value: Value,
}

/// How much of the value that could at most be had each order gets, in percent.
pub fn shares(load: f64, noise: f64, seeds: &[u64], tasks: usize) -> Vec<f64> {
    let mut sums = vec![0.0; POLICIES.len()];
    for seed in seeds {
        let jobs = jobs(load, noise, *seed, tasks);
        let bound = bound(&jobs);
        for (sum, (policy, ..)) in sums.iter_mut().zip(POLICIES) {
            *sum += 100.0 * accrued(policy, &jobs) / bound / seeds.len() as f64;
        }
    }
    sums
}

/// Poisson arrivals; durations of 20 to 180 ms; values lognormal, of three kinds; deadlines of 1.5 to 20 times
/// the duration.
fn jobs(load: f64, noise: f64, seed: u64, tasks: usize) -> Vec<Job> {
    let mut rng = Rng::seeded(seed);
    let mut at = 0.0;
    let job = |number: usize| {
        at += -(unit(&mut rng).ln()) * 0.1 / load;
        let takes = Duration::from_secs_f64(0.02 + 0.16 * unit(&mut rng));
        let within = takes.mul_f64(1.5 + 18.5 * unit(&mut rng));
        let v = normal(&mut rng).exp();
        let value = match number % 4 {
            0 | 1 => Value::step(v),
            2 => Value::linear(v, takes, within.max(takes * 2)),
            _ => Value::half_life(v, within / 2),
        };
        let estimate = takes.mul_f64((noise * normal(&mut rng)).exp());
        Job { at: (at * 1e9) as u64, takes, estimate, within, value: value.unwrap_or_default() }
    };
    (0..tasks).map(job).collect()
}

/// No order can have more: every task begun when it arrives and worth what it is then, the densest first, in parts if need be,
/// until the time is used up.
fn bound(jobs: &[Job]) -> f64 {
    let worth = |job: &Job| density(job.value.after(job.takes), job.takes);
    let mut densest: Vec<&Job> = jobs.iter().collect();
    densest.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let end = jobs.iter().map(|job| job.at as f64 / 1e9 + job.within.as_secs_f64()).fold(0.0, f64::max);
    let mut left = end;
    let mut sum = 0.0;
    for job in densest {
        let part = (left / job.takes.as_secs_f64()).clamp(0.0, 1.0);
        sum += part * job.value.after(job.takes);
        left -= job.takes.as_secs_f64();
    }
    sum
}

fn accrued(policy: Policy, jobs: &[Job]) -> f64 {
    if policy == Policy::Edf {
        return accrued_by_deadline_alone(jobs);
    }
    let order = match policy {
        Policy::Fifo | Policy::FifoExpiry => Order::Fifo,
        Policy::Edf | Policy::EdfExpiry | Policy::EdfEstimates => Order::Edf,
        Policy::Density => Order::Density,
    };
    let mut now = clock(0);
    let Ok(mut queue) = Queue::builder().order(order).capacity(jobs.len()).build(now) else { return 0.0 };
    let mut coming = jobs.iter().enumerate().peekable();
    let mut sum = 0.0;
    loop {
        while let Some((number, job)) = coming.next_if(|(_, job)| job.at <= now.moment.as_nanos()) {
            let Ok(_) = queue.push(task(policy, number, job), clock(job.at)) else { return 0.0 };
        }
        match queue.next(now) {
            Next::Run(run) => {
                let job = &jobs[run.payload];
                now = now.after(job.takes);
                queue.done(run.id, now);
                sum += had(job, now.moment.as_nanos());
            }
            Next::Skip(_) => {}
            Next::Later(_) | Next::Blocked | Next::Empty => match coming.peek() {
                Some((_, job)) => now = clock(job.at),
                None => return sum,
            },
        }
    }
}

fn task(policy: Policy, number: usize, job: &Job) -> Task<usize> {
    let task = Task::new(number);
    match policy {
        // Late work is done all the same, and worth nothing.
        Policy::Fifo | Policy::Edf => task,
        // As if nothing took any time: then nothing is hopeless before it has expired.
        Policy::FifoExpiry | Policy::EdfExpiry => task.within(job.within).estimate(Duration::from_nanos(1)),
        Policy::EdfEstimates | Policy::Density => {
            task.within(job.within).estimate(job.estimate).value(job.value.clone())
        }
    }
}

/// The queue never begins what has expired, so the textbook's earliest deadline first is a heap.
fn accrued_by_deadline_alone(jobs: &[Job]) -> f64 {
    let mut heap = BinaryHeap::new();
    let (mut now, mut sum) = (0, 0.0);
    let mut coming = jobs.iter().enumerate().peekable();
    loop {
        while let Some((number, job)) = coming.next_if(|(_, job)| job.at <= now) {
            heap.push(Reverse((job.at + nanos(job.within), number)));
        }
        match (heap.pop(), coming.peek()) {
            (Some(Reverse((_, number))), _) => {
                now += nanos(jobs[number].takes);
                sum += had(&jobs[number], now);
            }
            (None, Some((_, job))) => now = job.at,
            (None, None) => return sum,
        }
    }
}

/// What a job that is done at `end` is worth: nothing after its deadline.
fn had(job: &Job, end: u64) -> f64 {
    let age = Duration::from_nanos(end - job.at);
    if age > job.within { 0.0 } else { job.value.after(age) }
}

fn clock(at: u64) -> Now {
    Now { moment: Moment::ZERO, wall: chrono::DateTime::UNIX_EPOCH }.after(Duration::from_nanos(at))
}

fn nanos(time: Duration) -> u64 {
    unattended::time::nanos(time)
}

/// More than nothing and at most 1.
fn unit(rng: &mut Rng) -> f64 {
    ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * unit(rng).ln()).sqrt() * (std::f64::consts::TAU * unit(rng)).cos()
}

/// A row of the table.
pub fn row(load: f64, shares: &[f64]) -> String {
    let cells: Vec<String> = shares.iter().map(|share| format!("{share:.1}")).collect();
    format!("| {load} | {} |", cells.join(" | "))
}

/// The page: how it was measured, and a table for each noise.
pub fn page(tables: &[Vec<Vec<f64>>]) -> String {
    let mut page = String::from(HEAD);
    for (noise, rows) in NOISES.iter().zip(tables) {
        let names: Vec<&str> = POLICIES.iter().map(|(_, name, _)| *name).collect();
        line(&mut page, format_args!("\n## {}\n", title(*noise)));
        line(
            &mut page,
            format_args!("| load | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len())),
        );
        for (load, shares) in LOADS.iter().zip(rows) {
            line(&mut page, format_args!("{}", row(*load, shares)));
        }
    }
    page
}

fn title(noise: f64) -> String {
    if noise == 0.0 { "Exact estimates".into() } else { format!("Estimates with a noise of {noise}") }
}

const HEAD: &str = "\
# What an order is worth

![The value that each order has at each load](value_curve.svg)

One worker that does not interrupt what it has begun; tasks arrive at random and are worth something until their deadline. In
percent of what could at most be had: the bound ignores when tasks arrive and lets them be done in parts, so that nothing
reaches it. A load of 2 is twice the work that can be done.

Poisson arrivals, durations of 20 to 180 ms and deadlines of 1.5 to 20 times the duration (both uniform), values lognormal
(sigma 1): half of them hold until the deadline, a quarter falls in a line to nothing, a quarter has a half-life of half its time. What is
done after its deadline is worth nothing. 10,000 tasks for each of the seeds 1, 2 and 3, in virtual time: the figures are the same
on every machine. Noise is the sigma of the lognormal factor by which an estimate is wrong; the estimates are declared. FIFO and
EDF alone begin also what has expired; those that skip what has expired know no estimates; the last two skip also what cannot be
finished. All queues are as they come: also in the order of density each 16th that is begun is the oldest.

How much of the bound can be reached depends on how long tasks take: the worker cannot begin what has expired before it is free. With
exponential durations (many of a few milliseconds) density has 66 percent at a load of 3 with exact estimates, and the orders by
deadline at most 37.

`cargo bench --bench value_curve -- --write` writes this page and the picture.
";

/// The tables of a page, as it says them.
pub fn tables(page: &str) -> Vec<Vec<Vec<f64>>> {
    let mut tables = Vec::new();
    for line in page.lines() {
        let cells: Vec<f64> = line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
        if line.starts_with("| load |") {
            tables.push(Vec::new());
        } else if let (Some(table), Some((_, shares))) = (tables.last_mut(), cells.split_first()) {
            table.push(shares.to_vec());
        }
    }
    tables
}

/// The picture of the tables: grey and middling colours, for a light and a dark page.
pub fn picture(tables: &[Vec<Vec<f64>>]) -> String {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 400\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#868e96\">\n",
    );
    for (at, (noise, rows)) in NOISES.iter().zip(tables).enumerate() {
        panel(&mut svg, 50.0 + 440.0 * at as f64, &title(*noise), rows);
    }
    for (at, (_, name, colour)) in POLICIES.iter().enumerate() {
        let (x, y) = (50.0 + 290.0 * (at % 3) as f64, 360.0 + 22.0 * (at / 3) as f64);
        line(
            &mut svg,
            format_args!("<rect x=\"{x}\" y=\"{}\" width=\"22\" height=\"4\" fill=\"{colour}\"/>", y - 6.0),
        );
        line(&mut svg, format_args!("<text x=\"{}\" y=\"{y}\">{name}</text>", x + 30.0));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, title: &str, rows: &[Vec<f64>]) {
    let (top, width, height) = (40.0, 380.0, 250.0);
    let x = |load: f64| left + (load - LOADS[0]) / (LOADS[LOADS.len() - 1] - LOADS[0]) * width;
    let y = |share: f64| top + (100.0 - share) / 100.0 * height;
    line(svg, format_args!("<text x=\"{left}\" y=\"24\" font-size=\"14\">{title}</text>"));
    for share in [0.0, 20.0, 40.0, 60.0, 80.0, 100.0] {
        let (at, right) = (y(share), left + width);
        line(
            svg,
            format_args!(
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#868e96\" stroke-opacity=\"0.35\"/>"
            ),
        );
        line(
            svg,
            format_args!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{share} %</text>",
                left - 6.0,
                at + 4.0
            ),
        );
    }
    for load in LOADS {
        line(
            svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{load}</text>",
                x(load),
                top + height + 18.0
            ),
        );
    }
    line(
        svg,
        format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">load</text>",
            left + width / 2.0,
            top + height + 36.0
        ),
    );
    for (at, (policy, _, colour)) in POLICIES.iter().enumerate() {
        let points: Vec<String> = LOADS
            .iter()
            .zip(rows)
            .map(|(load, shares)| format!("{:.1},{:.1}", x(*load), y(shares.get(at).copied().unwrap_or(0.0))))
            .collect();
        let thick = if *policy == Policy::Density { 4 } else { 2 };
        line(
            svg,
            format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thick}\"/>",
                points.join(" ")
            ),
        );
    }
}

fn line(page: &mut String, text: fmt::Arguments<'_>) {
    page.push_str(&text.to_string());
    page.push('\n');
}
