//! How long the runs of a job are kept is written down for each job; stores delete by state and age. So what a job no longer keeps
//! is first marked as what may be forgotten, in one commit for many, and then deleted.

use std::sync::Arc;
use std::time::Duration;

use crate::base::time::{Moment, Timestamp, earlier};
use crate::decide::run::State;
use crate::operate::cli::config::Config;
use crate::operate::cli::failure::{Failure, Stop};
use crate::operate::cli::session::{Need, Session};
use crate::operate::operator::Retention;
use crate::remember::blocking::block_on;
use crate::remember::runs::kinds_of;
use crate::remember::store::{
    ApplyError, Batch, Change, Expect, Ns, Order, Put, Query, Store, Write, apply_settled,
};

/// So many are marked in one commit.
const TOGETHER: u32 = 100;
/// So many commits are made for one job in one pass.
const BATCHES_MAX: u32 = 20;
/// Longer than there are computers: only what was marked is deleted.
const FOR_EVER: Duration = Duration::from_secs(200 * 365 * 86_400);
/// The ends after which a run may be forgotten. One that asks a person has not ended.
const ENDS: [State; 6] = [
    State::Succeeded,
    State::Skipped,
    State::FailedPermanent,
    State::Compensated,
    State::Cancelled,
    State::Expired,
];

/// Deletes what the jobs no longer keep, until the time is over; how many records.
pub(super) fn prune(
    session: &Session<'_, '_>,
    store: &Arc<dyn Store>,
    config: &Config,
    until: Moment,
) -> Result<u64, Stop> {
    let now = session.host.clock.now().wall;
    let mut marked = 0;
    for (job, keep) in config.jobs.iter().filter_map(|(name, job)| Some((name, job.retention?))) {
        let before = earlier(now, keep);
        for _ in 0..BATCHES_MAX {
            if session.host.clock.now().moment >= until {
                break;
            }
            let more =
                block_on(mark(&**store, job, before, now)).map_err(|error| Failure::of_store(&error))?;
            marked += more;
            if more < u64::from(TOGETHER) {
                break;
            }
        }
    }
    if marked == 0 {
        return Ok(0);
    }
    let retention = Retention {
        succeeded: Some(FOR_EVER),
        failed: Some(FOR_EVER),
        cancelled: Some(FOR_EVER),
        ..Retention::default()
    };
    let operator = session.operator(Need::Write)?;
    let pruned = block_on(operator.prune(&retention, session.host.clock.now().wall));
    let pruned = pruned.map_err(|error| session.failed(&error))?;
    Ok(pruned.runs.saturating_add(pruned.entries).saturating_add(pruned.tokens))
}

/// Marks the oldest runs of a job that ended before `before`; how many.
async fn mark(
    store: &dyn Store,
    job: &str,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, crate::remember::store::Error> {
    let query = Query {
        kinds: kinds_of(job),
        states: ENDS.iter().map(|state| state.as_str().to_owned()).collect(),
        order: Order::Oldest,
        limit: TOGETHER,
        ..Query::all(Ns::RUN)
    };
    let page = store.scan(query).await?;
    let old = page.records.into_iter().filter(|record| record.updated_at < before && !record.leased());
    let writes = old.map(|record| {
        let put = Put { expires_at: Change::to(now), ..Put::nothing() };
        Write::new(Ns::RUN, record.key, Expect::Version(record.version), put)
    });
    let writes: Vec<Write> = writes.collect();
    let count = writes.len() as u64;
    if count == 0 {
        return Ok(0);
    }
    match apply_settled(store, Batch::new(writes)).await {
        Ok(_) => Ok(count),
        // Somebody else is at it.
        Err(ApplyError::Conflict(_)) => Ok(0),
        Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
    }
}
