use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{Sim, Stuck};
use crate::base::time::{BoxFuture, Clock, Moment, Sleep, SleepBlocking, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn sim() -> Sim {
    Sim::new("2026-03-01T00:00:00Z".parse().unwrap(), 1)
}

/// What was said, and when.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<(u64, String)>>>);

impl Story {
    fn tell(&self, sim: &Sim, line: impl Into<String>) {
        self.0.lock().unwrap().push((sim.elapsed().as_secs(), line.into()));
    }

    fn lines(&self) -> Vec<(u64, String)> {
        self.0.lock().unwrap().clone()
    }
}

/// A call that fails for a week, tried again after growing, jittered waits of at most an hour.
async fn fails_for_a_week(sim: &Sim, story: &Story) {
    let mut rng = sim.rng();
    let mut wait = 1000;
    while sim.elapsed() < WEEK {
        story.tell(sim, format!("failed, wait at most {wait} ms"));
        sim.sleep(Duration::from_millis(rng.up_to(wait))).await;
        wait = (wait * 2).min(3_600_000);
    }
    story.tell(sim, "succeeded");
}

#[test]
fn a_week_of_failures_and_one_seed_gives_one_story() {
    let run = |seed| {
        let sim = Sim::new(Timestamp::UNIX_EPOCH, seed);
        let story = Story::default();
        let callers = (0..20).map(|_| fails_for_a_week(&sim, &story));
        assert_eq!(sim.join(callers).unwrap().len(), 20);
        assert!(sim.elapsed() >= WEEK && sim.elapsed() < WEEK + HOUR);
        story.lines()
    };
    let story = run(7);
    assert!(story.len() > 20 * 7 * 24, "{}", story.len());
    assert_eq!(story, run(7));
    assert_ne!(story, run(8));
}

#[test]
fn futures_wake_in_the_order_of_time_and_then_of_asking() {
    let (sim, story) = (sim(), Story::default());
    let naps = [3, 1, 2, 1].into_iter().enumerate().map(|(i, hours)| {
        let (sim, story) = (&sim, &story);
        async move {
            sim.sleep(HOUR * hours).await;
            story.tell(sim, format!("{i}"));
            i
        }
    });
    assert_eq!(sim.join(naps).unwrap(), [0, 1, 2, 3]);
    let told: Vec<_> = story.lines().into_iter().map(|(at, who)| (at / 3600, who)).collect();
    assert_eq!(told, [(1, "1".into()), (1, "3".into()), (2, "2".into()), (3, "0".into())]);
}

/// The first of two futures.
async fn either(a: impl Future<Output = ()>, b: impl Future<Output = ()>) -> &'static str {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx: &mut Context<'_>| {
        if a.as_mut().poll(cx).is_ready() {
            return Poll::Ready("a");
        }
        b.as_mut().poll(cx).map(|()| "b")
    })
    .await
}

#[test]
fn a_time_out_ends_at_its_time_and_a_dropped_sleep_holds_nothing() {
    let sim = sim();
    let first = sim.block_on(either(sim.sleep(WEEK), sim.sleep(SECOND))).unwrap();
    assert_eq!((first, sim.elapsed()), ("b", SECOND));
    assert_eq!(sim.next_wake(), None);
    let first = sim.block_on(either(sim.sleep(Duration::ZERO), pending())).unwrap();
    assert_eq!((first, sim.elapsed()), ("a", SECOND));
}

#[test]
fn a_sleep_counts_from_the_call_not_from_the_first_poll() {
    let sim = sim();
    sim.block_on(async {
        let nap = sim.sleep(HOUR);
        sim.sleep(HOUR / 2).await;
        nap.await;
    })
    .unwrap();
    assert_eq!(sim.elapsed(), HOUR);
}

#[test]
fn what_would_hang_is_an_error() {
    let sim = sim();
    assert!(matches!(sim.block_on(pending::<()>()), Err(Stuck::Deadlock { waiting: 1, .. })));
    // A sleep that never ends is no way out.
    assert!(matches!(sim.block_on(sim.sleep(Duration::MAX)), Err(Stuck::Deadlock { .. })));
    let spinning = poll_fn(|cx: &mut Context<'_>| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    assert!(matches!(sim.block_on(spinning), Err(Stuck::Livelock { .. })));
    // The simulation can be used afterwards.
    assert_eq!(sim.block_on(sim.sleep(SECOND)), Ok(()));
}

#[test]
fn what_repeats_for_ever_ends_at_the_horizon() {
    let sim = sim().horizon(WEEK);
    let heartbeat: BoxFuture<'_, ()> = Box::pin(async {
        loop {
            sim.sleep(SECOND * 60).await;
        }
    });
    let outcome = sim.join([heartbeat, Box::pin(pending())]);
    assert_eq!(outcome, Err(Stuck::Horizon { limit: WEEK }));
    assert_eq!(sim.elapsed(), WEEK);
}

