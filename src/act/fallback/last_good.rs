//! The last answer that was good, kept in a store between processes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::act::fallback::{Origin, Passing};
use crate::act::log;
use crate::base::fault::chain;
use crate::base::time::{BoxFuture, Timestamp, between};
use crate::remember::snapshots::{Saved, Snapshots};
use crate::remember::store::Error;

/// The newest format of what is kept.
const VERSION: u32 = 1;

/// How often a save is tried when others save at the same time. Theirs is as good: after that it is left to them.
const RACES_MAX: u32 = 3;

/// The last good answer, kept as `last_good/NAME`: as JSON of at most 64 KiB, with when it was good.
#[derive(Debug)]
pub struct LastGood {
    snapshots: Snapshots,
    name: String,
    age_max: Option<Duration>,
    save_every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What stands in the store, as far as it was seen.
    stands: Option<Stands>,
    not_kept: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stands {
    version: Option<u64>,
    saved_at: Option<Timestamp>,
}

/// What is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    saved_at: Timestamp,
    value: Box<RawValue>,
}

impl LastGood {
    /// Kept in `snapshots` under `name`, which says what the answer is to: `rates`, `youtube/channel-7`.
    #[must_use]
    pub fn new(snapshots: &Snapshots, name: &str) -> Self {
        Self {
            snapshots: snapshots.clone(),
            name: format!("last_good/{name}"),
            age_max: None,
            save_every: Duration::ZERO,
            state: Mutex::default(),
        }
    }

    /// How old it may be to stand in; default as old as it likes.
    #[must_use]
    pub const fn age_max(mut self, age_max: Duration) -> Self {
        self.age_max = Some(age_max);
        self
    }

    /// Keeps at most one in this time, whichever process it is from; default each.
    #[must_use]
    pub const fn save_every(mut self, every: Duration) -> Self {
        self.save_every = every;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self) -> Result<Option<Kept>, Error> {
        let found = self.snapshots.load::<Kept>(&self.name).await?;
        let version = found.as_ref().map(|found| found.version);
        let saved_at = found.as_ref().map(|found| found.value.saved_at);
        let kept = found.map(|found| found.value);
        if let Some(Kept { v, .. }) = &kept
            && *v != VERSION
        {
            let detail = format!("{} has format {v}, this program knows {VERSION}", self.name);
            return Err(Error::Corrupt { detail });
        }
        self.state().stands = Some(Stands { version, saved_at });
        Ok(kept)
    }

    async fn save(
        &self,
        value: Result<Box<RawValue>, serde_json::Error>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let value =
            value.map_err(|error| Error::invalid("last good value", error, "a value that is JSON"))?;
        let kept = Kept { v: VERSION, saved_at: now, value };
        for _ in 0..RACES_MAX {
            let known = self.state().stands;
            let stands = match known {
                Some(stands) => stands,
                None => {
                    self.read().await?;
                    self.state().stands.unwrap_or_default()
                }
            };
            // One from the future was saved by a clock that was wrong, or ours is: the newest answer counts.
            let recent = |at: Timestamp| at <= now && between(at, now) < self.save_every;
            if stands.saved_at.is_some_and(recent) {
                return Ok(());
            }
            match self.snapshots.save(&self.name, "last_good", &kept, stands.version).await? {
                Saved::Done(version) => {
                    let stands = Stands { version: Some(version), saved_at: Some(now) };
                    self.state().stands = Some(stands);
                    return Ok(());
                }
                Saved::Raced => self.state().stands = None,
            }
        }
        Ok(())
    }
}

/// What a fallback asks of the last good answer, whatever the bounds on its type.
pub(super) trait Keeping<T>: Send + Sync {
    fn keep<'a>(&'a self, value: &T, now: Timestamp) -> BoxFuture<'a, ()>;
    fn load(&self, now: Timestamp) -> BoxFuture<'_, Result<(T, Origin), Passing>>;
    fn not_kept(&self) -> Option<String>;
}

impl<T: Serialize + DeserializeOwned> Keeping<T> for LastGood {
    fn keep<'a>(&'a self, value: &T, now: Timestamp) -> BoxFuture<'a, ()> {
        let value = serde_json::value::to_raw_value(value);
        Box::pin(async move {
            let result = self.save(value, now).await;
            log::kept(&self.name, &result);
            self.state().not_kept = result.err().map(|error| chain(&error));
        })
    }

    fn load(&self, now: Timestamp) -> BoxFuture<'_, Result<(T, Origin), Passing>> {
        Box::pin(async move {
            let kept = self.read().await.map_err(|error| Passing::Unreadable { error: chain(&error) })?;
            let Some(kept) = kept else { return Err(Passing::NoneKept { name: self.name.clone() }) };
            let (age, ahead) = (between(kept.saved_at, now), between(now, kept.saved_at));
            if let Some(age_max) = self.age_max.filter(|age_max| age > *age_max) {
                return Err(Passing::TooOld { age, age_max });
            }
            let value = serde_json::from_str(kept.value.get())
                .map_err(|error| Passing::Unreadable { error: error.to_string() })?;
            let ahead = Some(ahead).filter(|ahead| !ahead.is_zero());
            Ok((value, Origin::LastGood { age, ahead }))
        })
    }

    fn not_kept(&self) -> Option<String> {
        self.state().not_kept.clone()
    }
}
