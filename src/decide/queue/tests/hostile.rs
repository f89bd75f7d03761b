//! Stories that somebody who means harm would tell.

use std::time::Duration;

use proptest::prelude::{prop_assert_eq, proptest};

use crate::base::time::{Moment, Now, Timestamp};
use crate::decide::queue::{
    Error, Id, Next, Order, Picked, Pushed, Queue, Reschedule, Saved, Skip, State, Task, Value,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Now {
    Now { moment: Moment::from_nanos(1 << 50), wall: chrono::DateTime::UNIX_EPOCH }.after(ms(n))
}

fn put(queue: &mut Queue<u64>, task: Task<u64>, now: Now) -> Id {
    match queue.push(task, now).unwrap() {
        Pushed::Queued { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

fn restored(json: &serde_json::Value, now: Now) -> Result<Queue<u64>, String> {
    let saved: Saved<u64> = serde_json::from_value(json.clone()).map_err(|error| error.to_string())?;
    Queue::restore(Queue::builder(), saved, now).map(|(queue, _)| queue).map_err(|error| error.to_string())
}

#[test]
fn a_task_that_is_rescheduled_again_and_again_takes_no_more_room() {
    for order in [Order::Density, Order::Fifo, Order::Edf, Order::StrictClasses] {
        let mut queue = Queue::builder().order(order).capacity(2).build(at(0)).unwrap();
        let task =
            |n: u64| Task::new(n).within(ms(5000)).estimate(ms(1)).value(Value::step(n as f64).unwrap());
        let id = put(&mut queue, task(1), at(0));
        let other = put(&mut queue, task(2).key("k"), at(0));
        // Full: from here on there are bounds of what goes first.
        assert!(matches!(queue.push(task(0), at(0)), Ok(Pushed::Shed(_))));
        for n in 0..20_000 {
            for id in [id, other] {
                let change = Reschedule::new().within(ms(5000 + n % 2)).value(Value::step(2.0).unwrap());
                assert_eq!(queue.reschedule(id, change, at(0)), Ok(true));
            }
        }
        assert!(queue.bytes() < 20_000, "{order:?}: {}", queue.bytes());
        assert!(matches!(queue.next(at(0)), Next::Run(_)));
        assert!(matches!(queue.next(at(0)), Next::Run(_)));
        assert_eq!(queue.next(at(0)), Next::Empty);
    }
}

#[test]
fn the_first_format_is_still_written() {
    let golden = include_str!("../../../../tests/golden/queue_v1.json");
    let saved: Saved<u64> = serde_json::from_str(golden).unwrap();
    let now = Now { moment: Moment::from_nanos(77), wall: "2027-01-15T10:00:00Z".parse().unwrap() };
    let (mut queue, noticed) = Queue::restore(Queue::builder(), saved, now).unwrap();
    assert_eq!((queue.len(), noticed.len()), (6, 1));
    assert_eq!(queue.estimate_of("mail").as_millis(), 24);
    assert_eq!(serde_json::to_string(&queue.save(now, |_| None)).unwrap(), golden.trim());
}

fn saved() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../tests/golden/queue_v1.json")).unwrap()
}

#[test]
fn what_was_saved_by_somebody_else_is_refused_with_what_is_wrong() {
    let now = Now { moment: Moment::from_nanos(77), wall: "2027-01-15T10:00:00Z".parse().unwrap() };
    let wrong = |pointer: &str, value: serde_json::Value| {
        let mut json = saved();
        *json.pointer_mut(pointer).unwrap() = value;
        restored(&json, now).map(|_| ()).unwrap_err()
    };
    let kind = |name: &str| serde_json::json!({"name": name, "mean": 17.0, "count": 9, "since": 1, "estimate_ns": 5});
    for (pointer, value, part) in [
        ("/v", 0.into(), "version 0"),
        ("/v", 2.into(), "version 2"),
        ("/kinds/0/name", "".into(), "kind"),
        ("/kinds/0/name", "x".repeat(513).into(), "kind"),
        ("/kinds/0/mean", serde_json::Value::Null, "f64"),
        ("/kinds/0/mean", (-1.0).into(), "kinds"),
        ("/kinds/0/mean", 1e300.into(), "kinds"),
        ("/kinds/0/estimate_ns", (1_u64 << 63).into(), "estimate"),
        ("/kinds", vec![kind("a"), kind("a")].into(), "kinds"),
        ("/kinds", (0..1025).map(|n| kind(&n.to_string())).collect::<Vec<_>>().into(), "kinds"),
        ("/tasks/0/value", serde_json::json!({"rises": 1}), "rises"),
        ("/tasks/0/value", serde_json::json!({"step": -1}), "value"),
        ("/tasks/0/value", serde_json::json!({"steps": [[0, 1], [5, 2]]}), "steps"),
        ("/tasks/0/value", serde_json::json!({"half_life": {"v": 1, "h": 0}}), "half_life"),
        ("/tasks/0/estimate_ns", 0.into(), "estimate"),
        ("/tasks/0/estimate_ns", (1_u64 << 63).into(), "estimate"),
        ("/tasks/0/estimate_ns", (-5).into(), "-5"),
        ("/tasks/0/class", 4.into(), "class"),
        ("/tasks/0/class", 256.into(), "256"),
        ("/dispatched", (1_u64 << 63).into(), "9223372036854775808"),
        ("/tasks/0/submitted", "+999999-01-01T00:00:00Z".into(), ""),
        ("/tasks", vec![saved()["tasks"][0].clone(); 10_001].into(), "capacity"),
    ] {
        let told = wrong(pointer, value.clone());
        assert!(told.contains(part), "{pointer}: {told}");
    }
}

#[test]
fn a_saved_queue_with_instants_at_the_ends_of_the_calendar_is_worked_off() {
    let (first, last) = (Timestamp::MIN_UTC, Timestamp::MAX_UTC);
    for instants in 0..64_u32 {
        let pick = |bit: u32| if instants >> bit & 1 == 0 { first } else { last };
        let mut json = saved();
        json["saved_at"] = serde_json::to_value(pick(0)).unwrap();
        for task in json["tasks"].as_array_mut().unwrap() {
            task["submitted"] = serde_json::to_value(pick(1)).unwrap();
            task["deadline"] = serde_json::json!({"at": pick(2), "wall": instants & 8 > 0});
            task["not_before"] = serde_json::json!({"at": pick(4), "wall": instants & 32 > 0});
        }
        for wall in [first, Timestamp::UNIX_EPOCH, last] {
            let mut now = Now { moment: Moment::from_nanos(5), wall };
            let mut queue = restored(&json, now).unwrap();
            assert_eq!(queue.list(now).len(), 6);
            let again = serde_json::to_value(queue.save(now, |_| None)).unwrap();
            assert_eq!(restored(&again, now).unwrap().len(), 6);
            for _ in 0..40 {
                match queue.next(now) {
                    Next::Run(run) => assert!(queue.done(run.id, now).is_some()),
                    Next::Skip(_) => {}
                    Next::Later(later) => assert!(later > now.moment),
                    Next::Blocked | Next::Empty => {}
                }
                now = now.after(ms(100));
                now.wall = if now.wall == first { last } else { first };
            }
        }
    }
}

#[test]
fn arrivals_that_are_numbered_anew_stay_in_order_with_what_runs() {
    let mut queue = Queue::builder().order(Order::Fifo).build(at(0)).unwrap();
    queue.seq = u32::MAX - 3;
    for name in 0..3 {
        put(&mut queue, Task::new(name).key(&name.to_string()), at(0));
    }
    let Next::Run(run) = queue.next(at(0)) else { panic!() };
    assert_eq!(run.payload, 0);
    put(&mut queue, Task::new(3), at(0));
    let states: Vec<State> = queue.list(at(0)).iter().map(|listed| listed.state).collect();
    assert_eq!(states, [State::Running, State::Ready, State::Ready, State::Ready]);
    let saved = queue.save(at(0), |_| Some(0));
    let json = serde_json::to_value(&saved).unwrap();
    let names: Vec<_> =
        json["tasks"].as_array().unwrap().iter().map(|task| task["payload"].clone()).collect();
    assert_eq!(names, [0, 1, 2, 3]);
}

#[test]
fn to_ask_again_when_it_said_finds_something_to_tell_or_to_wait_for() {
    for paused in [false, true] {
        let mut queue = Queue::new(at(0));
        put(&mut queue, Task::new(1).delay(ms(10)).within(ms(20)), at(0));
        put(&mut queue, Task::new(2).delay(ms(10)).key("k"), at(0));
        put(&mut queue, Task::new(3).delay(ms(30)).key("k"), at(0));
        if paused {
            queue.pause_all();
        }
        let (mut now, mut asked) = (at(0), 0);
        while let Some(wake) = queue.next_wake(now) {
            asked += 1;
            assert!(asked < 20, "it goes round");
            now = at(wake.as_nanos().saturating_sub(1 << 50).div_ceil(1_000_000));
            if let Next::Later(later) = queue.next(now) {
                assert!(later > now.moment);
            }
        }
    }
}

#[test]
fn a_queue_goes_to_other_threads_and_shows_no_payload() {
    const fn shared<T: Send + Sync>(_: &T) {}
    let mut queue = Queue::new(at(0));
    shared(&queue);
    assert!(queue.push(Task::new("a secret").key("a secret").kind("a secret"), at(0)).is_ok());
    let shown = format!("{queue:?} {queue:#?}");
    assert!(!shown.contains("secret") && shown.contains("waiting: 1"), "{shown}");
}

#[test]
fn what_stands_first_is_told_with_its_reason_after_any_number_of_openings() {
    let mut queue = Queue::new(at(0));
    put(&mut queue, Task::new(1).within(ms(10)).estimate(ms(5)), at(0));
    put(&mut queue, Task::new(2), at(0));
    match queue.next(at(6)) {
        Next::Skip(skipped) => {
            assert_eq!(skipped.why, Skip::CannotFinish { estimate: ms(5), left: ms(4) });
        }
        other => panic!("{other:?}"),
    }
    let Next::Run(run) = queue.next(at(6)) else { panic!() };
    assert_eq!(run.why, Picked::Best { density: 1.0, waited: ms(6) });
    assert!(matches!(
        Queue::<u64>::restore(Queue::builder().capacity(0), queue.save(at(6), |_| None), at(6)),
        Err(Error::Field { field: "capacity", .. })
    ));
}

proptest! {
    /// To the last bit: what is dearest before is dearest after.
    #[test]
    fn worths_are_saved_exactly(v in 0.0..1e12_f64, mean in 7.0..38.0_f64) {
        let mut json = saved();
        json["kinds"][0]["mean"] = mean.into();
        let now = Now { moment: Moment::from_nanos(77), wall: "2027-01-15T10:00:00Z".parse().unwrap() };
        let mut queue = restored(&json, now).unwrap();
        put(&mut queue, Task::new(9).value(Value::half_life(v, ms(7)).unwrap().floor(v / 3.0).unwrap()), now);
        let before = queue.save(now, |_| None);
        let text = serde_json::to_string(&before).unwrap();
        let after: Saved<u64> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(after, before);
    }
}
