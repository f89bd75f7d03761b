//! The same as the rule says, on simulated time.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

const fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// GCRA as ITU-T I.371 has it: the theoretical arrival time, and how early one may be.
struct Model {
    interval: u64,
    burst: u64,
    arrival: u64,
}

impl Model {
    fn new(limit: u32, period: Duration, burst: u32) -> Self {
        let interval = u64::try_from((period / limit).as_nanos()).unwrap();
        Self { interval, burst: u64::from(burst), arrival: 0 }
    }

    /// How long to wait, or nothing if they are admitted.
    fn admit(&mut self, weight: u32, now: u64) -> Option<u64> {
        let after = self.arrival.max(now) + u64::from(weight) * self.interval;
        let limit = now + self.burst * self.interval;
        if after > limit {
            return Some(after - limit);
        }
        self.arrival = after;
        None
    }
}

fn waited(admit: Admit) -> Option<u64> {
    match admit {
        Admit::Allow => None,
        Admit::Refuse { wait, .. } => Some(u64::try_from(wait.as_nanos()).unwrap()),
    }
}

proptest! {
    #[test]
    fn it_admits_the_same_as_gcra_says(
        limit in 1_u32..50, period in 1_u64..5_000, burst in 1_u32..30,
        steps in prop::collection::vec((0_u64..400, 1_u32..4), 1..120),
    ) {
        let period = Duration::from_millis(period);
        let rate = Rate::new(limit, period, burst).unwrap();
        let keyed = KeyedRate::new(limit, period, burst).unwrap();
        let mut models = [(); 3].map(|()| Model::new(limit, period, burst));
        let mut now = 0;
        for (step, (millis, weight)) in steps.into_iter().enumerate() {
            now += millis;
            let weight = weight.min(burst);
            let nanos = now * 1_000_000;
            prop_assert_eq!(waited(rate.admit_n(weight, at(now))), models[0].admit(weight, nanos));
            let key = 1 + step % 2;
            prop_assert_eq!(waited(keyed.admit(&key.to_string(), at(now))), models[key].admit(1, nanos));
        }
    }

    #[test]
    fn no_knobs_and_no_moments_panic(
        limit in any::<u32>(), period in any::<u64>(), burst in any::<u32>(), weight in any::<u32>(),
        moments in prop::collection::vec(any::<u64>(), 0..8),
    ) {
        if let Ok(rate) = Rate::new(limit, Duration::from_nanos(period), burst) {
            for moment in moments {
                let now = Moment::from_nanos(moment);
                let _either = (rate.admit(now), rate.admit_n(weight, now));
            }
        }
    }
}

#[test]
fn a_wait_that_is_waited_for_is_enough() {
    let rate = Rate::new(3, SECOND, 2).unwrap();
    let mut now = at(0);
    let mut admitted = 0;
    while admitted < 100 {
        match rate.admit(now) {
            Admit::Allow => admitted += 1,
            Admit::Refuse { wait, why } => {
                assert_eq!(why.code(), "limit.spent");
                now = now.after(wait);
                assert_eq!(rate.admit(now), Admit::Allow);
                admitted += 1;
            }
        }
    }
    assert_eq!(now.since(at(0)), Duration::from_nanos(98 * 333_333_333));
}

#[test]
fn clones_count_together_and_a_moment_from_before_counts_as_the_last() {
    let rate = Rate::per_second(1).unwrap();
    let other = rate.clone();
    assert_eq!(rate.admit(at(5_000)), Admit::Allow);
    assert_eq!(waited(other.admit(at(1_000))), Some(1_000_000_000), "not five seconds");
}

#[test]
fn more_at_once_than_ever_allowed_is_refused_for_good() {
    let rate = Rate::new(10, SECOND, 3).unwrap();
    let Admit::Refuse { why, .. } = rate.admit_n(u32::MAX, at(0)) else { panic!("allowed") };
    assert_eq!(why, Refusing::TooMany { asked: u32::MAX, burst: 3 });
    assert_eq!(rate.admit_n(3, at(0)), Admit::Allow, "the refusal cost nothing");
    assert_eq!(rate.admit_n(0, at(0)), Admit::Allow);
}

#[test]
fn the_number_of_keys_is_bounded_and_rested_ones_make_room() {
    let rate = KeyedRate::new(1, SECOND, 2).unwrap().keys_max(3);
    for key in ["a", "b", "c"] {
        assert_eq!(rate.admit(key, at(0)), Admit::Allow);
    }
    let Admit::Refuse { wait, why } = rate.admit("d", at(400)) else { panic!("a fourth key") };
    assert_eq!((wait, why), (Duration::from_millis(600), Refusing::KeysFull { keys_max: 3 }));
    assert_eq!(rate.admit("a", at(400)), Admit::Allow, "those that are kept go on");
    assert_eq!(rate.admit("d", at(1_000)), Admit::Allow, "b and c have had their rest");
    assert_eq!(rate.keys(), 2);
    for number in 0..10_000 {
        let _either = rate.admit(&number.to_string(), at(1_000));
        assert!(rate.keys() <= 3);
    }
    // One that was forgotten had its full burst again anyway.
    assert_eq!((rate.admit("b", at(9_000)), rate.admit("b", at(9_000))), (Admit::Allow, Admit::Allow));
    assert!(rate.admit("b", at(9_000)) != Admit::Allow);
}

#[test]
fn many_threads_together_get_no_more_than_the_rate() {
    let rate = KeyedRate::per_minute(100).unwrap().keys_max(1);
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1_000).filter(|_| rate.admit("k", at(7)) == Admit::Allow).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 100);
}

#[test]
fn a_limit_that_cannot_be_meant_says_which_knob() {
    let field = |limit, period, burst| Rate::new(limit, period, burst).unwrap_err().field;
    assert_eq!(field(0, SECOND, 1), "limit");
    assert_eq!(field(1, SECOND, 0), "burst");
    assert_eq!(field(1, Duration::ZERO, 1), "period");
    assert_eq!(field(1, Duration::MAX, 1), "period");
    assert_eq!(field(u32::MAX, SECOND, 1), "limit");
    assert_eq!(field(1, PERIOD_MAX, 2), "burst");
    let text = Rate::new(1, SECOND, 0).unwrap_err().to_string();
    assert_eq!(text, "rate limit: burst is 0, allowed is at least 1");
}
