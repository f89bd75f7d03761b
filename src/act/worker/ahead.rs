//! Runs that were claimed a moment before there is room for them, so that a claim's way to the store and back costs
//! no slot its time.
//!
//! About twice as many are claimed ahead as ended while the last claims were under way. By Little's law once as many will
//! be free when this one comes back; but where slots waited for the claim, more would have ended. Where runs take long none
//! end meanwhile, and none is claimed ahead.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::Moment;

/// How long a run that was claimed ahead waits here for its slot at most; then another worker may have it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most that wait, in slots.
const MOST: usize = 2;
/// As long as some wait here there is no haste: for so long at most the next claim waits to be a large one.
const PAUSE: Duration = Duration::from_millis(10);

/// The runs that wait, and what is known of the flow.
pub(super) struct Ahead<T> {
    waiting: VecDeque<Waiting<T>>,
    /// How many runs have ended since the claim that is under way, or that came back last, began.
    ended: usize,
    /// How many are worth claiming ahead.
    expected: usize,
}

struct Waiting<T> {
    run: T,
    rank: i64,
    /// Given back if it has not begun by then.
    until: Moment,
}

impl<T> Ahead<T> {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), ended: 0, expected: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many more may be claimed where so many of the `slots` are free.
    pub(super) fn room(&self, free: usize, slots: usize) -> usize {
        free.saturating_add(self.expected.min(slots.saturating_mul(MOST))).saturating_sub(self.waiting.len())
    }

    pub(super) const fn run_ended(&mut self) {
        self.ended = self.ended.saturating_add(1);
    }

    /// How long it is worth waiting until the next claim can be a large one.
    pub(super) fn pause(&self) -> Duration {
        if self.waiting.is_empty() { Duration::ZERO } else { PAUSE }
    }

    pub(super) const fn claim_begins(&mut self) {
        self.ended = 0;
    }

    /// A claim has come back; `all` if it brought as many as were asked for, so that there is more.
    pub(super) const fn claim_ends(&mut self, all: bool) {
        self.expected = if all { self.expected.midpoint(self.ended.saturating_mul(2)) } else { 0 };
    }

    /// Keeps a run whose lease of this length has just begun.
    pub(super) fn keep(&mut self, run: T, rank: i64, lease: Duration, now: Moment) {
        self.waiting.push_back(Waiting { run, rank, until: now.after(PATIENCE.min(lease / 4)) });
    }

    /// The next one to begin: the highest in rank, and of those the one that came first. What has waited for most of its time
    /// is not passed over: a claim of the oldest brought it, or it would be given back.
    pub(super) fn next(&mut self, now: Moment) -> Option<T> {
        let oldest = self.waiting.front()?;
        let hurry = oldest.until.since(now) < PATIENCE / 4;
        let best = self.waiting.iter().enumerate().max_by_key(|(index, one)| (one.rank, Reverse(*index)));
        let index = best.map_or(0, |(index, _)| if hurry { 0 } else { index });
        self.waiting.remove(index).map(|one| one.run)
    }

    /// When the first of them has waited long enough.
    pub(super) fn until(&self) -> Option<Moment> {
        self.waiting.iter().map(|one| one.until).min()
    }

    /// Hands over all that wait.
    pub(super) fn take(&mut self) -> impl Iterator<Item = T> + '_ {
        self.expected = 0;
        self.waiting.drain(..).map(|one| one.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn at(millis: u64) -> Moment {
        Moment::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn about_twice_as_many_are_claimed_ahead_as_ended_during_the_last_claims_up_to_twice_the_slots() {
        let mut ahead: Ahead<u32> = Ahead::new();
        assert_eq!(ahead.room(3, 8), 3);
        for (ended, room) in [(4, 7), (0, 5), (100, 19)] {
            ahead.claim_begins();
            (0..ended).for_each(|_| ahead.run_ended());
            ahead.claim_ends(true);
            assert_eq!(ahead.room(3, 8), room);
        }
        ahead.claim_begins();
        ahead.run_ended();
        ahead.claim_ends(false);
        assert_eq!(ahead.room(3, 8), 3, "the queue is empty: nothing is to be had ahead");
    }

    #[test]
    fn who_waits_takes_of_the_room_begins_in_order_and_waits_a_second_at_most() {
        let mut ahead: Ahead<u32> = Ahead::new();
        ahead.keep(1, 0, LEASE, at(10));
        ahead.keep(2, 0, Duration::from_secs(2), at(20));
        assert_eq!(ahead.pause(), PAUSE);
        assert_eq!((ahead.room(2, 8), ahead.room(1, 8), ahead.len()), (0, 0, 2));
        assert_eq!(ahead.until(), Some(at(520)), "and a quarter of its lease at most");
        assert_eq!(ahead.next(at(30)), Some(1));
        ahead.keep(3, 0, LEASE, at(30));
        assert_eq!(ahead.take().collect::<Vec<_>>(), [2, 3]);
        assert_eq!((ahead.next(at(30)), ahead.until(), ahead.pause()), (None, None, Duration::ZERO));
    }

    #[test]
    fn the_highest_in_rank_begins_first_and_who_has_waited_long_is_not_passed_over() {
        let mut ahead: Ahead<u32> = Ahead::new();
        for (run, rank) in [(1, 0), (2, 5), (3, 5), (4, 9)] {
            ahead.keep(run, rank, LEASE, at(0));
        }
        assert_eq!((ahead.next(at(10)), ahead.next(at(10))), (Some(4), Some(2)));
        assert_eq!(ahead.next(at(800)), Some(1), "it would be given back in a moment");
        assert_eq!(ahead.next(at(800)), Some(3));
    }
}
