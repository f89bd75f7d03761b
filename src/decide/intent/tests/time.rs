//! When it is judged.

use proptest::prelude::*;

use crate::base::explain::Explain;
use crate::base::rng::Rng;
use crate::decide::intent::tests::{file, millis, start};
use crate::decide::intent::{Calm, Closing, Due, Ended, Error, Hint, Intent, Judge, Mass, Policy, State};

fn judge() -> Judge {
    Judge::new(Policy::default()).unwrap()
}

#[test]
fn it_is_judged_when_nothing_has_happened_for_half_a_second() {
    let mut judge = judge();
    assert_eq!((judge.due(start()), judge.next_wake()), (Due::Idle, None));
    judge.observe(Hint::Changed, start());
    judge.observe(Hint::Changed, start().after(millis(400)));
    let at = start().after(millis(900));
    assert_eq!(judge.due(start().after(millis(899))), Due::Later { at: at.moment });
    assert_eq!(judge.due(at), Due::Now { why: Ended::Quiet { quiet: millis(500) } });
    assert_eq!(judge.next_wake(), Some(at.moment));
    assert_eq!(judge.judge(&State::default(), &State::default(), at), Intent::Nothing(Calm::Same));
    assert_eq!(judge.due(at), Due::Idle);
}

#[test]
fn it_is_judged_after_five_seconds_although_it_goes_on() {
    let mut judge = judge();
    let mut now = start();
    while !matches!(judge.due(now), Due::Now { .. }) {
        judge.observe(Hint::Changed, now);
        now = now.after(millis(100));
    }
    assert_eq!(now.moment.since(start().moment), millis(5000));
    assert_eq!(judge.due(now), Due::Now { why: Ended::LongestWait { longest_wait: millis(5000) } });
}

#[test]
fn what_a_tool_has_announced_is_one_bulk_change_at_its_end() {
    let mut judge = judge();
    let token = judge.begin_bulk("sync", start()).unwrap();
    let mut now = start();
    for _ in 0..600 {
        judge.observe(Hint::Changed, now);
        now = now.after(millis(500));
        assert!(matches!(judge.due(now), Due::Later { .. }), "five minutes, and it is not judged");
    }
    assert_eq!(judge.end_bulk(token, now), Closing::Last);
    assert!(matches!(judge.due(now), Due::Later { .. }), "its last events are on their way");
    let now = now.after(millis(500));
    assert!(matches!(judge.due(now), Due::Now { why: Ended::Quiet { .. } }));
    let after = State::of([file("one", 1, 1)]);
    let Intent::Bulk { count: 1, why, .. } = judge.judge(&State::default(), &after, now) else { panic!() };
    assert_eq!((why.code(), why.to_string()), ("intent.announced", "announced by sync".to_owned()));
    // The next one is an edit again.
    judge.observe(Hint::Changed, now);
    assert!(matches!(judge.judge(&State::default(), &after, now), Intent::Single(_)));
}

#[test]
fn a_tool_that_dies_holds_nothing_for_ever() {
    let mut judge = judge();
    let token = judge.begin_bulk("sync", start()).unwrap();
    judge.observe(Hint::Changed, start());
    let at = start().after(millis(600_000));
    assert_eq!(judge.next_wake(), Some(at.moment));
    assert!(matches!(judge.due(at), Due::Now { why: Ended::Overdue { .. } }));
    let after = State::of([file("one", 1, 1)]);
    let Intent::Bulk { why, .. } = judge.judge(&State::default(), &after, at) else { panic!() };
    assert_eq!(why, Mass::Overdue { name: "sync".to_owned(), announced_max: millis(600_000) });
    assert_eq!(judge.due(at), Due::Idle);
    judge.observe(Hint::Changed, at);
    assert!(matches!(judge.judge(&State::default(), &after, at), Intent::Single(_)));
    assert_eq!(judge.end_bulk(token, at), Closing::Late);
}

#[test]
fn a_tool_that_ends_too_late_before_it_was_judged_leaves_nothing_behind() {
    let mut judge = judge();
    let token = judge.begin_bulk("sync", start()).unwrap();
    let late = start().after(millis(700_000));
    assert_eq!(judge.end_bulk(token, late), Closing::Late);
    let now = late.after(millis(500));
    assert!(matches!(judge.due(now), Due::Now { .. }));
    let after = State::of([file("one", 1, 1)]);
    assert!(matches!(judge.judge(&State::default(), &after, now), Intent::Bulk { .. }));
    judge.observe(Hint::Changed, now);
    assert!(matches!(judge.judge(&State::default(), &after, now), Intent::Single(_)));
}