#[test]
fn a_panic_in_a_future_leaves_the_simulation_usable() {
    let sim = sim();
    let hit = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sim.block_on(async {
            sim.sleep(SECOND).await;
            panic!("on purpose");
        })
    }));
    assert!(hit.is_err());
    sim.block_on(sim.sleep(SECOND)).unwrap();
    sim.sleep_blocking(SECOND);
    assert_eq!(sim.elapsed(), SECOND * 3);
}

#[test]
fn the_only_thread_moves_time_at_once() {
    let sim = sim();
    sim.sleep_blocking(WEEK);
    assert_eq!(sim.elapsed(), WEEK);
    // Inside a future it blocks that thread; the sleeps of other futures end on the way.
    sim.block_on(async {
        let nap = sim.sleep(SECOND);
        sim.sleep_blocking(HOUR);
        nap.await;
    })
    .unwrap();
    assert_eq!(sim.elapsed(), WEEK + HOUR);
    sim.sleep_blocking(Duration::MAX);
    assert_eq!(sim.now().moment, Moment::from_nanos(u64::MAX));
}

#[test]
fn threads_take_turns_and_time_moves_when_all_of_them_sleep() {
    let run = || {
        let (sim, story) = (sim(), Story::default());
        let worker = |name: &'static str, nap: Duration| {
            let (sim, story) = (sim.clone(), story.clone());
            move || {
                for round in 0..3 {
                    story.tell(&sim, format!("{name}{round}"));
                    sim.sleep_blocking(nap);
                }
                name
            }
        };
        let a = sim.thread(worker("a", SECOND * 2));
        let b = sim.thread(worker("b", SECOND * 3));
        story.tell(&sim, "made");
        assert_eq!(b.join(), Ok("b"));
        story.tell(&sim, "joined b");
        assert_eq!(a.join(), Ok("a"));
        story.lines()
    };
    let told = run();
    let lines: Vec<_> = told.iter().map(|(at, line)| (*at, line.as_str())).collect();
    let expected =
        [(0, "made"), (0, "a0"), (0, "b0"), (2, "a1"), (3, "b1"), (4, "a2"), (6, "b2"), (9, "joined b")];
    assert_eq!(lines, expected);
    for _ in 0..20 {
        assert_eq!(run(), told);
    }
}

#[test]
fn threads_make_threads_and_run_futures() {
    let sim = sim();
    let inner = sim.clone();
    let outer = sim.thread(move || {
        let again = inner.clone();
        let child = inner.thread(move || again.block_on(again.sleep(HOUR)).map(|()| again.elapsed()));
        inner.sleep_blocking(SECOND);
        (inner.elapsed(), child.join())
    });
    assert_eq!(outer.join(), Ok((SECOND, Ok(Ok(HOUR)))));
}

#[test]
fn a_thread_that_panics_or_waits_in_vain_is_an_error_of_its_join() {
    let sim = sim();
    let thread = sim.thread(|| panic!("on purpose"));
    let message = "on purpose".to_owned();
    assert_eq!(thread.join(), Err(Stuck::Panicked { message }));
    let inner = sim.clone();
    let thread = sim.thread(move || inner.block_on(pending::<()>()));
    // The thread is told first, since it was first to wait; the one that joins it then gets its outcome.
    assert!(matches!(thread.join(), Ok(Err(Stuck::Deadlock { waiting: 2, .. }))));
}

#[test]
fn a_thread_that_waits_for_something_real_is_found() {
    let sim = sim().patience(Duration::from_millis(1));
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let thread = sim.thread(move || receive.recv().is_ok());
    assert_eq!(thread.join(), Err(Stuck::Stalled { limit: Duration::from_millis(1) }));
    drop(send);
}

#[test]
fn a_thread_that_nobody_joins_runs_all_the_same() {
    let sim = sim();
    let done = Arc::new(AtomicU64::new(0));
    let (clock, count) = (sim.clone(), Arc::clone(&done));
    drop(sim.thread(move || {
        clock.sleep_blocking(HOUR);
        count.store(clock.elapsed().as_secs(), Ordering::SeqCst);
    }));
    sim.sleep_blocking(HOUR * 2);
    assert_eq!(done.load(Ordering::SeqCst), 3600);
}

#[test]
fn real_work_outside_stops_the_clock() {
    let sim = sim();
    let (ask, asked) = std::sync::mpsc::channel::<Waker>();
    let done = Arc::new(AtomicU64::new(0));
    let answer = Arc::clone(&done);
    let writer = std::thread::spawn(move || {
        let waker = asked.recv().unwrap();
        // The waker comes during the first poll; the answer long after the simulation has begun to wait, or before.
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        answer.store(1, Ordering::SeqCst);
        waker.wake();
    });
    let commit = poll_fn(|cx: &mut Context<'_>| {
        if done.load(Ordering::SeqCst) == 1 {
            return Poll::Ready(());
        }
        ask.send(cx.waker().clone()).ok();
        Poll::Pending
    });
    let work: BoxFuture<'_, Duration> = Box::pin(async {
        sim.outside(commit).await;
        sim.elapsed()
    });
    let lease: BoxFuture<'_, Duration> = Box::pin(async {
        sim.sleep(SECOND * 30).await;
        sim.elapsed()
    });
    assert_eq!(sim.join([lease, work]).unwrap(), [SECOND * 30, Duration::ZERO]);
    writer.join().unwrap();
}

