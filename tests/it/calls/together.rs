//! What tasks that wait for their turn may do once it comes.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use unattended::breaker;
use unattended::fault::Fault;
use unattended::quota::Quota;
use unattended::retry;
use unattended::time::Sleep;

use crate::calls::{api, code, down, secs, sim};

#[test]
fn calls_that_wait_for_a_slot_do_not_go_out_once_the_breaker_has_opened() {
    for account in [None, Some("alice")] {
        let sim = sim(1);
        let call = api(&sim).breaker(breaker::Policy::never().consecutive(3)).concurrency(2).build().unwrap();
        let out = AtomicUsize::new(0);
        let op = |_| async {
            out.fetch_add(1, Ordering::SeqCst);
            sim.sleep(secs(1)).await;
            Err::<(), _>(down())
        };
        let tasks = (0..100).map(|_| async {
            match account {
                None => code(&call.run(op).await),
                Some(account) => code(&call.key(account).run(op).await),
            }
        });
        let ended = sim.join(tasks).unwrap();
        let reached = out.load(Ordering::SeqCst);
        assert!(reached <= 4, "{reached} of 100 calls reached a service that has failed three times");
        assert_eq!(ended.iter().filter(|code| **code == "breaker.open").count(), 100 - reached);
        assert!(sim.elapsed() < secs(10), "nobody waits for a turn that will be refused");
    }
}

#[test]
fn calls_that_wait_for_a_quota_do_not_go_out_while_the_dependency_is_blocked() {
    let sim = sim(2);
    let quota = Quota::per_minute(60).unwrap().burst(1).unwrap();
    let call = api(&sim).quota(quota).build().unwrap();
    let out = AtomicUsize::new(0);
    let tasks = (0..10).map(|_| {
        call.run(|_| async {
            out.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(Fault::rate_limited(Some(secs(300))))
        })
    });
    let ended = sim.join(tasks).unwrap();
    assert_eq!(out.load(Ordering::SeqCst), 1, "who was told to come back in five minutes came back");
    assert_eq!(ended.iter().filter(|ended| code(ended) == "breaker.blocked").count(), 9);
}

#[test]
fn a_call_inside_of_a_call_is_refused_after_a_bounded_wait_and_wedges_nothing() {
    let sim = sim(3);
    let call = api(&sim).concurrency(1).concurrency_wait(secs(5)).build().unwrap();
    let inner = call.run(|_| async {
        let inner = call.run(|_| async { Ok::<_, io::Error>(()) }).await;
        Ok::<_, io::Error>(code(&inner))
    });
    assert_eq!(sim.block_on(inner).unwrap().unwrap(), "call.full");
    assert_eq!(sim.elapsed(), secs(5));
    assert!(sim.block_on(call.run(|_| async { Ok::<_, io::Error>(()) })).unwrap().is_ok());
}

#[test]
fn a_probe_that_waits_for_its_quota_is_not_taken_for_dead() {
    let sim = sim(4);
    let policy = breaker::Policy::never().consecutive(1).open(secs(60)).open_jitter(0);
    let call = api(&sim)
        .retry(retry::Policy::once().inline_wait_max(secs(900)))
        .breaker(policy)
        .quota(Quota::new(1, secs(600)).unwrap())
        .attempt_timeout(secs(30))
        .build()
        .unwrap();
    assert_eq!(code(&call.run_blocking(|_| Err::<(), _>(down()))), "retry.attempts_spent");
    sim.advance(secs(60));
    assert_eq!(code(&call.run_blocking(|_| Ok::<_, io::Error>(()))), "ok");
    assert_eq!(call.breaker().standing(), breaker::Standing::Closed, "its probe has succeeded");
}

#[test]
fn errors_that_are_send_and_not_sync_can_be_spawned() {
    #[derive(Debug)]
    struct NotSync(std::cell::Cell<u8>);
    impl unattended::fault::Classify for NotSync {
        fn fault(&self) -> Fault {
            self.0.set(1);
            Fault::transient("x")
        }
    }
    fn spawnable<T: Send>(future: T) -> T {
        future
    }
    let sim = sim(5);
    let call = api(&sim).build().unwrap();
    let run = spawnable(call.run(|_| async { Err::<(), _>(NotSync(std::cell::Cell::new(0))) }));
    assert_eq!(code(&sim.block_on(run).unwrap()), "retry.attempts_spent");
}

#[test]
fn operations_that_are_not_send_run_on_one_thread() {
    let sim = sim(6);
    let call = api(&sim).build().unwrap();
    let local = std::rc::Rc::new(7);
    let run = call.run(|_| {
        let (local, sim) = (std::rc::Rc::clone(&local), &sim);
        async move {
            sim.sleep(secs(1)).await;
            Ok::<_, io::Error>(*local)
        }
    });
    assert_eq!(sim.block_on(run).unwrap().unwrap(), 7);
}
