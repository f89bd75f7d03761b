//! The same work once more, as a new run: with the ledger honoured, or in a new generation of its key.

use std::collections::BTreeMap;

use crate::base::canonical::{Fingerprint, Key};
use crate::base::effect::Effect;
use crate::base::time::Timestamp;
use crate::decide::claim::{Decision, Free, Status};
use crate::remember::ledger::{Outcome, entry};
use crate::remember::runs::marks::{REPLAYED, beside};
use crate::remember::runs::{
    ATTEMPTS_MAX, Body, Error, Json, NewRun, Reason, Run, Runs, StepRecord, StepState, UndoState, Verb, Word,
    submit,
};
use crate::remember::store::{Batch, Event, Expect, Put, Write};

/// What became of a replay.
#[derive(Clone, Debug)]
#[must_use]
pub enum Replayed {
    /// The same run is queued, and goes on from its last checkpoint.
    Resumed(Box<Run>),
    /// A new run is queued; its `replay_of` names the one that it replays.
    Created(Box<Run>),
    /// Nothing is done: the ledger says that the work was.
    Duplicate {
        /// The key.
        key: String,
        /// The run that did it, if one did.
        run: Option<String>,
        /// What it gave.
        result: Json,
    },
}

/// What the ledger makes of a replay.
enum Told {
    /// The key is free for the new run: the entry that stands there, and the generation of the run.
    Open(Option<Box<entry::Entry>>, u32),
    Done(Replayed),
}

impl Runs {
    /// Queues a new run of the same input under the same key, due at the word's time. What the ledger says is honoured:
    /// work that was done gives its result back, and nothing is done.
    ///
    /// The input is the one that the run has now: one that was fixed stays fixed. Every step begins anew.
    ///
    /// # Errors
    /// [`Error::Live`] if the run has not ended; [`Error::Forestalled`] if somebody has moved or replayed it since `seen`
    /// was read; [`Error::InDoubt`] if nobody knows whether the work was done; [`Error::UnsafeAgain`] if the run has begun
    /// an unsafe step that was not undone; [`Error::KeyTaken`] if another run has its key by now, and has not succeeded;
    /// [`Error::OtherPayload`] if its key was used for something else since; when the store cannot be read or written.
    pub async fn rerun(&self, seen: &Run, word: Word<'_>) -> Result<Replayed, Error> {
        self.replay(seen, Verb::Rerun, word).await
    }

    /// Queues a new run of the same input in a new generation of its key, whatever the ledger says: the work is done once
    /// more, unsafe steps too, and other systems are given a key of the new generation.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a reason; [`Error::Live`], [`Error::Forestalled`] as [`rerun`](Self::rerun);
    /// [`Error::KeyTaken`] if somebody works under the key right now; when the store cannot be read or written.
    pub async fn force(&self, seen: &Run, word: Word<'_>) -> Result<Replayed, Error> {
        if word.why.trim().is_empty() {
            return Err(Error::Invalid {
                field: "why",
                given: String::from("empty"),
                allowed: String::from("a reason why the work is right to be done once more"),
            });
        }
        self.replay(seen, Verb::Force, word).await
    }

