//! One test for each rule, named after it; beside it calendars, what is saved, blocks, and random stories.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};

use super::*;
use crate::base::explain::Explain;
use crate::base::time::{Moment, Now, Timestamp};
use crate::base::zone::Zone;

mod blocks;
mod calendars;
mod random;
mod saved;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    let start = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: start }.after(secs(seconds))
}

fn back(now: Now, seconds: i64) -> Now {
    Now { wall: now.wall - TimeDelta::seconds(seconds), ..now }
}

/// 60 a minute, 3 at once.
fn plain() -> Quota {
    Quota::per_minute(60).unwrap().burst(3).unwrap()
}

fn midnight(limit: u32) -> Calendar {
    Calendar::new(limit, NaiveTime::MIN, Zone::Utc).unwrap()
}

fn allowed(admit: Admit) -> Allowing {
    match admit {
        Admit::Allow { why } => why,
        Admit::Refuse { why, .. } => panic!("refused: {why}"),
    }
}

fn refused(admit: Admit) -> (Refusing, Duration, Timestamp) {
    match admit {
        Admit::Refuse { why, wait, retry_at } => (why, wait, retry_at),
        Admit::Allow { why } => panic!("allowed: {why}"),
    }
}

fn ready(reserve: Reserve) -> Taken {
    match reserve {
        Reserve::Ready(taken) => taken,
        other => panic!("{other:?}"),
    }
}

