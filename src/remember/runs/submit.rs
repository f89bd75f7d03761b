//! How a run begins: once for each key, whatever is delivered twice.

use std::time::Duration;

use crate::base::canonical::{Fingerprint, Key};
use crate::base::effect::Effect;
use crate::base::fault::Class;
use crate::base::time::Timestamp;
use crate::decide::claim::{self, Status};
use crate::decide::run::State;
use crate::remember::ledger::{Outcome, entry};
use crate::remember::runs::{Body, Error, Json, Run, Runs, StepRecord, StepState, kind_of, moves};
use crate::remember::store::{
    ApplyError, Batch, Change, Event, Expect, LeaseChange, Ns, Put, Write, apply_settled,
};

/// A run to be submitted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewRun {
    /// The job.
    pub job: String,
    /// The idempotency key; without one nothing is held against a second delivery.
    pub key: Option<Key>,
    /// The fingerprint of the payload; by default that of the input.
    pub fingerprint: Option<Fingerprint>,
    /// What the run holds from the start.
    pub body: Body,
    /// How urgent it is: higher first.
    pub rank: i64,
    /// Runs with the same serial key are not to run at the same time.
    pub serial_key: Option<String>,
    /// When it becomes due; `None` for at once.
    pub due_at: Option<Timestamp>,
    /// After which it is not worth running.
    pub expires_at: Option<Timestamp>,
    /// Take it at once, by a lease this long, instead of leaving it queued.
    pub take: Option<Duration>,
    /// Who submits it.
    pub actor: String,
}

impl NewRun {
    /// A run of `job` over `input` with these steps, due at once, without a key.
    #[must_use]
    pub fn new(job: impl Into<String>, input: Json, steps: Vec<StepRecord>) -> Self {
        Self {
            job: job.into(),
            key: None,
            fingerprint: None,
            body: Body::new(input, steps),
            rank: 0,
            serial_key: None,
            due_at: None,
            expires_at: None,
            take: None,
            actor: String::from("producer"),
        }
    }
}

/// What became of a submission.
#[derive(Clone, Debug)]
#[must_use]
pub enum Submitted {
    /// A new run.
    Created(Box<Run>),
    /// The same work was submitted before; this is its run, wherever it stands, and what the ledger says of it.
    Existing(Box<Run>, claim::Decision),
    /// The same work was settled before, and its run is no longer kept (or an application settled the key itself).
    Settled {
        /// The key.
        key: Key,
        /// How it ended.
        settled: claim::Settled,
    },
    /// The same key was used before with another payload.
    Conflict {
        /// The key.
        key: Key,
        /// The fingerprint that the key was used with.
        stored: String,
        /// The fingerprint that was given.
        given: String,
        /// The run that used it, if one did.
        run: Option<String>,
    },
}

/// How often a submission looks again when the entry changed under it.
const ATTEMPTS_MAX: u32 = 8;

impl Runs {
    /// Submits a run: its record and its ledger entry in one commit.
    ///
    /// # Errors
    /// When the store cannot be written, or the entry changed under each of eight looks.
    pub async fn submit(&self, new: NewRun, now: Timestamp) -> Result<Submitted, Error> {
        let fingerprint = match &new.fingerprint {
            Some(given) => *given,
            None => Fingerprint::of_text(new.body.input.get()).map_err(|error| Error::Invalid {
                field: "input",
                given: error.to_string(),
                allowed: String::from("JSON that has a canonical form"),
            })?,
        };
        let Some(key) = new.key.clone() else {
            return match self.create(&new, &fingerprint, None).await? {
                Creation::Done(run) => Ok(Submitted::Created(run)),
                Creation::Raced(_) => Err(Error::Contended { id: new.job, attempts: 1 }),
            };
        };
        let mut seen: Option<Box<entry::Entry>> = None;
        for _ in 0..ATTEMPTS_MAX {
            let free = match &seen {
                None => None,
                Some(entry) => match self.judge(entry, &fingerprint, now).await? {
                    Judged::Free => Some(&**entry),
                    Judged::Existing(run, decision) => return Ok(Submitted::Existing(run, decision)),
                    Judged::Settled(settled) => return Ok(Submitted::Settled { key, settled }),
                    Judged::Conflict => return Ok(conflict(key, entry, &fingerprint)),
                },
            };
            match self.create(&new, &fingerprint, Some((&key, free))).await? {
                Creation::Done(run) => return Ok(Submitted::Created(run)),
                Creation::Raced(entry) => seen = entry,
            }
        }
        Err(Error::Contended { id: key.to_string(), attempts: ATTEMPTS_MAX })
    }

