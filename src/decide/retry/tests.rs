//! One test for each rule, named after it; then properties over random policies.

use std::time::Duration;

use proptest::prelude::{Just, Strategy as _, prop, prop_assert, prop_oneof, proptest};

use super::*;
use crate::base::backoff::{Backoff, Jitter};
use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::fault::{Class, Fault, Reached, Severity};
use crate::base::time::{Moment, Now, Timestamp, between};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    Now { moment: Moment::from_nanos(86_400_000_000_000), wall: Timestamp::UNIX_EPOCH }.after(secs(seconds))
}

/// Exact delays, no limits but the attempts.
fn plain() -> Policy {
    Policy::cron()
        .transient(|strategy| strategy.jitter(Jitter::None).delay_min(Duration::ZERO))
        .rate_limited(|strategy| strategy.jitter(Jitter::None).delay_min(Duration::ZERO))
        .elapsed_max(None)
        .inline_wait_max(secs(1_000_000))
}

fn waited(next: Next) -> Duration {
    match next {
        Next::Wait { delay, .. } => delay,
        other => panic!("expected a wait, got {other:?}"),
    }
}

fn stopped(next: Next) -> (&'static str, Disposition) {
    match next {
        Next::Stop { why, disposition } => (why.code(), disposition),
        other => panic!("expected a stop, got {other:?}"),
    }
}

#[test]
fn presets_are_as_their_table_says() {
    for (policy, transient, limited, base, elapsed) in
        [(Policy::cron(), 5, 6, 2000, 600), (Policy::service(), 4, 4, 200, 30)]
    {
        policy.check().unwrap();
        assert_eq!(policy.of(Class::Transient).attempts_max, transient);
        assert_eq!(policy.of(Class::RateLimited).attempts_max, limited);
        assert_eq!(policy.of(Class::Transient).backoff.ceiling(0), Duration::from_millis(base));
        assert_eq!(policy.elapsed_max, Some(secs(elapsed)));
    }
    assert_eq!(Policy::default(), Policy::cron());
    assert_eq!(Policy::cron().of(Class::Transient).backoff.ceiling(20), secs(120));
    assert_eq!(Policy::service().of(Class::RateLimited).backoff.ceiling(20), secs(60));
}

#[test]
fn attempts_count_the_first_try() {
    let policy = plain().transient(|strategy| strategy.attempts_max(3));
    let mut run = policy.start(at(0), 1);
    let fault = Fault::transient("http.503");
    assert!(matches!(run.failed(at(0), &fault), Next::Wait { attempt: 2, .. }));
    assert!(matches!(run.failed(at(0), &fault), Next::Wait { attempt: 3, .. }));
    assert_eq!(stopped(run.failed(at(0), &fault)), ("retry.attempts_spent", Disposition::GiveUp));
    assert_eq!(run.attempts(), 3);
}

#[test]
fn each_class_has_its_own_count_and_all_together_a_bound() {
    let policy = plain();
    let mut run = policy.start(at(0), 1);
    let faults = [Fault::transient("a"), Fault::rate_limited(None)];
    for n in 0..5 {
        let _wait = waited(run.failed(at(0), &faults[n % 2]));
    }
    // Neither class has spent its own attempts (3 of 5, 3 of 6), but 6 in all is the largest that any may have.
    assert_eq!(stopped(run.failed(at(0), &faults[1])).0, "retry.attempts_spent_in_all");
}

#[test]
fn unknown_is_tried_once_more_soon_and_then_is_a_dead_letter() {
    let policy = Policy::cron();
    let mut run = policy.start(at(0), 1);
    let delay = waited(run.failed(at(0), &Fault::unknown()));
    assert!((2500..=7500).contains(&delay.as_millis()), "{delay:?}");
    assert_eq!(
        stopped(run.failed(at(8), &Fault::unknown())),
        ("retry.attempts_spent", Disposition::DeadLetter)
    );
}

