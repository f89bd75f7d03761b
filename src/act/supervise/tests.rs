//! Signs of life under simulated time, and what is refused.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::act::command::Command;
use crate::act::supervise::alive::{Looked, Watch};
use crate::act::supervise::bell::Bell;
use crate::act::supervise::notify::hear;
use crate::act::supervise::stop::Run;
use crate::act::supervise::{Error, Event, Hanging, Liveness, Stop, Supervisor};
use crate::base::explain::Explain;
use crate::base::time::{Clock, Moment, System};
use crate::decide::restart;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn run() -> Arc<Run> {
    Run::new(&Bell::new().unwrap(), None)
}

fn watch<'a>(liveness: &'a Liveness, run: &Arc<Run>) -> (Watch<'a>, Moment) {
    let begun = System.moment();
    (Watch::new(Some(liveness), Arc::clone(run), begun, &Arc::new(AtomicUsize::new(0))), begun)
}

fn next(looked: Looked) -> Moment {
    match looked {
        Looked::Alive { next } => next.unwrap(),
        Looked::Hung(why) => panic!("{why}"),
    }
}

fn hung(looked: Looked) -> Hanging {
    match looked {
        Looked::Hung(why) => why,
        Looked::Alive { next } => panic!("alive until {next:?}"),
    }
}

#[test]
fn without_a_sign_nothing_is_ever_due() {
    let mut watch = Watch::new(None, run(), Moment::ZERO, &Arc::default());
    assert_eq!(watch.look(Moment::from_nanos(u64::MAX)), Looked::Alive { next: None });
}

#[test]
fn silence_is_looked_at_twice_before_it_is_a_hang() {
    let (run, liveness) = (run(), Liveness::progress(MINUTE));
    let (mut watch, begun) = watch(&liveness, &run);
    let due = next(watch.look(begun));
    assert!(due >= begun.after(MINUTE));
    let again = next(watch.look(due));
    assert_eq!(again, due.after(SECOND));
    assert!(
        matches!(hung(watch.look(again)), Hanging::Silent { within: MINUTE, silent } if silent >= MINUTE)
    );
}

#[test]
fn a_sign_between_the_two_looks_is_a_sign_of_life() {
    let (run, liveness) = (run(), Liveness::progress(Duration::from_millis(10)));
    let (mut watch, begun) = watch(&liveness, &run);
    let due = begun.after(Duration::from_millis(10));
    // Where the machine is slow the first look is late, and still not the last.
    let _ = next(watch.look(due.max(System.moment())));
    while System.moment() <= due {
        std::thread::yield_now();
    }
    Stop::of(Arc::clone(&run)).beat();
    let now = run.last_sign();
    assert_eq!(next(watch.look(now)), now.after(Duration::from_millis(10)));
}

#[test]
fn what_is_not_ready_in_time_hangs_and_what_asks_for_time_gets_it() {
    let (run, liveness) = (run(), Liveness::notify(SECOND).ready_within(MINUTE));
    let (mut watch, begun) = watch(&liveness, &run);
    assert!(watch.waits_for_ready());
    assert_eq!(next(watch.look(begun.after(2 * SECOND))), begun.after(MINUTE));
    hear(b"EXTEND_TIMEOUT_USEC=600000000\nSTATUS=reading\x1b the log", &run);
    assert!(next(watch.look(begun.after(MINUTE))) >= begun.after(10 * MINUTE));
    assert_eq!(run.signs().status.as_deref(), Some("reading\\u{1b} the log"));
    let late = begun.after(20 * MINUTE);
    let _ = next(watch.look(late));
    let why = hung(watch.look(late.after(SECOND)));
    assert!(matches!(why, Hanging::NotReady { within: MINUTE, .. }), "{why}");
}

#[test]
fn what_is_ready_has_to_go_on_saying_that_it_lives() {
    let (run, liveness) = (run(), Liveness::notify(MINUTE));
    let (mut watch, begun) = watch(&liveness, &run);
    hear(b"READY=1\n", &run);
    assert!(run.signs().ready);
    let due = next(watch.look(begun.after(SECOND)));
    assert!(due >= begun.after(MINUTE) && due < begun.after(MINUTE + 30 * SECOND));
    hear(b"WATCHDOG=1", &run);
    assert!(next(watch.look(due)) >= due);
    let _ = next(watch.look(begun.after(3 * MINUTE)));
    assert_eq!(hung(watch.look(begun.after(3 * MINUTE + SECOND))).code(), "supervise.silent");
}

#[test]
fn what_says_itself_that_it_hangs_does() {
    let (run, liveness) = (run(), Liveness::notify(MINUTE));
    let (mut watch, begun) = watch(&liveness, &run);
    hear(b"READY=1\nWATCHDOG=trigger", &run);
    assert!(matches!(hung(watch.look(begun)), Hanging::Said { .. }));
}

#[test]
fn messages_that_nobody_understands_are_passed_over() {
    let run = run();
    for message in
        [&b""[..], b"\xff\xfe", b"READY", b"READY=2", b"=", b"EXTEND_TIMEOUT_USEC=-1", &[b'x'; 5000]]
    {
        hear(message, &run);
    }
    assert!(!run.signs().ready && run.signs().extended.is_none());
}