    async fn judge(
        &self,
        entry: &entry::Entry,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<Judged, Error> {
        let decision = entry.judge(&fingerprint.to_string(), now);
        match decision {
            claim::Decision::Fresh(_) => return Ok(Judged::Free),
            claim::Decision::Conflict => return Ok(Judged::Conflict),
            claim::Decision::Duplicate(_) | claim::Decision::Busy { .. } | claim::Decision::TakeOver => {}
        }
        let run = match &entry.body.run {
            Some(id) => self.get(id).await?,
            None => None,
        };
        match (run, decision) {
            // The lease of a run's key is the run's own.
            (Some(run), _) => {
                let decision = match run.record.lease.filter(|lease| !lease.over) {
                    Some(lease) if entry.status == Status::Claimed => {
                        claim::Decision::Busy { until: lease.until }
                    }
                    _ => decision,
                };
                Ok(Judged::Existing(Box::new(run), decision))
            }
            // Its run was pruned, or it never had one and its holder is gone.
            (None, claim::Decision::TakeOver) => Ok(Judged::Free),
            // The ledger remembers longer than the runs are kept.
            (None, claim::Decision::Duplicate(settled)) => Ok(Judged::Settled(settled)),
            (None, _) => Err(Error::Invalid {
                field: "key",
                given: entry.record.key.clone(),
                allowed: format!("a key of a job's; this one is an application's own, and {decision}"),
            }),
        }
    }

    async fn create(
        &self,
        new: &NewRun,
        fingerprint: &Fingerprint,
        key: Option<(&Key, Option<&entry::Entry>)>,
    ) -> Result<Creation, Error> {
        let id = uuid::Uuid::now_v7().to_string();
        let mut body = new.body.clone();
        body.key = key.map(|(key, _)| key.to_string());
        if let Some((_, Some(free))) = key {
            body.generation = free.body.generation;
        }
        let mut writes = vec![opening_run(&id, new, &mut body, fingerprint)];
        if let Some((key, free)) = key {
            let expect = free.map_or(Expect::Absent, |entry| Expect::Version(entry.record.version));
            let from = free.map(|entry| entry.status.as_str());
            let entry = entry::Body::open(Some(id.clone()), body.generation);
            let event =
                Event::new(from, Status::Claimed.as_str(), &new.actor, "claim.fresh", format!("by run {id}"));
            writes.push(entry::opening(key, expect, fingerprint, &entry, event));
        }
        match apply_settled(&**self.store(), Batch::new(writes)).await {
            Ok(applied) => {
                let mut run = self.must_get(&id).await?;
                if let Some(written) = applied.first() {
                    // Taken over before it was read, it has the fence of somebody else.
                    run.record.fence = written.fence;
                }
                // Known to whoever submitted; anybody else reads it from the entry.
                run.body.ledger_fence = applied.writes.get(1).map(|written| written.fence);
                Ok(Creation::Done(Box::new(run)))
            }
            Err(ApplyError::Conflict(conflicts)) => {
                let winner = conflicts.into_iter().find(|conflict| conflict.index == 1);
                match winner.and_then(|conflict| conflict.winner) {
                    None => Ok(Creation::Raced(None)),
                    Some(record) => {
                        let id = record.key.clone();
                        let detail =
                            || String::from("its ledger entry is not one that this release understands");
                        let entry = entry::Entry::from_record(record);
                        let entry = entry.ok_or_else(|| Error::Unreadable { id, detail: detail() })?;
                        Ok(Creation::Raced(Some(Box::new(entry))))
                    }
                }
            }
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(Error::Store(error)),
        }
    }

    /// The fence of the run's ledger entry while that is open and the run's own; `None` if there is nothing to settle.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn entry_fence(&self, run: &Body, id: &str) -> Result<Option<u64>, Error> {
        if run.ledger_fence.is_some() {
            return Ok(run.ledger_fence);
        }
        let Some(key) = &run.key else { return Ok(None) };
        let entry = self.store().get(Ns::LEDGER, key).await?.and_then(entry::Entry::from_record);
        Ok(entry
            .filter(|entry| entry.status == Status::Claimed && entry.body.run.as_deref() == Some(id))
            .map(|entry| entry.record.fence))
    }

