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

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use crate::act::monitor::{Finding, Monitor};
    use crate::act::shutdown::Shutdown;
    use crate::act::worker::{Standing, Watch, Worker};
    use crate::base::park::block_on;
    use crate::base::race::before;
    use crate::base::time::{BoxFuture, Clock, Sleep};
    use crate::decide::heartbeat::{Policy, Status};
    use crate::effect::Effect;
    use crate::memory::Memory;
    use crate::pipeline::Step;
    use crate::remember::runs::{Runs, Wanted, kinds_of};
    use crate::remember::store::{Order, Store};
    use crate::testing::sim::Sim;

    const HOUR: Duration = Duration::from_secs(3600);

    fn stores() -> (Sim, Arc<dyn Store>, Arc<dyn Store>) {
        let sim = Sim::new(chrono::DateTime::UNIX_EPOCH + HOUR, 7);
        let memory = || Arc::new(Memory::on(Arc::new(sim.clone())));
        let (work, beats) = (memory(), memory());
        (sim, work, beats)
    }

    /// As another process sees it.
    fn seen(beats: &Arc<dyn Store>, now: Now) -> Status {
        let monitor = Monitor::new(Arc::clone(beats), "ops").build().unwrap();
        let entries = monitor.check_blocking(now).unwrap().entries;
        let found = entries.into_iter().find(|entry| entry.name == "import").map(|entry| entry.finding);
        match found {
            Some(Finding::Job(status)) => status,
            other => panic!("{other:?}"),
        }
    }

    fn pulse(beats: &Arc<dyn Store>) -> Pulse {
        let monitor =
            Monitor::new(Arc::clone(beats), "ops").expect("import", Policy::every(HOUR).run_max(HOUR));
        monitor.build().unwrap().pulse("import").unwrap()
    }

    #[test]
    fn a_run_that_was_lost_is_not_taken_to_run_for_ever() {
        let (sim, work, beats) = stores();
        let (clock, store) = (sim.clone(), Arc::clone(&work));
        let taken_over = move |_: &crate::pipeline::Cx| {
            clock.advance(24 * HOUR);
            let wanted = Wanted {
                kinds: kinds_of("import"),
                limit: 1,
                lease: HOUR,
                order: Order::Oldest,
                actor: "other",
            };
            assert_eq!(block_on(Runs::new(Arc::clone(&store)).claim_orphans(&wanted)).unwrap().len(), 1);
            Ok::<(), crate::pipeline::StepError>(())
        };
        let step = Step::blocking("step", Effect::Pure, taken_over);
        let job = Job::new("import").step(step).pulse(pulse(&beats)).build().unwrap();
        drop(block_on(job.run_once_on(sim.clone(), &work, &1)));
        assert_eq!(seen(&beats, sim.now()).running, 0);
    }

    struct Hangs;

    impl Watch for Hangs {
        fn told(&self, _: Now, _: &Standing) {}

        fn flush(&self, _: Now) -> BoxFuture<'_, ()> {
            Box::pin(pending())
        }
    }

    #[test]
    fn a_worker_writes_beats_though_no_other_run_ends_and_does_not_wait_for_a_watcher_that_hangs() {
        let (sim, work, beats) = stores();
        let step = Step::blocking("step", Effect::Pure, |_| Ok::<(), crate::pipeline::StepError>(()));
        let job = Job::new("import").step(step).pulse(pulse(&beats)).build().unwrap();
        drop(block_on(job.submit_on(&sim, &work, &1, &crate::act::job::Terms::default())).unwrap());
        let worker = Worker::new(work).job(job).watched_by(Arc::new(Hangs)).build().unwrap();
        let shutdown = Shutdown::new();
        let story = async {
            sim.sleep(Duration::from_secs(90)).await;
            assert!(seen(&beats, sim.now()).last_success.is_some(), "it succeeded a minute and a half ago");
            shutdown.trigger();
            pending::<()>().await;
        };
        sim.block_on(before(story, worker.run_on(sim.clone(), &shutdown))).unwrap().unwrap();
        assert!(sim.elapsed() < Duration::from_secs(120), "{:?}", sim.elapsed());
    }
}
