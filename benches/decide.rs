//! What a decision costs. `cargo bench --bench decide`; beside the peers: `benches/peers`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use unattended::backoff::{Backoff, Jitter};
use unattended::breaker::{self, Breaker, Machine, Outcome, Rate};
use unattended::budget::{self, Budget};
use unattended::fault::{Class, Fault};
use unattended::heartbeat;
use unattended::quota::{Calendar, Meter, Quota};
use unattended::rng::Rng;
use unattended::time::{Clock, Moment, Now, System};
use unattended::window::Window;
use unattended::zone::Zone;
use unattended::{restart, retry};

fn start() -> Now {
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: chrono::DateTime::UNIX_EPOCH }
}

fn breakers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("breaker");
    let window = Rate { percent: 50, calls: 64, min: 10, within: None };
    for (name, policy) in [
        ("closed, consecutive", breaker::Policy::never().consecutive(5)),
        ("closed, window of 64", breaker::Policy::never().rate(window)),
        ("closed, service preset", breaker::Policy::service()),
        ("closed, cron preset", breaker::Policy::cron()),
    ] {
        let Ok(breaker) = Breaker::new("bench", policy) else { continue };
        group.bench_function(name, |bencher| {
            bencher.iter(|| breaker.call_blocking(|| black_box(Ok::<_, Fault>(1u64))).is_ok());
        });
    }
    if let Ok(mut machine) = Machine::new(breaker::Policy::cron(), 1, start()) {
        group.bench_function("the pure machine, admit and settle", |bencher| {
            bencher.iter(|| match machine.admit(black_box(start())) {
                breaker::Admit::Allow { permit, .. } => {
                    machine.settle(permit, Outcome::Success, start()).is_transition()
                }
                breaker::Admit::Refuse { .. } => true,
            });
        });
        group.bench_function("snapshot", |bencher| {
            bencher.iter(|| machine.snapshot("bench", black_box(start())))
        });
        let snapshot = machine.snapshot("bench", start());
        group.bench_function("restore", |bencher| {
            bencher
                .iter(|| Machine::restore(breaker::Policy::cron(), &snapshot, 1, black_box(start())).is_ok());
        });
    }
    if let Ok(breaker) = Breaker::new("bench", breaker::Policy::never().consecutive(1)) {
        for outcome in [Outcome::Failure(Class::Transient)] {
            if let breaker::Admit::Allow { permit, .. } = breaker.admit(System.now()) {
                black_box(breaker.settle(permit, outcome, System.now()).is_transition());
            }
        }
        group.bench_function("refusal while open", |bencher| {
            bencher.iter(|| breaker.call_blocking(|| black_box(Ok::<_, Fault>(1u64))).is_ok());
        });
    }
    group.finish();
}

fn retries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry");
    for (name, policy) in
        [("preset", retry::Policy::cron()), ("no limit of time", retry::Policy::cron().elapsed_max(None))]
    {
        group.bench_function(format!("success at once, {name}"), |bencher| {
            bencher.iter(|| black_box(&policy).run_blocking(|_| black_box(Ok::<_, Fault>(1u64))).is_ok());
        });
    }
    let (policy, fault) = (retry::Policy::cron(), Fault::transient("bench"));
    group.bench_function("a failure is decided", |bencher| {
        bencher.iter(|| policy.start(start(), black_box(7)).failed(start(), &fault));
    });
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    group.bench_function("Retry-After, a date", |bencher| {
        bencher.iter(|| retry::retry_after(black_box(date), None, start().wall));
    });
    group.finish();
}

