//! A dependency whose statistics are kept.

use crate::act::call::PersistError;
use crate::act::call::face::{Face, within};
use crate::act::statistics::{Ended, STORE_WAIT, Statistics, Subject, not_written};
use crate::base::time::{Moment, Now};

#[derive(Debug)]
pub(super) struct Watched {
    pub(super) statistics: Statistics,
    pub(super) subject: Subject,
}

impl Watched {
    /// Notes the end of a call that began at `began`: with the number of the attempt that succeeded, or how many have failed, and the
    /// code of the end.
    pub(super) async fn note<W: Face>(
        &self,
        face: &W,
        ended: Result<u32, (u32, &str)>,
        began: Moment,
        now: Now,
    ) {
        let ended = match ended {
            Ok(attempt) => Ended::ok(now.moment.since(began)).retried(attempt > 1),
            // It was refused: the dependency was not asked.
            Err((0, code)) => return self.statistics.refused(&self.subject, code, now),
            Err((attempts, _)) => Ended::failed().retried(attempts > 1),
        };
        self.statistics.note(&self.subject, ended, now);
        if self.statistics.is_due(now) {
            not_written(within(face, self.statistics.flush(), STORE_WAIT).await);
        }
    }

    pub(super) async fn flush<W: Face>(&self, face: &W) -> Result<(), PersistError> {
        match within(face, self.statistics.flush(), STORE_WAIT).await {
            Some(written) => written.map_err(|error| PersistError::Store(Box::new(error))),
            None => Err(PersistError::Silent { after: STORE_WAIT }),
        }
    }
}
