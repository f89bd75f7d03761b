//! Each rule by its name.

use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::queue::{
    Error, Id, Next, Order, Picked, Pushed, Queue, Reschedule, Skip, State, Task, Value,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Now {
    Now { moment: Moment::from_nanos(1 << 50), wall: chrono::DateTime::UNIX_EPOCH }.after(ms(n))
}

fn wall(n: u64) -> Timestamp {
    at(n).wall
}

fn queue(order: Order) -> Queue<&'static str> {
    Queue::builder().order(order).build(at(0)).unwrap()
}

fn put(queue: &mut Queue<&'static str>, task: Task<&'static str>, now: Now) -> Id {
    match queue.push(task, now).unwrap() {
        Pushed::Queued { id, dropped } if dropped.is_empty() => id,
        other => panic!("{other:?}"),
    }
}

fn run(queue: &mut Queue<&'static str>, now: Now) -> (&'static str, Id) {
    match queue.next(now) {
        Next::Run(run) => (run.payload, run.id),
        other => panic!("{other:?}"),
    }
}

fn skip(queue: &mut Queue<&'static str>, now: Now) -> (&'static str, Skip) {
    match queue.next(now) {
        Next::Skip(skipped) => (skipped.payload, skipped.why),
        other => panic!("{other:?}"),
    }
}

fn step(v: f64) -> Value {
    Value::step(v).unwrap()
}

#[test]
fn at_exactly_its_deadline_a_task_may_still_be_begun_and_after_it_has_expired() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("a").within(ms(100)), at(0));
    put(&mut one, Task::new("b").within(ms(100)), at(0));
    assert_eq!(one.next_wake(at(0)), Some(Moment::from_nanos(at(100).moment.as_nanos() + 1)));
    assert_eq!(run(&mut one, at(100)).0, "a");
    let (name, why) = skip(&mut one, at(130));
    assert_eq!((name, why), ("b", Skip::Expired { by: ms(30) }));
    assert_eq!((why.code(), why.to_string()), ("queue.expired", "its deadline was 30ms ago".into()));
}

#[test]
fn what_is_declared_to_take_longer_than_is_left_is_skipped() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("a").within(ms(100)).estimate(ms(40)), at(0));
    put(&mut one, Task::new("b").within(ms(100)).estimate(ms(40)), at(0));
    assert_eq!(run(&mut one, at(60)).0, "a");
    let (name, why) = skip(&mut one, at(61));
    assert_eq!((name, why), ("b", Skip::CannotFinish { estimate: ms(40), left: ms(39) }));
    assert_eq!(why.to_string(), "it takes 40ms, and 39ms are left until its deadline");
}

#[test]
fn what_is_learned_to_take_longer_than_is_left_comes_last_but_is_not_lost() {
    for order in [Order::Density, Order::Edf] {
        let mut one = queue(order);
        // 1 s until something is learned: it would be late.
        put(&mut one, Task::new("late").within(ms(100)).value(step(1000.0)), at(0));
        put(&mut one, Task::new("in time").within(ms(5000)).value(step(0.5)), at(0));
        assert_eq!(run(&mut one, at(0)).0, "in time");
        assert_eq!(run(&mut one, at(0)).0, "late");
    }
}