#[test]
fn permanent_is_a_dead_letter_at_once() {
    let policy = Policy::cron();
    let next = policy.start(at(0), 1).failed(at(0), &Fault::permanent("http.404"));
    assert_eq!(stopped(next), ("retry.permanent", Disposition::DeadLetter));
}

#[test]
fn fatal_beats_the_class_and_alerts() {
    let policy = Policy::cron();
    let fault = Fault::transient("disk.full").severity(Severity::Fatal);
    assert_eq!(stopped(policy.start(at(0), 1).failed(at(0), &fault)), ("retry.fatal", Disposition::Alert));
}

#[test]
fn degraded_changes_only_what_happens_at_the_end() {
    let policy = plain();
    let fault = |class| Fault::new(class, "x").severity(Severity::Degraded);
    let mut run = policy.start(at(0), 1);
    let mut usual = policy.start(at(0), 1);
    assert_eq!(
        run.failed(at(0), &fault(Class::Transient)),
        usual.failed(at(0), &Fault::new(Class::Transient, "x"))
    );
    assert_eq!(stopped(run.failed(at(0), &fault(Class::Permanent))).1, Disposition::GiveUp);
}

#[test]
fn unauthorized_is_refreshed_once_and_then_permanent() {
    let policy = Policy::cron();
    let mut run = policy.start(at(0), 1);
    let fault = Fault::new(Class::Unauthorized, "http.401");
    let next = run.failed(at(1), &fault);
    assert_eq!(next, Next::Wait { delay: Duration::ZERO, attempt: 2, why: Waiting::Refresh });
    assert!(run.begin(at(1)).unwrap().refresh());
    assert!(!run.begin(at(1)).unwrap().refresh(), "the refresh is asked for once");
    assert_eq!(stopped(run.failed(at(2), &fault)), ("retry.unauthorized_again", Disposition::DeadLetter));
}

#[test]
fn unsafe_is_not_retried_once_it_may_have_arrived() {
    let policy = plain().effect(Effect::Unsafe);
    let fault = |reached| Fault::transient("io.timed_out").reached(reached);
    let mut run = policy.start(at(0), 1);
    let _wait = waited(run.failed(at(0), &fault(Reached::No)));
    for reached in [Reached::Maybe, Reached::Yes] {
        let next = policy.start(at(0), 1).failed(at(0), &fault(reached));
        assert_eq!(stopped(next), ("retry.may_have_arrived", Disposition::DeadLetter));
    }
}

#[test]
fn the_cap_is_a_bound_with_jitter_too() {
    let policy =
        Policy::cron().transient(|s| s.attempts_max(1000)).elapsed_max(None).inline_wait_max(secs(999));
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::None] {
        let policy = policy.transient(|strategy| strategy.jitter(jitter));
        let mut run = policy.start(at(0), 9);
        for _ in 0..999 {
            let delay = waited(run.failed(at(0), &Fault::transient("x")));
            assert!(delay <= secs(120) && delay >= Duration::from_millis(500), "{jitter:?} {delay:?}");
        }
    }
}

#[test]
fn the_time_limit_counts_attempts_as_well_as_waits() {
    // Attempts of 9 s, waits of at most 1 s, 30 s in all: the third failure comes at 29 s.
    let policy = plain()
        .elapsed_max(secs(30))
        .transient(|s| s.delay_base(secs(1)).delay_max(secs(1)).attempts_max(100));
    let mut run = policy.start(at(0), 1);
    let fault = Fault::transient("io.timed_out");
    assert_eq!(waited(run.failed(at(9), &fault)), secs(1));
    assert_eq!(waited(run.failed(at(19), &fault)), secs(1));
    assert_eq!(waited(run.failed(at(29), &fault)), secs(1));
    assert_eq!(stopped(run.failed(at(39), &fault)), ("retry.out_of_time", Disposition::GiveUp));
}

