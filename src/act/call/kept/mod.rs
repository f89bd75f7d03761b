//! The state of a call between processes.
//!
//! Two ways. Processes that follow each other (`together` is `None`): the breaker is loaded at first use, and written
//! when it has moved. Processes that run together: it is read before each attempt, a probe is written before it is made,
//! and a failure is counted by compare-and-set on top of what the others have counted. Quotas and budgets are taken by
//! compare-and-set in both ways, quotas a block at a time, so that not even a kill lets the next process take too much.
//!
//! Every write carries the version that was read; what somebody else has written in between is taken over, and the
//! decision is made again on top of it. A store that fails, or says nothing for [`STORE_WAIT`], fails no call unless it
//! was told to: [`StoreDown`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::act::call::Refusing;
use crate::act::call::face::{Face, within};
use crate::act::call::gate::{Gate, Mark, Passage, block_for};
use crate::act::log;
use crate::base::fault::Fault;
use crate::base::time::{Clock, Now, Timestamp, between, later};
use crate::decide::breaker::{Admit, Moved, Outcome, Permit, Restoring, Snapshot, Standing};
use crate::decide::quota;

mod limits;
mod saved;
mod switches;
#[cfg(test)]
mod tests;
mod turn;

pub use saved::PersistError;
pub(crate) use saved::Saved;
use switches::Switches;
use turn::Turn;

/// How often a write is tried when others write too.
const TRIES_MAX: u32 = 8;
/// How long the store is waited for before the call goes on without it.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// When asking again makes sense after the store did not answer.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// Of how many accounts it is remembered what was read last. What is forgotten is read again.
const ACCOUNTS_MAX: usize = 100_000;

/// What happens to a call whose [shared](crate::act::call::Builder::share) state cannot be read or written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StoreDown {
    /// It goes on by what this process knows: its own breaker, and quotas and budgets as if it were alone.
    #[default]
    Local,
    /// It goes on as if there were neither breaker nor quota nor budget.
    FailOpen,
    /// It is refused.
    FailClosed,
}

pub(super) struct Keeper {
    store: Arc<dyn Saved>,
    together: Option<StoreDown>,
    own: Mutex<Cell>,
    accounts: Mutex<HashMap<Box<str>, Cell>>,
    /// Successes that bring something back to the budget, and are not written.
    successes: AtomicU32,
    /// How often the store gave no answer.
    silences: AtomicU32,
    switches: Switches,
}

/// What is known of the store, for one gate.
#[derive(Debug, Default)]
struct Cell {
    /// Whether a call was made at all.
    used: bool,
    loaded: bool,
    version: Option<u64>,
    /// What of the breaker stands in the store; `None` makes a write due.
    saved: Option<Mark>,
    /// Whether what stands there is closed with no failure in a row.
    clean: bool,
    /// Successes that were counted here and are not written.
    pending: u32,
    /// The blocks taken from the quotas, by their index.
    blocks: Vec<Option<Arc<quota::Block>>>,
    turn: Arc<Turn>,
    /// What was sent last, while nobody knows whether it stands.
    sent: Option<String>,
}

/// What stands in the store: its version, what it says, and its text.
type Found = (u64, Snapshot, String);

impl Cell {
    /// What was sent and never answered may stand all the same: then it is our own, and nothing that we do not know.
    fn recognise(&mut self, found: Option<&Found>) {
        if let Some((version, snapshot, text)) = found
            && self.sent.as_ref() == Some(text)
        {
            self.version = Some(*version);
            self.saved = None;
            self.clean = snapshot.is_clean();
        }
        self.sent = None;
    }
}

/// How an attempt has ended, until it is counted. Dropped, it is counted in this process.
struct Ended<'a> {
    gate: Gate<'a>,
    permit: Option<Permit>,
    outcome: Outcome,
    fault: Option<&'a Fault>,
    now: Now,
}

impl Ended<'_> {
    fn settle(&mut self) -> Moved {
        if let Some(wait) = self.fault.and_then(block_for) {
            self.gate.block(wait, self.now);
        }
        let hint = self.fault.and_then(|fault| fault.retry_after);
        let permit = self.permit.take().unwrap_or_else(Permit::unscored);
        self.gate.settle(permit, self.outcome, hint, self.now)
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if self.permit.is_some() {
            log::moved(self.gate.name(), &self.settle());
        }
    }
}

/// Why a call is not let in, or may be by the policy for stores that are down.
type Refused = (Refusing, Timestamp);

