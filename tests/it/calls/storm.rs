//! Many tasks of one process that write the same few records at the same instant.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use unattended::breaker::{self, Standing};
use unattended::budget;
use unattended::call::StoreDown;
use unattended::fault::Fault;
use unattended::quota::Quota;
use unattended::retry;
use unattended::testing::sim::Sim;
use unattended::time::Sleep;

use crate::calls::{Api, Slow, api, code, down, secs, sim};

async fn fails(call: &Api) -> &'static str {
    code(&call.run(|_| async { Err::<(), _>(down()) }).await)
}

async fn fails_after(sim: &Sim, call: &Api, millis: u64) -> &'static str {
    let op = |_| async {
        sim.sleep(Duration::from_millis(millis)).await;
        Err::<(), _>(down())
    };
    code(&call.run(op).await)
}

async fn succeeds(call: &Api) -> &'static str {
    code(&call.run(|_| async { Ok::<_, io::Error>(()) }).await)
}

#[test]
fn a_failure_is_counted_once_however_many_tasks_write_at_once() {
    for (processes, seed) in (1..=3).flat_map(|processes| (0..20).map(move |seed| (processes, seed))) {
        let sim = sim(seed);
        let store = Slow::store(&sim);
        let policy = breaker::Policy::never().consecutive(20);
        let one = || api(&sim).breaker(policy).share(&store, StoreDown::Local).build().unwrap();
        let calls: Vec<_> = (0..processes).map(|_| one()).collect();
        let mut rng = sim.rng();
        let tasks = (0..8).map(|n| fails_after(&sim, &calls[n % processes], rng.up_to(10)));
        assert_eq!(sim.join(tasks).unwrap(), ["retry.attempts_spent"; 8]);
        for counted in 9..=19 {
            assert_eq!(sim.block_on(fails(&calls[0])).unwrap(), "retry.attempts_spent");
            let standing = calls[0].breaker().standing();
            assert_eq!(standing, Standing::Closed, "{counted} of 20 failures, {processes}, {seed}");
        }
        sim.block_on(fails(&calls[0])).unwrap();
        assert_eq!(calls[0].breaker().standing(), Standing::Open, "20 failures, {processes}, {seed}");
    }
}

#[test]
fn a_probe_is_counted_once_however_many_tasks_write_at_once() {
    for seed in 0..100 {
        let sim = sim(seed);
        let store = Slow::store(&sim);
        let policy = breaker::Policy::never().consecutive(1).open(secs(60)).open_jitter(0);
        let policy = policy.probes(4).successes(4);
        let call = api(&sim).breaker(policy).share(&store, StoreDown::Local).build().unwrap();
        sim.block_on(fails(&call)).unwrap();
        sim.advance(secs(61));
        assert_eq!(sim.block_on(succeeds(&call)).unwrap(), "ok");
        let mut rng = sim.rng();
        let pair = [(); 2].map(|()| {
            let (sim, takes) = (&sim, Duration::from_millis(rng.up_to(12)));
            call.run(move |_| async move {
                sim.sleep(takes).await;
                Ok::<_, io::Error>(())
            })
        });
        assert!(sim.join(pair).unwrap().iter().all(Result::is_ok), "{seed}");
        assert_eq!(call.breaker().standing(), Standing::HalfOpen, "three of four probes, {seed}");
        assert_eq!(sim.block_on(succeeds(&call)).unwrap(), "ok");
        assert_eq!(call.breaker().standing(), Standing::Closed, "{seed}");
    }
}

#[test]
fn a_saved_quota_holds_however_many_tasks_ask_at_once() {
    for down in [None, Some(StoreDown::Local), Some(StoreDown::FailClosed), Some(StoreDown::FailOpen)] {
        let sim = sim(3);
        let store = Slow::store(&sim);
        let quota = Quota::per_day(10).unwrap();
        let one = || {
            let call = api(&sim).retry(retry::Policy::once().inline_wait_max(Duration::ZERO)).quota(quota);
            let call = call.concurrency(100);
            match down {
                None => call.persist(&store),
                Some(down) => call.share(&store, down),
            }
            .build()
            .unwrap()
        };
        let pair = [one(), one()];
        let ended = sim.join((0..80).map(|n| succeeds(&pair[n % 2]))).unwrap();
        let served = ended.iter().filter(|code| **code == "ok").count();
        assert_eq!(served, 10, "{down:?}");
        assert!(ended.iter().all(|code| matches!(*code, "ok" | "quota.spent")), "{down:?}: {ended:?}");
    }
}

#[test]
fn a_saved_budget_holds_however_many_tasks_ask_at_once() {
    let sim = sim(4);
    let store = Slow::store(&sim);
    let quickly = retry::Policy::cron().transient(|strategy| {
        let brief = Duration::from_millis(1);
        strategy.delay_base(brief).delay_min(Duration::ZERO).delay_max(brief)
    });
    let policy = budget::Policy::cron().tokens_max(6);
    let call = api(&sim).retry(quickly).budget(policy).concurrency(100);
    let call = call.share(&store, StoreDown::FailOpen).build().unwrap();
    let tries = AtomicU32::new(0);
    let ended = sim.join((0..40).map(|_| {
        call.run(|_| async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(Fault::transient("http.503"))
        })
    }));
    assert!(ended.unwrap().iter().all(|ended| code(ended) == "budget.spent"));
    assert_eq!(tries.into_inner(), 40 + 6);
}

#[test]
fn what_was_taken_from_a_saved_quota_is_given_back_when_the_bulkhead_refuses() {
    for together in [false, true] {
        let sim = sim(5);
        let store = Slow::store(&sim);
        let call = api(&sim)
            .retry(retry::Policy::once().inline_wait_max(Duration::ZERO))
            .quota(Quota::per_day(3).unwrap())
            .concurrency(1)
            .concurrency_wait(Duration::ZERO);
        let call = if together { call.share(&store, StoreDown::FailClosed) } else { call.persist(&store) };
        let call = call.build().unwrap();
        let holds = async {
            let held = call.run(|_| async {
                sim.sleep(secs(10)).await;
                Ok::<_, io::Error>(())
            });
            code(&held.await)
        };
        let others = async {
            sim.sleep(secs(1)).await;
            let mut codes = Vec::new();
            for _ in 0..5 {
                codes.push(succeeds(&call).await);
            }
            assert_eq!(codes, ["call.full"; 5]);
            "ok"
        };
        let both: [std::pin::Pin<Box<dyn Future<Output = &'static str>>>; 2] =
            [Box::pin(holds), Box::pin(others)];
        sim.join(both).unwrap();
        let after: Vec<_> = (0..3).map(|_| sim.block_on(succeeds(&call)).unwrap()).collect();
        assert_eq!(after, ["ok", "ok", "quota.spent"], "together: {together}");
    }
}
