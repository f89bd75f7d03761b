//! How many runs may be begun now: in all, and of each job.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::bucket;
use crate::base::text;
use crate::base::time::{Moment, nanos};

/// What gathers while nothing is begun, and may then be begun together: this much time's worth, at least one run.
pub(super) const BURST: Duration = Duration::from_millis(50);

/// What is known of a job here.
pub(super) struct Lane {
    pub(super) kinds: Vec<String>,
    pub(super) lease: Duration,
    pub(super) deaths_max: u32,
    /// The most runs of it at the same time.
    pub(super) concurrency: Option<usize>,
    pub(super) meter: Option<Meter>,
    pub(super) running: usize,
}

impl Lane {
    const fn is_limited(&self) -> bool {
        self.concurrency.is_some() || self.meter.is_some()
    }

    /// How many more may be begun, and when that changes by time alone if it is none.
    fn room(&self, now: Moment) -> (usize, Option<Moment>) {
        let slots = self.concurrency.map_or(usize::MAX, |most| most.saturating_sub(self.running));
        match &self.meter {
            Some(meter) if slots > 0 => {
                let left = meter.left(now);
                (slots.min(left), (left == 0).then(|| meter.next(now)))
            }
            _ => (slots, None),
        }
    }
}

/// A rate that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    rate: bucket::Rate,
    full_at: u64,
}

impl Meter {
    /// `None` for a rate that is none, or too slow or too fast to be kept.
    pub(super) fn new(rate: text::Rate) -> Option<Self> {
        let per = nanos(rate.per);
        let interval = per.checked_div(rate.count.into()).filter(|interval| *interval > 0)?;
        let burst = u32::try_from(nanos(BURST) / interval).unwrap_or(u32::MAX).max(1);
        bucket::Rate::new(interval, burst).map(|rate| Self { rate, full_at: 0 })
    }

    fn left(&self, now: Moment) -> usize {
        usize::try_from(self.rate.left(self.full_at, now)).unwrap_or(usize::MAX)
    }

    /// When there is one more, where there is none.
    fn next(&self, now: Moment) -> Moment {
        match self.rate.take(self.full_at, now, self.rate.cost(1), 0) {
            Ok(_) => now,
            Err(wait) => now.after(Duration::from_nanos(wait)),
        }
    }

    fn take(&mut self, now: Moment) {
        if let Ok(slot) = self.rate.take(self.full_at, now, self.rate.cost(1), u64::MAX) {
            self.full_at = slot.full_at;
        }
    }
}

/// All jobs of a worker.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    of_kind: HashMap<String, usize>,
    meter: Option<Meter>,
}

/// What may be claimed in one call: runs of these kinds, at most so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) kinds: Vec<String>,
    pub(super) limit: usize,
    pub(super) lease: Duration,
    pub(super) deaths_max: u32,
}

/// What may be begun now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// What may be claimed, each within its own bounds and all within `limit`.
    pub(super) asks: Vec<Ask>,
    /// The most in all; zero where there is nothing to ask for.
    pub(super) limit: usize,
    /// When more may be begun by time alone, where a rate is in the way.
    pub(super) more_at: Option<Moment>,
}

impl Open {
    /// All kinds that may be claimed.
    pub(super) fn kinds(&self) -> Vec<String> {
        self.asks.iter().flat_map(|ask| ask.kinds.iter().cloned()).collect()
    }
}

impl Lanes {
    pub(super) fn new(lanes: Vec<Lane>, meter: Option<Meter>) -> Self {
        let kinds = lanes.iter().enumerate();
        let of_kind = kinds.flat_map(|(at, lane)| lane.kinds.iter().map(move |kind| (kind.clone(), at)));
        Self { of_kind: of_kind.collect(), lanes, meter }
    }

    /// What may be begun where `free` slots are free.
    pub(super) fn open(&self, free: usize, now: Moment) -> Open {
        let all = self.meter.as_ref().map_or(usize::MAX, |meter| meter.left(now));
        if all == 0 {
            let more_at = self.meter.as_ref().map(|meter| meter.next(now));
            return Open { more_at, ..Open::default() };
        }
        let limit = free.min(all);
        let mut open = Open { limit, ..Open::default() };
        for lane in &self.lanes {
            let (room, more_at) = lane.room(now);
            open.more_at = open.more_at.into_iter().chain(more_at).min();
            if room == 0 {
                continue;
            }
            // Those without bounds of their own are claimed together, so that the best of all comes first.
            let same = |ask: &&mut Ask| {
                ask.limit == usize::MAX && ask.lease == lane.lease && ask.deaths_max == lane.deaths_max
            };
            match open.asks.iter_mut().find(same).filter(|_| !lane.is_limited()) {
                Some(ask) => ask.kinds.extend_from_slice(&lane.kinds),
                None => open.asks.push(Ask {
                    kinds: lane.kinds.clone(),
                    limit: if lane.is_limited() { room.min(limit) } else { usize::MAX },
                    lease: lane.lease,
                    deaths_max: lane.deaths_max,
                }),
            }
        }
        for ask in &mut open.asks {
            ask.limit = ask.limit.min(limit);
        }
        if open.asks.is_empty() {
            open.limit = 0;
        }
        open
    }

    /// The job of a run of this kind.
    pub(super) fn of(&self, kind: &str) -> Option<usize> {
        self.of_kind.get(kind).copied()
    }

