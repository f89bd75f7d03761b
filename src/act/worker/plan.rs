//! When a worker looks for work, and for what.

use std::time::Duration;

use crate::base::backoff::{Backoff, Jitter};
use crate::base::rng::Rng;
use crate::base::time::Moment;
use crate::remember::store::Order;

/// How long a worker that has begun to end runs waits for more of them, so that one claim takes many.
const COMPANY: Duration = Duration::from_millis(2);
/// Each so many claims take the oldest first, so that a low rank is not passed over for ever.
const OLDEST_EACH: u64 = 16;
/// How often it is seen whether the queue has work whose value falls.
const RANK_EACH: Duration = Duration::from_secs(1);
/// The waits between looks at a store that fails.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(15))
    .delay_min(Duration::from_millis(50))
    .jitter(Jitter::Equal);

/// How often a worker looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) poll: Duration,
    pub(super) orphans_every: Duration,
    pub(super) sweep_every: Duration,
}

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Runs that are due.
    Due(Order),
    /// Runs whose worker is gone.
    Orphans,
    /// Runs whose wait is over.
    Sweep,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look now.
    Look(Look),
    /// Nothing before then, unless a run ends.
    Until(Moment),
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    /// So many may be begun, by every bound.
    pub(super) open: usize,
    /// When more may be begun by time alone.
    pub(super) more_at: Option<Moment>,
    pub(super) running: usize,
    pub(super) slots: usize,
    /// A slot is free, and nothing is there for it.
    pub(super) idle: bool,
    /// How long it is worth waiting for more of them.
    pub(super) pause: Duration,
}

/// The state.
pub(super) struct Plan {
    pace: Pace,
    rng: Rng,
    /// Not before then, unless there is reason to think that there is work.
    due_at: Moment,
    orphans_at: Moment,
    sweep_at: Moment,
    /// From when on what is due is ranked anew before it is claimed.
    rank_at: Moment,
    /// There is reason to think so.
    hungry: bool,
    /// When the first run ended since the last look for due ones.
    ended_at: Option<Moment>,
    claims: u64,
    failures: u32,
    /// The store failed: not before then.
    again_at: Moment,
}

impl Plan {
    pub(super) const fn new(pace: Pace, now: Moment, seed: u64) -> Self {
        Self {
            pace,
            rng: Rng::seeded(seed),
            due_at: now,
            orphans_at: now,
            sweep_at: now,
            rank_at: now,
            hungry: true,
            ended_at: None,
            claims: 0,
            failures: 0,
            again_at: now,
        }
    }

    /// What to do now.
    pub(super) fn next(&mut self, load: Load, now: Moment) -> Next {
        if now < self.again_at {
            return Next::Until(self.again_at);
        }
        if now >= self.sweep_at {
            return Next::Look(Look::Sweep);
        }
        if load.open == 0 {
            return Next::Until(load.more_at.map_or(self.sweep_at, |at| at.min(self.sweep_at)));
        }
        if now >= self.orphans_at {
            return Next::Look(Look::Orphans);
        }
        let due_at = if self.hungry { self.gathered_at(load, now) } else { Some(self.due_at) };
        if due_at.is_some_and(|at| now >= at) {
            self.claims = self.claims.wrapping_add(1);
            let order = if self.claims.is_multiple_of(OLDEST_EACH) { Order::Oldest } else { Order::Rank };
            return Next::Look(Look::Due(order));
        }
        let other = self.orphans_at.min(self.sweep_at);
        Next::Until(due_at.map_or(other, |at| at.min(other)))
    }

    /// A claim for half of the slots is worth making; for fewer there is a moment's wait, while others run. `None` where
    /// only the end of a run makes one worth while.
    fn gathered_at(&self, load: Load, now: Moment) -> Option<Moment> {
        let enough = load.open.saturating_mul(2) >= load.slots || load.running == 0;
        match self.ended_at {
            Some(ended_at) if !enough => Some(ended_at.after(load.pause.max(COMPANY))),
            None if !enough && !load.idle => None,
            _ => Some(now),
        }
    }

    /// A run has ended; `promising` where another one may have waited for that.
    pub(super) fn ended(&mut self, promising: bool, now: Moment) {
        self.ended_at.get_or_insert(now);
        self.hungry |= promising;
    }

