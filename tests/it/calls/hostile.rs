//! Users' code that panics, and stores that are silent or hold nonsense.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use unattended::breaker::{self, Standing};
use unattended::call::{Call, PersistError, StoreDown};
use unattended::contract::{self, Violations};
use unattended::effect::Effect;
use unattended::fault::Fault;
use unattended::memory::Memory;
use unattended::quota::Quota;
use unattended::retry;
use unattended::snapshots::Snapshots;
use unattended::store::Store;
use unattended::testing::sim::Sim;

use crate::calls::{Slow, api, code, down, secs, sim};

/// Half-open, with one slot: whatever panics, the probe and the slot are free again.
#[test]
fn a_panic_in_the_operation_the_classifier_or_the_contract_holds_nothing() {
    let bad = contract::of("bad/1", |value: &u8| {
        assert!(*value != 0, "in the contract");
        Violations::default()
    });
    for place in ["operation", "classifier", "contract"] {
        let sim = sim(1);
        let call = Call::to("api")
            .retry(retry::Policy::once())
            .breaker(breaker::Policy::never().consecutive(1).open(secs(60)).open_jitter(0))
            .concurrency(1)
            .concurrency_wait(Duration::ZERO)
            .effect(Effect::Idempotent)
            .on(sim.clone())
            .classify(|error: &&'static str| {
                assert!(*error != "panic", "in the classifier");
                Fault::transient("x")
            })
            .contract(&bad)
            .build()
            .unwrap();
        let op = |ended: Result<u8, &'static str>| {
            if place == "operation" && ended == Ok(9) {
                panic!("in the operation");
            }
            ended
        };
        assert_eq!(code(&call.run_blocking(|_| op(Err("down")))), "retry.attempts_spent");
        sim.advance(secs(61));
        let ended = match place {
            "operation" => Ok(9),
            "classifier" => Err("panic"),
            _ => Ok(0),
        };
        for asynchronously in [false, true] {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                if asynchronously {
                    let _never = sim.block_on(call.run(|_| async { op(ended) }));
                } else {
                    let _never = call.run_blocking(|_| op(ended));
                }
            }));
            assert!(panicked.is_err(), "{place}");
            assert_eq!(call.breaker().standing(), Standing::HalfOpen, "{place}: it is not scored");
        }
        assert_eq!(code(&call.run_blocking(|_| op(Ok(1)))), "ok", "{place}");
        assert_eq!(call.breaker().standing(), Standing::Closed, "{place}");
    }
}

fn saved(sim: &Sim, name: &str, value: &serde_json::Value) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let snapshots = Snapshots::new(Arc::clone(&store));
    let _saved = sim.block_on(snapshots.save(name, "breaker", value, None)).unwrap().unwrap();
    store
}

#[test]
fn a_saved_state_that_cannot_be_read_fails_no_call_and_is_told_by_flush() {
    for nonsense in [serde_json::json!(7), serde_json::json!({}), serde_json::json!({ "version": 99 })] {
        let sim = sim(2);
        let store = saved(&sim, "breaker/api", &nonsense);
        let policy = breaker::Policy::never().consecutive(2);
        let call = api(&sim).breaker(policy).persist(&store).build().unwrap();
        assert_eq!(code(&call.run_blocking(|_| Ok::<_, io::Error>(()))), "ok", "{nonsense}");
        assert!(matches!(call.flush_blocking(), Err(PersistError::Unreadable(_))), "{nonsense}");
        // It guards by what it knows itself.
        for _ in 0..2 {
            assert_eq!(code(&call.run_blocking(|_| Err::<(), _>(down()))), "retry.attempts_spent");
        }
        assert_eq!(code(&call.run_blocking(|_| Ok::<_, io::Error>(()))), "breaker.open", "{nonsense}");
        let closed = api(&sim).share(&store, StoreDown::FailClosed).build().unwrap();
        assert_eq!(code(&closed.run_blocking(|_| Ok::<_, io::Error>(()))), "call.store_down", "{nonsense}");
    }
}

#[test]
fn a_changed_policy_keeps_an_open_breaker_open_for_the_next_process() {
    let sim = sim(3);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let process = |failures| {
        let policy = breaker::Policy::never().consecutive(failures).open(secs(60)).open_jitter(0);
        api(&sim).breaker(policy).persist(&store).build().unwrap()
    };
    assert_eq!(code(&process(1).run_blocking(|_| Err::<(), _>(down()))), "retry.attempts_spent");
    assert_eq!(code(&process(5).run_blocking(|_| Ok::<_, io::Error>(()))), "breaker.open");
    // Between processes the wall clock goes back an hour: what is left is at most what it was opened for.
    sim.step_wall(chrono::TimeDelta::hours(-1));
    assert_eq!(code(&process(5).run_blocking(|_| Ok::<_, io::Error>(()))), "breaker.open");
    sim.advance(secs(61));
    assert_eq!(code(&process(5).run_blocking(|_| Ok::<_, io::Error>(()))), "ok");
}

#[test]
fn odd_names_and_accounts_are_kept_each_for_itself() {
    let sim = sim(4);
    let store: Arc<dyn Store> = Arc::new(Memory::on(Arc::new(sim.clone())));
    let names = ["", "/", "a/b", "a", "ü\u{1F980}", " ", "a\nb", "%2f", "'; drop table records; --"];
    let quota = Quota::per_day(1).unwrap();
    for name in names {
        let build = || {
            let call =
                Call::to(name).retry(retry::Policy::once().inline_wait_max(Duration::ZERO)).quota(quota);
            call.effect(Effect::Pure).on(sim.clone()).share(&store, StoreDown::FailClosed).build()
        };
        let Ok(call) = build() else { continue };
        for account in names {
            let ask = || code(&call.key(account).run_blocking(|_| Ok::<_, io::Error>(())));
            assert_eq!([ask(), ask()], ["ok", "quota.spent"], "{name:?} {account:?}");
            let other = build().unwrap();
            let again = other.key(account).run_blocking(|_| Ok::<_, io::Error>(()));
            assert_eq!(code(&again), "quota.spent", "{name:?} {account:?}");
        }
    }
}

#[test]
fn thirty_seconds_of_silence_of_the_store_hold_a_hundred_calls_no_longer_than_one() {
    for down in [StoreDown::Local, StoreDown::FailOpen, StoreDown::FailClosed] {
        let sim = sim(5);
        let store = Slow::silent(&sim, secs(30));
        let policy = breaker::Policy::never().consecutive(1000);
        let call = api(&sim).breaker(policy).quota(Quota::per_day(1000).unwrap()).concurrency(100);
        let call = call.share(&store, down).build().unwrap();
        let calls = (0..100).map(|_| call.run(|_| async { Ok::<_, io::Error>(()) }));
        let ended = sim.join(calls).unwrap();
        let said = if down == StoreDown::FailClosed { "call.store_down" } else { "ok" };
        assert!(ended.iter().all(|ended| code(ended) == said), "{down:?}: {:?}", code(&ended[99]));
        assert!(sim.elapsed() <= secs(15), "{down:?}: {:?}", sim.elapsed());
        sim.advance(secs(60));
        let after = sim.block_on(call.run(|_| async { Ok::<_, io::Error>(()) })).unwrap();
        assert_eq!(code(&after), "ok", "{down:?}");
    }
}
