//! The state of a call between processes.
//!
//! Two ways. Processes that follow each other ([`Together`] is `None`): the breaker is loaded at first use, and written
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
use crate::act::call::gate::{Gate, Mark, block_for, told};
use crate::act::log;
use crate::base::fault::Fault;
use crate::base::time::{Clock, Now, Timestamp, between, later};
use crate::decide::breaker::{Admit, Outcome, Permit, Restoring, Snapshot, Standing};
use crate::decide::quota;

mod limits;
mod saved;
#[cfg(test)]
mod tests;

pub use saved::PersistError;
pub(crate) use saved::Saved;

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
        }
    }

    /// Asks the breaker, as it stands for all.
    pub(super) async fn admit<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        clock: &K,
    ) -> Result<Permit, Refused> {
        self.with(gate, |cell| cell.used = true);
        for _ in 0..TRIES_MAX {
            let synced = self.sync(face, gate, clock.now()).await;
            let now = clock.now();
            if let Err(error) = synced {
                return self.without_store(gate, now, &error);
            }
            let decided = gate.admit(now);
            let written = self.keep(face, gate, now).await;
            match (decided, written) {
                (Admit::Allow { permit, .. }, Ok(())) => return Ok(permit),
                (Admit::Refuse { why, retry_at }, _) => return Err((Refusing::Breaker(why), retry_at)),
                (Admit::Allow { permit, .. }, Err(error)) => {
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
            }
        }
        self.without_store(gate, clock.now(), &PersistError::Conflict)
    }

    /// Counts how an attempt ended, on top of what the others have counted.
    pub(super) async fn settle<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        permit: Permit,
        outcome: Outcome,
        fault: Option<&Fault>,
        now: Now,
    ) {
        let hint = fault.and_then(|fault| fault.retry_after);
        let plain = outcome == Outcome::Success && !permit.is_probe();
        if self.together.is_none() || (plain && self.with(gate, |cell| cell.clean)) {
            self.settle_here(gate, permit, outcome, fault, now);
            if plain {
                self.with(gate, |cell| cell.pending = cell.pending.saturating_add(1));
            }
            let kept = self.keep_merging(face, gate, now).await;
            return log::kept(gate.name(), &kept);
        }
        for _ in 0..TRIES_MAX {
            if let Err(error) = self.sync(face, gate, now).await {
                self.settle_here(gate, permit, outcome, fault, now);
                return log::kept(gate.name(), &Err(error));
            }
            if let Some(wait) = fault.and_then(block_for) {
                gate.block(wait, now);
            }
            let moved = gate.settle(permit.twin(), outcome, hint, now);
            match self.write(face, gate, now).await {
                Err(PersistError::Conflict) => {}
                written => {
                    told(gate.name(), moved);
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

    fn settle_here(&self, gate: Gate<'_>, permit: Permit, outcome: Outcome, fault: Option<&Fault>, now: Now) {
        if let Some(wait) = fault.and_then(block_for) {
            gate.block(wait, now);
        }
        told(gate.name(), gate.settle(permit, outcome, fault.and_then(|fault| fault.retry_after), now));
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
        let (version, pending) = self.with(gate, |cell| (cell.version, cell.pending));
        match found {
            Some((found, snapshot)) if version != Some(found) => {
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
        let (expect, pending) = self.with(gate, |cell| (cell.version, cell.pending));
        let version = self.asked(face, self.store.save(&name("breaker", gate), json, expect)).await?;
        self.with(gate, |cell| {
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
        self.with(gate, |cell| cell.version = found.as_ref().map(|(version, _)| *version));
        let Some((_, theirs)) = found else { return Ok(()) };
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

    async fn read<W: Face>(&self, face: &W, gate: Gate<'_>) -> Result<Option<(u64, Snapshot)>, PersistError> {
        let found = self.asked(face, self.store.load(&name("breaker", gate))).await?;
        let Some((version, json)) = found else { return Ok(None) };
        let snapshot = serde_json::from_str(&json).map_err(PersistError::unreadable)?;
        Ok(Some((version, snapshot)))
    }

    /// The store's answer, if it comes in time.
    async fn asked<T, W: Face>(
        &self,
        face: &W,
        answer: impl Future<Output = Result<T, PersistError>>,
    ) -> Result<T, PersistError> {
        within(face, answer, STORE_WAIT).await.unwrap_or(Err(PersistError::Silent { after: STORE_WAIT }))
    }

    fn with<T>(&self, gate: Gate<'_>, work: impl FnOnce(&mut Cell) -> T) -> T {
        let Some(account) = gate.account() else {
            return work(&mut self.own.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(account) {
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
