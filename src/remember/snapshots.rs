//! Small saved states: a breaker, a budget, a baseline. Each is one versioned JSON value under a name.
//!
//! # After a restart
//! [`Snapshots::load`] gives the last value that was saved, with the version under which it may be replaced.
//!
//! # Large ones
//! [`Snapshots::save_large`] keeps what is larger than a record may be, such as a baseline of many kinds.
//!
//! # Without a store
//! [`File`] keeps one state in one file.

mod file;
mod parts;

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::remember::store::{ApplyError, Batch, Error, Event, Expect, Ns, Put, Store, Write, apply_settled};

pub use file::{Damage, File, FileError, Loaded, Recovered, Updated};
pub use parts::LARGE_MAX;

/// The saved states in a store.
#[derive(Clone)]
pub struct Snapshots {
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots").field("store", &self.store.caps().name).finish()
    }
}

/// A saved state, and the version under which it may be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<T> {
    /// The value.
    pub value: T,
    /// Its version.
    pub version: u64,
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Saved {
    /// It stands, under this version.
    Done(u64),
    /// Somebody else saved since; load again and decide anew.
    Raced,
}

impl Snapshots {
    /// The saved states in `store`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The state saved as `name` (such as `breaker/youtube`), if there is one.
    ///
    /// # Errors
    /// When the store cannot be read; [`Error::Corrupt`] if what is stored is no such value: never a default.
    pub async fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<Snapshot<T>>, Error> {
        let Some(record) = self.store.get(Ns::SNAPSHOT, name).await? else { return Ok(None) };
        let value = serde_json::from_str(&record.body)
            .map_err(|error| Error::Corrupt { detail: format!("the saved state {name}: {error}") })?;
        Ok(Some(Snapshot { value, version: record.version }))
    }

    /// Saves `value` as `name`, if what stands there is still at `version` (`None`: if nothing stands there).
    ///
    /// # Errors
    /// [`Error::Invalid`] if the value is no JSON or over 64 KiB; otherwise when the store cannot be written.
    pub async fn save<T: Serialize>(
        &self,
        name: &str,
        kind: &str,
        value: &T,
        version: Option<u64>,
    ) -> Result<Saved, Error> {
        self.save_and_tell(name, kind, value, version, None).await
    }

    /// The same with what is told about it.
    pub(crate) async fn save_and_tell<T: Serialize>(
        &self,
        name: &str,
        kind: &str,
        value: &T,
        version: Option<u64>,
        event: Option<Event>,
    ) -> Result<Saved, Error> {
        let write = write(name, version, kind, json(value)?);
        self.commit(Batch::of(Write { event, ..write })).await
    }

    /// Applies what saves a state; its version is that of the first write.
    async fn commit(&self, batch: Batch) -> Result<Saved, Error> {
        match apply_settled(&*self.store, batch).await {
            Ok(applied) => Ok(Saved::Done(applied.first().map_or(0, |written| written.version))),
            Err(ApplyError::Conflict(_)) => Ok(Saved::Raced),
            Err(ApplyError::NotApplied(error) | ApplyError::Unknown(error)) => Err(error),
        }
    }
}

/// The write of a body under `name`, if what stands there is still at `version` (`None`: if nothing stands there).
fn write(name: &str, version: Option<u64>, kind: &str, body: String) -> Write {
    let put = Put {
        state: Some(String::from("saved")),
        kind: Some(kind.to_owned()),
        body: Some(body),
        ..Put::default()
    };
    Write::new(Ns::SNAPSHOT, name, version.map_or(Expect::Absent, Expect::Version), put)
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::invalid("snapshot", error, "a value that is JSON"))
}
