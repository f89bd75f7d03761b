//! The same work once more.

use crate::base::time::Timestamp;
use crate::operate::operator::{Error, Operator};
use crate::remember::runs::{Replayed, Run};

/// How a run is run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The same run, from its last checkpoint.
    Resume,
    /// A new run of the same input; the ledger is honoured, so what was done under the key is not done twice.
    Rerun,
    /// A new run of the same input in a new generation of its key: it is done once more.
    Force {
        /// Why that is right; never empty.
        reason: String,
    },
}

impl Operator {
    /// Has the work of a run done again, due now. `why` is told in the history; beside the reason of
    /// [`Mode::Force`] it may say more.
    ///
    /// A new run has the steps of the old one, all of them to be done, and the input that the old one has now (one that
    /// was fixed stays fixed). Each names the other: `replay_of`, and the event `run.replayed` beside the old one.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if it cannot be resumed. In [`Error::Runs`], of [`Rerun`](Mode::Rerun) and
    /// [`Force`](Mode::Force): [`Live`](crate::remember::runs::Error::Live) if it has not ended;
    /// [`Forestalled`](crate::remember::runs::Error::Forestalled) if somebody moved or replayed it since it was read;
    /// [`KeyTaken`](crate::remember::runs::Error::KeyTaken) if its key is another run's by now;
    /// [`Invalid`](crate::remember::runs::Error::Invalid) for an empty reason. Of `Rerun` alone:
    /// [`InDoubt`](crate::remember::runs::Error::InDoubt) if nobody knows whether the work was done;
    /// [`UnsafeAgain`](crate::remember::runs::Error::UnsafeAgain) if an unsafe step would be done twice;
    /// [`OtherPayload`](crate::remember::runs::Error::OtherPayload) if the key was used for something else since.
    pub async fn replay(&self, run: &Run, mode: &Mode, why: &str) -> Result<Replayed, Error> {
        self.replay_at(run, mode, why, self.clock.now().wall).await
    }

    pub(super) async fn replay_at(
        &self,
        run: &Run,
        mode: &Mode,
        why: &str,
        at: Timestamp,
    ) -> Result<Replayed, Error> {
        match mode {
            Mode::Resume => Ok(Replayed::Resumed(Box::new(self.requeue_at(run, why, at).await?))),
            Mode::Rerun => Ok(self.runs.rerun(run, self.word_at(why, at)?).await?),
            Mode::Force { reason } => {
                let said = match (reason.trim(), why.trim()) {
                    (reason, "") => reason.to_owned(),
                    // More words do not make up for a reason.
                    ("", _) => String::new(),
                    (reason, why) => format!("{reason}; {why}"),
                };
                Ok(self.runs.force(run, self.word_at(&said, at)?).await?)
            }
        }
    }
}