#[test]
fn the_order_is_worth_at_completion_for_each_second() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("long").estimate(ms(1000)).value(step(5.0)), at(0));
    put(&mut one, Task::new("short").estimate(ms(100)).value(step(1.0)), at(0));
    let fading = Value::linear(100.0, ms(0), ms(1000)).unwrap();
    put(&mut one, Task::new("fading").estimate(ms(999)).value(fading), at(0));
    assert_eq!(run(&mut one, at(0)).0, "short");
    match one.next(at(0)) {
        Next::Run(run) => {
            assert_eq!((run.payload, run.why), ("long", Picked::Best { density: 5.0, waited: ms(0) }));
            assert_eq!(run.why.code(), "queue.best");
            let told = "worth 5 a second, and nothing that can run is worth more; it waited 0ns";
            assert_eq!(run.why.to_string(), told);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(run(&mut one, at(0)).0, "fading");
}

#[test]
fn of_equals_the_earlier_deadline_comes_first_then_the_earlier_arrival() {
    let mut one = queue(Order::Density);
    for (name, within) in [("third", 9000), ("fourth", 9000), ("second", 8000), ("first", 7000)] {
        put(&mut one, Task::new(name).within(ms(within)).estimate(ms(10)), at(0));
    }
    put(&mut one, Task::new("fifth").estimate(ms(10)), at(0));
    for name in ["first", "second", "third", "fourth", "fifth"] {
        assert_eq!(run(&mut one, at(1)).0, name);
    }
    assert_eq!(one.next(at(1)), Next::Empty);
}

#[test]
fn value_is_not_raised_with_age_but_each_sixteenth_is_the_oldest() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("old").value(step(0.001)), at(0));
    for _ in 0..40 {
        put(&mut one, Task::new("new"), at(1));
    }
    let names: Vec<_> = (0..17).map(|_| run(&mut one, at(2)).0).collect();
    assert_eq!(names.iter().position(|name| *name == "old"), Some(15));

    let mut never = Queue::builder().oldest_every(0).build(at(0)).unwrap();
    put(&mut never, Task::new("old").value(step(0.001)), at(0));
    for _ in 0..40 {
        put(&mut never, Task::new("new"), at(1));
    }
    assert!((0..40).all(|_| run(&mut never, at(2)).0 == "new"));
}

#[test]
fn a_full_queue_drops_what_is_over_first_then_the_least_dense_which_may_be_the_new_one() {
    let mut one = Queue::builder().capacity(2).build(at(0)).unwrap();
    put(&mut one, Task::new("dying").within(ms(10)).value(step(9.0)), at(0));
    put(&mut one, Task::new("poor"), at(0));
    match one.push(Task::new("rich").value(step(4.0)), at(20)).unwrap() {
        Pushed::Queued { dropped, .. } => {
            let told: Vec<_> = dropped.iter().map(|skipped| (skipped.payload, skipped.why.code())).collect();
            assert_eq!(told, [("dying", "queue.expired")]);
        }
        Pushed::Shed(skipped) => panic!("{skipped:?}"),
    }
    match one.push(Task::new("poorer").value(step(0.5)), at(20)).unwrap() {
        Pushed::Shed(skipped) => {
            assert_eq!(skipped.why, Skip::ShedFor { density: 0.5, winner: 1.0 });
            assert_eq!(
                skipped.why.to_string(),
                "the queue was full; it was worth 0.5 a second, what was kept 1"
            );
        }
        Pushed::Queued { dropped, .. } => panic!("{dropped:?}"),
    }
    match one.push(Task::new("middling").value(step(2.0)), at(20)).unwrap() {
        Pushed::Queued { dropped, .. } => {
            assert_eq!(dropped[0].payload, "poor");
            assert_eq!(dropped[0].why, Skip::ShedFor { density: 1.0, winner: 2.0 });
        }
        Pushed::Shed(skipped) => panic!("{skipped:?}"),
    }
    match one.push(Task::new("too late").within(ms(1)).estimate(ms(2)).value(step(1e6)), at(20)).unwrap() {
        Pushed::Shed(skipped) => assert_eq!(skipped.why.code(), "queue.cannot_finish"),
        Pushed::Queued { dropped, .. } => panic!("{dropped:?}"),
    }
}

#[test]
fn of_the_tasks_with_a_key_one_runs_at_a_time() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("a").key("disk").value(step(3.0)), at(0));
    put(&mut one, Task::new("b").key("disk").value(step(2.0)), at(0));
    put(&mut one, Task::new("c").value(step(1.0)), at(0));
    let (name, a) = run(&mut one, at(0));
    assert_eq!(name, "a");
    assert_eq!(run(&mut one, at(0)).0, "c");
    assert_eq!(one.next(at(0)), Next::Blocked);
    assert!(one.list(at(0)).iter().any(|listed| listed.state == State::WaitsForKey));
    assert!(one.done(a, at(5)).is_some());
    assert_eq!(run(&mut one, at(5)).0, "b");
    assert_eq!(one.next(at(5)), Next::Empty);
}

