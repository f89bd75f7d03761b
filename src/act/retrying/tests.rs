//! The loop: what it calls, how long it waits, what it hands back.

use std::error::Error;
use std::io;

use super::*;
use crate::act::testing::SimClock;
use crate::base::explain::Explain;
use crate::base::fault::Class;

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

#[test]
fn a_success_at_once_waits_for_nothing() {
    let clock = SimClock::default();
    let result = Policy::cron().on(&clock).run_blocking(|attempt| Ok::<_, io::Error>(attempt.number()));
    assert_eq!(result.unwrap(), 1);
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[test]
fn it_waits_and_tries_until_it_succeeds() {
    let clock = SimClock::default();
    let result = Policy::cron().on(&clock).seed(1).run_blocking(|attempt| {
        if attempt.number() < 4 { Err(timed_out()) } else { Ok(attempt.remaining()) }
    });
    assert_eq!(result.unwrap(), Duration::from_secs(600) - clock.elapsed());
    assert!(clock.elapsed() >= Duration::from_millis(1500), "three waits of at least 500 ms");
}

#[test]
fn a_failure_keeps_the_error_the_reason_and_the_timeline() {
    let clock = SimClock::default();
    let stopped = Policy::cron()
        .on(&clock)
        .run_blocking(|_| -> Result<(), _> {
            clock.advance(Duration::from_secs(3));
            Err(timed_out())
        })
        .unwrap_err();
    assert_eq!(stopped.exit_code(), 1);
    assert_eq!(stopped.source().unwrap().to_string(), timed_out().to_string());
    assert_eq!(stopped.to_string(), "failed after 5 attempts: 5 of 5 attempts have failed and are transient");
    let tried: Vec<_> = stopped.attempts().iter().collect();
    assert_eq!(tried.len(), 5);
    assert!(tried.iter().all(|t| t.duration == Some(Duration::from_secs(3)) && t.class == Class::Transient));
    assert!(tried[..4].iter().all(|t| t.delay.is_some()) && tried[4].delay.is_none());
    assert_eq!((tried[4].number, &*tried[4].code), (5, "io.timed_out"));
}

#[test]
fn a_deferral_exits_with_75() {
    let clock = SimClock::default();
    let stopped = Policy::cron()
        .on(&clock)
        .run_blocking(|_| Err::<(), _>(Fault::rate_limited(Some(Duration::from_secs(3600)))))
        .unwrap_err();
    assert_eq!((stopped.exit_code(), clock.elapsed()), (75, Duration::ZERO));
    assert!(matches!(&stopped, Stopped::Deferred { why, .. } if why.code() == "retry.server_out_of_time"));
    assert!(stopped.retry_at().is_some());
}

#[test]
fn a_value_that_is_a_fault_is_tried_again() {
    let clock = SimClock::default();
    let mut calls = 0;
    let result =
        Policy::cron().on(&clock).reject(|pages: &u32| (*pages == 0).then(timed_out)).run_blocking(|_| {
            calls += 1;
            Ok(calls / 3)
        });
    assert_eq!((result.unwrap(), calls), (1, 3));
}

#[test]
fn the_refusal_arm_of_a_retry_alone_need_not_be_matched() {
    let stopped = Policy::once().run_blocking(|_| Err::<(), _>(timed_out())).unwrap_err();
    let last = match stopped {
        Stopped::Failed { last, .. } | Stopped::Deferred { last, .. } => last,
    };
    assert_eq!(last.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_policy_without_limits_of_time_reads_no_clock_on_success() {
    struct Broken;
    impl Clock for Broken {
        fn now(&self) -> Now {
            panic!("the clock was read")
        }
    }
    impl SleepBlocking for Broken {
        fn sleep_blocking(&self, _: Duration) {}
    }
    let policy = Policy::cron().elapsed_max(None);
    assert!(policy.on(&Broken).run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
}

#[test]
fn jitter_differs_from_run_to_run() {
    let waited = || {
        let clock = SimClock::default();
        let _result = Policy::cron().on(&clock).run_blocking(|_| Err::<(), _>(timed_out()));
        clock.elapsed()
    };
    assert_ne!(waited(), waited());
}

#[cfg(feature = "tokio")]
#[test]
fn both_drivers_take_the_same_decisions() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..100 {
        let (blocking, future) = (SimClock::default(), SimClock::default());
        let policy = Policy::cron();
        let fault = |n: u32| if n.is_multiple_of(2) { Fault::unknown() } else { Fault::transient("x") };
        let a = policy.on(&blocking).seed(seed).run_blocking(|a| Err::<(), _>(fault(a.number())));
        let b = runtime
            .block_on(policy.on(&future).seed(seed).run(|a| async move { Err::<(), _>(fault(a.number())) }));
        assert_eq!((a, blocking.elapsed()), (b, future.elapsed()));
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_run_with_captures_can_be_spawned() {
    let url = std::sync::Arc::new(String::from("https://example.org"));
    let policy = Policy::service();
    let task = tokio::spawn(async move {
        policy
            .classify(|_: &std::fmt::Error| Fault::unknown())
            .run(|_| {
                let url = url.clone();
                async move { Ok::<_, std::fmt::Error>(url.len()) }
            })
            .await
    });
    assert_eq!(task.await.unwrap().unwrap(), 19);
}
