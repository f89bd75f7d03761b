//! One call while it runs: what is asked before an attempt, and what is decided after it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::act::call::face::{Face, within};
use crate::act::call::gate::{Gate, Passage};
use crate::act::call::{Call, Last, Refusing, Stopped};
use crate::act::classifier::Classifier;
use crate::act::credential;
use crate::act::log::{self, Who};
use crate::act::retrying::Episode;
use crate::base::fault::Fault;
use crate::base::time::{Clock, Moment, Now, Timestamp, later};
use crate::decide::breaker::{Admit, Permit};
use crate::decide::budget;
use crate::decide::quota::Reserve;
use crate::decide::retry::{self, Attempt, Timeline};

/// An attempt that has failed: what it holds, what it was, and how.
pub(super) type Failed<'a, K, E> = (Passage<'a, K>, Attempt, Last<E>);

pub(super) struct Ongoing<'a, E, C, K, R> {
    pub(super) call: &'a Call<C, K, R>,
    pub(super) gate: Gate<'a>,
    who: Who<'a>,
    started: Moment,
    /// From the first failure on.
    episode: Option<Episode<'a>>,
    last: Option<Last<E>>,
    /// The next attempt begins with a refresh of the credential, unless it is no longer of this generation.
    refresh: bool,
    seen: u64,
    /// Something was waited for since the breaker was asked.
    waited: bool,
}

impl<'a, E, C: Classifier<E>, K: Clock, R> Ongoing<'a, E, C, K, R> {
    pub(super) const fn begin(
        call: &'a Call<C, K, R>,
        gate: Gate<'a>,
        who: Who<'a>,
        started: Moment,
        seen: u64,
    ) -> Self {
        Self { call, gate, who, started, episode: None, last: None, refresh: false, seen, waited: false }
    }

    #[cfg(feature = "store")]
    pub(super) const fn started(&self) -> Moment {
        self.started
    }

    /// Everything that is asked before an attempt, from the outside in. A refusal is not an attempt; it ends the call.
    pub(super) async fn enter<W: Face>(&mut self, face: &W) -> Result<(Passage<'a, K>, Attempt), Stopped<E>> {
        self.in_time(self.call.clock.now())?;
        self.with_credential(face).await?;
        let mut passage = Passage::new(self.gate, &self.call.clock, self.started);
        let permit = self.through_breaker(face).await?;
        passage.admitted(permit);
        self.waited = false;
        self.through_quotas(face, &mut passage).await?;
        #[cfg(feature = "rate-limit")]
        self.through_rate_limit(face).await?;
        self.through_bulkhead(face, &mut passage).await?;
        // Of a hundred that wait for their turn, ninety must not go to a service that has failed for the first ten.
        if self.waited && passage.lets_go(self.call.clock.now()) {
            let permit = self.through_breaker(face).await?;
            passage.admitted(permit);
        }
        let now = self.call.clock.now();
        let attempt = self.attempt(now)?;
        passage.begins(now.moment);
        Ok((passage, attempt))
    }

    // Not by a shared reference: a future that holds one would ask for errors that are `Sync`.
    pub(super) async fn succeeded<W: Face>(&mut self, face: &W, passage: Passage<'a, K>, attempt: Attempt) {
        if let Some(budget) = &self.call.budget {
            budget.succeeded(passage.began());
        }
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.call.keeper {
            if self.call.budget.as_ref().is_some_and(budget::Budget::wants_successes) {
                keeper.succeeded();
            }
            let (began, now) = (passage.began(), self.call.clock.now());
            if let Some((permit, outcome)) = passage.ends(None, now) {
                keeper.settle(face, self.gate, permit, outcome, None, now).await;
            }
            log::succeeded(self.who, attempt.number(), now.moment.since(began));
            return;
        }
        let _ = face;
        passage.succeeded(self.who, attempt.number());
    }