#[test]
fn another_executor_can_be_driven_by_hand() {
    let sim = sim();
    let mut cx = Context::from_waker(Waker::noop());
    let mut nap = sim.sleep(HOUR);
    assert!(nap.as_mut().poll(&mut cx).is_pending());
    let next = sim.next_wake().unwrap();
    sim.advance(next.since(sim.moment()));
    assert!(nap.as_mut().poll(&mut cx).is_ready());
    assert_eq!(sim.elapsed(), HOUR);
}

#[test]
fn the_wall_clock_steps_without_the_monotonic_one() {
    let sim = sim();
    let start = sim.now();
    sim.step_wall(TimeDelta::hours(-2));
    assert_eq!(sim.now().wall, start.wall - TimeDelta::hours(2));
    assert_eq!(sim.now().moment, start.moment);
    sim.suspend(HOUR * 8);
    assert_eq!(sim.now().wall, start.wall + TimeDelta::hours(6));
    assert_eq!((sim.now().moment, sim.elapsed()), (start.moment, Duration::ZERO));
    sim.sleep_blocking(HOUR);
    assert_eq!(sim.now().wall, start.wall + TimeDelta::hours(7));
    sim.set_wall(Timestamp::UNIX_EPOCH);
    sim.sleep_blocking(SECOND);
    assert_eq!(sim.now().wall.timestamp(), 1);
    sim.step_wall(TimeDelta::MIN);
    assert_eq!(sim.now().wall, Timestamp::MIN_UTC);
    sim.step_wall(TimeDelta::MAX);
    sim.step_wall(TimeDelta::MAX);
    assert_eq!(sim.now().wall, Timestamp::MAX_UTC);
}

#[test]
fn a_clock_drifts_from_when_it_was_told() {
    let sim = sim();
    let start = sim.now().wall;
    sim.sleep_blocking(HOUR);
    sim.drift(500);
    sim.sleep_blocking(HOUR);
    assert_eq!(sim.now().wall - start, TimeDelta::milliseconds(7_200_000 + 1_800));
    sim.drift(-1_000_000);
    let stopped = sim.now().wall;
    sim.sleep_blocking(HOUR);
    assert_eq!(sim.now().wall, stopped);
    sim.drift(i32::MIN);
    sim.sleep_blocking(HOUR);
    assert_eq!(sim.now().wall, stopped);
    assert_eq!(sim.elapsed(), HOUR * 4);
}

#[test]
fn streams_of_random_numbers_differ_and_repeat() {
    let (one, two) = (sim(), sim());
    let first = one.rng().next_u64();
    assert_eq!(first, two.rng().next_u64());
    assert_ne!(first, one.rng().next_u64());
}

proptest! {
    #[test]
    fn any_mixture_of_sleepers_wakes_each_at_its_time(
        naps in prop::collection::vec(prop::collection::vec(0_u64..50, 0..6), 1..6),
        threads in any::<bool>(),
    ) {
        let run = || {
            let (sim, story) = (sim(), Story::default());
            let ends: Vec<u64> = if threads {
                let made: Vec<_> = naps.iter().cloned().enumerate().map(|(who, naps)| {
                    let (sim, story) = (sim.clone(), story.clone());
                    sim.clone().thread(move || {
                        for nap in naps {
                            sim.sleep_blocking(SECOND * u32::try_from(nap).unwrap());
                            story.tell(&sim, who.to_string());
                        }
                        sim.elapsed().as_secs()
                    })
                }).collect();
                made.into_iter().map(|thread| thread.join().unwrap()).collect()
            } else {
                let futures = naps.iter().enumerate().map(|(who, naps)| {
                    let (sim, story) = (&sim, &story);
                    async move {
                        for nap in naps {
                            sim.sleep(Duration::from_secs(*nap)).await;
                            story.tell(sim, who.to_string());
                        }
                        sim.elapsed().as_secs()
                    }
                });
                sim.join(futures).unwrap()
            };
            (ends, story.lines())
        };
        let (ends, lines) = run();
        let sums: Vec<u64> = naps.iter().map(|naps| naps.iter().sum()).collect();
        prop_assert_eq!(&ends, &sums);
        prop_assert!(lines.is_sorted_by_key(|(at, _)| *at));
        prop_assert_eq!(run(), (ends, lines));
    }
}
