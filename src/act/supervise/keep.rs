//! Where the state of a supervisor is kept, if it is.

use crate::act::supervise::error::Error;
use crate::decide::restart::Saved;

#[cfg(feature = "store")]
use crate::remember::{blocking::block_on, snapshots};

/// Where the state is kept.
#[derive(Debug, Default)]
pub(super) enum Keep {
    /// In this process alone.
    #[default]
    Nowhere,
    /// In a file.
    #[cfg(feature = "store")]
    File(snapshots::File<Saved>),
    /// In a store, under the version that was last seen.
    #[cfg(feature = "store")]
    Store { snapshots: snapshots::Snapshots, version: Option<u64> },
}

impl Keep {
    /// What was kept, if anything was.
    #[cfg_attr(not(feature = "store"), allow(clippy::unnecessary_wraps, reason = "nothing is read"))]
    pub(super) fn load(&mut self, name: &str) -> Result<Option<Saved>, Error> {
        #[cfg(not(feature = "store"))]
        let _ = name;
        match self {
            Self::Nowhere => Ok(None),
            #[cfg(feature = "store")]
            Self::File(file) => {
                let loaded = file.load().map_err(|error| kept(name, error))?;
                Ok(loaded.map(|loaded| loaded.value))
            }
            #[cfg(feature = "store")]
            Self::Store { snapshots, version } => {
                let loaded = block_on(snapshots.load::<Saved>(&key(name)));
                let loaded = loaded.map_err(|error| kept(name, error))?;
                *version = loaded.as_ref().map(|loaded| loaded.version);
                Ok(loaded.map(|loaded| loaded.value))
            }
        }
    }

    /// Keeps it; what went wrong is said, and supervision goes on.
    #[cfg_attr(not(feature = "store"), allow(clippy::unnecessary_wraps, reason = "nothing is written"))]
    pub(super) fn save(&mut self, name: &str, saved: &Saved) -> Result<(), String> {
        #[cfg(not(feature = "store"))]
        let _ = (name, saved);
        match self {
            Self::Nowhere => Ok(()),
            #[cfg(feature = "store")]
            Self::File(file) => file.save(saved).map(drop).map_err(|error| chain(&error)),
            #[cfg(feature = "store")]
            Self::Store { snapshots, version } => {
                match block_on(snapshots.save(&key(name), "restart", saved, *version)) {
                    Ok(snapshots::Saved::Done(written)) => {
                        *version = Some(written);
                        Ok(())
                    }
                    Ok(snapshots::Saved::Raced) => {
                        Err(String::from("another supervisor of this name has written since"))
                    }
                    Err(error) => Err(chain(&error)),
                }
            }
        }
    }
}

#[cfg(feature = "store")]
fn key(name: &str) -> String {
    format!("restart/{name}")
}

#[cfg(feature = "store")]
fn kept(name: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Kept { name: name.to_owned(), source: Box::new(error) }
}

#[cfg(feature = "store")]
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    crate::base::fault::chain(error)
}
