//! The breaker of a call between two processes: loaded at first use, written when it has moved.
//!
//! Every write carries the version that was read. When somebody else has written in between, the newer generation wins,
//! and a block is never shortened. A store that fails does not fail the call: the breaker goes on with what it knows,
//! and [`Keeper::flush`] says what is wrong.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::value::RawValue;

use crate::base::time::{BoxFuture, Now, Timestamp, between};
use crate::decide::breaker::{Breaker, Snapshot, Standing};
use crate::remember::snapshots::{self, Snapshots};

/// How often a write is tried when others write too.
const TRIES_MAX: u32 = 3;

/// Where a breaker is kept: a text under a key, replaced only if its version is the one that was read.
pub(crate) trait Saved: Send + Sync {
    /// The version and the text, if there is one.
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<(u64, String)>, PersistError>>;

    /// Replaces the text if its version is `expect` (`None`: if there is none); answers with the new version.
    fn save<'a>(
        &'a self,
        key: &'a str,
        json: String,
        expect: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PersistError>>;
}

/// Why a breaker was not loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// Somebody else has written in between.
    #[error("the saved breaker was changed by somebody else")]
    Conflict,
    /// The store is not there, or does not answer.
    #[error("the store of the breaker fails")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// What is stored cannot be read.
    #[error("the saved breaker cannot be read")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
}

pub(super) struct Keeper {
    store: Arc<dyn Saved>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    loaded: bool,
    version: Option<u64>,
    saved: Option<Mark>,
}

/// What makes a write due: anything that another process must not miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    generation: u32,
    blocked_until: Option<Timestamp>,
}

impl Mark {
    fn of(snapshot: &Snapshot) -> Self {
        Self { generation: snapshot.generation(), blocked_until: snapshot.blocked_until() }
    }
}

impl Keeper {
    pub(super) fn new(store: Arc<dyn Saved>) -> Self {
        Self { store, kept: Mutex::default() }
    }

    /// Loads at first use; later it does nothing.
    pub(super) async fn open(&self, breaker: &Breaker, now: Now) -> Result<(), PersistError> {
        if self.with(|kept| kept.loaded) {
            return Ok(());
        }
        let found = self.read(breaker.name()).await?;
        self.with(|kept| {
            // Another task may have been faster, and calls may have been made since.
            if std::mem::replace(&mut kept.loaded, true) {
                return Ok(());
            }
            if let Some((version, snapshot)) = found {
                breaker.adopt(&snapshot, now).map_err(|error| PersistError::Unreadable(error.into()))?;
                *kept = Kept { loaded: true, version: Some(version), saved: Some(Mark::of(&snapshot)) };
            }
            Ok(())
        })
    }

    /// Writes if the breaker has moved since the last write, or is being probed.
    pub(super) async fn keep(&self, breaker: &Breaker, now: Now) -> Result<(), PersistError> {
        let snapshot = breaker.snapshot(now);
        let fresh = Mark { generation: 0, blocked_until: None };
        let same = self.with(|kept| kept.saved.unwrap_or(fresh)) == Mark::of(&snapshot);
        if same && snapshot.state() != Standing::HalfOpen {
            return Ok(());
        }
        self.write(breaker, now).await
    }

    /// Writes what there is.
    pub(super) async fn flush(&self, breaker: &Breaker, now: Now) -> Result<(), PersistError> {
        self.open(breaker, now).await?;
        self.write(breaker, now).await
    }

    async fn write(&self, breaker: &Breaker, now: Now) -> Result<(), PersistError> {
        for _ in 0..TRIES_MAX {
            let snapshot = breaker.snapshot(now);
            let json =
                serde_json::to_string(&snapshot).map_err(|error| PersistError::Unreadable(error.into()))?;
            let expect = self.with(|kept| kept.version);
            match self.store.save(breaker.name(), json, expect).await {
                Ok(version) => {
                    self.with(|kept| {
                        kept.version = Some(version);
                        kept.saved = Some(Mark::of(&snapshot));
                    });
                    return Ok(());
                }
                Err(PersistError::Conflict) => self.meet(breaker, &snapshot, now).await?,
                Err(trouble) => return Err(trouble),
            }
        }
        Err(PersistError::Conflict)
    }

