//! Random tasks through one adapter, on a wall clock that steps, some of them dropped half-way: what must hold at every
//! instant.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use unattended::breaker::{self, Standing};
use unattended::call::Call;
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::quota::Quota;
use unattended::retry;
use unattended::testing::sim::Sim;
use unattended::time::{Clock, Moment, Sleep};

use crate::calls::{Api, secs, sim};

/// One, and when it has passed two: the third success closes it.
const PROBES_OUT_MAX: u32 = 2;
const ATTEMPTS_MAX: u32 = 4;

/// One call: when it begins, how long each attempt takes, how it ends, and when its future is dropped.
#[derive(Clone, Debug)]
struct Plan {
    after: u64,
    takes: u64,
    ends: u8,
    dropped: Option<u64>,
    step: i8,
}

fn plan() -> impl Strategy<Value = Plan> {
    let dropped = proptest::option::weighted(0.2, 0..8000_u64);
    (0..30_000_u64, 0..3000_u64, 0..6_u8, dropped, -1..=1_i8)
        .prop_map(|(after, takes, ends, dropped, step)| Plan { after, takes, ends, dropped, step })
}

/// What is out, and what was.
#[derive(Debug, Default)]
struct Seen {
    out: u32,
    probing: HashMap<u32, u32>,
    begun: Vec<Moment>,
}

/// An attempt that is under way.
struct Out<'a>(&'a RefCell<Seen>, Option<u32>);

impl<'a> Out<'a> {
    fn begins(seen: &'a RefCell<Seen>, sim: &Sim, call: &Api, most: u32) -> Self {
        let (breaker, mut all) = (call.breaker(), seen.borrow_mut());
        assert_ne!(breaker.standing(), Standing::Open, "an attempt begins while it is open");
        let refusal = breaker.refusal(sim.now());
        let blocked = matches!(refusal, Some((breaker::Refusing::Blocked { .. }, _)));
        assert!(!blocked, "an attempt begins while it is blocked");
        all.out += 1;
        assert!(all.out <= most, "{} are out", all.out);
        all.begun.push(sim.moment());
        let generation = (breaker.standing() == Standing::HalfOpen).then(|| breaker.generation());
        if let Some(generation) = generation {
            let probing = all.probing.entry(generation).or_default();
            *probing += 1;
            assert!(*probing <= PROBES_OUT_MAX, "{probing} probes are out");
        }
        Self(seen, generation)
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let mut all = self.0.borrow_mut();
        all.out -= 1;
        if let Some(generation) = self.1 {
            *all.probing.entry(generation).or_default() -= 1;
        }
    }
}

/// `future`, dropped after `limit`.
async fn at_most<T>(sim: &Sim, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut timer) = (pin!(future), sim.sleep(limit));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.as_mut().poll(context).map(|()| None),
    })
    .await
}

fn build(sim: &Sim, quota: Option<Quota>, concurrency: u32) -> Api {
    let policy = breaker::Policy::never().consecutive(3).open(secs(2)).open_jitter(0);
    let call = Call::to("api")
        .retry(retry::Policy::service())
        .breaker(policy.probes(1).successes(3).open_max(secs(8)))
        .budget(None)
        .concurrency(concurrency)
        .attempt_timeout(secs(2))
        .effect(Effect::Idempotent)
        .on(sim.clone());
    match quota {
        Some(quota) => call.quota(quota),
        None => call,
    }
    .build()
    .unwrap()
}

async fn one(sim: &Sim, call: &Api, seen: &RefCell<Seen>, plan: Plan, concurrency: u32) {
    sim.sleep(Duration::from_millis(plan.after)).await;
    sim.step_wall(chrono::TimeDelta::hours(plan.step.into()));
    let tries = RefCell::new(0);
    let op = |_| async {
        let _out = Out::begins(seen, sim, call, concurrency);
        *tries.borrow_mut() += 1;
        assert!(*tries.borrow() <= ATTEMPTS_MAX, "{} attempts", tries.borrow());
        sim.sleep(Duration::from_millis(plan.takes)).await;
        match plan.ends {
            0 | 1 => Ok(()),
            2 => Err(Fault::transient("http.503")),
            3 => Err(Fault::rate_limited(Some(secs(2)))),
            4 => Err(Fault::permanent("http.404")),
            _ => Err(Fault::new(unattended::fault::Class::Unknown, "odd")),
        }
    };
    let limit = plan.dropped.map_or(Duration::MAX, Duration::from_millis);
    let _ended = at_most(sim, limit, call.run(op)).await;
}

fn check(seed: u64, quota: Option<Quota>, concurrency: u32, plans: Vec<Plan>) {
    let (sim, seen) = (sim(seed), RefCell::default());
    let call = build(&sim, quota, concurrency);
    let tasks = plans.into_iter().map(|plan| {
        let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(one(&sim, &call, &seen, plan, concurrency));
        task
    });
    sim.join(tasks).unwrap();
    let seen = seen.into_inner();
    assert_eq!(seen.out, 0);
    if let Some(quota) = quota {
        for (first, from) in seen.begun.iter().enumerate() {
            for (last, to) in seen.begun.iter().enumerate().skip(first) {
                let (count, span) = (last - first + 1, to.since(*from));
                assert!(count as u64 <= quota.most_within(span), "{count} attempts within {span:?}");
            }
        }
    }
    // Nothing is left behind: after a while it is closed again, and as many as may be are let out at once.
    let ok = || sim.block_on(call.run(|_| async { Ok::<_, io::Error>(()) })).unwrap().is_ok();
    let passed = (0..20).filter(|_| {
        sim.advance(secs(60));
        ok()
    });
    assert!(passed.count() >= 17, "it is wedged");
    assert_eq!(call.breaker().standing(), Standing::Closed);
    let all = (0..concurrency).map(|_| {
        call.run(|_| async {
            sim.sleep(secs(1)).await;
            Ok::<_, io::Error>(())
        })
    });
    let before = sim.elapsed();
    if quota.is_none() {
        assert!(sim.join(all).unwrap().iter().all(Result::is_ok));
        assert_eq!(sim.elapsed() - before, secs(1), "a slot was lost");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_more_are_out_than_may_be_and_none_while_it_is_open_or_blocked(
        seed in any::<u64>(), concurrency in 1..4_u32, plans in prop::collection::vec(plan(), 1..60)
    ) {
        check(seed, None, concurrency, plans);
    }

    #[test]
    fn a_quota_bounds_every_span_under_random_tasks_that_are_dropped(
        seed in any::<u64>(), limit in 1..20_u32, period in 1..20_u64, plans in prop::collection::vec(plan(), 1..60)
    ) {
        check(seed, Some(Quota::new(limit, secs(period)).unwrap()), 100, plans);
    }
}