    /// The write that settles the run's ledger entry with `outcome` (`None`: given back), if it has one that is open.
    ///
    /// The key of a run in which an unsafe step was begun is not given back: a second delivery would run it again. It
    /// is settled as failed, or as in doubt where the step's end is not recorded.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settle_entry(
        &self,
        run: &Body,
        id: &str,
        actor: &str,
        outcome: Option<Outcome>,
    ) -> Result<Option<Write>, Error> {
        let (Some(key), Some(fence)) = (&run.key, self.entry_fence(run, id).await?) else { return Ok(None) };
        let outcome = outcome.or_else(|| not_to_be_repeated(run));
        let status = outcome.as_ref().map_or(Status::Released, Outcome::status);
        let mut body = entry::Body::open(Some(id.to_owned()), run.generation);
        body.outcome = outcome;
        let event = Event::new(
            Some(Status::Claimed.as_str()),
            status.as_str(),
            actor,
            "claim.settled",
            format!("by run {id}"),
        );
        Ok(Some(entry::settling(key, Expect::Fence(fence), &body, status, None, event)))
    }

    /// What stands under the run's key, which must still be the run's own; `None` without a key, or if nothing does.
    pub(super) async fn own_entry(&self, run: &Run) -> Result<Option<entry::Entry>, Error> {
        let Some(key) = &run.body.key else { return Ok(None) };
        let Some(entry) = self.entry_of(key).await? else { return Ok(None) };
        if entry.body.run.as_deref() == Some(run.id()) {
            return Ok(Some(entry));
        }
        Err(Error::KeyTaken { id: run.id().to_owned(), key: key.clone(), run: entry.body.run })
    }

    /// What stands under `key`.
    pub(super) async fn entry_of(&self, key: &str) -> Result<Option<entry::Entry>, Error> {
        let Some(record) = self.store().get(Ns::LEDGER, key).await? else { return Ok(None) };
        let detail = || String::from("its ledger entry is not one that this release understands");
        let entry = entry::Entry::from_record(record);
        entry.map(Some).ok_or_else(|| Error::Unreadable { id: key.to_owned(), detail: detail() })
    }

    /// The write that opens the ledger entry of a run again that a person sends on.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] if the key is other work's by now; when the store cannot be read.
    pub(super) async fn reopen_entry(&self, run: &Run, by: &str) -> Result<Option<Write>, Error> {
        let (Some(entry), Some(key)) = (self.own_entry(run).await?, &run.body.key) else {
            let Some(print) = run.body.key.as_ref().and(run.record.fingerprint.as_deref()) else {
                return Ok(None);
            };
            // Forgotten meanwhile: the key is free, and the run's once more.
            return print.parse().ok().map(|print| opening_again(run, &print, by)).transpose();
        };
        if matches!(entry.status, Status::Claimed | Status::Succeeded) {
            return Ok(None);
        }
        let body = entry::Body::open(Some(run.id().to_owned()), entry.body.generation);
        let why = format!("run {} goes round again", run.id());
        let to = Status::Claimed;
        let event = Event::new(Some(entry.status.as_str()), to.as_str(), by, "claim.reopened", why);
        let expect = Expect::Version(entry.record.version);
        Ok(Some(entry::settling(key, expect, &body, to, None, event)))
    }
}