fn waits(reserve: Reserve) -> (Taken, Duration) {
    match reserve {
        Reserve::Wait { taken, delay, .. } => (taken, delay),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_admits_the_burst_and_then_one_each_interval_and_says_the_numbers() {
    let meter = Meter::new(plain(), at(0));
    let why = Allowing::Within { n: 2, left: 1, limit: 60, period: secs(60), burst: 3 };
    assert_eq!(allowed(meter.admit_n(2, at(0))), why);
    assert_eq!(why.code(), "quota.within");
    let (why, wait, retry_at) = refused(meter.admit_n(3, at(0)));
    assert_eq!(why, Refusing::Spent { n: 3, left: 1, limit: 60, period: secs(60), burst: 3 });
    assert_eq!((wait, retry_at), (secs(2), at(2).wall));
    assert_eq!(why.to_string(), "3 asked for, 1 of 3 are left, 60 come back in 60s");
    // A refusal takes nothing.
    assert!(meter.refusal(1, at(0)).is_none());
    let _why = allowed(meter.admit_n(3, at(2)));
    assert_eq!(meter.refusal(1, at(2)).unwrap().1, at(3).wall);
}

#[test]
fn the_default_burst_is_the_limit_so_a_period_after_idle_time_may_see_it_twice() {
    let quota = Quota::per_second(10).unwrap();
    let meter = Meter::new(quota, at(0));
    let _why = allowed(meter.admit_n(10, at(0)));
    let tenth = |n: u32| at(0).after(Duration::from_millis(100) * n);
    let more = (1..=10).filter(|n| matches!(meter.admit(tenth(*n)), Admit::Allow { .. })).count();
    assert_eq!(more, 10);
    assert_eq!(quota.most_within(secs(1)), 20);
}

#[test]
fn more_than_the_burst_is_refused_for_good_with_its_own_reason() {
    for (meter, most) in [(Meter::new(plain(), at(0)), 3), (Meter::new(midnight(5), at(0)), 5)] {
        let (why, wait, retry_at) = refused(meter.admit_n(most + 1, at(0)));
        assert_eq!(why, Refusing::TooMany { n: most + 1, most });
        assert_eq!((wait, retry_at), (Duration::MAX, Timestamp::MAX_UTC));
        assert_eq!(why.code(), "quota.too_many");
        assert!(matches!(meter.reserve(most + 1, at(0), Duration::MAX), Reserve::Refuse { .. }));
        let _why = allowed(meter.admit_n(most, at(0)));
        let _nothing = allowed(meter.admit_n(0, at(0)));
    }
}

#[test]
fn those_who_reserve_get_places_in_the_order_in_which_they_asked() {
    let meter = Meter::new(plain(), at(0));
    let _first = ready(meter.reserve(3, at(0), secs(2)));
    assert_eq!(waits(meter.reserve(1, at(0), secs(2))).1, secs(1));
    let (_, delay) = meter.reserve_fast(1, at(0).moment, secs(2)).unwrap();
    assert_eq!(delay, secs(2));
    assert!(meter.reserve_fast(1, at(0).moment, secs(2)).is_none());
    match meter.reserve(1, at(0), secs(2)) {
        Reserve::Refuse { why: Refusing::Spent { n: 1, left: 0, .. }, wait, retry_at } => {
            assert_eq!((wait, retry_at), (secs(3), at(3).wall));
        }
        other => panic!("{other:?}"),
    }
    // Who comes when the first place is there stands behind those who have reserved.
    assert_eq!(waits(meter.reserve(1, at(1), secs(2))).1, secs(2));
}

#[test]
fn a_place_is_given_back_only_if_nobody_reserved_after_it() {
    let meter = Meter::new(plain(), at(0));
    let early = ready(meter.reserve(1, at(0), secs(0)));
    let late = ready(meter.reserve(2, at(0), secs(0)));
    assert!(!meter.give_back(early));
    assert!(meter.give_back(late));
    let _two = ready(meter.reserve(2, at(0), secs(0)));
    assert!(meter.refusal(1, at(0)).is_some());
}

#[test]
fn a_place_of_a_calendar_is_given_back_within_its_period() {
    let meter = Meter::new(midnight(3), at(0));
    assert!(meter.needs_wall() && !Meter::new(plain(), at(0)).needs_wall());
    assert!(meter.reserve_fast(1, at(0).moment, secs(9)).is_none());
    let (early, _late) = (ready(meter.reserve(1, at(0), secs(0))), ready(meter.reserve(2, at(0), secs(0))));
    assert!(meter.give_back(early));
    let again = ready(meter.reserve(1, at(0), secs(0)));
    let _tomorrow = ready(meter.reserve(1, at(86_400), secs(0)));
    assert!(!meter.give_back(again));
    assert!(matches!(meter.reserve(3, at(86_400), Duration::MAX), Reserve::Refuse { .. }));
}

#[test]
fn a_wrong_limit_names_the_field_what_was_given_and_what_is_allowed() {
    let day = secs(86_400);
    for (made, says) in [
        (Quota::per_second(0), "quota: limit is 0, allowed is 1 to 1000000000"),
        (Quota::new(1, Duration::ZERO), "quota: period is 0ns, allowed is 1ms to 316224000s"),
        (Quota::new(2_000_000, Duration::from_millis(1)), "quota: limit is 2000000, allowed is 1 to 1000000"),
        (Quota::new(1, day).and_then(|q| q.burst(0)), "quota: burst is 0, allowed is 1 to 4294967295"),
        (
            Quota::new(1, day).and_then(|q| q.burst(u32::MAX)),
            "quota: burst is 4294967295, allowed is 1 to 36500",
        ),
        (Quota::new(9, day).and_then(|q| q.strict()?.burst(10)), "quota: burst is 10, allowed is 1 to 9"),
    ] {
        assert_eq!(made.unwrap_err().to_string(), says);
    }
    let error = Calendar::new(0, NaiveTime::MIN, Zone::Utc).unwrap_err().to_string();
    assert_eq!(error, "quota: limit is 0, allowed is 1 to 4294967295");
}

#[test]
fn a_limit_reads_as_json_and_a_wrong_one_names_the_field() {
    let rate = r#"{"limit":60,"period_ms":60000,"burst":3}"#;
    let strict = r#"{"limit":60,"period_ms":60000,"burst":30,"strict":true}"#;
    let calendar = r#"{"limit":100,"reset_at":"00:00:00","zone":"+02:00"}"#;
    for json in [rate, strict, calendar] {
        let limit: Limit = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&limit).unwrap(), json);
    }
    assert_eq!(serde_json::from_str::<Limit>(rate).unwrap(), Limit::Rate(plain()));
    assert_eq!(
        serde_json::from_str::<Quota>(strict).unwrap(),
        Quota::per_minute(60).unwrap().strict().unwrap()
    );
    for (json, says) in [
        (r#"{"limit":0,"period_ms":60000}"#, "limit is 0"),
        (r#"{"limit":5}"#, "either period_ms, burst and strict, or reset_at and zone"),
        (r#"{"limit":5,"period_ms":5,"zone":"utc"}"#, "either period_ms"),
        (r#"{"limit":5,"reset_at":"00:00:00","zone":"Mars"}"#, "zone is Mars, allowed is utc, an offset"),
        (r#"{"limit":5,"rate":1}"#, "unknown field `rate`"),
    ] {
        let error = serde_json::from_str::<Limit>(json).unwrap_err().to_string();
        assert!(error.contains(says), "{error} does not say {says}");
    }
}

#[test]
fn threads_share_it_without_a_lock_and_without_an_excess() {
    let meter = Meter::new(Quota::per_second(1000).unwrap(), at(0));
    let calendar = Meter::new(midnight(1000), at(0));
    for meter in [&meter, &calendar] {
        let admitted: usize = std::thread::scope(|scope| {
            let ask = || (0..1000).filter(|_| matches!(meter.admit(at(0)), Admit::Allow { .. })).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 1000);
    }
}
