//! What a ticker finds after a restart, a suspend, and a clock that was set: one path, each policy.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::explain::Explain;
use crate::decide::schedule::{Clash, Overlap, Overlapping};

const HOUR: Duration = Duration::from_secs(3600);

/// So many minutes after midnight.
fn at(minutes: u64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs(minutes * 60))
}

fn hourly(policy: Policy) -> Ticker {
    Ticker::new("report", Schedule::every(HOUR).unwrap(), policy, at(0)).unwrap()
}

fn minutes(at: Timestamp) -> i64 {
    at.timestamp() / 60
}

/// The nominal times that are run now, in minutes, and how many are not.
fn found(due: &Due) -> (Vec<i64>, u64) {
    match due {
        Due::Wait { .. } => (Vec::new(), 0),
        Due::Run { turns, missed } => {
            let nominal = turns.iter().map(|turn| minutes(turn.occurrence.nominal)).collect();
            (nominal, missed.map_or(0, |missed| missed.count.number))
        }
        Due::Skip { missed, .. } => (Vec::new(), missed.count.number),
    }
}

/// Settles what was found, as a driver does.
fn settle(ticker: &mut Ticker, due: &Due) {
    match due {
        Due::Wait { .. } => {}
        Due::Run { turns, .. } => turns.iter().for_each(|turn| ticker.settle(turn.occurrence.nominal)),
        Due::Skip { missed, .. } => ticker.settle(missed.newest.nominal),
    }
}

#[test]
fn what_is_on_time_is_run_once() {
    let mut ticker = hourly(Policy::new());
    assert!(matches!(ticker.due(at(59)), Due::Wait { why: Waiting::NotYet { .. }, .. }));
    let due = ticker.due(at(60));
    assert_eq!(found(&due), (vec![60], 0));
    let Due::Run { turns, .. } = &due else { panic!() };
    assert_eq!((turns[0].why, turns[0].begin), (Running::OnTime { late: Duration::ZERO }, at(60)));
    assert_eq!(found(&ticker.due(at(60))), (vec![60], 0), "until it is settled");
    settle(&mut ticker, &due);
    assert_eq!(found(&ticker.due(at(60))), (vec![], 0));
    assert_eq!(ticker.next().map(|next| next.nominal), Some(at(120)));
}

#[test]
fn after_a_restart_one_run_stands_for_all_that_was_missed() {
    let mut ticker = hourly(Policy::new());
    let due = ticker.due(at(7 * 60 + 30));
    assert_eq!(found(&due), (vec![420], 6));
    let Due::Run { turns, missed: Some(missed) } = &due else { panic!() };
    assert_eq!(turns[0].why, Running::CaughtUp { late: Duration::from_secs(1800) });
    assert_eq!(missed.why, NotRun::Coalesced { into: at(420) });
    assert_eq!((missed.oldest.nominal, missed.newest.nominal), (at(60), at(360)));
    assert_eq!(missed.code(), "schedule.coalesced");
    settle(&mut ticker, &due);
    assert_eq!(found(&ticker.due(at(479))), (vec![], 0));
    assert_eq!(found(&ticker.due(at(480))), (vec![480], 0));
}

#[test]
fn a_catch_up_begins_within_the_spread_at_a_moment_of_its_name() {
    let begin = |name: &str, policy| {
        let mut ticker = Ticker::new(name, Schedule::every(HOUR).unwrap(), policy, at(0)).unwrap();
        let Due::Run { turns, .. } = ticker.due(at(90)) else { panic!() };
        turns[0].begin.signed_duration_since(at(90)).num_milliseconds()
    };
    let holds: Vec<i64> = (0..50).map(|n| begin(&format!("job{n}"), Policy::new())).collect();
    assert!(holds.iter().all(|hold| (0..60_000).contains(hold)), "{holds:?}");
    let early = holds.iter().filter(|hold| **hold < 30_000).count();
    assert!((10..=40).contains(&early), "they are spread: {holds:?}");
    assert_eq!(begin("job1", Policy::new()), holds[1], "the same each time");
    assert_eq!(begin("job1", Policy::new().spread(Duration::ZERO)), 0);
}

#[test]
fn what_is_later_than_its_bound_is_skipped_and_counted() {
    let weekly = Schedule::every(7 * 24 * HOUR).unwrap().anchored(at(0)).unwrap();
    let mut ticker = Ticker::new("books", weekly, Policy::new(), at(0)).unwrap();
    let week = 7 * 24 * 60;
    assert_eq!(found(&ticker.due(at(week + 23 * 60))).0, [i64::try_from(week).unwrap()]);
    let due = ticker.due(at(week + 25 * 60));
    assert_eq!(found(&due), (vec![], 1));
    let Due::Skip { missed, next: Some(next) } = &due else { panic!() };
    assert_eq!(missed.why, NotRun::TooLate { late: 25 * HOUR, late_max: 24 * HOUR });
    assert_eq!(next.nominal, at(2 * week));
    let mut patient = Ticker { policy: Policy::new().late_max(48 * HOUR), ..ticker };
    assert_eq!(found(&patient.due(at(week + 25 * 60))).0.len(), 1);
}

