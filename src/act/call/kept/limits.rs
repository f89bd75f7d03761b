//! Quotas and budgets that processes share: by compare-and-set, quotas a block at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::act::call::Refusing;
use crate::act::call::face::Face;
use crate::act::call::gate::{Gate, Passage};
use crate::act::call::kept::{
    Keeper, PersistError, Refused, STORE_RETRY, STORE_WAIT, StoreDown, TRIES_MAX, name,
};
use crate::act::log;
use crate::base::fault::Fault;
use crate::base::rng::{self, Rng};
use crate::base::time::{Clock, Moment, Now, Timestamp, later, nanos};
use crate::decide::budget::{self, Budget, Spend};
use crate::decide::quota::{self, Block, Limit, Reserve, TakeBlock};

/// A block is a tenth of a burst, or of what comes back while the store is asked; at most so many.
const BLOCK_MAX: u32 = 1000;
/// How long a block should last, so that the store is not asked for each call of a fast quota.
const BLOCK_LASTS: Duration = Duration::from_millis(50);

/// How often a quota or a budget is tried when others write too. Each time that one fails another has succeeded.
const LIMIT_TRIES_MAX: u32 = 64;

/// Why there is no block, and when there is one.
type NoBlock = (quota::Refusing, Duration, Timestamp);