#[test]
fn the_limit_is_checked_before_the_wait_and_leaves_room_for_an_attempt() {
    let policy = plain().elapsed_max(secs(10)).transient(|s| s.delay_base(secs(4)));
    let fault = Fault::transient("x");
    assert_eq!(waited(policy.start(at(0), 1).failed(at(6), &fault)), secs(4));
    let policy = policy.attempt_min(secs(1));
    let mut run = policy.start(at(0), 1);
    let expected =
        Stopping::OutOfTime { elapsed: secs(6), delay: secs(4), attempt_min: secs(1), limit: secs(10) };
    assert!(matches!(run.failed(at(6), &fault), Next::Stop { why, .. } if why == expected));
}

#[test]
fn no_attempt_starts_past_the_next_scheduled_run() {
    let policy = plain().before_next_run(at(10).wall);
    let mut run = policy.start(at(0), 1);
    assert_eq!(waited(run.failed(at(8), &Fault::transient("x"))), secs(2));
    assert_eq!(stopped(run.failed(at(8), &Fault::transient("x"))).0, "retry.past_deadline");
    // What the server says does not push it past the deadline either: the work is put off until then, for the next run
    // would only be told the same; past a deadline that a person gave there is nothing to be put off to.
    let limited = Fault::rate_limited(Some(secs(60)));
    let next = policy.start(at(0), 1).failed(at(8), &limited);
    assert!(
        matches!(next, Next::Defer { until, why } if until == at(68).wall && why.code() == "retry.server_past_next_run"),
        "{next:?}"
    );
    let given = plain().deadline(at(10).wall).start(at(0), 1).failed(at(8), &limited);
    assert_eq!(stopped(given).0, "retry.past_deadline");
    // A wait that took longer than it was meant to starts no attempt.
    assert_eq!(run.begin(at(11)).unwrap_err().code(), "retry.past_deadline");
}

#[test]
fn the_attempt_knows_what_is_left() {
    let policy = plain().elapsed_max(secs(30)).deadline(at(20).wall);
    assert_eq!(Attempt::first(&policy, Some(at(0).moment), Some(at(0).wall)).remaining(), secs(20));
    let mut run = policy.start(at(0), 1);
    let delay = waited(run.failed(at(5), &Fault::transient("x")));
    let attempt = run.begin(at(5).after(delay)).unwrap();
    assert_eq!((attempt.number(), attempt.remaining()), (2, secs(13)));
    assert_eq!(attempt.deadline(), Some(at(20).moment));
    let unlimited = Attempt::first(&plain(), None, None);
    assert_eq!((unlimited.remaining(), unlimited.deadline()), (secs(365 * 86_400), None));
}

#[test]
fn the_servers_word_is_never_shortened_and_jitters_upwards_only() {
    let policy = Policy::cron().inline_wait_max(secs(1000));
    for seed in 0..200 {
        let delay = waited(policy.start(at(0), seed).failed(at(0), &Fault::rate_limited(Some(secs(30)))));
        assert!(delay >= secs(30) && delay <= secs(33), "{delay:?}");
    }
    // Less than our own backoff changes nothing.
    let policy = plain().rate_limited(|s| s.delay_base(secs(5)));
    let next = policy.start(at(0), 1).failed(at(0), &Fault::rate_limited(Some(secs(1))));
    assert_eq!(waited(next), secs(5));
}

#[test]
fn the_servers_word_does_not_escape_the_attempts() {
    let policy = plain().rate_limited(|strategy| strategy.attempts_max(2));
    let mut run = policy.start(at(0), 1);
    let fault = Fault::rate_limited(Some(secs(1)));
    let _wait = waited(run.failed(at(0), &fault));
    assert_eq!(stopped(run.failed(at(1), &fault)).0, "retry.attempts_spent");
}

