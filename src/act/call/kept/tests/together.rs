//! Two processes at the same time: here two adapters that share nothing but the store.

use std::io;

use super::*;
use crate::act::call::{Builder, Refusing, Stopped};
use crate::base::explain::Explain;
use crate::base::zone::Zone;
use crate::decide::budget;
use crate::decide::quota::{Calendar, Quota};

type One = Call<ByTrait, SimClock>;

fn api(clock: &SimClock) -> Builder<ByTrait, SimClock> {
    Call::to("api").retry(retry::Policy::once()).effect(Effect::Idempotent).on(clock.clone())
}

fn two(store: &Arc<InMemory>, down: StoreDown, make: impl Fn() -> Builder<ByTrait, SimClock>) -> [One; 2] {
    [(); 2].map(|()| make().kept_in(Arc::clone(store) as Arc<dyn Saved>, Some(down)).build().unwrap())
}

fn guarded(clock: &SimClock, store: &Arc<InMemory>, down: StoreDown) -> [One; 2] {
    two(store, down, || api(clock).breaker(breaker::Policy::never().consecutive(3)))
}

fn succeeds(call: &One) -> Result<(), Stopped<io::Error>> {
    call.run_blocking(|_| Ok(()))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn their_failures_are_counted_together() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let [a, b] = guarded(&clock, &store, StoreDown::Local);
    assert_eq!([fails(&a), fails(&b), fails(&a)], [1, 1, 1]);
    assert_eq!(succeeds(&b).unwrap_err().code(), "breaker.open");
    clock.advance(secs(300));
    succeeds(&b).unwrap();
    succeeds(&a).unwrap();
    // A success of one ends the row of the other.
    assert_eq!([fails(&a), fails(&b)], [1, 1]);
    succeeds(&a).unwrap();
    assert_eq!([fails(&b), fails(&a)], [1, 1]);
    succeeds(&b).unwrap();
}

#[test]
fn one_of_them_probes_at_a_time() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let [a, b] = guarded(&clock, &store, StoreDown::Local);
    assert_eq!([fails(&a), fails(&a), fails(&a)], [1, 1, 1]);
    clock.advance(secs(300));
    a.run_blocking(|_| {
        assert_eq!(succeeds(&b).unwrap_err().code(), "breaker.probing");
        Ok::<_, io::Error>(())
    })
    .unwrap();
    succeeds(&b).unwrap();
}

#[cfg(feature = "tokio")]
#[test]
fn a_prober_that_dies_is_succeeded_after_its_lease() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let [a, b] = guarded(&clock, &store, StoreDown::Local);
    assert_eq!([fails(&a), fails(&a), fails(&a)], [1, 1, 1]);
    clock.advance(secs(300));
    let mut probe = Box::pin(a.run(|_| std::future::pending::<Result<(), io::Error>>()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Its own clock sleeps at once, so it is stopped before the time-out of its attempt is polled to the end.
    let _polled = probe.as_mut().poll(&mut context);
    std::mem::forget(probe);
    let refused = succeeds(&b).unwrap_err();
    assert!(matches!(&refused, Stopped::Refused { why: Refusing::Breaker(_), .. }), "{refused}");
    // The lease ends, which is a failure: open for twice as long as before, then probed by the other.
    clock.advance(secs(120 + 600));
    succeeds(&b).unwrap();
    assert_eq!(b.breaker().standing(), Standing::Closed);
}

#[test]
fn a_block_holds_for_both() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let [a, b] = guarded(&clock, &store, StoreDown::Local);
    let limited = Fault::rate_limited(Some(secs(300)));
    let _failed = a.run_blocking(|_| Err::<(), _>(limited.clone()));
    assert_eq!(succeeds(&b).unwrap_err().code(), "breaker.blocked");
}

#[test]
fn a_quota_is_never_exceeded_over_both_and_not_by_those_who_die_with_a_block() {
    let clock = SimClock::default();
    for (limit, span, most) in [(60, secs(60), 120), (7, secs(60), 14)] {
        let store = Arc::default();
        let quota = Quota::new(limit, span).unwrap();
        let patient = retry::Policy::once().inline_wait_max(Duration::ZERO);
        let mut pair = two(&store, StoreDown::FailClosed, || api(&clock).retry(patient).quota(quota));
        let (mut served, start) = (0, clock.elapsed());
        while clock.elapsed() - start < span {
            for call in &pair {
                served += u32::from(succeeds(call).is_ok());
            }
            if served % 5 == 0 {
                // One is killed with what it has reserved, and started anew.
                pair = two(&store, StoreDown::FailClosed, || api(&clock).retry(patient).quota(quota));
            }
            clock.advance(Duration::from_millis(100));
        }
        assert!(served <= most, "{served} in {span:?}, allowed are a burst and what comes back: {most}");
        assert!(served >= most / 2, "{served}: the quota can be used");
    }
}

