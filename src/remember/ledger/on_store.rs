//! The ledger on any store: put first, and let the precondition say who was faster.

use std::sync::Arc;
use std::time::Duration;

use crate::base::canonical::{Fingerprint, Key};
use crate::base::effect::Effect;
use crate::base::explain::Explain;
use crate::base::fault::Fault;
use crate::base::time::{BoxFuture, Clock, System, later};
use crate::decide::claim::{Decision, Free, LastKnown, Status};
use crate::remember::ledger::entry::{self, Entry};
use crate::remember::ledger::{Claim, Error, Fence, Ledger, Outcome, Renewed};
use crate::remember::runs::Json;
use crate::remember::store::{
    ApplyError, BODY_MAX, Batch, Event, Expect, Fencing, LeaseChange, Ns, Put, Record, Store, Write,
    apply_settled,
};

/// How often a claim looks again when the entry changed under it.
const ATTEMPTS_MAX: u32 = 8;

/// The ledger on a store.
#[derive(Clone)]
pub struct StoreLedger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    actor: String,
    keep: Option<Duration>,
    effect: Effect,
}

impl std::fmt::Debug for StoreLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreLedger").field("actor", &self.actor).field("keep", &self.keep).finish()
    }
}

impl StoreLedger {
    /// The ledger in `store`. Entries are kept for ever.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let actor = format!("worker:{}", store.owner());
        Self { store, clock: Arc::new(System), actor, keep: None, effect: Effect::Unsafe }
    }

    /// The same ledger, whose settled entries may be forgotten this long after they were settled. A key that is
    /// delivered again after that is fresh.
    #[must_use]
    pub const fn keep_for(mut self, keep: Duration) -> Self {
        self.keep = Some(keep);
        self
    }

    /// The same ledger, for work of this effect class: what a takeover may do with work that was in the middle when its
    /// process died. Default: [`Effect::Unsafe`].
    #[must_use]
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The effect class that the work was declared to have.
    #[must_use]
    pub const fn declared(&self) -> Effect {
        self.effect
    }

    /// The same ledger on another clock: for tests. Only expiry looks at it; leases are judged by the store.
    #[must_use]
    pub fn on(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The store that it is on.
    #[must_use]
    pub const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    async fn try_claim(&self, key: &Key, payload: &Fingerprint, lease: Duration) -> Result<Claim, Error> {
        let mut seen: Option<Entry> = None;
        for _ in 0..ATTEMPTS_MAX {
            let decision = match &seen {
                None => Decision::Fresh(Free::New),
                Some(entry) => entry.judge(&payload.to_string(), self.clock.now().wall),
            };
            if let Some(claim) = self.told(seen.as_ref(), decision, payload).await? {
                return Ok(claim);
            }
            match self.open(key, payload, lease, seen.as_ref(), decision).await? {
                Ok(number) => {
                    let generation = seen.as_ref().map_or(1, |entry| entry.body.generation);
                    let fence = Fence::granted(key.clone(), number).of_generation(generation);
                    return Ok(match decision {
                        Decision::TakeOver => Claim::TakeOver(fence, LastKnown::Started),
                        _ => Claim::Fresh(fence),
                    });
                }
                Err(winner) => seen = winner.map(|record| read(*record)).transpose()?,
            }
        }
        Err(Error::Contended { key: key.clone(), attempts: ATTEMPTS_MAX })
    }

    /// The answer, where there is nothing to write.
    async fn told(
        &self,
        entry: Option<&Entry>,
        decision: Decision,
        payload: &Fingerprint,
    ) -> Result<Option<Claim>, Error> {
        let Some(entry) = entry else { return Ok(None) };
        let record = &entry.record;
        match decision {
            Decision::Fresh(_) => Ok(None),
            Decision::Conflict => Ok(Some(Claim::Conflict {
                stored: record.fingerprint.clone().unwrap_or_default(),
                given: payload.to_string(),
            })),
            Decision::Busy { until } => {
                let owner = record.owner.clone().unwrap_or_default();
                Ok(Some(Claim::Busy { owner, until }))
            }
            Decision::Duplicate(_) => {
                let outcome = entry.body.outcome.clone().ok_or_else(|| Error::Unreadable {
                    key: record.key.clone(),
                    detail: format!("it is {} and says nothing of how it ended", record.state),
                })?;
                Ok(Some(Claim::Duplicate(outcome)))
            }
            Decision::TakeOver => match &entry.body.run {
                // The key is a job's: its run holds the lease, and only the job can take it over.
                Some(run) => Ok(Some(Claim::Busy { owner: format!("run {run}"), until: record.updated_at })),
                None => Ok(None),
            },
        }
    }

    /// Puts the claim; `Err` with what stands there if somebody was faster.
    async fn open(
        &self,
        key: &Key,
        payload: &Fingerprint,
        lease: Duration,
        entry: Option<&Entry>,
        decision: Decision,
    ) -> Result<Result<u64, Option<Box<Record>>>, Error> {
        let expect = match entry {
            None => Expect::Absent,
            Some(entry) => Expect::LeaseOver { version: entry.record.version },
        };
        let from = entry.map(|entry| entry.status.as_str());
        let generation = entry.map_or(1, |entry| entry.body.generation);
        let event =
            Event::new(from, Status::Claimed.as_str(), &self.actor, decision.code(), decision.to_string());
        let mut write = entry::opening(key, expect, payload, &entry::Body::open(None, generation), event);
        write.put.lease = LeaseChange::For(lease);
        match apply_settled(&*self.store, Batch::of(write)).await {
            Ok(applied) => Ok(Ok(applied.first().map_or(0, |written| written.fence))),
            Err(ApplyError::Conflict(conflicts)) => {
                Ok(Err(conflicts.into_iter().next().and_then(|conflict| conflict.winner).map(Box::new)))
            }
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error.into()),
        }
    }

    async fn settle(
        &self,
        fence: &Fence,
        outcome: Option<Outcome>,
        code: &'static str,
        why: &str,
    ) -> Result<(), Error> {
        let status = outcome.as_ref().map_or(Status::Released, Outcome::status);
        let mut body = entry::Body::open(None, fence.generation);
        body.outcome = outcome;
        let kept = matches!(status, Status::Succeeded | Status::Failed).then_some(self.keep).flatten();
        let expires_at = kept.map(|keep| later(self.clock.now().wall, keep));
        let event = Event::new(Some(Status::Claimed.as_str()), status.as_str(), &self.actor, code, why);
        let expect = Expect::Fence(fence.number);
        let mut write = entry::settling(fence.key.as_str(), expect, &body, status, expires_at, event);
        // The fence is used up: a second settling under it is refused, whatever it says.
        write.put.fence = Fencing::Grant;
        match apply_settled(&*self.store, Batch::of(write)).await {
            Ok(_) => Ok(()),
            Err(ApplyError::Conflict(conflicts)) => {
                let winner = conflicts.into_iter().next().and_then(|conflict| conflict.winner);
                self.keep_late(fence, winner.as_ref(), &body, status, why).await;
                Err(fenced(fence, winner.as_ref()))
            }
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error.into()),
        }
    }

    /// Keeps what a holder that was shut out has seen: it may be the only trace of an effect that took place.
    async fn keep_late(
        &self,
        fence: &Fence,
        winner: Option<&Record>,
        seen: &entry::Body,
        status: Status,
        why: &str,
    ) {
        let Some(record) = winner else { return };
        let text = format!("late: fence {} reports {}: {why}", fence.number, status.as_str());
        let mut event = Event::new(Some(&record.state), &record.state, &self.actor, "claim.late", text);
        event.data = seen.outcome.as_ref().and_then(|outcome| serde_json::to_string(outcome).ok());
        event.data = event.data.filter(|data| data.len() <= BODY_MAX);
        let expect = Expect::Version(record.version);
        let write = Write::new(Ns::LEDGER, fence.key.as_str(), expect, Put::nothing()).event(event);
        // The refusal is what the caller must hear; a note that could not be kept does not change it.
        drop(apply_settled(&*self.store, Batch::of(write)).await);
    }
}

