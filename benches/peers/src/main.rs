//! What a guarded and a retried call cost, here and in the peers, side by side in one run.
//!
//! Each figure is the smallest of many batches, which is what the machine can do when nothing else disturbs it; the
//! contenders take turns, batch by batch, so that a slow phase of the machine hits all of them. `cargo run --release`.
//! `cargo run --release -- postgres` measures the PostgreSQL store alone.

mod calls;
mod measure;
mod postgres;

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder, Retryable};
use failsafe::CircuitBreaker;
use measure::{Report, allocations, pairs, short, turns};
use unattended::backoff::Backoff;
use unattended::breaker::{self, Breaker, Rate};
use unattended::fault::{Classify, Fault};
use unattended::retry;
use unattended::rng::Rng;

#[derive(Clone, Copy, Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("down")
    }
}

impl std::error::Error for Down {}

impl Classify for Down {
    fn fault(&self) -> Fault {
        Fault::transient("bench.down")
    }
}

/// The operation: nothing, but the compiler does not know.
#[inline(always)]
fn op(n: u64) -> Result<u64, Down> {
    let n = black_box(n);
    if n == u64::MAX { Err(Down) } else { Ok(n) }
}

/// What came of it is used, so that nothing is left out; the size of the error type does not matter.
#[inline(always)]
fn used<E>(result: Result<u64, E>) {
    black_box(result.unwrap_or(0));
}

fn main() {
    if std::env::args().any(|arg| arg == "postgres") {
        return postgres::run();
    }
    let mut report = Report::default();
    breakers_one_thread(&mut report);
    breakers_dirty(&mut report);
    breakers_two_threads(&mut report);
    refusals(&mut report);
    retries_blocking(&mut report);
    retries_async(&mut report);
    delays(&mut report);
    calls::quotas(&mut report);
    calls::calls_blocking(&mut report);
    calls::calls_async(&mut report);
    report.end();
}

fn window() -> Rate {
    Rate { percent: 50, calls: 64, min: 10, within: None }
}

fn consecutive() -> Breaker {
    Breaker::new("bench", breaker::Policy::never().consecutive(5)).expect("a good policy")
}

fn counted() -> Breaker {
    let breaker = Breaker::new("bench", breaker::Policy::never().rate(window())).expect("a good policy");
    (0..64).for_each(|n| used(breaker.call_blocking(|| op(n))));
    breaker
}

fn recloser() -> recloser::Recloser {
    recloser::Recloser::custom().error_rate(0.5).closed_len(64).build()
}

fn failsafe() -> impl CircuitBreaker + Sync {
    let backoff = failsafe::backoff::constant(Duration::from_secs(30));
    failsafe::Config::new().failure_policy(failsafe::failure_policy::consecutive_failures(5, backoff)).build()
}

fn breakers_one_thread(report: &mut Report) {
    report.title("breaker, a success in Closed, one thread, ns a call");
    let (ours, ours_window, recloser, failsafe) = (consecutive(), counted(), recloser(), failsafe());
    let [bare, consecutive, window, recloser, failsafe] = turns([
        &mut |n| used(op(n)),
        &mut |n| used(ours.call_blocking(|| op(n))),
        &mut |n| used(ours_window.call_blocking(|| op(n))),
        &mut |n| used(recloser.call(|| op(n))),
        &mut |n| used(failsafe.call(|| op(n))),
    ]);
    report.row("bare", bare);
    report.over("ours, consecutive", consecutive, bare);
    report.over("ours, window of 64, clean", window, bare);
    report.over("recloser 1.4, window of 64", recloser, bare);
    report.over("failsafe 1.3, consecutive", failsafe, bare);
    report.at_most("consecutive, guarded minus bare", consecutive - bare, 2.0);
    report.at_most("window of 64 clean, guarded minus bare", window - bare, 4.0);
    report.times("recloser overhead / ours (window)", recloser - bare, window - bare, 3.0);
    report.times("failsafe overhead / ours (consecutive)", failsafe - bare, consecutive - bare, 3.0);
    let ours = counted();
    report.none(
        "allocations in 1000 guarded successes",
        allocations(|| {
            (0..1000).for_each(|n| used(ours.call_blocking(|| op(n))));
        }),
    );
}

/// A failure is in the window during the whole batch, which therefore is short: 60 calls after each failure.
fn breakers_dirty(report: &mut Report) {
    report.title("breaker, a success with a failure in the window of 64, one thread, ns a call");
    let ours = counted();
    let [bare, dirty] = short(
        60,
        &mut || used(ours.call_blocking(|| op(u64::MAX))),
        [&mut |n| used(op(n)), &mut |n| used(ours.call_blocking(|| op(n)))],
    );
    report.row("bare", bare);
    report.over("ours", dirty, bare);
    report.at_most("window of 64 with a failure in it, guarded minus bare", dirty - bare, 4.0);
}

