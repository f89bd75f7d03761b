//! Where the state of a call is kept: a text under a name, replaced only if it is the one that was read.

use std::error::Error;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::base::time::BoxFuture;
use crate::remember::snapshots::{self, Snapshots};

pub(crate) trait Saved: Send + Sync {
    /// The version and the text, if there is one.
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<(u64, String)>, PersistError>>;

    /// Replaces the text if its version is `expect` (`None`: if there is none); answers with the new version.
    fn save<'a>(
        &'a self,
        name: &'a str,
        json: String,
        expect: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PersistError>>;
}

/// Why the state of a call was not loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// Somebody else has written in between, again and again.
    #[error("what is saved was changed by somebody else each time")]
    Conflict,
    /// The store is not there, or says no.
    #[error("the store of the call fails")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The store says nothing.
    #[error("the store of the call gave no answer within {after:?}")]
    Silent {
        /// How long it was waited for.
        after: Duration,
    },
    /// What is stored cannot be read.
    #[error("what is saved cannot be read")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
}

impl PersistError {
    pub(super) fn unreadable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreadable(error.into())
    }
}

impl Saved for Snapshots {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<(u64, String)>, PersistError>> {
        Box::pin(async move {
            let found = Self::load::<Box<RawValue>>(self, name).await;
            let found = found.map_err(|error| PersistError::Store(error.into()))?;
            Ok(found.map(|found| (found.version, String::from(found.value.get()))))
        })
    }

    fn save<'a>(
        &'a self,
        name: &'a str,
        json: String,
        expect: Option<u64>,
    ) -> BoxFuture<'a, Result<u64, PersistError>> {
        Box::pin(async move {
            let value = RawValue::from_string(json).map_err(PersistError::unreadable)?;
            let kind = name.split('/').next().unwrap_or(name);
            match Self::save(self, name, kind, &value, expect).await {
                Ok(snapshots::Saved::Done(version)) => Ok(version),
                Ok(snapshots::Saved::Raced) => Err(PersistError::Conflict),
                Err(error) => Err(PersistError::Store(error.into())),
            }
        })
    }
}
