//! A whole call: retry, breaker, quota, bulkhead and attempt time-out around an operation that succeeds at once.

use std::future::Future;
use std::hint::black_box;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_resilience::bulkhead::BulkheadLayer;
use tower_resilience::circuitbreaker::CircuitBreakerLayer;
use tower_resilience::ratelimiter::RateLimiterLayer;
use tower_resilience::retry::RetryLayer;
use tower_resilience::timelimiter::TimeLimiterLayer;
use unattended::breaker;
use unattended::call::Call;
use unattended::effect::Effect;
use unattended::quota::{Meter, Quota, Reserve};
use unattended::retry;
use unattended::time::{Clock, Moment, System};

use crate::measure::{Report, allocations, pairs, turns};
use crate::{Down, now, op, used};

/// So many in a second that nothing is ever refused here.
const PLENTY: u32 = 1_000_000_000;
const ATTEMPT: Duration = Duration::from_secs(10);

fn ours(breaker: breaker::Policy) -> Call {
    let quota = Quota::per_second(PLENTY).expect("a good quota");
    Call::to("bench")
        .retry(retry::Policy::service())
        .breaker(breaker)
        .quota(quota)
        .concurrency(25)
        .attempt_timeout(ATTEMPT)
        .effect(Effect::Idempotent)
        .build()
        .expect("a good call")
}

/// The same layers of tower-resilience, in the same order.
fn theirs() -> impl Service<u64, Response = u64, Error: Send, Future: Send> + Clone + Send + Sync {
    let limited = TimeLimiterLayer::builder()
        .timeout_duration(ATTEMPT)
        .build()
        .layer(service_fn(|n| async move { op(n) }));
    let bulkhead =
        BulkheadLayer::builder().max_concurrent_calls(25).build().expect("a good bulkhead").layer(limited);
    let rate =
        RateLimiterLayer::builder().limit_for_period(PLENTY as usize).refresh_period(Duration::from_secs(1));
    let rate = rate.build().expect("a good limit").layer(bulkhead);
    let breaker = CircuitBreakerLayer::builder().failure_rate_threshold(0.5).sliding_window_size(64);
    let breaker = breaker.build().expect("a good breaker").layer(rate);
    RetryLayer::builder()
        .max_attempts(4)
        .exponential_backoff(Duration::from_millis(200))
        .build()
        .layer(breaker)
}

pub fn calls_blocking(report: &mut Report) {
    report.title("retry, breaker, quota, bulkhead, attempt time-out around a success, blocking, ns a call");
    let (plain, service) = (ours(breaker::Policy::never().consecutive(5)), ours(breaker::Policy::service()));
    let [bare, clock, plain_ns, service_ns] = turns([
        &mut |n| used(op(n)),
        &mut |_| {
            black_box(System.moment());
        },
        &mut |n| used(plain.run_blocking(|_| op(n))),
        &mut |n| used(service.run_blocking(|_| op(n))),
    ]);
    report.row("bare", bare);
    report.row("one reading of the monotonic clock", clock);
    report.over("ours, breaker by consecutive failures", plain_ns, bare);
    report.over("ours, breaker of the service preset", service_ns, bare);
    // 150 ns on a machine where a reading of the clock costs 23.2; with a window in time it is read twice.
    let slower = clock - 23.2;
    report.at_most("consecutive, over bare", plain_ns - bare, 150.0 + slower);
    report.at_most("service preset, over bare", service_ns - bare, 150.0 + 2.0 * slower);
    for (name, call) in [("consecutive", &plain), ("service preset", &service)] {
        let count = allocations(|| (0..1000).for_each(|n| used(call.run_blocking(|_| op(n)))));
        report.none(&format!("allocations in 1000 calls, {name}"), count);
    }
    let [one, two_plain, two_service] =
        pairs([&|n| used(op(n)), &|n| used(plain.run_blocking(|_| op(n))), &|n| {
            used(service.run_blocking(|_| op(n)))
        }]);
    report.row("two threads: bare", one);
    report.row("two threads: ours, consecutive", two_plain);
    report.row("two threads: ours, service preset", two_service);
    report.at_most("two threads through one call, consecutive", two_plain, 2.0 * plain_ns);
    report.at_most("two threads through one call, service preset", two_service, 2.0 * service_ns);
}