#[test]
fn what_was_missed_may_be_skipped_and_what_is_on_time_then_is_run() {
    let policy = Policy::new().catch_up(CatchUp::Skip);
    let mut ticker = hourly(policy);
    let due = ticker.due(at(5 * 60 + 20));
    assert_eq!(found(&due), (vec![], 5));
    settle(&mut ticker, &due);
    let due = ticker.due(at(8 * 60));
    assert_eq!(found(&due), (vec![480], 2));
    // A cron process that comes each quarter of an hour.
    let mut seldom = hourly(policy.grace(Duration::from_secs(900)));
    assert_eq!(found(&seldom.due(at(60 + 14))), (vec![60], 0));
}

#[test]
fn each_missed_one_may_be_run_up_to_a_bound_the_newest_first_to_stay() {
    let mut ticker = hourly(Policy::new().catch_up(CatchUp::All { at_most: 3 }));
    let due = ticker.due(at(10 * 60 + 30));
    assert_eq!(found(&due), (vec![480, 540, 600], 7));
    let Due::Run { missed: Some(missed), .. } = &due else { panic!() };
    assert_eq!(missed.why, NotRun::TooMany { at_most: 3 });
    settle(&mut ticker, &due);
    let due = ticker.due(at(12 * 60));
    assert_eq!(found(&due), (vec![660, 720], 0), "what is on time is no catch-up");
    let bounded = Policy::new().catch_up(CatchUp::All { at_most: 100 }).late_max(2 * HOUR);
    let due = hourly(bounded).due(at(10 * 60 + 30));
    assert_eq!(found(&due), (vec![540, 600], 8));
}

#[test]
fn a_clock_that_goes_back_runs_nothing_twice_and_a_ticker_says_so() {
    let mut ticker = hourly(Policy::new());
    let due = ticker.due(at(300));
    settle(&mut ticker, &due);
    let Due::Wait { next: Some(next), why } = ticker.due(at(180)) else { panic!() };
    assert_eq!((next.nominal, why), (at(360), Waiting::AlreadyRun { last: at(300), now: at(180) }));
    assert_eq!(found(&ticker.due(at(300))), (vec![], 0));
    assert_eq!(found(&ticker.due(at(360))), (vec![360], 0));
}

#[test]
fn a_state_saved_by_a_clock_that_was_a_year_ahead_does_not_stop_the_schedule_for_a_year() {
    let year = 366 * 24 * 60;
    let mut ticker = hourly(Policy::new());
    ticker.settle(at(year));
    let saved = ticker.snapshot(at(year));
    let text = serde_json::to_string(&saved).unwrap();
    let saved: Snapshot = serde_json::from_str(&text).unwrap();
    let hourly = || Schedule::every(HOUR).unwrap();
    let (mut next, noticed) = Ticker::restore(hourly(), Policy::new(), &saved, at(90)).unwrap();
    assert_eq!(noticed, [Noticed::ClockWasAhead { last: at(year), now: at(90) }]);
    assert_eq!(found(&next.due(at(120))), (vec![120], 0));
    // A day ahead is a clock that was set back, and is waited for.
    ticker.last = at(24 * 60);
    let (_, noticed) =
        Ticker::restore(hourly(), Policy::new(), &ticker.snapshot(at(24 * 60)), at(0)).unwrap();
    assert_eq!(noticed, []);
}

#[test]
fn another_schedule_under_the_same_name_keeps_what_was_run_and_is_noticed() {
    let mut ticker = hourly(Policy::new());
    ticker.settle(at(120));
    let every_two = Schedule::every(2 * HOUR).unwrap();
    let (next, noticed) =
        Ticker::restore(every_two, Policy::new(), &ticker.snapshot(at(121)), at(122)).unwrap();
    assert!(matches!(&noticed[..], [Noticed::Changed { .. }]), "{noticed:?}");
    assert_eq!(next.next().map(|next| next.nominal), Some(at(240)));
    let later_release = Snapshot { v: 2, ..ticker.snapshot(at(121)) };
    let error = Ticker::restore(Schedule::once(at(0)), Policy::new(), &later_release, at(0)).unwrap_err();
    assert_eq!(error.to_string(), "schedule: snapshot.v is 2, allowed is 1");
}

#[test]
fn the_first_format_still_opens_and_is_still_written() {
    let golden = include_str!("../../../../tests/golden/ticker_v1.json");
    let saved: Snapshot = serde_json::from_str(golden).unwrap();
    let (ticker, noticed) =
        Ticker::restore(Schedule::every(HOUR).unwrap(), Policy::new(), &saved, at(121)).unwrap();
    assert_eq!((ticker.name(), ticker.last(), noticed), ("report", at(120), Vec::new()));
    assert_eq!(serde_json::to_string(&ticker.snapshot(at(121))).unwrap(), golden.trim());
}

