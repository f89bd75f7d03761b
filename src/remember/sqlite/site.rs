//! What the threads of one handle share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::remember::sqlite::boot::Clocks;
use crate::remember::sqlite::reserve::Reserve;
use crate::remember::sqlite::rows::Judge;
use crate::remember::store::Error;

/// One open handle.
pub(super) struct Site {
    pub(super) path: PathBuf,
    /// Where the locks and the owner files are.
    pub(super) locks: PathBuf,
    pub(super) clocks: Clocks,
    pub(super) owner: String,
    pub(super) busy_max: Duration,
    pub(super) read_only: bool,
    pub(super) reserve: Reserve,
    /// Ends every wait of this handle's threads.
    pub(super) closing: Arc<AtomicBool>,
    pub(super) counts: Counts,
    latch: Mutex<Option<String>>,
}

/// What this handle's writer has done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) batches: AtomicU64,
    pub(super) commits: AtomicU64,
    /// Whether the reserve was given back because the disk was full.
    pub(super) full: AtomicBool,
}

impl Site {
    #[allow(clippy::too_many_arguments, reason = "each is a field")]
    pub(super) fn new(
        path: PathBuf,
        locks: PathBuf,
        clocks: Clocks,
        owner: String,
        busy_max: Duration,
        read_only: bool,
    ) -> Self {
        let reserve = Reserve::beside(&path);
        Self {
            path,
            locks,
            clocks,
            owner,
            busy_max,
            read_only,
            reserve,
            closing: Arc::default(),
            counts: Counts::default(),
            latch: Mutex::default(),
        }
    }

    pub(super) fn judge(&self) -> Judge<'_> {
        Judge::now(&self.clocks, &self.locks)
    }

    /// Fails when an earlier I/O error made this handle untrustworthy.
    pub(super) fn sound(&self) -> Result<(), Error> {
        match &*self.latch.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(detail) => Err(Error::Latched { detail: detail.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn latch(&self, detail: String) {
        self.latch.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(detail);
    }

    pub(super) fn latched(&self) -> Option<String> {
        self.latch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