    async fn replay(&self, seen: &Run, verb: Verb, word: Word<'_>) -> Result<Replayed, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let run = self.unmoved(seen).await?;
            if !verb.takes(run.state()) {
                let held_by = run.record.owner.clone().filter(|_| run.record.leased());
                return Err(Error::Live { id: run.id().to_owned(), state: run.state(), held_by });
            }
            let told = match verb {
                Verb::Force => self.forced(&run).await,
                _ => self.honoured(&run, word.at).await,
            };
            if let Err(Error::KeyTaken { .. }) = &told {
                // Perhaps by somebody who replays it at this moment: then that is the answer.
                self.unmoved(seen).await?;
            }
            let (entry, generation) = match told? {
                Told::Open(entry, generation) => (entry, generation),
                Told::Done(replayed) => return Ok(replayed),
            };
            let id = uuid::Uuid::now_v7().to_string();
            let batch = creating(&id, &run, entry.as_deref(), generation, verb, word)?;
            match self.apply_batch(batch).await {
                Ok(_) => return Ok(Replayed::Created(Box::new(self.must_get(&id).await?))),
                Err(Error::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contended { id: seen.id().to_owned(), attempts: ATTEMPTS_MAX })
    }

    /// What the ledger says to another run of the same work.
    async fn honoured(&self, run: &Run, at: Timestamp) -> Result<Told, Error> {
        let id = || run.id().to_owned();
        let entry = match &run.body.key {
            Some(key) => self.entry_of(key).await?,
            None => None,
        };
        let given = run.record.fingerprint.clone().unwrap_or_default();
        let stands = entry
            .as_ref()
            .filter(|entry| !matches!(entry.judge(&given, at), Decision::Fresh(Free::Expired { .. })));
        if let (Some(entry), Some(key)) = (stands, &run.body.key) {
            let (key, owner) = (key.clone(), entry.body.run.clone());
            match &entry.record.fingerprint {
                Some(stored) if *stored != given => {
                    return Err(Error::OtherPayload { id: id(), key, stored: stored.clone(), given });
                }
                _ => {}
            }
            match &entry.body.outcome {
                Some(Outcome::Succeeded { result }) => {
                    return Ok(Told::Done(Replayed::Duplicate { key, run: owner, result: result.clone() }));
                }
                Some(Outcome::NeedsReview { why }) => {
                    return Err(Error::InDoubt { id: owner.unwrap_or_else(id), key, why: why.clone() });
                }
                // What that run has begun is known from its own steps, not from this one's.
                _ if owner.as_deref() != Some(run.id()) => {
                    return Err(Error::KeyTaken { id: id(), key, run: owner });
                }
                Some(Outcome::Failed { .. }) | None => {}
            }
        }
        let begun = |step: &&StepRecord| {
            // One that was left out may have been begun before that.
            step.effect == Effect::Unsafe && step.state != StepState::Pending && step.undo != UndoState::Done
        };
        if let Some(step) = run.body.steps.iter().find(begun) {
            return Err(Error::UnsafeAgain { id: id(), step: step.name.clone() });
        }
        let generation = entry.as_ref().map_or(run.body.generation, |entry| entry.body.generation);
        Ok(Told::Open(entry.map(Box::new), generation))
    }

    /// The next generation of the key, unless somebody works under it.
    async fn forced(&self, run: &Run) -> Result<Told, Error> {
        let Some(key) = &run.body.key else {
            return Ok(Told::Open(None, run.body.generation.saturating_add(1)));
        };
        let entry = self.entry_of(key).await?;
        if let Some(entry) = entry.as_ref().filter(|entry| entry.status == Status::Claimed) {
            let worker = match &entry.body.run {
                Some(id) if id == run.id() => None,
                Some(id) => self.get(id).await?.map(|run| Some(run.id().to_owned())),
                None => Some(None),
            };
            if let Some(worker) = worker {
                return Err(Error::KeyTaken { id: run.id().to_owned(), key: key.clone(), run: worker });
            }
        }
        let known = entry.as_ref().map_or(1, |entry| entry.body.generation);
        Ok(Told::Open(entry.map(Box::new), known.max(run.body.generation).saturating_add(1)))
    }
}

/// The new run, its ledger entry, and the word of it beside the old one, in one commit.
fn creating(
    id: &str,
    run: &Run,
    entry: Option<&entry::Entry>,
    generation: u32,
    verb: Verb,
    word: Word<'_>,
) -> Result<Batch, Error> {
    let unreadable = |what: &str, error: String| Error::Unreadable {
        id: run.id().to_owned(),
        detail: format!("its {what}: {error}"),
    };
    let key = run.body.key.as_deref().map(str::parse::<Key>).transpose();
    let key = key.map_err(|error| unreadable("key", error.to_string()))?;
    let print: Fingerprint = match &run.record.fingerprint {
        Some(text) => text.parse().map_err(|error: crate::base::canonical::InvalidFingerprint| {
            unreadable("fingerprint", error.to_string())
        })?,
        None => Fingerprint::of_text(run.body.input.get())
            .map_err(|error| unreadable("input", error.to_string()))?,
    };
    let steps =
        run.body.steps.iter().map(|step| StepRecord::pending(step.name.as_str(), step.effect)).collect();
    let mut body = Body::new(run.body.input.clone(), steps);
    body.key.clone_from(&run.body.key);
    body.schema = run.body.schema;
    body.config.clone_from(&run.body.config);
    body.sensitive.clone_from(&run.body.sensitive);
    body.generation = generation;
    body.replay_of = Some(run.id().to_owned());
    body.worth = run.body.worth.as_ref().map(|worth| worth.again(word.at));
    let mut new = NewRun::new(run.job(), run.body.input.clone(), Vec::new());
    new.rank = body.worth.as_ref().map_or(run.record.rank, |worth| worth.rank(word.at));
    new.serial_key.clone_from(&run.record.serial_key);
    new.due_at = Some(word.at);
    word.by.clone_into(&mut new.actor);
    let mut opening = submit::opening_run(id, &new, &mut body, &print);
    let again = if verb == Verb::Force { "forced" } else { "submitted" };
    if let Some(event) = &mut opening.event {
        let why = word.why.trim();
        let because = if why.is_empty() { String::new() } else { format!(": {why}") };
        event.why = format!("{again} as a replay of run {}{because}", run.id());
        event.data = data([("replay_of", run.id().into()), ("generation", generation.into())]);
    }
    let reason = Reason::new(REPLAYED, word.said(&format!("has its work done by run {id}")));
    let mut told = beside(run, word.by, reason, Put::nothing());
    if let Some(event) = &mut told.event {
        event.data = data([("run", id.into()), ("mode", verb.as_str().into())]);
    }
    let mut batch = Batch::new(vec![opening, told]);
    if let Some(key) = key {
        batch.push(claiming(&key, id, entry, generation, &print, (verb, word)));
    }
    Ok(batch)
}

fn data<const N: usize>(members: [(&str, serde_json::Value); N]) -> Option<String> {
    serde_json::to_string(&BTreeMap::from(members)).ok()
}

fn claiming(
    key: &Key,
    id: &str,
    entry: Option<&entry::Entry>,
    generation: u32,
    print: &Fingerprint,
    (verb, word): (Verb, Word<'_>),
) -> Write {
    let expect = entry.map_or(Expect::Absent, |entry| Expect::LeaseOver { version: entry.record.version });
    let from = entry.map(|entry| entry.status.as_str());
    let (code, why) = match verb {
        Verb::Force => ("claim.forced", word.said(&format!("opens generation {generation} for run {id}"))),
        _ => ("claim.reopened", format!("by run {id}, a replay")),
    };
    let event = Event::new(from, Status::Claimed.as_str(), word.by, code, why);
    entry::opening(key, expect, print, &entry::Body::open(Some(id.to_owned()), generation), event)
}