    /// Scores the failure and decides: how long to wait, or how the call ends.
    pub(super) async fn failed<W: Face>(
        &mut self,
        face: &W,
        (passage, attempt, last): Failed<'a, K, E>,
    ) -> Result<Duration, Stopped<E>> {
        let call = self.call;
        let fault = call.overrides.apply(last.fault(|error| call.classify.fault(error)));
        let (began, now) = (passage.began(), call.clock.now());
        // What was cut has not overrun, however late the timer was.
        let cut = matches!(last, Last::TimedOut { .. });
        let overrun = now.moment.since(began).checked_sub(attempt.remaining());
        let overrun = overrun.filter(|over| !over.is_zero() && !cut);
        self.score(face, passage, &fault, now).await;
        let (who, started) = (self.who, self.started);
        let episode = self.episode.get_or_insert_with(|| {
            let nth = call.failing.fetch_add(1, Ordering::Relaxed);
            let seed = retry::seed(call.seed.wrapping_add(nth), call.name());
            Episode::new(&call.retry, who, Some(started), &call.clock, seed)
        });
        episode.began_at(began);
        let wait = match episode.failed_late(now, &fault, overrun) {
            Ok(wait) => wait,
            Err(end) => return Err(end.with(last, std::mem::take(&mut episode.timeline))),
        };
        self.last = Some(last);
        self.refresh = episode.refreshes();
        // Waiting for an attempt that would be refused is waiting for nothing.
        if let Some((why, retry_at)) = self.gate.refusal(now.after(wait.delay)) {
            return Err(self.refused(Refusing::Breaker(why), retry_at));
        }
        self.spend(face, &fault, now).await.map_err(|(why, retry_at)| self.refused(why, retry_at))?;
        let delay = wait.delay;
        Ok(self.episode.as_mut().map_or(delay, |episode| episode.waits(wait)))
    }

    /// The credential is not used when it needs a person, and is refreshed once after it was refused.
    async fn with_credential<W: Face>(&mut self, face: &W) -> Result<(), Stopped<E>> {
        let Some(credential) = self.call.credentials.of(self.gate) else { return Ok(()) };
        let now = self.call.clock.now();
        let until = later(now.wall, self.call.retry.patience());
        let mut refused = credential.refusal();
        if refused.is_none() && std::mem::take(&mut self.refresh) {
            let limit = self.left(now).min(self.call.attempt_timeout);
            refused = match within(face, credential.renew(self.seen), limit).await {
                Some(renewed) => renewed.err(),
                None => Some(credential::Refusing::Elsewhere { retry_at: until }),
            };
        }
        if let Some(why) = refused {
            let retry_at = why.retry_at().unwrap_or(until);
            // Only a person can help: a run that needs it waits for that, not for a time.
            let person = why.needs_human().then(|| credential.name());
            return Err(self.refused_for(Refusing::Credential(why), retry_at, person));
        }
        self.seen = credential.generation();
        Ok(())
    }

    async fn through_breaker<W: Face>(&mut self, face: &W) -> Result<Permit, Stopped<E>> {
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.call.keeper {
            let admitted = keeper.admit(face, self.gate, &self.call.clock).await;
            return admitted.map_err(|(why, retry_at)| self.refused(why, retry_at));
        }
        let _ = face;
        match self.gate.admit(self.call.clock.now()) {
            Admit::Allow { permit, .. } => Ok(permit),
            Admit::Refuse { why, retry_at } => Err(self.refused(Refusing::Breaker(why), retry_at)),
        }
    }

