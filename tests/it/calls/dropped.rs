//! A call that is dropped at each point at which it can wait.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use unattended::breaker;
use unattended::call::StoreDown;
use unattended::quota::Quota;
use unattended::retry;
use unattended::testing::sim::Sim;
use unattended::time::Sleep;

use crate::calls::{Api, Slow, api, code, down, secs, sim};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Here,
    Persisted,
    Shared,
}

/// Polls it `polls` times, with time going on in between, and drops it. Whether it had ended.
fn drop_after<F: Future>(sim: &Sim, polls: u32, future: F) -> bool {
    let mut future: Pin<Box<F>> = Box::pin(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        if let Some(wake) = sim.next_wake() {
            sim.advance(wake.since(unattended::time::Clock::moment(sim)));
        }
    }
    false
}

fn build(sim: &Sim, kept: Kept) -> Api {
    let policy = breaker::Policy::never().consecutive(1).open(secs(60)).open_jitter(0);
    let call = api(sim)
        .retry(retry::Policy::once().inline_wait_max(secs(5)))
        .breaker(policy)
        .quota(Quota::per_day(3).unwrap())
        .concurrency(1)
        .attempt_timeout(secs(30));
    let store = Slow::store(sim);
    match kept {
        Kept::Here => call,
        Kept::Persisted => call.persist(&store),
        Kept::Shared => call.share(&store, StoreDown::FailClosed),
    }
    .build()
    .unwrap()
}

fn ok(sim: &Sim, call: &Api) -> &'static str {
    code(&sim.block_on(call.run(|_| async { Ok::<_, io::Error>(()) })).unwrap())
}

/// The one who probes is dropped: the next call probes, or the lease has to end where nobody can know; nothing is used
/// of the quota unless the operation began.
#[test]
fn a_probe_that_is_dropped_anywhere_gives_back_what_it_took() {
    for kept in [Kept::Here, Kept::Persisted, Kept::Shared] {
        let mut lost = 0;
        for polls in 0.. {
            let sim = sim(polls.into());
            let call = build(&sim, kept);
            let _failed = sim.block_on(call.run(|_| async { Err::<(), _>(down()) })).unwrap();
            assert_eq!(ok(&sim, &call), "breaker.open");
            sim.advance(secs(61));
            let began = std::cell::Cell::new(false);
            let ended = drop_after(
                &sim,
                polls,
                call.run(|_| async {
                    began.set(true);
                    sim.sleep(secs(1)).await;
                    Ok::<_, io::Error>(())
                }),
            );
            if ended {
                assert!(polls > 1, "{kept:?}");
                break;
            }
            let what = format!("{kept:?}, dropped after {polls} polls, began: {}", began.get());
            assert_eq!(ok(&sim, &call), "ok", "{what}");
            let left = [ok(&sim, &call), ok(&sim, &call)];
            let all = if began.get() { ["quota.spent", "quota.spent"] } else { ["ok", "quota.spent"] };
            // A reservation that was written, and dropped before the answer, is lost as with a process that dies.
            lost += u32::from(left != all);
            assert!(left == all || (left == ["quota.spent"; 2] && kept != Kept::Here), "{left:?}: {what}");
        }
        assert!(lost <= 1, "{kept:?}: one answer of the store may be missed, and not {lost}");
    }
}
