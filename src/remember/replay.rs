//! What is answered when a batch is sent a second time: as then, where the store still knows it.

use crate::base::time::Timestamp;
use crate::remember::store::{Applied, Batch, Expect, Fencing, Record, Write, Written};

/// What the store still holds of one write of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// The record under the key, judged now.
    pub(super) current: Option<Record>,
    /// The version, fence and time that the batch's own write left there, if it left any.
    pub(super) proof: Option<Proof>,
}

/// One write of the batch was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    pub(super) version: u64,
    pub(super) fence: u64,
    pub(super) at: Timestamp,
}

/// The answer as it was then, or `None` when nothing shows that the batch was applied.
///
/// One proof is enough, since a batch is applied as a whole, and its versions follow each other in its order.
pub(super) fn answer(batch: &Batch, traces: &[Trace]) -> Option<Applied> {
    let (index, proof) =
        traces.iter().enumerate().find_map(|(index, trace)| trace.proof.map(|proof| (index, proof)))?;
    let first = proof.version.saturating_sub(index as u64);
    let writes = batch
        .writes()
        .iter()
        .zip(traces)
        .zip(first..)
        .map(|((write, trace), version)| written(write, trace, version))
        .collect();
    Some(Applied { now: proof.at, writes, replayed: true })
}

fn written(write: &Write, trace: &Trace, version: u64) -> Written {
    let current = trace.current.as_ref();
    let fence = match (trace.proof, write.put.fence, write.expect) {
        (Some(proof), ..) => proof.fence,
        (None, Fencing::Grant, _) => version,
        (None, Fencing::Keep, Expect::Fence(fence)) => fence,
        (None, Fencing::Keep, _) => current.map_or(0, |record| record.fence),
    };
    Written {
        version,
        fence,
        owner: current.and_then(|record| record.owner.clone()),
        // The lease of whoever took over since is not this caller's.
        lease: current.filter(|record| record.fence == fence).and_then(|record| record.lease),
        paused: current.is_some_and(|record| record.paused),
        cancelling: current.is_some_and(|record| record.cancelling),
    }
}