/// The write that opens the entry of a run whose key nobody has.
pub(super) fn opening_again(run: &Run, print: &Fingerprint, by: &str) -> Result<Write, Error> {
    let text = run.body.key.as_deref().unwrap_or_default();
    let key: Key = text.parse().map_err(|error: crate::base::canonical::InvalidKey| Error::Unreadable {
        id: run.id().to_owned(),
        detail: format!("its key: {error}"),
    })?;
    let body = entry::Body::open(Some(run.id().to_owned()), run.body.generation);
    let why = format!("by run {}, whose entry was forgotten", run.id());
    let event = Event::new(None, Status::Claimed.as_str(), by, "claim.reopened", why);
    Ok(entry::opening(&key, Expect::Absent, print, &body, event))
}

/// How the key ends of a run that is given up and must not be done again by itself.
pub(super) fn not_to_be_repeated(run: &Body) -> Option<Outcome> {
    let of = |state: StepState| {
        run.steps.iter().find(move |step| step.effect == Effect::Unsafe && step.state == state)
    };
    if let Some(step) = of(StepState::Started) {
        let why = format!("{}; step {} was begun and its outcome is not known", run.why, step.name);
        return Some(Outcome::NeedsReview { why });
    }
    if let Some(step) = of(StepState::Skipped) {
        let why =
            format!("{}; step {} was left out, and may have been begun before that", run.why, step.name);
        return Some(Outcome::NeedsReview { why });
    }
    of(StepState::Done).map(|step| Outcome::Failed {
        class: Class::Permanent,
        code: run.code.clone(),
        why: format!("{}; step {} was done, and is unsafe to repeat", run.why, step.name),
    })
}

enum Judged {
    Free,
    Existing(Box<Run>, claim::Decision),
    Settled(claim::Settled),
    Conflict,
}

enum Creation {
    Done(Box<Run>),
    Raced(Option<Box<entry::Entry>>),
}

fn conflict(key: Key, entry: &entry::Entry, given: &Fingerprint) -> Submitted {
    Submitted::Conflict {
        key,
        stored: entry.record.fingerprint.clone().unwrap_or_default(),
        given: given.to_string(),
        run: entry.body.run.clone(),
    }
}

pub(super) fn opening_run(id: &str, new: &NewRun, body: &mut Body, fingerprint: &Fingerprint) -> Write {
    let (state, why) = match new.take {
        Some(_) => (State::Processing, "submitted, and taken at once"),
        None => (State::Queued, "submitted"),
    };
    body.code = String::from("run.submitted");
    body.why = why.to_owned();
    let mut put = Put {
        state: Some(state.as_str().to_owned()),
        kind: Some(kind_of(&new.job, body.schema)),
        rank: Some(new.rank),
        serial_key: Change::Set(new.serial_key.clone()),
        due_at: Change::Set(new.due_at),
        // By the store's clock: that of whoever submits it may be ahead.
        due_in: new.due_at.is_none().then_some(Duration::ZERO),
        expires_at: Change::Set(new.expires_at),
        fingerprint: Change::to(fingerprint.to_string()),
        body: Some(moves::to_text(body)),
        ..Put::default()
    };
    if let Some(lease) = new.take {
        put.fence = crate::remember::store::Fencing::Grant;
        put.lease = LeaseChange::For(lease);
        put.due_at = Change::CLEAR;
        put.due_in = None;
    }
    let event = Event::new(None, state.as_str(), &new.actor, "run.submitted", why);
    Write::new(Ns::RUN, id, Expect::Absent, put).event(event)
}