impl Keeper {
    /// Takes one from the quota `index`, waiting for it at most until the moment `until`.
    pub(in crate::act::call) async fn take<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        (index, limit): (usize, &Limit),
        passage: &mut Passage<'_, K>,
        until: Moment,
    ) -> Result<(), Refused> {
        let clock = passage.clock();
        let turn = self.turn_of(gate);
        loop {
            if self.use_block(gate, index, passage, clock.moment()) {
                return Ok(());
            }
            let mine = self.wait(face, &turn).await;
            let now = clock.now();
            // Whoever had the turn before may have brought enough for all.
            if self.use_block(gate, index, passage, now.moment) {
                return Ok(());
            }
            let asked = match &mine {
                Ok(_) => self.next_block(face, gate, (index, limit), clock).await,
                Err(_) => Err(PersistError::Silent { after: STORE_WAIT }),
            };
            let (why, wait, retry_at) = match asked {
                Ok(Ok(block)) => {
                    passage.used(Arc::clone(&block));
                    self.with(gate, |cell| {
                        cell.blocks.resize(cell.blocks.len().max(index + 1), None);
                        cell.blocks[index] = Some(block);
                    });
                    return Ok(());
                }
                Ok(Err(refused)) => refused,
                Err(error) => {
                    drop(mine);
                    return self.take_without_store(face, gate, index, passage, until, &error).await;
                }
            };
            drop(mine);
            if now.moment.after(wait) > until {
                return Err((Refusing::Quota(why), retry_at));
            }
            face.sleep(wait.max(Duration::from_nanos(1))).await;
        }
    }

    /// Pays for a retry.
    pub(in crate::act::call) async fn spend<W: Face>(
        &self,
        face: &W,
        dependency: &str,
        budget: &Budget,
        fault: &Fault,
        now: Now,
    ) -> Result<(), Refused> {
        match self.spend_shared(face, dependency, budget, fault, now).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((why, retry_at))) => Err((Refusing::Budget(why), retry_at)),
            Err(error) => {
                log::not_kept(dependency, &error);
                match self.together.unwrap_or_default() {
                    StoreDown::FailOpen => Ok(()),
                    StoreDown::FailClosed => Err((Refusing::StoreDown, later(now.wall, STORE_RETRY))),
                    StoreDown::Local => match budget.admit(fault, now) {
                        budget::Admit::Allow { .. } => Ok(()),
                        budget::Admit::Refuse { why, retry_at, .. } => Err((Refusing::Budget(why), retry_at)),
                    },
                }
            }
        }
    }

    /// Gives back what is left of the blocks, and writes what successes have brought back.
    pub(in crate::act::call) async fn settle_up<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        limits: &[Limit],
        budget: Option<&Budget>,
        now: Now,
    ) -> Result<(), PersistError> {
        let turn = self.turn_of(gate);
        let mine = self.wait(face, &turn).await?;
        let blocks = self.with(gate, |cell| std::mem::take(&mut cell.blocks));
        for (index, (block, limit)) in blocks.into_iter().zip(limits).enumerate() {
            // A block that a call is using right now decays by itself.
            let Some(block) = block.and_then(Arc::into_inner) else { continue };
            let name = quota_name(gate, index);
            let found: Option<(u64, quota::Snapshot)> = self.load_as(face, &name).await?;
            let Some((version, found)) = found else { continue };
            let back = found.give_block_back(limit, block, now).map_err(PersistError::unreadable)?;
            let Some(back) = back else { continue };
            match self.save_as(face, &name, &back, Some(version)).await {
                Ok(_) | Err(PersistError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        drop(mine);
        match budget {
            Some(budget) if self.successes.load(Ordering::Relaxed) > 0 => {
                self.deposit(face, gate, budget, now).await
            }
            _ => Ok(()),
        }
    }

    async fn deposit<W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        budget: &Budget,
        now: Now,
    ) -> Result<(), PersistError> {
        let name = format!("budget/{}", gate.name());
        let turn = self.budget_turn();
        let _mine = self.wait(face, &turn).await?;
        for _ in 0..TRIES_MAX {
            let found: Option<(u64, budget::Snapshot)> = self.load_as(face, &name).await?;
            let Some((version, found)) = found else { return Ok(()) };
            let successes = self.successes.swap(0, Ordering::Relaxed);
            let paid =
                found.succeeded(budget.policy(), successes, now.wall).map_err(PersistError::unreadable)?;
            let Some(paid) = paid else { return Ok(()) };
            match self.save_as(face, &name, &paid, Some(version)).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    self.successes.fetch_add(successes, Ordering::Relaxed);
                    if !matches!(error, PersistError::Conflict) {
                        return Err(error);
                    }
                }
            }
        }
        Err(PersistError::Conflict)
    }

    async fn spend_shared<W: Face>(
        &self,
        face: &W,
        dependency: &str,
        budget: &Budget,
        fault: &Fault,
        now: Now,
    ) -> Result<Result<(), (budget::Refusing, Timestamp)>, PersistError> {
        let (name, policy) = (format!("budget/{dependency}"), budget.policy());
        let turn = self.budget_turn();
        let _mine = self.wait(face, &turn).await?;
        for again in 0..LIMIT_TRIES_MAX {
            step_aside(face, again).await;
            let found: Option<(u64, budget::Snapshot)> = self.load_as(face, &name).await?;
            let (version, mut shared) = match found {
                Some((version, found)) => (Some(version), found),
                None => {
                    let fresh = budget::Snapshot::fresh(dependency, policy, now.wall);
                    (None, fresh.map_err(PersistError::unreadable)?)
                }
            };
            let successes = self.successes.swap(0, Ordering::Relaxed);
            if let Some(paid) =
                shared.succeeded(policy, successes, now.wall).map_err(PersistError::unreadable)?
            {
                shared = paid;
            }
            let spent =
                shared.spend(policy, policy.cost(fault), now.wall).map_err(PersistError::unreadable)?;
            let snapshot = match spent {
                Spend::Refuse { why, retry_at, .. } => {
                    self.successes.fetch_add(successes, Ordering::Relaxed);
                    return Ok(Err((why, retry_at)));
                }
                Spend::Allow { snapshot, .. } => snapshot,
            };
            match self.save_as(face, &name, &snapshot, version).await {
                Ok(_) => {
                    let _noticed = budget.adopt(&snapshot, now);
                    return Ok(Ok(()));
                }
                Err(error) => {
                    self.successes.fetch_add(successes, Ordering::Relaxed);
                    if !matches!(error, PersistError::Conflict) {
                        return Err(error);
                    }
                }
            }
        }
        Err(PersistError::Conflict)
    }

    /// A block of the quota of which one is used already, or when there is one.
    async fn next_block<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        (index, limit): (usize, &Limit),
        clock: &K,
    ) -> Result<Result<Arc<Block>, NoBlock>, PersistError> {
        // What is left of the old one, such as the most part of one that was given back, goes towards the new one.
        let old = self.with(gate, |cell| cell.blocks.get(index).cloned().flatten());
        let rest = old.as_deref().map(Block::take_rest);
        let asked = self.ask_block(face, gate, (index, limit), rest.as_ref(), clock).await;
        if !matches!(asked, Ok(Ok(_)))
            && let (Some(old), Some(rest)) = (old, rest)
        {
            old.put_rest(rest);
        }
        asked
    }

    async fn ask_block<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        (index, limit): (usize, &Limit),
        rest: Option<&Block>,
        clock: &K,
    ) -> Result<Result<Arc<Block>, NoBlock>, PersistError> {
        let name = quota_name(gate, index);
        for again in 0..LIMIT_TRIES_MAX {
            step_aside(face, again).await;
            let found: Option<(u64, quota::Snapshot)> = self.load_as(face, &name).await?;
            let now = clock.now();
            let (version, mut shared) = match found {
                Some((version, found)) => (Some(version), found),
                None => (None, quota::Snapshot::fresh(gate.name(), limit, now)),
            };
            if let Some(rest) = rest {
                let back = shared.give_block_back(limit, rest.twin(), now);
                shared = back.map_err(PersistError::unreadable)?.unwrap_or(shared);
            }
            match shared.take_block(limit, block_size(limit), now).map_err(PersistError::unreadable)? {
                TakeBlock::Refused { why, wait, retry_at } => return Ok(Err((why, wait, retry_at))),
                TakeBlock::Granted { snapshot, block, .. } => {
                    match self.save_as(face, &name, &snapshot, version).await {
                        Ok(_) => {
                            // The first of it is for the one who asked, as of when he did.
                            let _first = block.use_one(now.moment);
                            return Ok(Ok(Arc::new(block)));
                        }
                        Err(PersistError::Conflict) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Err(PersistError::Conflict)
    }

    async fn take_without_store<K: Clock, W: Face>(
        &self,
        face: &W,
        gate: Gate<'_>,
        index: usize,
        passage: &mut Passage<'_, K>,
        until: Moment,
        error: &PersistError,
    ) -> Result<(), Refused> {
        log::not_kept(gate.name(), error);
        let now = passage.clock().now();
        match self.together.unwrap_or_default() {
            StoreDown::FailOpen => Ok(()),
            StoreDown::FailClosed => Err((Refusing::StoreDown, later(now.wall, STORE_RETRY))),
            StoreDown::Local => match gate.reserve(index, now, until.since(now.moment)) {
                Some(Reserve::Wait { taken, delay, .. }) => {
                    passage.took(index, taken);
                    face.sleep(delay).await;
                    Ok(())
                }
                Some(Reserve::Refuse { why, retry_at, .. }) => Err((Refusing::Quota(why), retry_at)),
                Some(Reserve::Ready(taken)) => {
                    passage.took(index, taken);
                    Ok(())
                }
                None => Ok(()),
            },
        }
    }

    /// Uses one of the block that is there, if it has one.
    fn use_block<K: Clock>(
        &self,
        gate: Gate<'_>,
        index: usize,
        passage: &mut Passage<'_, K>,
        now: Moment,
    ) -> bool {
        let block = self.with(gate, |cell| cell.blocks.get(index).cloned().flatten());
        let Some(block) = block.filter(|block| block.use_one(now)) else { return false };
        passage.used(block);
        true
    }

    async fn load_as<T: DeserializeOwned, W: Face>(
        &self,
        face: &W,
        name: &str,
    ) -> Result<Option<(u64, T)>, PersistError> {
        let Some((version, json)) = self.asked(face, self.store.load(name)).await? else { return Ok(None) };
        Ok(Some((version, serde_json::from_str(&json).map_err(PersistError::unreadable)?)))
    }

    async fn save_as<T: Serialize, W: Face>(
        &self,
        face: &W,
        name: &str,
        value: &T,
        expect: Option<u64>,
    ) -> Result<u64, PersistError> {
        let json = serde_json::to_string(value).map_err(PersistError::unreadable)?;
        self.asked(face, self.store.save(name, json, expect)).await
    }
}

fn quota_name(gate: Gate<'_>, index: usize) -> String {
    name(&format!("quota-{index}"), gate)
}

/// Lets others go first, for a little longer each time: two that come back at the same instant would meet again.
async fn step_aside<W: Face>(face: &W, again: u32) {
    if again > 1 {
        let most = nanos(Duration::from_millis(1)) << again.min(6);
        face.sleep(Duration::from_nanos(Rng::seeded(rng::entropy()).up_to(most))).await;
    }
}

/// How many are taken at a time.
fn block_size(limit: &Limit) -> u32 {
    match limit {
        Limit::Rate(quota) => {
            let lasting = nanos(BLOCK_LASTS) / nanos(quota.interval()).max(1);
            let tenth = quota.burst_max() / 10;
            let size = tenth.max(u32::try_from(lasting).unwrap_or(u32::MAX)).clamp(1, BLOCK_MAX);
            size.min(quota.burst_max())
        }
        Limit::Calendar(calendar) => (calendar.limit() / 100).clamp(1, BLOCK_MAX),
    }
}