    /// A look has found so many.
    ///
    /// Where a rate kept some jobs out of it, there is more to be looked for at `more_at`.
    pub(super) fn found(&mut self, look: Look, count: usize, more_at: Option<Moment>, now: Moment) {
        self.failures = 0;
        let pace = self.pace;
        match look {
            Look::Due(_) => {
                self.hungry = count > 0;
                self.ended_at = None;
                let due_at = now.after(self.about(pace.poll));
                self.due_at = more_at.map_or(due_at, |at| at.min(due_at));
            }
            Look::Orphans => {
                // There may be more than had room.
                let wait = if count > 0 { Duration::ZERO } else { self.about(pace.orphans_every) };
                self.orphans_at = now.after(wait);
            }
            Look::Sweep => {
                self.hungry |= count > 0;
                self.sweep_at = now.after(self.about(pace.sweep_every));
            }
        }
    }

    /// Whether the head of the queue is to be ranked anew before it is claimed: each time while there is something whose
    /// rank falls, and once in a while to see whether there is.
    pub(super) fn ranks(&self, now: Moment) -> bool {
        now >= self.rank_at
    }

    /// A look has ended that saw something whose rank falls, or nothing.
    pub(super) fn ranked(&mut self, look: Look, aging: bool, now: Moment) {
        if aging {
            self.rank_at = now;
        } else if look == Look::Due(Order::Rank) && self.ranks(now) {
            self.rank_at = now.after(RANK_EACH);
        }
    }

    /// A look has failed; says how long there is none.
    pub(super) fn failed(&mut self, now: Moment) -> Duration {
        let wait = AGAIN.delay(self.failures, Duration::ZERO, &mut self.rng);
        self.failures = self.failures.saturating_add(1);
        self.again_at = now.after(wait);
        // Whatever was due before the store went is due when it is back.
        self.hungry = true;
        wait
    }

