//! Budget, quotas and bulkhead around a call.

use std::io;
#[cfg(feature = "tokio")]
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::zone::Zone;
use crate::decide::budget;
use crate::decide::quota::{Calendar, Quota};

fn api(clock: &SimClock) -> Builder<ByTrait, SimClock> {
    Call::to("api").effect(Effect::Idempotent).on(clock.clone())
}

fn ok(call: &Call<ByTrait, SimClock>) -> Result<(), Stopped<io::Error>> {
    call.run_blocking(|_| Ok(()))
}

#[test]
fn a_quota_is_waited_for_as_long_as_a_process_is_held_and_refused_beyond() {
    let clock = SimClock::default();
    let quota = Quota::per_minute(60).unwrap().burst(1).unwrap();
    let call = api(&clock).quota(quota).build().unwrap();
    (0..10).for_each(|_| ok(&call).unwrap());
    assert_eq!(clock.elapsed(), secs(9), "the tenth had to wait nine times");

    let hourly = api(&clock).quota(Quota::per_hour(2).unwrap().burst(1).unwrap()).build().unwrap();
    ok(&hourly).unwrap();
    let before = clock.elapsed();
    let refused = ok(&hourly).unwrap_err();
    assert_eq!((refused.code(), refused.exit_code(), refused.attempts().count()), ("quota.spent", 75, 0));
    assert_eq!(refused.retry_at(), Some(crate::base::time::later(clock.now().wall, secs(1800))));
    assert_eq!(clock.elapsed(), before, "nobody has waited");
}

#[test]
fn what_an_outer_quota_gave_is_given_back_when_an_inner_one_refuses() {
    let clock = SimClock::default();
    let call =
        api(&clock).quota(Quota::per_day(3).unwrap()).quota(Quota::per_hour(1).unwrap()).build().unwrap();
    ok(&call).unwrap();
    // The hour is used up: none of these may cost anything of the day.
    (0..5).for_each(|_| assert_eq!(ok(&call).unwrap_err().code(), "quota.spent"));
    clock.advance(secs(3600));
    ok(&call).unwrap();
    clock.advance(secs(3600));
    ok(&call).unwrap();
}

#[test]
fn each_attempt_takes_one_of_the_quota() {
    let clock = SimClock::default();
    let call = api(&clock).quota(Quota::per_day(3).unwrap()).build().unwrap();
    let stopped = call.run_blocking(|_| Err::<(), _>(down())).unwrap_err();
    assert_eq!((stopped.code(), stopped.attempts().count()), ("quota.spent", 3));
    assert!(stopped.last().is_some(), "the last failure is told with the refusal");
}

#[test]
fn a_calendar_quota_ends_at_its_reset_and_not_a_day_later() {
    let clock = SimClock::default();
    clock.advance(secs(23 * 3600));
    let noon = chrono::NaiveTime::from_hms_opt(0, 0, 0).unwrap();
    let call = api(&clock).quota(Calendar::new(2, noon, Zone::Utc).unwrap()).build().unwrap();
    ok(&call).unwrap();
    ok(&call).unwrap();
    assert_eq!(ok(&call).unwrap_err().exit_code(), 75);
    clock.advance(secs(3600));
    ok(&call).unwrap();
}

#[test]
fn the_budget_is_asked_before_the_wait_and_holds_for_all_calls_together() {
    let clock = SimClock::default();
    let policy = budget::Policy::cron().tokens_max(4);
    let call = api(&clock).budget(policy).build().unwrap();
    let fault = Fault::transient("http.503");
    let (mut tries, mut codes) = (0, Vec::new());
    for _ in 0..3 {
        let before = clock.elapsed();
        let stopped = call
            .run_blocking(|_| {
                tries += 1;
                Err::<(), _>(fault.clone())
            })
            .unwrap_err();
        if stopped.attempts().count() == 1 {
            assert_eq!(clock.elapsed(), before, "a retry that is refused is not waited for");
        }
        codes.push((stopped.code(), stopped.attempts().count(), stopped.exit_code()));
    }
    // Four tokens are four retries: one call may use them all, the others fail at their first try.
    assert_eq!(codes, [("retry.attempts_spent", 5, 1), ("budget.spent", 1, 75), ("budget.spent", 1, 75)]);
    assert_eq!(tries, 7);
    let unbounded = api(&clock).budget(None).build().unwrap();
    let stopped = unbounded.run_blocking(|_| Err::<(), _>(fault.clone())).unwrap_err();
    assert_eq!(stopped.attempts().count(), 5);
}