    /// Somebody else has written: takes over what is newer there, and keeps the longer block.
    async fn meet(&self, breaker: &Breaker, ours: &Snapshot, now: Now) -> Result<(), PersistError> {
        let found = self.read(breaker.name()).await?;
        let version = found.as_ref().map(|(version, _)| *version);
        self.with(|kept| kept.version = version);
        let Some((_, theirs)) = found else { return Ok(()) };
        let longer = if theirs.generation() > ours.generation() {
            breaker.adopt(&theirs, now).map_err(|error| PersistError::Unreadable(error.into()))?;
            ours.blocked_until()
        } else {
            theirs.blocked_until()
        };
        if let Some(until) = longer.filter(|until| *until > now.wall) {
            breaker.block(between(now.wall, until), now);
        }
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Option<(u64, Snapshot)>, PersistError> {
        let Some((version, json)) = self.store.load(key).await? else { return Ok(None) };
        let snapshot = serde_json::from_str(&json).map_err(|error| PersistError::Unreadable(error.into()))?;
        Ok(Some((version, snapshot)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Saved for Snapshots {
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<(u64, String)>, PersistError>> {
        Box::pin(async move {
            let found = Self::load::<Box<RawValue>>(self, &name_of(key)).await;
            let found = found.map_err(|error| PersistError::Store(error.into()))?;
            Ok(found.map(|found| (found.version, String::from(found.value.get()))))
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        json: String,
        expect: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PersistError>> {
        Box::pin(async move {
            let value =
                RawValue::from_string(json).map_err(|error| PersistError::Unreadable(error.into()))?;
            match Self::save(self, &name_of(key), KIND, &value, expect).await {
                Ok(snapshots::Saved::Done(version)) => Ok(version),
                Ok(snapshots::Saved::Raced) => Err(PersistError::Conflict),
                Err(error) => Err(PersistError::Store(error.into())),
            }
        })
    }
}

/// The kind of a saved breaker among the saved states.
const KIND: &str = "breaker";

fn name_of(dependency: &str) -> String {
    format!("{KIND}/{dependency}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::act::call::tests::{Shared, down};
    use crate::act::call::{ByTrait, Call};
    use crate::base::effect::Effect;
    use crate::base::fault::Fault;
    use crate::decide::{breaker, retry};

    /// A store in memory that can be switched off.
    #[derive(Default)]
    struct InMemory {
        texts: Mutex<HashMap<String, (u64, String)>>,
        down: AtomicBool,
    }

    impl InMemory {
        fn ready(&self) -> Result<(), PersistError> {
            if self.down.load(Ordering::SeqCst) {
                Err(PersistError::Store("switched off".into()))
            } else {
                Ok(())
            }
        }
    }

    impl Saved for InMemory {
        fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<(u64, String)>, PersistError>> {
            Box::pin(async move {
                self.ready()?;
                Ok(self.texts.lock().unwrap().get(key).cloned())
            })
        }

        fn save<'a>(
            &'a self,
            key: &'a str,
            json: String,
            expect: Option<u64>,
        ) -> BoxFuture<'a, Result<u64, PersistError>> {
            Box::pin(async move {
                self.ready()?;
                let mut texts = self.texts.lock().unwrap();
                if texts.get(key).map(|(version, _)| *version) != expect {
                    return Err(PersistError::Conflict);
                }
                let version = expect.unwrap_or(0) + 1;
                texts.insert(key.into(), (version, json));
                Ok(version)
            })
        }
    }

    /// What one process of a cron job has.
    fn process(clock: &Shared, store: &Arc<InMemory>) -> Call<ByTrait, Shared> {
        Call::to("youtube")
            .retry(retry::Policy::once())
            .breaker(breaker::Policy::cron())
            .effect(Effect::Idempotent)
            .on(clock.clone())
            .persist_in(Arc::clone(store) as Arc<dyn Saved>)
            .build()
            .unwrap()
    }

    fn fails(call: &Call<ByTrait, Shared>) -> u8 {
        call.run_blocking(|_| Err::<(), _>(down())).unwrap_err().exit_code()
    }

    #[test]
    fn three_failing_runs_trip_it_for_the_fourth() {
        let (clock, store) = (Shared::default(), Arc::default());
        for _ in 0..3 {
            let call = process(&clock, &store);
            assert_eq!(fails(&call), 1);
            call.flush_blocking().unwrap();
            clock.0.advance(Duration::from_secs(60));
        }
        assert_eq!(fails(&process(&clock, &store)), 75);
        clock.0.advance(Duration::from_secs(360));
        assert!(process(&clock, &store).run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
        assert_eq!(fails(&process(&clock, &store)), 1, "closed again, and that was written without a flush");
    }

    #[test]
    fn a_transition_and_a_block_are_written_before_the_call_returns() {
        let (clock, store) = (Shared::default(), Arc::default());
        let call = process(&clock, &store);
        let fault = Fault::rate_limited(Some(Duration::from_secs(300)));
        let _failed = call.run_blocking(|_| Err::<(), _>(fault.clone()));
        std::mem::forget(call);
        assert_eq!(fails(&process(&clock, &store)), 75);
    }

    #[test]
    fn a_probe_is_written_before_it_is_made() {
        let (clock, store) = (Shared::default(), Arc::default());
        let first = process(&clock, &store);
        assert_eq!([fails(&first), fails(&first), fails(&first), fails(&first)], [1, 1, 1, 75]);
        clock.0.advance(Duration::from_secs(360));
        let probing = process(&clock, &store);
        let second = probing.run_blocking(|_| {
            // While the probe is out, another process starts.
            let other = process(&clock, &store);
            assert_eq!(fails(&other), 75);
            Ok::<_, io::Error>(())
        });
        assert!(second.is_ok());
    }

    #[test]
    fn of_two_that_write_the_newer_generation_wins() {
        let (clock, store) = (Shared::default(), Arc::default());
        let (a, b) = (process(&clock, &store), process(&clock, &store));
        assert!(a.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
        assert!(b.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
        assert_eq!([fails(&a), fails(&a), fails(&a)], [1, 1, 1]);
        b.flush_blocking().unwrap();
        assert_eq!(b.breaker().standing(), Standing::Open);
        assert_eq!(fails(&b), 75);
    }

    #[test]
    fn a_store_that_is_down_fails_the_flush_and_not_the_call() {
        let (clock, store) = (Shared::default(), Arc::<InMemory>::default());
        store.down.store(true, Ordering::SeqCst);
        let call = process(&clock, &store);
        assert!(call.run_blocking(|_| Ok::<_, io::Error>(())).is_ok());
        assert!(matches!(call.flush_blocking(), Err(PersistError::Store(_))));
        store.down.store(false, Ordering::SeqCst);
        call.flush_blocking().unwrap();
    }
}
