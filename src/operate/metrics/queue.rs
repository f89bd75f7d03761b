//! What is in the queue.

use std::collections::BTreeMap;

use crate::base::time::Timestamp;
use crate::decide::run::State;
use crate::remember::store::{Error, Ns, Order, PAGE_MAX, Pages, Query, Store};

/// Of a longer queue so many pages are counted.
const PAGES_MAX: u32 = 100;
/// What has not ended, and what asks a person.
const LIVE: [State; 6] = [
    State::Queued,
    State::FailedTransient,
    State::Processing,
    State::WaitingExternal,
    State::Compensating,
    State::NeedsReview,
];

/// What is in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::operate) struct Queue {
    /// How many runs are in each state that is no end, or asks a person.
    pub(in crate::operate) states: BTreeMap<&'static str, u64>,
    /// When the oldest of each was created.
    pub(in crate::operate) oldest: BTreeMap<&'static str, Timestamp>,
    /// How many could be worked on now.
    pub(in crate::operate) due: u64,
    /// Since when the first of them could be.
    pub(in crate::operate) due_since: Option<Timestamp>,
    /// Runs that failed for good or are in review, and that nobody has looked at.
    pub(in crate::operate) dead_letters: u64,
    /// Whether there are more than were counted.
    pub(in crate::operate) cut: bool,
}

/// Counts the runs that have not ended.
pub(in crate::operate) async fn queue(store: &dyn Store, now: Timestamp) -> Result<Queue, Error> {
    let mut queue =
        Queue { states: LIVE.iter().map(|state| (state.as_str(), 0)).collect(), ..Queue::default() };
    let all = |states: &[State], reviewed| Query {
        states: states.iter().map(|state| state.as_str().to_owned()).collect(),
        reviewed,
        order: Order::Oldest,
        limit: PAGE_MAX,
        ..Query::all(Ns::RUN)
    };
    let mut pages = Pages::of(store, all(&LIVE, None)).most(PAGES_MAX);
    while let Some(records) = pages.next().await? {
        for record in &records {
            let Some(state) = LIVE.iter().find(|state| state.as_str() == record.state) else { continue };
            *queue.states.entry(state.as_str()).or_insert(0) += 1;
            queue.oldest.entry(state.as_str()).or_insert(record.created_at);
            let waits = matches!(state, State::Queued | State::FailedTransient) && !record.paused;
            if let Some(due) = record.due_at.filter(|due| waits && *due <= now && !record.leased()) {
                queue.due += 1;
                queue.due_since = Some(queue.due_since.map_or(due, |since| since.min(due)));
            }
            queue.dead_letters += u64::from(*state == State::NeedsReview && record.reviewed_at.is_none());
        }
    }
    let mut dead = Pages::of(store, all(&[State::FailedPermanent], Some(false))).most(PAGES_MAX);
    while let Some(records) = dead.next().await? {
        queue.dead_letters += records.len() as u64;
    }
    queue.cut = pages.cut() || dead.cut();
    Ok(queue)
}