#[test]
fn a_kind_that_became_slower_gives_its_place_among_those_that_share_a_key() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("holds the key").key("disk").value(step(9.0)), at(0));
    let (_, holder) = run(&mut one, at(0));
    let fair = Task::new("fair").key("disk").value(step(1.0)).estimate(ms(500));
    put(&mut one, Task::new("seems fast").key("disk").kind("copy").value(step(3.0)), at(0));
    put(&mut one, fair, at(0));
    put(&mut one, Task::new("shows it").kind("copy").value(step(2.5)), at(0));
    let (name, slow) = run(&mut one, at(0));
    assert_eq!(name, "shows it");
    // The key is free again: what seems best by now stands for both.
    assert!(one.done(holder, at(1)).is_some());
    assert!(one.done(slow, at(60_000)).is_some());
    assert_eq!(run(&mut one, at(60_000)).0, "fair");
}

#[test]
fn nothing_is_begun_before_its_time() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("a").delay(ms(50)), at(0));
    put(&mut one, Task::new("b").not_before(wall(30)), at(0));
    assert_eq!(one.next(at(29)), Next::Later(at(30).moment));
    assert_eq!(one.next_wake(at(29)), Some(at(30).moment));
    assert_eq!(run(&mut one, at(30)).0, "b");
    assert_eq!(one.next(at(30)), Next::Later(at(50).moment));
    assert_eq!(run(&mut one, at(50)).0, "a");
}

#[test]
fn the_estimate_of_a_kind_is_learned() {
    let mut one = queue(Order::Density);
    assert_eq!(one.estimate_of("mail"), ms(1000));
    for n in 0..20 {
        put(&mut one, Task::new("mail").kind("mail"), at(n * 100));
        let (_, id) = run(&mut one, at(n * 100));
        // One in ten takes a hundred times as long.
        let took = if n % 10 == 9 { 2000 } else { 20 };
        let now = Now { moment: at(n * 100).moment.after(ms(took)), ..at(n * 100 + took) };
        let mut twin = one.clone();
        assert_eq!(twin.done(id, now).unwrap().took, ms(took));
        one = twin;
        one.now = crate::decide::queue::line::of(at(n * 100).moment);
    }
    let learned = one.estimate_of("mail");
    assert!(learned > ms(18) && learned < ms(45), "{learned:?}");
    assert_eq!(one.estimate_of("report"), ms(1000));
}

#[test]
fn more_than_1024_kinds_are_not_told_apart() {
    let mut one = Queue::new(at(0));
    for n in 0..1100 {
        let pushed = one.push(Task::new(n).kind(&n.to_string()), at(0)).unwrap();
        assert!(matches!(pushed, Pushed::Queued { .. }));
    }
    assert_eq!(one.kinds.iter().count(), 1024);
}

#[test]
fn a_task_that_is_cancelled_gives_its_payload_back_and_never_runs() {
    let mut one = queue(Order::Density);
    let id = put(&mut one, Task::new("a"), at(0));
    assert_eq!((one.cancel(id), one.cancel(id)), (Some("a"), None));
    assert_eq!(one.next(at(0)), Next::Empty);
    let other = put(&mut one, Task::new("b"), at(0));
    assert_ne!(id, other);
    assert_eq!((one.cancel(id), one.pause(id), one.resume(id, at(0))), (None, false, false));
    assert_eq!(one.reschedule(id, Reschedule::new(), at(0)), Ok(false));
    let (_, running) = run(&mut one, at(0));
    assert_eq!((one.cancel(running), one.running(), one.len()), (None, 1, 0));
    assert_eq!(Skip::Cancelled.code(), "queue.cancelled");
}

#[test]
fn what_is_paused_waits_and_still_expires() {
    let mut one = queue(Order::Edf);
    let a = put(&mut one, Task::new("a").within(ms(50)), at(0));
    let b = put(&mut one, Task::new("b").within(ms(40)), at(0));
    assert!(one.pause(a) && one.pause(b));
    assert_eq!(one.next(at(0)), Next::Blocked);
    assert!(one.resume(a, at(0)));
    assert_eq!(run(&mut one, at(0)).0, "a");
    assert_eq!(skip(&mut one, at(41)).0, "b");
    put(&mut one, Task::new("c"), at(41));
    one.pause_all();
    assert_eq!(one.next(at(41)), Next::Blocked);
    one.resume_all();
    assert_eq!(run(&mut one, at(41)).0, "c");
}