    async fn through_quotas<W: Face>(
        &mut self,
        face: &W,
        passage: &mut Passage<'a, K>,
    ) -> Result<(), Stopped<E>> {
        for index in 0..self.call.accounts.limits().len() {
            let now = self.call.clock.now();
            let patience = self.patience(now);
            #[cfg(feature = "store")]
            if let Some(keeper) = &self.call.keeper {
                let limit = &self.call.accounts.limits()[index];
                self.waited = true;
                let until = now.moment.after(patience);
                let taken = keeper.take(face, self.gate, (index, limit), passage, until).await;
                taken.map_err(|(why, retry_at)| self.refused(why, retry_at))?;
                continue;
            }
            match self.gate.reserve(index, now, patience) {
                Some(Reserve::Ready(taken)) => passage.took(index, taken),
                Some(Reserve::Wait { taken, delay, why }) => {
                    passage.took(index, taken);
                    log::waiting(self.who, self.number(), delay, &why);
                    self.waited = true;
                    face.sleep(delay).await;
                }
                Some(Reserve::Refuse { why, retry_at, .. }) => {
                    return Err(self.refused(Refusing::Quota(why), retry_at));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// It takes nothing until it has room, so whoever waits asks again, for at most its patience.
    #[cfg(feature = "rate-limit")]
    async fn through_rate_limit<W: Face>(&mut self, face: &W) -> Result<(), Stopped<E>> {
        use crate::act::limit::Admit;
        let Some(rate) = &self.call.rate_limit else { return Ok(()) };
        let began = self.call.clock.now();
        let end = began.moment.after(self.patience(began));
        loop {
            let now = self.call.clock.now();
            let Admit::Refuse { why, wait } = rate.admit(self.gate, now.moment) else { return Ok(()) };
            if now.moment.after(wait) > end {
                return Err(self.refused(Refusing::RateLimit(why), later(now.wall, wait)));
            }
            log::waiting(self.who, self.number(), wait, &why);
            self.waited = true;
            face.sleep(wait.max(Duration::from_nanos(1))).await;
        }
    }

    async fn through_bulkhead<W: Face>(
        &mut self,
        face: &W,
        passage: &mut Passage<'a, K>,
    ) -> Result<(), Stopped<E>> {
        let bulkhead = &self.call.bulkhead;
        if let Some(slot) = bulkhead.try_acquire() {
            passage.holds(slot);
            return Ok(());
        }
        self.waited = true;
        let now = self.call.clock.now();
        let limit = self.left(now).min(self.call.concurrency_wait);
        let slot = if bulkhead.is_crowded() { None } else { within(face, bulkhead.acquire(), limit).await };
        match slot {
            Some(slot) => passage.holds(slot),
            None => {
                let (now, waiting) = (self.call.clock.now(), bulkhead.waiting());
                let why = Refusing::Full { limit: bulkhead.limit(), waiting, waited: limit };
                return Err(self.refused(why, later(now.wall, self.call.concurrency_wait)));
            }
        }
        Ok(())
    }

    async fn score<W: Face>(&mut self, face: &W, passage: Passage<'a, K>, fault: &Fault, now: Now) {
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.call.keeper {
            if let Some((permit, outcome)) = passage.ends(Some(fault), now) {
                keeper.settle(face, self.gate, permit, outcome, Some(fault), now).await;
            }
            return;
        }
        let _ = face;
        passage.failed(fault, now);
    }

    async fn spend<W: Face>(
        &mut self,
        face: &W,
        fault: &Fault,
        now: Now,
    ) -> Result<(), (Refusing, Timestamp)> {
        let Some(budget) = &self.call.budget else { return Ok(()) };
        #[cfg(feature = "store")]
        if let Some(keeper) = &self.call.keeper {
            return keeper.spend(face, self.call.name(), budget, fault, now).await;
        }
        let _ = face;
        match budget.admit(fault, now) {
            budget::Admit::Allow { .. } => Ok(()),
            budget::Admit::Refuse { why, retry_at, .. } => Err((Refusing::Budget(why), retry_at)),
        }
    }

    /// The attempt that begins now, with what is left for it.
    fn attempt(&mut self, now: Now) -> Result<Attempt, Stopped<E>> {
        let call = self.call;
        let attempt = match (self.episode.as_mut(), self.last.take()) {
            (Some(episode), Some(last)) => match episode.begin(now) {
                Ok(attempt) => {
                    self.last = Some(last);
                    attempt
                }
                Err(end) => return Err(end.with(last, std::mem::take(&mut episode.timeline))),
            },
            _ => {
                self.in_time(now)?;
                let spent = now.moment.since(self.started);
                Attempt::first_after(&call.retry, spent, Some(now.moment), Some(now.wall))
            }
        };
        Ok(attempt.at_most(call.attempt_timeout, now.moment))
    }

    /// A first attempt, too, does not begin past the deadline, nor when the waits before it have used up the time.
    fn in_time(&mut self, now: Now) -> Result<(), Stopped<E>> {
        let (retry, waited) = (&self.call.retry, now.moment.since(self.started));
        let over = !waited.is_zero() || retry.deadline_at().is_some_and(|deadline| deadline <= now.wall);
        if self.episode.is_none() && over && self.left(now).is_zero() {
            return Err(self.refused(Refusing::OutOfTime { waited }, now.wall));
        }
        Ok(())
    }

    /// The number of the attempt that is being prepared.
    fn number(&self) -> u32 {
        self.episode.as_ref().map_or(1, |episode| episode.timeline.count().saturating_add(1))
    }

    /// How long a call waits for its turn.
    fn patience(&self, now: Now) -> Duration {
        self.call.retry.patience().min(self.left(now))
    }

    /// What is left of the time for all attempts and waits.
    fn left(&self, now: Now) -> Duration {
        self.call.retry.left(now.moment.since(self.started), Some(now.wall)).unwrap_or(Duration::MAX)
    }

    fn refused(&mut self, why: Refusing, retry_at: Timestamp) -> Stopped<E> {
        self.refused_for(why, retry_at, None)
    }

    fn refused_for(&mut self, why: Refusing, retry_at: Timestamp, credential: Option<&str>) -> Stopped<E> {
        log::ended(self.who, "refused", Some(retry_at), &why);
        let attempts =
            self.episode.as_mut().map_or_else(Timeline::default, |e| std::mem::take(&mut e.timeline));
        Stopped::refused(why, retry_at, self.last.take(), attempts, credential)
    }
}
