//! What time makes of runs, said by a person: those whose time has passed, and those that need no longer be kept.

use crate::base::time::Timestamp;
use crate::operate::operator::{Error, Operator};
use crate::remember::runs::{Pruned, Retention};

impl Operator {
    /// Moves runs on whose time has passed and that nobody works on: those that wait for something whose deadline is
    /// over, and those that are no longer worth running. Says how many it moved. Workers do the same; where none runs,
    /// this is for a timer. A paused run is left.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was moved before stays moved.
    pub async fn sweep(&self) -> Result<u32, Error> {
        Ok(self.runs.sweep_at(&[], &self.actor, Some(self.clock.now().wall)).await?)
    }

    /// Deletes what `retention` no longer keeps at `now`: in small batches, so that others get their turn, and up to a
    /// bound, which is said. A run that has not ended is never deleted, nor one that is leased.
    ///
    /// # Errors
    /// When the store cannot be read or written; what was deleted before stays deleted.
    pub async fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Pruned, Error> {
        Ok(self.runs.prune(retention, now, &self.actor).await?)
    }
}