#[test]
fn a_task_that_is_rescheduled_takes_its_new_place() {
    let mut one = queue(Order::Density);
    let a = put(&mut one, Task::new("a").within(ms(5000)), at(0));
    put(&mut one, Task::new("b").value(step(2.0)).within(ms(5000)), at(0));
    assert_eq!(one.reschedule(a, Reschedule::new().value(step(3.0)), at(0)), Ok(true));
    assert_eq!(one.reschedule(a, Reschedule::new().delay(ms(100)), at(0)), Ok(true));
    assert_eq!(run(&mut one, at(0)).0, "b");
    assert_eq!(one.next(at(0)), Next::Later(at(100).moment));
    let bad = one.reschedule(a, Reschedule::new().within(ms(50)), at(0));
    assert!(matches!(bad, Err(Error::Field { field: "deadline", .. })));
    let bad = one.reschedule(a, Reschedule::new().estimate(ms(0)), at(0));
    assert!(matches!(bad, Err(Error::Field { field: "estimate", .. })));
    assert_eq!(one.reschedule(a, Reschedule::new().delay(ms(0)).no_deadline(), at(50)), Ok(true));
    assert_eq!(run(&mut one, at(9000)).0, "a");
}

#[test]
fn the_other_orders_are_as_they_are_called() {
    let tasks = || {
        [
            Task::new("first").within(ms(9000)).estimate(ms(10)).class(2),
            Task::new("soon").within(ms(5000)).estimate(ms(10)).class(1).value(step(2.0)),
            Task::new("dear").within(ms(8000)).estimate(ms(10)).class(3).value(step(9.0)),
        ]
    };
    for (order, names, code) in [
        (Order::Fifo, ["first", "soon", "dear"], "queue.first"),
        (Order::Edf, ["soon", "dear", "first"], "queue.deadline"),
        (Order::EdfUntilOverload, ["soon", "dear", "first"], "queue.deadline"),
        (Order::StrictClasses, ["soon", "first", "dear"], "queue.best"),
        (Order::Density, ["dear", "soon", "first"], "queue.best"),
    ] {
        let mut one = queue(order);
        for task in tasks() {
            put(&mut one, task, at(0));
        }
        for name in names {
            match one.next(at(0)) {
                Next::Run(run) => assert_eq!((run.payload, run.why.code()), (name, code), "{order:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
    let mut one = queue(Order::EdfUntilOverload);
    put(&mut one, Task::new("gone").within(ms(1)), at(0));
    for task in tasks() {
        put(&mut one, task, at(0));
    }
    assert_eq!(skip(&mut one, at(2)).0, "gone");
    assert_eq!(run(&mut one, at(2)).0, "dear");
}

#[test]
fn a_step_of_the_wall_clock_moves_what_a_person_timed_by_it_and_nothing_else() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("wall").deadline(wall(10_000)), at(0));
    put(&mut one, Task::new("span").within(ms(10_000)), at(0));
    let slept = Now { wall: wall(3_600_000), ..at(1000) };
    assert_eq!(skip(&mut one, slept), ("wall", Skip::Expired { by: ms(3_590_000) }));
    assert_eq!(one.clock_moved(), 1);
    assert_eq!(run(&mut one, slept).0, "span");
    // Less than two seconds is a clock that is being corrected, not a step.
    assert_eq!(one.next(Now { wall: wall(3_601_900), ..at(1000) }), Next::Empty);
    assert_eq!(one.clock_moved(), 1);
}

#[test]
fn a_wall_instant_that_a_step_moved_before_the_origin_is_back_after_the_step_back() {
    let begin = Now { moment: Moment::ZERO, wall: wall(0) };
    let mut one = Queue::new(begin);
    put(&mut one, Task::new("a").not_before(wall(10_000)).deadline(wall(20_000)), begin);
    let ahead = Now { moment: Moment::ZERO, wall: wall(15_000) };
    assert_eq!(one.next_wake(ahead), Some(Moment::ZERO));
    let mut later = one.clone();
    assert_eq!(skip(&mut later, Now { moment: Moment::ZERO, wall: wall(3_600_000) }).0, "a");
    assert_eq!(run(&mut one, ahead).0, "a");
}

#[test]
fn what_was_done_late_says_by_how_much() {
    let mut one = queue(Order::Density);
    put(&mut one, Task::new("a").within(ms(100)), at(0));
    let (_, id) = run(&mut one, at(90));
    let done = one.done(id, at(130)).unwrap();
    assert_eq!((done.took, done.late), (ms(40), Some(ms(30))));
    assert_eq!(one.done(id, at(130)), None);
}

#[test]
fn bad_tasks_and_queues_are_refused_with_the_field() {
    let mut one = Queue::new(at(0));
    let long = "x".repeat(513);
    for (task, field) in [
        (Task::new(1).within(ms(5)).deadline(wall(9)), "deadline"),
        (Task::new(1).delay(ms(5)).not_before(wall(9)), "not_before"),
        (Task::new(1).delay(ms(5)).within(ms(4)), "deadline"),
        (Task::new(1).estimate(ms(0)), "estimate"),
        (Task::new(1).estimate(Duration::MAX), "estimate"),
        (Task::new(1).class(4), "class"),
        (Task::new(1).kind(""), "kind"),
        (Task::new(1).key(&long), "key"),
    ] {
        let rejected = one.push(task, at(0)).unwrap_err();
        assert_eq!(rejected.payload, 1);
        assert!(matches!(rejected.error, Error::Field { field: found, .. } if found == field), "{rejected}");
    }
    assert!(one.is_empty());
    for capacity in [0, (1 << 31) + 1] {
        assert!(Queue::builder().capacity(capacity).build::<u8>(at(0)).is_err());
    }
}

#[test]
fn the_ends_of_time_are_instants_like_any_other() {
    let mut one = Queue::new(at(0));
    let far = Task::new("far").within(Duration::MAX).estimate(ms(1));
    put(&mut one, far.clone().value(Value::half_life(1.0, ms(1)).unwrap()), at(0));
    put(&mut one, Task::new("end").deadline(Timestamp::MAX_UTC), at(0));
    put(&mut one, Task::new("never").delay(Duration::MAX), at(0));
    let begin = Now { wall: Timestamp::MIN_UTC, ..at(0) };
    assert_eq!(run(&mut one, begin).0, "far");
    assert_eq!(run(&mut one, begin).0, "end");
    let last = Moment::from_nanos(u64::MAX);
    assert!(matches!(one.next(begin), Next::Later(moment) if moment > at(u64::from(u32::MAX)).moment));
    assert_eq!(run(&mut one, Now { moment: last, wall: Timestamp::MAX_UTC }).0, "never");
    assert_eq!(one.next_wake(at(0)), None);
}

#[test]
fn arrivals_are_numbered_anew_after_four_billion() {
    let mut one = queue(Order::Fifo);
    one.seq = u32::MAX - 2;
    for name in ["a", "b", "c", "d"] {
        put(&mut one, Task::new(name), at(0));
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(run(&mut one, at(0)).0, name);
    }
}

#[test]
fn a_million_tasks_take_at_most_128_bytes_each_beside_their_payload() {
    let mut one = Queue::builder().capacity(1_000_000).build(at(0)).unwrap();
    for name in 0..1_000_000_u64 {
        let task = Task::new(name).within(ms(10_000 + name * 7919 % 1_000_000)).value(step(1.0));
        assert!(matches!(one.push(task, at(0)), Ok(Pushed::Queued { .. })));
    }
    assert!(matches!(one.next(at(0)), Next::Run(_)));
    let each = one.bytes() as f64 / 1e6 - 8.0;
    assert!(each <= 128.0, "{each}");
    assert!(each > 100.0, "{each}: less than the slots alone");
}

#[test]
fn what_is_void_is_forgotten_when_it_is_more_than_what_holds() {
    for order in [Order::Density, Order::Edf] {
        let mut one = queue(order);
        for n in 0..100_000 {
            let id = put(&mut one, Task::new("a").within(ms(1000)).key("k").delay(ms(n % 2)), at(0));
            assert!(one.pause(id) && one.resume(id, at(0)));
            assert_eq!(one.reschedule(id, Reschedule::new().value(step(n as f64)), at(0)), Ok(true));
            assert_eq!(one.cancel(id), Some("a"));
        }
        assert!(one.bytes() < 100_000, "{}", one.bytes());
    }
}
