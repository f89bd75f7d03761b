use std::time::Duration;

use crate::base::explain::Explain;
use crate::base::time::{Moment, Now};
use crate::decide::queue::{Error, Next, Noticed, Pushed, Queue, Saved, Skip, Task, Value};

fn at(ms: u64) -> Now {
    Now { moment: Moment::from_nanos(1 << 50), wall: chrono::DateTime::UNIX_EPOCH }
        .after(Duration::from_millis(ms))
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn filled() -> Queue<String> {
    let mut queue = Queue::new(at(0));
    for (name, within) in [("a", 1000), ("b", 3000), ("c", 2000)] {
        let task = Task::new(name.to_owned()).within(ms(within)).estimate(ms(10)).key(name);
        assert!(matches!(queue.push(task, at(0)), Ok(Pushed::Queued { .. })));
    }
    queue
}

fn back(saved: &Saved<String>, now: Now) -> (Queue<String>, Vec<Noticed>) {
    let text = serde_json::to_string(saved).unwrap();
    Queue::restore(Queue::builder(), serde_json::from_str(&text).unwrap(), now).unwrap()
}

fn name(next: Next<String>) -> String {
    match next {
        Next::Run(run) => run.payload,
        Next::Skip(skipped) => format!("{} {}", skipped.payload, skipped.why.code()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn time_goes_on_while_a_queue_is_saved() {
    let saved = filled().save(at(500), |_| None);
    // Another process: its monotonic clock begins elsewhere.
    let now = Now { moment: Moment::from_nanos(7), ..at(1500) };
    let (mut queue, noticed) = back(&saved, now);
    assert_eq!(noticed, []);
    assert_eq!(name(queue.next(now)), "a queue.expired");
    assert_eq!(name(queue.next(now)), "c");
    assert_eq!(queue.next_wake(now), Some(now.moment.after(ms(1490)).after(Duration::from_nanos(1))));
}

#[test]
fn a_clock_that_went_back_is_noticed_and_lengthens_nothing() {
    let mut queue = filled();
    let by_person = Task::new("d".to_owned()).deadline(at(4000).wall).value(Value::step(0.1).unwrap());
    assert!(matches!(queue.push(by_person, at(0)), Ok(Pushed::Queued { .. })));
    let saved = queue.save(at(500), |_| None);
    let now = Now { moment: Moment::from_nanos(7), wall: at(0).wall - chrono::TimeDelta::hours(1) };
    let (mut queue, noticed) = back(&saved, now);
    assert_eq!(noticed, [Noticed::ClockSteppedBack { by: ms(3_600_500) }]);
    assert_eq!(noticed[0].code(), "queue.clock_stepped_back");
    let later = now.after(ms(3501));
    for (expected, by) in [("a", 3001), ("c", 2001), ("b", 1001), ("d", 1)] {
        match queue.next(later) {
            Next::Skip(skipped) => match skipped.why {
                Skip::Expired { by: found } => assert_eq!((&*skipped.payload, found), (expected, ms(by))),
                why => panic!("{why:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_ran_waits_again_and_says_that_it_was_interrupted() {
    let mut queue = filled();
    assert_eq!(name(queue.next(at(1))), "a");
    let saved = queue.save(at(1), |_| Some("a".into()));
    assert_eq!((saved.len(), queue.save(at(1), |_| None).len()), (3, 2));
    let (mut queue, noticed) = back(&saved, at(1));
    assert_eq!(noticed, [Noticed::Interrupted { tasks: 1 }]);
    match queue.next(at(1)) {
        Next::Run(run) => assert!(run.interrupted && run.payload == "a"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_learned_is_saved() {
    let mut queue = Queue::new(at(0));
    assert!(queue.push(Task::new(String::new()).kind("mail"), at(0)).is_ok());
    let Next::Run(run) = queue.next(at(0)) else { panic!() };
    assert!(queue.done(run.id, at(25)).is_some());
    let (queue, _) = back(&queue.save(at(25), |_| None), at(30));
    assert_eq!(queue.estimate_of("mail").as_millis(), 25);
}

#[test]
fn the_first_format_is_still_read() {
    let text = r#"{"v":1,"saved_at":"1970-01-01T00:00:00Z","dispatched":3,"kinds":[{"name":"mail","mean":17.0,"count":9,
        "since":1,"estimate_ns":24000000}],"tasks":[{"payload":"a","submitted":"1969-12-31T23:59:59Z","deadline":{"at":
        "1970-01-01T00:00:09Z","wall":true},"not_before":{"at":"1970-01-01T00:00:01Z"},"kind":"mail","key":"k","value":
        {"half_life":{"v":5,"h":100,"floor":1}},"class":2,"paused":true,"running":true}]}"#;
    let saved: Saved<String> = serde_json::from_str(text).unwrap();
    let (mut queue, noticed) = Queue::restore(Queue::builder(), saved.clone(), at(0)).unwrap();
    assert_eq!(noticed, [Noticed::Interrupted { tasks: 1 }]);
    assert_eq!(queue.save(at(0), |_| None), saved);
}

#[test]
fn what_was_saved_is_checked() {
    let json = serde_json::to_value(filled().save(at(0), |_| None)).unwrap();
    let restored = |change: fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        change(&mut json);
        let saved: Saved<String> = serde_json::from_value(json).unwrap();
        Queue::restore(Queue::builder(), saved, at(0)).map(|_| ()).unwrap_err()
    };
    assert_eq!(restored(|json| json["v"] = 9.into()), Error::Version { found: 9, known: 1 });
    for error in [
        restored(|json| json["tasks"][0]["class"] = 9.into()),
        restored(|json| json["tasks"][0]["estimate_ns"] = 0.into()),
        restored(|json| json["tasks"][0]["key"] = "".into()),
    ] {
        assert!(matches!(error, Error::Field { .. }), "{error}");
    }
    let few = Queue::builder().capacity(2);
    let saved: Saved<String> = serde_json::from_value(json).unwrap();
    assert!(matches!(Queue::restore(few, saved, at(0)), Err(Error::Field { field: "capacity", .. })));
}