#[test]
fn a_full_bulkhead_refuses_after_a_bounded_wait_and_gives_back_what_was_taken() {
    let clock = SimClock::default();
    let call = api(&clock)
        .quota(Quota::per_day(2).unwrap())
        .concurrency(1)
        .concurrency_wait(Duration::ZERO)
        .build()
        .unwrap();
    call.run_blocking(|_| {
        let refused = ok(&call).unwrap_err();
        assert_eq!((refused.code(), refused.exit_code()), ("call.full", 75));
        Ok::<_, io::Error>(())
    })
    .unwrap();
    ok(&call).unwrap();
    assert_eq!(ok(&call).unwrap_err().code(), "quota.spent", "the refused one has cost nothing");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn five_hundred_calls_hold_the_same_limit_as_five() {
    for fan_out in [5, 500] {
        let call = Arc::new(Call::to("api").effect(Effect::Pure).concurrency(4).build().unwrap());
        let (out, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let tasks: Vec<_> = (0..fan_out)
            .map(|_| {
                let (call, out, most) = (Arc::clone(&call), Arc::clone(&out), Arc::clone(&most));
                tokio::spawn(async move {
                    let op = |_| async {
                        most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        out.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, io::Error>(())
                    };
                    call.run(op).await.is_ok()
                })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_leaves_nothing_behind() {
    let call = Call::to("api").effect(Effect::Pure).concurrency(1).build().unwrap();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut first = Box::pin(call.run(|_| std::future::pending::<Result<(), io::Error>>()));
    assert!(first.as_mut().poll(&mut context).is_pending());
    let mut second = Box::pin(call.run(|_| async { Ok::<_, io::Error>(()) }));
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert_eq!(call.bulkhead.waiting(), 1);
    drop(second);
    assert_eq!(call.bulkhead.waiting(), 0);
    drop(first);
    assert!(call.run(|_| async { Ok::<_, io::Error>(()) }).await.is_ok());
}

#[test]
fn an_account_has_a_breaker_a_block_and_a_quota_of_its_own() {
    let clock = SimClock::default();
    let call =
        api(&clock).breaker(breaker::Policy::cron()).quota(Quota::per_day(9).unwrap()).build().unwrap();
    let alice = call.key("alice").run_blocking(|_| Err::<(), _>(down())).unwrap_err();
    assert_eq!(alice.code(), "breaker.open");
    assert!(call.key("bob").run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert!(ok(&call).is_ok(), "nor does an account touch the dependency's own");
    let limited = Fault::rate_limited(Some(secs(300)));
    let _deferred = call.key("carol").run_blocking(|_| Err::<(), _>(limited.clone()));
    let refused = call.key("carol").run_blocking(|_| Ok::<_, io::Error>(())).unwrap_err();
    assert_eq!(refused.code(), "breaker.blocked");
}

#[cfg(feature = "rate-limit")]
#[test]
fn a_rate_limit_of_the_process_is_waited_for_and_may_be_one_for_each_account() {
    use crate::act::limit::{KeyedRate, Rate};
    let clock = SimClock::default();
    let rate = Rate::new(60, secs(60), 1).unwrap();
    let call = api(&clock).rate_limit(rate).build().unwrap();
    (0..4).for_each(|_| ok(&call).unwrap());
    assert_eq!(clock.elapsed(), secs(3));
    let each = api(&clock).rate_limit(KeyedRate::new(1, secs(3600), 1).unwrap()).build().unwrap();
    let ask = |account: &'static str| each.key(account).run_blocking(|_| Ok::<_, io::Error>(()));
    assert!(ask("alice").is_ok() && ask("bob").is_ok() && ok(&each).is_ok());
    let refused = ask("alice").unwrap_err();
    assert!(matches!(refused, Stopped::Refused { why: Refusing::RateLimit(_), .. }), "{refused}");
    assert_eq!(refused.exit_code(), 75);
}
