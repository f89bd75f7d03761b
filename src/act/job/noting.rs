//! How a job's runs end, for its statistics.

use std::sync::Arc;

use crate::act::env::Env;
use crate::act::job::Job;
use crate::act::statistics::{Ended, Statistics, Subject};
use crate::base::time::{Moment, Now};
use crate::decide::run::State;
use crate::remember::runs::Body;

impl Job {
    /// Writes what was noted of how its runs ended, if anything is.
    pub(in crate::act) async fn flush(&self, env: &Arc<dyn Env>) {
        if let Some(statistics) = &self.statistics {
            statistics.finish_in(env).await;
        }
    }

    /// Notes how a run was left; `counted` if what was tried counts as an attempt.
    pub(super) fn note(
        &self,
        statistics: &Statistics,
        state: State,
        counted: bool,
        body: &Body,
        began: Moment,
        now: Now,
    ) {
        let subject = Subject::job(&self.name);
        // The fault that ended it is no second attempt.
        let faults_of_one = usize::from(state != State::Succeeded);
        let retried = body.attempt > 1 || body.faults.len() > faults_of_one;
        let ended = match state {
            State::Succeeded => Ended::ok(now.moment.since(began)).retried(retried).dead_lettered(false),
            State::FailedTransient if counted => Ended::failed(),
            State::FailedPermanent | State::Compensated => {
                Ended::failed().retried(retried).dead_lettered(true)
            }
            State::NeedsReview => Ended::failed().dead_lettered(true),
            _ => return,
        };
        statistics.note(&subject, ended, now);
    }
}
