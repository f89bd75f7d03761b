//! How a job's runs end, for its statistics.

use std::sync::Arc;

use crate::act::env::Env;
use crate::act::job::{Driver, Job};
use crate::act::monitor::Pulse;
use crate::act::pipeline::Edges;
use crate::act::statistics::{Ended, Statistics, Subject};
use crate::base::time::{Moment, Now};
use crate::decide::heartbeat::Beat;
use crate::decide::run::State;
use crate::remember::runs::Body;

impl Job {
    /// Writes what was noted of how its runs ended, if anything is.
    pub(in crate::act) async fn flush(&self, env: &Arc<dyn Env>) {
        if let Some(statistics) = &self.statistics {
            statistics.finish_in(env).await;
        }
        if let Some(pulse) = &self.pulse {
            pulse.monitor().finish_in(env).await;
        }
    }

    /// Writes the beats, when it is time.
    pub(in crate::act) async fn flush_pulse(&self, env: &Arc<dyn Env>) {
        if let Some(monitor) = self.pulse.as_ref().map(Pulse::monitor)
            && monitor.is_due(env.now())
        {
            // What could not be written stays noted.
            let _mine = monitor.flush_in(env).await;
        }
    }

    pub(super) fn begin_beat(&self, run: &str, now: Now) {
        if let Some(pulse) = &self.pulse {
            pulse.note(now, Beat::Started { run: run.to_owned() });
        }
    }

    /// The points that a run comes by, each of which is progress where somebody listens for it.
    pub(super) fn pulsing(&self, driver: &Driver, run: &str) -> Option<Edges> {
        let Some(pulse) = self.pulse.clone() else { return self.edges.clone() };
        let (env, run, edges) = (Arc::clone(driver.env()), run.to_owned(), self.edges.clone());
        Some(Arc::new(move |point: &str| {
            pulse.note(env.now(), Beat::Progress { run: run.clone() });
            if let Some(edges) = &edges {
                edges(point);
            }
        }))
    }

    /// Beats for a run that was left in `state`; `None` if it was lost to somebody else, who beats for it then.
    pub(super) fn end_beat(&self, run: &str, state: Option<State>, body: &Body, now: Now) {
        let Some(pulse) = &self.pulse else { return };
        let run = run.to_owned();
        let why = || body.faults.last().map_or_else(String::new, |fault| fault.chain.clone());
        pulse.note(
            now,
            match state {
                Some(State::Succeeded) => Beat::Succeeded { run },
                Some(
                    State::FailedTransient
                    | State::FailedPermanent
                    | State::Compensated
                    | State::NeedsReview
                    | State::Expired,
                ) => Beat::Failed { run, why: why() },
                _ => Beat::PutDown { run },
            },
        );
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