#[test]
fn a_jitter_moves_when_it_is_due_and_not_what_it_is() {
    let schedule = Schedule::every(HOUR).unwrap().jitter(Duration::from_secs(1200), "host/report").unwrap();
    let first = schedule.next_after(at(0)).unwrap();
    let mut ticker = Ticker::new("report", schedule, Policy::new(), at(0)).unwrap();
    assert!(first.at > first.nominal && first.nominal == at(60));
    assert!(matches!(ticker.due(at(60)), Due::Wait { .. }));
    let due = ticker.due(first.at);
    assert_eq!(found(&due), (vec![60], 0));
    let Due::Run { turns, .. } = &due else { panic!() };
    assert_eq!(turns[0].why, Running::OnTime { late: Duration::ZERO });
}

#[test]
fn a_one_off_that_was_missed_is_caught_up_with_once() {
    let mut ticker = Ticker::new("move", Schedule::once(at(60)), Policy::new(), at(0)).unwrap();
    let due = ticker.due(at(600));
    assert_eq!(found(&due), (vec![60], 0));
    settle(&mut ticker, &due);
    assert!(matches!(ticker.due(at(700)), Due::Wait { next: None, why: Waiting::Never }));
}

#[test]
fn a_policy_that_cannot_work_is_refused_with_its_field() {
    let refused = |policy: Policy| policy.check().unwrap_err().to_string();
    assert!(
        refused(Policy::new().catch_up(CatchUp::All { at_most: 0 })).starts_with("schedule: at_most is 0,")
    );
    assert!(refused(Policy::new().late_max(Duration::ZERO)).starts_with("schedule: late_max is 0ns,"));
    assert!(refused(Policy::new().grace(25 * HOUR)).starts_with("schedule: grace is "));
    assert!(refused(Policy::new().spread(25 * HOUR)).starts_with("schedule: spread is "));
    let queued = Policy::new().overlap(Overlap::QueueOne).catch_up(CatchUp::Skip);
    assert!(refused(queued).starts_with("schedule: catch_up is skip,"));
    let nameless = Ticker::new("", Schedule::once(at(0)), Policy::new(), at(0));
    assert!(nameless.unwrap_err().to_string().starts_with("schedule: name is \"\","));
}

#[test]
fn what_overlaps_is_decided_by_what_runs() {
    let decide = |overlap: Overlap, running| overlap.decide(running, 16);
    for overlap in [Overlap::Skip, Overlap::QueueOne, Overlap::Replace, Overlap::Allow] {
        assert_eq!(decide(overlap, 0), Clash::Begin);
    }
    assert_eq!(decide(Overlap::Skip, 1), Clash::Skip { why: Overlapping::StillRuns });
    assert_eq!(decide(Overlap::QueueOne, 1), Clash::Wait);
    assert_eq!(decide(Overlap::Replace, 1), Clash::Replace);
    assert_eq!(decide(Overlap::Allow, 15), Clash::Begin);
    assert_eq!(decide(Overlap::Allow, 16), Clash::Skip { why: Overlapping::TooMany { running: 16 } });
}

fn policies() -> impl Strategy<Value = Policy> {
    let catch_up = prop_oneof![
        Just(CatchUp::Skip),
        Just(CatchUp::Once),
        (1_u32..6).prop_map(|at_most| CatchUp::All { at_most })
    ];
    (catch_up, 0_u64..7200, proptest::option::of(1_u64..90_000)).prop_map(|(catch_up, grace, late)| {
        let policy = Policy::new().catch_up(catch_up).grace(Duration::from_secs(grace));
        late.map_or(policy, |late| policy.late_max(Duration::from_secs(late)))
    })
}

proptest! {
    /// Whatever the clock does, within the day that it may go back.
    #[test]
    fn each_occurrence_is_settled_once_run_or_counted(
        policy in policies(),
        period in 60_u64..100_000,
        steps in proptest::collection::vec(-80_000_i64..400_000, 1..30),
    ) {
        let schedule = Schedule::every(Duration::from_secs(period)).unwrap();
        let mut ticker = Ticker::new("any", schedule.clone(), policy, at(0)).unwrap();
        let (mut now, mut top, mut counted, mut last) = (at(0), at(0), 0, Timestamp::MIN_UTC);
        for step in steps {
            // Never more than a day behind what it has shown.
            now = (now + chrono::TimeDelta::seconds(step)).max(top - chrono::TimeDelta::days(1));
            top = top.max(now);
            let due = ticker.due(now);
            match &due {
                Due::Wait { next, .. } => prop_assert!(next.is_none_or(|next| next.at > now)),
                Due::Run { turns, missed } => {
                    prop_assert!(!turns.is_empty());
                    for turn in turns {
                        prop_assert!(turn.occurrence.nominal > last, "strictly after what was run");
                        prop_assert!(turn.occurrence.at <= now);
                        last = turn.occurrence.nominal;
                    }
                    counted += turns.len() as u64 + missed.map_or(0, |missed| missed.count.number);
                }
                Due::Skip { missed, .. } => counted += missed.count.number,
            }
            settle(&mut ticker, &due);
            prop_assert_eq!(found(&ticker.due(now)), (vec![], 0), "nothing is left");
        }
        prop_assert_eq!(counted, schedule.count(at(0), ticker.last()).number);
    }
}
