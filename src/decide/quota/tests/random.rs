//! The bound over random limits and stories, by brute force over every span.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

/// What was admitted: when, and how many.
type Story = Vec<(Moment, u64)>;

/// The most that lies within any closed span of that length.
fn most(story: &Story, span: Duration) -> u64 {
    let within = |from: Moment| move |(to, _): &&(Moment, u64)| *to >= from && to.since(from) <= span;
    let sums = story.iter().map(|(from, _)| story.iter().filter(within(*from)).map(|(_, n)| n).sum());
    sums.max().unwrap_or(0)
}

/// Times that often fall on whole intervals, where an excess of one would show.
fn told(meter: &Meter, steps: &[(u64, u32, bool)], wait_max: Duration) -> Story {
    let (mut now, mut story) = (at(0), Story::new());
    for (by, n, regret) in steps {
        now = now.after(Duration::from_nanos(*by));
        let (taken, delay) = match meter.reserve(*n, now, wait_max) {
            Reserve::Ready(taken) => (taken, Duration::ZERO),
            Reserve::Wait { taken, delay, .. } => (taken, delay),
            Reserve::Refuse { .. } => continue,
        };
        if *regret && meter.give_back(taken) {
            continue;
        }
        story.push((now.moment.after(delay), u64::from(*n)));
    }
    story
}

proptest! {
    #[test]
    fn no_span_sees_more_than_the_bound(
        limit in 1u32..30, burst in 1u32..12, period_ms in 1u64..4, wait in 0u64..3_000_000,
        steps in prop::collection::vec((0u64..400_000, 1u32..4, any::<bool>()), 1..150),
    ) {
        let period = Duration::from_millis(period_ms);
        let quota = Quota::new(limit, period).unwrap().burst(burst).unwrap();
        let story = told(&Meter::new(quota, at(0)), &steps, Duration::from_nanos(wait));
        for (_, span) in [(0, Duration::ZERO), (1, quota.interval()), (2, period), (3, period * 3)] {
            prop_assert!(most(&story, span) <= quota.most_within(span));
            let exact = u128::from(burst) + span.as_nanos() * u128::from(limit) / period.as_nanos();
            prop_assert!(u128::from(quota.most_within(span)) <= exact);
        }
    }

    #[test]
    fn of_a_strict_quota_no_span_of_one_period_sees_more_than_the_limit(
        limit in 1u32..40, smaller in 0u32..40, period_ms in 1u64..4,
        steps in prop::collection::vec((0u64..400_000, 1u32..4, any::<bool>()), 1..200),
    ) {
        let period = Duration::from_millis(period_ms);
        let quota = Quota::new(limit, period).unwrap().strict().unwrap();
        let quota = if smaller == 0 { quota } else { quota.burst(smaller.min(limit)).unwrap() };
        prop_assert!(quota.most_within(period) <= u64::from(limit));
        let story = told(&Meter::new(quota, at(0)), &steps, period);
        prop_assert!(most(&story, period) <= u64::from(limit));
    }

    #[test]
    fn a_strict_quota_gives_its_limit_after_an_idle_time(limit in 1u32..2000, seconds in 1u64..4000) {
        let quota = Quota::new(limit, secs(seconds)).unwrap().strict().unwrap();
        prop_assert_eq!(quota.most_within(secs(seconds)), u64::from(limit));
        let meter = Meter::new(quota, at(0));
        let mut admitted = 0;
        let step = quota.interval();
        let mut now = at(0);
        while now.moment.since(at(0).moment) <= secs(seconds) {
            while matches!(meter.admit(now), Admit::Allow { .. }) {
                admitted += 1;
            }
            now = now.after(step);
        }
        prop_assert_eq!(admitted, limit);
    }

    #[test]
    fn a_clock_that_steps_gives_at_most_one_burst_for_each_step_forward_and_nothing_for_one_back(
        limit in 1u32..30, burst in 1u32..12,
        steps in prop::collection::vec((0u64..90, 1u32..4, 0u8..8, -500i64..500), 1..120),
    ) {
        let quota = Quota::per_minute(limit).unwrap().burst(burst).unwrap();
        let (mut now, mut meter, mut admitted, mut forward) = (at(0), Meter::new(quota, at(0)), 0, 0);
        for (by, n, kind, step) in steps {
            now = now.after(secs(by));
            if kind == 0 {
                // A restart, with a wall clock that may have been set meanwhile and a monotonic one that begins anew.
                let saved = meter.snapshot("x", now);
                let json = serde_json::to_string(&saved).unwrap();
                let saved: Snapshot = serde_json::from_str(&json).unwrap();
                now = back(now, -step);
                let (restored, noticed) = Meter::restore(quota, &saved, now).unwrap();
                let expected = (step < 0)
                    .then(|| Restoring::ClockSteppedBack { by: secs(step.unsigned_abs()) });
                prop_assert_eq!(noticed.reasons, expected.into_iter().collect::<Vec<_>>());
                forward += u64::from(step > 0);
                meter = restored;
            }
            if matches!(meter.admit_n(n, now), Admit::Allow { .. }) {
                admitted += u64::from(n);
            }
            let gone = now.moment.since(at(0).moment);
            prop_assert!(admitted <= quota.most_within(gone) + forward * u64::from(burst));
        }
    }

    #[test]
    fn a_calendar_admits_its_limit_between_resets_and_carries_what_was_used_back(
        limit in 1u32..10, steps in prop::collection::vec((0i64..40_000, 1u32..4, 0u8..9), 1..200),
    ) {
        let calendar = midnight(limit);
        let (mut now, mut meter) = (at(0), Meter::new(calendar, at(0)));
        let mut used = std::collections::BTreeMap::<Timestamp, u32>::new();
        for (by, n, kind) in steps {
            now = back(now, if kind == 0 { by } else { -by });
            if kind == 0 && by > 0 {
                // Until the clock has caught up, periods are seen twice.
                used.clear();
            }
            if kind == 1 {
                meter = Meter::restore(calendar, &meter.snapshot("x", now), now).unwrap().0;
            }
            let before = meter.snapshot("x", now).used().unwrap();
            match meter.admit_n(n, now) {
                Admit::Allow { why: Allowing::Calendar { used, .. } | Allowing::Carried { used, .. } } => {
                    prop_assert_eq!(used, before + n);
                }
                Admit::Allow { why } => prop_assert!(false, "{why}"),
                Admit::Refuse { wait, retry_at, .. } => {
                    prop_assert!(before + n > limit || n > limit);
                    prop_assert!(n > limit || retry_at == now.wall + TimeDelta::from_std(wait).unwrap());
                    continue;
                }
            }
            let sum = used.entry(calendar.next_reset(now.wall)).or_default();
            *sum += n;
            prop_assert!(*sum <= limit);
        }
    }
}