fn breakers_two_threads(report: &mut Report) {
    report.title("breaker, a success in Closed, two threads on one breaker, ns a call");
    let (ours, ours_window, recloser, failsafe) = (consecutive(), counted(), recloser(), failsafe());
    let [bare, consecutive, window, recloser, failsafe] = pairs([
        &|n| used(op(n)),
        &|n| used(ours.call_blocking(|| op(n))),
        &|n| used(ours_window.call_blocking(|| op(n))),
        &|n| used(recloser.call(|| op(n))),
        &|n| used(failsafe.call(|| op(n))),
    ]);
    report.row("bare", bare);
    report.over("ours, consecutive", consecutive, bare);
    report.over("ours, window of 64, clean", window, bare);
    report.over("recloser 1.4, window of 64", recloser, bare);
    report.over("failsafe 1.3, consecutive", failsafe, bare);
    report.times("recloser overhead / ours (window)", recloser - bare, window - bare, 8.0);
    report.times("failsafe overhead / ours (consecutive)", failsafe - bare, consecutive - bare, 8.0);
}

fn refusals(report: &mut Report) {
    report.title("breaker, a refusal while open, ns a call");
    let (ours, recloser, failsafe) = (consecutive(), recloser(), failsafe());
    for _ in 0..200 {
        used(ours.call_blocking(|| op(u64::MAX)));
        used(recloser.call(|| op(u64::MAX)));
        used(failsafe.call(|| op(u64::MAX)));
    }
    let [ours, recloser, failsafe] = turns([
        &mut |n| used(ours.call_blocking(|| op(n))),
        &mut |n| used(recloser.call(|| op(n))),
        &mut |n| used(failsafe.call(|| op(n))),
    ]);
    report.row("ours (reads both clocks)", ours);
    report.row("recloser 1.4", recloser);
    report.row("failsafe 1.3", failsafe);
}

fn retries_blocking(report: &mut Report) {
    report.title("retry around an operation that succeeds at once, blocking, ns a call");
    let preset = retry::Policy::cron();
    let untimed = retry::Policy::cron().elapsed_max(None);
    let [bare, clock, untimed, preset, backon] = turns([
        &mut |n| used(op(n)),
        &mut |_| {
            black_box(std::time::Instant::now());
        },
        &mut |n| used(black_box(&untimed).run_blocking(|_| op(n))),
        &mut |n| used(black_box(&preset).run_blocking(|_| op(n))),
        &mut |n| used((|| op(n)).retry(ExponentialBuilder::default().with_jitter()).call()),
    ]);
    report.row("bare", bare);
    report.row("one reading of the monotonic clock", clock);
    report.over("ours, no limit of time", untimed, bare);
    report.over("ours, preset", preset, bare);
    report.over("backon 1.6", backon, bare);
    report.at_most("no limit of time, over bare", untimed - bare, 3.0);
    // 30 ns on a machine where a reading of the clock costs 23.2: in readings, so that it holds on any.
    report.at_most("preset, over bare", preset - bare, 30.0 / 23.2 * clock);
    report.none(
        "allocations in 1000 runs",
        allocations(|| {
            (0..1000).for_each(|n| used(preset_run(n)));
        }),
    );
}

fn preset_run(n: u64) -> Result<u64, retry::Stopped<Down>> {
    retry::Policy::cron().run_blocking(|_| op(n))
}

fn retries_async(report: &mut Report) {
    report.title("retry around an operation that succeeds at once, async, ns a call");
    let preset = retry::Policy::cron();
    let untimed = retry::Policy::cron().elapsed_max(None);
    let [bare, clock, untimed, preset_ns, backon] = turns([
        &mut |n| used(now(async { op(n) })),
        &mut |_| {
            black_box(std::time::Instant::now());
        },
        &mut |n| used(now(black_box(&untimed).run(|_| async move { op(n) }))),
        &mut |n| used(now(black_box(&preset).run(|_| async move { op(n) }))),
        &mut |n| {
            let run = (|| async move { op(n) }).retry(ExponentialBuilder::default().with_jitter());
            used(now(std::future::IntoFuture::into_future(run)));
        },
    ]);
    report.row("bare", bare);
    report.over("ours, no limit of time", untimed, bare);
    report.over("ours, preset", preset_ns, bare);
    report.over("backon 1.6", backon, bare);
    report.at_most("preset, over bare", preset_ns - bare, 45.0 / 23.2 * clock);
    report.none(
        "allocations in 1000 runs",
        allocations(|| {
            (0..1000).for_each(|n| used(now(preset.run(|_| async move { op(n) }))));
        }),
    );
}

/// Polls a future that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}

fn delays(report: &mut Report) {
    report.title("one jittered delay, ns");
    let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(120));
    let (mut rng, mut bare) = (Rng::seeded(1), Rng::seeded(1));
    let mut steps = backon::BackoffBuilder::build(
        ExponentialBuilder::default()
            .with_jitter()
            .with_max_times(usize::MAX)
            .with_max_delay(Duration::from_secs(60)),
    );
    let [bare, ours, backon] = turns([
        &mut |_| {
            black_box(bare.next_u64());
        },
        &mut |n| {
            black_box(black_box(&backoff).delay((n & 7) as u32, Duration::ZERO, &mut rng));
        },
        &mut |_| {
            black_box(steps.next());
        },
    ]);
    report.row("the generator alone", bare);
    report.row("ours, full jitter", ours);
    report.row("backon 1.6", backon);
    report.at_most("one jittered delay", ours, 10.0);
}
