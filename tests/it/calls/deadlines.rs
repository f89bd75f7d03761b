//! Limits of time that contradict each other, at their ends, and on clocks that step.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use unattended::breaker;
use unattended::quota::Quota;
use unattended::time::Sleep;

use crate::calls::{api, code, down, secs, sim};

#[test]
fn a_deadline_shorter_than_the_wait_for_a_quota_refuses_at_once() {
    let sim = sim(1);
    let quota = Quota::new(1, secs(20)).unwrap();
    let call = api(&sim).quota(quota).deadline_total(secs(5)).build().unwrap();
    assert!(call.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert_eq!(code(&call.run_blocking(|_| Ok::<_, io::Error>(()))), "quota.spent");
    assert_eq!(sim.elapsed(), Duration::ZERO, "nobody waits for what comes too late");
}

#[test]
fn an_attempt_has_no_more_time_than_the_deadline_leaves() {
    let sim = sim(2);
    let call = api(&sim).attempt_timeout(secs(60)).deadline_total(secs(5)).build().unwrap();
    let hung = sim.block_on(call.run(|_| std::future::pending::<Result<(), io::Error>>())).unwrap();
    assert_eq!((sim.elapsed(), code(&hung)), (secs(5), "retry.attempts_spent"));
}

#[test]
fn the_longest_durations_are_no_overflow() {
    let sim = sim(4);
    let most = Duration::MAX;
    let call = api(&sim)
        .attempt_timeout(most)
        .deadline_total(most)
        .concurrency_wait(most)
        .breaker(breaker::Policy::never().consecutive(1))
        .quota(Quota::per_second(1).unwrap())
        .build();
    let Ok(call) = call else { return };
    assert!(call.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert!(sim.block_on(call.run(|_| async { Ok::<_, io::Error>(()) })).unwrap().is_ok());
    let _failed = call.run_blocking(|_| Err::<(), _>(down()));
    assert_eq!(code(&call.run_blocking(|_| Ok::<_, io::Error>(()))), "breaker.open");
}

#[test]
fn thirty_seconds_of_silence_are_cut_at_the_attempt_time_out_and_the_timeline_says_so() {
    let sim = sim(5);
    let call = api(&sim).attempt_timeout(secs(10)).build().unwrap();
    let silent = call.run(|_| async {
        sim.sleep(secs(30)).await;
        Ok::<_, io::Error>(())
    });
    let stopped = sim.block_on(silent).unwrap().unwrap_err();
    assert_eq!(sim.elapsed(), secs(10));
    let tried = stopped.attempts().last().unwrap();
    assert_eq!((&*tried.code, tried.overrun), ("call.timed_out", None));
    // A thread that blocks cannot be cut: it is told what it has, and what it takes beyond that is reported.
    let blocking = call.run_blocking(|attempt| {
        assert_eq!(attempt.remaining(), secs(10));
        sim.advance(secs(30));
        Err::<(), _>(down())
    });
    assert_eq!(blocking.unwrap_err().attempts().last().unwrap().overrun, Some(secs(20)));
}

/// The wall clock goes an hour back and forth while it is open, half-open and blocked.
#[test]
fn a_wall_clock_that_steps_neither_opens_nor_holds_the_way() {
    for hours in [-1, 1] {
        let sim = Arc::new(sim(6));
        let policy = breaker::Policy::never().consecutive(1).open(secs(60)).open_jitter(0);
        let call = api(&sim).breaker(policy).build().unwrap();
        let ok = || code(&call.run_blocking(|_| Ok::<_, io::Error>(())));
        assert_eq!(code(&call.run_blocking(|_| Err::<(), _>(down()))), "retry.attempts_spent");
        sim.step_wall(chrono::TimeDelta::hours(hours));
        assert_eq!(ok(), "breaker.open", "{hours}");
        sim.advance(secs(61));
        let probe = call.run_blocking(|_| {
            sim.step_wall(chrono::TimeDelta::hours(hours));
            assert_eq!(ok(), "breaker.probing");
            Ok::<_, io::Error>(())
        });
        assert_eq!((code(&probe), ok()), ("ok", "ok"), "{hours}");
        let limited = unattended::fault::Fault::rate_limited(Some(secs(300)));
        let _blocked = call.run_blocking(|_| Err::<(), _>(limited.clone()));
        sim.step_wall(chrono::TimeDelta::hours(hours));
        assert_eq!(ok(), "breaker.blocked", "{hours}");
        sim.advance(secs(301));
        assert_eq!(ok(), "ok", "{hours}");
    }
}