#[test]
fn what_was_reserved_and_not_used_is_given_back_at_the_end() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let midnight = chrono::NaiveTime::MIN;
    let daily = Calendar::new(200, midnight, Zone::Utc).unwrap();
    let [a, b] = two(&store, StoreDown::FailClosed, || api(&clock).quota(daily));
    succeeds(&a).unwrap();
    a.flush_blocking().unwrap();
    for used in 1..200 {
        assert!(succeeds(&b).is_ok(), "{used} of 200 are used");
    }
    assert_eq!(succeeds(&b).unwrap_err().code(), "quota.spent_calendar");
}

#[test]
fn a_budget_is_one_for_both() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let make = || api(&clock).retry(retry::Policy::cron()).budget(budget::Policy::cron().tokens_max(4));
    let [a, b] = two(&store, StoreDown::Local, make);
    let fault = Fault::transient("http.503");
    let tries =
        |call: &One| call.run_blocking(|_| Err::<(), _>(fault.clone())).unwrap_err().attempts().count();
    assert_eq!([tries(&a), tries(&b)], [5, 1]);
}

#[test]
fn a_store_that_is_down_does_what_was_said() {
    let quota = Quota::per_day(1).unwrap();
    for (down, codes) in [
        (StoreDown::FailClosed, ["call.store_down", "call.store_down"]),
        (StoreDown::FailOpen, ["ok", "ok"]),
        (StoreDown::Local, ["ok", "quota.spent"]),
    ] {
        let (clock, store) = (SimClock::default(), Arc::<InMemory>::default());
        store.down.store(true, Ordering::SeqCst);
        let [a, _] = two(&store, down, || api(&clock).quota(quota));
        let code = || match succeeds(&a) {
            Ok(()) => "ok",
            Err(stopped) => stopped.code(),
        };
        assert_eq!([code(), code()], codes, "{down:?}");
    }
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_store_that_says_nothing_is_waited_for_five_seconds_and_not_for_ever() {
    let (clock, store) = (SimClock::default(), Arc::<InMemory>::default());
    store.silent.store(true, Ordering::SeqCst);
    let [a, _] = guarded(&clock, &store, StoreDown::Local);
    assert!(a.run(|_| async { Ok::<_, io::Error>(()) }).await.is_ok());
    assert!(clock.elapsed() >= STORE_WAIT && clock.elapsed() <= STORE_WAIT * 3, "{:?}", clock.elapsed());
}

#[test]
fn successes_of_a_healthy_service_are_read_and_not_written() {
    let (clock, store) = (SimClock::default(), Arc::<InMemory>::default());
    let [a, _] = guarded(&clock, &store, StoreDown::Local);
    succeeds(&a).unwrap();
    let before = store.saves.load(Ordering::SeqCst);
    (0..100).for_each(|_| succeeds(&a).unwrap());
    assert_eq!(store.saves.load(Ordering::SeqCst), before);
}

#[test]
fn what_the_other_cannot_know_of_is_counted_on_top() {
    let (clock, store) = (SimClock::default(), Arc::default());
    let rate = breaker::Rate { percent: 50, calls: 20, min: 5, within: None };
    let [a, b] = two(&store, StoreDown::Local, || api(&clock).breaker(breaker::Policy::never().rate(rate)));
    (0..10).for_each(|_| succeeds(&a).unwrap());
    // Ten successes of the one and seven failures: less than half, whoever has seen what.
    for _ in 0..3 {
        assert_eq!([fails(&a), fails(&b)], [1, 1]);
    }
    assert_eq!(fails(&a), 1);
    succeeds(&a).unwrap();
    // Now the window slides: ten of the last twenty is half.
    (0..3).for_each(|_| assert_eq!(fails(&b), 1));
    assert_eq!(succeeds(&a).unwrap_err().code(), "breaker.open");
}

#[test]
fn names_and_accounts_are_kept_apart_whatever_is_in_them() {
    let (clock, store) = (SimClock::default(), Arc::<InMemory>::default());
    let make = |name: &str| {
        let call =
            Call::to(name).retry(retry::Policy::once()).breaker(breaker::Policy::never().consecutive(1));
        let call = call.effect(Effect::Pure).on(clock.clone());
        call.kept_in(Arc::clone(&store) as Arc<dyn Saved>, Some(StoreDown::Local)).build().unwrap()
    };
    let _failed = make("a/b").key("c").run_blocking(|_| Err::<(), _>(down())).unwrap_err();
    assert!(make("a").key("b/c").run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    assert!(make("a/b").run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
    let open = make("a/b").key("c").run_blocking(|_| Ok::<_, io::Error>(())).unwrap_err();
    assert_eq!(open.code(), "breaker.open");
    assert_eq!(Refusing::StoreDown.code(), "call.store_down");
}
