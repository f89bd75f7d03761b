//! What was noted, on top of what others have written.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::act::env::{Env, Face};
use crate::act::monitor::build::{Inner, job_name};
use crate::act::monitor::kept::{Known, TRIES_MAX, unjudged};
use crate::act::monitor::note::Noted;
use crate::act::monitor::raised::{Raised, What};
use crate::act::monitor::{Error, Monitor};
use crate::act::runlog;
use crate::base::explain::Explain;
use crate::base::fault::chain;
use crate::base::park::block_on_for;
use crate::base::race::before;
use crate::base::time::Now;
use crate::decide::heartbeat::{Beat, Heart};
use crate::remember::store::{self, Applied, ApplyError, Batch, Write, apply_settled};

/// How long a run or a worker's end waits for the store to take beats in.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// How long, and how often, the end of a process waits for another thread of it that writes.
const TURN: Duration = Duration::from_millis(50);
const TURNS_MAX: u32 = 100;

/// What is being written: put back if that fails, or is dropped in the middle.
struct Writing<'a> {
    inner: &'a Inner,
    left: BTreeMap<Arc<str>, VecDeque<Noted>>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut left: Vec<Noted> = std::mem::take(&mut self.left).into_values().flatten().collect();
        if !left.is_empty() {
            // As it was noted: the oldest are the first to be dropped.
            left.sort_by_key(|noted| noted.now.moment);
            self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner).put_back(left.into());
        }
        self.inner.writing.store(false, Ordering::Release);
    }
}

/// What became of a write.
pub(super) enum Applying {
    Done(Applied),
    Raced,
}