#[test]
fn a_servers_word_beyond_the_limits_is_deferred_in_full() {
    let cases = [
        (plain(), 901, "retry.server_too_long"),
        (plain().elapsed_max(secs(600)), 700, "retry.server_out_of_time"),
        (plain().inline_wait_max(secs(60)), 61, "retry.too_long_to_hold"),
    ];
    for (policy, asked, code) in cases {
        match policy.start(at(0), 1).failed(at(0), &Fault::rate_limited(Some(secs(asked)))) {
            Next::Defer { until, why } => {
                assert_eq!(why.code(), code);
                assert_eq!(between(at(0).wall, until), secs(asked));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_long_backoff_of_our_own_is_deferred_too() {
    let policy = plain().inline_wait_max(secs(3));
    let mut run = policy.start(at(0), 1);
    assert_eq!(waited(run.failed(at(0), &Fault::transient("x"))), secs(2));
    let next = run.failed(at(2), &Fault::transient("x"));
    assert!(matches!(next, Next::Defer { until, .. } if until == at(6).wall), "{next:?}");
}

#[test]
fn a_run_is_put_down_and_picked_up() {
    let policy = plain().elapsed_max(secs(30)).transient(|strategy| strategy.attempts_max(4));
    let fault = Fault::transient("x");
    let mut run = policy.start(at(0), 1);
    let _wait = waited(run.failed(at(1), &fault));
    let _wait = waited(run.failed(at(5), &fault));
    let json = serde_json::to_string(&run.save(at(5))).unwrap();
    // A day in the store costs neither attempts nor time.
    let saved: Saved = serde_json::from_str(&json).unwrap();
    let mut run = policy.resume(&saved, at(86_405), 2).unwrap();
    assert_eq!(run.attempts(), 2);
    assert_eq!(run.begin(at(86_405)).unwrap().remaining(), secs(25));
    assert_eq!(waited(run.failed(at(86_406), &fault)), secs(8));
    assert_eq!(stopped(run.failed(at(86_407), &fault)).0, "retry.attempts_spent");
}

#[test]
fn a_run_saved_by_a_newer_program_is_an_error() {
    let json = r#"{"v":2,"attempts":0,"failures":[0,0,0,0,0],"previous_ms":[0,0,0,0,0],"held_ms":0,"refresh":false}"#;
    let saved: Saved = serde_json::from_str(json).unwrap();
    let error = Policy::cron().resume(&saved, at(0), 0).unwrap_err();
    assert_eq!(error, Error::Version { found: 2, known: 1 });
}

#[test]
fn the_first_format_of_a_saved_run_still_opens() {
    let golden = include_str!("../../../tests/golden/retry_run_v1.json");
    let saved: Saved = serde_json::from_str(golden).unwrap();
    assert_eq!(Policy::cron().resume(&saved, at(0), 0).unwrap().attempts(), 3);
    assert_eq!(serde_json::to_string(&saved).unwrap(), golden.trim());
}

#[test]
fn a_policy_that_cannot_be_meant_names_the_field() {
    let cases = [
        (
            Policy::cron().transient(|s| s.attempts_max(0)),
            "transient.attempts_max is 0, allowed is 1 to 1000",
        ),
        (Policy::cron().unknown(|s| s.factor(0)), "unknown.factor is 0"),
        (
            Policy::cron().rate_limited(|s| s.delay_min(secs(601))),
            "rate_limited.delay_min is 601s, allowed is at most",
        ),
        (Policy::cron().transient(|s| s.delay_max(secs(1))), "transient.delay_base is 2s"),
        (
            Policy::cron().strategy(Class::Permanent, Strategy::once().attempts_max(2)),
            "permanent.attempts_max is 2",
        ),
        (Policy::cron().attempt_min(secs(601)), "attempt_min is 601s"),
    ];
    for (policy, says) in cases {
        let error = policy.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error} does not say {says}");
    }
}

#[test]
fn a_policy_reads_and_writes_as_json() {
    let policy: Policy =
        serde_json::from_str(r#"{"transient":{"attempts_max":2},"elapsed_max_ms":null}"#).unwrap();
    assert_eq!(policy, Policy::cron().transient(|strategy| strategy.attempts_max(2)).elapsed_max(None));
    for policy in [
        Policy::cron(),
        Policy::service(),
        policy.before_next_run(at(5).wall),
        Policy::service().deadline(at(1).wall),
    ] {
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy, "{json}");
    }
    let error = serde_json::from_str::<Policy>(r#"{"transient":{"factor":0}}"#).unwrap_err();
    assert!(error.to_string().contains("transient.factor"), "{error}");
    assert!(serde_json::from_str::<Policy>(r#"{"retries":3}"#).is_err());
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let policy = Policy::cron();
    let story = |seed| {
        let mut run = policy.start(at(0), seed);
        [0; 4].map(|_| waited(run.failed(at(0), &Fault::transient("x"))))
    };
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}

fn any_policy() -> impl proptest::strategy::Strategy<Value = Policy> {
    let jitter =
        prop_oneof![Just(Jitter::None), Just(Jitter::Full), Just(Jitter::Equal), Just(Jitter::Decorrelated)];
    let strategy = (1u32..20, 0u64..10_000, 1u32..10, 0u64..100_000, 0u64..1000, jitter).prop_map(
        |(attempts, base, factor, max, min, jitter)| {
            let backoff = Backoff::new(Duration::from_millis(base), Duration::from_millis(max))
                .factor(factor)
                .delay_min(Duration::from_millis(min))
                .jitter(jitter);
            Strategy::new(attempts, backoff)
        },
    );
    let limits = (prop::option::of(0u64..500), prop::option::of(0u64..500), 0u64..300, 0u64..300, 0u64..20);
    (strategy.clone(), strategy.clone(), strategy, limits).prop_map(
        |(a, b, c, (elapsed, deadline, after, inline, min))| {
            let policy = Policy::cron()
                .strategy(Class::Transient, a)
                .strategy(Class::RateLimited, b)
                .strategy(Class::Unknown, c)
                .elapsed_max(elapsed.map(secs))
                .retry_after_max(secs(after))
                .inline_wait_max(secs(inline))
                .attempt_min(secs(min));
            deadline.map_or(policy, |deadline| policy.deadline(at(deadline).wall))
        },
    )
}

fn any_fault() -> impl proptest::strategy::Strategy<Value = Fault> {
    let class = prop::sample::select(&[
        Class::Transient,
        Class::Transient,
        Class::RateLimited,
        Class::Unauthorized,
        Class::Unknown,
    ]);
    (class, prop::option::of(0u64..400)).prop_map(|(class, asked)| {
        let fault = Fault::new(class, "x");
        match asked {
            Some(asked) => fault.retry_after(secs(asked)),
            None => fault,
        }
    })
}

proptest! {
    #[test]
    fn no_policy_and_no_faults_break_the_bounds(
        policy in any_policy(), faults in prop::collection::vec((any_fault(), 0u64..30), 1..64), seed in 0u64..,
    ) {
        let mut run = policy.start(at(0), seed);
        let mut now = at(0);
        let attempts_limit = policy.attempts_max_in_all();
        for (fault, took) in &faults {
            now = now.after(secs(*took));
            let asked = fault.retry_after.filter(|_| fault.class != Class::Unauthorized);
            match run.failed(now, fault) {
                Next::Wait { delay, attempt, .. } => {
                    prop_assert!(attempt <= attempts_limit);
                    prop_assert!(delay <= policy.inline_wait_max);
                    prop_assert!(delay >= asked.unwrap_or_default());
                    let cap = policy.of(fault.class).backoff.parts().3;
                    prop_assert!(delay <= cap || asked.is_some_and(|asked| delay >= asked));
                    now = now.after(delay);
                    if let Some(limit) = policy.elapsed_max {
                        prop_assert!(now.moment.since(at(0).moment) + policy.attempt_min <= limit);
                    }
                    if let Some(deadline) = policy.deadline {
                        prop_assert!(now.wall <= deadline.at());
                    }
                    prop_assert!(run.begin(now).is_ok());
                }
                Next::Defer { until, .. } => {
                    prop_assert!(between(now.wall, until) >= asked.unwrap_or_default());
                    if let Some(deadline) = policy.deadline {
                        prop_assert!(until <= deadline.at());
                    }
                    break;
                }
                Next::Stop { .. } => break,
            }
            prop_assert!(run.attempts() < attempts_limit);
        }
    }
}