impl Keeper {
    pub(super) fn new(store: Arc<dyn Saved>, together: Option<StoreDown>) -> Self {
        Self {
            store,
            together,
            own: Mutex::default(),
            accounts: Mutex::default(),
            successes: AtomicU32::new(0),
            silences: AtomicU32::new(0),
            switches: Switches::default(),
        }
    }

    /// Asks the breaker, as it stands for all.
    pub(super) async fn admit<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        clock: &K,
    ) -> Result<Permit, Refused> {
        let switched = self.switched(face, gate, clock.now()).await;
        let turn = self.with(gate, |cell| {
            cell.used = true;
            Arc::clone(&cell.turn)
        });
        // A store that gave no answer to the one question is not asked the next.
        let quietly = match switched {
            Ok(Ok(Some(permit))) => return Ok(permit),
            Ok(Err(refused)) => return Err(refused),
            Ok(Ok(None)) => self.admit_quietly(face, gate, clock).await,
            Err(error) => Err(error),
        };
        let mine = match quietly {
            Ok(Some(permit)) => return Ok(permit),
            Ok(None) if self.together.is_some() => self.wait(face, &turn).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let _mine = match mine {
            Ok(mine) => mine,
            Err(error) => return self.without_store(gate, clock.now(), &error),
        };
        for _ in 0..TRIES_MAX {
            let synced = self.sync(face, gate, clock.now()).await;
            let now = clock.now();
            if let Err(error) = synced {
                return self.without_store(gate, now, &error);
            }
            // Dropped while this waits, it gives the permit back.
            let mut passage = Passage::new(gate, clock, now.moment);
            let refused = match gate.admit(now) {
                Admit::Allow { permit, .. } => {
                    passage.admitted(permit);
                    None
                }
                Admit::Refuse { why, retry_at } => Some((Refusing::Breaker(why), retry_at)),
            };
            let written = self.keep(face, gate, now).await;
            let Some(permit) = passage.release() else {
                return Err(refused.unwrap_or_else(|| (Refusing::StoreDown, later(now.wall, STORE_RETRY))));
            };
            let Err(error) = written else { return Ok(permit) };
            log::not_kept(gate.name(), &error);
            let raced = matches!(error, PersistError::Conflict);
            if !raced && self.together.unwrap_or_default() != StoreDown::FailClosed {
                return Ok(permit);
            }
            // Somebody else was faster: give it back, and decide again by what he has written.
            let _abandoned = gate.settle(permit, Outcome::Abandoned, None, now);
            if !raced {
                return Err((Refusing::StoreDown, later(now.wall, STORE_RETRY)));
            }
            if self.together.is_none()
                && let Err(error) = self.meet(face, gate, now).await
            {
                return self.without_store(gate, now, &error);
            }
        }
        self.without_store(gate, clock.now(), &PersistError::Conflict)
    }

    /// While all is well and nobody else has written, there is nothing to write, and nobody waits for a turn.
    async fn admit_quietly<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        clock: &K,
    ) -> Result<Option<Permit>, PersistError> {
        if self.together.is_none() || !self.is_quiet(gate) {
            return Ok(None);
        }
        let found = self.asked(face, self.store.load(&name("breaker", gate))).await?;
        if self.with(gate, |cell| cell.version) != found.map(|(version, _)| version) || !self.is_quiet(gate) {
            return Ok(None);
        }
        match gate.admit(clock.now()) {
            Admit::Allow { permit, .. } if permit.is_probe() => {
                let _abandoned = gate.settle(permit, Outcome::Abandoned, None, clock.now());
                Ok(None)
            }
            Admit::Allow { permit, .. } => Ok(Some(permit)),
            Admit::Refuse { .. } => Ok(None),
        }
    }

    /// Whether it is closed and not blocked, and the store knows that.
    fn is_quiet(&self, gate: Gate<'_>) -> bool {
        let (mark, standing) = gate.mark();
        let known = self.with(gate, |cell| cell.version.is_some() && cell.saved == Some(mark));
        known && standing == Standing::Closed && mark.blocked_until.is_none()
    }

    /// Counts how an attempt ended, on top of what the others have counted. Dropped while it waits, it is counted here.
    pub(super) async fn settle<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        permit: Permit,
        outcome: Outcome,
        fault: Option<&Fault>,
        now: Now,
    ) {
        let plain = outcome == Outcome::Success && !permit.is_probe();
        let mut ended = Ended { gate, permit: Some(permit), outcome, fault, now };
        if self.together.is_none() {
            log::moved(gate.name(), &ended.settle());
            let kept = self.keep_merging(face, gate, now).await;
            return log::kept(gate.name(), &kept);
        }
        if plain && self.with(gate, |cell| cell.clean) {
            log::moved(gate.name(), &ended.settle());
            return self.with(gate, |cell| cell.pending = cell.pending.saturating_add(1));
        }
        let turn = self.turn_of(gate);
        let _mine = match self.wait(face, &turn).await {
            Ok(mine) => mine,
            Err(error) => return log::kept(gate.name(), &Err(error)),
        };
        for _ in 0..TRIES_MAX {
            if let Err(error) = self.sync(face, gate, now).await {
                return log::kept(gate.name(), &Err(error));
            }
            let again = ended.permit.as_ref().map(Permit::twin);
            let moved = ended.settle();
            match self.write(face, gate, now).await {
                Err(PersistError::Conflict) => ended.permit = again,
                written => {
                    log::moved(gate.name(), &moved);
                    return log::kept(gate.name(), &written);
                }
            }
        }
        log::kept(gate.name(), &Err(PersistError::Conflict));
    }

    /// Writes all that is counted.
    pub(super) async fn flush<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        now: Now,
    ) -> Result<(), PersistError> {
        if !self.with(gate, |cell| cell.used) {
            return Ok(());
        }
        let turn = self.turn_of(gate);
        let _mine = self.wait(face, &turn).await?;
        for _ in 0..TRIES_MAX {
            self.sync(face, gate, now).await?;
            match self.write(face, gate, now).await {
                Err(PersistError::Conflict) if self.together.is_some() => {}
                Err(PersistError::Conflict) => self.meet(face, gate, now).await?,
                written => return written,
            }
        }
        Err(PersistError::Conflict)
    }

    /// A call has succeeded, which may bring something back to the budget.
    pub(super) fn succeeded(&self) {
        self.successes.fetch_add(1, Ordering::Relaxed);
    }

    /// The decision when what is shared is not there.
    fn without_store(&self, gate: Gate<'_>, now: Now, error: &PersistError) -> Result<Permit, Refused> {
        log::not_kept(gate.name(), error);
        let down = self.together.unwrap_or_default();
        match (down, gate.admit(now)) {
            (StoreDown::FailClosed, decided) => {
                if let Admit::Allow { permit, .. } = decided {
                    let _abandoned = gate.settle(permit, Outcome::Abandoned, None, now);
                }
                Err((Refusing::StoreDown, later(now.wall, STORE_RETRY)))
            }
            (_, Admit::Allow { permit, .. }) => Ok(permit),
            (StoreDown::FailOpen, Admit::Refuse { .. }) => Ok(Permit::unscored()),
            (StoreDown::Local, Admit::Refuse { why, retry_at }) => Err((Refusing::Breaker(why), retry_at)),
        }
    }

    /// Takes over what stands in the store: at first use, and, for processes that run together, whenever it is new.
    async fn sync<W: Face>(&self, face: &W, gate: Gate<'_>, now: Now) -> Result<(), PersistError> {
        if self.together.is_none() && self.with(gate, |cell| cell.loaded) {
            return Ok(());
        }
        let found = self.read(face, gate).await?;
        let (version, pending) = self.with(gate, |cell| {
            cell.recognise(found.as_ref());
            (cell.version, cell.pending)
        });
        match found {
            Some((found, snapshot, _)) if version != Some(found) => {
                if self.together.is_none()
                    && self.with(gate, |cell| std::mem::replace(&mut cell.loaded, true))
                {
                    // Another task was faster, and calls may have been made since.
                    return Ok(());
                }
                self.adopt(gate, &snapshot, pending, now)?;
                self.with(gate, |cell| cell.version = Some(found));
            }
            Some(_) => {}
            None => self.with(gate, |cell| {
                cell.loaded = true;
                if cell.version.take().is_some() {
                    cell.saved = None;
                }
            }),
        }
        Ok(())
    }

    fn adopt(&self, gate: Gate<'_>, found: &Snapshot, pending: u32, now: Now) -> Result<(), PersistError> {
        let restored = gate.adopt(found, pending, now).map_err(PersistError::unreadable)?;
        let stepped = restored.reasons.iter().any(|why| matches!(why, Restoring::ClockSteppedBack { .. }));
        let (mark, _) = gate.mark();
        self.with(gate, |cell| {
            cell.loaded = true;
            // Instants that a stepped clock made senseless are written anew by the present one.
            cell.saved = (!stepped).then_some(mark);
            cell.clean = found.is_clean();
        });
        Ok(())
    }

    /// Writes if the breaker has moved since the last write, or is being probed.
    async fn keep<W: Face>(&self, face: &W, gate: Gate<'_>, now: Now) -> Result<(), PersistError> {
        let (mark, standing) = gate.mark();
        let fresh = Mark { generation: 0, blocked_until: None };
        let saved = self.with(gate, |cell| if cell.version.is_none() { Some(fresh) } else { cell.saved });
        if saved == Some(mark) && standing != Standing::HalfOpen {
            return Ok(());
        }
        self.write(face, gate, now).await
    }

    /// The same; of two that followed each other and overlap after all, the newer generation wins.
    async fn keep_merging<W: Face>(&self, face: &W, gate: Gate<'_>, now: Now) -> Result<(), PersistError> {
        for _ in 0..TRIES_MAX {
            match self.keep(face, gate, now).await {
                Err(PersistError::Conflict) => self.meet(face, gate, now).await?,
                kept => return kept,
            }
        }
        Err(PersistError::Conflict)
    }

    async fn write<W: Face>(&self, face: &W, gate: Gate<'_>, now: Now) -> Result<(), PersistError> {
        let snapshot = gate.snapshot(now);
        let (mark, _) = gate.mark();
        let json = serde_json::to_string(&snapshot).map_err(PersistError::unreadable)?;
        let (expect, pending) = self.with(gate, |cell| {
            cell.sent = Some(json.clone());
            (cell.version, cell.pending)
        });
        let saved = self.asked(face, self.store.save(&name("breaker", gate), json, expect)).await;
        if matches!(saved, Err(PersistError::Conflict)) {
            self.with(gate, |cell| cell.sent = None);
        }
        let version = saved?;
        self.with(gate, |cell| {
            cell.sent = None;
            cell.version = Some(version);
            cell.saved = Some(mark);
            cell.clean = snapshot.is_clean();
            cell.pending = cell.pending.saturating_sub(pending);
        });
        Ok(())
    }

    /// Somebody else has written: takes over what is newer there, and keeps the longer block.
    async fn meet<W: Face>(&self, face: &W, gate: Gate<'_>, now: Now) -> Result<(), PersistError> {
        let ours = gate.mark().0;
        let found = self.read(face, gate).await?;
        self.with(gate, |cell| {
            cell.sent = None;
            cell.version = found.as_ref().map(|(version, ..)| *version);
        });
        let Some((_, theirs, _)) = found else { return Ok(()) };
        let longer = if theirs.generation() > ours.generation {
            self.adopt(gate, &theirs, 0, now)?;
            ours.blocked_until
        } else {
            theirs.blocked_until()
        };
        if let Some(until) = longer.filter(|until| *until > now.wall) {
            gate.block(between(now.wall, until), now);
        }
        Ok(())
    }

    async fn read<W: Face>(&self, face: &W, gate: Gate<'_>) -> Result<Option<Found>, PersistError> {
        let found = self.asked(face, self.store.load(&name("breaker", gate))).await?;
        let Some((version, json)) = found else { return Ok(None) };
        let snapshot = serde_json::from_str(&json).map_err(PersistError::unreadable)?;
        Ok(Some((version, snapshot, json)))
    }

    /// The store's answer, if it comes in time.
    async fn asked<T, W: Face>(
        &self,
        face: &W,
        answer: impl Future<Output = Result<T, PersistError>>,
    ) -> Result<T, PersistError> {
        within(face, answer, STORE_WAIT).await.unwrap_or_else(|| {
            self.silences.fetch_add(1, Ordering::SeqCst);
            Err(PersistError::Silent { after: STORE_WAIT })
        })
    }

    fn with<T>(&self, gate: Gate<'_>, work: impl FnOnce(&mut Cell) -> T) -> T {
        let Some(account) = gate.account() else {
            return work(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = accounts.get_mut(account) {
            return work(cell);
        }
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.clear();
        }
        work(accounts.entry(account.into()).or_default())
    }
}

/// Under which name something of a gate is kept. The length keeps names and accounts apart, whatever is in them.
fn name(what: &str, gate: Gate<'_>) -> String {
    let name = gate.name();
    match gate.account() {
        None => format!("{what}/{name}"),
        Some(account) => format!("{what}-account/{}/{name}/{account}", name.len()),
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("together", &self.together)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}