    /// A run of this job begins; says how long its lease is.
    pub(super) fn begin(&mut self, lane: usize, now: Moment) -> Duration {
        if let Some(meter) = &mut self.meter {
            meter.take(now);
        }
        let Some(lane) = self.lanes.get_mut(lane) else { return Duration::ZERO };
        lane.running = lane.running.saturating_add(1);
        if let Some(meter) = &mut lane.meter {
            meter.take(now);
        }
        lane.lease
    }

    /// A run of this job has ended here; says whether another one may have waited for that.
    pub(super) fn end(&mut self, lane: usize) -> bool {
        let Some(lane) = self.lanes.get_mut(lane) else { return false };
        lane.running = lane.running.saturating_sub(1);
        lane.concurrency.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn lane(kind: &str, concurrency: Option<usize>, rate: Option<&str>) -> Lane {
        let meter = rate.map(|rate| Meter::new(text::rate(rate).unwrap()).unwrap());
        Lane { kinds: vec![kind.into()], lease: LEASE, deaths_max: 3, concurrency, meter, running: 0 }
    }

    fn at(millis: u64) -> Moment {
        Moment::ZERO.after(Duration::from_millis(millis))
    }

    fn limits(open: &Open) -> Vec<(Vec<&str>, usize)> {
        open.asks.iter().map(|ask| (ask.kinds.iter().map(String::as_str).collect(), ask.limit)).collect()
    }

    #[test]
    fn jobs_without_bounds_are_claimed_together_and_others_each_for_itself() {
        let lanes = vec![lane("a", None, None), lane("b", Some(2), None), lane("c", None, None)];
        let mut lanes = Lanes::new(lanes, None);
        let open = lanes.open(8, at(0));
        assert_eq!(limits(&open), [(vec!["a", "c"], 8), (vec!["b"], 2)]);
        lanes.begin(1, at(0));
        lanes.begin(1, at(0));
        assert_eq!(limits(&lanes.open(6, at(0))), [(vec!["a", "c"], 6)]);
        lanes.end(1);
        assert_eq!(limits(&lanes.open(7, at(0))), [(vec!["a", "c"], 7), (vec!["b"], 1)]);
        assert_eq!((lanes.of("c"), lanes.of("z")), (Some(2), None));
    }

    #[test]
    fn jobs_of_different_leases_are_not_claimed_together() {
        let short = Lane { lease: Duration::from_secs(1), ..lane("b", None, None) };
        let lanes = Lanes::new(vec![lane("a", None, None), short], None);
        let open = lanes.open(4, at(0));
        let leases: Vec<_> = open.asks.iter().map(|ask| ask.lease.as_secs()).collect();
        assert_eq!(leases, [30, 1]);
    }

    #[test]
    fn a_spent_rate_says_when_there_is_more() {
        let mut lanes = Lanes::new(vec![lane("a", None, Some("10/s")), lane("b", None, None)], None);
        lanes.begin(0, at(1000));
        let open = lanes.open(4, at(1000));
        assert_eq!((limits(&open), open.more_at), (vec![(vec!["b"], 4)], Some(at(1100))));
        assert_eq!(limits(&lanes.open(4, at(1100))), [(vec!["a"], 1), (vec!["b"], 4)]);

        let mut lanes = Lanes::new(vec![lane("a", None, None)], Meter::new(text::rate("1/s").unwrap()));
        lanes.begin(0, at(0));
        assert_eq!(lanes.open(4, at(1)), Open { more_at: Some(at(1000)), ..Open::default() });
    }

    #[test]
    fn a_rate_that_is_none_is_refused() {
        let rate = |count, per| Meter::new(text::Rate { count, per });
        assert!(rate(0, Duration::from_secs(1)).is_none());
        assert!(rate(1, Duration::ZERO).is_none());
        assert!(rate(u32::MAX, Duration::from_secs(1)).is_none(), "less than a nanosecond each");
        assert!(rate(1, Duration::MAX).is_none());
        assert!(rate(1_000_000, Duration::from_secs(1)).is_some());
    }

    proptest! {
        #[test]
        fn no_span_begins_more_than_the_rate_and_one_burst(
            count in 1_u32..2000, waits in prop::collection::vec(0_u64..30, 1..200), free in 1_usize..64,
        ) {
            let rate = text::Rate { count, per: Duration::from_secs(1) };
            let mut lanes = Lanes::new(vec![lane("a", None, None)], Meter::new(rate));
            let burst = u64::from(count) / 20 + 1;
            let (mut now, mut begun) = (1000, Vec::new());
            for wait in waits {
                now += wait;
                let open = lanes.open(free, at(now));
                for _ in 0..open.limit {
                    lanes.begin(0, at(now));
                    begun.push(now);
                }
            }
            for (first, from) in begun.iter().enumerate() {
                for (last, to) in begun.iter().enumerate().skip(first) {
                    let most = (to - from) * u64::from(count) / 1000 + burst + 1;
                    prop_assert!((last - first + 1) as u64 <= most);
                }
            }
        }

        #[test]
        fn what_is_open_is_never_more_than_is_free(
            free in 0_usize..100, bounds in prop::collection::vec(any::<Option<u8>>(), 1..6),
        ) {
            let lane = |(at, most): (usize, &Option<u8>)| {
                lane(&format!("j{at}"), most.map(usize::from), None)
            };
            let lanes = Lanes::new(bounds.iter().enumerate().map(lane).collect(), None);
            let open = lanes.open(free, at(0));
            prop_assert!(open.limit <= free && open.asks.iter().all(|ask| ask.limit <= free));
        }
    }
}
