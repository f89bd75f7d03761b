use std::time::Duration;

use proptest::prelude::*;

use super::{Admit, Alert, Decision, Kind, Limit, Paging, Policy, Rule, Saved, State, Suppressing};
use crate::base::explain::Explain;
use crate::base::time::{Timestamp, later};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn at(minutes: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(86_400 * 400) + MINUTE * u32::try_from(minutes).unwrap())
}

fn occurs(alert: &mut Alert, minutes: u64) -> Decision {
    alert.occurred(&Policy::default(), Rule::First, at(minutes), at(minutes))
}

fn passes(alert: &mut Alert, minutes: u64) -> Decision {
    alert.pass(&Policy::default(), Rule::First, at(minutes))
}

#[test]
fn one_page_for_each_identity_and_then_with_doubling_intervals() {
    let mut alert = Alert::new(Kind::DeadLetter);
    let mut paged = Vec::new();
    for minute in 0..(4 * 24 * 60) {
        match occurs(&mut alert, minute) {
            Decision::Page(_) => paged.push(minute / 60),
            Decision::Suppressed(Suppressing::Paged { until, .. }) => assert!(until > at(minute)),
            other => panic!("{other:?}"),
        }
    }
    // 1 h, 2, 4, 8, 16, then 24 h each.
    assert_eq!(paged, [0, 1, 3, 7, 15, 31, 55, 79]);
    assert_eq!((alert.count(), alert.paged()), (5760, 8));
}

#[test]
fn what_happened_since_the_last_page_is_told_when_its_time_has_come() {
    let mut alert = Alert::new(Kind::Overdue);
    let _first = occurs(&mut alert, 0);
    assert_eq!(passes(&mut alert, 90), Decision::Nothing, "nothing has happened since");
    assert!(matches!(occurs(&mut alert, 91), Decision::Page(_)));
    let _suppressed = occurs(&mut alert, 92);
    assert_eq!(passes(&mut alert, 120), Decision::Nothing);
    let told = passes(&mut alert, 91 + 121);
    assert!(matches!(told, Decision::Page(Paging::Again { paged: 2, count: 3, untold: 1, .. })), "{told:?}");
}

#[test]
fn it_is_over_after_a_healthy_time_and_a_sign_of_health_and_tells_it_once() {
    let mut alert = Alert::new(Kind::DeadLetter);
    let _first = occurs(&mut alert, 0);
    assert_eq!(passes(&mut alert, 600), Decision::Nothing, "nobody said that it is well");
    alert.healthy(at(0) - chrono::TimeDelta::seconds(1));
    assert_eq!(passes(&mut alert, 601), Decision::Nothing, "a sign from before says nothing");
    alert.healthy(at(602));
    let over = passes(&mut alert, 603);
    assert!(matches!(over, Decision::Resolved(why) if why.count == 1 && why.paged == 1), "{over:?}");
    assert_eq!(passes(&mut alert, 604), Decision::Nothing);
    assert_eq!(alert.state(), State::Resolved);
}

#[test]
fn a_sign_of_health_alone_does_not_end_what_happened_a_moment_ago() {
    let mut alert = Alert::new(Kind::DeadLetter);
    let _first = occurs(&mut alert, 0);
    alert.healthy(at(1));
    assert_eq!(passes(&mut alert, 14), Decision::Nothing);
    let _again = occurs(&mut alert, 14);
    assert_eq!(passes(&mut alert, 30), Decision::Nothing, "it has happened since it was well");
    alert.healthy(at(31));
    assert!(matches!(passes(&mut alert, 31), Decision::Resolved(_)));
}

#[test]
fn where_nothing_says_that_it_is_well_time_alone_ends_it() {
    let mut alert = Alert::new(Kind::RegimeChange);
    let _first = occurs(&mut alert, 0);
    assert_eq!(passes(&mut alert, 14), Decision::Nothing);
    assert!(matches!(passes(&mut alert, 15), Decision::Resolved(_)));
}

#[test]
fn what_happens_after_the_end_opens_it_again_and_is_a_new_page() {
    let mut alert = Alert::new(Kind::Overdue);
    let _first = occurs(&mut alert, 0);
    alert.healthy(at(1));
    assert!(matches!(passes(&mut alert, 20), Decision::Resolved(_)));
    assert_eq!(occurs(&mut alert, 21), Decision::Page(Paging::First));
    assert_eq!((alert.count(), alert.paged(), alert.since()), (1, 1, Some(at(21))));
    assert_eq!(passes(&mut alert, 60), Decision::Nothing, "the sign was for the time before");
}