fn quotas(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quota");
    // A token each nanosecond, so that each of them is admitted.
    if let Ok(meter) = Quota::per_second(1_000_000_000).map(|quota| Meter::new(quota, start())) {
        let mut now = start();
        group.bench_function("a place is reserved, without the wall clock", |bencher| {
            bencher.iter(|| {
                now.moment = now.moment.after(Duration::from_nanos(2));
                black_box(&meter).reserve_fast(1, black_box(now.moment), Duration::ZERO).is_some()
            });
        });
        group.bench_function("a place is reserved, the monotonic clock read", |bencher| {
            bencher.iter(|| meter.reserve_fast(1, System.moment(), Duration::ZERO).is_some());
        });
        group.bench_function("admitted, with its reason", |bencher| {
            bencher.iter(|| {
                now.moment = now.moment.after(Duration::from_nanos(2));
                black_box(meter.admit(black_box(now)))
            });
        });
    }
    if let Ok(meter) = Quota::per_day(1).map(|quota| Meter::new(quota, start())) {
        let _one = black_box(meter.admit(start()));
        group.bench_function("refused, with its reason", |bencher| {
            bencher.iter(|| black_box(meter.admit(black_box(start()))));
        });
    }
    let mut zones = vec![("calendar, admitted, utc", Zone::Utc)];
    zones.extend("Europe/Berlin".parse().map(|zone| ("calendar, admitted, a named zone", zone)));
    for (name, zone) in zones {
        let Ok(calendar) = Calendar::new(u32::MAX, chrono::NaiveTime::MIN, zone) else { continue };
        let meter = Meter::new(calendar, start());
        group.bench_function(name, |bencher| bencher.iter(|| black_box(meter.admit(black_box(start())))));
    }
    group.finish();
}

fn budgets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("budget");
    for (name, policy) in [("service", budget::Policy::service()), ("cron", budget::Policy::cron())] {
        let Ok(budget) = Budget::new(policy) else { continue };
        group.bench_function(format!("a success, nothing spent, {name}"), |bencher| {
            bencher.iter(|| black_box(&budget).succeeded(black_box(start().moment)));
        });
    }
    if let Ok(budget) = Budget::new(budget::Policy::service()) {
        group.bench_function("whether a success is wanted", |bencher| {
            bencher.iter(|| black_box(&budget).wants_successes());
        });
    }
    let full = budget::Policy::service().tokens_max(1_000_000);
    if let Ok(budget) = Budget::new(full.refill(1_000, Duration::from_millis(1))) {
        let (mut now, fault) = (start(), Fault::transient("bench"));
        group.bench_function("a retry is admitted", |bencher| {
            bencher.iter(|| {
                now.moment = now.moment.after(Duration::from_micros(2));
                black_box(budget.admit(black_box(&fault), now))
            });
        });
    }
    group.finish();
}