impl Monitor {
    /// False, and nothing is written, while somebody else in this process is at it.
    pub(super) async fn write(&self) -> Result<bool, Error> {
        if self.inner.writing.swap(true, Ordering::Acquire) {
            return Ok(false);
        }
        let mut writing = Writing { inner: &self.inner, left: BTreeMap::new() };
        for noted in self.inner.pending().take() {
            writing.left.entry(Arc::clone(&noted.name)).or_default().push_back(noted);
        }
        let names: Vec<Arc<str>> = writing.left.keys().cloned().collect();
        let mut first_error = None;
        for name in names {
            let Some(noted) = writing.left.get(&name) else { continue };
            match self.write_one(&name, noted).await {
                Ok(raised) => {
                    // It stands: whoever drops this from here on must not count it again.
                    writing.left.remove(&name);
                    self.tell_all(&raised);
                }
                Err(error @ Error::TooManyUndeclared { .. }) => {
                    // It would never be written, and take the place of what will.
                    writing.left.remove(&name);
                    runlog::doubtful(&name, "monitor.undeclared", &chain(&error));
                    first_error.get_or_insert(error);
                }
                // What is wrong with one job is no reason to lose the others.
                Err(error @ (Error::Raced { .. } | Error::Store(store::Error::Corrupt { .. }))) => {
                    first_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        first_error.map_or(Ok(true), Err)
    }

    pub(super) async fn beat_at_once(&self, name: &str, now: Now, beat: Beat) -> Result<(), Error> {
        let name: Arc<str> = job_name(name.to_owned())?.into();
        let noted = VecDeque::from([Noted { name: Arc::clone(&name), now, beat }]);
        match self.write_one(&name, &noted).await {
            Ok(raised) => {
                self.tell_all(&raised);
                Ok(())
            }
            Err(error) => {
                if !matches!(error, Error::TooManyUndeclared { .. }) {
                    noted.into_iter().for_each(|noted| self.inner.pending().push(noted));
                }
                Err(error)
            }
        }
    }

    /// Writes what was noted of one job.
    async fn write_one(&self, name: &str, noted: &VecDeque<Noted>) -> Result<Vec<Raised>, Error> {
        for _ in 0..TRIES_MAX {
            let Some((write, told)) = self.prepared(name, noted).await? else { return Ok(Vec::new()) };
            if let Applying::Done(_) = self.inner.apply(vec![write]).await? {
                return Ok(told);
            }
        }
        Err(Error::Raced { job: name.to_owned() })
    }

    /// What was noted of one job as a write on top of what stands there, and what it changes.
    pub(super) async fn prepared(
        &self,
        name: &str,
        noted: &VecDeque<Noted>,
    ) -> Result<Option<(Write, Vec<Raised>)>, Error> {
        let Some(first) = noted.front() else { return Ok(None) };
        let declared = self.inner.jobs.get(name);
        let mine = declared.map(|declared| declared.policy);
        let (known, version) = self.inner.load(name).await?;
        let (mut told, mut plan) = (Vec::new(), declared.and_then(|declared| declared.plan.clone()));
        let (mut heart, policy) = match known {
            Some(Known { mut heart, policy: None, .. }) if mine.is_some() => {
                heart.expect_from(first.now.wall);
                (heart, mine)
            }
            Some(Known { heart, policy, plan: theirs, .. }) => {
                if mine.is_none() {
                    plan = theirs;
                }
                (heart, mine.or(policy))
            }
            None => {
                if mine.is_none() {
                    self.may_keep(name).await?;
                    told.push(self.inner.raised(name, What::Undeclared));
                }
                let policy = match mine {
                    Some(policy) => policy,
                    None => unjudged().map_err(|source| Error::Policy { job: name.to_owned(), source })?,
                };
                (Heart::new(policy, first.now), mine)
            }
        };
        let from = version.map(|_| heart.state());
        let events = noted.iter().filter_map(|noted| heart.observe(noted.now, noted.beat.clone()));
        // What nobody declared is not judged.
        let events: Vec<_> = events.filter(|_| policy.is_some()).collect();
        told.extend(self.inner.told(name, events));
        let write = self.inner.write_of(name, (&heart, policy, plan.as_ref()), version, from, &told)?;
        Ok(Some((write, told)))
    }

    async fn may_keep(&self, name: &str) -> Result<(), Error> {
        let (kept, allowed) = (self.inner.undeclared().await?, self.inner.undeclared_max);
        if kept < allowed {
            return Ok(());
        }
        Err(Error::TooManyUndeclared { job: name.to_owned(), kept, allowed })
    }

    pub(super) async fn forget_job(&self, name: &str) -> Result<bool, Error> {
        for _ in 0..TRIES_MAX {
            let (Some(known), Some(version)) = self.inner.load(name).await? else { return Ok(false) };
            let write = self.inner.forgetting(name, version, known.heart.state());
            if let Applying::Done(_) = self.inner.apply(vec![write]).await? {
                return Ok(true);
            }
        }
        Err(Error::Raced { job: name.to_owned() })
    }

    pub(super) fn tell_all(&self, raised: &[Raised]) {
        for raised in raised {
            runlog::raised(&raised.monitor, &raised.name, raised.code(), raised);
            if let Some(tell) = &self.inner.on_event {
                tell(raised);
            }
        }
    }

    /// Writes what was noted before its process ends; waits for whoever is at it already.
    pub(in crate::act) async fn finish_in(&self, env: &Arc<dyn Env>) {
        for _ in 0..TURNS_MAX {
            if self.flush_in(env).await {
                return;
            }
            env.sleep(TURN).await;
        }
        not_written(None);
    }

    /// Writes what was noted, in a driver that goes on whatever comes of it. False while somebody else is at it.
    pub(in crate::act) async fn flush_in(&self, env: &Arc<dyn Env>) -> bool {
        let written = match env.face() {
            Face::Future => before(env.sleep(STORE_WAIT), self.write()).await,
            Face::Thread | Face::SimulatedThread => block_on_for(self.write(), STORE_WAIT),
        };
        let mine = !matches!(written, Some(Ok(false)));
        not_written(written.map(|written| written.map(drop)));
        mine
    }
}

/// Heartbeats fail nothing: what was noted is kept for the next time.
fn not_written(written: Option<Result<(), Error>>) {
    let why = match written {
        Some(Ok(())) => return,
        Some(Err(error)) => chain(&error),
        None => format!("the store did not answer within {STORE_WAIT:?}"),
    };
    runlog::doubtful("monitor", "monitor.not_written", &why);
}

impl Inner {
    /// Applies writes, all or none.
    pub(super) async fn apply(&self, writes: Vec<Write>) -> Result<Applying, store::Error> {
        match apply_settled(&*self.store, Batch::new(writes)).await {
            Ok(applied) => Ok(Applying::Done(applied)),
            Err(ApplyError::Conflict(_)) => Ok(Applying::Raced),
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
        }
    }
}