#[test]
fn three_probes_without_a_good_answer_are_a_hang_and_one_with_begins_anew() {
    let (run, liveness) = (run(), Liveness::probe(MINUTE, SECOND, || Err::<(), _>("no")));
    let (mut watch, begun) = watch(&liveness, &run);
    let answered = |run: &Run, good: bool| {
        for _ in 0..5_000 {
            if run.signs().probed.is_some() {
                run.signs().probed = Some(if good { Ok(()) } else { Err(String::from("no")) });
                return;
            }
            std::thread::yield_now();
            crate::base::time::SleepBlocking::sleep_blocking(&System, Duration::from_millis(1));
        }
        panic!("no answer");
    };
    let mut now = begun;
    let mut missed = |good: bool| {
        now = next(watch.look(now));
        assert_eq!(next(watch.look(now)), now.after(SECOND), "asked, and so long it has");
        answered(&run, good);
        watch.look(now)
    };
    for good in [false, false, true, false, false] {
        let _ = next(missed(good));
    }
    assert!(matches!(hung(missed(false)), Hanging::ProbeMissed { misses: 3, .. }));
}

#[test]
fn a_probe_that_does_not_come_back_counts_each_time_and_is_asked_once() {
    let (run, asked) = (run(), Arc::new(AtomicUsize::new(0)));
    let (count, stay) = (Arc::clone(&asked), Arc::new(std::sync::Barrier::new(2)));
    let held = Arc::clone(&stay);
    let liveness = Liveness::probe(MINUTE, SECOND, move || {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        held.wait();
        Ok::<(), String>(())
    });
    let (mut watch, begun) = watch(&liveness, &run);
    let mut now = next(watch.look(begun));
    for _ in 0..3 {
        now = next(watch.look(now));
    }
    assert!(matches!(hung(watch.look(now)), Hanging::ProbeMissed { misses: 3, .. }));
    assert_eq!(now, begun.after(3 * MINUTE + SECOND), "it counts when the next one would be due");
    stay.wait();
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let new = || Supervisor::new("x").process(Command::new("true"));
    let thread = || Supervisor::new("x").thread(|_| Ok::<(), String>(()));
    let memory = restart::Policy::new().recycle_above(1);
    for (builder, name) in [
        (Supervisor::new("x"), "process or thread"),
        (Supervisor::new("").process(Command::new("true")), "name"),
        (Supervisor::new("x".repeat(101)).process(Command::new("true")), "name"),
        (new().grace(Duration::MAX), "grace"),
        (new().resident_every(Duration::ZERO), "resident_every"),
        (new().liveness(Liveness::progress(Duration::ZERO)), "liveness within"),
        (new().liveness(Liveness::notify(SECOND).ready_within(Duration::ZERO)), "ready_within"),
        (new().liveness(Liveness::probe(SECOND, Duration::ZERO, || Ok::<(), String>(()))), "probe timeout"),
        (new().liveness(Liveness::command(Duration::ZERO, SECOND, Command::new("true"))), "probe interval"),
        (new().liveness(Liveness::command(SECOND, SECOND, Command::new("true")).misses_max(0)), "misses_max"),
        (thread().liveness(Liveness::notify(SECOND)), "liveness"),
        (thread().policy(memory), "recycle_above"),
    ] {
        match builder.build() {
            Err(Error::Field { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let unreachable = restart::Policy::new().failures_max(5, 10 * SECOND);
    assert!(matches!(
        new().policy(unreachable).build(),
        Err(Error::Restart { source: restart::Error::Unreachable { .. }, .. })
    ));
}

#[test]
fn every_event_says_why() {
    let why = Hanging::Silent { silent: 3 * SECOND, within: 2 * SECOND };
    let event = Event::Hung { why };
    assert_eq!(
        (event.code(), &*event.to_string()),
        ("supervise.silent", "it hangs and is stopped: no sign of life for 3.0 s, one is due within 2s")
    );
    let event = Event::NotKept { error: String::from("disk full\u{7}") };
    assert_eq!(event.to_string(), "the state cannot be persisted: disk full\\u{7}");
}

#[test]
fn a_probe_whose_time_was_over_is_counted_once_whatever_it_answers_then() {
    for answer in [Ok(()), Err(String::from("timed out"))] {
        let (run, liveness) = (run(), Liveness::probe(MINUTE, SECOND, || Ok::<(), String>(())));
        let (mut watch, mut now) = watch(&liveness, &run);
        for missed in 1..=3 {
            now = next(watch.look(now));
            now = next(watch.look(now));
            // The answer of the thread, taken away until it is too late.
            while run.signs().probed.take().is_none() {
                std::thread::yield_now();
            }
            let over = watch.look(now);
            if missed == 3 {
                assert!(matches!(hung(over), Hanging::ProbeMissed { misses: 3, .. }));
                break;
            }
            now = next(over).min(now.after(SECOND));
            run.signs().probed = Some(answer.clone());
            let _next = next(watch.look(now));
        }
    }
}

#[test]
fn what_says_that_it_ends_has_as_long_for_that_as_between_two_signs() {
    let (run, liveness) = (run(), Liveness::notify(MINUTE));
    hear(b"READY=1", &run);
    let before = run.last_sign();
    while System.moment() <= before {
        std::thread::yield_now();
    }
    hear(b"STOPPING=1", &run);
    assert!(run.last_sign() > before);
    drop(liveness);
}