#[test]
fn tools_that_overlap_are_waited_for_together_and_not_longer_than_one() {
    let mut judge = judge();
    let mut tokens = vec![judge.begin_bulk("first", start()).unwrap()];
    let mut now = start();
    for n in 0..5 {
        now = now.after(millis(100_000));
        tokens.push(judge.begin_bulk("next", now).unwrap());
        let left = tokens.len() - 1;
        assert_eq!(judge.end_bulk(tokens.remove(0), now), Closing::Others { left }, "{n}");
    }
    assert_eq!(judge.next_wake(), Some(start().after(millis(600_000)).moment));
    for _ in tokens.len()..64 {
        tokens.push(judge.begin_bulk("more", now).unwrap());
    }
    let error = judge.begin_bulk("too many", now).unwrap_err();
    assert_eq!(error, Error::TooManyAnnounced { given: 65, allowed: 64 });
    // Somebody else's token ends nothing.
    let foreign = super::time::judge().begin_bulk("other", now).unwrap();
    assert!(matches!(super::time::judge().end_bulk(foreign, now), Closing::Late));
}

#[test]
fn who_floods_the_queue_by_reading_is_no_reason_to_do_everything_anew_each_time() {
    let (mut judge, mut now) = (judge(), start());
    let (mut codes, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        judge.observe(Hint::Overflow, now);
        let at = judge.next_wake().unwrap();
        waits.push(at.since(now.moment).as_millis());
        now = now.after(at.since(now.moment));
        codes.push(judge.judge(&State::default(), &State::default(), now).code());
    }
    assert_eq!(codes[0], "intent.overflow");
    assert!(codes[1..].iter().all(|code| *code == "intent.overflow_again"), "{codes:?}");
    assert_eq!(waits, [500, 5000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 320_000]);
    // A change among it is judged as ever, and an overflow after that is one again.
    judge.observe(Hint::Overflow, now);
    judge.observe(Hint::Changed, now);
    assert_eq!(judge.next_wake(), Some(now.after(millis(500)).moment));
    let after = State::of([file("one", 1, 1)]);
    assert_eq!(judge.judge(&State::default(), &after, now).code(), "intent.overflow");
    judge.observe(Hint::Overflow, now);
    assert_eq!(judge.next_wake(), Some(now.after(millis(500)).moment));
    assert_eq!(judge.judge(&after, &after, now).code(), "intent.overflow");
}

proptest! {
    #[test]
    fn no_hint_waits_longer_than_the_longest_wait_and_none_is_judged_before_the_quiet(seed in any::<u64>()) {
        let (mut rng, mut judge, mut now) = (Rng::seeded(seed), judge(), start());
        let mut first = None;
        let mut last = now;
        for _ in 0..300 {
            let most = if rng.up_to(9) == 0 { 3000 } else { 300 };
            let next = now.after(millis(rng.up_to(most)));
            // A driver that wakes when it is told to.
            if let Some(at) = judge.next_wake().filter(|at| *at <= next.moment) {
                let began: crate::base::time::Now = first.take().unwrap();
                prop_assert!(at.since(began.moment) <= millis(5000));
                let quiet = at.since(last.moment) == millis(500);
                prop_assert!(quiet || at.since(began.moment) == millis(5000));
                let due = last.after(at.since(last.moment));
                let is_due = matches!(judge.due(due), Due::Now { .. });
                prop_assert!(is_due);
                drop(judge.judge(&State::default(), &State::default(), due));
            }
            now = next;
            judge.observe(Hint::Changed, now);
            first.get_or_insert(now);
            last = now;
        }
    }

    #[test]
    fn hints_in_any_order_make_no_difference(seed in any::<u64>()) {
        let mut rng = Rng::seeded(seed);
        let before = State::of((0..9).map(|n| file(&format!("{n}"), n, 1)));
        let after = State::of((0..9).filter(|_| rng.up_to(2) > 0).map(|n| file(&format!("{n}"), n, 1 + (n % 2) as i64)));
        let mut judge = judge();
        for _ in 0..rng.up_to(40) {
            judge.observe(Hint::Changed, start().after(millis(rng.up_to(4000))));
        }
        let now = start().after(millis(5000));
        prop_assert_eq!(judge.judge(&before, &after, now), Policy::default().judge(&before, &after));
    }
}