impl Ledger for StoreLedger {
    fn claim<'a>(
        &'a self,
        key: &'a Key,
        payload: &'a Fingerprint,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claim, Error>> {
        Box::pin(self.try_claim(key, payload, lease))
    }

    fn renew<'a>(&'a self, fence: &'a Fence, lease: Duration) -> BoxFuture<'a, Result<Renewed, Error>> {
        Box::pin(async move {
            let write =
                Write::new(Ns::LEDGER, fence.key.as_str(), Expect::Fence(fence.number), Put::renew(lease));
            match apply_settled(&*self.store, Batch::of(write)).await {
                Ok(applied) => {
                    let written = applied.first();
                    Ok(Renewed {
                        until: written.and_then(|written| written.lease).map(|lease| lease.until),
                        cancelling: written.is_some_and(|written| written.cancelling),
                    })
                }
                Err(ApplyError::Conflict(conflicts)) => {
                    let winner = conflicts.into_iter().next().and_then(|conflict| conflict.winner);
                    Err(fenced(fence, winner.as_ref()))
                }
                Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error.into()),
            }
        })
    }

    fn complete<'a>(&'a self, fence: &'a Fence, result: Json) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.settle(
            fence,
            Some(Outcome::Succeeded { result }),
            "claim.succeeded",
            "the work was done",
        ))
    }

    fn fail<'a>(
        &'a self,
        fence: &'a Fence,
        fault: &'a Fault,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let outcome =
            Outcome::Failed { class: fault.class, code: fault.code.to_string(), why: why.to_owned() };
        Box::pin(self.settle(fence, Some(outcome), "claim.failed", why))
    }

    fn doubt<'a>(&'a self, fence: &'a Fence, why: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        let outcome = Outcome::NeedsReview { why: why.to_owned() };
        Box::pin(self.settle(fence, Some(outcome), "claim.doubtful", why))
    }

    fn release<'a>(&'a self, fence: &'a Fence, why: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.settle(fence, None, "claim.given_back", why))
    }
}

fn read(record: Record) -> Result<Entry, Error> {
    let key = record.key.clone();
    let detail = || String::from("its state or body is not one that this release understands");
    Entry::from_record(record).ok_or_else(|| Error::Unreadable { key, detail: detail() })
}

fn fenced(fence: &Fence, winner: Option<&Record>) -> Error {
    Error::Fenced { key: fence.key.clone(), fence: fence.number, stands: winner.map(|record| record.fence) }
}