/// Ten thousand jobs that are well, which is what nearly every look finds; and that all fall silent at once.
fn heartbeats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heartbeat");
    let hour = Duration::from_secs(3600);
    let Ok(policy) = heartbeat::Policy::every(hour).build() else { return };
    let mut hearts = vec![heartbeat::Heart::new(policy, start()); 10_000];
    for heart in &mut hearts {
        black_box(heart.observe(start(), heartbeat::Beat::succeeded()));
    }
    group.bench_function("10,000 looked at, all well", |bencher| {
        let now = start().after(hour / 2);
        bencher.iter(|| {
            hearts.iter_mut().filter_map(|heart| heart.tick(black_box(now).into(), |_| None)).count()
        });
    });
    group.bench_function("10,000 looked at, all overdue", |bencher| {
        let now = start().after(hour * 2);
        bencher.iter_batched_ref(
            || hearts.clone(),
            |hearts| {
                hearts.iter_mut().filter_map(|heart| heart.tick(black_box(now).into(), |_| None)).count()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn delays(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("backoff");
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(120)).jitter(jitter);
        let mut rng = Rng::seeded(1);
        group.bench_function(format!("one delay, {jitter:?}"), |bencher| {
            bencher.iter(|| black_box(&backoff).delay(black_box(3), Duration::from_secs(9), &mut rng));
        });
    }
    group.finish();
}

/// A document of 10 KB: a hundred items of four fields.
#[cfg(feature = "store")]
fn contracts(criterion: &mut Criterion) {
    use unattended::contract::{Contract, Schema};

    let item = |n: u32| {
        format!(
            r#"{{"sku":"article-{n:05}","title":"a rope of ten metres, number {n}","amount":{n},"price":9.95}}"#
        )
    };
    let items: Vec<_> = (0..115).map(item).collect();
    let document = format!(r#"{{"order":9007199254740993,"items":[{}]}}"#, items.join(","));
    let item = Schema::object()
        .required("sku", Schema::text().length(1..=20))
        .required("title", Schema::text().length(1..=100))
        .required("amount", Schema::integer().within(0..=1000))
        .required("price", Schema::number().within(0.0..=1e6));
    let schema: Schema = Schema::object()
        .required("order", Schema::integer().within(0..))
        .required("items", Schema::array(item).count(1..=500))
        .into();
    let mut group = criterion.benchmark_group(format!("contract, {} bytes", document.len()));
    group.bench_function("the schema", |bencher| bencher.iter(|| schema.examine(black_box(&document))));
    let contract = Contract::<serde_json::Value>::new("bench", 1).schema(schema).build();
    if let Ok(contract) = contract {
        group.bench_function("accepted, without its type", |bencher| {
            let intake = contract.erased();
            bencher.iter(|| intake.admit(None, black_box(&document)).is_ok());
        });
    }
    group.finish();
}

#[cfg(not(feature = "store"))]
const fn contracts(_: &mut Criterion) {}

/// The next occurrence, asked at instants of a year that lie 17 hours apart.
#[cfg(all(feature = "tz", feature = "cron"))]
fn schedules(criterion: &mut Criterion) {
    use unattended::schedule::Schedule;

    let mut group = criterion.benchmark_group("schedule, the next in Europe/Berlin");
    let zone = Zone::Named(chrono_tz::Europe::Berlin);
    let first = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
    let mut measure = |name: &str, schedule: Schedule| {
        let mut hours = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                hours = (hours + 17) % 8760;
                black_box(&schedule).next_after(black_box(first + chrono::TimeDelta::hours(hours)))
            });
        });
    };
    for expression in ["*/5 * * * *", "0 9 * * *", "0 9 * * 1-5", "30 2 1 * *", "0 0 29 2 *"] {
        let Ok(schedule) = Schedule::cron(expression, zone) else { continue };
        measure(expression, schedule);
    }
    measure("daily at midnight", Schedule::daily(chrono::NaiveTime::MIN, zone));
    if let Ok(schedule) = Schedule::every(Duration::from_secs(900)) {
        measure("every 15 minutes", schedule);
    }
    group.finish();
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    let zone = if cfg!(feature = "tz") { "Europe/Paris" } else { "utc" };
    // Midnight of a Thursday.
    let at = start().wall;
    for hours in ["09:00-22:00 Mon-Fri", "22:00-06:00", "09:00-22:00 Sun"] {
        let Ok(window) = format!("{hours} {zone}").parse::<Window>() else { continue };
        group.bench_function(format!("state, {hours}"), |bencher| {
            bencher.iter(|| black_box(window.state(black_box(at))));
        });
        group.bench_function(format!("next opening, {hours}"), |bencher| {
            bencher.iter(|| window.next_open(black_box(at)));
        });
    }
    group.finish();
}

#[cfg(not(all(feature = "tz", feature = "cron")))]
const fn schedules(_: &mut Criterion) {}

fn restarts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("restart");
    let policy = restart::Policy::new()
        .failures_max(1000, Duration::from_secs(86_400))
        .same_unlimited()
        .backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(2)));
    let line = "2026-11-22T01:02:03Z worker[4711]: cannot connect to 10.0.0.7:5432 after 31 ms\n";
    for (name, tail) in
        [("a failure with a line", line.to_owned()), ("a failure with a whole tail", line.repeat(12))]
    {
        group.bench_function(name, |bencher| {
            let exit = restart::Exit::code(1).stderr_tail(&tail);
            let Ok(mut state) = restart::State::new(policy, 7) else { return };
            let mut now = start();
            bencher.iter_batched(
                || exit.clone(),
                |exit| {
                    state.started(now);
                    now = now.after(Duration::from_secs(90));
                    black_box(state.on_exit(black_box(now), exit))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(
    decide, breakers, retries, quotas, budgets, heartbeats, restarts, delays, contracts, schedules, windows
);
criterion_main!(decide);