#[test]
fn what_is_acknowledged_is_not_paged_until_that_ends() {
    let mut alert = Alert::new(Kind::Overdue);
    assert!(!alert.ack(None, at(0)), "there is nothing to see to");
    let _first = occurs(&mut alert, 0);
    assert!(alert.ack(Some(at(180)), at(5)));
    for minute in 6..180 {
        let decision = occurs(&mut alert, minute);
        assert!(matches!(decision, Decision::Suppressed(Suppressing::Acknowledged { .. })), "{decision:?}");
        assert_eq!(passes(&mut alert, minute), Decision::Nothing);
    }
    assert!(matches!(passes(&mut alert, 180), Decision::Page(Paging::Again { untold: 174, .. })));
    assert_eq!((alert.state(), alert.acked()), (State::Open, None));
}

#[test]
fn what_is_acknowledged_without_an_end_is_so_until_it_is_over() {
    let mut alert = Alert::new(Kind::Overdue);
    let _first = occurs(&mut alert, 0);
    assert!(alert.ack(None, at(1)));
    assert!(matches!(occurs(&mut alert, 100_000), Decision::Suppressed(_)));
    alert.healthy(at(100_001));
    assert!(matches!(passes(&mut alert, 100_020), Decision::Resolved(_)));
    assert_eq!(occurs(&mut alert, 100_021), Decision::Page(Paging::First));
}

#[test]
fn a_dead_letter_alone_is_recorded_and_what_needs_a_person_always_pages() {
    for kind in Kind::ALL {
        let decide = |rule| Alert::new(kind).occurred(&Policy::default(), rule, at(0), at(0));
        assert_eq!(matches!(decide(Rule::Trend), Decision::Page(_)), kind != Kind::DeadLetter, "{kind}");
        assert!(matches!(decide(Rule::First), Decision::Page(Paging::First)), "{kind}");
        assert!(matches!(decide(Rule::Never), Decision::Recorded(_)), "{kind}");
    }
}

#[test]
fn what_was_recorded_is_paged_by_whoever_knows_a_rule_that_says_so() {
    let mut alert = Alert::new(Kind::DeadLetter);
    let recorded = alert.occurred(&Policy::default(), Rule::Trend, at(0), at(0));
    assert!(matches!(recorded, Decision::Recorded(_)));
    assert_eq!(alert.pass(&Policy::default(), Rule::Trend, at(1)), Decision::Nothing);
    assert!(matches!(alert.pass(&Policy::default(), Rule::First, at(1)), Decision::Page(Paging::First)));
}

#[test]
fn a_clock_that_goes_back_or_far_ahead_makes_no_flood_and_no_silence() {
    let mut alert = Alert::new(Kind::Overdue);
    let _first = occurs(&mut alert, 600);
    let mut pages = 0;
    for minute in 540..660 {
        pages += u32::from(matches!(occurs(&mut alert, minute), Decision::Page(_)));
    }
    assert_eq!(pages, 0, "an hour back, and it is not told before its time");
    assert!(matches!(occurs(&mut alert, 661), Decision::Page(_)));
    // A year ahead for one reading, then right again.
    let _ahead = occurs(&mut alert, 600_000);
    let back: u64 = (670..900).map(|m| u64::from(matches!(occurs(&mut alert, m), Decision::Page(_)))).sum();
    assert!(back <= 1, "{back}");
    assert!(alert.last().unwrap() <= at(900));
}

#[test]
fn twenty_pages_an_hour_and_one_digest_for_the_rest() {
    let (policy, mut limit) = (Policy::default(), Limit::new());
    let sent = (0..1000u64).filter(|n| {
        let now = later(at(0), Duration::from_millis(n * 60));
        matches!(limit.admit(&policy, now), Admit::Send)
    });
    assert_eq!(sent.count(), 20);
    let due = limit.digest_due(&policy).unwrap();
    assert!(due > at(1) && due < at(3), "a storm of a minute is one digest: {due}");
    limit.digested(due);
    assert_eq!(limit.digest_due(&policy), None);
    // More of it in the same hour waits for the next one; and when the hour is over there are pages again.
    assert!(matches!(limit.admit(&policy, at(30)), Admit::Digest { sent: 20, .. }));
    assert_eq!(limit.digest_due(&policy), Some(later(due, HOUR)));
    assert_eq!(limit.admit(&policy, at(62)), Admit::Send);
}

