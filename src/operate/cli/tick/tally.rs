//! The commands that have ended since the last pass, counted into the statistics of their jobs. `exec` writes none: its one commit is
//! enough for a process that lives for a second.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::act::statistics::{Ended, Statistics};
use crate::base::time::{Now, Timestamp, earlier};
use crate::decide::alert::Subject;
use crate::decide::run::State;
use crate::operate::cli::exec;
use crate::operate::cli::failure::{Exit, Failure, Stop, chain};
use crate::remember::blocking::block_on;
use crate::remember::runs::Run;
use crate::remember::snapshots::{Saved, Snapshots};
use crate::remember::store::{Error, Ns, Order, PAGE_MAX, Pages, Query, Store};

/// Where it is kept how far the runs are counted.
const NAME: &str = "tick/tally";
/// A run that was made longer ago than this before the last pass is not counted when it ends.
const LOOK_BACK: Duration = Duration::from_secs(2 * 86_400);
/// So many pages of runs are looked at.
const PAGES_MAX: u32 = 20;

/// The end up to which all is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Upto {
    v: u32,
    at: Timestamp,
    run: String,
}

/// Counts what has ended since the last pass. Who is faster counts; what is lost is lost if it dies in the middle, and nothing is
/// counted twice.
pub(super) fn tally(store: &Arc<dyn Store>, now: Now) -> Result<(), Stop> {
    let failed = |error: Error| Stop::from(Failure::of_store(&error));
    let snapshots = Snapshots::new(Arc::clone(store));
    let before = block_on(snapshots.load::<Upto>(NAME)).map_err(failed)?;
    let (upto, version) = before.map_or((None, None), |kept| (Some(kept.value), Some(kept.version)));
    let ended = block_on(ended_since(store, upto.as_ref(), now)).map_err(failed)?;
    let Some(last) = ended.last() else { return Ok(()) };
    let next = Upto { v: 1, at: last.0, run: last.1.id().to_owned() };
    if block_on(snapshots.save(NAME, "tick", &next, version)).map_err(failed)? == Saved::Raced {
        return Ok(());
    }
    let statistics = Statistics::new(Arc::clone(store)).build();
    for (at, run) in &ended {
        let took = run.duration_ms().and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        let end = match (run.state(), took) {
            (State::Succeeded, Some(took)) => Ended::ok(took),
            _ => Ended::failed(),
        };
        let end = end.retried(run.tries() > 1).dead_lettered(run.is_dead_letter());
        statistics.note(&Subject::job(run.job()), end, Now { wall: *at, ..now });
    }
    let written = statistics.flush_blocking();
    Ok(written.map_err(|error| Failure::new(Exit::Failed, "statistics.not_written", chain(&error)))?)
}

/// The commands that have ended since, in that order.
async fn ended_since(
    store: &Arc<dyn Store>,
    upto: Option<&Upto>,
    now: Now,
) -> Result<Vec<(Timestamp, Run)>, Error> {
    let from = earlier(upto.map_or(now.wall, |upto| upto.at), LOOK_BACK);
    let states = [State::Succeeded, State::FailedPermanent].map(|state| state.as_str().to_owned()).to_vec();
    let query = Query {
        states,
        created_from: Some(from),
        order: Order::Newest,
        limit: PAGE_MAX,
        ..Query::all(Ns::RUN)
    };
    let mut ended = Vec::new();
    let mut pages = Pages::of(&**store, query).most(PAGES_MAX);
    while let Some(records) = pages.next().await? {
        for record in records {
            // What cannot be read here may be a newer release's.
            let Ok(run) = Run::from_record(record) else { continue };
            let Some(at) = run.body.finished_at else { continue };
            let counted = upto.is_some_and(|upto| (at, run.id()) <= (upto.at, upto.run.as_str()));
            if !counted && exec::is_command(&run) {
                ended.push((at, run));
            }
        }
    }
    ended.sort_by(|one, other| (one.0, one.1.id()).cmp(&(other.0, other.1.id())));
    Ok(ended)
}