pub fn calls_async(report: &mut Report) {
    report.title("the same, async, ns a call");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let (plain, service, theirs) =
        (ours(breaker::Policy::never().consecutive(5)), ours(breaker::Policy::service()), theirs());
    let [bare, plain_ns, service_ns, theirs_ns] = turns([
        &mut |n| used(now(async { op(n) })),
        &mut |n| used(now(plain.run(|_| async move { op(n) }))),
        &mut |n| used(now(service.run(|_| async move { op(n) }))),
        &mut |n| used(now(theirs.clone().oneshot(n))),
    ]);
    report.row("bare", bare);
    report.over("ours, breaker by consecutive failures", plain_ns, bare);
    report.over("ours, breaker of the service preset", service_ns, bare);
    report.over("tower-resilience 0.13", theirs_ns, bare);
    report.at_most("consecutive, over bare", plain_ns - bare, 250.0);
    report.at_most("service preset, over bare", service_ns - bare, 250.0);
    report.times("tower-resilience overhead / ours (consecutive)", theirs_ns - bare, plain_ns - bare, 3.0);
    report.times(
        "tower-resilience overhead / ours (service preset)",
        theirs_ns - bare,
        service_ns - bare,
        3.0,
    );
    let each = |count: u64| format!("{:.1}", count as f64 / 1000.0);
    let counted = allocations(|| (0..1000).for_each(|n| used(now(theirs.clone().oneshot(n)))));
    println!("  allocations in a call, tower-resilience      {}", each(counted));
    let counted = allocations(|| (0..1000).for_each(|n| used(now(plain.run(|_| async move { op(n) })))));
    println!("  allocations in a call, ours                  {}", each(counted));
}

pub fn quotas(report: &mut Report) {
    report.title("a quota that has room, the time given, ns a decision");
    let quota = Quota::per_second(PLENTY).expect("a good quota");
    let meter = Meter::new(quota, System.now());
    let start = System.moment().as_nanos();
    let limit = governor::Quota::per_second(std::num::NonZeroU32::new(PLENTY).expect("more than none"));
    let clock = FakeRelativeClock::default();
    let governor = governor::RateLimiter::direct_with_clock(limit, clock.clone());
    let mut at = start;
    let [ours, theirs] = turns([
        &mut |_| {
            at += 1000;
            let reserved = meter.reserve_fast(1, Moment::from_nanos(black_box(at)), Duration::ZERO);
            black_box(reserved.is_some());
        },
        &mut |_| {
            clock.advance(Duration::from_nanos(1000));
            black_box(governor.check().is_ok());
        },
    ]);
    let [ticks] = turns([&mut |_| clock.advance(Duration::from_nanos(1000))]);
    report.row("ours", ours);
    report.row("governor 0.10, and its clock advanced", theirs);
    report.row("advancing that clock alone", ticks);
    report.at_most("ours against 1.2 times governor's decision", ours, 1.2 * (theirs - ticks));
    let refused = Meter::new(Quota::per_hour(1).expect("a good quota"), System.now());
    let time = System.now();
    let [refusal] = turns([&mut |_| {
        black_box(matches!(refused.reserve(1, black_box(time), Duration::ZERO), Reserve::Refuse { .. }));
    }]);
    report.row("ours, a refusal with its reason", refusal);
}

fn _is_send(call: &Call) -> impl Future<Output = Result<u64, unattended::call::Stopped<Down>>> + Send + '_ {
    call.run(|_| async { op(1) })
}
