//! The order of the layers, and what each driver does when an attempt does not end.

use std::io;
use std::sync::Arc;

use super::*;
use crate::act::testing::SimClock;
use crate::base::effect::Effect;
use crate::base::fault::{Fault, Reached};
use crate::decide::breaker::{self, Standing};
use crate::decide::retry::Stopping;

mod layers;
mod limits;

pub(super) fn down() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn youtube(clock: &SimClock) -> Builder<ByTrait, SimClock> {
    Call::to("youtube").breaker(breaker::Policy::cron()).effect(Effect::Idempotent).on(clock.clone())
}

#[test]
fn an_effect_must_be_declared() {
    let error = Call::to("youtube").build().unwrap_err();
    assert_eq!(error, Error::NoEffect { name: "youtube".into() });
}

#[test]
fn a_policy_that_cannot_be_meant_is_an_error_of_build() {
    let call = |call: Builder| call.effect(Effect::Pure).build().unwrap_err();
    let retry = call(Call::to("x").retry(retry::Policy::cron().unknown(|s| s.attempts_max(0))));
    assert!(crate::base::fault::chain(&retry).contains("unknown.attempts_max is 0"));
    let breaker = call(Call::to("x").breaker(breaker::Policy::cron().probes(0)));
    assert!(crate::base::fault::chain(&breaker).contains("probes is 0"));
    let zero = call(Call::to("x").attempt_timeout(Duration::ZERO));
    assert_eq!(zero, Error::Zero { name: "x".into(), field: "attempt_timeout" });
}

#[test]
fn the_breaker_scores_each_try_and_its_refusal_ends_the_call() {
    let clock = SimClock::default();
    let call = youtube(&clock).build().unwrap();
    let mut tries = 0;
    let stopped = call
        .run_blocking(|_| {
            tries += 1;
            Err::<(), _>(down())
        })
        .unwrap_err();
    // Three failures trip it; the two attempts that retry would still have are not spent on an open breaker.
    assert_eq!((tries, stopped.attempts().count(), stopped.exit_code()), (3, 3, 75));
    assert_eq!(stopped.code(), "breaker.open");
    assert_eq!(stopped.last().and_then(Last::error).map(io::Error::kind), Some(io::ErrorKind::TimedOut));
    let refused = call.run_blocking(|_| Ok::<_, io::Error>(())).unwrap_err();
    assert_eq!((refused.attempts().count(), refused.last().is_none()), (0, true));
    clock.advance(secs(360));
    assert!(call.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert_eq!(call.breaker().standing(), Standing::Closed);
}

#[test]
fn a_rate_limit_blocks_the_dependency_for_every_call() {
    let clock = SimClock::default();
    let call = youtube(&clock).build().unwrap();
    let fault = Fault::rate_limited(Some(secs(300)));
    let stopped = call.run_blocking(|_| Err::<(), _>(fault.clone())).unwrap_err();
    assert_eq!(stopped.code(), "retry.too_long_to_hold");
    let refused = call.run_blocking(|_| Ok::<_, Fault>(())).unwrap_err();
    assert_eq!((refused.code(), refused.exit_code()), ("breaker.blocked", 75));
    clock.advance(secs(301));
    assert!(call.run_blocking(|_| Ok::<_, Fault>(())).is_ok());
}

#[test]
fn an_attempt_is_told_its_time_and_its_overrun_is_reported() {
    let clock = SimClock::default();
    let call = youtube(&clock).attempt_timeout(secs(30)).deadline_total(secs(50)).build().unwrap();
    let mut told = Vec::new();
    let stopped = call
        .run_blocking(|attempt| {
            told.push(attempt.remaining());
            clock.advance(secs(33));
            Err::<(), _>(down())
        })
        .unwrap_err();
    assert_eq!(told[0], secs(30));
    assert!(told[1] < secs(17), "what is left of the total: {:?}", told[1]);
    let overruns: Vec<_> = stopped.attempts().iter().map(|tried| tried.overrun.is_some()).collect();
    assert_eq!(overruns, [true, true]);
    assert!(matches!(stopped, Stopped::Failed { why: Stopping::OutOfTime { .. }, .. }), "{stopped}");
}

#[test]
fn an_unsafe_call_that_may_have_arrived_is_not_repeated() {
    let clock = SimClock::default();
    let call = youtube(&clock).effect(Effect::Unsafe).build().unwrap();
    let stopped = call.run_blocking(|_| Err::<(), _>(down())).unwrap_err();
    assert!(matches!(
        &stopped,
        Stopped::Failed { why: Stopping::MayHaveArrived { reached: Reached::Maybe }, .. }
    ));
    assert_eq!(stopped.attempts().count(), 1);
}

#[test]
fn a_foreign_error_is_classified_by_a_closure() {
    let clock = SimClock::default();
    let call = youtube(&clock).classify(|_: &std::fmt::Error| Fault::permanent("input.bad")).build().unwrap();
    let stopped = call.run_blocking(|_| Err::<(), _>(std::fmt::Error)).unwrap_err();
    assert_eq!(stopped.attempts().last().map(|tried| &*tried.code), Some("input.bad"));
    assert_eq!(call.breaker().standing(), Standing::Closed);
}

#[test]
fn a_thread_that_does_not_end_is_left_behind() {
    // Real time: the time-out of an attempt on a thread is real.
    let call = Call::to("hang")
        .retry(retry::Policy::once())
        .attempt_timeout(Duration::from_millis(20))
        .effect(Effect::Pure)
        .build()
        .unwrap();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let stopped = call
        .run_on_thread(move |_| {
            let _until_dropped = held.lock().map(|held| held.recv());
            Ok::<_, io::Error>(())
        })
        .unwrap_err();
    drop(hold);
    assert!(matches!(stopped.last(), Some(Last::TimedOut { .. })));
    let tried = stopped.attempts().last().unwrap();
    assert_eq!(tried.overrun, None, "what was cut has not overrun");
}

#[test]
fn a_thread_that_panics_is_an_unknown_fault_with_what_it_said() {
    let call = Call::to("panics").retry(retry::Policy::once()).effect(Effect::Pure).build().unwrap();
    let stopped = call.run_on_thread(|_| -> Result<(), io::Error> { panic!("no such page") }).unwrap_err();
    assert!(matches!(stopped.last(), Some(Last::Panicked { message }) if message == "no such page"));
    assert_eq!(stopped.attempts().last().map(|tried| &*tried.code), Some("call.panicked"));
    let ok = call.run_on_thread(|attempt| Ok::<_, io::Error>(attempt.number()));
    assert_eq!(ok.unwrap(), 1);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn an_attempt_that_does_not_end_is_dropped() {
    let clock = SimClock::default();
    let call = youtube(&clock).attempt_timeout(secs(7)).build().unwrap();
    let stopped = call.run(|_| std::future::pending::<Result<(), io::Error>>()).await.unwrap_err();
    assert!(matches!(stopped.last(), Some(Last::TimedOut { after }) if *after == secs(7)));
    assert_eq!((stopped.code(), stopped.attempts().count()), ("breaker.open", 3));
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_call_can_be_shared_and_spawned() {
    let call = Arc::new(Call::to("x").effect(Effect::Pure).build().unwrap());
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let call = Arc::clone(&call);
            tokio::spawn(async move { call.run(|_| async move { Ok::<_, io::Error>(n) }).await })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap(), n);
    }
}