#[test]
fn a_limit_outlives_a_clock_that_is_set() {
    let (policy, mut limit) = (Policy::default(), Limit::new());
    for _ in 0..20 {
        assert_eq!(limit.admit(&policy, at(1000)), Admit::Send);
    }
    assert!(matches!(limit.admit(&policy, at(940)), Admit::Digest { .. }), "back by an hour, and no flood");
    let mut limit = Limit::new();
    assert_eq!(limit.admit(&policy, at(5_000_000)), Admit::Send);
    let sent = (0..30).filter(|_| limit.admit(&policy, at(1000)) == Admit::Send).count();
    assert_eq!(sent, 19, "what was said to be years ahead counts as of now");
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused() {
    let zero = Policy::builder().again_after(Duration::ZERO).build().unwrap_err();
    assert_eq!(zero.to_string(), "alert: again_after is 0ns, allowed is 1s to 366 days");
    assert!(Policy::builder().again_after(2 * HOUR).again_max(HOUR).build().is_err());
    assert!(Policy::builder().limit(0, HOUR).build().is_err());
    assert!(Policy::builder().limit(1001, HOUR).build().is_err());
    assert!(Policy::builder().healthy_for(Duration::MAX).build().is_err());
    assert_eq!(Policy::builder().build(), Ok(Policy::default()));
    assert!(serde_json::from_str::<Policy>(r#"{"pages":5,"typo":1}"#).is_err());
    let read: Policy = serde_json::from_str(r#"{"pages":5,"per_ms":60000}"#).unwrap();
    assert_eq!(read.limit(), (5, MINUTE));
}

#[test]
fn the_saved_state_is_read_as_it_was_first_written() {
    let golden = include_str!("../../../tests/golden/alert_v1.json");
    let mut alert = Alert::new(Kind::DeadLetter);
    for minute in [0, 30, 61] {
        let _decision = occurs(&mut alert, minute);
    }
    alert.healthy(at(62));
    assert!(alert.ack(Some(at(120)), at(63)));
    assert_eq!(serde_json::to_string(&alert.saved()).unwrap(), golden.trim_end());
    let saved: Saved = serde_json::from_str(golden).unwrap();
    assert_eq!(Alert::restored(&saved), Ok(alert));
    let newer: Saved = serde_json::from_str(&golden.replacen("\"v\":1", "\"v\":2", 1)).unwrap();
    assert!(Alert::restored(&newer).is_err());
    let cut: Saved =
        serde_json::from_str(r#"{"v":1,"kind":"fatal","state":"open","count":1,"untold":1,"paged":0}"#)
            .unwrap();
    assert!(Alert::restored(&cut).is_err(), "open since no time");
}

#[test]
fn each_decision_says_why() {
    let mut alert = Alert::new(Kind::DeadLetter);
    let first = occurs(&mut alert, 0);
    assert_eq!(
        (first.code(), first.to_string().as_str()),
        ("alert.first", "it has begun, and a person is told")
    );
    let again = occurs(&mut alert, 1);
    assert_eq!(again.code(), "alert.suppressed");
    assert_eq!(
        again.to_string(),
        "it was told, and is not told again before 1971-02-05 01:00:00; once since"
    );
    alert.healthy(at(1));
    let over = passes(&mut alert, 20);
    assert_eq!(over.code(), "alert.resolved");
    assert_eq!(
        over.to_string(),
        "it is over: nothing has happened for 19 min; before that twice within 1 min"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Occurs,
    Healthy,
    Ack(Option<i64>),
    Passes,
    Restarts,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        4 => Just(Step::Occurs),
        1 => Just(Step::Healthy),
        1 => proptest::option::of(-10_000..100_000_i64).prop_map(Step::Ack),
        3 => Just(Step::Passes),
        1 => Just(Step::Restarts),
    ];
    // Seconds between: mostly forward, at times back by hours or ahead by days.
    let wait = prop_oneof![8 => 0..7200_i64, 1 => -20_000..0_i64, 1 => 0..1_000_000_i64];
    proptest::collection::vec((wait, step), 1..200)
}

proptest! {
    #[test]
    fn whatever_happens_there_is_no_flood_and_no_panic(steps in steps()) {
        let policy = Policy::default();
        let (mut alert, mut now, mut highest) = (Alert::new(Kind::DeadLetter), at(0), at(0));
        let (mut first_pages, mut openings, mut last_page) = (0u32, 0u32, None::<Timestamp>);
        for (wait, step) in steps {
            now += chrono::TimeDelta::seconds(wait);
            highest = highest.max(now);
            let before = alert.state();
            let decision = match step {
                Step::Occurs => alert.occurred(&policy, Rule::First, now, now),
                Step::Healthy => { alert.healthy(now); Decision::Nothing }
                Step::Ack(until) => {
                    let until = until.map(|by| now + chrono::TimeDelta::seconds(by));
                    prop_assert_eq!(alert.ack(until, now), before != State::Resolved);
                    Decision::Nothing
                }
                Step::Passes => alert.pass(&policy, Rule::First, now),
                Step::Restarts => {
                    let json = serde_json::to_string(&alert.saved()).unwrap();
                    let saved: Saved = serde_json::from_str(&json).unwrap();
                    prop_assert_eq!(&Alert::restored(&saved).unwrap(), &alert);
                    Decision::Nothing
                }
            };
            openings += u32::from(before == State::Resolved && alert.state() == State::Open);
            match decision {
                Decision::Page(Paging::First) => { first_pages += 1; last_page = Some(highest); }
                Decision::Page(_) => {
                    prop_assert!(last_page.is_some());
                    last_page = Some(highest);
                }
                Decision::Resolved(_) => prop_assert_eq!(alert.state(), State::Resolved),
                _ => {}
            }
            prop_assert_eq!(first_pages, openings, "one first page for each opening");
        }
    }
}