    /// How often in a row it has failed.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// About so long: from three quarters to five, so that workers that were started together do not look together.
    fn about(&mut self, wait: Duration) -> Duration {
        let quarter = u64::try_from(wait.as_nanos() / 4).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(self.rng.up_to(quarter.saturating_mul(2)));
        wait.saturating_sub(Duration::from_nanos(quarter)).saturating_add(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        poll: Duration::from_secs(1),
        orphans_every: Duration::from_secs(10),
        sweep_every: Duration::from_secs(10),
    };

    fn at(millis: u64) -> Moment {
        Moment::ZERO.after(Duration::from_millis(millis))
    }

    const fn load(open: usize, running: usize) -> Load {
        Load { open, more_at: None, running, slots: 8, idle: running < 8, pause: Duration::ZERO }
    }

    /// A plan that has swept and looked for orphans, at 0.
    fn settled() -> Plan {
        let mut plan = Plan::new(PACE, at(0), 7);
        plan.found(Look::Sweep, 0, None, at(0));
        plan.found(Look::Orphans, 0, None, at(0));
        plan
    }

    #[test]
    fn it_begins_with_what_waits_and_what_was_left_behind() {
        let mut plan = Plan::new(PACE, at(0), 7);
        assert_eq!(plan.next(load(8, 0), at(0)), Next::Look(Look::Sweep));
        plan.found(Look::Sweep, 0, None, at(0));
        assert_eq!(plan.next(load(8, 0), at(0)), Next::Look(Look::Orphans));
        plan.found(Look::Orphans, 2, None, at(0));
        assert_eq!(plan.next(load(6, 2), at(0)), Next::Look(Look::Orphans), "there may be more");
        plan.found(Look::Orphans, 0, None, at(0));
        assert_eq!(plan.next(load(6, 2), at(0)), Next::Look(Look::Due(Order::Rank)));
    }

    #[test]
    fn it_looks_again_at_once_while_there_is_work_and_about_each_poll_while_there_is_none() {
        let mut plan = settled();
        plan.found(Look::Due(Order::Rank), 4, None, at(0));
        assert_eq!(plan.next(load(4, 4), at(0)), Next::Look(Look::Due(Order::Rank)));
        plan.found(Look::Due(Order::Rank), 0, None, at(0));
        let Next::Until(then) = plan.next(load(4, 4), at(0)) else { panic!("nothing is there") };
        assert!(then >= at(750) && then <= at(1250), "{then:?}");
        assert_eq!(plan.next(load(4, 4), then), Next::Look(Look::Due(Order::Rank)));
    }

    #[test]
    fn it_waits_a_moment_for_company_and_not_where_half_is_free_or_nothing_runs() {
        let mut plan = settled();
        plan.found(Look::Due(Order::Rank), 8, None, at(0));
        assert_eq!(plan.next(load(0, 8), at(5)), Next::Until(plan.sweep_at), "a run's end wakes it");
        let other = plan.orphans_at.min(plan.sweep_at);
        assert_eq!(plan.next(load(2, 8), at(5)), Next::Until(other), "claimed ahead: the same");
        plan.ended(false, at(10));
        assert_eq!(plan.next(load(1, 7), at(10)), Next::Until(at(12)));
        let fast = Load { pause: Duration::from_millis(9), ..load(1, 7) };
        assert_eq!(plan.next(fast, at(10)), Next::Until(at(19)));
        assert_eq!(plan.next(load(4, 4), at(11)), Next::Look(Look::Due(Order::Rank)));
        assert_eq!(plan.next(load(1, 0), at(11)), Next::Look(Look::Due(Order::Rank)));
        assert_eq!(plan.next(load(1, 7), at(12)), Next::Look(Look::Due(Order::Rank)));
    }

    #[test]
    fn each_sixteenth_claim_takes_the_oldest() {
        let mut plan = settled();
        let mut oldest = Vec::new();
        for claim in 1..=48 {
            plan.found(Look::Due(Order::Rank), 1, None, at(0));
            if plan.next(load(8, 0), at(0)) == Next::Look(Look::Due(Order::Oldest)) {
                oldest.push(claim);
            }
        }
        assert_eq!(oldest, [16, 32, 48]);
    }

    #[test]
    fn a_store_that_fails_is_asked_less_and_less_often_up_to_a_bound() {
        let mut plan = settled();
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..20 {
            waits.push(plan.failed(now));
            assert_eq!(plan.next(load(8, 0), now), Next::Until(plan.again_at));
            now = plan.again_at;
        }
        assert!(waits[0] <= Duration::from_millis(200) && waits[0] >= Duration::from_millis(50), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(15)), "{waits:?}");
        assert!(waits[19] >= Duration::from_secs(7), "{waits:?}");
        plan.found(Look::Due(Order::Rank), 0, None, now);
        assert_eq!(plan.failures(), 0);
    }

    #[test]
    fn the_end_of_a_run_that_another_may_have_waited_for_is_reason_to_look() {
        let mut plan = settled();
        plan.found(Look::Due(Order::Rank), 0, None, at(0));
        plan.ended(false, at(1));
        assert!(matches!(plan.next(load(8, 0), at(1)), Next::Until(_)));
        plan.ended(true, at(1));
        assert_eq!(plan.next(load(8, 0), at(1)), Next::Look(Look::Due(Order::Rank)));
    }

    #[test]
    fn the_queue_is_ranked_anew_once_a_second_and_each_time_while_something_in_it_ages() {
        let mut plan = settled();
        assert!(plan.ranks(at(0)));
        plan.ranked(Look::Due(Order::Rank), false, at(0));
        assert!(!plan.ranks(at(999)));
        plan.ranked(Look::Due(Order::Oldest), true, at(500));
        assert!(plan.ranks(at(500)), "what was claimed ages");
        plan.ranked(Look::Due(Order::Rank), true, at(600));
        assert!(plan.ranks(at(600)));
        plan.ranked(Look::Due(Order::Rank), false, at(700));
        assert!(!plan.ranks(at(1699)) && plan.ranks(at(1700)));
    }

    #[test]
    fn where_a_rate_is_in_the_way_it_wakes_when_there_is_more() {
        let mut plan = settled();
        let blocked = Load { more_at: Some(at(300)), ..load(0, 0) };
        assert_eq!(plan.next(blocked, at(0)), Next::Until(at(300)));
    }
}
